"""Which instances of neighbouring windows are the same object: the strip rule.

Two windows share a strip of pixels. Whole masks cannot be compared, because both are cut, each at its own window's
edge; but **inside the strip** both windows saw everything. Two instances are one object where their intersection over
union inside the strip exceeds one half. More than half, so that an instance matches at most one other in each strip; an
object larger than a window joins piece by piece. The outcome depends on the windows' contents only, never on the order
in which they were computed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Int64
from rasterio.windows import Window
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geosam.arrays import Flags, Ids, Scores
from geosam.instances.pieces import WindowInstances
from geosam.instances.runs import Runs
from geosam.windows import WindowPlan

Load = Callable[[int], WindowInstances | None]
"""Gives the instances of the window at an index of the plan, or None where there are none."""

Numbers = Int32[np.ndarray, "..."]
"""Object ids, local labels or counts."""


@dataclass(frozen=True)
class InstanceSet:
    """The objects of a whole scene, and the windows' instances that make each of them.

    Objects are numbered 1 … n by their first pixel, row by row from the top, so that the numbers do not depend on the
    windows. The arrays hold object k at position k - 1. An object that other objects' windows paint over entirely keeps
    its number but no pixel.

    Attributes
    ----------
    starts
        For each window, where its instances begin in `object_ids`; one more entry at the end.
    object_ids
        Object of each window's instances 1, 2, …, window after window.
    missed
        ``(owner, other)`` → instances of `other` that `owner` did not see in the strip that both share.
    predicted_iou, stability
        Mean over the object's instances, weighted by their pixels.
    n_windows
        Number of windows that saw the object.
    touches_nodata
        Whether any of its instances ends where the scene has no data.
    stops
        The row below the object's last pixel, in scene px: once a reader has come that far, the object is complete.
    owned_px
        The object's area in pixels: in the cores of the windows that saw it, and where it is painted into the core of
        one that missed it (a pixel that several windows offer counts for each).
    """

    starts: Int64[np.ndarray, "windows"]
    object_ids: Int32[np.ndarray, "pieces"]
    missed: dict[tuple[int, int], Numbers] = field(repr=False)
    predicted_iou: Scores
    stability: Scores
    n_windows: Int32[np.ndarray, "n"]
    touches_nodata: Flags
    stops: Ids
    owned_px: Ids

    def __len__(self) -> int:
        return len(self.predicted_iou)

    def lookup(self, index: int) -> Numbers:
        """Object id of each label of the window at `index`, beginning with 0 for the background."""
        ids = self.object_ids[self.starts[index] : self.starts[index + 1]]
        return np.concatenate([np.zeros(1, np.int32), ids])

    def keep(self, kept: Flags) -> "InstanceSet":
        """The same objects, of which those that are not kept have no pixel any more; the numbers stay."""
        flags = np.concatenate([np.zeros(1, bool), kept])
        return replace(self, object_ids=np.where(flags[self.object_ids], self.object_ids, 0).astype(np.int32))


def stitch(plan: WindowPlan, load: Load) -> InstanceSet:
    """Join the instances of all windows into the objects of the scene.

    Parameters
    ----------
    plan
        The windows.
    load
        Gives the instances of the window at an index; called once for each window, in the plan's order. Of a window
        only the strips that later windows share with it stay in memory.

    Returns
    -------
    InstanceSet
        The objects, numbered by their first pixel.

    Examples
    --------
    An object that lies in three windows is one object:

    >>> plan = WindowPlan((4, 10), size=4, overlap=1)
    >>> one = np.ones(1, np.float32)
    >>> seen = lambda i: WindowInstances(i, np.ones((4, 4), np.int32), one, one, np.zeros(1, bool))
    >>> objects = stitch(plan, seen)
    >>> len(objects), objects.n_windows.tolist(), objects.lookup(2).tolist()
    (1, [3], [0, 1])
    """
    waiting: dict[int, list[_Strip]] = defaultdict(list)
    sightings, pairs, missed = _Sightings(), [np.zeros((0, 2), np.int64)], {}
    for index, strips in _strips_by_window(plan):
        seen = load(index)
        start = sightings.add(plan, index, seen)
        for strip in waiting.pop(index, ()):
            cut = _cut(seen, plan, index, strip.window)
            match = _match(strip.labels, cut)
            pairs.append(match.pairs + np.array([strip.start - 1, start - 1]))
            found = {(strip.first, index): match.missed_by_first, (index, strip.first): match.missed_by_second}
            missed.update((key, labels) for key, labels in found.items() if len(labels))
            sightings.offer(strip, match.missed_by_first, plan[strip.first].core, cut, start)
            sightings.offer(
                strip._replace(labels=cut), match.missed_by_second, plan[index].core, strip.labels, strip.start
            )
        for other, window in strips:
            waiting[other].append(_Strip(index, start, window, _cut(seen, plan, index, window)))
    return sightings.join(np.concatenate(pairs), missed)


class _Strip(NamedTuple):
    """What an earlier window, the first of a pair, saw in the strip that it shares with the second."""

    first: int
    start: int
    window: Window
    labels: np.ndarray


class _Match(NamedTuple):
    """Instances of two windows compared inside their strip."""

    pairs: np.ndarray
    missed_by_first: Numbers
    missed_by_second: Numbers


def _strips_by_window(plan: WindowPlan) -> Iterator[tuple[int, list[tuple[int, Window]]]]:
    """Each window's index with the later windows that share pixels with it, and where."""
    groups = groupby(plan.neighbours(), key=lambda pair: pair[0])
    index, group = next(groups, (-1, iter(())))
    for here in range(len(plan)):
        if here == index:
            yield here, [(other, window) for _, other, window in group]
            index, group = next(groups, (-1, iter(())))
        else:
            yield here, []


def _cut(seen: WindowInstances | None, plan: WindowPlan, index: int, strip: Window) -> np.ndarray:
    """A window's labels inside a strip, in the smallest type that holds them."""
    if seen is None:
        return np.zeros((strip.height, strip.width), np.uint8)
    window = plan[index].window
    top, left = strip.row_off - window.row_off, strip.col_off - window.col_off
    inside = seen.labels[top : top + strip.height, left : left + strip.width]
    return inside.astype(np.min_scalar_type(len(seen)))


def _match(first: np.ndarray, second: np.ndarray) -> _Match:
    """Pairs whose IoU exceeds one half, and the instances that mostly lie where the other window saw nothing."""
    rows, cols = first.ravel().astype(np.int32), second.ravel().astype(np.int32)
    shape = (int(rows.max(initial=0)) + 1, int(cols.max(initial=0)) + 1)
    counted = coo_array((np.ones(len(rows), np.int64), (rows, cols)), shape=shape).tocsr()
    sizes = np.asarray(counted.sum(axis=1)).ravel(), np.asarray(counted.sum(axis=0)).ravel()
    table = counted.tocoo()
    one, other, shared = table.row, table.col, table.data
    same = (one > 0) & (other > 0) & (3 * shared > sizes[0][one] + sizes[1][other])
    alone_first = (other == 0) & (one > 0) & (2 * shared >= sizes[0][one])
    alone_second = (one == 0) & (other > 0) & (2 * shared >= sizes[1][other])
    pairs = np.stack([one[same], other[same]], axis=1).astype(np.int64)
    return _Match(pairs, other[alone_second].astype(np.int32), one[alone_first].astype(np.int32))


@dataclass
class _Sightings:
    """What is known of every instance of every window, gathered as the windows pass by."""

    starts: list[int] = field(default_factory=lambda: [0])
    columns: list[dict[str, np.ndarray]] = field(default_factory=list)
    offers: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def add(self, plan: WindowPlan, index: int, seen: WindowInstances | None) -> int:
        """Take note of a window's instances; the number of instances before it."""
        start = self.starts[-1]
        if seen is not None and len(seen):
            self.columns.append(_describe(plan, index, seen))
        self.starts.append(start + (0 if seen is None else len(seen)))
        return start

    def offer(self, strip: _Strip, missed: Numbers, core: Window, offered: np.ndarray, start: int) -> None:
        """Count the pixels of instances that a window missed where they will be painted into its core."""
        if len(missed):
            top, left = (
                max(0, a - b) for a, b in ((core.row_off, strip.window.row_off), (core.col_off, strip.window.col_off))
            )
            bottom = core.row_off + core.height - strip.window.row_off
            right = core.col_off + core.width - strip.window.col_off
            inside = (slice(top, max(bottom, 0)), slice(left, max(right, 0)))
            counts = np.bincount(offered[inside][strip.labels[inside] == 0], minlength=int(missed.max()) + 1)
            self.offers.append((missed + (start - 1), counts[missed]))

    def join(self, pairs: np.ndarray, missed: dict[tuple[int, int], Numbers]) -> InstanceSet:
        """The connected instances as objects, numbered by their first pixel."""
        count = self.starts[-1]
        links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
        n, group = connected_components(links, directed=False) if count else (0, np.zeros(0, np.int32))
        column = (
            {name: np.concatenate([part[name] for part in self.columns]) for name in _COLUMNS} if count else _COLUMNS
        )
        first = _reduce(np.minimum, column["first"], group, n)
        number = np.empty(n, np.int32)
        number[np.argsort(first, kind="stable")] = np.arange(1, n + 1)
        ids = number[group]
        weight = np.bincount(ids, column["pixels"], n + 1)[1:]
        visits = np.unique(np.stack([ids, column["window"]], axis=1), axis=0)[:, 0]
        return InstanceSet(
            np.array(self.starts, np.int64),
            ids,
            missed,
            predicted_iou=_mean(column["predicted_iou"], column["pixels"], ids, weight),
            stability=_mean(column["stability"], column["pixels"], ids, weight),
            n_windows=np.bincount(visits, minlength=n + 1)[1:].astype(np.int32),
            touches_nodata=np.bincount(ids, column["touches_nodata"], n + 1)[1:] > 0,
            stops=_reduce(np.maximum, column["stop"], ids - 1, n),
            owned_px=np.bincount(ids, self._with_offers(column["owned"]), n + 1)[1:].astype(np.int64),
        )

    def _with_offers(self, owned: np.ndarray) -> np.ndarray:
        """Pixels of each instance, in cores of its own and in those of windows that missed it."""
        owned = owned.astype(np.int64)
        for instances, counts in self.offers:
            owned[instances] += counts
        return owned


_COLUMNS = {
    "first": np.zeros(0, np.int64),
    "stop": np.zeros(0, np.int64),
    "pixels": np.zeros(0, np.int32),
    "owned": np.zeros(0, np.int32),
    "window": np.zeros(0, np.int32),
    "predicted_iou": np.zeros(0, np.float32),
    "stability": np.zeros(0, np.float32),
    "touches_nodata": np.zeros(0, bool),
}


def _describe(plan: WindowPlan, index: int, seen: WindowInstances) -> dict[str, np.ndarray]:
    """For each instance of a window: its first pixel in the scene, the row below its last, its size, and its scores."""
    window, core = plan[index].window, plan[index].core
    top, left = core.row_off - window.row_off, core.col_off - window.col_off
    runs = Runs.encode(seen.labels)
    owned = Runs.encode(seen.labels[top : top + core.height, left : left + core.width])
    first, last = runs.first_and_last(len(seen))
    row, col = np.divmod(first, window.width)
    return {
        "first": (row + window.row_off) * plan.shape[1] + col + window.col_off,
        "stop": last // window.width + window.row_off + 1,
        "pixels": runs.areas(len(seen)),
        "owned": owned.areas(len(seen)),
        "window": np.full(len(seen), index, np.int32),
        "predicted_iou": seen.predicted_iou,
        "stability": seen.stability,
        "touches_nodata": seen.touches_nodata,
    }


def _reduce(best: np.ufunc, values: np.ndarray, group: np.ndarray, n: int) -> np.ndarray:
    """The least or greatest value of each of n groups, none of them empty."""
    if n == 0:
        return np.zeros(0, np.int64)
    order = np.argsort(group, kind="stable")
    begins = np.searchsorted(group[order], np.arange(n))
    return best.reduceat(values[order], begins)


def _mean(values: np.ndarray, pixels: np.ndarray, ids: np.ndarray, weight: np.ndarray) -> Scores:
    """Mean of each object's instances, weighted by pixels."""
    total = np.bincount(ids, values.astype(np.float64) * pixels, len(weight) + 1)[1:]
    return (total / np.maximum(weight, 1)).astype(np.float32)
