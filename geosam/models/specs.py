"""The checkpoints that geosam knows, as data.

The URLs of ``vit_b``, ``vit_l`` and ``vit_h`` are those in the README of Segment Anything, whose weights are under
Apache-2.0. It publishes no hashes; the six digits in a file's name are the first of its MD5. The SHA-256 and the sizes
below are those that several independent public projects record for these files (micro-sam's registry and a 3D Slicer
extension among them). A file that differs is refused.
"""

from difflib import get_close_matches
from functools import partial

from geosam.errors import ModelError
from geosam.nano.recipe import nano_recipe
from geosam.nano.spec import NanoSpec
from geosam.sam.model import SamSpec

_published = partial(
    SamSpec, encoder="vit", licence="Apache-2.0", source="Meta AI, Segment Anything (Kirillov et al. 2023)"
)

_built_in = partial(  # the sizes of `training/nano.toml` and `training/nano2.toml`, which make their weights
    NanoSpec,
    width=128,
    decoder_sizes={"heads": 4, "mlp": 512, "iou_hidden": 128, "activation": "relu"},
    drawn=True,
    position_side=256,
    focus_px=(256, 512),
    sharpened=True,
    judged=True,
    recipe=nano_recipe(refines=True, scores=True),
    licence="Apache-2.0",
)

SPECS: dict[str, SamSpec] = {
    each.name: each
    for each in (
        _built_in(
            "nano",
            "conv",
            {"widths": (32, 64, 128, 256), "depths": (1, 2, 4, 2), "fine_channels": (64, 32)},
            source="geosam, trained on a procedural world and open imagery",
        ),
        _built_in(
            "nano2",
            "lite0",
            {"widths": (32, 64), "depths": (1, 2), "fine_channels": (64, 32)},
            source="geosam, on EfficientNet-Lite0 (Google, ImageNet), trained on a procedural world and open imagery",
        ),
        _published(
            "vit_b",
            encoder_sizes={"width": 768, "depth": 12, "heads": 12, "global_blocks": (2, 5, 8, 11)},
            url="https://dl.fbaipublicfiles.com/segment_anything/sam_vit_b_01ec64.pth",
            sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            bytes=375_042_383,
        ),
        _published(
            "vit_l",
            encoder_sizes={"width": 1024, "depth": 24, "heads": 16, "global_blocks": (5, 11, 17, 23)},
            url="https://dl.fbaipublicfiles.com/segment_anything/sam_vit_l_0b3195.pth",
            sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            bytes=1_249_524_607,
        ),
        _published(
            "vit_h",
            encoder_sizes={"width": 1280, "depth": 32, "heads": 16, "global_blocks": (7, 15, 23, 31)},
            url="https://dl.fbaipublicfiles.com/segment_anything/sam_vit_h_4b8939.pth",
            sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            bytes=2_564_550_879,
        ),
    )
}
"""Every checkpoint that can be asked for by name."""


def spec(name: str) -> SamSpec:
    """Look up a checkpoint.

    Raises
    ------
    ModelError
        If there is none of this name.

    Examples
    --------
    >>> spec("vit_b").bytes
    375042383
    """
    if name not in SPECS:
        close = get_close_matches(name, SPECS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "`geosam models` lists them"
        raise ModelError(f"model {name!r}", expected=f"one of {', '.join(SPECS)}, or a weights file", hint=hint)
    return SPECS[name]
