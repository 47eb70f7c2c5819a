"""A `Sam` that speaks numpy: windows of pixels in, mask logits out."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cached_property
from threading import Lock
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64
from torch import Tensor

from geosam.arrays import AnyPixels, Boxes, Logits, MaskScores, Patch, Pixels, PointLabels, Points
from geosam.errors import ModelError
from geosam.sam.blocks import Features
from geosam.sam.image_encoder.vit import VitEncoder
from geosam.sam.model.canvas import Canvas
from geosam.sam.model.close_up import keep_picture
from geosam.sam.model.given import check_pixels, check_prompts
from geosam.sam.model.groups import Group, Lot, Parts
from geosam.sam.model.network import Sam
from geosam.sam.model.remembered import Remembered
from geosam.sam.model.sharpening import sharpen_masks
from geosam.sam.prepared import PreparedDecoder, Question, View
from geosam.sam.prepared.memory import give_back, growth
from geosam.sam.prepared.transfer import fetch, send
from geosam.sam.prepared.vit import PreparedVit
from geosam.sam.prepared.workers import map_alone

MaskPrompts = Float32[np.ndarray, "n _ _"]
"""Mask logits given as a prompt, at any sampling."""

Given = tuple[Points, PointLabels, Boxes | None, MaskPrompts | None]
"""Points, labels, boxes and masks, as `Predictor.decode` takes them."""

Result = TypeVar("Result")

_preparing = Lock()
"""Held while weights are laid out: threads that share a predictor must not do it twice."""

GPU_WINDOWS = 4
"""Windows that are embedded together on a graphics card."""

VIEWS = 4
"""Windows that stay prepared for prompts, 20 MB each at 1,024 pixels; the next click on one of them answers at once."""


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
    again
        Reads the same network once more. If it can be read again, an image encoder that is laid out for the machine
        does not stay in memory as it was: of large transformers that is most of it.
    """

    def __init__(
        self,
        sam: Sam,
        key: str,
        *,
        dtype: torch.dtype = torch.float32,
        again: Callable[[], Sam] | None = None,
    ) -> None:
        self.sam, self._again = sam.eval(), again
        self.key = key if dtype == torch.float32 else f"{key}-{str(dtype).removeprefix('torch.')}"
        self.dtype = dtype
        self.device = sam.pixel_mean.device
        self._views = Remembered[View](VIEWS)
        self._prepared: Callable[[Tensor], Features] | None = None

    @property
    def name(self) -> str:
        """What users call the model."""
        return self.sam.spec.name

    @property
    def side(self) -> int:
        """The longest side in pixels of a window that it takes without making it smaller."""
        return self.sam.spec.side

    @property
    def thresholds(self) -> dict[str, float | int]:
        """The options of everything mode that suit its scores."""
        return dict(self.sam.spec.thresholds)

    @property
    def judges(self) -> bool:
        """Whether the weights hold a judge of masks."""
        return self.sam.mask_judge is not None

    def judge(self, measures: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n"]:
        """Give the IoU that masks are expected to have, from the measures that `geosam.masks.judging` takes.

        Raises
        ------
        ModelError
            If the weights hold no judge.
        """
        if self.sam.mask_judge is None:
            raise ModelError(f"{self.name!r} has no judge of masks", expected="weights that hold one, as nano's do")
        return self.sam.mask_judge.judge(measures)

    def copy_network(self) -> Sam:
        """Give a network with the same weights that is whole and may be changed, on the same device."""
        with _preparing:
            if self._again is None or hasattr(self.sam, "image_encoder"):
                return deepcopy(self.sam)
            return self._again().to(self.device).eval()

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
            Features ``c gh gw``, the coarsest first; float16, so that features from a cache equal fresh ones. They
            cannot be written to: what prompts need of them is prepared once, and kept as long as they are. Last, if
            the weights hold a sharpener of masks, the picture itself at half its sampling.

        Raises
        ------
        ModelError
            If the pixels are of another type or have other axes.
        """
        check_pixels(pixels)
        return self._encode([pixels])[0]

    @property
    def at_once(self) -> int:
        """Windows that are best embedded together; one keeps a processor busy."""
        return 1 if self.device.type == "cpu" else GPU_WINDOWS

    def encode_many(self, windows: Sequence[AnyPixels]) -> list[tuple[np.ndarray, ...]]:
        """Embed windows as `encode` does, in their order; on a graphics card those of one shape together.

        There features agree with those of `encode` up to rounding; on a processor they are the same.
        """
        found: dict[int, tuple[np.ndarray, ...]] = {}
        alike: dict[tuple[int, ...], list[int]] = {}
        for row, pixels in enumerate(windows):
            check_pixels(pixels)
            alike.setdefault(pixels.shape, []).append(row)
        for rows in alike.values():
            for start in range(0, len(rows), self.at_once):
                some = rows[start : start + self.at_once]
                found |= zip(some, self._encode([windows[row] for row in some]), strict=True)
        return [found[row] for row in range(len(windows))]

    def _encode(self, windows: list[Pixels]) -> list[tuple[np.ndarray, ...]]:
        """Embed windows of one shape together."""
        canvas = self.canvas((windows[0].shape[1], windows[0].shape[2]))
        with torch.inference_mode(), self._precision():
            shown = [canvas.show(send(torch.tensor(pixels), self.device).float()) for pixels in windows]  # 3 sh sw each
            keeps = self.sam.mask_sharpener is not None
            kept = [torch.stack([keep_picture(each, canvas) for each in shown])] if keeps else []  # b 3 _ _
            images = torch.stack([canvas.pad(self.sam.normalise(each)) for each in shown])  # b 3 ph pw
            del shown  # as large as the images
            images = images.contiguous(memory_format=torch.channels_last)  # b 3 ph pw
            coarse, fine = self._encoder(images)  # b c gh gw
            arrays = fetch(*(each.half() for each in (coarse, *fine, *kept)))
        return [tuple(_fixed(array[row]) for array in arrays) for row in range(len(windows))]

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
            If the arrays are not an embedding of such a window by this model, or the prompts are not as they must be.
        """
        return self._decode(arrays, shape, (points, labels, boxes, mask_logits), multimask=multimask, sides=(0,))

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
        """Answer prompts on a window that has been encoded, each in the smallest surroundings that hold its best mask.

        What a network learned on small pictures it tells quickest, and of clicks also best, in small pictures: the
        surroundings of `SamSpec.focus_px` are tried from the smallest up, the whole window last. ``together`` puts
        prompts with the same surroundings at once: quicker, and the answers agree up to rounding. Other arguments,
        result and errors are those of `decode`.
        """
        asked, sides = (points, labels, boxes, mask_logits), (*self.sam.spec.focus_px, 0)
        return self._decode(arrays, shape, asked, multimask=multimask, sides=sides, together=together)

    def _decode(
        self,
        arrays: tuple[np.ndarray, ...],
        shape: tuple[int, int],
        asked: Given,
        *,
        multimask: bool,
        sides: tuple[int, ...],
        together: bool = False,
    ) -> tuple[Logits, MaskScores]:
        """Answer prompts in surroundings of the first of ``sides`` that holds their best mask; 0 is the window."""
        check_prompts(*asked)
        first, k = (1, 3) if multimask else (0, 1)
        count, (mh, mw) = len(asked[0]), self.logits_shape(shape)
        logits, iou = np.empty((count, k, mh, mw), np.float32), np.empty((count, k), np.float32)
        todo = np.arange(count)
        for side in sides:
            held = np.ones(len(todo), bool)

            def answer(group: Group, todo: np.ndarray = todo, held: np.ndarray = held) -> None:
                for place, row in enumerate(group.rows):
                    scores = group.iou[place, first : first + k]
                    drawn, cut = group.draw_and_tell(place, list(range(first, first + k)))
                    held[row] = not cut[int(scores.argmax())]
                    if held[row]:
                        iou[todo[row]], logits[todo[row]] = scores, drawn

            points, labels, *rest = asked
            boxes, masks = (None if each is None else each[todo] for each in rest)
            some = points[todo], labels[todo], boxes, masks
            self._each_group(arrays, shape, some, answer, np.full(len(todo), side), together=together)
            todo = todo[~held]
            if not len(todo):
                break
        return logits, iou

    @property
    def sharpens(self) -> bool:
        """Whether the weights hold a sharpener of masks."""
        return self.sam.mask_sharpener is not None

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
        """Look at answers once more beside the picture, at twice their sampling.

        Parameters
        ----------
        arrays, shape
            As `decode` takes them.
        logits, iou
            One mask for each prompt and its predicted IoU, as `decode` gives them; an empty one stays empty.
        points, labels, boxes
            What was asked, as `decode` takes it.
        once
            Whether answers to boxes are looked at once only, as all others are: quicker, a little less sharp.

        Returns
        -------
        masks, iou
            Each mask where it lies, in their order, and the IoU that it is predicted to have, in [0, 1].

        Raises
        ------
        ModelError
            If the weights hold no sharpener.
        """
        sharpener = self.sam.mask_sharpener
        if sharpener is None:
            raise ModelError(f"{self.name!r} has no sharpener of masks", expected="weights that hold one, as nano's do")
        canvas = self.canvas(shape)
        with torch.inference_mode():
            self._check(arrays, canvas)
            asked = self._to_input(points, labels, boxes, None, canvas=canvas)
            found = sharpen_masks(sharpener, arrays, logits, iou, asked, canvas, once=once)
        growth.bound()
        return found

    def features(self, arrays: tuple[np.ndarray, ...]) -> Features:
        """Give what `encode` gave as tensors for a batch of one image, without the picture that may lie with it."""
        kept = arrays[:-1] if self.sharpens else arrays
        coarse, *fine = (send(torch.tensor(array), self.device).float()[None] for array in kept)  # 1 c gh gw
        return Features(coarse, tuple(fine))

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
        """Answer ambiguous prompts, and look only at masks that promise to be good; others are never drawn.

        Parameters
        ----------
        arrays, shape, points, labels
            As `decode` takes them.
        least_iou
            Masks with a predicted IoU below are left out.
        look
            Called with a prompt's row, the number of the alternative, its predicted IoU and its logits where there may
            be something; from several threads at once.
        local
            Prompts that are answered in their surroundings (`SamSpec.focus_px`), for a fraction of the work; masks that
            reach the edge of these, beyond which the window goes on, are left out. None for the whole window.

        Returns
        -------
        What `look` gave, by row and alternative.

        Raises
        ------
        ModelError
            If the arrays are not an embedding of such a window by this model.
        """

        def answer(group: Group) -> list[tuple[int, Result]]:
            iou = group.iou
            good = iou >= least_iou
            good[:, 0] = False  # the answer to clear prompts
            seen = [
                (row, mask - 1, float(scores[mask]), patch)
                for row, scores, wanted, drawn in zip(group.rows, iou, good, group.patches(good), strict=True)
                for mask, patch in zip(np.flatnonzero(wanted).tolist(), drawn, strict=True)
                if patch is not None
            ]
            # on a processor each group has a core already; beside a graphics card the cores are free
            looked = map_alone(lambda each: look(*each), seen, threads=1 if self.device.type == "cpu" else None)
            return [(row, result) for (row, *_), result in zip(seen, looked, strict=True)]

        near = min(self.sam.spec.focus_px, default=0)
        sides = np.zeros(len(points), int) if local is None else np.where(local, near, 0)
        found = self._each_group(arrays, shape, (points, labels, None, None), answer, sides, together=True)
        by_row = sorted((each for some in found for each in some), key=lambda each: each[0])
        return [each for _, each in by_row]

    @property
    def _encoder(self) -> Callable[[Tensor], Features]:
        """The weights as they are when the first window is encoded."""
        with _preparing:
            if self._prepared is None:
                self._prepared = self._prepare()
                give_back()
        return self._prepared

    def _prepare(self) -> Callable[[Tensor], Features]:
        """Lay the image encoder out for the machine, and let go of what is not needed any longer."""
        encoder = self.sam.image_encoder
        if not isinstance(encoder, VitEncoder) or self.device.type != "cpu":
            return encoder
        with torch.inference_mode():
            prepared = PreparedVit(encoder, self.dtype)
        if self._again is not None:
            del self.sam.image_encoder
        return prepared

    @cached_property
    def _decoder(self) -> PreparedDecoder:
        """The weights as they are when the first prompt is answered."""
        sam, drawing = self.sam, None
        if sam.prompt_map is not None and sam.likeness_map is not None:
            drawing = sam.prompt_map, sam.likeness_map
        with torch.inference_mode():
            return PreparedDecoder(
                sam.prompt_encoder,
                sam.mask_decoder,
                drawing=drawing,
                position_side=sam.spec.position_side,
                dtype=self.dtype,
            )

    def _each_group(
        self,
        arrays: tuple[np.ndarray, ...],
        shape: tuple[int, int],
        asked: Given,
        answer: Callable[["Group"], Result],
        sides: np.ndarray,
        *,
        together: bool = False,
    ) -> list[Result]:
        """Put prompts to a window in groups, each on one core, and do something with what comes of each group.

        ``sides`` are those of the surroundings in which each prompt is answered, in input pixels; 0 for the window.
        Whether prompts in shared surroundings are put ``together`` is told by `Parts.lots`.
        """
        canvas, decoder = self.canvas(shape), self._decoder
        with torch.inference_mode():
            self._check(arrays, canvas)
            view = self._views.of(arrays, lambda: self._look(arrays))
            given = self._to_input(*asked, canvas=canvas)
            parts = Parts(view)

            def work(lot: Lot) -> Result:
                question, seen = given.part(lot.rows), view
                if lot.place is not None:
                    question, seen = question.within(lot.place), parts.view(lot.place)
                return answer(Group(lot.rows, canvas, decoder, seen, decoder.ask(seen, question), lot.place))

            lots = parts.lots(given, sides, decoder, together=together)
            found = map_alone(work, lots, threads=1 if self.device.type != "cpu" else None)
        growth.bound()
        return found

    def _to_input(
        self, points: Points, labels: PointLabels, boxes: Boxes | None, masks: MaskPrompts | None, *, canvas: Canvas
    ) -> Question:
        """Prompts in pixels of the network's input."""
        check_prompts(points, labels, boxes, masks)
        scale = torch.tensor(canvas.scale)
        return Question(
            _tensor(points) * scale,
            torch.tensor(labels),
            None if boxes is None else _tensor(boxes) * scale.repeat(2),
            None if masks is None else canvas.place(_tensor(masks)),
        )

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def _look(self, arrays: tuple[np.ndarray, ...]) -> View:
        return self._decoder.look(self.features(arrays))

    def _check(self, arrays: tuple[np.ndarray, ...], canvas: Canvas) -> None:
        found = arrays[0].shape if arrays else ()
        if found != (self.sam.spec.width, *canvas.grid):
            raise ModelError(
                f"an embedding of shape {found} for a window of {canvas.shape} pixels",
                expected=f"{(self.sam.spec.width, *canvas.grid)} from {self.name}",
                hint="encode the window with the same model",
            )


def _tensor(array: np.ndarray) -> Tensor:
    return torch.tensor(array, dtype=torch.float32)


def _fixed(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
