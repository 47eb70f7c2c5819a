"""What the desk proposes: segments of the ground, more like this, what a word means, what to look at next.

All of it takes seconds the first time, and is done in the background; a proposal is no object before it is accepted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from geosam.pipeline import segment
from geosam.recognition import Describer, Examples, RegionFeatures, rank, read_text
from geosam.scene import Scene
from geosam.segmenter import Segmenter
from geosam.serve.areas import (
    TOLERANCE_PX,
    Area,
    Background,
    Bounds,
    Ground,
    Maps,
    area_of,
    describe,
    identity,
    segments_of,
    to_scene,
    view_of,
)
from geosam.serve.layer import Layer
from geosam.serve.objects import MapObject
from geosam.serve.requests import NothingError
from geosam.store import EmbeddingStore

TAKEN = 0.5
"""Share of a proposal that objects may cover; more, and its ground is taken."""

REFUSED = 0.5
"""IoU with a rejected shape from which a proposal is the same."""

EXAMPLES = 24
"""Examples of each class that count, the latest: more say little more, and each takes its time."""

LARGEST = 0.25
"""Share of an area that a proposal may have; larger ones are the ground between objects."""


@dataclass(frozen=True)
class Proposal:
    """A shape that may become an object.

    Attributes
    ----------
    shape
        In pixels of the scene.
    score
        How likely it is what is looked for, in [0, 1].
    doubt
        How little is known of that, in [0, 1].
    class_code
        The class that it is most like, if any.
    label
        The word that names it, if one was asked for.
    """

    shape: BaseGeometry
    score: float
    doubt: float = 0.0
    class_code: int | None = None
    label: str = ""


class Proposer:
    """Looks at parts of the scene in the background.

    Parameters
    ----------
    scene, network
        What is looked at, and by whom.
    store
        What is kept on disk, or None.
    """

    def __init__(self, scene: Scene, network: Segmenter, store: EmbeddingStore | None = None) -> None:
        self.scene, self.network, self.store = scene, network, store
        self.background = Background()
        self._describer: Describer | None = None

    def close(self, patience: float | int | None = None) -> bool:
        """End the thread, waiting so many seconds at most; tells whether it has ended."""
        return self.background.close(patience)

    def ground(self, bounds: Bounds | None) -> Ground | None:
        """The segments of the area that holds some bounds; None if they are not there yet."""
        area = area_of(self.scene, bounds)
        return self.background.ask(
            ("ground", area), lambda: segments_of(self.scene, self.network, area, store=self.store)
        )

    def similar(self, layer: Layer, examples: Sequence[MapObject], bounds: Bounds | None) -> list[Proposal] | None:
        """Segments like some objects, the most similar first; None if it is not known yet.

        Rejected shapes count as examples of what is not meant.
        """
        if bounds is None:
            bounds = _around(self.scene, [one.shape for one in examples])
        seen = self._seen(bounds, [one.shape for one in examples], layer.rejected)
        if seen is None:
            return None
        ground, features, groups = seen
        free = np.flatnonzero(self._free(ground, layer))
        scores = _rank(features, groups[0], groups[1:])
        order = free[np.argsort(-scores[free], kind="stable")]
        shapes: list[Any] = ground.shapes.tolist()
        return [Proposal(shapes[row], float(scores[row])) for row in order.tolist()]

    def next(self, layer: Layer, bounds: Bounds | None) -> list[Proposal] | None:
        """Segments by doubt, the most doubtful first; None if they are not known yet.

        Without objects, doubt is how near the chance to be an object is to one half. With objects of one class it is
        how near the likeness to them is to half of the greatest; with several classes, or rejected shapes, how near the
        likeness to the best of them is to that to the second.
        """
        classes = sorted({one.class_code for one in layer.objects.values()}, key=str)
        groups = [
            [one.shape for one in layer.objects.values() if one.class_code == code][-EXAMPLES:] for code in classes
        ]
        if not groups:
            ground = self.ground(bounds)
            if ground is None:
                return None
            doubt, score = 1 - np.abs(2 * ground.chance - 1), ground.chance
            best = np.zeros(len(ground.chance), np.int64)
            codes: list[int | None] = [None]
        else:
            seen = self._seen(bounds, *groups, layer.rejected)
            if seen is None:
                return None
            ground, features, rows = seen
            doubt, score, best = _doubt(features, rows[:-1], rows[-1])
            codes = list(classes)
        free = np.flatnonzero(self._free(ground, layer))
        order = free[np.argsort(-np.round(doubt[free], 6), kind="stable")]
        shapes: list[Any] = ground.shapes.tolist()
        return [
            Proposal(shapes[row], float(score[row]), float(doubt[row]), codes[int(best[row])]) for row in order.tolist()
        ]

    def named(self, text: str, threshold: float, bounds: Bounds | None) -> list[Proposal] | None:
        """What a word names, the likeliest first; None if it is not known yet.

        Raises
        ------
        OptionError
            If the word is not known.
        """
        read_text(text)  # an unknown word is told at once
        area = area_of(self.scene, bounds)

        def find() -> list[Proposal]:
            view = view_of(self.scene, area)
            how = {"text": text, "text_threshold": threshold, "simplify": TOLERANCE_PX * view.frame.resolution}
            table = segment(view, model=self.network, store=self.store, **how)
            shapes, labels = to_scene(view.to_px(table), view, self.scene), table["label"].tolist()
            scores = table["score"].to_numpy(float)
            order = [row for row in np.argsort(-scores, kind="stable").tolist() if not shapes[row].is_empty]
            return [Proposal(shapes[row], float(scores[row]), label=str(labels[row])) for row in order]

        return self.background.ask(("word", area, text.lower(), threshold), find)

    def not_taken(self, proposals: list[Proposal], layer: Layer) -> list[Proposal]:
        """Those whose ground is free, and that were not rejected."""
        shapes = np.empty(len(proposals), object)
        shapes[:] = [one.shape for one in proposals]
        free = _open_ground(shapes, layer)
        return [one for one, there in zip(proposals, free.tolist(), strict=True) if there]

    def _seen(
        self, bounds: Bounds | None, *groups: Sequence[BaseGeometry]
    ) -> tuple[Ground, RegionFeatures, list[np.ndarray]] | None:
        """Segments of an area, features of them and of groups of examples, and the rows of each group."""
        ground = self.ground(bounds)
        if ground is None:
            return None
        if not len(ground.shapes):
            raise NothingError("no segment there", hint="look at a part of the scene with data")
        shown = [list(group)[-EXAMPLES:] for group in groups]
        flat = [shape for group in shown for shape in group]
        own = self._features(ground.area, ground.shapes.tolist(), "segments")
        others = self._features(ground.area, flat, identity(flat)) if flat else None
        if own is None or (flat and others is None):
            return None
        first, rows = len(own), []
        for group in shown:
            rows.append(np.arange(first, first + len(group), dtype=np.int64))
            first += len(group)
        return ground, own if others is None else _joined(own, others), rows

    def _features(self, area: Area, shapes: Sequence[BaseGeometry], name: str) -> RegionFeatures | None:
        return self.background.ask(("features", area, name), lambda: describe(shapes, self.scene, area, self.describer))

    @property
    def describer(self) -> Describer:
        """What tells how shapes look."""
        if self._describer is None:
            self._describer = Describer(store=self.store or Maps())
        return self._describer

    def _free(self, ground: Ground, layer: Layer) -> np.ndarray:
        """Which segments are neither most of the area, nor on ground that is taken, nor rejected."""
        small = ground.area_px <= LARGEST * ground.area.width * ground.area.height
        return small & _open_ground(ground.shapes, layer)


def _open_ground(shapes: np.ndarray, layer: Layer) -> np.ndarray:
    """Which shapes lie on ground that objects leave open, and are none that were rejected."""
    taken, free = np.zeros(len(shapes)), np.ones(len(shapes), bool)
    for one in layer.near_bounds(tuple(shapely.total_bounds(shapes).tolist())) if len(shapes) else ():
        near = _near(shapes, one.shape)
        taken[near] += shapely.area(shapely.intersection(shapes[near], one.shape))
    free &= taken <= TAKEN * shapely.area(shapes)
    for shape in layer.rejected:
        near = _near(shapes, shape)
        shared = shapely.area(shapely.intersection(shapes[near], shape))
        free[near[shared >= REFUSED * (shapely.area(shapes[near]) + shape.area - shared)]] = False
    return free


def _near(shapes: np.ndarray, shape: BaseGeometry) -> np.ndarray:
    """Rows of the shapes whose bounds meet those of one."""
    x0, y0, x1, y1 = shape.bounds
    left, top, right, bottom = shapely.bounds(shapes).reshape(-1, 4).T
    return np.flatnonzero((left < x1) & (right > x0) & (top < y1) & (bottom > y0))


def _around(scene: Scene, shapes: Sequence[BaseGeometry]) -> Bounds:
    """Bounds around some shapes, an area's side wide, or what they need."""
    x0, y0, x1, y1 = shapely.total_bounds(np.array(shapes, object)).tolist()
    h, w = scene.shape
    more = 512.0
    return max(x0 - more, 0.0), max(y0 - more, 0.0), min(x1 + more, float(w)), min(y1 + more, float(h))


def _joined(one: RegionFeatures, other: RegionFeatures) -> RegionFeatures:
    values, area = np.concatenate([one.values, other.values]), np.concatenate([one.area_px, other.area_px])
    return RegionFeatures(values, area, one.key)


def _rank(features: RegionFeatures, right: np.ndarray, wrong: Sequence[np.ndarray]) -> np.ndarray:
    """How much each region is like the right ones and unlike the wrong ones; examples without a pixel do not count."""
    seen = features.area_px > 0
    right = right[seen[right]]
    if not len(right):
        raise NothingError("no example that holds a pixel of the scene")
    others = np.concatenate([np.zeros(0, np.int64), *wrong])
    return rank(features, Examples(right, others[seen[others]])).astype(np.float64)


def _doubt(
    features: RegionFeatures, groups: list[np.ndarray], rejected: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Doubt and score of each region, and which group it is most like."""
    like = np.stack([_rank(features, group, []) for group in groups])
    examples = np.concatenate([*groups, rejected])
    for scores in like:
        scores[examples] = 0.0  # they are known
    scale = np.maximum(like.max(axis=1, keepdims=True), 1e-12)
    like = like / scale
    best = like.argmax(axis=0)
    score = like.max(axis=0)
    if len(rejected):
        against = _rank(features, rejected, [])
        against[examples] = 0.0
        like = np.concatenate([like, (against / max(float(against.max()), 1e-12))[None]])
    if len(like) == 1:
        return 1 - np.abs(2 * score - 1), score, best
    second, first = np.sort(like, axis=0)[-2:]
    return score * (1 - (first - second) / np.maximum(first, 1e-12)), score, best
