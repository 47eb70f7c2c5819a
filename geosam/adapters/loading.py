"""Load weights of other families through the library.

Pickles are read as tensors only, and nothing is loaded half: a file with other parameters than the model's is refused.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Set
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from geosam.adapters.adapter import Adapter
from geosam.adapters.family import Norm, Opened
from geosam.adapters.library import first_line, model_class, quiet
from geosam.adapters.sources import SETTINGS, Source, tensors_of
from geosam.errors import ModelError, WeightsError

SHOWN = 3
"""Parameters that an error names of each kind of difference."""

HELD = 3
"""Models that stay loaded: one that draws, one that reads words, and one to compare with."""

log = logging.getLogger(__name__)

_loading = Lock()


def load(source: Source, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Adapter:
    """Load weights, once per process as long as the files do not change.

    Parameters
    ----------
    source
        What `find_source` found.
    device
        Where it computes.
    dtype
        Precision of the image encoder, ``torch.float32`` or ``torch.bfloat16``.

    Raises
    ------
    WeightsError
        If the weights are damaged or another model's.
    ModelError
        If the library, or what it needs for this family, is not installed.
    """
    return open_source(source, device=device, dtype=dtype)


def open_source(source: Source, *, device: str, dtype: torch.dtype) -> Any:
    """What `Family.of` makes of weights: once per process as long as the files do not change; see `load`."""
    with _loading:
        return _load(source, source.key, device, dtype)


@lru_cache(maxsize=HELD)
def _load(source: Source, key: str, device: str, dtype: torch.dtype) -> Any:
    family = source.family
    kind = model_class(family.library, family.extra)
    try:
        with quiet():
            model = _read_folder(kind, source) if source.path.is_dir() else _read_original(kind, source)
    except ImportError as error:
        needs = next((each.needs for each in family.published), f"geosam[{family.extra}]")
        raise ModelError(
            f"{source.name!r} needs more than is installed ({first_line(error)})",
            expected=needs,
            hint="`pip install` what is missing",
        ) from error
    log.info("loaded %s from %s", source.name, source.path)
    opened = Opened(source.name, key, source.path, dtype, _norm(source.path), _size(source.path))
    return family.of(model.float().to(device), opened)


def _read_folder(kind: Any, source: Source) -> Any:
    """Let the library read a folder, and refuse what it would fill up with random numbers."""
    try:
        model, report = kind.from_pretrained(source.path, local_files_only=True, output_loading_info=True)
    except ImportError:
        raise
    except Exception as error:  # settings and weights that do not fit raise almost anything
        raise _damaged(source.path, error) from error
    wrong = {"missing": report["missing_keys"], "of other shapes": {each[0] for each in report["mismatched_keys"]}}
    _check(source, wrong)
    return model


def _read_original(kind: Any, source: Source) -> Any:
    """Bring the authors' own file to the library's names and sizes."""
    found = source.family.convert(_read_pickle(source.path))
    if found is None:
        known = ", ".join(f"`hf download {each.repository}`" for each in source.family.published)
        raise WeightsError(
            f"{str(source.path)!r} is a checkpoint of a kind whose names are not known",
            expected="a folder of Hugging Face's",
            hint=f"{known}, then give the folder as the model",
        )
    settings, state = found
    try:
        model = kind(kind.config_class(**source.family.adjusted(settings, source.path)))
    except ImportError:
        raise
    except Exception as error:  # sizes that make no sense
        raise _damaged(source.path, error) from error
    wanted = model.state_dict()
    wrong = {name for name in wanted.keys() & state.keys() if wanted[name].shape != state[name].shape}
    _check(source, {"missing": wanted.keys() - state.keys(), "unknown": state.keys() - wanted.keys()})
    _check(source, {"of other shapes": wrong})
    model.load_state_dict(state, strict=True)
    return model


def _check(source: Source, wrong: Mapping[str, Set[str]]) -> None:
    """Refuse weights whose parameters are not the model's; the message names some."""
    found = [f"{kind}: {len(names)} ({', '.join(sorted(names)[:SHOWN])})" for kind, names in wrong.items() if names]
    if found:
        raise WeightsError(
            f"{str(source.path)!r} has other parameters; {'; '.join(found)}",
            expected=f"the weights of a {source.family.library}",
            hint="download it again",
        )


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        return tensors_of(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # a damaged pickle raises almost anything
        raise _damaged(path, error) from error


def _picture(path: Path) -> Iterator[Mapping[str, Any]]:
    """What a folder's settings say of pictures, file by file."""
    for name in SETTINGS[1:]:
        try:
            found = json.loads((path / name).read_text(encoding="utf-8"))
            found = found.get("image_processor", found)
        except (OSError, ValueError, AttributeError):
            continue
        if isinstance(found, dict):
            yield found


def _norm(path: Path) -> Norm | None:
    """Mean and deviation as a folder's settings give them; None where it gives none."""
    for found in _picture(path):
        try:
            mean, deviation = (tuple(map(float, found[each])) for each in ("image_mean", "image_std"))
        except (ValueError, KeyError, TypeError):
            continue
        if len(mean) == len(deviation) == 3 and all(spread > 0 for spread in deviation):
            return mean, deviation
    return None


def _size(path: Path) -> tuple[tuple[str, int], ...]:
    """Sides of the input as a folder's settings give them; empty where it gives none."""
    for found in _picture(path):
        size = found.get("size")
        if isinstance(size, dict) and all(type(side) is int and side > 0 for side in size.values()):
            return tuple(sorted(size.items()))
    return ()


def _damaged(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"{str(path)!r} cannot be read as weights ({type(error).__name__}: {first_line(error)})",
        expected="a whole folder of Hugging Face's, or a file of tensors only",
        hint="download or copy it again; a pickle that holds code is refused",
    )
