"""What a larger model finds by words, window by window: boxes for the segmenter to draw, or masks of its own.

The words compete for the ground of a window: the better score has it, and what lies mostly on better ground repeats it.
Windows are put together as in everything mode. Which word an object has is a vote of its pieces, by their pixels.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from geopandas import GeoDataFrame
from jaxtyping import Float32, Int64
from scipy import ndimage

from geosam.arrays import Flags, Scores
from geosam.execute import prefetch
from geosam.instances import InstanceSet, WindowInstances, assemble, stitch
from geosam.masks import MaskSet, segment_prompts
from geosam.pipeline.everything import Strips, entry, within_limits
from geosam.pipeline.run import AHEAD, Run
from geosam.polygons import instance_frame, outline, polygonize
from geosam.prompts import WindowPrompts
from geosam.recognition import Prompt
from geosam.scene import Chip
from geosam.segmenter import PromptBatch, Proposals, batches
from geosam.windows import PlannedWindow, WindowPlan

PREFIX = "words-"
"""What the journal's names of windows begin with."""

VISIBLE = 0.5
"""Share of a mask that must lie on ground which no better one has: with less, both mean the same object."""


@dataclass(frozen=True, eq=False)
class Named:
    """The instances of one window with their words.

    Attributes
    ----------
    seen
        The instances, none overlapping another.
    word
        Place of each one's word among those that were asked.
    score
        How well it is what the word names, in [0, 1].
    own
        Whether the finder drew the mask, and not the segmenter.
    """

    seen: WindowInstances
    word: Int64[np.ndarray, "n"]
    score: Scores
    own: Flags

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain arrays for a journal; `from_arrays` is the inverse."""
        return {**self.seen.to_arrays(), "word": self.word, "word_score": self.score, "own": self.own}

    @classmethod
    def from_arrays(cls, index: int, arrays: dict[str, np.ndarray]) -> "Named":
        """Rebuild what `to_arrays` took apart."""
        seen = WindowInstances.from_arrays(index, arrays)
        return cls(seen, arrays["word"].astype(np.int64), arrays["word_score"], arrays["own"])


@dataclass
class Votes:
    """For each piece of each window its word, score and pixels, in the order in which `stitch` counts them."""

    word: list[np.ndarray] = field(default_factory=list)
    score: list[np.ndarray] = field(default_factory=list)
    pixels: list[np.ndarray] = field(default_factory=list)
    own: list[np.ndarray] = field(default_factory=list)

    def add(self, named: Named) -> WindowInstances:
        """Note a window's pieces."""
        self.word.append(named.word)
        self.score.append(named.score)
        self.pixels.append(np.bincount(named.seen.labels.ravel(), minlength=len(named.seen) + 1)[1:])
        self.own.append(named.own)
        return named.seen

    def count(self, instances: InstanceSet, words: int) -> "Elected":
        """The word of each object: the one that most of its pixels voted for, weighted by their scores."""
        ids = instances.object_ids.astype(np.int64)
        word, score, pixels, own = (
            np.concatenate([np.zeros(0), *each]) for each in (self.word, self.score, self.pixels, self.own)
        )
        size = (len(instances) + 1, words)
        place = np.ravel_multi_index((ids, word.astype(np.int64)), size)
        total = np.bincount(place, score * pixels, size[0] * size[1]).reshape(size)
        weight = np.bincount(place, pixels, size[0] * size[1]).reshape(size)
        best = total.argmax(1)
        rows = np.arange(size[0])
        mean = total[rows, best] / np.maximum(weight[rows, best], 1)
        return Elected(best, mean.astype(np.float32), np.bincount(ids, own, size[0]) > 0)


@dataclass(frozen=True, eq=False)
class Elected:
    """Word, score and drawer of each object, by its number; the first entry is of none."""

    word: Int64[np.ndarray, "n"]
    score: Float32[np.ndarray, "n"]
    own: Flags


def find_concepts(run: Run, tap: Callable[[Strips], Strips] = iter) -> Iterator[GeoDataFrame]:
    """Polygons of what each word names, in batches, each as soon as its last row of pixels is known.

    Parameters
    ----------
    run
        The scene, the network, the words and who finds them.
    tap
        Sees the strips of labels on their way to the polygons.
    """
    plan = run.plan()
    read = find_windows(run, plan)
    votes = Votes()

    def first(index: int) -> WindowInstances | None:
        named = read(index)
        return None if named is None else votes.add(named)

    def again(index: int) -> WindowInstances | None:
        named = read(index)
        return None if named is None else named.seen

    stitched = stitch(plan, first)
    elected = votes.count(stitched, len(run.request.asked))
    instances = within_limits(run.request, plan, stitched, again)
    for ids, geometries_px in polygonize(
        tap(assemble(plan, instances, again)), stops=instances.stops, tolerance_px=run.tolerance_px
    ):
        drawn = outline(geometries_px, run.request.options.style)
        yield concept_frame(run, instances, elected, (ids, drawn))
    yield concept_frame(run, instances, elected, (np.zeros(0, np.int32), np.zeros(0, object)))


def find_windows(run: Run, plan: WindowPlan) -> Callable[[int], Named | None]:
    """Look into every window that has data; returns the loader of what was found, None for an empty window."""
    full = {planned.index: planned for planned in plan if run.scene.has_data(planned.window)}
    done = set(run.journal.names())
    todo = [planned for index, planned in full.items() if entry(index, PREFIX) not in done]
    run.report.windows += len(plan)
    run.report.empty += len(plan) - len(full)
    run.report.resumed += len(full) - len(todo)
    with run.progress.stage("find words", len(full), done=len(full) - len(todo)) as stage:
        for planned, named in look_at(run, todo):
            run.journal.put(entry(planned.index, PREFIX), named.to_arrays())
            stage.advance()

    def load(index: int) -> Named | None:
        if index not in full:
            return None

        def make() -> dict[str, np.ndarray]:
            return next(iter(look_at(run, [full[index]])))[1].to_arrays()

        return Named.from_arrays(index, run.once(entry(index, PREFIX), make))

    return load


def look_at(run: Run, windows: Iterable[PlannedWindow]) -> Iterator[tuple[PlannedWindow, Named]]:
    """What is found in windows, in their order; they are read ahead."""
    finder, words = run.request.reader, [each.word.word for each in run.request.asked]
    windows = list(windows)
    chips = prefetch((run.scene.read(planned.window) for planned in windows), ahead=AHEAD)
    for planned, chip in zip(windows, chips, strict=True):
        yield planned, named_in(run, chip, finder.propose(chip.pixels, words), planned.index)


def named_in(run: Run, chip: Chip, found: Sequence[Proposals], index: int) -> Named:
    """The instances of one window, of what its finder proposes for each word."""
    word = np.concatenate([np.zeros(0, np.int64), *(np.full(len(each), row) for row, each in enumerate(found))])
    score = np.concatenate([np.zeros(0, np.float32), *(each.scores for each in found)])
    own = np.concatenate([np.zeros(0, bool), *(np.full(len(each), each.masks is not None) for each in found)])
    boxes = np.concatenate([np.zeros((0, 4), np.float32), *(each.boxes for each in found)])
    masks = [mask for each in found for mask in (each.masks or (None,) * len(each))]
    wanted = score >= run.request.options.text_threshold
    asked = np.flatnonzero(wanted & ~own)
    sets = [drawn_by_finder(chip, boxes, masks, np.flatnonzero(wanted & own))]
    if len(asked):
        embedding = run.embed(run.scene, chip)
        for rows in batches(len(asked), run.network.capabilities.max_batch):
            some = WindowPrompts(asked[rows], PromptBatch.of_boxes(boxes[asked[rows]]))
            refine = run.request.options.refine
            sets.append(segment_prompts(embedding, run.network, some, chip.valid, refine=refine))
    drawn = MaskSet.concatenate(sets)
    seen, kept = lay_by_score(drawn, score[drawn.prompt_ids], index)
    rows = drawn.prompt_ids[kept]
    return Named(seen, word[rows], score[rows], own[rows])


def drawn_by_finder(chip: Chip, boxes: np.ndarray, masks: Sequence[np.ndarray | None], rows: np.ndarray) -> MaskSet:
    """Masks that the finder drew, cut to the pixels with data; what it expects of them is their score alone."""
    nodata = np.pad(~chip.valid, 1)
    crops, touches = [], []
    for row in rows.tolist():
        x0, y0, x1, y1 = boxes[row].astype(int).tolist()
        around = nodata[y0 : y1 + 2, x0 : x1 + 2]
        mask = np.asarray(masks[row], bool)
        touches.append(bool((ndimage.binary_dilation(np.pad(mask, 1)) & around).any()))
        crops.append(mask & ~around[1:-1, 1:-1])
    ones = np.ones(len(rows), np.float32)
    whole = boxes[rows].astype(np.int32)
    window, shape = chip.window, (chip.valid.shape[0], chip.valid.shape[1])
    return MaskSet(window, shape, whole, tuple(crops), ones, ones, rows.astype(np.int64), np.array(touches, bool))


def lay_by_score(masks: MaskSet, scores: Scores, index: int) -> tuple[WindowInstances, Int64[np.ndarray, "m"]]:
    """Lay masks flat, the best score on top; also which of them stay, in the order of their labels.

    Examples
    --------
    >>> from rasterio.windows import Window
    >>> seen, kept = lay_by_score(MaskSet.empty(Window(0, 0, 8, 8)), np.zeros(0, np.float32), 0)
    >>> len(seen), kept.tolist()
    (0, [])
    """
    labels, kept = np.zeros(masks.shape, np.int32), []
    for position in np.lexsort((np.arange(len(masks)), -masks.score, -scores)).tolist():
        x0, y0, x1, y1 = masks.boxes[position].tolist()
        place, crop = labels[y0:y1, x0:x1], masks.crops[position]
        open_ground = crop & (place == 0)
        visible = np.count_nonzero(open_ground)
        if visible and visible >= VISIBLE * np.count_nonzero(crop):
            kept.append(position)
            place[open_ground] = len(kept)
    rows = np.array(kept, np.int64)
    seen = WindowInstances(index, labels, masks.predicted_iou[rows], masks.stability[rows], masks.touches_nodata[rows])
    return seen, rows


def concept_frame(
    run: Run, instances: InstanceSet, elected: Elected, drawn: tuple[np.ndarray, np.ndarray]
) -> GeoDataFrame:
    """The documented table of objects, with the columns of words before the geometry."""
    ids, geometries_px = drawn
    table = instance_frame(ids, geometries_px, run.scene, instances=instances, model=run.network.name)
    at = np.asarray(ids, np.int64)
    table.loc[elected.own[at], "model"] = run.request.reader.name
    return with_words(table, run.request.asked, elected.word[at], elected.score[at])


def with_words(
    table: GeoDataFrame, asked: Sequence[Prompt], word: Int64[np.ndarray, "n"], score: Float32[np.ndarray, "n"]
) -> GeoDataFrame:
    """A table with the columns `label` and `prompt` before its geometry, and the words' scores."""
    table["score"] = score
    place = list(table.columns).index("geometry")
    for number, (name, texts) in enumerate(
        (("label", [each.word.word for each in asked]), ("prompt", [each.prompt for each in asked]))
    ):
        table.insert(place + number, name, pd.Series([texts[row] for row in word], dtype="str"))
    return table
