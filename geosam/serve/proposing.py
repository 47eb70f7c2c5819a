"""Verbs that propose: what to look at next, more like this, what a word means, the ground in segments."""

from typing import Any

import shapely

from geosam.serve.objects import Step
from geosam.serve.proposals import Proposal
from geosam.serve.requests import Fields, NothingError
from geosam.serve.shapes import to_json
from geosam.serve.workplace import Workplace

AGAIN_MS = 400
"""When to ask again while the ground is looked at."""

MOST_CANDIDATES = 500

LOOKING = "the ground is being looked at"


def suggest(work: Workplace, fields: Fields) -> dict[str, Any]:
    """The most doubtful shape that was not suggested before."""
    _, _, proposer = work.model()
    bounds = fields.box("bounds")
    with work.changing:
        found = proposer.next(work.layer, bounds)
    if found is None:
        return {"key": None, "why": LOOKING, "again_ms": AGAIN_MS}
    for proposal in found:
        key = work.propose(proposal, "suggestion")
        if key in work.suggested:
            continue
        work.suggested.add(key)
        inside = shapely.point_on_surface(proposal.shape)
        return {
            "key": key,
            "shape": to_json(proposal.shape),
            "score": round(proposal.score, 4),
            "doubt": round(proposal.doubt, 4),
            "at": [inside.x, inside.y],
            "class": proposal.class_code,
        }
    return {"key": None, "why": "all that was found here has been seen: move the view"}


def reject(work: Workplace, fields: Fields) -> dict[str, Any]:
    """Have a shape neither suggested nor found again; can be undone."""
    kept = work.shape_of(fields.text("key", most=64))
    with work.changing:
        return work.done(work.layer.do(Step("rejected 1 shape", rejected=(kept.shape,))))


def similar(work: Workplace, fields: Fields) -> dict[str, Any]:
    """Segments like some objects, the most similar first."""
    _, _, proposer = work.model()
    ids, limit = fields.ids("ids"), fields.whole("limit", 50, least=1, most=MOST_CANDIDATES)
    with work.changing:
        examples = [work.layer.get(number) for number in ids]
        found = proposer.similar(work.layer, examples, fields.box("bounds"))
        label = work.layer.name_of(examples[0].class_code)
    return _candidates(work, found, "similar", label, limit)


def word(work: Workplace, fields: Fields) -> dict[str, Any]:
    """What a word names, the likeliest first."""
    _, _, proposer = work.model()
    text = fields.text("text", most=200).strip()
    if not text:
        raise fields.wrong("text", "a word, such as building")
    threshold = fields.number("threshold", 0.5, least=0.01, most=1)
    found = proposer.named(text, threshold, fields.box("bounds"))
    with work.changing:
        free = found if found is None else proposer.not_taken(found, work.layer)
    return _candidates(work, free, "word", text, MOST_CANDIDATES)


def coverage(work: Workplace, fields: Fields) -> dict[str, Any]:
    """Every pixel of a part of the scene in a segment."""
    _, _, proposer = work.model()
    ground = proposer.ground(fields.box("bounds"))
    if ground is None:
        return {"segments": [], "done": False, "again_ms": AGAIN_MS, "note": LOOKING}
    segments = [
        {"key": work.propose(Proposal(shape, score), "coverage"), "shape": to_json(shape)}
        for shape, score in zip(ground.shapes.tolist(), ground.chance.tolist(), strict=True)
    ]
    return {"segments": segments, "done": True}


def _candidates(work: Workplace, found: list[Proposal] | None, origin: str, label: str, limit: int) -> dict[str, Any]:
    if found is None:
        return {"candidates": [], "done": False, "again_ms": AGAIN_MS, "note": LOOKING}
    if not found:
        raise NothingError(f"nothing like {label!r} was found here", hint="move the view, or give another example")
    candidates = [
        {
            "key": work.propose(one, origin),
            "shape": to_json(one.shape),
            "score": round(one.score, 4),
            "label": one.label or label,
        }
        for one in found[:limit]
    ]
    note = f"the best {limit} of {len(found)}" if len(found) > limit else ""
    return {"candidates": candidates, "done": True} | ({"note": note} if note else {})
