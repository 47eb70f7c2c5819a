"""SAM 3 asked for a concept: a word goes in, and the mask of every instance comes out.

After Carion et al. 2025, "SAM 3: Segment Anything with Concepts" (https://arxiv.org/abs/2511.16719). One phrase a pass;
the window and each phrase are embedded once. The presence score, whether the concept is there at all, is part of every
instance's score. Points and boxes are answered by another model of the library, see `geosam.adapters.sam3`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from geosam.adapters.detections import LEAST
from geosam.adapters.family import Opened, Published
from geosam.adapters.preprocess import Fit, normalise
from geosam.adapters.reading import TextFamily
from geosam.adapters.vocabulary import MERGES, PAIRS, WHOLE, Vocabulary
from geosam.arrays import Pixels
from geosam.segmenter import Proposals, WordFinder, batches, centred

THRESHOLD = 0.5
"""The family's own threshold of scores, as in all of its authors' examples."""

HALF = 0.5
"""Probability from which on a pixel is part of an instance."""

BATCH = 16
"""Masks that are brought to the window's pixels together: bounds memory and changes nothing else."""


class Sam3Finder(TextFamily, WordFinder):
    """SAM 3's detector over `transformers.Sam3Model`.

    The library hides the class where `torchvision` is missing, which it needs for boxes as examples, and not for words.

    """

    library = "models.sam3.modeling_sam3.Sam3Model"
    kinds = ("sam3", "sam3_video")
    does = "finds masks"
    norm = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    vocabulary = (WHOLE, PAIRS, MERGES)
    published = (
        Published(
            "sam3",
            "facebook/sam3",
            840_376_374,
            "SAM License",
            "Meta AI, SAM 3 (Carion et al. 2025)",
            1008,
            "geosam[text], licence accepted",
            gated=True,
        ),
    )
    original = "detector."

    def __init__(self, model: Any, vocabulary: Vocabulary, opened: Opened) -> None:
        super().__init__(model, vocabulary, opened)
        self.side = int(model.config.vision_config.backbone_config.image_size)
        self._words: dict[str, tuple[Any, Tensor]] = {}

    def propose(self, pixels: Pixels, words: Sequence[str]) -> list[Proposals]:
        """See `WordFinder.propose`."""
        with torch.inference_mode(), self.precision():
            seen = self.model.get_vision_features(pixel_values=self.image(pixels)[None].to(self.device))
            return [self._instances(seen, word, (pixels.shape[1], pixels.shape[2])) for word in words]

    def image(self, pixels: Pixels) -> Float[Tensor, "3 side side"]:
        """Squash a window to the square input and normalise it, as the published image processor does."""
        fit = Fit.of((pixels.shape[1], pixels.shape[2]), side=self.side, cells=self.side, squash=True)
        return normalise(fit.resize(pixels), *self._norm)

    def read(self, word: str) -> tuple[Any, Tensor]:
        """Embed a word: the library's text features, and where there are tokens."""
        if word not in self._words:
            length = int(self.model.config.text_config.max_position_embeddings)
            ids, there = (torch.from_numpy(each).to(self.device) for each in self.reader.rows([word], length))
            self._words[word] = self.model.get_text_features(input_ids=ids, attention_mask=there), there
        return self._words[word]

    def _instances(self, seen: Any, word: str, shape: tuple[int, int]) -> Proposals:
        text, there = self.read(word)
        found: Mapping[str, Tensor] = self.model(vision_embeds=seen, text_embeds=text, attention_mask=there)
        scores = found["pred_logits"][0].float().sigmoid() * found["presence_logits"][0].float().sigmoid()  # q
        score = centred(scores.double().cpu().numpy(), THRESHOLD)
        rows = np.flatnonzero(score >= LEAST)
        rows = rows[np.argsort(-score[rows], kind="stable")]
        if not len(rows):
            return Proposals.none()
        low = found["pred_masks"][0, torch.from_numpy(rows).to(self.device)].float().sigmoid()[:, None]  # m 1 mh mw
        drawn = [
            functional.interpolate(low[some], shape, mode="bilinear")[:, 0] > HALF for some in batches(len(low), BATCH)
        ]
        return _cut(torch.cat(drawn).cpu().numpy(), score[rows])


def _cut(masks: np.ndarray, scores: np.ndarray) -> Proposals:
    """Masks of the window cut to their boxes; those without a pixel are left out."""
    kept = np.flatnonzero(masks.any((1, 2)))
    places = [ndimage.find_objects(masks[row].astype(np.int8))[0] for row in kept.tolist()]
    boxes = np.array([[x.start, y.start, x.stop, y.stop] for y, x in places], np.float32).reshape(-1, 4)
    cut = [np.ascontiguousarray(masks[row][place]) for row, place in zip(kept.tolist(), places, strict=True)]
    return Proposals(boxes, scores[kept], tuple(cut))
