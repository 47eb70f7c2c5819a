"""The backbone's weights, as they lie in the package."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from geosam.backbone.network import CENTRED, Backbone
from geosam.errors import WeightsError

BACKBONE_FILE = Path(__file__).parent.parent / "weights" / "lite0.safetensors"
"""EfficientNet-Lite0, made by `geosam.training.backbone`."""


def read_backbone(path: Path = BACKBONE_FILE, phases: tuple[int, ...] = CENTRED) -> Backbone:
    """Read the backbone as its readable module, in float32.

    Raises
    ------
    WeightsError
        If the file is absent or damaged, or has other parameters.
    """
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"{str(path)!r} ({error})", expected="the backbone's weights", hint="install geosam again"
        ) from error
    backbone = Backbone(phases)
    try:
        backbone.load_state_dict({name: value.float() for name, value in state.items()})
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"{path.name}: {reason}", expected="the parameters of EfficientNet-Lite0") from error
    return backbone.eval().requires_grad_(requires_grad=False)
