"""What was learned, to be applied to other scenes: an estimator with the features and the legend that it needs."""

import io
import json
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
import pandas as pd

from geosam.errors import LandcoverError
from geosam.features import RECOGNITION, FeatureOptions
from geosam.landcover.forest import Forest
from geosam.landcover.learning import require_sklearn
from geosam.landcover.legend import Legend
from geosam.landcover.priors import with_shares
from geosam.paths import check_regular

MODEL_FORMATS = (".geosam",)
"""Extension of a model's file."""

FORMAT = "geosam-landcover-1"
_FACTS, _FOREST, _OTHER = "model.json", "forest.npz", "estimator.skops"
_LARGEST = 1 << 30  # bytes of either; a forest of 400 trees has some megabytes
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Classes:
    """The classes of segments.

    Attributes
    ----------
    codes
        Code of each; `Legend.unknown` where the evidence is weak.
    probability
        Of the likeliest class; 0 where nothing is known of the segment.
    margin
        How far that is ahead of the second; 0 likewise.
    """

    codes: np.ndarray
    probability: np.ndarray
    margin: np.ndarray


@dataclass(frozen=True, eq=False)
class LandcoverModel:
    """A fitted estimator, the features that it wants, and the classes that it knows.

    Attributes
    ----------
    estimator
        Fitted; its ``classes_`` are codes of the legend.
    columns
        Names of features, in its order.
    legend
        The classes.
    min_margin
        Least margin of a class; with less a segment is *unknown*.
    bands_as
        Roles of bands that were given, for other scenes of the same kind.
    facts
        What is worth knowing: numbers of samples, cross-validation, version.
    scene_shares
        Whether probabilities are told by the shares that classes have in the scene that is classified, see
        `geosam.landcover.priors`.
    """

    estimator: Any
    columns: tuple[str, ...]
    legend: Legend
    min_margin: float = 0.0
    bands_as: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    scene_shares: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.min_margin < 1:
            raise LandcoverError(f"min_margin={self.min_margin}", expected="0 or more, and less than 1")

    @property
    def features(self) -> FeatureOptions:
        """What is to be measured of the segments of another scene."""
        return FeatureOptions(self.bands_as, any(name.startswith(RECOGNITION) for name in self.columns))

    def predict(self, features: pd.DataFrame) -> Classes:
        """Classify segments by their features.

        Raises
        ------
        LandcoverError
            If a feature is missing, as where a scene has other bands.
        """
        lacking = [name for name in self.columns if name not in features.columns]
        if lacking:
            shown = ", ".join(lacking[:6]) + (" …" if len(lacking) > 6 else "")
            raise LandcoverError(
                f"segments without {shown}",
                expected="the features that the model has learned from",
                hint="say which bands the scene has: bands_as= (--bands-as)",
            )
        X = features[list(self.columns)].to_numpy(float)
        known = np.isfinite(X).all(axis=1)
        codes = np.full(len(X), self.legend.unknown, np.int64)
        best, second = np.zeros(len(X)), np.zeros(len(X))
        if known.any():
            chances = np.asarray(self.estimator.predict_proba(X[known]), float)
            if self.scene_shares:
                chances, _ = with_shares(chances, _area(features)[known])
            order = np.sort(chances, axis=1)
            best[known] = order[:, -1]
            second[known] = order[:, -2] if order.shape[1] > 1 else 0
            codes[known] = np.asarray(self.estimator.classes_)[chances.argmax(axis=1)]
        margin = best - second
        return Classes(np.where(margin < self.min_margin, self.legend.unknown, codes), best, margin)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model: a zip file without pickle, that appears whole or not at all.

        It holds ``model.json`` and the estimator: a forest as ``forest.npz`` (see `geosam.landcover.forest.Forest`),
        any other as ``estimator.skops``. Equal models are equal bytes.

        Raises
        ------
        LandcoverError
            If the estimator has parts that skops cannot write, or the file cannot be written.
        """
        target = Path(path).absolute()
        data = self.to_bytes()
        try:
            with NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as part:
                part.write(data)
            os.replace(part.name, target)
        except OSError as error:
            hint = "choose another folder"
            raise LandcoverError(f"{path} cannot be written ({error.strerror})", hint=hint) from None
        return target

    def to_bytes(self) -> bytes:
        """The content of the file that `save` writes."""
        facts = {
            "format": FORMAT,
            "columns": self.columns,
            "legend": asdict(self.legend),
            "min_margin": self.min_margin,
            "bands_as": self.bands_as,
            "scene_shares": self.scene_shares,
            "facts": dict(self.facts),
        }
        is_forest = isinstance(self.estimator, Forest)
        name, data = (_FOREST, self.estimator.to_bytes()) if is_forest else (_OTHER, _dumped(self.estimator))
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
            for entry, content in ((_FACTS, json.dumps(facts, indent=1).encode()), (name, _dated(data))):
                archive.writestr(zipfile.ZipInfo(entry, _EPOCH), content, zipfile.ZIP_DEFLATED)
        return held.getvalue()

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, trusted: Sequence[str] = ()) -> "LandcoverModel":
        """Read a model; nothing in the file is run.

        Parameters
        ----------
        path
            A file of `save`.
        trusted
            Types beyond those that skops trusts itself, where the estimator is none of the default's kind.

        Raises
        ------
        LandcoverError
            If it is no such file, is damaged, or holds types that are not trusted.
        """
        facts, name, data = _parts(path)
        try:
            fitted = Forest.from_bytes(data) if name == _FOREST else _loaded(data, path, trusted)
            said = facts["legend"]
            codes, names, colours = (tuple(said[part]) for part in ("codes", "names", "colours"))
            legend = Legend(codes, names, colours, str(said["name"]))
            rest = {part: facts[part] for part in ("min_margin", "bands_as", "facts")}
            rest["scene_shares"] = bool(facts.get("scene_shares", False))  # models of earlier versions had none
            return cls(fitted, tuple(facts["columns"]), legend, **rest)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, LandcoverError):
                raise
            raise LandcoverError(f"{path} is damaged ({error})", expected="a model that geosam saved") from None


def _area(features: pd.DataFrame) -> np.ndarray:
    """Sizes of segments; all alike where they were not measured."""
    return 10.0 ** features["log_area"].to_numpy(float) if "log_area" in features else np.ones(len(features))


def _parts(path: str | os.PathLike[str]) -> tuple[dict[str, Any], str, bytes]:
    """The facts of a model's file, and the name and content of its estimator."""
    check_regular(path, LandcoverError, "a file of LandcoverModel.save")
    try:
        with zipfile.ZipFile(path) as archive:
            name = _FOREST if _FOREST in archive.namelist() else _OTHER
            if any(archive.getinfo(entry).file_size > _LARGEST for entry in (_FACTS, name)):
                raise LandcoverError(f"{path} unpacks to more than {_LARGEST >> 20} MB", expected="a saved model")
            facts, data = json.loads(archive.read(_FACTS)), archive.read(name)
    except (OSError, KeyError, EOFError, zlib.error, zipfile.BadZipFile, ValueError, RecursionError) as error:
        given = f"{path} cannot be read as a model ({error})"
        raise LandcoverError(given, expected="a file of LandcoverModel.save") from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise LandcoverError(f"{path} has another format", expected=FORMAT, hint="train it again with this version")
    return facts, name, data


def _dumped(estimator: Any) -> bytes:
    """An estimator as skops writes it."""
    require_sklearn()
    import skops.io

    try:
        return skops.io.dumps(estimator)
    except Exception as error:  # skops raises several kinds without a common root
        raise LandcoverError(f"estimator {type(estimator).__name__} cannot be saved ({error})") from None


def _loaded(data: bytes, path: str | os.PathLike[str], trusted: Sequence[str]) -> Any:
    """An estimator that skops wrote, of trusted types alone."""
    require_sklearn()
    import skops.io

    try:
        odd = [name for name in skops.io.get_untrusted_types(data=data) if name not in trusted]
    except Exception as error:  # likewise
        raise LandcoverError(f"{path} is damaged ({error})", expected="a model that geosam saved") from None
    if odd:
        shown, hint = ", ".join(odd[:5]), "trust them by trusted=[…] if you do"
        raise LandcoverError(f"{path} holds {shown}", expected="types that skops trusts", hint=hint)
    return skops.io.loads(data, trusted=list(trusted))


def _dated(data: bytes) -> bytes:
    """An archive with fixed dates, so that equal models are equal bytes."""
    held = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(held, "w") as new:
        for name in old.namelist():
            new.writestr(zipfile.ZipInfo(name, _EPOCH), old.read(name), zipfile.ZIP_STORED)
    return held.getvalue()
