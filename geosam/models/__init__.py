"""Models by name or by path, whatever their family, and how their weights come to be at hand.

`specs`: the checkpoints that geosam has code for, as data. `weights`: read, recognise and write their files.
`downloads`: fetch published ones. Other families are in `geosam.adapters`.
"""

import logging
import os
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import resources
from math import prod
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal

import torch
from platformdirs import user_cache_path

from geosam.errors import ModelError, WeightsError
from geosam.models.downloads import download, hash_file
from geosam.models.families import build, to_predictor
from geosam.models.specs import SPECS, spec
from geosam.models.weights import read_sam, shapes_of, write_sam
from geosam.sam.model import Predictor, Sam, SamSpec
from geosam.sam.prepared.precision import quick_dtype

if TYPE_CHECKING:
    from geosam.adapters import Adapter, Published, Source

__all__ = [
    "SPECS",
    "ModelRow",
    "build",
    "cache_folder",
    "load_model",
    "models",
    "read_sam",
    "spec",
    "to_predictor",
    "weights_path",
    "write_sam",
]

log = logging.getLogger(__name__)

_loading = Lock()


@dataclass(frozen=True)
class ModelRow:
    """One line of `geosam models`.

    Attributes
    ----------
    name, licence, source
        As in its `SamSpec`.
    parameters
        How many numbers it has learned.
    side
        The longest side in pixels of a window that it takes without making it smaller.
    bytes
        Size of the weights file; 0 if not known.
    where
        ``built in``, the path of the file, or ``not here``.
    needs
        What must be installed or agreed to beyond geosam itself.
    """

    name: str
    parameters: int
    side: int
    bytes: int
    licence: str
    source: str
    where: str
    needs: str = ""


def load_model(
    name_or_path: str | os.PathLike[str] = "nano",
    device: str = "auto",
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
) -> "Predictor | Adapter":
    """Load a model by name, or from a weights file or a folder of Hugging Face's.

    The same file is loaded once per process, however often it is asked for.

    Parameters
    ----------
    name_or_path
        A name that `models` lists, a ``.safetensors``, ``.pth`` or ``.pt`` file, or a folder with ``config.json`` and
        ``model.safetensors``. A published model that is not in the cache folder yet is downloaded.
    device
        ``cpu``, ``cuda``, ``cuda:1``, …; ``auto`` for the graphics card where there is one.
    dtype
        Precision of the arithmetic. ``auto`` is bfloat16 for the published models where the machine has instructions
        for it, and float32 else: the small model is quick enough, and so gives the same outlines on every machine.

    Raises
    ------
    ModelError
        If the model is not known, or the device not there.
    WeightsError
        If the weights cannot be had, are damaged, or are another model's.

    Examples
    --------
    >>> load_model("vit_x")
    Traceback (most recent call last):
    geosam.errors.ModelError: model 'vit_x': expected one of nano, nano2, vit_b, vit_l, vit_h, or a weights file; ...
    """
    if other := _other(name_or_path):
        from geosam.adapters import load

        return load(other, device=_device(device), dtype=_dtype(dtype) or torch.float32)
    where, known = _resolve(name_or_path), SPECS.get(str(name_or_path))
    if known is not None and known.url and not where.exists():
        download(known, where)
    how = _device(device), _dtype(dtype)
    if not os.path.isfile(where):
        raise _absent(where, known)
    try:
        with _loading:
            return _load(str(where), where.stat().st_mtime_ns, known and known.name, how)
    except OSError as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"weights file {str(where)!r}: {error.strerror}", expected="a file to read") from error


@lru_cache(maxsize=4)
def _load(path: str, changed_ns: int, name: str | None, how: tuple[str, torch.dtype | None]) -> Predictor:
    """Read a file; ``changed_ns`` tells a file from its successor at the same path."""
    known, (device, dtype) = SPECS[name] if name else None, how
    digest = hash_file(Path(path))
    if known is not None and known.sha256 and digest != known.sha256:
        raise WeightsError(
            f"{path!r} has SHA-256 {digest[:12]}…",
            expected=f"{known.sha256[:12]}… of {known.name!r}",
            hint="delete it, and it will be downloaded again; or give its path as the model",
        )
    sam = read_sam(Path(path), known).to(device)
    log.info("loaded %s from %s", sam.spec.name, path)
    if dtype is None:
        dtype = quick_dtype(sam.pixel_mean.device) if sam.spec.resamples else torch.float32
    again = partial(_reload, path, known, digest)
    return to_predictor(sam, f"{sam.spec.name}-{digest[:12]}", dtype=dtype, again=again)


def _reload(path: str, known: SamSpec | None, digest: str) -> Sam:
    """Read a file once more, if it still is what it was."""
    if hash_file(Path(path)) != digest:
        raise WeightsError(
            f"{path!r} has changed since it was loaded", expected="the same weights", hint="load it anew"
        )
    return read_sam(Path(path), known)


def models() -> list[ModelRow]:
    """List the models that can be asked for by name, and where their weights are.

    Examples
    --------
    >>> [row.name for row in models()][:5]
    ['nano', 'nano2', 'vit_b', 'vit_l', 'vit_h']
    """
    from geosam.adapters import published

    return [*map(_row, SPECS.values()), *map(_other_row, published())]


def _row(known: SamSpec) -> ModelRow:
    path = weights_path(known)
    here = path.is_file()
    return ModelRow(
        name=known.name,
        parameters=sum(prod(shape) for shape in shapes_of(known).values()),
        side=known.side,
        bytes=path.stat().st_size if here else known.bytes,
        licence=known.licence,
        source=known.source,
        where=("built in" if not known.url else str(path)) if here else "not here",
    )


def _other(name_or_path: str | os.PathLike[str]) -> "Source | None":
    """What a name or a path stands for in `geosam.adapters`; names of this registry go first."""
    from geosam.adapters import find_source

    return None if str(name_or_path) in SPECS else find_source(name_or_path)


def _other_row(known: "Published") -> ModelRow:
    from geosam.adapters import where

    here = where(known)
    size = sum(path.stat().st_size for path in here.glob("*.safetensors")) if here else 0
    return ModelRow(
        known.name,
        parameters=known.parameters,
        side=known.side,
        bytes=size,
        licence=known.licence,
        source=known.source,
        where=str(here) if here else "not here",
        needs=known.needs,
    )


def weights_path(known: SamSpec) -> Path:
    """Tell where a spec's weights lie, or will lie once they are downloaded."""
    if known.url:
        return cache_folder() / known.url.rsplit("/", 1)[1]
    return Path(str(resources.files("geosam") / "weights" / f"{known.name}.safetensors"))


def cache_folder() -> Path:
    """Tell the folder of downloaded weights: the environment's ``GEOSAM_CACHE``, or the platform's cache folder."""
    chosen = os.environ.get("GEOSAM_CACHE")
    return Path(os.path.expanduser(chosen)) if chosen else user_cache_path("geosam")


def _resolve(name_or_path: str | os.PathLike[str]) -> Path:
    """Find the file: a registered name goes before a file of that name."""
    if str(name_or_path) in SPECS:
        return weights_path(SPECS[str(name_or_path)])
    path = Path(os.path.expanduser(name_or_path))  # which leaves a home that nobody has as it is
    looks_like_path = path.name and (os.path.lexists(path) or path.suffix or len(path.parts) > 1)
    return path.absolute() if looks_like_path else weights_path(spec(str(name_or_path)))


def _absent(where: Path, known: SamSpec | None) -> WeightsError:
    if known is not None:
        hint = "install geosam from its wheel, or a checkout with the weights"
        return WeightsError(
            f"the weights of {known.name!r} are not in this installation", expected=str(where), hint=hint
        )
    return WeightsError(
        f"weights file {str(where)!r}",
        expected="a file that exists",
        hint=f"the models that have names are {', '.join(SPECS)}",
    )


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        reason = "it holds no numbers" if torch.empty(0, device=name).is_meta else ""
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).split("\n", 1)[0]
    if reason:
        hint = "device 'auto' takes the graphics card where there is one"
        raise ModelError(f"device {name!r} ({reason})", expected="a device of this machine", hint=hint)
    return name


def _dtype(name: str) -> torch.dtype | None:
    """The precision of a name; None for what suits model and machine."""
    known = {"auto": None, "float32": torch.float32, "bfloat16": torch.bfloat16}
    if name not in known:
        raise ModelError(f"dtype={name!r}", expected=" or ".join(map(repr, known)))
    return known[name]
