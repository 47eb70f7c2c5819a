"""Weights files: read them without running their code, tell whose they are, say what is wrong with them, write them."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from geosam.errors import OptionError, WeightsError
from geosam.models.families import build, spec_from_dict
from geosam.models.specs import SPECS
from geosam.sam.model import Sam, SamSpec

METADATA_KEY = "geosam_spec"
"""Entry of a safetensors file's metadata that holds its `SamSpec` as JSON."""

SHOWN = 4
"""Parameters that an error names of each kind of difference."""

Shapes = Mapping[str, tuple[int, ...]]


def read_sam(path: Path, spec: SamSpec | None = None) -> Sam:
    """Read a network from a weights file, in float32 on the CPU.

    Parameters
    ----------
    path
        ``.safetensors``, or ``.pth`` or ``.pt`` with a state dict (which may lie under ``model`` or ``state_dict``).
    spec
        What it should be; by default told from the file's metadata, or else from its parameters' shapes.

    Raises
    ------
    WeightsError
        If the file is absent or damaged, or has other parameters; it says which.
    """
    if not path.is_file():
        raise WeightsError(f"weights file {str(path)!r}", expected="a file that exists", hint="check the path")
    read = _read_safetensors if path.suffix.lower() == ".safetensors" else _read_pickle
    spec, state = read(path, spec)
    if not spec.sha256:  # else it is known byte by byte
        _check_numbers(path, state)
    with torch.device("meta"):  # laid out without storage: the file's own tensors become the parameters
        sam = build(spec)
    sam.load_state_dict({name: value.float() for name, value in state.items()}, strict=True, assign=True)
    return sam.eval().requires_grad_(requires_grad=False)


def write_sam(
    sam: Sam, path: Path, *, dtype: torch.dtype = torch.float16, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a network to a safetensors file that says by itself what it is, so that its path can be given as a model.

    Parameters are stored as ``dtype``; buffers, which are few and hold frequencies, as they are. ``metadata`` goes
    beside the specification.
    """
    learned = {name for name, _ in sam.named_parameters()}
    state = {
        name: value.detach().to("cpu", dtype if name in learned else value.dtype).contiguous()
        for name, value in sam.state_dict().items()
    }
    described = {METADATA_KEY: json.dumps(sam.spec.to_dict(), sort_keys=True)}
    save_file(state, path, metadata={**(metadata or {}), **described})


def shapes_of(spec: SamSpec) -> Shapes:
    """List the shape of every parameter that a spec's weights must have."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in build(spec).state_dict().items()}


@cache
def _shapes(name: str) -> Shapes:
    return shapes_of(SPECS[name])


def recognise(found: Shapes) -> SamSpec:
    """Find the registered spec whose parameters have most in common with these."""

    def in_common(spec: SamSpec) -> int:
        return len(_shapes(spec.name).items() & found.items())

    return max(SPECS.values(), key=in_common)


def differences(expected: Shapes, found: Shapes) -> str:
    """Say which parameters are missing, unexpected or of the wrong shape; empty where all is right."""
    both = expected.keys() & found.keys()
    wrong = [f"{n} {found[n]} instead of {expected[n]}" for n in expected if n in both and found[n] != expected[n]]
    kinds = {
        "missing": [n for n in expected if n not in both],
        "unexpected": [n for n in found if n not in both],
        "of the wrong shape": wrong,
    }
    return "; ".join(f"{len(names)} {kind}: {_some(names)}" for kind, names in kinds.items() if names)


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def _read_safetensors(path: Path, spec: SamSpec | None) -> tuple[SamSpec, dict[str, Tensor]]:
    """Read a file whose header says what is in it; nothing is laid out or read before that is known to be right."""
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            text = (file.metadata() or {}).get(METADATA_KEY)
            spec = spec or (recognise(shapes) if text is None else _spec_from_json(text, path))
            _check_shapes(path, spec, shapes)
            return spec, {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        if isinstance(error, WeightsError):
            raise
        raise _damaged(path, error) from error


def _read_pickle(path: Path, spec: SamSpec | None) -> tuple[SamSpec, dict[str, Tensor]]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises almost anything
        raise _damaged(path, error) from error
    for wrapper in ("model", "state_dict"):
        state = state.get(wrapper, state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise WeightsError(f"{str(path)!r} holds something else", expected="a state dict: parameter names and tensors")
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    spec = spec or recognise(shapes)
    _check_shapes(path, spec, shapes)
    return spec, state


def _check_shapes(path: Path, spec: SamSpec, found: Shapes) -> None:
    wrong = differences(shapes_of(spec), found)
    if wrong:
        hint = "is it a fine-tuned model of another layout, or another program's?"
        raise WeightsError(f"{str(path)!r}: {wrong}", expected=f"the parameters of {spec.name!r}", hint=hint)


def _check_numbers(path: Path, state: Mapping[str, Tensor]) -> None:
    """Refuse what is no plain array of finite numbers, and could only give masks without sense."""
    kinds = [f"{n} of {v.dtype}" for n, v in state.items() if not v.is_floating_point() or v.layout != torch.strided]
    wrong = kinds or [f"{n} with infinite or no numbers" for n, v in state.items() if not v.float().isfinite().all()]
    if wrong:
        hint = "train or convert it again"
        raise WeightsError(f"{str(path)!r}: {_some(wrong)}", expected="parameters of finite numbers", hint=hint)


def _spec_from_json(text: str, path: Path) -> SamSpec:
    try:
        return spec_from_dict(_tuples(json.loads(text)))
    except OptionError as error:
        raise WeightsError(
            f"the specification in {str(path)!r}: {error.problem}",
            expected=error.expected,
            hint="it was written by another program or version, or is damaged",
        ) from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, error) from error


def _tuples(value: object) -> object:
    """JSON knows no tuples."""
    if isinstance(value, dict):
        return {name: _tuples(each) for name, each in value.items()}
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value


def _damaged(path: Path, error: Exception) -> WeightsError:
    first = str(error).split("\n", 1)[0]
    return WeightsError(
        f"{str(path)!r} cannot be read as weights ({type(error).__name__}: {first})",
        expected="a whole .safetensors file, or a .pth file of tensors only",
        hint="download or copy it again; a .pth file that holds code is refused",
    )
