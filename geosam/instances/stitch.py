"""Which instances of neighbouring windows are the same object: the strip rule.

Two windows share a strip of pixels. Whole masks cannot be compared, because both are cut, each at its own window's
edge; but **inside the strip** both windows saw everything. Two instances are one object where their intersection over
union inside the strip exceeds one half. More than half, so that an instance matches at most one other in each strip; an
object larger than a window joins piece by piece. The outcome depends on the windows' contents only, never on the order
in which they were computed.

What a real network finds in two windows is not the same, and not everything matches. Which instance then has the ground
is said in `geosam.instances.precedence`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Int64
from rasterio.windows import Window
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geosam.arrays import Flags, Ids, Scores
from geosam.instances.meetings import Meetings
from geosam.instances.pieces import WindowInstances
from geosam.instances.precedence import settle
from geosam.instances.sightings import Numbers, Sightings
from geosam.windows import WindowPlan

Load = Callable[[int], WindowInstances | None]
"""Gives the instances of the window at an index of the plan, or None where there are none."""


@dataclass(frozen=True)
class InstanceSet:
    """The objects of a whole scene, and the windows' instances that make each of them.

    Objects are numbered 1 … n by their first pixel, row by row from the top, so that the numbers do not depend on the
    windows. The arrays hold object k at position k - 1. An object that others paint over entirely keeps its number but
    no pixel.

    Attributes
    ----------
    starts
        For each window, where its instances begin in `object_ids`; one more entry at the end.
    object_ids
        Object of each window's instances 1, 2, …, window after window; 0 for an instance that became none.
    ranks
        Of the instances that hold a pixel the one of the highest rank has it; 0 for one that has none.
    predicted_iou, stability
        Mean over the object's instances, weighted by their pixels.
    n_windows
        Number of windows that saw the object.
    touches_nodata
        Whether any of its instances ends where the scene has no data.
    stops
        The row below the object's last pixel, in scene px: once a reader has come that far, the object is complete.
    """

    starts: Int64[np.ndarray, "windows"]
    object_ids: Int32[np.ndarray, "pieces"]
    ranks: Int32[np.ndarray, "pieces"]
    predicted_iou: Scores
    stability: Scores
    n_windows: Int32[np.ndarray, "n"]
    touches_nodata: Flags
    stops: Ids

    def __len__(self) -> int:
        return len(self.predicted_iou)

    def lookup(self, index: int) -> Numbers:
        """Object id of each label of the window at `index`, beginning with 0 for the background."""
        return self._of_window(self.object_ids, index)

    def rank_lookup(self, index: int) -> Numbers:
        """Rank of each label of the window at `index`, beginning with 0 for the background."""
        return self._of_window(self.ranks, index)

    def ids_by_rank(self) -> Numbers:
        """Object id of the instance of each rank, beginning with 0 for none."""
        ids = np.zeros(len(self.ranks) + 1, np.int32)
        ids[self.ranks] = self.object_ids
        ids[0] = 0
        return ids

    def keep(self, kept: Flags) -> "InstanceSet":
        """The same objects, of which those that are not kept have no pixel any more; the numbers stay."""
        flags = np.concatenate([np.zeros(1, bool), kept])
        return replace(self, object_ids=np.where(flags[self.object_ids], self.object_ids, 0).astype(np.int32))

    def _of_window(self, column: Numbers, index: int) -> Numbers:
        return np.concatenate([np.zeros(1, np.int32), column[self.starts[index] : self.starts[index + 1]]])


def stitch(plan: WindowPlan, load: Load) -> InstanceSet:
    """Join the instances of all windows into the objects of the scene.

    Parameters
    ----------
    plan
        The windows.
    load
        Gives the instances of the window at an index; called once for each window, in the plan's order. Of a window
        only the strips that later windows share with it stay in memory, and some tens of bytes for each instance.

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
    sightings, meetings, starts = [], [], [0]
    for index, strips in _strips_by_window(plan):
        seen, start = load(index), starts[-1]
        sightings.append(Sightings.of(plan, index, seen))
        starts.append(start + len(sightings[-1]))
        for strip in waiting.pop(index, ()):
            here = _cut(seen, plan, index, strip.window)
            meetings.append(Meetings.of(strip.labels, here, starts=(strip.start, start)))
        for other, window in strips:
            waiting[other].append(_Strip(start, window, _cut(seen, plan, index, window)))
    return _join(Sightings.concatenate(sightings), Meetings.concatenate(meetings), np.array(starts, np.int64))


class _Strip(NamedTuple):
    """What an earlier window, whose first instance is number `start`, saw in a strip that it shares."""

    start: int
    window: Window
    labels: np.ndarray


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


def _join(seen: Sightings, meetings: Meetings, starts: np.ndarray) -> InstanceSet:
    """The connected instances as objects, numbered by their first pixel; those that take no part become none."""
    same = meetings.select(meetings.is_same)
    links = coo_array((np.ones(len(same.one), bool), (same.one, same.other)), shape=(len(seen), len(seen)))
    group = connected_components(links, directed=False)[1] if len(seen) else np.zeros(0, np.int32)
    ranks = settle(seen, meetings, group)
    ids = _number(seen, group, ranks)
    n = int(ids.max(initial=0))
    stops = np.zeros(n + 1, np.int64)
    np.maximum.at(stops, ids, seen.stop)
    visits = np.unique(np.stack([ids, seen.window], axis=1), axis=0)[:, 0]
    return InstanceSet(
        starts,
        ids,
        ranks,
        predicted_iou=_mean(seen.predicted_iou, seen.pixels, ids, n),
        stability=_mean(seen.stability, seen.pixels, ids, n),
        n_windows=np.bincount(visits, minlength=n + 1)[1:].astype(np.int32),
        touches_nodata=np.bincount(ids, seen.touches_nodata, n + 1)[1:] > 0,
        stops=stops[1:],
    )


def _number(seen: Sightings, group: Numbers, ranks: Numbers) -> Numbers:
    """Object id of each instance: its group's place in the order of first pixels, 0 for a group that takes no part."""
    far = np.iinfo(np.int64).max
    first = np.full(int(group.max(initial=-1)) + 1, far)
    part = ranks > 0
    np.minimum.at(first, group[part], seen.first[part])
    numbers = np.zeros(len(first), np.int32)
    order = np.argsort(first, kind="stable")[: np.count_nonzero(first < far)]
    numbers[order] = np.arange(1, len(order) + 1)
    return numbers[group]


def _mean(values: np.ndarray, pixels: np.ndarray, ids: np.ndarray, n: int) -> Scores:
    """Mean of each object's instances, weighted by pixels."""
    total = np.bincount(ids, values.astype(np.float64) * pixels, n + 1)[1:]
    weight = np.bincount(ids, pixels, n + 1)[1:]
    return (total / np.maximum(weight, 1)).astype(np.float32)
