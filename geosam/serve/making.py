"""Verbs that make objects: windows ahead of the hand, previews, accepting, going on with what was accepted."""

from typing import Any

from geosam.serve.objects import MapObject
from geosam.serve.preview import Asked
from geosam.serve.requests import Fields, OutsideError, ServeError
from geosam.serve.shapes import from_json, to_json, united
from geosam.serve.workplace import Kept, Workplace

AGAIN_MS, REST_MS = 150, 100
"""When to ask again while windows are encoded, and where the hand only moved over a place: if it rests there."""

MOST_CORNERS = 10_000
"""Corners of an outline drawn by hand."""


def warm(work: Workplace, fields: Fields) -> dict[str, Any]:
    """Encode the window at a place, and those beside it ahead."""
    warmth, answerer, _ = work.model()
    h, w = work.scene.shape
    x, y = (fields.number(name, 0, least=-1e9, most=1e9) for name in ("x", "y"))
    if not (0 <= x < w and 0 <= y < h):
        raise OutsideError(f"a place at {x:g}, {y:g}, outside the scene", expected=f"one within {w} x {h} px")
    spot = answerer.spot_of(x, y)
    if warmth.get(spot) is None:
        warmth.want([spot])
    warmth.ahead(warmth.around(spot))
    state = warmth.state(spot)
    return {"state": state} | ({} if state == "warm" else {"again_ms": AGAIN_MS})


def preview(work: Workplace, fields: Fields) -> dict[str, Any]:
    """The shape that some prompts ask for."""
    _, answerer, _ = work.model()
    seq, asked = fields.whole("seq", 0), asked_of(work, fields)
    found = answerer.answer(asked)
    key = None
    if found.shape is not None:
        key = work.previews.put(Kept(found.shape, found.score, asked.origin, prompts_json(fields)))
    value = {
        "seq": seq,
        "key": key,
        "shape": None if found.shape is None else to_json(found.shape),
        "score": round(found.score, 4),
        "exact": found.exact,
    }
    return value if found.exact else value | {"again_ms": REST_MS if asked.hover == "moves" else AGAIN_MS}


def accept(work: Workplace, fields: Fields) -> dict[str, Any]:
    """Make an object of shapes that were shown, of several one or one each; or give one that is there their shape."""
    kept = [work.shape_of(key) for key in fields.keys("keys")]
    if fields.given.get("each") is True:
        return _accept_each(work, fields, kept)
    first = kept[0]
    shape = first.shape if len(kept) == 1 else united([each.shape for each in kept])
    score = min(each.score for each in kept)
    with work.changing:
        layer = work.layer
        old = layer.get(fields.whole("object", least=1)) if fields.has("object") else None
        code = work.class_in(fields, None if old is None else old.class_code)
        number = layer.next_id() if old is None else old.id
        one = MapObject(number, shape, code, score, first.origin, first.prompts if len(kept) == 1 else None)
        name = layer.name_of(code)
        did = f"accepted 1 {name}" if old is None else f"changed {name} {number}"
        return work.done(layer.do(layer.adding([one], did)))


def _accept_each(work: Workplace, fields: Fields, kept: list[Kept]) -> dict[str, Any]:
    """Make an object of each shape, as one step."""
    if fields.has("object"):
        raise ServeError("accept of each shape for one object", expected="one of both", hint="leave each or object out")
    with work.changing:
        layer, code = work.layer, work.class_in(fields, None)
        made = [MapObject(layer.next_id(), each.shape, code, each.score, each.origin, each.prompts) for each in kept]
        return work.done(layer.do(layer.adding(made, f"accepted {len(made)} x {layer.name_of(code)}")))


def reopen(work: Workplace, fields: Fields) -> dict[str, Any]:
    """The prompts of an object, to go on with them."""
    one = work.layer.get(fields.whole("id", least=1))
    return {"prompts": one.prompts, "shape": to_json(one.shape), "class": one.class_code}


def asked_of(work: Workplace, fields: Fields) -> Asked:
    """The prompts of a request; of an object without prompts its own outline is one."""
    clicks, box = tuple(fields.clicks("points")), fields.box("box")
    corners, outline = fields.points("outline", most=MOST_CORNERS), None
    if corners:
        if len(corners) < 3:
            raise fields.wrong("outline", "at least three places [x, y]")
        drawn = {"type": "Polygon", "coordinates": [[list(xy) for xy in corners]]}
        outline = from_json(Fields({"verb": "an outline", "shape": drawn}), "shape")
    if fields.has("object") and box is None and outline is None:
        one = work.layer.get(fields.whole("object", least=1))
        outline = one.shape if one.prompts is None else None
    hover = fields.text("hover", "")
    if hover not in ("", "moves", "rests"):
        raise fields.wrong("hover", '"moves", "rests" or nothing')
    return Asked(clicks, box, outline, hover)


def prompts_json(fields: Fields) -> dict[str, Any]:
    """The prompts of a request as they were given."""
    given = fields.given
    return {
        "points": given.get("points") or [],
        "box": given.get("box"),
        "outline": given.get("outline") or None,
    }
