"""Which weights there are, by name and by path, and where they lie.

A path is a folder as Hugging Face lays it out (``config.json`` and ``model.safetensors``), or a file of the authors'.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from geosam.adapters.adapter import Adapter
from geosam.adapters.edgetam import EdgeTamAdapter
from geosam.adapters.family import Family, Published
from geosam.adapters.library import first_line, hub, quiet
from geosam.adapters.sam import SamAdapter
from geosam.adapters.sam2 import Sam2Adapter
from geosam.adapters.sam3 import Sam3Adapter
from geosam.adapters.sam_hq import SamHqAdapter
from geosam.errors import ModelError, WeightsError

FAMILIES: tuple[type[Adapter], ...] = (
    SamAdapter,
    SamHqAdapter,
    Sam2Adapter,
    EdgeTamAdapter,
    Sam3Adapter,
)
"""Every family, a line each."""

SETTINGS = ("config.json", "preprocessor_config.json", "processor_config.json")
"""Files of a folder that say what its weights are, and how pixels are normalised."""

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
"""Files of a folder that hold weights; the first kind that is there is read."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """Weights that an adapter can load.

    Attributes
    ----------
    name
        What users call them: the published name, or that of the folder or file.
    family
        The adapter.
    path
        A folder as Hugging Face lays it out, or the authors' own file.
    published
        Whether the name alone says what it is, on every machine.
    """

    name: str
    family: type[Family]
    path: Path
    published: bool = False

    @property
    def files(self) -> list[Path]:
        """What the result depends on: settings, vocabulary and weights."""
        folder = self.path.parent if self.path.is_file() else self.path
        words = [path for name in self.family.vocabulary if (path := folder / name).is_file()]
        if self.path.is_file():
            return [*words, self.path]
        return [path for name in SETTINGS if (path := folder / name).is_file()] + words + weights_of(folder)

    @property
    def key(self) -> str:
        """Identifies the weights and how pixels are normalised."""
        digests = [_digest(str(path), path.stat().st_mtime_ns) for path in self.files]
        return f"{self.name}-{hashlib.sha256(''.join(digests).encode()).hexdigest()[:12]}"


def published() -> list[Published]:
    """List the checkpoints that can be asked for by name.

    Examples
    --------
    >>> [each.name for each in published()][:3]
    ['sam_hq_vit_b', 'sam_hq_vit_l', 'sam_hq_vit_h']
    """
    return [each for family in FAMILIES for each in family.published]


def where(checkpoint: Published) -> Path | None:
    """Tell the folder of Hugging Face's cache that holds a checkpoint; None if it is not there."""
    try:
        import huggingface_hub as hub
    except ImportError:
        return None
    try:
        folder = Path(hub.snapshot_download(checkpoint.repository, local_files_only=True))
    except Exception:  # the library has many words for "not there"
        return None
    if checkpoint.file:
        return folder / checkpoint.file if (folder / checkpoint.file).is_file() else None
    return folder if weights_of(folder) else None


def vocabulary_folder(repository: str, files: Sequence[str]) -> Path | None:
    """Tell the folder of Hugging Face's cache that holds a repository with any of some files; None if there is none."""
    try:
        import huggingface_hub as hub

        folder = Path(hub.snapshot_download(repository, local_files_only=True))
    except Exception:  # the library has many words for "not there"
        return None
    return folder if any((folder / name).is_file() for name in files) else None


def find_source(name_or_path: str | os.PathLike[str], families: Sequence[type[Family]] = FAMILIES) -> Source | None:
    """Find what a name or a path stands for; a published checkpoint that is not in the cache yet is downloaded.

    Parameters
    ----------
    name_or_path
        The name of a published checkpoint, a folder as Hugging Face lays it out, or the authors' own file.
    families
        The families that may have it.

    Raises
    ------
    WeightsError
        If the weights cannot be had, or a folder is none of Hugging Face's.
    ModelError
        If the library is not installed, or has no adapter for a folder.

    Examples
    --------
    >>> find_source("vit_b") is None  # one of `geosam.sam`
    True
    """
    for family in families:
        for each in family.published:
            if each.name == str(name_or_path):
                return Source(each.name, family, where(each) or _download(each, family), published=True)
    try:
        path = Path(name_or_path).expanduser().absolute()
        is_folder, is_file = (path / SETTINGS[0]).is_file() or any(path.glob("*.safetensors")), path.is_file()
    except (OSError, ValueError, RuntimeError):  # no name of a file
        return None
    if path.is_dir() and is_folder:
        return Source(path.name, _family_of(path, families), path)
    if path.suffix in (".pt", ".pth") and is_file:
        names = _peek(path)
        for family in families:
            if family.original and any(name.startswith(family.original) for name in names):
                return Source(path.stem, family, path)
    return None


def _peek(path: Path) -> list[str]:
    """Names of the parameters in a file, without reading their numbers; none if it is no such file."""
    try:
        return list(tensors_of(torch.load(path, map_location="cpu", weights_only=True, mmap=True)))
    except Exception:  # a damaged or an old file; `geosam.sam` says what is wrong with it
        return []


def tensors_of(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors, which may lie under ``model`` or ``state_dict``, and each of which may be a ``module``'s."""
    state = state.get("model", state.get("state_dict", state))
    return {name.removeprefix("module."): value for name, value in state.items() if isinstance(value, Tensor)}


def _family_of(folder: Path, families: Sequence[type[Family]]) -> type[Family]:
    """The adapter for what a folder's settings say it holds."""
    try:
        kind = json.loads((folder / SETTINGS[0]).read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"folder {str(folder)!r} has no config.json that names a model ({type(error).__name__})",
            expected="a folder of Hugging Face's, or a weights file",
            hint="`geosam models` lists names",
        ) from error
    for family in families:
        if kind in family.kinds:
            if not weights_of(folder):
                raise WeightsError(f"folder {str(folder)!r} has no weights", expected=" or ".join(WEIGHTS))
            return family
    known = ", ".join(sorted(each for family in families for each in family.kinds))
    raise ModelError(f"{str(folder)!r} holds a model of type {str(kind)!r}", expected=f"one of {known}")


def weights_of(folder: Path) -> list[Path]:
    """The files of the first kind of weights that a folder has."""
    return next((found for pattern in WEIGHTS if (found := sorted(folder.glob(pattern)))), [])


def _download(checkpoint: Published, family: type[Family]) -> Path:
    """Fetch a checkpoint into Hugging Face's cache: settings, vocabulary and weights, or one file; nothing else."""
    fetcher = hub(family.extra)
    wanted = [checkpoint.file] if checkpoint.file else [*SETTINGS, *family.vocabulary, WEIGHTS[0]]
    log.info("downloading %s from %s", checkpoint.name, checkpoint.repository)
    try:
        with quiet():
            folder = Path(fetcher.snapshot_download(checkpoint.repository, allow_patterns=wanted))
            if not (checkpoint.file or weights_of(folder)):  # older pages hold pickles of tensors alone
                folder = Path(fetcher.snapshot_download(checkpoint.repository, allow_patterns=[WEIGHTS[1]]))
            if checkpoint.vocabulary:
                fetcher.snapshot_download(checkpoint.vocabulary, allow_patterns=[*family.vocabulary])
            return folder / checkpoint.file
    except Exception as error:  # no connection, no such page, a licence that is not accepted, a full disk
        page = f"accept the licence at https://huggingface.co/{checkpoint.repository}, `hf auth login`, then "
        raise WeightsError(
            f"cannot download {checkpoint.repository} ({type(error).__name__}: {first_line(error)})",
            expected="a connection, or the weights in Hugging Face's cache",
            hint=f"{page if checkpoint.gated else ''}`hf download {checkpoint.repository}`; "
            "or give the path of its folder as the model",
        ) from error


@lru_cache(maxsize=64)
def _digest(path: str, changed_ns: int) -> str:
    """SHA-256 of a file; ``changed_ns`` tells it from its successor at the same path."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
