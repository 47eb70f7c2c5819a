"""Which segment to label next: where little is known, much ground is at stake, and no other suggestion is alike."""

import geopandas as gpd
import numpy as np

from geosam.errors import LandcoverError
from geosam.landcover.classify import Classification

POOL = 20
"""Segments that are looked at for each that is suggested."""


def suggest(classification: Classification, count: int = 10) -> gpd.GeoDataFrame:
    """The segments whose class, if you said it, would help most.

    Those of the least margin weighted by the root of their area are looked at; of these each suggestion is the one
    least like the labelled segments and the suggestions before it (core sets, Sener and Savarese 2018).

    Parameters
    ----------
    classification
        What `geosam.landcover.classify` gave.
    count
        How many.

    Returns
    -------
    GeoDataFrame
        Those segments, the most helpful first, with a column ``doubt`` in [0, 1]: 1 where two classes are as likely.

    Raises
    ------
    LandcoverError
        If `count` is not positive.
    """
    if count < 1:
        raise LandcoverError(f"count={count}", expected="at least one")
    segments = classification.segments
    X = classification.features.to_numpy(float)
    open_rows = np.flatnonzero(np.isfinite(X).all(axis=1) & ~segments["sampled"].to_numpy())
    doubt = 1 - segments["margin"].to_numpy(float)
    area = segments.geometry.area.to_numpy()
    gain = doubt * np.sqrt(area / max(area.sum(), 1e-300))
    pool = open_rows[np.argsort(-gain[open_rows], kind="stable")][: POOL * count]
    scaled = _scaled(X, classification)
    away = np.full(len(pool), np.inf)
    for row in classification.labelled.rows:
        away = np.minimum(away, np.linalg.norm(scaled[pool] - scaled[row], axis=1))
    chosen: list[int] = []
    for _ in range(min(count, len(pool))):
        best = int(np.argmax(np.round(away * gain[pool], 15)))
        chosen.append(int(pool[best]))
        away = np.minimum(away, np.linalg.norm(scaled[pool] - scaled[pool[best]], axis=1))
    return segments.iloc[chosen].assign(doubt=doubt[chosen].astype(np.float32))


def _scaled(X: np.ndarray, classification: Classification) -> np.ndarray:
    """Features in units of their spread, each as far as it matters for the classes."""
    known = np.asarray(np.isfinite(X).all(axis=1))
    middle, spread = np.median(X[known], axis=0), X[known].std(axis=0)
    weight = np.sqrt(classification.importance.loc[list(classification.features.columns)].to_numpy(float))
    return np.where(known[:, None], (X - middle) / np.maximum(spread, 1e-12), 0) * weight
