"""GroundingDINO: boxes of what a text names, for any segmenter to draw.

After Liu et al. 2023, "Grounding DINO: Marrying DINO with Grounded Pre-Training for Open-Set Object Detection"
(https://arxiv.org/abs/2303.05499). All words are asked in one text, in lower case, each with its full stop; a box has a
score for each token, and belongs to the word that its best token is part of: the characters a token stands for tell,
so that no word is taken for a part of another.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from geosam.adapters.detections import by_word, to_boxes
from geosam.adapters.family import Opened, Published
from geosam.adapters.preprocess import normalise, resized
from geosam.adapters.reading import TextFamily
from geosam.adapters.vocabulary import PIECES, WHOLE, Tokens, Vocabulary, read_vocabulary
from geosam.arrays import Pixels
from geosam.errors import ModelError, WeightsError
from geosam.segmenter import Proposals, WordFinder

THRESHOLD = 0.25
"""The family's own threshold of boxes and of texts."""

SHORTEST, LONGEST = 800, 1333
"""The input's shorter side, and what its longer one may be at most, where the folder does not say."""


class GroundingDinoFinder(TextFamily, WordFinder):
    """GroundingDINO over `transformers.GroundingDinoForObjectDetection`."""

    library = "GroundingDinoForObjectDetection"
    kinds = ("grounding-dino",)
    does = "finds boxes"
    vocabulary = (WHOLE, PIECES)
    published = (
        Published(
            "grounding_dino_tiny",
            "IDEA-Research/grounding-dino-tiny",
            172_250_626,
            "Apache-2.0",
            "IDEA Research, Grounding DINO (Liu et al. 2023)",
            SHORTEST,
            "geosam[text]",
        ),
    )

    def __init__(self, model: Any, vocabulary: Vocabulary, opened: Opened) -> None:
        super().__init__(model, vocabulary, opened)
        size = dict(opened.size)
        self.shortest, self.longest = size.get("shortest_edge", SHORTEST), size.get("longest_edge", LONGEST)
        self.side = self.shortest

    @classmethod
    def vocabulary_of(cls, model: Any, path: Path) -> Vocabulary:
        """See `TextFamily.vocabulary_of`; each has its own."""
        found = read_vocabulary(path, cls.vocabulary)
        if found is None:
            raise WeightsError(
                f"folder {str(path)!r} has no vocabulary", expected=f"{WHOLE} or {PIECES}", hint="download it"
            )
        return found

    def propose(self, pixels: Pixels, words: Sequence[str]) -> list[Proposals]:
        """See `WordFinder.propose`."""
        image = self.image(pixels)[None].to(self.device)
        found: list[Proposals] = []
        for some in self.texts(words):
            found += self._ask(image, some, (pixels.shape[1], pixels.shape[2]))
        return found

    def texts(self, words: Sequence[str]) -> list[Sequence[str]]:
        """Words in groups, each of which the text tower can read at once.

        Raises
        ------
        ModelError
            If one word alone is too long.
        """
        most = int(self.model.config.max_text_len)
        if len(self.reader(sentence(words)).ids) <= most:
            return [words]
        if len(words) == 1:
            raise ModelError(f"the word {words[0][:40]!r}…", expected=f"at most {most} tokens", hint="shorten it")
        half = len(words) // 2
        return [*self.texts(words[:half]), *self.texts(words[half:])]

    def image(self, pixels: Pixels) -> Float[Tensor, "3 sh sw"]:
        """Resample and normalise a window, as the published image processor does."""
        shape = fitted((pixels.shape[1], pixels.shape[2]), self.shortest, self.longest)
        return normalise(resized(pixels, shape, Image.Resampling.BILINEAR), *self._norm)

    def _ask(self, image: Tensor, words: Sequence[str], shape: tuple[int, int]) -> list[Proposals]:
        tokens = self.reader(sentence(words))
        spoken = parts(tokens, words)
        for word, part in zip(words, spoken, strict=True):
            if all(tokens.ids[at] == self.reader.unknown for at in part):
                given = f"the word {word[:40]!r}, of which {self.name!r} can read nothing"
                raise ModelError(given, expected="a word of the language that the model learned, mostly English")
        ids = torch.tensor([tokens.ids], device=self.device)
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
        with torch.inference_mode(), self.precision():
            found = self.model(pixel_values=image, **given)
        scores = found.logits[0].float().sigmoid().cpu().numpy()  # q t
        boxes = to_boxes(found.pred_boxes[0], (shape[1], shape[0]), shape)  # q 4
        each = np.stack([scores[:, part].max(1) for part in spoken], 1)  # q w
        return by_word(boxes, each, THRESHOLD)


class MmGroundingDinoFinder(GroundingDinoFinder):
    """The same, trained anew on open data, over `transformers.MMGroundingDinoForObjectDetection`.

    After Zhao et al. 2024, "An Open and Comprehensive Pipeline for Unified Object Grounding and Detection"
    (https://arxiv.org/abs/2401.02361).
    """

    library = "MMGroundingDinoForObjectDetection"
    kinds = ("mm-grounding-dino",)
    published = (
        Published(
            "mm_grounding_dino_tiny",
            "openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det",
            0,
            "Apache-2.0",
            "OpenMMLab, MM Grounding DINO (Zhao et al. 2024)",
            SHORTEST,
            "geosam[text]",
        ),
    )


def sentence(words: Sequence[str]) -> str:
    """The text that asks for words.

    Examples
    --------
    >>> sentence(["Building", "solar panel"])
    'building. solar panel.'
    """
    return " ".join(f"{word.strip().lower().rstrip('.')}." for word in words)


def parts(tokens: Tokens, words: Sequence[str]) -> list[list[int]]:
    """For each word the tokens that stand for its characters, of the text of all of them.

    Examples
    --------
    >>> parts(Tokens([101, 5, 6, 7, 9, 7, 102], [(0, 0), (0, 4), (5, 8), (8, 9), (10, 13), (13, 14), (0, 0)]),
    ...       ["cart car", "car"])
    [[1, 2], [4]]
    """
    found, start = [], 0
    for word in words:
        stop = start + len(sentence([word])) - 1  # without its full stop
        found.append([at for at, (low, high) in enumerate(tokens.spans) if start <= low < high <= stop])
        start = stop + 2
    return found


def fitted(shape: tuple[int, int], shortest: int, longest: int) -> tuple[int, int]:
    """Rows and columns of the input for a window: its shorter side is given, unless the longer one became too long.

    Examples
    --------
    >>> fitted((500, 600), 800, 1333), fitted((100, 600), 800, 1333)
    ((800, 960), (222, 1333))
    """
    short, long = min(shape), max(shape)
    exact = longest * short / long if long / short * shortest > longest else float(shortest)
    if short == round(exact):
        return shape
    sides = round(exact), int(exact * long / short)
    return sides if shape[0] == short else (sides[1], sides[0])
