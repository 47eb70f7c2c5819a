"""What words name in a scene: its segments, scored by each word, and those above the threshold as objects.

The ground is the coverage of `geosam.regions`: every pixel lies in one segment. Whoever reads the words scores each
segment by each word; the words compete for it, so that no pixel is given twice. Neighbours of one word that covers
ground, such as water, are one object.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from geopandas import GeoDataFrame
from jaxtyping import Float32, Int64
from rasterio.windows import Window
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geosam.arrays import Labels
from geosam.pipeline.regions import Strips, cover_scene
from geosam.pipeline.run import Run
from geosam.polygons import frame, outline, polygonize
from geosam.recognition import Describer, KindReader, RegionFeatures, RegionSums, pool
from geosam.recognition.scenes import OVERLAP, WINDOW, aligned
from geosam.regions import Coverage
from geosam.segmenter import WordReader
from geosam.windows import PlannedWindow, WindowPlan

TEXT_COLUMNS = {"label": "str", "prompt": "str"}
"""Columns that follow those of `geosam.polygons.COLUMNS`.

======  =======================================================================================
column  meaning
======  =======================================================================================
label   the word: English and singular for those of the package, else as it was taught or said
prompt  what was said
score   how well the word describes the object, in [0, 1]: one half is the threshold
======  =======================================================================================
"""


def find_words(run: Run, tap: Callable[[Strips], Strips] = iter) -> Iterator[GeoDataFrame]:
    """Polygons of what each word names, in batches, each as soon as its last row of pixels is known.

    Parameters
    ----------
    run
        The scene, the network, the words and who reads them.
    tap
        Sees the strips of labels on their way to the polygons.
    """
    coverage = cover_scene(run)
    read = Reading(run, coverage)
    objects = choose(run, coverage, *read.all())
    strips = tap((top, objects.number[labels]) for top, labels in coverage.strips())
    for ids, geometries_px in polygonize(strips, stops=objects.stops, tolerance_px=run.tolerance_px):
        yield word_frame(run, objects, ids, outline(geometries_px, run.request.options.style))
    yield word_frame(run, objects, np.zeros(0, np.int64), np.zeros(0, object))


@dataclass
class Reading:
    """All segments of a coverage, scored window by window; of each only its scores stay.

    Attributes
    ----------
    run, coverage
        What is read.
    """

    run: Run
    coverage: Coverage

    def all(self) -> tuple[Float32[np.ndarray, "n w"], Int64[np.ndarray, "e 2"]]:
        """Scores of all segments, and which of them touch."""
        reader = self.run.request.reader
        builtin = isinstance(reader, KindReader)
        side, overlap = (WINDOW, OVERLAP) if builtin else (reader.side, reader.side // 4)
        plan = WindowPlan(self.run.scene.shape, side, min(overlap, side - 1))
        seen = self._windows(plan)
        add = _Sums(self, reader) if builtin else _Means(self, reader)
        links = [np.zeros((0, 2), np.int64)]
        for planned, window, labels in self.run.progress.track(seen, "read words", total=plan.count):
            core = _inside(window, planned.core)
            links.append(touching(labels, core))
            if labels[core].any() and self.run.scene.has_data(window):
                add(planned, window, labels)
        return add.finish(), np.unique(np.concatenate(links), axis=0)

    def _windows(self, plan: WindowPlan) -> Iterator[tuple[PlannedWindow, Window, Labels]]:
        for planned in plan:
            window = aligned(planned.window)
            yield planned, window, self.coverage.labels(window)


class _Sums:
    """Features of segments as exact sums over windows; a segment is read as soon as the rows below hold none of it."""

    def __init__(self, reading: Reading, reader: KindReader) -> None:
        self.run, self.coverage, self.reader = reading.run, reading.coverage, reader
        self.words = [each.word for each in self.run.request.asked]
        self.describer = Describer(store=self.run.store)
        self.scores = np.zeros((len(self.coverage.segments), len(self.words)), np.float32)
        self.rows, self.sums, self.bottom = np.zeros(0, np.int64), RegionSums.zeros(0), 0

    def __call__(self, planned: PlannedWindow, window: Window, labels: Labels) -> None:
        chip = self.run.scene.read(window)
        core, corner = _inside(window, planned.core), (round(window.col_off), round(window.row_off))
        known, local = _local(np.where(chip.valid, labels, 0))
        maps = self.describer.maps(chip, self.run.scene)
        sums = pool(maps, chip.pixels, local, count=len(known), core=core, corner=corner)
        every = np.concatenate([self.rows, known])
        self.rows, place = np.unique(every, return_inverse=True)
        self.sums = RegionSums.join([self.sums, sums]).merged(place, len(self.rows))
        top = round(planned.core.row_off)
        if top > self.bottom:
            self.bottom = top
            self._read(self.coverage.stops[self.rows - 1] <= top)

    def finish(self) -> Float32[np.ndarray, "n w"]:
        """Scores of all segments."""
        self._read(np.ones(len(self.rows), bool))
        return self.reader.settle(self.scores, self.words)

    def _read(self, done: np.ndarray) -> None:
        features = RegionFeatures.from_sums(self.sums[done], self.describer.encoder.key)
        self.scores[self.rows[done] - 1] = self.reader.read(features, self.words)
        self.rows, self.sums = self.rows[~done], self.sums[~done]


class _Means:
    """Scores of segments by whoever reads windows, averaged over the pixels of each window's core."""

    def __init__(self, reading: Reading, reader: WordReader) -> None:
        self.run, self.reader = reading.run, reader
        self.words = [each.word.word for each in self.run.request.asked]
        n = len(reading.coverage.segments)
        self.total, self.weight = np.zeros((n, len(self.words))), np.zeros(n)

    def __call__(self, planned: PlannedWindow, window: Window, labels: Labels) -> None:
        chip = self.run.scene.read(window)
        known, local = _local(np.where(chip.valid, labels, 0))
        found = self.reader.score(chip.pixels, local, self.words)
        core = local[_inside(window, planned.core)]
        pixels = np.bincount(core.ravel(), minlength=len(known) + 1)[1:].astype(np.float64)
        self.total[known - 1] += found * pixels[:, None]
        self.weight[known - 1] += pixels

    def finish(self) -> Float32[np.ndarray, "n w"]:
        """Scores of all segments."""
        return (self.total / np.maximum(self.weight, 1)[:, None]).astype(np.float32)


def _local(labels: np.ndarray) -> tuple[np.ndarray, Labels]:
    """The segments of a window, and its pixels' labels counted from 1 among them; 0 for none."""
    known, local = np.unique(labels, return_inverse=True)
    first = int(known[0] == 0)
    return known[first:].astype(np.int64), (local.reshape(labels.shape) + 1 - first).astype(np.int32)


def _inside(window: Window, core: Window) -> tuple[slice, slice]:
    top, left = round(core.row_off - window.row_off), round(core.col_off - window.col_off)
    return slice(top, top + round(core.height)), slice(left, left + round(core.width))


def touching(labels: Labels, core: tuple[slice, slice]) -> Int64[np.ndarray, "e 2"]:
    """Pairs of segments that share a side of a pixel of the core, the smaller first.

    Examples
    --------
    >>> touching(np.array([[1, 1, 2], [0, 3, 2]], np.int32), (slice(0, 2), slice(0, 3))).tolist()
    [[1, 2], [1, 3], [2, 3]]
    """
    rows, cols = core
    more = labels[rows.start : rows.stop + 1, cols.start : cols.stop + 1]
    sides = [(more[:, :-1], more[:, 1:]), (more[:-1], more[1:])]
    pairs = [np.stack([a, b], -1)[(a != b) & (a > 0) & (b > 0)] for a, b in sides]
    return np.unique(np.sort(np.concatenate(pairs).astype(np.int64), axis=1), axis=0)


@dataclass(frozen=True, eq=False)
class Objects:
    """What the words name.

    Attributes
    ----------
    number
        Object of each segment, whose numbers count from 1; 0 for none, and for what is no segment.
    word
        Place of each object's word among those that were asked.
    score, chance
        How well it describes the object; and the chance that the object is one, means over pixels.
    stops
        The row below the last pixel of each.
    touches_nodata
        Whether one meets ground without data.
    """

    number: np.ndarray
    word: np.ndarray
    score: np.ndarray
    chance: np.ndarray
    stops: np.ndarray
    touches_nodata: np.ndarray


def choose(
    run: Run, coverage: Coverage, scores: Float32[np.ndarray, "n w"], links: Int64[np.ndarray, "e 2"]
) -> Objects:
    """Give each segment to the word that describes it best, and put together what is one object."""
    request, segments = run.request, coverage.segments
    n = len(segments)
    best = scores.argmax(1) if n else np.zeros(0, np.int64)
    top = scores[np.arange(n), best]
    taken = top >= request.options.text_threshold
    spreads = np.array([each.word.spread for each in request.asked])
    one, other = links.T - 1
    joined = taken[one] & taken[other] & (best[one] == best[other]) & spreads[best[one]]
    same = coo_array((np.ones(int(joined.sum()), bool), (one[joined], other[joined])), shape=(n, n))
    group = connected_components(same, directed=False)[1].astype(np.int64) if n else np.zeros(0, np.int64)
    whole = segments.extents.merged(group, int(group.max(initial=-1)) + 1)
    area = whole.area * request.m2_per_px
    first = np.full(len(whole), n)
    np.minimum.at(first, group, np.arange(n))
    kept = taken[first] & (area >= request.options.min_area) & (area <= request.options.max_area)
    order = whole.from_top()
    order = order[kept[order]]
    number = np.zeros(len(whole), np.int32)
    number[order] = np.arange(1, len(order) + 1)
    weight = segments.extents.area

    def mean(values: np.ndarray) -> np.ndarray:
        total = np.bincount(group, values.astype(np.float64) * weight, len(whole))
        return (total / np.maximum(whole.area, 1))[order].astype(np.float32)

    return Objects(
        np.concatenate([[0], number[group]]).astype(np.int32),
        best[first[order]],
        mean(top),
        mean(segments.chance),
        whole.box[order, 3].astype(np.int64),
        whole.at_nodata[order],
    )


def word_frame(run: Run, objects: Objects, ids: np.ndarray, geometries_px: np.ndarray) -> GeoDataFrame:
    """The documented table of objects, with `TEXT_COLUMNS` before the geometry."""
    at = np.asarray(ids, np.int64) - 1
    asked = run.request.asked
    table = frame(
        geometries_px,
        run.scene,
        object_ids=np.asarray(ids, np.int64),
        predicted_iou=objects.chance[at],
        stability=np.ones(len(at), np.float32),
        touches_nodata=objects.touches_nodata[at],
        model=run.network.name,
    )
    table["score"] = objects.score[at]
    place = list(table.columns).index("geometry")
    for number, (name, texts) in enumerate(
        (("label", [each.word.word for each in asked]), ("prompt", [each.prompt for each in asked]))
    ):
        table.insert(place + number, name, pd.Series([texts[word] for word in objects.word[at]], dtype="str"))
    return table
