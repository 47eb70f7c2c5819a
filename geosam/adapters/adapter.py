"""What all families share: a model of the library behind the pipeline's port, numpy in and numpy out."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from geosam.adapters.family import Family, Opened
from geosam.adapters.preprocess import Fit, normalise
from geosam.arrays import Pixels, PointLabels
from geosam.errors import ModelError
from geosam.segmenter import Answers, Capabilities, Features, PromptBatch, Segmenter, batches

BATCH = 16
"""Prompts that are decoded together: bounds memory and changes nothing else but rounding."""


class Adapter(Family, Segmenter):
    """A model of the `transformers` library behind a numpy face.

    What it gives depends on its input alone: there is no current image, and threads may share it. A family says which
    class of the library it wraps and how its embedding is laid out; prompts, resampling and rounding are the same for
    all.

    Parameters are those of `Family`. Prompts are answered in float32, whatever an image is encoded in.
    """

    squash: ClassVar[bool]
    """Whether windows become square, whatever their aspect; else they are padded. See `geosam.adapters.preprocess`."""

    def __init__(self, model: Any, **how: Any) -> None:
        super().__init__(model, **how)
        prompts = model.config.prompt_encoder_config
        self.side = int(prompts.image_size)
        self._cells = 4 * (self.side // int(prompts.patch_size))
        self.capabilities = Capabilities(max_batch=BATCH)
        self._masks = int(model.config.mask_decoder_config.num_multimask_outputs)

    @abstractmethod
    def embed(self, images: Tensor) -> Sequence[Tensor]:
        """Embed normalised images ``b 3 side side``: feature maps ``b c gh gw``, the coarsest first."""

    @abstractmethod
    def unpack(self, features: Sequence[Tensor]) -> Mapping[str, Any]:
        """Give what `embed` gave as keywords of the library's forward pass."""

    @classmethod
    def of(cls, model: Any, opened: Opened) -> "Adapter":
        """See `Family.of`."""
        return cls(model, name=opened.name, key=opened.key, dtype=opened.dtype, norm=opened.norm)

    def fit(self, shape: tuple[int, int]) -> Fit:
        """How a window of ``shape`` ``(h, w)`` lies on the network's input."""
        return Fit.of(shape, side=self.side, cells=self._cells, squash=self.squash)

    def logits_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the mask logits for a window of ``shape`` pixels."""
        return self.fit(shape).logits

    def image(self, pixels: Pixels) -> Float32[Tensor, "3 side side"]:
        """Resample, normalise and pad a window, as the published image processor does."""
        fit = self.fit((pixels.shape[1], pixels.shape[2]))
        return fit.pad(normalise(fit.resize(pixels), *self._norm))

    def encode(self, pixels: Pixels) -> Features:
        """Embed a window, as far as no prompt is needed.

        Parameters
        ----------
        pixels
            Red, green and blue from 0 to 255, ``3 h w``.
        """
        with torch.inference_mode(), self.precision():
            maps = self.embed(self.image(pixels)[None].to(self.device))
            arrays = tuple(each[0].half().cpu().contiguous().numpy() for each in maps)
        return Features(arrays, (pixels.shape[1], pixels.shape[2]))

    def decode(self, features: Features, prompts: PromptBatch, *, multimask: bool = True) -> Answers:
        """Answer ``n`` prompts on a window that has been encoded.

        Parameters
        ----------
        features
            What `encode` gave for the window.
        prompts
            In pixels of the window.
        multimask
            True for the alternatives of an ambiguous prompt (mostly three), False for one answer.

        Raises
        ------
        ModelError
            If the features are not an embedding by this model.
        """
        fit, count = self.fit(features.shape), self._masks if multimask else 1
        logits = np.empty((len(prompts), count, *fit.logits), np.float32)
        iou = np.empty((len(prompts), count), np.float32)
        with torch.inference_mode():
            unpacked = self.unpack(self._check([torch.tensor(array).float()[None] for array in features.maps]))
            for rows in _alike(prompts.labels):
                given = _to_input(prompts[rows], fit)
                drawn, iou[rows] = self.answer(unpacked, **given, multimask=multimask)
                logits[rows] = fit.crop(drawn).numpy()
        return Answers(logits, iou)

    def answer(
        self,
        features: Mapping[str, Any],
        *,
        points: Tensor,
        labels: Tensor,
        boxes: Tensor | None,
        masks: Tensor | None,
        multimask: bool,
    ) -> tuple[Float32[Tensor, "n k c c"], Float32[np.ndarray, "n k"]]:
        """Answer prompts with equally many points in the library's own coordinates, with mask logits of its own.

        ``features`` is what `unpack` gives; ``points`` ``n p 2``, ``labels`` ``n p``, ``boxes`` ``n 4``, ``masks``
        ``n c c``.
        """
        n = len(points)
        # the library takes one mask prompt an image, so that such prompts need an image each
        each = masks is not None or (boxes is None and not points.shape[1])
        lead = (n, 1) if each else (1, n)
        given: dict[str, Any] = {}
        if points.shape[1]:
            given |= {"input_points": points.reshape(*lead, -1, 2), "input_labels": labels.reshape(*lead, -1)}
        if boxes is not None:
            given["input_boxes"] = boxes.reshape(*lead, 4)
        if masks is not None:
            given["input_masks"] = masks[:, None]
        given = {name: value.to(self.device) for name, value in given.items()}
        found = self.model(**(_repeated(features, n) if each else features), **given, multimask_output=multimask)
        return found.pred_masks.flatten(0, 1).float().cpu(), found.iou_scores.flatten(0, 1).float().cpu().numpy()

    def _check(self, features: list[Tensor]) -> list[Tensor]:
        """Refuse another model's features, whose coarse map has another shape, before the library trips over them."""
        width, grid = int(self.model.config.prompt_encoder_config.hidden_size), self._cells // 4
        if features[0].shape[1:] != (width, grid, grid):
            raise ModelError(
                f"an embedding of shape {tuple(features[0].shape[1:])}",
                expected=f"{(width, grid, grid)} from {self.name}",
                hint="encode the window with the same model",
            )
        return [each.to(self.device) for each in features]


def _to_input(prompts: PromptBatch, fit: Fit) -> dict[str, Any]:
    """Prompts with equally many points in pixels of the network's input, without padding."""
    n, boxes, masks = len(prompts), prompts.boxes, prompts.mask_logits
    real = prompts.labels >= 0
    return {
        "points": fit.to_input(prompts.points[real].reshape(n, -1, 2)),
        "labels": torch.tensor(prompts.labels[real].reshape(n, -1)),
        "boxes": None if boxes is None else fit.to_input(boxes.reshape(-1, 2, 2)).flatten(1),
        "masks": None if masks is None else fit.place(torch.tensor(masks)),
    }


def _alike(labels: PointLabels) -> Iterator[np.ndarray]:
    """Rows of prompts with equally many points, `BATCH` at a time; padding would count as a point else."""
    counts = (labels >= 0).sum(axis=1)
    for count in np.unique(counts).tolist():
        rows = np.flatnonzero(counts == count)
        for some in batches(len(rows), BATCH):
            yield rows[some]


def _repeated(features: Mapping[str, Any], n: int) -> dict[str, Any]:
    """The same features for each of ``n`` images, without a copy."""

    def repeated(value: Any) -> Any:
        if isinstance(value, list):
            return [repeated(each) for each in value]
        return value.expand(n, *value.shape[1:])

    return {name: repeated(value) for name, value in features.items()}
