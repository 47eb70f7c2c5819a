"""How well classes are told apart where nothing was learned: cross-validation by blocks of ground.

Neighbouring samples are alike, so that leaving out single ones asks for what is known already (Roberts et al. 2017,
*Ecography* 40:913–929). Here whole blocks are left out. The result tells estimators and features apart; it is no
estimate of the map's accuracy, unless the samples are a probability sample: `geosam.landcover.accuracy` is.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from geosam.landcover.learning import fresh
from geosam.landcover.samples import Labelled

FOLDS = 5
"""Parts that are left out in turn."""

BLOCKS = 5
"""Blocks along the longer side of what the samples cover, if no size of blocks is given: 25 make five even folds."""


@dataclass(frozen=True, eq=False)
class Validation:
    """What came out when each block was classified by what was learned from the others.

    Attributes
    ----------
    matrix
        Numbers of segments: rows the class that was found, columns the one that was said.
    overall
        Share that was right; NaN if there was nothing to leave out.
    classes
        ``users``, ``producers``, ``f1`` and ``n`` of each class.
    folds, block
        Number of parts, and side of a block in units of the CRS.
    found
        Code that was found for each labelled segment, -1 where none was.
    note
        What to know when reading it.
    """

    matrix: pd.DataFrame
    overall: float
    classes: pd.DataFrame
    folds: int
    block: float
    found: np.ndarray
    note: str = ""


def spatial_folds(xy: np.ndarray, codes: np.ndarray, block: float | None = None) -> tuple[np.ndarray, float]:
    """The part that each sample is left out with: whole blocks, so that parts have classes in like numbers.

    Returns
    -------
    Part of each sample, 0 to `FOLDS` - 1 at most; and the side of a block, in units of the coordinates.
    """
    extent = float(np.ptp(xy, axis=0).max()) if len(xy) else 0.0
    side = block or max(extent / BLOCKS, 1e-9)
    cells = np.floor((xy - xy.min(axis=0)) / side).astype(np.int64)
    _, blocks = np.unique(cells, axis=0, return_inverse=True)
    blocks = blocks.ravel()
    classes, column = np.unique(codes, return_inverse=True)
    counts = np.zeros((blocks.max() + 1, len(classes)), np.int64)
    np.add.at(counts, (blocks, column), 1)
    folds = min(FOLDS, len(counts))
    held, part = np.zeros((folds, len(classes))), np.zeros(len(counts), np.int64)
    share = counts.sum(axis=0)
    for row in np.lexsort((np.arange(len(counts)), -counts.sum(axis=1))):  # the fullest first, each where it evens most
        after = ((held[None] + np.eye(folds)[:, :, None] * counts[row]) / share).var(axis=1).mean(axis=1)
        part[row] = int(np.argmin(np.round(after, 12)))
        held[part[row]] += counts[row]
    return part[blocks], side


def cross_validate(estimator: Any, X: np.ndarray, labelled: Labelled, block: float | None = None) -> Validation:
    """Classify each block by what is learned from the others.

    Parameters
    ----------
    estimator
        Unfitted.
    X
        Features of the labelled segments.
    labelled
        Their classes and places.
    block
        Side of a block in units of the CRS; None: a fifth of the samples' extent.
    """
    part, side = spatial_folds(labelled.xy, labelled.codes, block)
    found = np.full(len(X), -1, np.int64)
    unseen: set[int] = set()
    for fold in np.unique(part):
        held = part == fold
        learned = np.unique(labelled.codes[~held])
        unseen |= set(labelled.codes[held].tolist()) - set(learned.tolist())
        if len(learned) < 2:
            continue
        fitted = fresh(estimator).fit(X[~held], labelled.codes[~held])
        found[held] = fitted.classes_[fitted.predict_proba(X[held]).argmax(axis=1)]
    names = dict(zip(labelled.legend.codes, labelled.legend.names, strict=True))
    lost = ", ".join(names[code] for code in sorted(unseen))
    note = f"all samples of {lost} lie in one block: nothing else is there to learn them from" if lost else ""
    return _validation(labelled, found, int(part.max(initial=0)) + 1, side, note=note)


def _validation(labelled: Labelled, found: np.ndarray, folds: int, side: float, *, note: str) -> Validation:
    codes = [code for code in labelled.legend.codes if code in labelled.codes]
    names = [labelled.legend.names[labelled.legend.codes.index(code)] for code in codes]
    at = {code: place for place, code in enumerate(codes)}
    known = found >= 0
    counts = np.zeros((len(codes), len(codes)), int)
    rows, columns = ([at[code] for code in each[known].tolist()] for each in (found, labelled.codes))
    np.add.at(counts, (rows, columns), 1)
    right, mapped, said = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        table = {"n": said, "users": right / mapped, "producers": right / said, "f1": 2 * right / (mapped + said)}
        overall = float(right.sum() / counts.sum()) if counts.sum() else float("nan")
    matrix = pd.DataFrame(counts, pd.Index(names, name="found"), pd.Index(names, name="said"))
    classes = pd.DataFrame(table, index=pd.Index(names, name="class"))
    if not counts.sum():
        note = "the samples lie in one block: nothing can be left out"
    return Validation(matrix, overall, classes, folds, side, found, note)
