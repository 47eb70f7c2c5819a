"""`SamSpec`: one checkpoint as data, and what each of its fields may hold.

A specification lies in every weights file, also in those that strangers made. So each field has a rule, and the sizes
are bounded: a network is laid out only of a specification that holds.
"""

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from geosam.errors import OptionError
from geosam.rules import FLAG, SHARE, check, number, one_of, several, text, whole
from geosam.sam.outdated import without_outdated

STRIDE = 16
"""Input pixels to a side of one cell of the image embedding."""

ENCODERS = {
    "vit": {
        "width": whole(16, 4096),
        "depth": whole(1, 128),
        "heads": whole(1, 64),
        "global_blocks": several(whole(0, 127), 0, 128),
        "window": whole(1, 64),
    },
    "conv": {
        "widths": several(whole(2, 4096), 4, 4),
        "depths": several(whole(0, 64), 4, 4),
        "fine_channels": several(whole(1, 1024), 2, 2),
    },
}
"""Sizes of the image encoders, by their kind."""

OPTIONAL = ("window",)
"""Sizes of an encoder that have a default."""

DECODER = {
    "depth": whole(1, 16),
    "heads": whole(1, 64),
    "mlp": whole(1, 65_536),
    "multimask": whole(3, 3),
    "iou_hidden": whole(1, 8192),
    "activation": one_of("gelu", "relu"),
}
"""Sizes of the mask decoder."""

THRESHOLDS = {
    "spacing_px": number(1, 65_536),
    "stability_offset": number(0, 100),
    "passes": whole(1, 64),
    "whole_every": whole(1, 65_536),
    **dict.fromkeys(("pred_iou_threshold", "stability_threshold", "nms_iou", "relax", "overlap"), SHARE),
    **dict.fromkeys(("connected", "support", "judged", "redraw"), FLAG),
}
"""Options of everything mode (`geosam.masks.EverythingOptions`)."""

FIELDS = {
    "name": text(255, 1),
    "encoder": one_of(*ENCODERS),
    "side": whole(32, 16_384, STRIDE),
    "width": whole(16, 4096, 8),
    "drawn": FLAG,
    "position_side": whole(0, 65_536),
    "focus_px": several(whole(STRIDE, 16_384), 0, 16),
    "sharpened": FLAG,
    "url": text(2048),
    "sha256": text(64),
    "bytes": whole(0, 1 << 50),
    "licence": text(1000),
    "source": text(100_000),
}
"""All other fields."""


@dataclass(frozen=True)
class SamSpec:
    """One checkpoint as data: what to build and where its weights come from.

    Parameters
    ----------
    name
        What users call it.
    encoder
        The kind of image encoder.
    encoder_sizes
        The keywords of its class, `VitEncoder` or `ConvEncoder`.
    side
        The longest side in pixels of an image that it takes without resampling.
    width
        Channels of the image embedding and of the decoder's tokens.
    decoder_sizes
        Keywords of `MaskDecoder`, where they differ from the published ones.
    drawn
        Whether points and boxes are also drawn as maps: where they lie (`PromptMap`) and what looks like what they mark
        (`Likeness`).
    position_side
        Pixels that the positional encoding takes as its unit, whatever the input's side; 0 for the input's own side.
    focus_px
        Sides of the surroundings in which a click is answered best, if its mask fits into them; the smallest first.
    sharpened
        Whether the weights hold a `MaskSharpener`, and answers to users are made sharper by it.
    thresholds
        What suits its scores in everything mode, as keywords of `EverythingOptions`; with ``judged``, the weights hold
        a judge of masks.
    url, sha256, bytes
        Where the weights can be had, and how to know them; an empty URL for weights inside the package.
    licence, source
        Terms of the weights, and who made them.

    Raises
    ------
    OptionError
        If a field is of another type, beyond its bounds or unknown, or two do not fit each other.

    Examples
    --------
    >>> sizes = {"widths": (8, 8, 16, 16), "depths": (1, 1, 1, 1), "fine_channels": (8, 4)}
    >>> SamSpec("mine", "conv", sizes, width=32).resamples
    False
    >>> SamSpec("mine", "conv", sizes, width=10**9)
    Traceback (most recent call last):
    geosam.errors.OptionError: width=1000000000: expected a multiple of 8 from 16 to 4096
    """

    name: str
    encoder: Literal["vit", "conv"]
    encoder_sizes: Mapping[str, Any]
    side: int = 1024
    width: int = 256
    decoder_sizes: Mapping[str, Any] = field(default_factory=dict)
    drawn: bool = False
    position_side: int = 0
    focus_px: tuple[int, ...] = ()
    sharpened: bool = False
    thresholds: Mapping[str, float | int] = field(default_factory=dict)
    url: str = ""
    sha256: str = ""
    bytes: int = 0
    licence: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        check_spec(vars(self))

    @classmethod
    def from_dict(cls, values: object) -> "SamSpec":
        """Make a specification of named values, as a file of this or an earlier version holds them; checked before."""
        return cls(**check_spec(without_outdated(values) if isinstance(values, Mapping) else values))

    @property
    def resamples(self) -> bool:
        """Whether images must have exactly this side: a transformer's learned positions fit one size only."""
        return self.encoder == "vit"

    @property
    def judged(self) -> bool:
        """Whether the weights hold a judge of masks (`geosam.sam.mask_judge`), for everything mode to ask."""
        return bool(self.thresholds.get("judged"))


def check_spec(values: object) -> dict[str, Any]:
    """Hold the fields of a specification against their rules, and against each other; gives them back."""
    tables = {"encoder_sizes": ENCODERS["conv"], "decoder_sizes": DECODER, "thresholds": THRESHOLDS}
    if not isinstance(values, Mapping) or not {"name", "encoder", "encoder_sizes"} <= values.keys():
        raise OptionError(reprlib.repr(values), expected="a table with a name, an encoder and encoder_sizes")
    check({name: value for name, value in values.items() if name not in tables}, FIELDS)
    tables["encoder_sizes"] = sizes = ENCODERS[values["encoder"]]
    for name in tables.keys() & values.keys():
        check(values[name], tables[name], name)
    absent = sizes.keys() - values["encoder_sizes"].keys() - set(OPTIONAL)
    if absent:
        raise OptionError(f"encoder_sizes without {', '.join(sorted(absent))}", expected="all sizes of the encoder")
    _check_heads("decoder_sizes", values.get("decoder_sizes", {}).get("heads", 8), values.get("width", 256) // 2)
    if values["encoder"] == "vit":
        _check_heads("encoder_sizes", values["encoder_sizes"]["heads"], values["encoder_sizes"]["width"])
        if values.get("drawn") or values.get("sharpened"):
            raise OptionError("drawn or sharpened with the encoder vit", expected="conv, which gives finer features")
    return dict(values)


def _check_heads(inside: str, heads: int, channels: int) -> None:
    if channels % heads:
        raise OptionError(f"{inside}.heads={heads}", expected=f"a divisor of the {channels} channels that they share")
