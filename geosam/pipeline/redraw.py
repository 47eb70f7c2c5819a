"""Segments that may be objects, drawn again by the model: the tree says where, the model's mask says what.

Each such segment that lies in one block is asked for by its box. Where the answer is good and is still the same object,
it takes the segment's place (`geosam.regions.redrawing`); the tree keeps all other ground.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from geosam.embeddings import Embedding
from geosam.masks import segment_boxes
from geosam.pipeline.run import Run
from geosam.prompts import Prompt, WindowPrompts
from geosam.regions import Coverage, Extents, Spot
from geosam.regions.redrawing import Redrawn, block_extents, drawn_name, keep_drawn, load_drawn, redraw_block
from geosam.scene import Chip

LIKELY, GOOD, AGREES = 0.1, 0.6, 0.4
"""A segment is asked for from this chance to be an object; its mask is taken from this score, and from this IoU with
the segment. See docs/experiments.md."""


def redraw(run: Run, coverage: Coverage, least_px: float | int) -> Coverage:
    """The same ground with segments redrawn; blocks that an earlier run has redrawn are not asked again.

    Parameters
    ----------
    run
        The scene, the network and the options.
    coverage
        A cut of the scene's tree.
    least_px
        The mapping unit in pixels.
    """
    asked, done = to_ask(coverage), set(run.journal.names())
    spots = sorted(coverage.grid.blocks())
    todo = [spot for spot in spots if spot in asked and drawn_name(spot) not in done]
    seen = run.embed_each(run.scene, [coverage.grid.planned(spot).window for spot in todo])
    first, pieces = len(coverage.segments) + 1, [np.zeros(0, np.int64)]
    parts: list[tuple[np.ndarray, Extents]] = []
    for spot in run.progress.track(iter(spots), "redraw", total=len(spots)):
        if drawn_name(spot) not in done:
            labels = coverage.block(spot)
            masks = ask(run, coverage, spot, *next(seen), rows=asked[spot], labels=labels) if spot in asked else []
            keep_drawn(run.journal, spot, *redraw_block(labels, masks, least_px=least_px, first=first))
        drawn = load_drawn(run.journal, spot)
        first += len(drawn.pieces)
        pieces.append(drawn.pieces)
        place = coverage.grid.place(spot)
        parts.append(block_extents(drawn.numbers[drawn.labels], (place.row, place.col)))
    return renumbered(coverage, np.concatenate(pieces), parts)


def to_ask(coverage: Coverage) -> Mapping[Spot, list[int]]:
    """Rows of the segments that may be objects and lie in one block, by block."""
    found: dict[Spot, list[int]] = defaultdict(list)
    boxes = coverage.segments.extents.box
    rows, cols = coverage.grid.shape(0)
    tops = np.array([coverage.grid.place((row, 0)).row for row in range(rows)])
    lefts = np.array([coverage.grid.place((0, col)).col for col in range(cols)])
    begins = np.stack([np.searchsorted(tops, boxes[:, 1], "right"), np.searchsorted(lefts, boxes[:, 0], "right")], 1)
    ends = np.stack([np.searchsorted(tops, boxes[:, 3], "left"), np.searchsorted(lefts, boxes[:, 2], "left")], 1)
    likely = (coverage.segments.chance >= LIKELY) & (begins == ends).all(1)
    for row in np.flatnonzero(likely).tolist():
        found[int(begins[row, 0]) - 1, int(begins[row, 1]) - 1].append(row)
    return found


def ask(
    run: Run, coverage: Coverage, spot: Spot, chip: Chip, embedding: Embedding, *, rows: list[int], labels: np.ndarray
) -> list[Redrawn]:
    """The masks that take the place of segments of a block, the best last."""
    extents, place = coverage.segments.extents, coverage.grid.place(spot)
    prompts = [Prompt(row, row, box_px=extents.box[row].astype(np.float64)) for row in rows]
    shape = run.network.logits_shape(embedding.shape)
    found: list[tuple[float, int, Redrawn]] = []
    for group in WindowPrompts.for_window(prompts, chip.window, logits_shape=shape):
        masks = segment_boxes(embedding, run.network, group, chip.valid)
        answers = zip(masks.prompt_ids.tolist(), masks.boxes.tolist(), masks.crops, masks.score.tolist(), strict=True)
        for row, (x0, y0, x1, y1), crop, score in answers:
            box = x0 - place.left, y0 - place.top, x1 - place.left, y1 - place.top
            inside = min(box[:2]) >= 0 and box[2] <= place.shape[1] and box[3] <= place.shape[0]
            mask = Redrawn(row + 1, box, crop)
            if inside and score >= GOOD and agreement(labels, mask, int(extents.area[row])) >= AGREES:
                found.append((score, -row, mask))
    return [mask for *_, mask in sorted(found, key=lambda each: each[:2])]


def agreement(labels: np.ndarray, mask: Redrawn, area: int) -> float:
    """IoU of a mask with its segment of so many pixels."""
    x0, y0, x1, y1 = mask.box
    shared = np.count_nonzero(mask.crop & (labels[y0:y1, x0:x1] == mask.segment))
    return shared / max(area + np.count_nonzero(mask.crop) - shared, 1)


def renumbered(coverage: Coverage, pieces: np.ndarray, parts: Sequence[tuple[np.ndarray, Extents]]) -> Coverage:
    """The coverage of redrawn blocks; a piece is part of the same coarser segments as what it was cut from."""
    before = coverage.segments
    source = np.concatenate([np.arange(len(before)), pieces - 1])
    whole = Extents.joined([extents for _, extents in parts])
    extents = whole.merged(np.concatenate([ids for ids, _ in parts]) - 1, len(source))
    chance = before.chance[source]
    chance[len(before) :] = 0
    alive = np.flatnonzero(extents.area > 0)
    order = alive[extents.select(alive).from_top()]
    number = np.zeros(len(source), np.int32)
    number[order] = np.arange(1, len(order) + 1)
    segments = replace(before, extents=extents, chance=chance, parents=before.parents[:, source]).select(order)
    return replace(coverage, number=number, segments=segments, drawn=True)
