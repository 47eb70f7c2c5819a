"""`SamSpec`: one checkpoint as data, and what each of its fields may hold.

A specification lies in every weights file, also in those that strangers made. So each field has a rule, and the sizes
are bounded: a network is laid out only of a specification that holds.
"""

import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from geosam.errors import OptionError
from geosam.rules import Rule, check, one_of, several, text, whole
from geosam.sam.outdated import modernised
from geosam.segmenter import Recipe

STRIDE = 16
"""Input pixels to a side of one cell of the image embedding."""

ENCODER = {
    "width": whole(16, 4096),
    "depth": whole(1, 128),
    "heads": whole(1, 64),
    "global_blocks": several(whole(0, 127), 0, 128),
    "window": whole(1, 64),
}
"""Sizes of the image encoder."""

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

FIELDS = {
    "name": text(255, 1),
    "side": whole(32, 16_384, STRIDE),
    "width": whole(16, 4096, 8),
    "recipe": Rule("a recipe", lambda v: isinstance(v, Recipe)),
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
        The kind of image encoder: ``vit``, the published transformers.
    encoder_sizes
        The keywords of its class, `VitEncoder`.
    side
        The longest side in pixels of an image that it takes without resampling.
    width
        Channels of the image embedding and of the decoder's tokens.
    decoder_sizes
        Keywords of `MaskDecoder`, where they differ from the published ones.
    recipe
        How prompts become masks with these weights.
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
    >>> sizes = {"width": 64, "depth": 2, "heads": 2, "global_blocks": (1,)}
    >>> SamSpec("mine", "vit", sizes, side=128).resamples
    True
    >>> SamSpec("mine", "vit", sizes, width=10**9)
    Traceback (most recent call last):
    geosam.errors.OptionError: width=1000000000: expected a multiple of 8 from 16 to 4096
    """

    name: str
    encoder: str
    encoder_sizes: Mapping[str, Any]
    side: int = 1024
    width: int = 256
    decoder_sizes: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Recipe)
    url: str = ""
    sha256: str = ""
    bytes: int = 0
    licence: str = ""
    source: str = ""

    kinds: ClassVar[tuple[str, ...]] = ("vit",)
    rules: ClassVar[Mapping[str, Rule]] = FIELDS
    encoder_rules: ClassVar[Mapping[str, Rule]] = ENCODER

    def __post_init__(self) -> None:
        self.check(vars(self))

    @classmethod
    def from_dict(cls, values: object) -> "SamSpec":
        """Make a specification of named values, as a file of this or an earlier version holds them; checked before."""
        return cls(**cls.check(modernised(values, cls.former(values)) if isinstance(values, Mapping) else values))

    @classmethod
    def former(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe by which weights were treated before there were recipes, but for what ``thresholds`` said."""
        return Recipe()

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name, as a weights file holds them."""
        return asdict(self)

    @property
    def resamples(self) -> bool:
        """Whether images must have exactly this side: a transformer's learned positions fit one size only."""
        return True

    @classmethod
    def check(cls, values: object) -> dict[str, Any]:
        """Hold the fields of a specification against their rules, and against each other; gives them back."""
        rules = {**cls.rules, "encoder": one_of(*cls.kinds)}
        tables = {"encoder_sizes": cls.encoder_rules, "decoder_sizes": DECODER}
        if not isinstance(values, Mapping) or not {"name", "encoder", "encoder_sizes"} <= values.keys():
            raise OptionError(reprlib.repr(values), expected="a table with a name, an encoder and encoder_sizes")
        check({name: value for name, value in values.items() if name not in tables}, rules)
        for name in tables.keys() & values.keys():
            check(values[name], tables[name], name)
        absent = cls.encoder_rules.keys() - values["encoder_sizes"].keys() - set(OPTIONAL)
        if absent:
            raise OptionError(f"encoder_sizes without {', '.join(sorted(absent))}", expected="all sizes of the encoder")
        _check_heads("decoder_sizes", values.get("decoder_sizes", {}).get("heads", 8), values.get("width", 256) // 2)
        if "heads" in cls.encoder_rules:
            _check_heads("encoder_sizes", values["encoder_sizes"]["heads"], values["encoder_sizes"]["width"])
        return dict(values)


def _check_heads(inside: str, heads: int, channels: int) -> None:
    if channels % heads:
        raise OptionError(f"{inside}.heads={heads}", expected=f"a divisor of the {channels} channels that they share")
