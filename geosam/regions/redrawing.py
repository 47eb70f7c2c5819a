"""Segments of a block redrawn by masks, so that every valid pixel still lies in exactly one.

Masks are painted over the segments, the best last. What a redrawn segment leaves is a segment of its own; pieces
smaller than the mapping unit go to whatever is nearest. Pieces at a block's edge stay what they are: they may go on.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, Int64
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components

from geosam.arrays import Labels
from geosam.regions.scene_tree import Keep
from geosam.regions.segments import Extents
from geosam.regions.tiles import Spot


class Redrawn(NamedTuple):
    """A mask in the place of a segment: its number, and the mask cut to its ``xyxy`` box in pixels of the block."""

    segment: int
    box: tuple[int, int, int, int]
    crop: Bool[np.ndarray, "_ _"]


def redraw_block(
    labels: Labels, masks: Sequence[Redrawn], *, least_px: float | int, first: int
) -> tuple[Labels, Int64[np.ndarray, "e"]]:
    """Paint masks over the segments of a block.

    Parameters
    ----------
    labels
        Segments of the block, 0 where there is no data.
    masks
        The best last; each of a segment that lies in the block as a whole.
    least_px
        Pieces of fewer pixels are given away, but for those at the block's edge.
    first
        The first number for pieces that become segments.

    Returns
    -------
    The labels, and for each new number, from `first`, the segment that it was a piece of.

    Examples
    --------
    >>> strip = np.repeat(np.array([[1, 2]], np.int32), 4, axis=1)
    >>> found, pieces = redraw_block(strip, [Redrawn(2, (2, 0, 6, 1), np.ones((1, 4), bool))], least_px=1, first=3)
    >>> found.tolist(), pieces.tolist()
    ([[1, 1, 2, 2, 2, 2, 3, 3]], [2])
    """
    if not masks:
        return labels, np.zeros(0, np.int64)
    asked = np.array([mask.segment for mask in masks])
    left = np.arange(labels.max() + 1, dtype=np.int32)  # what a redrawn segment leaves has a number of its own
    left[asked] = len(left) + np.arange(len(asked))
    source = np.concatenate([np.arange(len(left)), asked])
    painted = left[labels]
    for number, (x0, y0, x1, y1), crop in masks:
        part = painted[y0:y1, x0:x1]
        part[crop & (part > 0)] = number
    return _named(_without_specks(painted, least_px), source, labels, first)


def _without_specks(painted: Labels, least_px: float | int) -> Labels:
    """Pieces of fewer pixels given to what is nearest."""
    piece = _pieces(painted)
    small = np.bincount(piece.ravel()) < least_px
    for edge in (piece[0], piece[-1], piece[:, 0], piece[:, -1]):
        small[edge] = False
    speck = small[piece] & (painted > 0)
    kept = (painted > 0) & ~speck
    if not speck.any() or not kept.any():
        return painted
    rows, cols = np.asarray(ndimage.distance_transform_edt(~kept, return_distances=False, return_indices=True))
    filled = painted.copy()
    filled[speck] = painted[rows[speck], cols[speck]]
    return filled


def _named(
    painted: Labels, source: Int64[np.ndarray, "n"], before: Labels, first: int
) -> tuple[Labels, Int64[np.ndarray, "e"]]:
    """Pieces that are no longer one with the segment whose number they have become segments of their own."""
    piece = _pieces(painted)
    count = int(piece.max()) + 1
    area = np.bincount(piece.ravel(), minlength=count)
    value = np.zeros(count, np.int64)
    value[piece.ravel()] = painted.ravel()
    order = np.lexsort((np.arange(count), -area, value))
    largest = np.zeros(count, bool)
    largest[order[np.concatenate([[True], value[order][1:] != value[order][:-1]])]] = True
    for edge in (piece[0], piece[-1], piece[:, 0], piece[:, -1]):
        largest[edge] = True  # they may be one beyond
    fresh = np.flatnonzero(~largest & (value > 0) | (value > before.max()))
    number = value.copy()
    number[fresh] = first + np.arange(len(fresh))
    return number[piece].astype(np.int32), source[value[fresh]]


def _pieces(labels: Labels) -> Int32[np.ndarray, "h w"]:
    """Pixels of one label that hang together through sides, numbered from the top."""
    h, w = labels.shape
    at = np.arange(h * w, dtype=np.int32).reshape(h, w)
    along, down = labels[:, 1:] == labels[:, :-1], labels[1:] == labels[:-1]
    one = np.concatenate([at[:, :-1][along], at[:-1][down]])
    other = np.concatenate([at[:, 1:][along], at[1:][down]])
    graph = sparse.coo_array((np.ones(len(one), np.int8), (one, other)), shape=(h * w, h * w))
    return connected_components(graph, directed=False)[1].reshape(h, w)


def block_extents(labels: Labels, origin: tuple[int, int]) -> tuple[Int64[np.ndarray, "n"], Extents]:
    """Segments of a block, and their extents there; `origin` is its first row and column in the scene."""
    present, local = np.unique(labels, return_inverse=True)
    local = local.reshape(labels.shape)
    near = np.zeros(len(present), bool)
    for one, other in ((local[:, 1:], local[:, :-1]), (local[1:], local[:-1])):
        near[one[present[other] == 0]] = True
        near[other[present[one] == 0]] = True
    found = ndimage.find_objects(local + 1)
    box = np.array([[s[1].start, s[0].start, s[1].stop, s[0].stop] for s in found], np.int32).reshape(-1, 4)
    box += np.tile(np.array(origin[::-1], np.int32), 2)
    extents = Extents(np.bincount(local.ravel(), minlength=len(present)).astype(np.int64), box, near)
    real = np.flatnonzero(present > 0)
    return present[real].astype(np.int64), extents.select(real)


def keep_drawn(keep: Keep, spot: Spot, labels: Labels, pieces: Int64[np.ndarray, "e"]) -> None:
    """Keep the redrawn labels of a block, and the segments that its new ones were pieces of."""
    numbers, local = np.unique(labels, return_inverse=True)
    small = local.reshape(labels.shape).astype(np.min_scalar_type(len(numbers)))
    keep.put(drawn_name(spot), {"labels": small, "numbers": numbers.astype(np.int32), "pieces": pieces})


class Drawn(NamedTuple):
    """Redrawn labels of a block in small numbers, what these stand for, and what its new segments were pieces of."""

    labels: np.ndarray
    numbers: Int32[np.ndarray, "_"]
    pieces: Int64[np.ndarray, "_"]


def load_drawn(keep: Keep, spot: Spot) -> Drawn:
    """The redrawn labels of a block."""
    arrays = keep.get(drawn_name(spot))
    if arrays is None:
        raise ValueError(f"no {drawn_name(spot)}")  # it was kept a moment ago
    return Drawn(arrays["labels"], arrays["numbers"], arrays["pieces"])


def drawn_name(spot: Spot) -> str:
    """The name under which the redrawn labels of a block are kept."""
    return f"drawn-{spot[0]:04d}-{spot[1]:04d}"
