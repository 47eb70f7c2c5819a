"""Regions of a whole scene: window by window, with what is not complete yet in memory and no more."""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import shapely
from rasterio.windows import Window

from geosam.arrays import Ids
from geosam.backbone.network import STRIDES
from geosam.errors import OptionError, StoreError
from geosam.recognition.description import RegionFeatures, names
from geosam.recognition.layers import burn, overlap_free, solid
from geosam.recognition.loading import Encoder, load_backbone
from geosam.recognition.maps import FeatureMaps
from geosam.recognition.pooling import RegionSums, pool
from geosam.scene import Chip, Scene
from geosam.windows import PlannedWindow, WindowPlan

log = logging.getLogger(__name__)

WINDOW, OVERLAP = 1024, 256
"""Windows that the backbone looks at, in px. Half of the overlap lies around each core, more than half the side of what
a cell at stride 32 sees most of: regions look nearly the same wherever windows lie."""


@runtime_checkable
class FeatureStore(Protocol):
    """What keeps features for later; `geosam.store.EmbeddingStore` is one."""

    def key(self, scene_fingerprint: str, window: Window, *, model_key: str, **parts: object) -> str:
        """Name an entry by all that it depends on."""
        ...

    def get(self, key: str) -> tuple[np.ndarray, ...] | None:
        """The arrays of an entry, or None."""
        ...

    def put(self, key: str, arrays: tuple[np.ndarray, ...]) -> None:
        """Keep an entry."""
        ...


@dataclass
class Describer:
    """Who describes regions of scenes.

    Attributes
    ----------
    encoder
        The backbone; by default the package's.
    store
        Keeps the maps of windows and the features of regions for later; None keeps nothing.
    window, overlap
        Of the windows, in px.
    """

    encoder: Encoder = field(default_factory=load_backbone)
    store: FeatureStore | None = None
    window: int = WINDOW
    overlap: int = OVERLAP

    def describe(self, regions: Any, scene: Scene) -> RegionFeatures:
        """Describe regions of a scene.

        Parameters
        ----------
        regions
            Polygons: a GeoDataFrame, a GeoSeries or an array of geometries; these in the scene's CRS if they have none
            of their own. They may overlap.
        scene
            What they lie on. Pixels without data do not count.

        Returns
        -------
        RegionFeatures
            A row for each region, in order; zeros and no pixels for one that lies outside or holds no data.

        Raises
        ------
        OptionError
            If a region is no polygon.
        SceneReadError
            If the raster is damaged.
        """
        geometries = polygons_px(regions, scene)
        key = self._key(scene, _whole(scene), regions=digest(geometries), overlap=self.overlap, side=self.window)
        kept = self._recall(key)
        if kept is not None:
            return RegionFeatures(kept[0], kept[1], self.encoder.key)
        values = np.zeros((len(geometries), len(names())), np.float32)
        area = np.zeros(len(geometries), np.int64)
        for rows, sums in self.sums(geometries, scene):
            values[rows], area[rows] = RegionFeatures.from_sums(sums, "").values, sums.area
        self._keep(key, (values, area))
        return RegionFeatures(values, area, self.encoder.key)

    def sums(self, geometries_px: np.ndarray, scene: Scene) -> Iterator[tuple[Ids, RegionSums]]:
        """Sum over regions window by window.

        Yields
        ------
        Numbers of regions that are complete, and their sums: each region once, unless no window sees it. Any plan of
        windows is summed exactly, but what the backbone sees of a pixel depends a little on its window.
        """
        plan = WindowPlan(scene.shape, self.window, min(self.overlap, self.window - 1))
        layer = overlap_free(geometries_px)
        tree = shapely.STRtree(geometries_px)
        seen = [np.sort(tree.query(_box(planned.core))) for planned in plan]
        left = np.bincount(np.concatenate(seen), minlength=len(geometries_px)) if seen else np.zeros(0, np.int64)
        open_rows, open_sums = np.zeros(0, np.int64), RegionSums.zeros(0)
        for planned, rows in zip(plan, seen, strict=True):
            if not len(rows):
                continue
            left[rows] -= 1
            found = self._of_window(geometries_px[rows], layer[rows], scene, planned)
            every = np.concatenate([open_rows, rows])
            together, place = np.unique(every, return_inverse=True)
            sums = RegionSums.join([open_sums, found]).merged(place, len(together))
            done = left[together] == 0
            if done.any():
                yield together[done], sums[done]
            open_rows, open_sums = together[~done], sums[~done]

    def _of_window(self, geometries_px: np.ndarray, layer: Ids, scene: Scene, planned: PlannedWindow) -> RegionSums:
        """Sums of a window's regions over its core."""
        window, core = aligned(planned.window), planned.core
        count = len(geometries_px)
        if not scene.has_data(window):
            return RegionSums.zeros(count)
        chip = scene.read(window)
        maps = self.maps(chip, scene)
        top, left = int(core.row_off - window.row_off), int(core.col_off - window.col_off)
        inner = (slice(top, top + int(core.height)), slice(left, left + int(core.width)))
        sums = RegionSums.zeros(count)
        for number in np.unique(layer):
            drawn = np.array(geometries_px)
            drawn[layer != number] = shapely.Polygon()
            labels = np.where(chip.valid, burn(drawn, window), 0).astype(np.int32)
            corner = (int(window.col_off), int(window.row_off))
            sums = sums + pool(maps, chip.pixels, labels, count=count, core=inner, corner=corner)
        return sums

    def maps(self, chip: Chip, scene: Scene) -> FeatureMaps:
        """Maps of a window, from the store where it has them."""
        h, w = chip.valid.shape
        key = self._key(scene, chip.window)
        kept = self._recall(key)
        if kept is not None:
            return FeatureMaps(kept, (h, w), self.encoder.key)
        maps = self.encoder.encode(chip.pixels)
        self._keep(key, maps.arrays)
        return maps

    def _key(self, scene: Scene, window: Window, **parts: object) -> str | None:
        if self.store is None:
            return None
        area = {} if scene.area is None else {"scene": scene.key}  # what lies outside the area does not count
        return self.store.key(scene.fingerprint, window, model_key=self.encoder.key, **parts, **(area if parts else {}))

    def _recall(self, key: str | None) -> tuple[np.ndarray, ...] | None:
        return None if self.store is None or key is None else self.store.get(key)

    def _keep(self, key: str | None, arrays: tuple[np.ndarray, ...]) -> None:
        """Keep arrays; a store that cannot be written is no longer used, and the work goes on."""
        if self.store is None or key is None:
            return
        try:
            self.store.put(key, arrays)
        except StoreError as error:
            log.warning("features are not kept: %s", error)
            self.store = None


def aligned(window: Window) -> Window:
    """The window, begun on the grid of the coarsest cells, so that every window has its cells on the same pixels.

    Examples
    --------
    >>> found = aligned(Window(40, 0, 100, 80))
    >>> found.col_off, found.width
    (32, 108)
    """
    x, y = (int(start) // STRIDES[-1] * STRIDES[-1] for start in (window.col_off, window.row_off))
    w, h = int(window.col_off + window.width) - x, int(window.row_off + window.height) - y
    return Window(x, y, w, h)  # pyright: ignore[reportCallIssue]  # attrs class without stubs


def polygons_px(regions: Any, scene: Scene) -> np.ndarray:
    """Regions as polygons in the scene's pixels, each of which holds a pixel's centre.

    Raises
    ------
    OptionError
        If one is a point or a line.
    """
    found = scene.to_px(regions)
    flat = [number for number, each in enumerate(found) if not each.is_empty and shapely.get_dimensions(each) != 2]
    if flat:
        given = f"region {flat[0]} is a {found[flat[0]].geom_type}"
        raise OptionError(given, expected="polygons", hint="a buffer around points and lines makes polygons of them")
    return solid(found)


def digest(geometries_px: np.ndarray) -> str:
    """Identity of polygons: 64 hexadecimal digits."""
    found = hashlib.sha256(len(geometries_px).to_bytes(8, "little"))
    for each in shapely.to_wkb(geometries_px):
        found.update(each)
    return found.hexdigest()


def _whole(scene: Scene) -> Window:
    return Window(0, 0, scene.shape[1], scene.shape[0])  # pyright: ignore[reportCallIssue]  # attrs class without stubs


def _box(core: Window) -> shapely.Polygon:
    """What lies inside a core, by less than nothing: regions that only touch it are not in it."""
    x, y = core.col_off, core.row_off
    return shapely.box(x + EDGE, y + EDGE, x + core.width - EDGE, y + core.height - EDGE)


EDGE = 1e-6
"""Pixels by which a core is made smaller to find the regions in it."""
