"""The segments of a cut: where each lies, its chance to be an object, and what it is part of in coarser cuts.

A row of these takes some thirty bytes, so that those of a large scene can be held all at once; a node's sums cannot.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from geosam.regions.graph import AREA, BOTTOM, LEFT, RIGHT, RIM, TOP


@dataclass(frozen=True, eq=False)
class Extents:
    """Where segments lie.

    Attributes
    ----------
    area
        ``n``, in pixels.
    box
        ``n 4``, ``xyxy`` in scene px.
    at_nodata
        ``n``: whether a pixel without data lies beside.
    """

    area: Int64[np.ndarray, "n"]
    box: Int32[np.ndarray, "n 4"]
    at_nodata: Bool[np.ndarray, "n"]

    def __len__(self) -> int:
        return len(self.area)

    @classmethod
    def of(cls, sums: np.ndarray) -> "Extents":
        """From sums (``n d``), as of `geosam.regions.graph.RegionGraph`."""
        corners = np.concatenate([-sums[:, [LEFT, TOP]], sums[:, [RIGHT, BOTTOM]]], 1)
        return cls(sums[:, AREA].astype(np.int64), corners.astype(np.int32), sums[:, RIM] > 0)

    @classmethod
    def joined(cls, parts: list["Extents"]) -> "Extents":
        """All of them."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("area", "box", "at_nodata")))

    def select(self, rows: np.ndarray) -> "Extents":
        """Some of them."""
        return Extents(self.area[rows], self.box[rows], self.at_nodata[rows])

    def merged(self, group: Int64[np.ndarray, "n"], count: int) -> "Extents":
        """Extents of `count` groups of them; `group` says which each belongs to.

        Examples
        --------
        >>> boxes = np.array([[0, 0, 2, 2], [2, 1, 5, 2]], np.int32)
        >>> one = Extents(np.array([4, 3]), boxes, np.array([False, True])).merged(np.array([0, 0]), 1)
        >>> one.area.tolist(), one.box.tolist(), one.at_nodata.tolist()
        ([7], [[0, 0, 5, 2]], [True])
        """
        area = np.zeros(count, np.int64)
        np.add.at(area, group, self.area)
        limits = np.iinfo(np.int32)
        box = np.repeat(np.array([[limits.max, limits.max, limits.min, limits.min]], np.int32), count, 0)
        np.minimum.at(box[:, :2], group, self.box[:, :2])
        np.maximum.at(box[:, 2:], group, self.box[:, 2:])
        return Extents(area, box, np.bincount(group, self.at_nodata, count) > 0)

    def from_top(self) -> Int64[np.ndarray, "n"]:
        """The order in which their boxes' first corners are read, row by row."""
        return np.lexsort((self.box[:, 0], self.box[:, 1]))


@dataclass(frozen=True, eq=False)
class Segments:
    """The segments of a cut.

    Attributes
    ----------
    extents
        Where they lie.
    chance
        ``n``, to be an object.
    parents
        ``levels n``: for each coarser level the segment there that each is part of.
    parent_chance
        For each coarser level, the chances of its segments.
    """

    extents: Extents
    chance: Float32[np.ndarray, "n"]
    parents: Int32[np.ndarray, "l n"]
    parent_chance: tuple[Float32[np.ndarray, "_"], ...]

    def __len__(self) -> int:
        return len(self.chance)

    def select(self, rows: np.ndarray) -> "Segments":
        """Some of them."""
        return Segments(self.extents.select(rows), self.chance[rows], self.parents[:, rows], self.parent_chance)
