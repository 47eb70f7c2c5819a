"""The layer names, fields and words that responders use: Copernicus EMS, UNOSAT, OpenStreetMap.

"Possibly damaged" is doubt in these schemas, not a grade between two others: objects whose grade is less likely than
not get it. Minor damage, which a satellite can hardly show, counts as doubt in EMS. What was not seen is told as such
in EMS and left out where a schema has no word for it; it is never "no visible damage".
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import geopandas as gpd
import pandas as pd

from geosam.change.result import Comparison
from geosam.errors import OptionError

SURE = 0.5
"""Probability of a grade from which it is told without doubt."""

EMS_DAMAGE = ("Destroyed", "Damaged", "Possibly damaged", "No visible damage", "Not Analysed")
EMS_METHODS = ("Photo-interpretation", "Semi-automatic extraction", "Automatic extraction", "Modelling")
EMS_EVENTS = {
    "earthquake": "1-Earthquake",
    "volcano": "2-Volcanic activity",
    "storm": "3-Storm",
    "flood": "5-Flood",
    "landslide": "6-Mass movement",
    "drought": "7-Drought",
    "burn": "8-Wildfire",
}
"""Events by the names that geosam gives extents."""

EMS_NOTATION = {"flood": "Flooded area", "burn": "Burnt area", "landslide": "Landslide"}
UNKNOWN = "Unknown"

UNOSAT_CLASSES = {
    1: "Destroyed",
    2: "Severe Damage",
    3: "Moderate Damage",
    4: "Possible Damage",
    6: "No Visible Damage",
    11: "Possible damage from adjacent impact, debris",
}

_NUMBERED = re.compile(r"_\d+$")

OSM_BUILDING = ("yes", "ruins", "collapsed")


@dataclass(frozen=True)
class LayerRule:
    """What a layer of a schema may hold.

    Attributes
    ----------
    fields
        Its fields, in order, the geometry left out.
    words
        Field → the values that it may have, where the schema lists them.
    """

    fields: tuple[str, ...]
    words: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


_EMS_OBJECT = (
    "obj_type", "name", "info", "simplified", "damage_gra", "det_method", "notation", "or_src_id", "dmg_src_id",
    "cd_value", "real",
)  # fmt: skip


_NUMBERS = {
    **dict.fromkeys(("or_src_id", "dmg_src_id", "Main_Damage_Site_Class"), "int64"),
    **dict.fromkeys(("cd_value", "area", "Area_ha", "Confidence", "damage:score"), "float64"),
}
"""Fields of all schemas that are no text."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Objects that somebody has judged, without a comparison of two dates.

    Attributes
    ----------
    change
        Each object with ``source_id, status, grade, grade_score``, as in `geosam.change.result.COLUMNS`.
    extent
        Ground that the event took, or None.
    not_analysed
        Ground that was not looked at: ``reason``.
    source
        Two rows for the scenes: ``src_id, name, date, gsd_m, phase``.
    """

    change: gpd.GeoDataFrame
    extent: gpd.GeoDataFrame | None
    not_analysed: gpd.GeoDataFrame
    source: pd.DataFrame


SCHEMAS: dict[str, dict[str, LayerRule]] = {
    "ems": {
        "builtUpA": LayerRule(_EMS_OBJECT, {"damage_gra": EMS_DAMAGE, "det_method": EMS_METHODS}),
        "observedEventA": LayerRule(
            ("event_type", "obj_desc", "det_method", "notation", "dmg_src_id", "area"),
            {"event_type": (*EMS_EVENTS.values(), UNKNOWN), "det_method": EMS_METHODS},
        ),
        "notAnalysedA": LayerRule(("obj_desc", "or_src_id")),
        "areaOfInterestA": LayerRule(("emsr_id", "glide_no", "area_id", "locality", "map_type")),
        "source": LayerRule(
            ("source_nam", "src_date", "source_tm", "sensor_gsd", "eventphase", "src_id"),
            {"eventphase": ("Pre-event", "Post-event", "Not applicable")},
        ),
    },
    "unosat": {
        "damage_sites": LayerRule(
            ("Site_ID", "SensorDate", "Main_Damage_Site_Class", "Damage_Status", "Grouped_Damage_Classes"),
            {
                "Main_Damage_Site_Class": tuple(UNOSAT_CLASSES),
                "Damage_Status": tuple(UNOSAT_CLASSES.values()),
                "Grouped_Damage_Classes": tuple(UNOSAT_CLASSES.values()),
            },
        ),
        "event_extent": LayerRule(("SensorDate", "Event_Type", "Area_ha", "Confidence")),
    },
    "osm": {
        "buildings": LayerRule(
            ("osm_id", "building", "destroyed:building", "damage:grade", "damage:score", "source:date"),
            {"building": OSM_BUILDING, "destroyed:building": ("yes",), "damage:grade": ("minor", "major", "destroyed")},
        ),
    },
}
"""Schema → its layers and what they may hold."""


def to_schema(result: Comparison | Judged, schema: str) -> dict[str, pd.DataFrame]:
    """A comparison in the layers, fields and words of a schema.

    Parameters
    ----------
    result
        The comparison, or objects that somebody has judged. Objects that are new are no damage sites and left out.
    schema
        One of `SCHEMAS`.

    Returns
    -------
    dict
        Name → table; geometries in longitude and latitude where the scene's CRS is known, as these packages have them.

    Raises
    ------
    OptionError
        If there is no such schema.
    """
    if schema not in SCHEMAS:
        raise OptionError(f"schema {schema!r}", expected=", ".join(SCHEMAS))
    writers: dict[str, Callable[[Comparison | Judged], dict[str, pd.DataFrame]]] = {
        "ems": _ems,
        "unosat": _unosat,
        "osm": _osm,
    }
    tables = writers[schema](result)
    return {name: to_degrees(table) for name, table in tables.items()}


def problems(layers: Mapping[str, pd.DataFrame], schema: str) -> list[str]:
    """What in some layers a schema does not know: layers, fields, values; empty if all is well.

    Examples
    --------
    >>> problems({"builtUpA": pd.DataFrame({"damage_gra": ["Broken"]})}, "ems")
    ["builtUpA.damage_gra: 'Broken' is no word of the schema"]
    """
    if schema not in SCHEMAS:
        raise OptionError(f"schema {schema!r}", expected=", ".join(SCHEMAS))
    found = []
    for name, table in layers.items():
        rule = SCHEMAS[schema].get(name)
        if rule is None:
            found.append(f"{name}: no layer of the schema")
            continue
        shape = table.geometry.name if isinstance(table, gpd.GeoDataFrame) else None
        for column in (each for each in table.columns if each != shape):
            single = _NUMBERED.sub("", str(column))  # of a second date and so on
            if single not in rule.fields:
                found.append(f"{name}.{column}: no field of the schema")
            elif single in rule.words:
                odd = [each for each in table[column].dropna().unique().tolist() if each not in rule.words[single]]
                found += [f"{name}.{column}: {each!r} is no word of the schema" for each in odd]
    return found


def ems_damage(status: str, grade: Any, score: float) -> str:
    """Word of Copernicus EMS for what became of an object.

    Examples
    --------
    >>> ems_damage("changed", "major", 0.8), ems_damage("changed", "major", 0.4), ems_damage("unseen", None, 1.0)
    ('Damaged', 'Possibly damaged', 'Not Analysed')
    """
    if status == "unseen":
        return "Not Analysed"
    if status == "gone" or (grade == "destroyed" and score >= SURE):
        return "Destroyed"
    if grade == "none":
        return "No visible damage"
    return "Damaged" if grade == "major" and score >= SURE else "Possibly damaged"


def unosat_class(status: str, grade: Any, score: float) -> int:
    """Damage class of UNOSAT for what became of an object that was seen.

    Examples
    --------
    >>> unosat_class("gone", "destroyed", 0.9), unosat_class("changed", "minor", 0.3), unosat_class("kept", "none", 0.9)
    (1, 4, 6)
    """
    if status == "gone":
        return 1
    if grade == "none":
        return 6
    return {"destroyed": 1, "major": 2, "minor": 3}[grade] if score >= SURE else 4


def _judged(result: Comparison | Judged, *, unseen: bool) -> gpd.GeoDataFrame:
    """Known objects, those that were not seen only if asked for."""
    left_out = ("new",) if unseen else ("new", "unseen")
    found = result.change[~result.change["status"].isin(left_out)]
    return gpd.GeoDataFrame(found.reset_index(drop=True))


def _told(table: gpd.GeoDataFrame, word: Callable[[str, Any, float], Any]) -> list[Any]:
    columns = (table["status"], table["grade"], table["grade_score"])
    return [word(*row) for row in zip(*columns, strict=True)]


def _ems(result: Comparison | Judged) -> dict[str, pd.DataFrame]:
    known = _judged(result, unseen=True)
    n = len(known)
    built = {
        "obj_type": ["11-Residential Buildings"] * n if "obj_type" not in known else known["obj_type"].tolist(),
        "name": known["name"].astype(str).tolist() if "name" in known else [UNKNOWN] * n,
        "info": known["source_id"].astype(str).tolist(),
        "simplified": [UNKNOWN] * n,
        "damage_gra": _told(known, ems_damage),
        "det_method": ["Automatic extraction"] * n,
        "notation": ["Building block"] * n,
        "or_src_id": [1] * n,
        "dmg_src_id": [2] * n,
        "cd_value": known["grade_score"].tolist(),
        "real": ["Yes"] * n,
    }
    layers: dict[str, pd.DataFrame] = {"builtUpA": _geo(built, known)}
    if result.extent is not None:
        events = result.extent
        layers["observedEventA"] = _geo(
            {
                "event_type": [EMS_EVENTS.get(each, UNKNOWN) for each in events["event"]],
                "obj_desc": events["class"].tolist(),
                "det_method": ["Semi-automatic extraction"] * len(events),
                "notation": [EMS_NOTATION.get(each, UNKNOWN) for each in events["event"]],
                "dmg_src_id": [2] * len(events),
                "area": events["area_ha"].tolist(),
            },
            events,
        )
    gaps = result.not_analysed
    layers["notAnalysedA"] = _geo({"obj_desc": gaps["reason"].tolist(), "or_src_id": [2] * len(gaps)}, gaps)
    return layers | {"source": _ems_source(result)}


def _ems_source(result: Comparison | Judged) -> pd.DataFrame:
    table = result.source
    moments = [pd.to_datetime(each, errors="coerce", utc=True) for each in table["date"]]
    return pd.DataFrame(
        {
            "source_nam": table["name"],
            "src_date": [UNKNOWN if pd.isna(each) else each.strftime("%d/%m/%Y") for each in moments],
            "source_tm": [UNKNOWN if pd.isna(each) else each.strftime("%H:%M:%SZ") for each in moments],
            "sensor_gsd": [f"{each:.1f} m" for each in table["gsd_m"]],
            "eventphase": table["phase"],
            "src_id": table["src_id"],
        }
    )


def _unosat(result: Comparison | Judged) -> dict[str, pd.DataFrame]:
    known = _judged(result, unseen=False)
    codes = _told(known, unosat_class)
    date = result.source["date"].iloc[1]
    sites = {
        "Site_ID": known["source_id"].astype(str).tolist(),
        "SensorDate": [date] * len(known),
        "Main_Damage_Site_Class": codes,
        "Damage_Status": [UNOSAT_CLASSES[code] for code in codes],
        "Grouped_Damage_Classes": [UNOSAT_CLASSES[code] for code in codes],
    }
    layers: dict[str, pd.DataFrame] = {"damage_sites": _geo(sites, known)}
    if result.extent is not None:
        events = result.extent
        own = {"SensorDate": [date] * len(events), "Event_Type": events["event"].tolist()}
        own |= {"Area_ha": events["area_ha"].tolist(), "Confidence": events["confidence"].tolist()}
        layers["event_extent"] = _geo(own, events)
    return layers


def _osm(result: Comparison | Judged) -> dict[str, pd.DataFrame]:
    known = _judged(result, unseen=False)
    gone = (known["status"] == "gone").tolist()
    fallen = [grade == "destroyed" and not out for grade, out in zip(known["grade"], gone, strict=True)]
    table = {
        "osm_id": known["source_id"].tolist(),
        "building": [None if out else "collapsed" if down else "yes" for out, down in zip(gone, fallen, strict=True)],
        "destroyed:building": ["yes" if out else None for out in gone],
        "damage:grade": [None if each == "none" else each for each in known["grade"]],
        "damage:score": known["grade_score"].tolist(),
        "source:date": [result.source["date"].iloc[1]] * len(known),
    }
    return {"buildings": _geo(table, known)}


def _geo(columns: dict[str, list[Any]], frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    table = pd.DataFrame(columns)
    if table.empty:  # no value says of what type a field is
        table = table.astype({name: _NUMBERS.get(name, "str") for name in columns})
    return gpd.GeoDataFrame(table, geometry=list(frame.geometry), crs=frame.crs)


def to_degrees(table: pd.DataFrame) -> pd.DataFrame:
    """A layer in longitude and latitude; one without a CRS, and a table, as they are."""
    if isinstance(table, gpd.GeoDataFrame) and table.crs is not None:
        return table.to_crs(4326)
    return table
