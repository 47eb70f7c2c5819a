"""The built-in network put together: a `Sam` of its own encoder, with prompt maps, a mask refiner and a quality model.

Attributes are named as the parameters in its weights files.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from geosam.nano.encoder import ConvEncoder
from geosam.nano.likeness import CHANNELS, Likeness
from geosam.nano.pretrained_encoder import PretrainedEncoder
from geosam.nano.prompt_map import PromptMap
from geosam.nano.quality_model import QualityModel
from geosam.nano.refiner import MaskRefiner
from geosam.nano.spec import NanoSpec
from geosam.sam.blocks import FeatureMaps
from geosam.sam.mask_decoder import MaskDecoder
from geosam.sam.model import Sam
from geosam.sam.prompt_encoder import PromptEncoder
from geosam.sam.spec import STRIDE

ENCODERS = {"conv": ConvEncoder, "lite0": PretrainedEncoder}
"""Image encoders by the name that a spec gives them."""


def build_nano(spec: NanoSpec) -> "NanoSam":
    """Make the network of a spec, with random weights."""
    encoder = ENCODERS[spec.encoder](out=spec.width, **spec.encoder_sizes)
    fine, hints = tuple(spec.encoder_sizes["fine_channels"]), CHANNELS if spec.drawn else 0
    decoder = MaskDecoder(spec.width, fine_channels=fine, hint_channels=hints, **spec.decoder_sizes)
    return NanoSam(encoder, PromptEncoder(spec.width), decoder, spec)


class NanoSam(Sam):
    """See `geosam.sam.model.Sam`; its prompts are also drawn as maps, if the spec says so."""

    spec: NanoSpec

    def __init__(
        self, image_encoder: nn.Module, prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder, spec: NanoSpec
    ) -> None:
        super().__init__(image_encoder, prompt_encoder, mask_decoder, spec)
        self.position_side = spec.position_side
        self.prompt_map = PromptMap(spec.width, stride=STRIDE) if spec.drawn else None
        self.likeness = Likeness() if spec.drawn else None
        self.likeness_map = nn.Conv2d(CHANNELS, spec.width, 1) if spec.drawn else None
        self.mask_judge = QualityModel() if spec.judged else None
        finest = spec.encoder_sizes["fine_channels"][-1]
        self.mask_sharpener = MaskRefiner(finest, spec.width) if spec.sharpened else None

    def draw(
        self, features: FeatureMaps, points: Tensor, labels: Tensor, boxes: Tensor | None
    ) -> tuple[Float[Tensor, "n c gh gw"] | None, Float[Tensor, "n l mh mw"] | None]:
        """Draw where prompts lie, and what looks like what they mark."""
        if self.prompt_map is None or self.likeness is None or self.likeness_map is None:
            return None, None
        gh, gw = features.coarse.shape[-2:]
        hints = self.likeness(features.fine[-1], points, labels, boxes=boxes)  # n l 4gh 4gw
        drawn = self.prompt_map(points, labels, grid=(gh, gw), boxes=boxes)  # n c gh gw
        return drawn + self.likeness_map(functional.avg_pool2d(hints, 4)), hints
