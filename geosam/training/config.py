"""One file says everything about a training run."""

import hashlib
import json
import os
import tomllib
from dataclasses import asdict, dataclass, fields
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from geosam.errors import OptionError


@dataclass(frozen=True)
class ModelOptions:
    """The network, in the words of `geosam.sam.model.SamSpec`."""

    width: int
    side: int
    drawn: bool
    position_side: int
    object_px: float
    focus_px: tuple[int, ...]
    thresholds: dict[str, Any]
    encoder_sizes: dict[str, Any]
    decoder_sizes: dict[str, Any]


@dataclass(frozen=True)
class DataOptions:
    """What the network sees: how many images, from where, and what is asked about them."""

    batch: int
    prompts: int
    sides: tuple[int, ...]
    scale: tuple[float, float]
    real: float
    parts: float
    background: float
    minimum_px: int
    render_side: int
    render_uses: int
    kinds: tuple[float, float, float]
    wider: float
    wider_after: int
    degraded: float
    centred: float
    object_px: tuple[float, float]

    def __post_init__(self) -> None:
        wrong = [side for side in self.sides if side < 64 or side % 32]
        if wrong or not self.sides:
            raise OptionError(f"sides={list(self.sides)}", expected="multiples of 32, at least 64")
        if self.batch < 1 or self.prompts < 1 or self.render_uses < 1:
            raise OptionError("batch, prompts or render_uses below 1", expected="at least one of each")
        for name in ("real", "degraded"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"{name}={getattr(self, name)}", expected="a share between 0 and 1")
        if not 0 < self.object_px[0] <= self.object_px[1]:
            raise OptionError(
                f"object_px={list(self.object_px)}", expected="the least and the greatest length, above 0"
            )

    def images(self, side: int) -> int:
        """Tell how many images of a side make a batch: as many pixels whatever the side."""
        return max(1, round(self.batch * (min(self.sides) / side) ** 2))


@dataclass(frozen=True)
class OptimiserOptions:
    """How the weights move: a short ascent, a constant rate, and over the last share ``decay`` a descent to nothing.

    As long as the rate is constant nothing depends on ``steps``, so a run may be made longer or shorter on its way.
    """

    steps: int
    decay: float
    rate: float
    weight_decay: float
    warm_up: int
    clip: float
    ema: float
    blend: float
    dense_steps: int

    def __post_init__(self) -> None:
        if self.steps < 1 or self.rate <= 0:
            raise OptionError(f"steps={self.steps}, rate={self.rate}", expected="both above zero")
        if not 0 < self.decay <= 1:
            raise OptionError(f"decay={self.decay}", expected="a share of the steps above 0, at most 1")
        if not 0 < self.blend <= 1:
            raise OptionError(f"blend={self.blend}", expected="a share above 0, at most 1")


@dataclass(frozen=True)
class LossOptions:
    """What is minimised."""

    dense: float
    iou: float
    choice: float
    chosen: float
    chosen_after: int
    any_shown: float
    corrections: tuple[int, ...]
    corrections_after: int
    focal_from: float


@dataclass(frozen=True)
class SharpenerOptions:
    """How the sharpener of masks is trained, when all else is done; data options that differ from the run's own."""

    seed: int
    steps: int
    rate: float
    weight_decay: float
    warm_up: int
    ema: float
    least_iou: float
    batch: int
    prompts: int
    sides: tuple[int, ...]
    real: float
    kinds: tuple[float, float, float]
    object_px: tuple[float, float]
    minimum_px: int
    degraded: float
    parts: float

    def __post_init__(self) -> None:
        if min(self.steps, self.warm_up) < 1 or self.rate <= 0:
            given = f"steps={self.steps}, warm_up={self.warm_up}, rate={self.rate}"
            raise OptionError(given, expected="all above zero")


@dataclass(frozen=True)
class TrainConfig:
    """A training run as data.

    Attributes
    ----------
    start
        The run whose weights this one begins with; None for random ones.
    sharpener
        How the sharpener of masks is trained afterwards; None for weights without one.

    Examples
    --------
    >>> config = read_config()
    >>> config.name, config.data.images(256)
    ('nano', 12)
    """

    name: str
    seed: int
    model: ModelOptions
    data: DataOptions
    optimiser: OptimiserOptions
    losses: LossOptions
    start: "TrainConfig | None" = None
    sharpener: SharpenerOptions | None = None

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that change with any number in the configuration but the schedule's length."""
        values = asdict(self)
        values["optimiser"].pop("steps")
        del values["sharpener"]  # it comes when all else is done
        text = json.dumps(values, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


_SECTIONS = {
    "model": ModelOptions,
    "data": DataOptions,
    "optimiser": OptimiserOptions,
    "losses": LossOptions,
    "sharpener": SharpenerOptions,
}


def read_config(path: str | os.PathLike[str] | None = None) -> TrainConfig:
    """Read a TOML file; by default the one that makes the built-in model.

    Raises
    ------
    OptionError
        If the file is absent or no TOML, or a key is missing or unknown.
    """
    source = resources.files("geosam.training") / "nano.toml" if path is None else Path(path)
    try:
        values = tomllib.loads(source.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise OptionError(f"config {str(path)!r}: {error}", expected="a readable TOML file") from error
    if "start" in values:
        values["start"] = read_config(_beside(source, values["start"]))
    return config_from_dict(values)


def _beside(source: Traversable | Path, name: str) -> Path:
    return Path(str(source)).parent / name


def config_from_dict(values: dict[str, Any]) -> TrainConfig:
    """Build a configuration from nested tables."""
    parts = {key: value if key not in _SECTIONS else _section(key, value) for key, value in values.items()}
    return _filled(TrainConfig, {"start": None, "sharpener": None, **parts}, "the file")


def _section(name: str, values: dict[str, Any]) -> object:
    return _filled(_SECTIONS[name], _tuples(values), f"[{name}]")


def _filled(kind: Any, values: dict[str, Any], where: str) -> Any:
    wanted, given = {each.name for each in fields(kind)}, set(values)
    if wanted != given:
        problem = f"{where}: missing {sorted(wanted - given)}, unknown {sorted(given - wanted)}"
        raise OptionError(problem, expected=f"exactly {', '.join(sorted(wanted))}")
    return kind(**values)


def _tuples(value: Any) -> Any:
    """Lists become tuples, at any depth."""
    if isinstance(value, dict):
        return {key: _tuples(each) for key, each in value.items()}
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value
