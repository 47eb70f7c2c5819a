"""What a map of classes is made of: dissolved polygons, codes on the scene's grid, areas."""

from collections.abc import Iterator

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geosam.arrays import Labels
from geosam.features.burning import Burner, segments_px
from geosam.landcover.accuracy import Accuracy
from geosam.landcover.legend import UNKNOWN, Legend
from geosam.polygons.measure import measure
from geosam.scene import Scene

HECTARE = 10_000.0


def dissolve(segments: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Join neighbouring segments of one class.

    Parameters
    ----------
    segments
        With the columns `class` and `class_code`.

    Returns
    -------
    GeoDataFrame
        A row for each connected piece of a class: ``class, class_code, segments`` (how many became one),
        ``area_m2, perimeter_m``. Borders stay where they are.
    """
    shapes = np.asarray(segments.geometry.values, object)
    fits = bool(shapely.coverage_is_valid(shapes))
    pieces, owners, counts = [], [], []
    classes = dict(zip(segments["class_code"].tolist(), segments["class"].tolist(), strict=True))
    for code, name in sorted(classes.items()):
        own = shapes[(segments["class_code"] == code).to_numpy()]
        joined = shapely.coverage_union_all(own) if fits else shapely.union_all(own)
        parts = shapely.get_parts(joined)
        parts = parts[shapely.get_dimensions(parts) == 2]
        inside = shapely.STRtree(parts).query(shapely.point_on_surface(own), predicate="intersects")[1]
        pieces.append(parts)
        owners += [(name, code)] * len(parts)
        counts.append(np.bincount(inside, minlength=len(parts)))
    geometries = np.concatenate(pieces)
    area, perimeter = measure(geometries, segments.crs)
    table = pd.DataFrame(owners, columns=["class", "class_code"]).astype({"class": "str", "class_code": "int32"})
    table = table.assign(segments=np.concatenate(counts), area_m2=area, perimeter_m=perimeter)
    return gpd.GeoDataFrame(table, geometry=geometries, crs=segments.crs)


def class_strips(segments: gpd.GeoDataFrame, scene: Scene, legend: Legend) -> Iterator[tuple[int, Labels]]:
    """First row and codes of each strip of the scene; no data where no segment lies."""
    burner = Burner(segments_px(segments, scene), scene.shape)
    codes = np.concatenate([[legend.nodata], segments["class_code"].to_numpy(np.int64)]).astype(np.int32)
    return ((top, codes[labels]) for top, labels in burner.strips())


def area_table(segments: gpd.GeoDataFrame, legend: Legend, accuracy: Accuracy | None = None) -> pd.DataFrame:
    """Areas of classes, in the legend's order, *unknown* last.

    Parameters
    ----------
    segments
        Classified; their ``area_m2`` is used if it is there, else measured.
    legend
        The classes.
    accuracy
        Adds ``adjusted_ha``, ``adjusted_low_ha`` and ``adjusted_high_ha``, if it was estimated in hectares.

    Returns
    -------
    DataFrame
        Index `class`; ``code, segments, area_ha, share, probability`` (mean, weighted by area).
    """
    own = segments["area_m2"] if "area_m2" in segments.columns else None
    area = (
        measure(np.asarray(segments.geometry.values, object), segments.crs)[0] if own is None else own.to_numpy(float)
    )
    if not np.isfinite(area).all():  # no CRS: in the square of its units
        area = segments.geometry.area.to_numpy()
    rows = pd.DataFrame(
        {"code": segments["class_code"].to_numpy(), "area": area, "sum": area * segments["probability"]}
    )
    sums = rows.groupby("code").agg(segments=("area", "size"), area=("area", "sum"), sum=("sum", "sum"))
    order = [code for code in (*legend.codes, legend.unknown) if code in sums.index]
    sums = sums.loc[order]
    names = dict(zip(legend.codes, legend.names, strict=True)) | {legend.unknown: UNKNOWN}
    table = pd.DataFrame(
        {
            "code": order,
            "segments": sums["segments"].to_numpy(),
            "area_ha": sums["area"].to_numpy() / HECTARE,
            "share": (sums["area"] / max(sums["area"].sum(), 1e-300)).to_numpy(),
            "probability": (sums["sum"] / sums["area"].clip(lower=1e-300)).to_numpy(),
        },
        index=pd.Index([names[code] for code in order], name="class"),
    )
    if accuracy is not None:
        estimated = accuracy.classes.reindex(table.index)
        for name, column in (("", "area"), ("_low", "area_low"), ("_high", "area_high")):
            table[f"adjusted{name}_ha"] = estimated[column].to_numpy()
    return table
