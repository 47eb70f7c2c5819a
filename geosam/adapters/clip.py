"""CLIP and its kin on maps: an image tower and a text tower that meet in one space, as a reader of words.

After Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision"
(https://arxiv.org/abs/2103.00020). RemoteCLIP (Liu et al. 2023, https://arxiv.org/abs/2306.11029) and GeoRSCLIP (Zhang
et al. 2023, https://arxiv.org/abs/2306.11300) are the same towers with other weights, see `geosam.adapters.open_clip`.

A region is seen in one of two ways: as the square *crop* around it, resampled to the tower's input, or *pooled* from
the patches of its window, each read for itself by the value path of the last attention (Zhou et al. 2022, "Extract Free
Dense Labels from CLIP", https://arxiv.org/abs/2112.01071), which sees a window once for however many regions.

A word is the mean of several sentences about it. Its score is its probability against words for whatever else lies on
the ground, and does not depend on which other words are asked.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from PIL import Image
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from geosam.adapters.family import Norm, Opened, Published
from geosam.adapters.open_clip import CONFIGURATION, configuration, to_library, uses_quick_gelu
from geosam.adapters.preprocess import normalise, resized
from geosam.adapters.reading import COMMON, TextFamily
from geosam.adapters.vocabulary import MERGES, PACKED, PAIRS, WHOLE, Vocabulary
from geosam.arrays import Labels, Pixels
from geosam.segmenter import WordReader, batches

NORM: Norm = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Mean and deviation of the pictures that CLIP learned from."""

SENTENCES = tuple(
    f"{seen} {what} of {which}{{}}."
    for seen, what, which in product(("satellite", "aerial"), ("imagery", "photo", "view"), ("", "a ", "the "))
)
"""What is said about a word: the prompts with which Radford et al. classify pictures from above (RESISC45)."""

GROUND = (
    ("building", "buildings", "house", "houses", "roof", "roofs"),
    ("road", "roads", "street", "pavement"),
    ("tree", "trees", "forest", "forests", "wood", "woods"),
    ("grass", "lawn", "meadow", "pasture"),
    ("crop", "crops", "field", "fields", "farmland", "cropland"),
    ("bare ground", "bare soil", "sand", "rock"),
    ("water", "river", "lake", "sea", "pond"),
    ("shadow", "shadows"),
)
"""Contrast words: what else may lie there, each with what means nearly the same. The first of each group is asked; a
group is left out if a word of it is what is looked for, or a part of that."""

CONTEXT = 0.25
"""How far a crop reaches beyond its region to every side, as a share of the region's longer side: an object is known by
what it stands on, and a crop that is all roof shows no roof."""

LEAST_PX = 32
"""Least side of a crop: fewer pixels, blown up to the tower's input, are a blur like no picture it learned from."""

BATCH = 32
"""Crops that are embedded together: bounds memory and changes nothing else but rounding."""


class ClipReader(TextFamily, WordReader):
    """CLIP over `transformers.CLIPModel`, and the same towers in open_clip's files.

    With ``pooled`` regions are pooled from the patches of their window, and not cropped; see `TextFamily` for the rest.
    """

    library = "CLIPModel"
    kinds = ("clip",)
    does = "scores regions"
    norm = NORM
    original = "visual."
    vocabulary = (WHOLE, PAIRS, MERGES, PACKED, CONFIGURATION)
    published = (
        Published(
            "clip_vit_b32", COMMON, 151_277_313, "MIT", "OpenAI, CLIP (Radford et al. 2021)", 224, "geosam[text]"
        ),
        Published(
            "remoteclip_vit_b32",
            "chendelong/RemoteCLIP",
            151_277_313,
            "Apache-2.0",
            "RemoteCLIP (Liu et al. 2023)",
            224,
            "geosam[text]",
            file="RemoteCLIP-ViT-B-32.pt",
            vocabulary=COMMON,
        ),
        Published(
            "remoteclip_vit_l14",
            "chendelong/RemoteCLIP",
            427_616_513,
            "Apache-2.0",
            "RemoteCLIP (Liu et al. 2023)",
            224,
            "geosam[text]",
            file="RemoteCLIP-ViT-L-14.pt",
            vocabulary=COMMON,
        ),
        Published(
            "georsclip_vit_b32",
            "Zilun/GeoRSCLIP",
            151_277_313,
            "see its page",
            "GeoRSCLIP (Zhang et al. 2023)",
            224,
            "geosam[text]",
            file="ckpt/RS5M_ViT-B-32.pt",
            vocabulary=COMMON,
        ),
    )

    def __init__(self, model: Any, vocabulary: Vocabulary, opened: Opened, *, pooled: bool = False) -> None:
        said = hashlib.sha256(repr((SENTENCES, GROUND, CONTEXT, LEAST_PX, pooled)).encode()).hexdigest()[:8]
        super().__init__(model, vocabulary, replace(opened, key=f"{opened.key}-{said}"))
        self._opened, self.pooled = opened, pooled
        self.input_px = int(model.config.vision_config.image_size)
        self.patch_px = int(model.config.vision_config.patch_size)
        self.side = 1024
        self._words: dict[str, Tensor] = {}

    @classmethod
    def convert(cls, state: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Bring open_clip's files, as RemoteCLIP's and GeoRSCLIP's are, to the library's names; ResNets have no way."""
        found = configuration(state)
        return None if found is None else (found, to_library(state))

    @classmethod
    def adjusted(cls, settings: dict[str, Any], path: Path) -> dict[str, Any]:
        """With the activation, which parameters do not tell."""
        act = "quick_gelu" if uses_quick_gelu(path) else "gelu"
        return settings | {part: settings[part] | {"hidden_act": act} for part in ("text_config", "vision_config")}

    def by_patches(self) -> "ClipReader":
        """The same towers, with regions pooled from the patches of their window: less work, and coarser."""
        return type(self)(self.model, self.reader, self._opened, pooled=True)

    def score(self, pixels: Pixels, labels: Labels, words: Sequence[str]) -> Float32[np.ndarray, "n v"]:
        """See `WordReader.score`."""
        count = int(labels.max(initial=0))
        found = np.zeros((count, len(words)), np.float32)
        seen = [each is not None for each in ndimage.find_objects(labels, count)]
        if not any(seen):
            return found
        images = self.pool(pixels, labels) if self.pooled else self.see(pixels, labels)  # m d, of labels that are there
        scale = self.model.logit_scale.exp().cpu()
        for column, word in enumerate(words):
            against = torch.stack([self.read(each) for each in (word, *others(word))])  # 1+c d
            found[seen, column] = (scale * images @ against.T).softmax(1)[:, 0].numpy()
        return found

    def see(self, pixels: Pixels, labels: Labels) -> Float[Tensor, "m d"]:
        """Embed the crop around each region that has a pixel, with length one."""
        crops = list(squares(labels))
        found = []
        for rows in batches(len(crops), BATCH):
            images = torch.stack([self.image(pixels[:, y, x]) for y, x in crops[rows]])
            with torch.inference_mode(), self.precision():
                embedded = self.model.get_image_features(pixel_values=images.to(self.device)).pooler_output
            found.append(functional.normalize(embedded.float().cpu(), dim=1))
        return torch.cat(found)

    def image(self, pixels: Pixels) -> Float[Tensor, "3 side side"]:
        """Resample a crop to the tower's input, as the published image processor does with a square one."""
        return self._resample(pixels, (self.input_px, self.input_px))

    def pool(self, pixels: Pixels, labels: Labels) -> Float[Tensor, "m d"]:
        """Embed each region that has a pixel as the mean of its patches in the window, with length one."""
        h, w = labels.shape
        rows, cols = (max(1, round(n / self.patch_px)) for n in (h, w))
        image = self._resample(pixels, (rows * self.patch_px, cols * self.patch_px))
        tower = self.model.vision_model
        with torch.inference_mode():
            given = {"interpolate_pos_encoding": True, "output_hidden_states": True}
            last = tower(pixel_values=image[None].to(self.device), **given).hidden_states[-2]  # 1 1+p c
            layer = tower.encoder.layers[-1]
            values = layer.self_attn.out_proj(layer.self_attn.v_proj(layer.layer_norm1(last)))
            patches = self.model.visual_projection(tower.post_layernorm(values))[0, 1:].float().cpu()  # p d
        y, x = np.arange(h) * rows // h, np.arange(w) * cols // w
        patch = (y[:, None] * cols + x)[labels > 0]  # of each pixel of a region
        present, region = np.unique(labels[labels > 0], return_inverse=True)
        weights = np.zeros((len(present), rows * cols), np.float32)
        np.add.at(weights, (region, patch), 1.0)
        return functional.normalize(torch.from_numpy(weights) @ functional.normalize(patches, dim=1), dim=1)

    def read(self, word: str) -> Float[Tensor, "d"]:
        """Embed what the sentences say about a word: their mean, with length one."""
        if word not in self._words:
            length = int(self.model.config.text_config.max_position_embeddings)
            ids, there = self.reader.rows([each.format(word) for each in SENTENCES], length)
            given = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(there)}
            with torch.inference_mode():
                found = self.model.get_text_features(**{name: each.to(self.device) for name, each in given.items()})
            mean = functional.normalize(found.pooler_output.float().cpu(), dim=1).mean(0)
            self._words[word] = functional.normalize(mean, dim=0)
        return self._words[word]

    def _resample(self, pixels: Pixels, shape: tuple[int, int]) -> Float32[Tensor, "3 sh sw"]:
        return normalise(resized(pixels, shape, Image.Resampling.BICUBIC), *self._norm)


def squares(labels: Labels) -> Iterator[tuple[slice, slice]]:
    """The square around each region that has a pixel, with some context: rows and columns, within the window.

    Examples
    --------
    >>> labels = np.zeros((100, 200), np.int32)
    >>> labels[40:60, 0:40] = 1
    >>> list(squares(labels))
    [(slice(20, 80, None), slice(0, 60, None))]
    """
    h, w = labels.shape
    for place in ndimage.find_objects(labels):
        if place is not None:
            longer = max(side.stop - side.start for side in place)
            side = max(LEAST_PX, round(longer * (1 + 2 * CONTEXT)))
            rows, cols = (_around(each, side, length) for each, length in zip(place, (h, w), strict=True))
            yield rows, cols


def _around(place: slice, side: int, length: int) -> slice:
    """``side`` pixels around a place, moved into ``length``; all of it where it is shorter."""
    start = min(max(0, (place.start + place.stop - side) // 2), max(0, length - side))
    return slice(start, min(length, start + side))


def others(word: str) -> list[str]:
    """The contrast words of a word.

    Examples
    --------
    >>> others("swimming pool")[:2], others("apartment building")[:2]
    (['building', 'road'], ['road', 'tree'])
    """
    said = f" {word} "
    return [group[0] for group in GROUND if not any(f" {each} " in said for each in group)]
