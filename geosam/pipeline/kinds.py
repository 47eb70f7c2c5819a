"""What the polygons of a run show, on request: the columns `kind` and `kind_score`."""

from collections.abc import Iterator

import numpy as np
import shapely
from geopandas import GeoDataFrame
from rasterio.windows import Window

from geosam.pipeline import calibration
from geosam.pipeline.run import Run, feature_store
from geosam.recognition import Describer, recognise
from geosam.scene import Scene
from geosam.windows import WindowPlan

SQUARE_PX = 64
"""Side of the squares that stand for polygons where time is measured."""


def kinds_seconds(scene: Scene, most: int | None = None) -> float:
    """Seconds that the kinds of what lies on a scene take: those of one window with data, after one that warms up.

    Parameters
    ----------
    scene
        The scene.
    most
        In how many windows there are polygons; None for all that have data.
    """
    describer = Describer()
    plan = WindowPlan(scene.shape, size=describer.window, overlap=describer.overlap)
    full = [planned.window for planned in plan if scene.has_data(planned.window)]
    if not full:
        return 0.0
    frame = _squares(full[len(full) // 2], scene)
    taken = 0.0
    for _ in range(2):
        begin = calibration.now()
        recognise(frame, scene, describer)
        taken = calibration.now() - begin
    return taken * (len(full) if most is None else min(most, len(full)))


def _squares(window: Window, scene: Scene) -> GeoDataFrame:
    """Squares that tile the middle of a window, so that no other one is looked at."""
    x0, y0, w, h = (round(v) for v in (window.col_off, window.row_off, window.width, window.height))
    corners = [
        (x, y)
        for y in range(y0 + h // 4, y0 + max(h // 4 + 1, 3 * h // 4), SQUARE_PX)
        for x in range(x0 + w // 4, x0 + max(w // 4 + 1, 3 * w // 4), SQUARE_PX)
    ]
    shapes = [shapely.box(x, y, x + SQUARE_PX, y + SQUARE_PX) for x, y in corners]
    return GeoDataFrame(geometry=list(scene.to_world(np.array(shapes, object))), crs=scene.crs)


def with_kinds(run: Run, frames: Iterator[GeoDataFrame]) -> Iterator[GeoDataFrame]:
    """The same polygons with their kinds; a window is encoded once, however many batches lie on it."""
    with feature_store(run.store) as store:
        describer = Describer(store=store)
        for frame in frames:
            yield recognise(frame, run.scene, describer)
