"""OWLv2: boxes of what words name, for any segmenter to draw.

After Minderer et al. 2023, "Scaling Open-Vocabulary Object Detection" (https://arxiv.org/abs/2306.09683). Each patch of
the image proposes one box, which belongs to the word that it is most like.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy import ndimage
from torch import Tensor

from geosam.adapters.clip import NORM
from geosam.adapters.detections import by_word, to_boxes
from geosam.adapters.family import Opened, Published
from geosam.adapters.preprocess import normalise
from geosam.adapters.reading import TextFamily
from geosam.adapters.vocabulary import MERGES, PACKED, PAIRS, WHOLE, Vocabulary
from geosam.arrays import Pixels
from geosam.segmenter import Proposals, WordFinder

THRESHOLD, NMS_IOU = 0.1, 0.3
"""The family's own threshold of scores, and the IoU above which of two boxes of a word only the better one stays."""

SENTENCE = "a photo of a {}"
"""What is said about a word, as in training."""


class Owlv2Finder(TextFamily, WordFinder):
    """OWLv2 over `transformers.Owlv2ForObjectDetection`."""

    library = "Owlv2ForObjectDetection"
    kinds = ("owlv2",)
    does = "finds boxes"
    norm = NORM
    vocabulary = (WHOLE, PAIRS, MERGES, PACKED)
    published = (
        Published(
            "owlv2_base",
            "google/owlv2-base-patch16-ensemble",
            154_966_792,
            "Apache-2.0",
            "Google, OWLv2 (Minderer et al. 2023)",
            960,
            "geosam[text]",
        ),
    )

    def __init__(self, model: Any, vocabulary: Vocabulary, opened: Opened) -> None:
        super().__init__(model, vocabulary, opened)
        self.side = int(model.config.vision_config.image_size)

    def propose(self, pixels: Pixels, words: Sequence[str]) -> list[Proposals]:
        """See `WordFinder.propose`."""
        text = self.model.config.text_config
        asked = [SENTENCE.format(word) for word in words]
        ids, there = self.reader.rows(asked, int(text.max_position_embeddings), pad=int(text.pad_token_id))
        given = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(there)}
        given = {name: each.to(self.device) for name, each in given.items()}
        image = self.image(pixels)[None].to(self.device)
        with torch.inference_mode(), self.precision():
            found = self.model(pixel_values=image, **given)
        scores = found.logits[0].float().sigmoid().cpu().numpy()  # q w
        h, w = pixels.shape[1:]
        boxes = to_boxes(found.pred_boxes[0].float(), (max(h, w), max(h, w)), (h, w))  # q 4
        return by_word(boxes, scores, THRESHOLD, NMS_IOU)

    def image(self, pixels: Pixels) -> Float[Tensor, "3 side side"]:
        """Pad a window to a square, right and below, blur as much as it shrinks, resample and normalise.

        So does the published image processor, after the authors' own.
        """
        whole = pixels.astype(np.float32) / 255  # 3 h w
        h, w = whole.shape[1:]
        whole = np.pad(whole, ((0, 0), (0, max(h, w) - h), (0, max(h, w) - w)))  # 3 s s
        factor = max(h, w) / self.side
        spread = max(0.0, (factor - 1) / 2)
        soft = ndimage.gaussian_filter(whole, (0, spread, spread), mode="mirror")
        small = ndimage.zoom(soft, (1, 1 / factor, 1 / factor), order=1, mode="mirror", grid_mode=True)
        small = torch.from_numpy(np.clip(np.asarray(small, np.float32), whole.min(), whole.max()))
        return normalise(small * 255, *self._norm)
