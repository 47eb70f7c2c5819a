"""Which instance a pixel goes to where several windows see it.

A pixel is not given to the window that owns it but to an object, so that no object ends where a core does. Of the
instances that hold the pixel the best has it. The order is total and does not depend on the order of arrival:

1. an instance that is **whole**, before one that an inner edge of its window cuts;
2. the one that is more **at home**: a larger share of it lies in the core of its window;
3. the better score; then the earlier window, and the smaller label.

Three kinds of instances take no part:

- **fragments**: objects that no window saw whole, and that the owners of the ground hardly saw;
- **covered** objects: most of them lies under better objects of one other window, and the rest would be slivers;
- instances that **give way** to a better, whole one of the same object, whose window sees all of them.

A perfect decoder leaves none of the first two, and the third changes no pixel.
"""

import numpy as np

from geosam.arrays import Flags, Ids
from geosam.instances.meetings import Meetings
from geosam.instances.sightings import Numbers, Sightings

Group = Numbers
"""For each instance the number of its object, from 0."""


def rank(seen: Sightings) -> Numbers:
    """Rank of each instance, 1 … n, the best the highest."""
    share = seen.home / np.maximum(seen.pixels, 1)
    score = np.clip(seen.predicted_iou, 0, 1) * seen.stability
    order = np.lexsort((-np.arange(len(seen)), score, share, seen.whole))
    ranks = np.empty(len(seen), np.int32)
    ranks[order] = np.arange(1, len(seen) + 1)
    return ranks


def settle(seen: Sightings, meetings: Meetings, group: Group) -> Numbers:
    """Ranks, with 0 for the instances that take no part.

    Parameters
    ----------
    seen, meetings
        All instances, and where they meet.
    group
        Their objects.
    """
    ranks = rank(seen)
    ranks[_fragments(seen, group)[group]] = 0
    ranks[_covered(seen, meetings, group, ranks)[group]] = 0
    ranks[_giving_way(seen, meetings, ranks)] = 0
    return ranks


def _fragments(seen: Sightings, group: Group) -> Flags:
    """Objects without a whole instance of which the cores hold less than half of the largest piece.

    Of an object that is there the cores hold all, because they partition the scene. What is missing there was seen by
    none of the windows that own the ground.
    """
    n = int(group.max(initial=-1)) + 1
    whole, largest = np.zeros(n, bool), np.zeros(n, np.int64)
    np.logical_or.at(whole, group, seen.whole)
    np.maximum.at(largest, group, seen.pixels)
    return ~whole & (2 * np.bincount(group, seen.home, n) < largest)


def _covered(seen: Sightings, meetings: Meetings, group: Group, ranks: Numbers) -> Flags:
    """Objects of which more than half lies under better objects of one other window."""
    n, windows = int(group.max(initial=-1)) + 1, int(seen.window.max(initial=0)) + 1
    pairs = meetings.both_ways()
    over = (ranks[pairs.one] > 0) & (ranks[pairs.one] < ranks[pairs.other]) & (group[pairs.one] != group[pairs.other])
    pairs = pairs.select(over)
    places, where = np.unique(pairs.one * windows + seen.window[pairs.other], return_inverse=True)
    under = np.zeros(len(seen))
    np.maximum.at(under, places // windows, np.bincount(where, pairs.shared))
    return 2 * np.bincount(group, under, n) > np.bincount(group, seen.pixels, n)


def _giving_way(seen: Sightings, meetings: Meetings, ranks: Numbers) -> Ids:
    """Instances that the window of a better, whole one of the same object sees entirely."""
    pairs = meetings.select(meetings.is_same).both_ways()
    better = (ranks[pairs.other] > ranks[pairs.one]) & seen.whole[pairs.other]
    return pairs.one[better & (pairs.one_px == seen.pixels[pairs.one])]
