"""Segments as rows of numbers: which segment each pixel lies in, strip by strip."""

from collections.abc import Iterator

import numpy as np
import shapely
from affine import Affine
from jaxtyping import Int32
from rasterio.features import rasterize

from geosam.arrays import Labels
from geosam.errors import OptionError
from geosam.scene import Scene

STRIP_PIXELS = 2**20
"""Pixels of a strip: what is held of all bands at once stays under some tens of megabytes."""


class Burner:
    """Draws segments into strips of the scene's grid.

    Attributes
    ----------
    geometries_px
        The segments in working pixels. A pixel belongs to the segment that holds its centre; of several to the
        smallest.
    shape
        ``(h, w)`` of the scene.
    """

    def __init__(self, geometries_px: np.ndarray, shape: tuple[int, int]) -> None:
        self.geometries_px, self.shape = geometries_px, shape
        self._tree = shapely.STRtree(geometries_px)
        order = np.argsort(-shapely.area(geometries_px), kind="stable")  # later ones are drawn over earlier ones
        self._rank = np.empty(len(order), np.int64)
        self._rank[order] = np.arange(len(order))

    @property
    def last_rows(self) -> np.ndarray:
        """The row of the scene below which each segment has no pixels."""
        below = shapely.bounds(self.geometries_px)[:, 3]
        return np.where(np.isfinite(below), np.ceil(below), 0).astype(np.int64)

    def strips(self, rows: int | None = None) -> Iterator[tuple[int, Labels]]:
        """First row and labels of each strip, from top to bottom: row number of the segment plus 1, 0 for none."""
        h, w = self.shape
        step = rows or max(1, STRIP_PIXELS // w)
        for top in range(0, h, step):
            yield top, self._strip(top, min(top + step, h), w)

    def _strip(self, top: int, bottom: int, w: int) -> Int32[np.ndarray, "h w"]:
        labels = np.zeros((bottom - top, w), np.int32)
        found = self._tree.query(shapely.box(0, top, w, bottom))
        if not len(found):
            return labels
        found = found[np.argsort(self._rank[found])]
        shapes = ((self.geometries_px[row], int(row) + 1) for row in found)
        return rasterize(shapes, out=labels, transform=Affine.translation(0, top))


def segments_px(segments: object, scene: Scene) -> np.ndarray:
    """Segments as polygons in the scene's pixels.

    Raises
    ------
    OptionError
        If one is no polygon, or there are none.
    """
    geometries = scene.to_px(segments)
    if not len(geometries):
        raise OptionError("no segments", expected="polygons", hint="geosam.segment(scene, coverage=True) makes them")
    flat = shapely.get_dimensions(geometries) == 2
    if not (flat | shapely.is_empty(geometries) | shapely.is_missing(geometries)).all():
        row = int(np.flatnonzero(~flat)[0])
        raise OptionError(f"a {geometries[row].geom_type} in row {row} of the segments", expected="polygons")
    return geometries
