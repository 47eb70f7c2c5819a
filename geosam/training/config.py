"""One file says everything about a training run."""

import hashlib
import json
import os
import reprlib
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from geosam.errors import OptionError
from geosam.nano.recipe import nano_recipe
from geosam.nano.spec import NanoSpec
from geosam.paths import check_regular
from geosam.rules import FLAG, SHARE, Rule, above, check, number, several, text, whole

STEPS, MANY = whole(1, 10**9), whole(0, 10**9)
"""Rules of numbers of steps: of a run, and within one."""

_SHAPES = {
    "batch": whole(1, 4096),
    "prompts": whole(1, 1024),
    "sides": several(whole(64, 4096, 32), 1, 64),
    "real": SHARE,
    "parts": SHARE,
    "degraded": SHARE,
    "minimum_px": MANY,
    "kinds": Rule("3 shares, not all 0", lambda v: several(SHARE, 3, 3).holds(v) and sum(v) > 0),
    "object_px": several(above(0, 65_536), 2, 2),
}

DATA = {
    **_SHAPES,
    "scale": several(above(0, 1000), 2, 2),
    "background": SHARE,
    "render_side": whole(64, 16_384),
    "render_uses": STEPS,
    "wider": SHARE,
    "wider_after": MANY,
    "hard": SHARE,
    "centred": SHARE,
}

OPTIMISER = {
    "steps": STEPS,
    "decay": above(0, 1),
    "rate": above(0, 100),
    "weight_decay": number(0, 100),
    "warm_up": STEPS,
    "clip": above(0, 1e9),
    "ema": SHARE,
    "blend": above(0, 1),
    "dense_steps": MANY,
    "backbone_rate": SHARE,
    "backbone_kernels": FLAG,
}

LOSSES = {
    **dict.fromkeys(("dense", "iou", "choice"), number(0, 1e6)),
    **dict.fromkeys(("chosen", "any_shown", "focal_from"), SHARE),
    **dict.fromkeys(("chosen_after", "corrections_after"), MANY),
    "corrections": several(whole(0, 64), 1, 64),
}

SHARPENER = {
    **_SHAPES,
    **{name: OPTIMISER[name] for name in ("steps", "rate", "weight_decay", "warm_up", "ema")},
    "seed": whole(0, 1 << 31),
    "least_iou": SHARE,
}

SOURCES = {
    "conv": "geosam, trained on a procedural world and open imagery",
    "lite0": "geosam, on EfficientNet-Lite0 (Google, ImageNet), trained on a procedural world and open imagery",
}
"""Who made weights, by their encoder."""

GENERAL = {"name": text(200, 1), "seed": whole(0, 1 << 31), "start": text(4096, 1)}
"""What stands outside of all tables."""


@dataclass(frozen=True)
class ModelOptions:
    """The network, in the words of `geosam.nano.spec.NanoSpec`."""

    encoder: str
    width: int
    side: int
    drawn: bool
    position_side: int
    focus_px: tuple[int, ...]
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
    hard: float
    degraded: float
    centred: float
    object_px: tuple[float, float]

    def __post_init__(self) -> None:
        check(vars(self), DATA)
        if self.object_px[0] > self.object_px[1]:
            raise OptionError(f"object_px={list(self.object_px)}", expected="the least length, then the greatest")

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
    backbone_rate: float
    backbone_kernels: bool

    def __post_init__(self) -> None:
        check(vars(self), OPTIMISER)


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

    def __post_init__(self) -> None:
        check(vars(self), LOSSES)


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
        check(vars(self), SHARPENER)


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
    "model": (ModelOptions, {}),
    "data": (DataOptions, DATA),
    "optimiser": (OptimiserOptions, OPTIMISER),
    "losses": (LossOptions, LOSSES),
    "sharpener": (SharpenerOptions, SHARPENER),
}
"""The tables of a file: what they become, and the rules of their values; `NanoSpec` knows those of the model."""


def read_config(path: str | os.PathLike[str] | None = None) -> TrainConfig:
    """Read a TOML file, and the one that it starts from; by default the one that makes the built-in model.

    Raises
    ------
    OptionError
        If a file is absent or no TOML, or a key is missing, unknown, or has a value that it cannot have.
    """
    if path is None:
        return _read(Path(str(resources.files("geosam.training") / "nano.toml")), ())
    return _read(check_regular(path, OptionError, "a TOML file"), ())


def _read(path: Path, before: tuple[Path, ...]) -> TrainConfig:
    """Read a file that those before it start from."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise OptionError(f"config {str(path)!r}: {error}", expected="a readable TOML file") from error
    try:
        check({name: value for name, value in values.items() if name not in _SECTIONS}, GENERAL)
        if "start" not in values:
            return config_from_dict(values)
        if path in before:
            raise OptionError(f"start={values['start']!r}", expected="a run that does not start from itself")
        start = check_regular(path.parent / values["start"], OptionError, "a TOML file")
        return config_from_dict({**values, "start": _read(start, (*before, path))})
    except OptionError as error:
        if error.problem.startswith("config "):  # of the file that it starts from
            raise
        problem = f"config {str(path)!r}: {error.problem}"
        raise OptionError(problem, expected=error.expected, hint=error.hint) from error


def config_from_dict(values: dict[str, Any]) -> TrainConfig:
    """Build a configuration from nested tables."""
    values = {"start": None, "sharpener": None, **values}
    _check_names(TrainConfig, values, "the file")
    parts: dict[str, Any] = {
        key: _section(key, value) if key in _SECTIONS and value is not None else value for key, value in values.items()
    }
    return TrainConfig(**parts)


def spec_of(config: TrainConfig) -> NanoSpec:
    """Say what the trained network is."""
    return NanoSpec.from_dict(_spec(config.name, vars(config.model)))


def _spec(name: str, model: Mapping[str, Any]) -> dict[str, Any]:
    source = SOURCES.get(str(model.get("encoder")), "")
    recipe = nano_recipe(refines=False, scores=False)
    return {"name": name, **model, "recipe": recipe, "licence": "Apache-2.0", "source": source}


def _section(name: str, values: Any) -> Any:
    (kind, rules), values = _SECTIONS[name], _tuples(values)
    _check_names(kind, values, f"[{name}]")
    if kind is ModelOptions:
        NanoSpec.check(_spec("model", values))
    else:
        check(values, rules, name)
    return kind(**values)


def _check_names(kind: Any, values: Any, where: str) -> None:
    wanted = {each.name for each in fields(kind)}
    if not isinstance(values, dict):
        raise OptionError(f"{where}: {reprlib.repr(values)}", expected=f"a table of {', '.join(sorted(wanted))}")
    absent, unknown = (", ".join(sorted(names)) for names in (wanted - set(values), set(values) - wanted))
    problem = "; ".join(f"{kind} {names}" for kind, names in (("missing", absent), ("unknown", unknown)) if names)
    if problem:
        raise OptionError(f"{where}: {problem}", expected=f"exactly {', '.join(sorted(wanted))}")


def _tuples(value: Any) -> Any:
    """Lists become tuples, at any depth."""
    if isinstance(value, dict):
        return {key: _tuples(each) for key, each in value.items()}
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value
