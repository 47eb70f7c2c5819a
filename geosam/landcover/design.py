"""How many places to label, and in which class: a stratified random sample of a map.

The size follows from the accuracies that are expected (Cochran 1977, *Sampling Techniques*, eq. 5.25; Olofsson et al.
2014, eq. 13): ``n = (Σ Wᵢ Sᵢ / S(Ô))²`` with ``Sᵢ = √(Uᵢ (1 − Uᵢ))``, where S(Ô) is a *standard error*, about half of
the ± of a 95 % interval.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from geosam.errors import LandcoverError

log = logging.getLogger(__name__)

ALLOCATIONS = ("balanced", "proportional", "equal", "neyman")
"""How places are shared out: ``balanced`` (a least number for each class, the rest by area, as Olofsson et al. advise),
``proportional`` to area, ``equal``, or ``neyman`` (by area and spread: best for overall accuracy alone)."""

LEAST = 50
"""Places of a class at least, where they are balanced: 50 to 100 are advised for rare classes."""

EXPECTED = 0.8
"""User's accuracy of a class of which nothing is known."""


@dataclass(frozen=True)
class DesignOptions:
    """What is expected of the map, and what is wanted of the sample.

    Attributes
    ----------
    users
        Expected user's accuracy of each class, or one for all.
    se_overall
        Wanted standard error of overall accuracy; 0.01 is ± 2 %.
    se_users
        Wanted standard error of each class's user's accuracy; None: what comes of it.
    allocation
        One of `ALLOCATIONS`.
    least
        Places of each class at least; fewer if `total` is too small for that.
    total
        Number of places, instead of what follows from `se_overall`.
    """

    users: Mapping[Any, float] | float = EXPECTED
    se_overall: float = 0.01
    se_users: float | None = None
    allocation: str = "balanced"
    least: int = LEAST
    total: int | None = None

    def __post_init__(self) -> None:
        if self.allocation not in ALLOCATIONS:
            raise LandcoverError(f"allocation={self.allocation!r}", expected=" or ".join(map(repr, ALLOCATIONS)))
        given = self.users.values() if isinstance(self.users, Mapping) else [self.users]
        odd = next((one for one in given if not 0 < one < 1), None)
        if odd is not None:
            raise LandcoverError(f"expected user's accuracy {odd}", expected="a share between 0 and 1")
        for name in ("se_overall", "se_users"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 0.5:
                raise LandcoverError(f"{name}={value}", expected="a standard error between 0 and 0.5, such as 0.01")
        if self.least < 2 or (self.total is not None and self.total < 2):
            raise LandcoverError(f"least={self.least}, total={self.total}", expected="at least 2 places")


def sample_design(areas: Mapping[Any, float | int], options: DesignOptions | None = None) -> pd.DataFrame:
    """Say how many places of each class to label.

    Parameters
    ----------
    areas
        Area of each class on the map, in any unit.
    options
        See `DesignOptions`.

    Returns
    -------
    DataFrame
        Index `class`; ``area, weight, users`` (expected), ``n`` (places), ``se_users`` (what to expect of them);
        ``attrs`` has ``total`` and ``se_overall`` (what to expect).

    Raises
    ------
    LandcoverError
        If a class has no area, or no expected accuracy.

    Examples
    --------
    >>> areas = {"deforestation": 0.02, "gain": 0.015, "forest": 0.32, "other": 0.645}
    >>> users = {"deforestation": 0.7, "gain": 0.6, "forest": 0.9, "other": 0.95}
    >>> design = sample_design(areas, DesignOptions(users=users, least=75))
    >>> design.n.tolist(), design.attrs["total"]
    ([75, 75, 163, 328], 641)
    """
    options = options or DesignOptions()
    names = list(areas)
    sizes = np.array([float(areas[name]) for name in names])
    if not names or not np.isfinite(sizes).all() or (sizes <= 0).any():
        raise LandcoverError(f"areas {dict(areas)}", expected="an area above 0 for each class")
    if isinstance(options.users, Mapping):
        lacking = next((name for name in names if name not in options.users), None)
        if lacking is not None:
            raise LandcoverError(f"no expected user's accuracy of {lacking!r}", expected="one for each class")
        users = np.array([float(options.users[name]) for name in names])
    else:
        users = np.full(len(names), float(options.users))
    weights, spread = sizes / sizes.sum(), np.sqrt(users * (1 - users))
    total = options.total or int(np.ceil((weights @ spread / options.se_overall) ** 2 - 1e-9))
    counts = _allocated(total, weights, spread, options)
    if options.se_users is not None:
        counts = np.maximum(counts, np.ceil((spread / options.se_users) ** 2 - 1e-9).astype(int) + 1)
    if options.total is not None and counts.sum() > options.total:
        log.warning("total=%d gives %d places: at least two of each class", options.total, counts.sum())
    reached = float(np.sqrt((weights**2 * spread**2 / np.maximum(counts - 1, 1)).sum()))
    table = pd.DataFrame(
        {"area": sizes, "weight": weights, "users": users, "n": counts, "se_users": spread / np.sqrt(counts - 1)},
        index=pd.Index(names, name="class"),
    )
    table.attrs.update(total=int(counts.sum()), se_overall=reached)
    return table


def _allocated(total: int, weights: np.ndarray, spread: np.ndarray, options: DesignOptions) -> np.ndarray:
    """The places shared out; at least two for each class."""
    share = {"equal": np.ones(len(weights)), "neyman": weights * spread}.get(options.allocation, weights)
    if options.allocation != "balanced":
        return np.maximum(whole_shares(total, share), 2)
    fixed = np.zeros(len(weights), bool)
    least = options.least if options.total is None else min(options.least, max(total // len(weights), 2))
    while not fixed.all():  # classes whose share is below the least get that; the rest is shared out among the others
        left = max(total - least * int(fixed.sum()), 0)
        below = ~fixed & (left * weights / weights[~fixed].sum() < least)
        if not below.any():
            break
        fixed |= below
    counts = np.full(len(weights), least)
    if not fixed.all():
        counts[~fixed] = whole_shares(max(total - least * int(fixed.sum()), 0), weights[~fixed])
    return np.maximum(counts, 2)


def whole_shares(total: int, share: np.ndarray) -> np.ndarray:
    """A whole number shared out in proportion; the largest remainders are rounded up.

    Examples
    --------
    >>> whole_shares(10, np.array([1, 1, 1])).tolist()
    [4, 3, 3]
    """
    exact = total * share / share.sum()
    counts = np.floor(exact).astype(int)
    rest = total - int(counts.sum())
    counts[np.argsort(-(exact - counts), kind="stable")[:rest]] += 1
    return counts
