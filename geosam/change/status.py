"""What became of each object: kept, changed, gone, new, or not seen."""

from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Float32, Float64

from geosam.change.damage import FATES, OrdinalModel, level_of
from geosam.change.measures import Measured
from geosam.change.prevalence import with_prevalence
from geosam.errors import OptionError

STATUSES = (*FATES, "new", "unseen")
"""All that a status can be."""

MOST_UNSEEN = 0.5
"""Share of an object that may be hidden for anything to be said of it. With half of a roof under a cloud, what damage
there is lies as often under it as beside it."""


@dataclass(frozen=True, eq=False)
class Fates:
    """What became of *n* objects.

    Attributes
    ----------
    status
        One of `STATUSES` for each.
    score
        Probability of that status; for unseen ones the share that is hidden.
    probabilities
        Of kept, changed, gone; NaN for unseen ones.
    """

    status: np.ndarray
    score: Float32[np.ndarray, "n"]
    probabilities: Float64[np.ndarray, "n 3"]

    def __post_init__(self) -> None:
        unknown = sorted(set(self.status.tolist()) - set(STATUSES))
        if unknown:
            raise OptionError(f"status {unknown[0]!r}", expected=", ".join(STATUSES))


def tell_fates(measured: Measured, model: OrdinalModel) -> Fates:
    """Tell from measures what became of objects of a pair; how many have changed is found out from all of them.

    Parameters
    ----------
    measured
        What was measured of them.
    model
        Of the levels `FATES`.

    Raises
    ------
    OptionError
        If the model has other levels.
    """
    if model.levels != FATES:
        raise OptionError(f"a model of {', '.join(model.levels)}", expected=f"one of {', '.join(FATES)}")
    hidden = is_hidden(measured)
    probabilities = probabilities_of(measured.values, ~hidden, model)
    level = level_of(probabilities)
    status = np.array(FATES, object)[level]
    score = np.take_along_axis(probabilities, level[:, None], axis=1)[:, 0].astype(np.float32)
    status[hidden], score[hidden], probabilities[hidden] = "unseen", measured.unseen[hidden], np.nan
    return Fates(status, score, probabilities)


def probabilities_of(
    values: Float32[np.ndarray, "n m"], seen: np.ndarray, model: OrdinalModel
) -> Float64[np.ndarray, "n k"]:
    """Probabilities of a model's levels; those of objects that were seen by the share of them that is damaged."""
    found = model.probabilities(values)
    found[seen], _ = with_prevalence(found[seen], model)
    return found


def is_hidden(measured: Measured) -> np.ndarray:
    """Objects of which too little is seen for anything to be said."""
    return (measured.unseen > MOST_UNSEEN) | ~np.isfinite(measured.values[:, 0])


def free_of(candidates_px: np.ndarray, known_px: np.ndarray, *, most: float) -> np.ndarray:
    """Which polygons share at most a part of their area with known ones.

    Examples
    --------
    >>> known = np.array([shapely.box(0, 0, 2, 2)])
    >>> free_of(np.array([shapely.box(1, 0, 3, 2), shapely.box(5, 5, 6, 6)]), known, most=0.2).tolist()
    [False, True]
    """
    tree = shapely.STRtree(known_px)
    taken = np.zeros(len(candidates_px))
    for each, known in tree.query(candidates_px).T:
        taken[each] += float(shapely.area(shapely.intersection(candidates_px[each], known_px[known])))
    return taken <= most * np.maximum(shapely.area(candidates_px), 1e-9)
