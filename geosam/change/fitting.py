"""Damage grades learned from a place's own labels: `fit`."""

from typing import Any

import numpy as np
import pandas as pd

from geosam.change.damage import FATES, GRADES, OrdinalModel, fit_ordinal
from geosam.change.measures import MEASURES
from geosam.change.result import Comparison
from geosam.errors import OptionError

WORDS = {
    "no-damage": "none",
    "no damage": "none",
    "no_damage": "none",
    "intact": "none",
    "minor-damage": "minor",
    "minor_damage": "minor",
    "major-damage": "major",
    "major_damage": "major",
}
"""Other words for grades that labels come with (xBD, SKAI)."""


def fit(
    change: Comparison | pd.DataFrame, labels: Any, *, column: str = "grade", id_column: str = "source_id"
) -> OrdinalModel:
    """Fit a model of damage to labelled objects of a comparison; takes a moment, since all is measured already.

    Parameters
    ----------
    change
        A comparison, its layer `change`, or the layers of several below each other.
    labels
        Id → label: a dictionary, a Series, or a table with `id_column` and `column`. Labels are the words of the Joint
        Damage Scale (none, minor, major, destroyed), or 0 to 3; or kept, changed, gone for a model of fates.
    column, id_column
        Columns of a table of labels.

    Returns
    -------
    OrdinalModel
        For `compare(grades=...)`, or ``fates=`` if labels are kept, changed, gone; `write` keeps it.

    Raises
    ------
    OptionError
        If a label is not understood, an id is not in the comparison, or there are fewer than 20 labels.
    """
    table = change.change if isinstance(change, Comparison) else change
    told = _labels(labels, column, id_column)
    known = {str(each): row for row, each in enumerate(table["source_id"]) if not pd.isna(each)}
    absent = [each for each in told if each not in known]
    if absent:
        raise OptionError(
            f"{len(absent)} labels of objects that were not compared, such as {absent[0]!r}",
            expected="ids as in the column source_id of the layer `change`",
        )
    levels = FATES if any(word in FATES for word in told.values()) else GRADES
    odd = next((word for word in told.values() if word not in levels), None)
    if odd is not None:
        raise OptionError(f"label {odd!r}", expected=f"one of {', '.join(levels)}, or 0 to {len(levels) - 1}")
    rows = table.iloc[[known[each] for each in told]]
    values = rows[list(MEASURES)].to_numpy(np.float32, copy=True)
    values[(rows["status"] == "unseen").to_numpy()] = np.nan
    grades = np.array([levels.index(word) for word in told.values()], np.int64)
    trust = "fitted on labels of this place; other places and events may differ"
    return fit_ordinal(values, grades, levels, origin={"fitted on": "labels", "trust": trust})


def _labels(labels: Any, column: str, id_column: str) -> dict[str, str]:
    """Id as text → word."""
    if isinstance(labels, pd.DataFrame):
        missing = [name for name in (id_column, column) if name not in labels]
        if missing:
            raise OptionError(f"labels without a column {missing[0]!r}", expected="a table with an id and a label")
        labels = dict(zip(labels[id_column], labels[column], strict=True))
    found = {}
    for key, value in dict(labels).items():
        if value is None or (isinstance(value, float) and np.isnan(value)):
            continue
        word = str(value).strip().lower()
        found[str(key)] = GRADES[int(word)] if word in ("0", "1", "2", "3") else WORDS.get(word, word)
    return found
