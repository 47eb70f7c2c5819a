"""From the authors' parameter names to the library's: rules that several families share.

Names are facts of the published files; a file that does not give exactly the parameters of the library's model is
refused when it is loaded, so that no rule can go wrong unseen.
"""

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

Rules = Sequence[tuple[str, str]]

PROMPTS = (
    (r"\bmask_downscaling\.0\b", "mask_embed.conv1"),
    (r"\bmask_downscaling\.1\b", "mask_embed.layer_norm1"),
    (r"\bmask_downscaling\.3\b", "mask_embed.conv2"),
    (r"\bmask_downscaling\.4\b", "mask_embed.layer_norm2"),
    (r"\bmask_downscaling\.6\b", "mask_embed.conv3"),
    (r"\bpoint_embeddings\b", "point_embed"),
    (r"\bpe_layer\.positional_encoding_gaussian_matrix\b", "shared_embedding.positional_embedding"),
)
"""Of the prompt encoder."""

DECODER = (
    (r"\boutput_upscaling\.0\b", "upscale_conv1"),
    (r"\boutput_upscaling\.1\b", "upscale_layer_norm"),
    (r"\boutput_upscaling\.3\b", "upscale_conv2"),
    (r"\bnorm_final_attn\b", "layer_norm_final_attn"),
)
"""Of the mask decoder."""

HEADS = (
    (r"\b(output_hypernetworks_mlps\.\d+|\w+_head)\.layers\.0\b", r"\1.proj_in"),
    (r"\b(output_hypernetworks_mlps\.\d+|\w+_head)\.layers\.1\b", r"\1.layers.0"),
    (r"\b(output_hypernetworks_mlps\.\d+|\w+_head)\.layers\.2\b", r"\1.proj_out"),
)
"""Of heads with three layers."""

POSITIONS = "prompt_encoder.shared_embedding.positional_embedding"
"""The positional encoding, which the library keeps twice."""


def renamed(state: Mapping[str, Tensor], rules: Rules) -> dict[str, Tensor]:
    """Apply every rule, a pattern and its replacement, to every name, in their order.

    Examples
    --------
    >>> from torch import zeros
    >>> list(renamed({"mask_decoder.output_upscaling.0.bias": zeros(8)}, DECODER))
    ['mask_decoder.upscale_conv1.bias']
    """

    def new(name: str) -> str:
        for pattern, text in rules:
            name = re.sub(pattern, text, name)
        return name

    return {new(name): value for name, value in state.items()}


def shared_positions(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add the positional encoding under the second of its names."""
    return {**state, "shared_image_embedding.positional_embedding": state[POSITIONS]}
