"""The table of features, and what its columns mean.

======================  ========================================================================================
column                  meaning
======================  ========================================================================================
``red_mean`` …          mean of a band's raw values in the segment, likewise ``_std``, ``_q10``, ``_q50``, ``_q90``;
                        bands without a known role are ``band_1``, ``band_2``, …; indices (``ndvi`` …) likewise
``red_beside``          mean of the band less that of the neighbours, weighted by shared border
``edge_1``, ``edge_3``  mean difference of grey between pixels one or three apart, in units of the scene's range
``contrast_1`` …        root of the mean square of the same
``likeness_1`` …        1 where pixels are equal, a half where they differ by 1/16 of the range
``log_area``            decimal logarithm of the area in m²
``elongation``          long by short side of the smallest rectangle around the segment
``rectangularity``      area by that of the rectangle
``compactness``         4 π area / perimeter²
``solidity``            area by that of the convex hull
``width``               area by half the perimeter, in m: how wide a long segment is
``neighbours``          number of segments that touch it
``s4_0`` …              means of what the recognition network sees at strides 4, 8 and 16, if asked for
                        (`geosam.recognition`)
======================  ========================================================================================

Quantiles are exact for bands of at most 256 whole numbers, else to 1/256 of the range that a look at the scene finds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from rasterio.windows import Window

from geosam.errors import OptionError
from geosam.features.burning import Burner, segments_px
from geosam.features.indices import index_values, indices_of
from geosam.features.levels import INDEX_LEVELS, Levels, band_levels
from geosam.features.neighbours import Neighbours
from geosam.features.roles import band_roles
from geosam.features.shape import shape_columns
from geosam.features.statistics import QUANTILES, Statistics
from geosam.features.texture import Texture
from geosam.scene import Scene
from geosam.store import EmbeddingStore

RECOGNITION = ("s4_", "s8_", "s16_")
"""How columns of the recognition network begin."""

STATISTICS = ("mean", "std", *(f"q{round(100 * share)}" for share in QUANTILES))

LARGEST = float(np.finfo(np.float32).max)
"""Numbers beyond are measured of nothing that is real."""


@dataclass(frozen=True)
class FeatureOptions:
    """What is measured.

    Attributes
    ----------
    bands_as
        Roles of the bands in their order, such as ``"blue,green,red,nir"``; None: as the raster says.
    recognition
        Whether the recognition network looks at the scene as well: 176 columns more.
    strip_rows
        Rows that are read at once; None: as many as make a million pixels. It changes no value.
    """

    bands_as: str | None = None
    recognition: bool = False
    strip_rows: int | None = None

    def __post_init__(self) -> None:
        if self.strip_rows is not None and self.strip_rows < 1:
            raise OptionError(f"strip_rows={self.strip_rows}", expected="at least one row")


def measure_features(
    segments: Any, scene: Scene, options: FeatureOptions | None = None, *, store: EmbeddingStore | None = None
) -> pd.DataFrame:
    """Measure what segments look like.

    Parameters
    ----------
    segments
        Polygons: a GeoDataFrame, a GeoSeries or geometries, in any CRS. Where they overlap, a pixel counts for the
        smallest.
    scene
        What they lie on: all bands but alpha are measured, by their raw values.
    options
        Roles of bands.
    store
        Keeps what the recognition network sees of the scene: a window that it holds is not encoded again. None keeps
        nothing. It changes no value.

    Returns
    -------
    DataFrame
        A row for each segment, with its index; columns as in the table above, float64. NaN for what has no pixel with
        data in all bands, and for numbers that no classifier can hold: those beyond float32.

    Raises
    ------
    OptionError
        If a segment is no polygon, or the roles do not fit the bands.
    SceneReadError
        If the raster is damaged.

    Examples
    --------
    >>> import tempfile, shapely
    >>> from geosam.scene import open_scene
    >>> from geosam.testing import coordinate_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scene = open_scene(coordinate_scene(folder + "/xy.tif", (64, 64)))
    ...     halves = scene.to_world([shapely.box(0, 0, 32, 64), shapely.box(32, 0, 64, 64)])
    ...     table = measure_features(halves, scene)
    >>> table.neighbours.tolist(), round(float(table.elongation[0]), 3)
    ([1.0, 1.0], 2.0)
    """
    options = options or FeatureOptions()
    roles = band_roles(scene, options.bands_as)
    geometries = segments_px(segments, scene)
    burner = Burner(geometries, scene.shape)
    measured = _Measured.begin(scene, roles, burner.last_rows)
    for top, labels in burner.strips(options.strip_rows):
        measured.add(top, labels, scene)
    columns = measured.columns() | shape_columns(geometries, scene.resolution_m)
    columns["neighbours"] = measured.degree()
    if options.recognition:
        columns |= recognized(geometries, scene, store)
    index = segments.index if isinstance(segments, pd.DataFrame | pd.Series) else None
    table = pd.DataFrame({name: np.asarray(values, float) for name, values in columns.items()}, index=index)
    return table.where(table.abs() <= LARGEST)


def recognized(geometries_px: np.ndarray, scene: Scene, store: EmbeddingStore | None = None) -> dict[str, np.ndarray]:
    """What the recognition network sees of each segment; NaN where it sees nothing.

    The coarsest of its strides, 32, is left out: its 320 columns are more about what surrounds a segment.
    """
    from geosam.recognition.description import names
    from geosam.recognition.scenes import Describer

    found = Describer(store=store).describe(gpd.GeoSeries(scene.to_world(geometries_px), crs=scene.crs), scene)
    values = np.where(found.area_px[:, None] > 0, found.values, np.nan)
    return {name: values[:, k] for k, name in enumerate(names()) if name.startswith(RECOGNITION)}


@dataclass
class _Measured:
    """All that is summed up while the scene passes by."""

    roles: dict[int, str]
    levels: tuple[Levels, ...]
    statistics: dict[str, Statistics]
    texture: Texture
    neighbours: Neighbours
    indices: tuple[str, ...] = field(default=())

    @classmethod
    def begin(cls, scene: Scene, roles: dict[int, str], last_rows: np.ndarray) -> "_Measured":
        levels = band_levels(scene, tuple(roles))
        indices = indices_of(tuple(roles.values()))
        all_levels = dict(zip(roles.values(), levels, strict=True)) | dict.fromkeys(indices, INDEX_LEVELS)
        each = {name: Statistics(one, last_rows) for name, one in all_levels.items()}
        n = len(last_rows)
        return cls(roles, levels, each, Texture(n), Neighbours(n), indices)

    def add(self, top: int, labels: np.ndarray, scene: Scene) -> None:
        """Add the strip of the scene that begins at row `top`."""
        h, w = labels.shape
        self.neighbours.add(labels)
        window = Window(0, top, w, h)  # pyright: ignore[reportCallIssue]  # attrs class without stubs
        if not labels.any():
            self.texture.add(labels, np.zeros(labels.shape, np.float32))
            return
        values, known = scene.values(window, tuple(self.roles))
        counted = np.where(known.all(axis=0) & np.isfinite(values).all(axis=0), labels, 0)
        inside = counted > 0
        rows = counted[inside] - 1
        for name, band in self._named(values):
            self.statistics[name].add(rows, band[inside].astype(np.float64), top + h)
        self.texture.add(counted, self._grey(values))

    def _named(self, values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Each band and index, one at a time."""
        bands = dict(zip(self.roles.values(), values, strict=True))
        yield from bands.items()
        for name in self.indices:
            yield name, index_values(name, bands)

    def _grey(self, values: np.ndarray) -> np.ndarray:
        """Mean of the bands, each by the scene's range."""
        grey = np.zeros(values.shape[1:], np.float64)
        for band, levels in zip(values, self.levels, strict=True):
            grey += np.nan_to_num((band - levels.low) / (256 * levels.step), nan=0, posinf=1, neginf=0).clip(-1, 2)
        return grey / len(values)

    def columns(self) -> dict[str, np.ndarray]:
        """What was summed up, in the order of the table."""
        found, borders = {}, self.neighbours.matrix()
        length = np.asarray(borders.sum(axis=1)).ravel()
        for name, statistics in self.statistics.items():
            values = statistics.columns()
            found |= {f"{name}_{kind}": values[:, k] for k, kind in enumerate(STATISTICS)}
            mean = np.nan_to_num(values[:, 0])
            around = np.divide(borders @ mean, length, out=mean.copy(), where=length > 0)
            found[f"{name}_beside"] = values[:, 0] - around
        return found | self.texture.columns()

    def degree(self) -> np.ndarray:
        """Number of neighbours of each segment."""
        return np.diff(self.neighbours.matrix().indptr).astype(float)
