"""A `Sam` that speaks numpy: windows of pixels in, mask logits out."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from geosam.arrays import Boxes, Logits, MaskScores, Pixels, PointLabels, Points
from geosam.errors import ModelError
from geosam.sam.blocks import Features
from geosam.sam.model.canvas import Canvas
from geosam.sam.model.network import Sam

MaskPrompts = Float32[np.ndarray, "n _ _"]
"""Mask logits given as a prompt, at any sampling."""

PART = 8
"""Prompts decoded at a time: few enough for their features to stay near the processor."""


class Predictor:
    """A `Sam` behind a numpy face: the encoder and decoder that the map code works with.

    Everything it gives depends on its input alone: there is no current image, and threads may share it.

    Parameters
    ----------
    sam
        The network, with its weights, on its device.
    key
        Identifies the weights; part of every cached embedding's key.
    dtype
        Precision of the arithmetic, ``torch.float32`` or ``torch.bfloat16``.
    """

    def __init__(self, sam: Sam, key: str, *, dtype: torch.dtype = torch.float32) -> None:
        self.sam = sam.eval()
        self.key = key if dtype == torch.float32 else f"{key}-{str(dtype).removeprefix('torch.')}"
        self.dtype = dtype
        self.device = sam.pixel_mean.device

    @property
    def name(self) -> str:
        """What users call the model."""
        return self.sam.spec.name

    @property
    def side(self) -> int:
        """The longest side in pixels of a window that it takes without making it smaller."""
        return self.sam.spec.side

    @property
    def thresholds(self) -> dict[str, float]:
        """The options of everything mode that suit its scores."""
        return dict(self.sam.spec.thresholds)

    def __repr__(self) -> str:
        return f"Predictor({self.key!r}, side={self.side}, device={str(self.device)!r})"

    def canvas(self, shape: tuple[int, int]) -> Canvas:
        """Tell how a window of ``shape`` ``(h, w)`` lies on the network's input."""
        return Canvas.of(shape, resamples=self.sam.spec.resamples, side=self.side)

    def logits_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Tell the ``(mh, mw)`` of the mask logits of a window of ``shape`` ``(h, w)``."""
        return self.canvas(shape).logits

    def encode(self, pixels: Pixels) -> tuple[np.ndarray, ...]:
        """Embed a window, as far as no prompt is needed.

        Parameters
        ----------
        pixels
            Red, green and blue from 0 to 255, ``3 h w``.

        Returns
        -------
        arrays
            Features ``c gh gw``, the coarsest first; float16, so that features from a cache equal fresh ones.
        """
        canvas = self.canvas((pixels.shape[1], pixels.shape[2]))
        with torch.inference_mode(), self._precision():
            shown = canvas.show(torch.tensor(pixels, device=self.device).float())  # 3 sh sw
            image = canvas.pad(self.sam.normalise(shown))  # 3 ph pw
            coarse, fine = self.sam.encode_images(image[None])  # 1 c gh gw
            return tuple(array[0].half().cpu().numpy() for array in (coarse, *fine))

    def decode(
        self,
        arrays: tuple[np.ndarray, ...],
        shape: tuple[int, int],
        *,
        points: Points,
        labels: PointLabels,
        boxes: Boxes | None = None,
        mask_logits: MaskPrompts | None = None,
        multimask: bool = True,
    ) -> tuple[Logits, MaskScores]:
        """Answer prompts on a window that has been encoded.

        Parameters
        ----------
        arrays
            What `encode` gave for the window.
        shape
            ``(h, w)`` of the window in pixels.
        points
            ``(x, y)`` in window pixels, (0, 0) being the corner of the first pixel, ``n p 2``; ``p`` may be 0.
        labels
            1 inside, 0 outside, -1 where a prompt has fewer points, ``n p``.
        boxes
            ``xyxy`` in window pixels, ``n 4``.
        mask_logits
            Masks as prompts: logits that cover the window, at any sampling, best that of `logits_shape`.
        multimask
            Three masks for each prompt, or the one that suits a prompt without ambiguity.

        Returns
        -------
        logits, iou
            Mask logits that cover the window at the sampling of `logits_shape`, ``n k mh mw``, above 0 inside; and the
            predicted IoU of each, ``n k``, which may leave [0, 1] a little.

        Raises
        ------
        ModelError
            If the arrays are not an embedding of such a window by this model.
        """
        canvas = self.canvas(shape)
        with torch.inference_mode(), self._precision():
            features = self._features(arrays, canvas)
            scale = torch.tensor(canvas.scale, device=self.device)
            answers = []
            for part in _parts(len(points)):
                logits, iou = self.sam.decode(
                    features,
                    points=self._tensor(points[part]) * scale,
                    labels=torch.tensor(labels[part], device=self.device),
                    boxes=None if boxes is None else self._tensor(boxes[part]) * scale.repeat(2),
                    masks=None if mask_logits is None else canvas.place(self._tensor(mask_logits[part])),
                    multimask=multimask,
                )
                answers.append((canvas.crop(logits.float()).cpu().numpy(), iou.float().cpu().numpy()))
        logits, iou = zip(*answers, strict=True)
        return np.concatenate(logits), np.concatenate(iou)

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array, dtype=torch.float32, device=self.device)

    def _features(self, arrays: tuple[np.ndarray, ...], canvas: Canvas) -> Features:
        coarse, *fine = (self._tensor(array)[None] for array in arrays)  # 1 c gh gw
        if coarse.shape[1:] != (self.sam.spec.width, *canvas.grid):
            raise ModelError(
                f"an embedding of shape {tuple(arrays[0].shape)} for a window of {canvas.shape} pixels",
                expected=f"{(self.sam.spec.width, *canvas.grid)} from {self.name}",
                hint="encode the window with the same model",
            )
        return Features(coarse, tuple(fine))


def _parts(count: int) -> Iterator[slice]:
    """Cut the prompts into parts that stay small in memory; at least one, so that no prompts give empty arrays."""
    for start in range(0, max(count, 1), PART):
        yield slice(start, start + PART)
