"""Parts of the scene that are looked at as a whole, in the background: their segments, and what these look like."""

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from hashlib import blake2b
from math import ceil, floor
from typing import Any, NamedTuple

import numpy as np
import shapely
from rasterio.windows import Window

from geosam.execute import Journal
from geosam.pipeline.options import SegmentOptions
from geosam.pipeline.regions import cover_scene
from geosam.pipeline.request import Request
from geosam.pipeline.run import Run
from geosam.polygons import polygonize
from geosam.recognition import Describer, RegionFeatures
from geosam.scene import Scene
from geosam.segmenter import Segmenter
from geosam.serve.shapes import canonical
from geosam.store import EmbeddingStore

SIDE_PX = 1_536
"""Longest side of an area in pixels of its own view: four windows at most, some seconds of work. A larger part of the
scene is looked at on a coarser view, whose segments are larger, as on the screen."""

SNAP_PX = 256
"""Areas begin and end at multiples of this, so that a view that is moved a little has the same segments."""

TOLERANCE_PX = 0.75
"""Farthest that shared borders of segments may move: the stairs of a diagonal go, small segments lose little."""

KEPT_RESULTS = 12
"""Results of background work that are kept."""

KEPT_MAPS = 48
"""Windows whose recognition features are kept, some megabytes each."""


Bounds = tuple[float | int, float | int, float | int, float | int]
"""``xyxy`` in pixels of the scene."""


class Area(NamedTuple):
    """A part of the scene: the level (pixels of 2^level), and its place in pixels of that level."""

    level: int
    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class Ground:
    """The segments of an area.

    Attributes
    ----------
    area
        Where.
    view
        The area as a scene of its own.
    shapes
        In pixels of the scene; they share their borders.
    chance
        For each, that it agrees with an object.
    area_px
        Pixels of the view in each.
    """

    area: Area
    view: Scene
    shapes: np.ndarray
    chance: np.ndarray
    area_px: np.ndarray


def area_of(scene: Scene, bounds: Bounds | None) -> Area:
    """The area that holds some bounds ``xyxy``, in whole steps; without bounds the whole scene.

    Examples
    --------
    >>> import tempfile
    >>> from geosam.scene import open_scene
    >>> from geosam.testing import coordinate_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scene = open_scene(coordinate_scene(folder + "/xy.tif", (3000, 4000)))
    >>> area_of(scene, (300, 10, 700, 500))
    Area(level=0, left=256, top=0, width=512, height=512)
    >>> area_of(scene, None).level
    2
    """
    h, w = scene.shape
    x0, y0, x1, y1 = bounds or (0.0, 0.0, float(w), float(h))
    x0, y0, x1, y1 = max(x0, 0.0), max(y0, 0.0), min(x1, float(w)), min(y1, float(h))
    x1, y1 = max(x1, min(x0 + 1, float(w))), max(y1, min(y0 + 1, float(h)))
    level = 0
    while max(x1 - x0, y1 - y0) > SIDE_PX * 2**level:
        level += 1
    view = scene.coarsened(2.0**level) if level else scene
    step = 2**level * SNAP_PX
    left, top = floor(min(x0, w - 1) / step) * SNAP_PX, floor(min(y0, h - 1) / step) * SNAP_PX
    right, bottom = min(ceil(x1 / step) * SNAP_PX, view.shape[1]), min(ceil(y1 / step) * SNAP_PX, view.shape[0])
    return Area(level, left, top, max(right - left, 1), max(bottom - top, 1))


def view_of(scene: Scene, area: Area) -> Scene:
    """An area as a scene of its own."""
    view = scene.coarsened(2.0**area.level) if area.level else scene
    left, top = round(view.crop.col_off) + area.left, round(view.crop.row_off) + area.top
    return replace(view, crop=Window(left, top, area.width, area.height))  # pyright: ignore[reportCallIssue]  # attrs class without stubs


def segments_of(scene: Scene, network: Segmenter, area: Area, *, store: EmbeddingStore | None = None) -> Ground:
    """Every pixel of an area in a segment.

    Parameters
    ----------
    scene, network
        What is looked at, and whose features segments are grown from.
    area
        Where.
    store
        Embeddings on disk, or None.
    """
    view = view_of(scene, area)
    request = Request(view, network, SegmentOptions(coverage=True))
    shapes, chances, sizes = [], [], []
    with tempfile.TemporaryDirectory(prefix="geosam-") as folder, Journal(folder, request.key) as journal:
        coverage = cover_scene(Run(request, journal, store))
        exact = {"stops": coverage.stops, "tolerance_px": TOLERANCE_PX, "coverage": True}
        for ids, found in polygonize(coverage.strips(), **exact):
            shapes += to_scene(found, view, scene)
            chances.append(coverage.segments.chance[ids - 1])
            sizes.append(coverage.segments.extents.area[ids - 1])
    none = np.zeros(0, np.float32)
    listed = np.empty(len(shapes), object)
    listed[:] = shapes
    return Ground(area, view, listed, np.concatenate([none, *chances]), np.concatenate([none, *sizes]))


def to_scene(shapes: np.ndarray, view: Scene, scene: Scene) -> list[Any]:
    """Shapes in pixels of a view in those of the scene, canonical."""
    a, b, c, d, e, f, *_ = ~scene.frame.native @ view.frame.native
    plain = abs(a - 1) < 1e-9 and abs(e - 1) < 1e-9

    def move(xy: np.ndarray) -> np.ndarray:
        moved = xy @ np.array([[a, d], [b, e]]) + np.array([c, f])
        return np.rint(moved) if plain else np.round(moved, 6)

    return [canonical(shape) for shape in shapely.transform(shapes, move)]


class Maps:
    """Recognition features of windows in memory, where there is no store on disk."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[np.ndarray, ...]] = OrderedDict()

    def key(self, scene_fingerprint: str, window: Window, *, model_key: str, **parts: object) -> str:
        """Name an entry by all that it depends on."""
        return EmbeddingStore.key(scene_fingerprint, window, model_key=model_key, **parts)

    def get(self, key: str) -> tuple[np.ndarray, ...] | None:
        """The arrays of an entry, or None."""
        return self._kept.get(key)

    def put(self, key: str, arrays: tuple[np.ndarray, ...]) -> None:
        """Keep an entry; the oldest goes."""
        self._kept[key] = arrays
        while len(self._kept) > KEPT_MAPS:
            self._kept.popitem(last=False)


def describe(shapes: Sequence[Any], scene: Scene, area: Area, describer: Describer) -> RegionFeatures:
    """What shapes in pixels of a scene look like, at the resolution of an area, wherever they lie."""
    view = scene.coarsened(2.0**area.level) if area.level else scene
    listed = np.empty(len(shapes), object)
    listed[:] = list(shapes)
    return describer.describe(scene.to_world(listed), view)


def identity(shapes: Sequence[Any]) -> str:
    """A name for some shapes."""
    found = blake2b(digest_size=16)
    for each in shapes:
        found.update(shapely.to_wkb(each))
    return found.hexdigest()


class Background:
    """Work that takes seconds, one piece after the other on a thread of its own; results are kept for a while."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._known: OrderedDict[Hashable, Future[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, key: Hashable, work: Callable[[], Any]) -> Any:
        """The result of a piece of work, or None if it is not there yet.

        Raises
        ------
        GeosamError
            What the work raised; it is tried again when it is asked for again.
        """
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="geosam-look")
            if key not in self._known:
                self._known[key] = self._pool.submit(work)
            self._known.move_to_end(key)
            while len(self._known) > KEPT_RESULTS:
                _, old = self._known.popitem(last=False)
                old.cancel()
            future = self._known[key]
            if not future.done():
                return None
            if future.cancelled() or future.exception() is not None:
                del self._known[key]
        return future.result()

    @property
    def busy(self) -> int:
        """Pieces of work that are not done."""
        with self._lock:
            return sum(not each.done() for each in self._known.values())

    def close(self, patience: float | int | None = None) -> bool:
        """Drop what has not begun, and wait for what has, so many seconds at most; tells whether it has ended."""
        with self._lock:
            begun = [each for each in self._known.values() if not each.cancel()]
        if self._pool is not None:
            self._pool.shutdown(wait=patience is None, cancel_futures=True)
        return not wait(begun, patience).not_done
