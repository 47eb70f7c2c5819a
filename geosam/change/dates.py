"""Several dates after an event: one id per object, a row for each date it was looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import pandas as pd

from geosam.change.schemas import UNOSAT_CLASSES, unosat_class


@dataclass(frozen=True, eq=False)
class Dated:
    """The objects of one comparison, and when its later scene was taken.

    Attributes
    ----------
    objects
        The layer `change` of a comparison, `geosam.change.result.COLUMNS`.
    date
        Of the scene after, ISO 8601 without a time of day; scenes of one day are one date.
    before, after
        Names of the scenes.
    """

    objects: gpd.GeoDataFrame
    date: str
    before: str
    after: str


def over_dates(found: Sequence[Dated]) -> gpd.GeoDataFrame:
    """The known objects of several comparisons as a long table: a row for each object and date.

    Where several scenes of a day show an object, the one that shows most of it counts; of equal ones the first.

    Parameters
    ----------
    found
        Comparisons with the same known objects. New objects are left out: those of two dates have no id in common.

    Returns
    -------
    GeoDataFrame
        ``object_id, date, scene_before, scene_after`` and the columns of `change`, sorted by object and date; in the
        CRS of the first comparison.
    """
    tables = []
    for place, each in enumerate(found):
        known = each.objects[each.objects["status"] != "new"].to_crs(found[0].objects.crs)
        said = {"date": each.date, "scene_before": each.before, "scene_after": each.after, "place": place}
        tables.append(known.assign(**said))
    whole = pd.concat(tables, ignore_index=True)
    whole = whole.sort_values(["object_id", "date", "unseen_pct", "place"], kind="stable")
    whole = whole.drop_duplicates(["object_id", "date"]).reset_index(drop=True).drop(columns="place")
    first = ["object_id", "date", "scene_before", "scene_after"]
    return gpd.GeoDataFrame(whole[[*first, *(name for name in whole.columns if name not in first)]])


def latest(objects: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Of each object the row of the last date on which it was seen; of one that never was, that of the last date."""
    seen = objects.assign(seen=objects["status"] != "unseen").sort_values(["object_id", "seen", "date"], kind="stable")
    return gpd.GeoDataFrame(seen.drop_duplicates("object_id", keep="last").drop(columns="seen").reset_index(drop=True))


def unosat_sites(objects: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """The same in the wide columns of UNOSAT: for each date `SensorDate`, `Main_Damage_Site_Class`, `Damage_Status`.

    Columns of the second date end with ``_2``, and so on; `Grouped_Damage_Classes` is the status of the last date on
    which the object was seen. A date on which an object was not seen stays empty; one that was never seen is left out.

    Examples
    --------
    >>> import shapely
    >>> rows = {"object_id": [1, 1], "source_id": ["way/7"] * 2, "date": ["2024-06-01", "2024-06-09"],
    ...         "status": ["kept", "gone"], "grade": ["none", "destroyed"], "grade_score": [0.9, 0.8]}
    >>> sites = unosat_sites(gpd.GeoDataFrame(rows, geometry=[shapely.box(0, 0, 1, 1)] * 2, crs=4326))
    >>> sites[["Damage_Status", "Damage_Status_2", "Grouped_Damage_Classes"]].iloc[0].tolist()
    ['No Visible Damage', 'Destroyed', 'Destroyed']
    """
    last: Any = latest(objects)
    last = last[last["status"] != "unseen"].set_index("object_id")
    wide: dict[str, Any] = {"Site_ID": last["source_id"].astype(str)}
    told = _classes(pd.DataFrame(objects[objects["status"] != "unseen"]))
    for number, date in enumerate(sorted(objects["date"].unique()), start=1):
        suffix = "" if number == 1 else f"_{number}"
        codes: Any = told[told["date"] == date].set_index("object_id")["code"].reindex(last.index)
        wide[f"SensorDate{suffix}"] = pd.Series(date, last.index).where(codes.notna())
        wide[f"Main_Damage_Site_Class{suffix}"] = codes.astype("Int64")
        wide[f"Damage_Status{suffix}"] = codes.map(UNOSAT_CLASSES)
    grouped: Any = _classes(last.reset_index()).set_index("object_id")["code"]
    wide["Grouped_Damage_Classes"] = grouped.map(UNOSAT_CLASSES)
    return gpd.GeoDataFrame(pd.DataFrame(wide).reset_index(drop=True), geometry=list(last.geometry), crs=objects.crs)


def _classes(objects: pd.DataFrame) -> pd.DataFrame:
    """The UNOSAT class of each row."""
    rows = zip(objects["status"], objects["grade"], objects["grade_score"], strict=True)
    return objects[["object_id", "date"]].assign(code=[unosat_class(*row) for row in rows])
