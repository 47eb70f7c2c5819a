"""Proportions of an area estimated from a probability sample, with standard errors and intervals.

All are ratios of totals over strata (Stehman 2014, *International Journal of Remote Sensing* 35:4923–4939): of a value
`y` to a value `x` that each sampled place has. A plain proportion has ``x = 1`` everywhere. Where the strata are the
map's classes, this is what Olofsson et al. (2014, *Remote Sensing of Environment* 148:42–57) give, equations 5 to 11.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri

from geosam.errors import LandcoverError

DESIGNS = ("stratified", "simple", "poststratified")
"""How places were drawn: so many in each stratum; anywhere on the map; the same, and sorted into strata after."""


@dataclass(frozen=True)
class Estimate:
    """A proportion, and how sure it is.

    Attributes
    ----------
    value
        The proportion, NaN if no sampled place says anything about it.
    se
        Its standard error.
    low, high
        Its confidence interval, within [0, 1].
    interval
        ``normal``, or ``wilson`` where the standard error is 0 because all sampled places agree: that is no certainty.
    """

    value: float
    se: float
    low: float
    high: float
    interval: str = "normal"


@dataclass(frozen=True)
class Sample:
    """Places of a probability sample, sorted into strata.

    Attributes
    ----------
    stratum
        Number of each place's stratum.
    sizes
        Area of each stratum.
    design
        One of `DESIGNS`.
    confidence
        Share of samples whose interval holds the truth.

    Raises
    ------
    LandcoverError
        If a stratum has too few places to say how much they vary.
    """

    stratum: Int[np.ndarray, "n"]
    sizes: Float[np.ndarray, "s"]
    design: str = "stratified"
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.design not in DESIGNS:
            raise LandcoverError(f"design={self.design!r}", expected=" or ".join(map(repr, DESIGNS)))
        if not 0 < self.confidence < 1:
            raise LandcoverError(f"confidence={self.confidence}", expected="a share between 0 and 1, such as 0.95")
        if not (np.isfinite(self.sizes).all() and (self.sizes >= 0).all() and self.sizes.sum() > 0):
            raise LandcoverError(
                f"areas {self.sizes.tolist()}", expected="areas of strata, 0 or more, and some of them more"
            )
        few = np.flatnonzero((self.counts < 2) & (self.sizes > 0))
        if len(few):
            number = int(few[0])
            raise LandcoverError(
                f"stratum {number + 1} of {len(self.sizes)} with {self.counts[number]} labelled places",
                expected="at least 2 in each stratum",
                hint="label more there, or join it with another stratum",
            )

    @property
    def counts(self) -> Int[np.ndarray, "s"]:
        """Number of places in each stratum."""
        return np.bincount(self.stratum, minlength=len(self.sizes))

    @property
    def z(self) -> float:
        """Standard errors on either side of a value that its interval reaches; 1.96 for 95 %, as the papers have it."""
        return 1.96 if self.confidence == 0.95 else float(ndtri(0.5 + self.confidence / 2))

    def share(self, y: np.ndarray) -> Estimate:
        """The share of the whole area where `y` is true."""
        return self.ratio(y, np.ones(len(y), bool))

    def ratio(self, y: np.ndarray, x: np.ndarray) -> Estimate:
        """The share of the area where `x` is true that has `y` true as well; both hold a yes or no for each place."""
        mean_y, mean_x = self._means(y), self._means(x)
        whole = float(self.sizes @ mean_x)
        if whole == 0:
            return Estimate(np.nan, np.nan, np.nan, np.nan, "none")
        value = float(self.sizes @ mean_y) / whole
        se = float(np.sqrt(self._variance(y - value * x))) / whole
        return self._estimate(value, se, int(np.count_nonzero(x)))

    def _means(self, values: np.ndarray) -> np.ndarray:
        sums = np.bincount(self.stratum, values, len(self.sizes))
        return np.divide(sums, self.counts, out=np.zeros(len(self.sizes)), where=self.counts > 0)

    def _variance(self, residual: np.ndarray) -> float:
        """Variance of an estimated total; strata are so large that a sample takes nothing away from them."""
        counts = self.counts
        off = residual - self._means(residual)[self.stratum]
        spread = np.bincount(self.stratum, off**2, len(self.sizes)) / np.maximum(counts - 1, 1)
        if self.design != "poststratified":
            return float((self.sizes**2 * spread / np.maximum(counts, 1)).sum())
        n, total = len(residual), self.sizes.sum()
        weights = self.sizes / total
        # Cochran (1977), Sampling Techniques, eq. 5A.42: the second sum is for the numbers of places being chance
        return float(total**2 * ((weights * spread).sum() / n + ((1 - weights) * spread).sum() / n**2))

    def _estimate(self, value: float, se: float, n: int) -> Estimate:
        if se > 1e-12:
            return Estimate(value, se, max(value - self.z * se, 0.0), min(value + self.z * se, 1.0))
        return Estimate(value, se, *wilson(value, n, self.z), "wilson")


def wilson(value: float, n: int, z: float) -> tuple[float, float]:
    """The interval of a proportion of `n` places (Wilson 1927); it has a width also where all of them agree.

    Examples
    --------
    >>> low, high = wilson(1.0, 50, 1.96)
    >>> round(low, 3), high
    (0.929, 1.0)
    """
    value = min(max(round(value, 12), 0.0), 1.0)  # sums of shares miss 1 by rounding
    middle = (value + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(value * (1 - value) / n + z * z / (4 * n * n))
    return 0.0 if value == 0 else float(middle - half), 1.0 if value == 1 else float(middle + half)
