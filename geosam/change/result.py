"""What a comparison of two dates finds: tables with documented columns, and how they came about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geosam.change.damage import GRADES, level_of
from geosam.change.measures import MEASURES, Measured
from geosam.change.objects import Objects
from geosam.change.options import CompareOptions
from geosam.change.pair import Pair
from geosam.change.radiometry import Radiometry
from geosam.change.registration import Registration
from geosam.change.status import STATUSES, Fates

COLUMNS: dict[str, str] = {
    "object_id": "int64",
    "source_id": "object",
    "status": "str",
    "status_score": "float32",
    "grade": "str",
    "grade_score": "float32",
    **{f"p_{grade}": "float32" for grade in GRADES},
    "unseen_pct": "float32",
    "damage_pct_0m": "float32",
    "damage_pct_10m": "float32",
    "damage_pct_20m": "float32",
    "area_before_m2": "float64",
    "area_after_m2": "float64",
    "overlap_iou": "float32",
    **dict.fromkeys(MEASURES, "float32"),
    "note": "str",
}
"""Columns of the layer `change` with their types, in order; the source's own attributes and the geometry follow.

===================  =============================================================================================
column               meaning
===================  =============================================================================================
object_id            number of the object in the comparison, from 1; known ones in the order of their source
source_id            its own id in the source, text where ids are text; missing for new ones
status               kept, changed, gone, new or unseen
status_score         probability of the status; of unseen ones the share that is hidden
grade                damage on the Joint Damage Scale: none, minor, major, destroyed; missing for new and unseen ones
grade_score          probability of the grade
p_none …             probability of each grade
unseen_pct           share that one of the dates does not show, percent
damage_pct_0m …      share of changed ground inside, within 10 m and within 20 m, percent of what is seen
area_before_m2 …     areas of the outlines decoded on each date; missing where none was found
overlap_iou          overlap of the two outlines, in [0, 1]
colour_change …      see `geosam.change.measures.MEASURES`
note                 why an object could not be looked at, else empty
===================  =============================================================================================
"""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two dates compared.

    Attributes
    ----------
    change
        Each object with its status, `COLUMNS`.
    before, after
        Outlines decoded on each date: ``object_id, source_id, score, area_m2``.
    extent
        Ground that the event took, `geosam.change.extents.COLUMNS`; None if it was not asked for.
    not_analysed
        Ground that one of the dates does not show: ``reason, area_ha``.
    source
        The scenes: ``src_id, name, date, gsd_m, phase``.
    summary
        Counts and shares per unit.
    pair, registration, radiometry
        The pair as it was compared, and what was found of its dates.
    facts
        How it was made, plain values.
    """

    change: gpd.GeoDataFrame
    before: gpd.GeoDataFrame
    after: gpd.GeoDataFrame
    extent: gpd.GeoDataFrame | None
    not_analysed: gpd.GeoDataFrame
    source: pd.DataFrame
    summary: gpd.GeoDataFrame
    pair: Pair
    registration: Registration
    radiometry: Radiometry
    facts: Mapping[str, Any] = field(default_factory=dict)

    def layers(self) -> dict[str, pd.DataFrame]:
        """Name → table of all that a GeoPackage gets, in the order in which QGIS is to list them."""
        extent = {} if self.extent is None else {"extent": self.extent}
        return {
            "change": self.change,
            "before": self.before,
            "after": self.after,
            **extent,
            "not_analysed": self.not_analysed,
            "summary": self.summary,
            "source": self.source,
            "registration": self.windows(),
        }

    def windows(self) -> pd.DataFrame:
        """What each window said of the shift, in pixels of the grid and metres."""
        rows = [
            {
                "x_px": each.x_px,
                "y_px": each.y_px,
                "dx_px": each.dx_px,
                "dy_px": each.dy_px,
                "shift_m": float(np.hypot(each.dx_px, each.dy_px)) * self.registration.resolution_m,
                "clarity": each.clarity,
                "counts": each.counts,
            }
            for each in self.registration.windows
        ]
        names = ("x_px", "y_px", "dx_px", "dy_px", "shift_m", "clarity", "counts")
        return pd.DataFrame(rows, columns=list(names))

    def counts(self) -> dict[str, int]:
        """How many objects have each status; all statuses, zeros too."""
        found = self.change["status"].value_counts().to_dict()
        return {status: int(found.get(status, 0)) for status in STATUSES}


def change_frame(
    objects: Objects,
    pair: Pair,
    *,
    measured: Measured,
    fates: Fates,
    grades: np.ndarray,
    ground: np.ndarray,
    outlines: tuple[np.ndarray, np.ndarray],
    areas: tuple[np.ndarray, np.ndarray],
    iou: np.ndarray,
) -> gpd.GeoDataFrame:
    """The documented table of objects.

    Parameters
    ----------
    objects
        The objects, new ones last with ids of None.
    pair
        The pair.
    measured, fates, grades, ground
        What was found of each: measures, fates, probabilities of grades (n × 4), shares of changed ground (n × 3).
    outlines
        Outlines decoded before and after, in the CRS of before; None where there are none.
    areas
        Their areas in m².
    iou
        Their overlap.
    """
    silent = np.isin(fates.status, ("unseen", "new"))
    level = level_of(np.nan_to_num(grades, nan=0.25))
    names = np.array(GRADES, object)[level]
    names[silent] = None
    score = np.where(silent, np.nan, np.take_along_axis(grades, level[:, None], axis=1)[:, 0])
    table: dict[str, Any] = {
        "object_id": np.arange(1, len(objects) + 1),
        "source_id": _source_ids(objects.ids),
        "status": fates.status,
        "status_score": fates.score,
        "grade": names,
        "grade_score": score,
        **{f"p_{grade}": np.where(silent, np.nan, grades[:, k]) for k, grade in enumerate(GRADES)},
        "unseen_pct": 100 * measured.unseen,
        **{f"damage_pct_{m}m": ground[:, k] for k, m in enumerate((0, 10, 20))},
        "area_before_m2": areas[0],
        "area_after_m2": areas[1],
        "overlap_iou": iou,
        **{name: measured.values[:, k] for k, name in enumerate(MEASURES)},
        "note": list(objects.reasons),
    }
    frame = pd.DataFrame({name: pd.Series(column) for name, column in table.items()})
    frame = frame.astype({name: kind for name, kind in COLUMNS.items() if kind != "object"})
    own = _own_columns(objects.attributes, set(frame.columns))
    world = np.array([_polygonal(each) for each in pair.before.to_world(objects.shapes_px)], object)
    empty = shapely.is_empty(world)
    world[empty] = outlines[0][empty]
    return gpd.GeoDataFrame(pd.concat([frame, own], axis=1), geometry=list(world), crs=pair.before.crs)


def outline_frame(
    objects: Objects, outlines: np.ndarray, scores: np.ndarray, areas: np.ndarray, crs: Any
) -> gpd.GeoDataFrame:
    """Outlines of one date as a layer; objects without one are left out."""
    there = np.flatnonzero(~(shapely.is_missing(outlines) | shapely.is_empty(outlines)))
    ids = _source_ids(objects.ids)
    table = {
        "object_id": (there + 1).astype(np.int64),
        "source_id": ids.iloc[there].reset_index(drop=True),
        "score": scores[there].astype(np.float32),
        "area_m2": areas[there],
    }
    return gpd.GeoDataFrame(pd.DataFrame(table), geometry=list(outlines[there]), crs=crs)


def _source_ids(ids: tuple[Any, ...]) -> pd.Series:
    """Whole numbers as nullable integers, anything else as text."""
    given = [each for each in ids if each is not None]
    if given and all(isinstance(each, int | np.integer) and -(2**63) <= int(each) < 2**63 for each in given):
        return pd.Series(pd.array([None if each is None else int(each) for each in ids], dtype="Int64"))
    return pd.Series([None if each is None else str(each) for each in ids], dtype="str")


def _own_columns(attributes: pd.DataFrame, taken: set[str]) -> pd.DataFrame:
    """The source's columns; one whose name is taken gets ``_source`` behind it."""
    reserved = {name.lower() for name in taken} | {"geometry", "geom", "fid"}
    names = []
    for given in attributes.columns:
        name = str(given)
        while name.lower() in reserved:
            name += "_source"
        reserved.add(name.lower())
        names.append(name)
    return attributes.set_axis(names, axis=1).reset_index(drop=True)


def _polygonal(shape: Any) -> Any:
    """A shape if it is an area, nothing otherwise; a collection by its areas."""
    if shape is None or shape.geom_type in ("Polygon", "MultiPolygon"):
        return shape
    parts = [each for each in shapely.get_parts(shape) if each.geom_type == "Polygon"]
    return shapely.MultiPolygon(parts)


def sources(pair: Pair, asked: CompareOptions) -> pd.DataFrame:
    """The scenes, as responders cite them."""
    scenes = (pair.before, pair.after)
    return pd.DataFrame(
        {
            "src_id": [1, 2],
            "name": [scene.name for scene in scenes],
            "date": [asked.date_before, asked.date_after],
            "gsd_m": [scene.resolution_m for scene in scenes],
            "phase": ["Pre-event", "Post-event"],
            "crs": [scene.crs.to_string() if scene.crs else "" for scene in scenes],
        }
    )
