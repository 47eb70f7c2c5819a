"""The port through which masks are asked for."""

from collections.abc import Callable
from typing import Protocol, TypeGuard, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Float64

from geosam.arrays import Boxes, Logits, MaskScores, Patch, PointLabels, Points

Result = TypeVar("Result")

MaskPrompts = Float32[np.ndarray, "n _ _"]
"""Mask logits that cover the window at any sampling, also another than the answer's."""


@runtime_checkable
class MaskDecoder(Protocol):
    """Whatever answers prompts on an embedded window.

    `geosam.sam.model.Predictor` is one; `geosam.testing.TruthDecoder` is a perfect one.
    """

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
        """Answer ``n`` prompts.

        Parameters
        ----------
        arrays
            What the image encoder made of the window.
        shape
            ``(h, w)`` of the window in pixels.
        points, labels
            Clicks in window pixels, ``(x, y)`` from the corner of the first pixel, and what they mean: 1 inside, 0
            outside, -1 padding.
        boxes
            ``xyxy`` in window pixels.
        mask_logits
            Earlier logits, or a mask as logits, that cover the window at any sampling.
        multimask
            True for the alternatives of an ambiguous prompt (mostly three), False for one answer.

        Returns
        -------
        logits, iou
            Mask logits that cover exactly the window, at its own or a coarser sampling, and the IoU that each mask is
            predicted to have.
        """
        ...


@runtime_checkable
class NearDecoder(MaskDecoder, Protocol):
    """A mask decoder that answers clicks best in their surroundings."""

    def decode_near(
        self,
        arrays: tuple[np.ndarray, ...],
        shape: tuple[int, int],
        *,
        points: Points,
        labels: PointLabels,
        boxes: Boxes | None = None,
        mask_logits: MaskPrompts | None = None,
        multimask: bool = True,
        together: bool = False,
    ) -> tuple[Logits, MaskScores]:
        """Answer prompts each in the smallest surroundings that hold its best mask; else as `MaskDecoder.decode`.

        ``together`` is quicker, and makes answers agree only up to rounding, whatever else is asked.
        """
        ...


@runtime_checkable
class SurveyDecoder(MaskDecoder, Protocol):
    """A mask decoder that knows how good a mask will be before it draws it, and draws on request."""

    def survey(
        self,
        arrays: tuple[np.ndarray, ...],
        shape: tuple[int, int],
        *,
        points: Points,
        labels: PointLabels,
        least_iou: float,
        look: Callable[[int, int, float, Patch], Result],
        local: Bool[np.ndarray, "n"] | None = None,
    ) -> list[Result]:
        """Answer ambiguous prompts with those masks whose predicted IoU is at least `least_iou`.

        Parameters
        ----------
        arrays, shape, points, labels
            As in `MaskDecoder.decode`.
        least_iou
            Masks predicted to be worse are left out.
        look
            Called with the prompt's row, the number of the alternative, its predicted IoU and its logits where
            there may be something; perhaps on several threads at once.
        local
            Prompts that need not be answered in the whole window, if the network knows of something quicker.

        Returns
        -------
        What `look` gave, by row and alternative.
        """
        ...


@runtime_checkable
class SharpeningDecoder(MaskDecoder, Protocol):
    """A mask decoder that may know how to make an answer sharper, beside the picture."""

    @property
    def sharpens(self) -> bool:
        """Whether it does."""
        ...

    def sharpen(
        self,
        arrays: tuple[np.ndarray, ...],
        shape: tuple[int, int],
        logits: MaskPrompts,
        iou: Float32[np.ndarray, "n"],
        *,
        points: Points,
        labels: PointLabels,
        boxes: Boxes | None = None,
        once: bool = False,
    ) -> tuple[list[Patch], Float32[np.ndarray, "n"]]:
        """Give one sharper mask for each of ``n``, and the IoU that it is predicted to have, in [0, 1].

        ``points, labels, boxes`` are what the masks answer, ``iou`` is what was predicted for them. With ``once``
        nothing is looked at more than once, which may be quicker.
        """
        ...


@runtime_checkable
class JudgingDecoder(MaskDecoder, Protocol):
    """A mask decoder that may know how to tell objects from other masks by what they measure."""

    @property
    def judges(self) -> bool:
        """Whether it does."""
        ...

    def judge(self, measures: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n"]:
        """Give the IoU that masks are expected to have, from the measures that `geosam.masks.judging` takes."""
        ...


def survey(
    decoder: MaskDecoder,
    arrays: tuple[np.ndarray, ...],
    shape: tuple[int, int],
    *,
    points: Float32[np.ndarray, "n 2"],
    least_iou: float,
    look: Callable[[int, int, float, Patch], Result],
    local: Bool[np.ndarray, "n"] | None = None,
    batch: int = 64,
) -> list[Result]:
    """Survey clicks inside objects with any decoder: one that draws all masks is asked for `batch` clicks at a time.

    Arguments and result as those of `SurveyDecoder.survey`; one click ``(x, y)`` a row.
    """
    points, labels = points[:, None], np.ones((len(points), 1), np.int64)
    if isinstance(decoder, SurveyDecoder):
        return decoder.survey(arrays, shape, points=points, labels=labels, least_iou=least_iou, look=look, local=local)
    seen: list[Result] = []
    for start in range(0, len(points), batch):
        part = slice(start, start + batch)
        logits, iou = decoder.decode(arrays, shape, points=points[part], labels=labels[part])
        good = np.argwhere(iou >= least_iou).tolist()
        seen.extend(
            look(start + row, choice, float(iou[row, choice]), Patch.of(logits[row, choice])) for row, choice in good
        )
    return seen


def sharpens(decoder: MaskDecoder) -> TypeGuard[SharpeningDecoder]:
    """Whether a decoder knows how to make answers sharper."""
    return isinstance(decoder, SharpeningDecoder) and decoder.sharpens


def outline_boxes(
    decoder: MaskDecoder, arrays: tuple[np.ndarray, ...], shape: tuple[int, int], boxes: Boxes
) -> tuple[Float32[np.ndarray, "n mh mw"], Float32[np.ndarray, "n"]]:
    """Answer boxes with one mask each, in surroundings if the decoder knows how to; the predicted IoUs in [0, 1].

    ``boxes`` are ``xyxy`` in window pixels, ``n 4``; other arguments as those of `MaskDecoder.decode`.
    """
    none = {"points": np.zeros((len(boxes), 1, 2), np.float32), "labels": np.full((len(boxes), 1), -1, np.int64)}
    asked = {**none, "boxes": boxes, "multimask": False}
    if isinstance(decoder, NearDecoder):
        logits, iou = decoder.decode_near(arrays, shape, **asked, together=True)
    else:
        logits, iou = decoder.decode(arrays, shape, **asked)
    return logits[:, 0], np.clip(iou[:, 0], 0, 1)
