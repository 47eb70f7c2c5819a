"""``polygons → polygons`` with the columns `kind` and `kind_score`."""

import geopandas
import numpy as np
import pandas as pd
from jaxtyping import Float64

from geosam.recognition.description import RegionFeatures
from geosam.recognition.kinds import KINDS, KindHead, load_head
from geosam.recognition.scenes import Describer, polygons_px
from geosam.scene import Scene

COLUMNS = {"kind": "str", "kind_score": "float32"}
"""The columns with their types.

==========  ====================================================================================
column      meaning
==========  ====================================================================================
kind        what the polygon shows: one of `geosam.recognition.KINDS`; missing without any pixel
kind_score  probability of that kind, calibrated, in [0, 1]; NaN without any pixel
==========  ====================================================================================
"""


def recognise(
    polygons: geopandas.GeoDataFrame,
    scene: Scene,
    describer: Describer | None = None,
    head: KindHead | None = None,
) -> geopandas.GeoDataFrame:
    """Say what polygons show.

    Parameters
    ----------
    polygons
        In any CRS; without one, in the scene's.
    scene
        What they lie on.
    describer
        Who describes them; one with a store keeps what the backbone sees of windows for later.
    head
        Who tells kinds apart; by default the package's.

    Returns
    -------
    GeoDataFrame
        The same rows with `COLUMNS`, which replace columns of these names.

    Raises
    ------
    OptionError
        If a geometry is no polygon.
    SceneReadError
        If the raster is damaged.

    Examples
    --------
    >>> import tempfile
    >>> import shapely
    >>> from geosam.scene import open_scene
    >>> from geosam.testing import coordinate_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scene = open_scene(coordinate_scene(folder + "/xy.tif", (64, 64)))
    ...     square = scene.to_world([shapely.box(8, 8, 40, 40)])
    ...     found = recognise(geopandas.GeoDataFrame(geometry=square, crs=scene.crs), scene)
    >>> found.kind[0] in KINDS, bool(0 < found.kind_score[0] <= 1)
    (True, True)
    """
    found = probabilities(polygons, scene, describer or Describer(), head or load_head())
    seen = ~np.isnan(found[:, 0]) if len(found) else np.zeros(0, bool)
    best = np.where(seen, np.nan_to_num(found, nan=0.0).argmax(1), 0) if len(found) else np.zeros(0, int)
    named = [KINDS[number] if is_seen else None for number, is_seen in zip(best, seen, strict=True)]
    scores = found[np.arange(len(found)), best].astype(np.float32)
    kinds = pd.Series(named, index=polygons.index, dtype="str")
    result = polygons.copy()
    result["kind"], result["kind_score"] = kinds, scores
    return result


def probabilities(
    polygons: geopandas.GeoDataFrame, scene: Scene, describer: Describer, head: KindHead
) -> Float64[np.ndarray, "n k"]:
    """Probability of each kind for each polygon; NaN for one without any pixel.

    Features are dropped as soon as they have served, window by window.
    """
    geometries = polygons_px(polygons, scene)
    found = np.full((len(geometries), len(KINDS)), np.nan)
    for rows, sums in describer.sums(geometries, scene):
        some = sums.area > 0
        found[rows[some]] = head.probabilities(RegionFeatures.from_sums(sums[some], describer.encoder.key))
    return found
