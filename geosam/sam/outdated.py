"""Specifications as earlier versions wrote them: what they say that nothing reads any longer is left out."""

import logging
from collections.abc import Mapping
from typing import Any

from geosam.rules import FLAG, SHARE, Rule, check, number, whole

FIELDS: Mapping[str, Rule] = {"object_px": number(0, 65_536)}
"""Fields of a specification that are gone."""

THRESHOLDS: Mapping[str, Rule] = {
    "spare": FLAG,
    "sure": SHARE,
    "batch": whole(1, 65_536),
    "min_area_px": number(0, float("inf")),
    "max_area_px": number(0, float("inf")),
}
"""Entries of its ``thresholds`` that are gone."""

IDLE: Mapping[str, Any] = {"object_px": 0, "spare": False, "min_area_px": 0, "max_area_px": float("inf")}
"""Values at which they changed nothing; the others never changed what is found, or only beside these."""

log = logging.getLogger(__name__)


def without_outdated(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is gone; where it changed what was found, that is said in one line.

    Raises
    ------
    OptionError
        If what is gone has a value that it never could have.

    Examples
    --------
    >>> without_outdated({"name": "mine", "object_px": 0.0, "thresholds": {"passes": 1, "spare": False}})
    {'name': 'mine', 'thresholds': {'passes': 1}}
    """
    kept = _without(values, FIELDS)
    if isinstance(kept.get("thresholds"), Mapping):
        kept["thresholds"] = _without(kept["thresholds"], THRESHOLDS)
    return kept


def _without(values: Mapping[str, Any], gone: Mapping[str, Rule]) -> dict[str, Any]:
    former = {name: value for name, value in values.items() if name in gone}
    check(former, gone)
    for name, value in former.items():
        if value != IDLE.get(name, value):
            log.warning("%s=%r of these weights is outdated: nothing reads it any longer", name, value)
    return {name: value for name, value in values.items() if name not in gone}
