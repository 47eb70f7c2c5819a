"""Segments and samples in, a class for each segment out."""

from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from geosam.errors import LandcoverError
from geosam.features import FeatureOptions, measure_features
from geosam.landcover.forest import portable
from geosam.landcover.learning import default_estimator, fresh, importance_of
from geosam.landcover.legend import UNKNOWN, Legend
from geosam.landcover.model import LandcoverModel
from geosam.landcover.samples import Labelled, label_segments, read_samples
from geosam.landcover.validation import Validation, cross_validate
from geosam.scene import Scene

MIN_MARGIN = 0.05
"""Margin below which a class is *unknown*: another seed of the default estimator moves a margin by 0.04."""

COLUMNS = {"class": "str", "class_code": "int32", "probability": "float32", "margin": "float32", "sampled": "bool"}
"""Columns that classified segments have beside their own.

===============  ==========================================================================
column           meaning
===============  ==========================================================================
class            name of the class, or *unknown*
class_code       its code in the legend, or the legend's code for *unknown*
probability      of the likeliest class, in [0, 1]
margin           how far that is ahead of the second likeliest
sampled          whether samples lie in the segment; it keeps the class that they say
===============  ==========================================================================
"""


@dataclass(frozen=True)
class ClassifyOptions:
    """How segments are classified.

    Attributes
    ----------
    min_margin
        Least margin of a class; with less a segment is *unknown*. 0 for a class in any case.
    block
        Side of the blocks of cross-validation in units of the CRS; None: a fifth of the samples' extent.
    bands_as
        Roles of the bands, as in `geosam.features.FeatureOptions`.
    recognition
        Whether the recognition network looks at the scene as well, which tells bare fields from roofs.
    scene_shares
        Whether probabilities are told by the shares that classes have in the scene, found out from the scene
        (`geosam.landcover.priors`); with the default estimator alone, which takes all classes for as likely.
    validate
        Whether to cross-validate, which takes five times the learning.
    """

    min_margin: float | int = MIN_MARGIN
    block: float | int | None = None
    bands_as: str | None = None
    recognition: bool = True
    scene_shares: bool = True
    validate: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.min_margin < 1:
            raise LandcoverError(f"min_margin={self.min_margin}", expected="0 or more, and less than 1")
        if self.block is not None and not 0 < self.block < float("inf"):
            raise LandcoverError(f"block={self.block}", expected="a side in units of the CRS, more than 0")

    @property
    def features(self) -> FeatureOptions:
        """What is measured of the segments."""
        return FeatureOptions(self.bands_as, self.recognition)


@dataclass(frozen=True, eq=False)
class Classification:
    """Classified segments, and how they came about.

    Attributes
    ----------
    segments
        The segments with the columns of `COLUMNS`.
    model
        What was learned.
    features
        The segments' features.
    labelled
        The segments with samples.
    validation
        Cross-validation by blocks; None if it was not asked for.
    importance
        How much each feature matters, largest first; they sum to 1.
    """

    segments: gpd.GeoDataFrame
    model: LandcoverModel
    features: pd.DataFrame
    labelled: Labelled
    validation: Validation | None
    importance: pd.Series

    @property
    def legend(self) -> Legend:
        """The classes."""
        return self.model.legend

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know of the result, one sentence each."""
        said = self.validation.note if self.validation is not None else ""
        return (*self.labelled.notes, *([said] if said else []))


def classify(
    segments: gpd.GeoDataFrame,
    samples: Any,
    label: str = "class",
    *,
    scene: Scene | None = None,
    features: pd.DataFrame | None = None,
    legend: Legend | str | None = None,
    estimator: Any = None,
    options: ClassifyOptions | None = None,
    layer: str | int | None = None,
    crs: Any = None,
) -> Classification:
    """Give each segment the class of the samples that it is like.

    Parameters
    ----------
    segments
        Polygons, as ``geosam.segment(scene, coverage=True)`` gives them.
    samples
        Points or polygons of known class: a vector file or a GeoDataFrame, in any CRS.
    label
        Their column with the class, a name or a code of the legend.
    scene, features
        What the segments lie on, to be measured; or their features, as `geosam.features.measure_features` gives them.
    legend
        A `Legend`, the name of a known one or the path of one's own; None: the classes of the samples.
    estimator
        A scikit-learn classifier with ``predict_proba``; None: `geosam.landcover.learning.default_estimator`.
    options
        See `ClassifyOptions`.
    layer, crs
        Layer of the samples' file, and their CRS where the file does not say it.

    Returns
    -------
    Classification
        The segments with classes, and a model for other scenes.

    Raises
    ------
    LandcoverError
        If samples do not fit the segments or the legend, there are fewer than two classes, or scikit-learn is missing.
    """
    options = options or ClassifyOptions()
    known = None if legend is None else Legend.of(legend)
    given = read_samples(samples, label, layer=layer, crs=crs, into=segments.crs)
    labelled = label_segments(segments, given, label, known)
    table = _features(segments, scene, features, options)
    columns = tuple(table.columns)
    X = table.to_numpy(float)
    labelled = _measured(labelled, np.asarray(np.isfinite(X).all(axis=1)))
    blank = fresh(default_estimator(columns) if estimator is None else estimator)
    rows = X[labelled.rows]
    checked = cross_validate(blank, rows, labelled, options.block) if options.validate else None
    grown = fresh(blank).fit(rows, labelled.codes)
    fitted = portable(grown)
    facts = {"samples": labelled.counts, "estimator": type(blank).__name__}
    if checked is not None:
        facts |= {"cross_validation": checked.overall, "block": checked.block}
    least, shares = float(options.min_margin), options.scene_shares and estimator is None
    model = LandcoverModel(fitted, columns, labelled.legend, least, options.bands_as, facts, shares)
    importance = pd.Series(importance_of(grown, columns, rows, labelled.codes), name="importance")
    return Classification(with_classes(segments, table, model, labelled), model, table, labelled, checked, importance)


def with_classes(
    segments: gpd.GeoDataFrame, features: pd.DataFrame, model: LandcoverModel, labelled: Labelled | None = None
) -> gpd.GeoDataFrame:
    """Segments with the columns of `COLUMNS`, classified by a model; those with samples keep what the samples say."""
    found = model.predict(features)
    codes, sampled = found.codes.copy(), np.zeros(len(segments), bool)
    if labelled is not None:
        codes[labelled.rows], sampled[labelled.rows] = labelled.codes, True
    names = dict(zip(model.legend.codes, model.legend.names, strict=True))
    columns = {
        "class": [names.get(code, UNKNOWN) for code in codes.tolist()],
        "class_code": codes,
        "probability": found.probability,
        "margin": found.margin,
        "sampled": sampled,
    }
    own = segments.drop(columns=[name for name in COLUMNS if name in segments.columns])
    typed = {name: pd.Series(values, index=own.index).astype(COLUMNS[name]) for name, values in columns.items()}
    geometry = own.geometry.name
    out = own.drop(columns=geometry).assign(**typed)
    return gpd.GeoDataFrame(out, geometry=own.geometry, crs=own.crs)


def _features(
    segments: gpd.GeoDataFrame, scene: Scene | None, features: pd.DataFrame | None, options: ClassifyOptions
) -> pd.DataFrame:
    if (scene is None) == (features is None):
        raise LandcoverError(
            "classify without scene= or features=" if scene is None else "classify with both scene= and features=",
            expected="one of them",
            hint="geosam.features.measure_features(segments, scene) gives features to use again",
        )
    if features is None:
        return measure_features(segments, scene, options.features)  # pyright: ignore[reportArgumentType]  # one is given
    if len(features) != len(segments):
        raise LandcoverError(f"{len(features)} rows of features for {len(segments)} segments", expected="one for each")
    return features


def _measured(labelled: Labelled, known: np.ndarray) -> Labelled:
    """The labelled segments that have features.

    Raises
    ------
    LandcoverError
        If they are of fewer than two classes.
    """
    kept = known[labelled.rows]
    notes = labelled.notes
    if not kept.all():
        notes = (*notes, f"{int((~kept).sum())} segments with samples hold no data")
    found = Labelled(labelled.rows[kept], labelled.codes[kept], labelled.xy[kept], labelled.legend, notes)
    if len(np.unique(found.codes)) < 2:
        raise LandcoverError(
            f"samples of {', '.join(found.counts) or 'no class'}", expected="samples of at least two classes"
        )
    return found
