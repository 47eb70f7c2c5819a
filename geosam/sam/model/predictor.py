"""A `Sam` that speaks numpy: windows of pixels in, mask logits out."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cached_property
from threading import Lock
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from geosam.arrays import AnyPixels, Pixels
from geosam.errors import ModelError
from geosam.sam.blocks import FeatureMaps
from geosam.sam.image_encoder import VitEncoder
from geosam.sam.model.canvas import Canvas
from geosam.sam.model.groups import Batch, Group, RoiViews
from geosam.sam.model.network import Sam
from geosam.sam.model.remembered import Remembered
from geosam.sam.prepared import Drawing, PreparedDecoder, Question, View
from geosam.sam.prepared.memory import give_back, growth
from geosam.sam.prepared.transfer import fetch, send
from geosam.sam.prepared.vit import PreparedVit
from geosam.sam.prepared.workers import map_alone
from geosam.segmenter import Answers, Capabilities, Features, PromptBatch, Segmenter, check_pixels
from geosam.segmenter.port import Keep

Result = TypeVar("Result")

_preparing = Lock()
"""Held while weights are laid out: threads that share a predictor must not do it twice."""

GPU_WINDOWS = 4
"""Windows that are embedded together on a graphics card."""

VIEWS = 4
"""Windows that stay prepared for prompts, 20 MB each at 1,024 pixels; the next click on one of them answers at once."""


class Predictor(Segmenter):
    """A `Sam` behind a numpy face: the model that the map code works with.

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
        self.name, self.side, self.recipe = sam.spec.name, sam.spec.side, sam.spec.recipe
        self.key = key if dtype == torch.float32 else f"{key}-{str(dtype).removeprefix('torch.')}"
        self.dtype = dtype
        self.device = sam.pixel_mean.device
        on_cpu = self.device.type == "cpu"
        self.capabilities = Capabilities(max_windows=1 if on_cpu else GPU_WINDOWS)  # one keeps a processor busy
        self._views = Remembered[View](VIEWS)
        self._prepared: Callable[[Tensor], FeatureMaps] | None = None

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

    def encode(self, pixels: Pixels) -> Features:
        """Embed a window, as far as no prompt is needed.

        Parameters
        ----------
        pixels
            Red, green and blue from 0 to 255, ``3 h w``.

        Returns
        -------
        Features
            What prompts need of them is prepared once, and kept as long as they are.

        Raises
        ------
        ModelError
            If the pixels are of another type or have other axes.
        """
        check_pixels(pixels)
        return self._encode([pixels])[0]

    def encode_many(self, windows: Sequence[AnyPixels]) -> list[Features]:
        """Embed windows as `encode` does, in their order; on a graphics card those of one shape together.

        There features agree with those of `encode` up to rounding; on a processor they are the same.
        """
        found: dict[int, Features] = {}
        alike: dict[tuple[int, ...], list[int]] = {}
        several = self.capabilities.max_windows
        for row, pixels in enumerate(windows):
            check_pixels(pixels)
            alike.setdefault(pixels.shape, []).append(row)
        for rows in alike.values():
            for start in range(0, len(rows), several):
                some = rows[start : start + several]
                found |= zip(some, self._encode([windows[row] for row in some]), strict=True)
        return [found[row] for row in range(len(windows))]

    def _encode(self, windows: list[Pixels]) -> list[Features]:
        """Embed windows of one shape together."""
        shape = windows[0].shape[1], windows[0].shape[2]
        canvas = self.canvas(shape)
        with torch.inference_mode(), self._precision():
            shown = [canvas.show(send(torch.tensor(pixels), self.device).float()) for pixels in windows]  # 3 sh sw each
            kept = self._keep(shown, canvas)
            images = torch.stack([canvas.pad(self.sam.normalise(each)) for each in shown])  # b 3 ph pw
            del shown  # as large as the images
            images = images.contiguous(memory_format=torch.channels_last)  # b 3 ph pw
            coarse, fine = self._encoder(images)  # b c gh gw
            arrays = fetch(*(each.half() for each in (coarse, *fine, *kept)))
        each_window = ([array[row] for array in arrays] for row in range(len(windows)))
        return [Features.of(each, shape, picture=bool(kept)) for each in each_window]

    def _keep(self, shown: Sequence[Tensor], canvas: Canvas) -> list[Tensor]:
        """What is kept of windows ``3 sh sw`` beside their features, ``b 3 _ _``; SAM keeps nothing."""
        return []

    def decode(self, features: Features, prompts: PromptBatch, *, multimask: bool = True) -> Answers:
        """Answer prompts on a window that has been encoded.

        Parameters
        ----------
        features
            What `encode` gave for the window.
        prompts
            In pixels of the window; mask prompts at any sampling, best that of `logits_shape`.
        multimask
            Three masks for each prompt, or the one that suits a prompt without ambiguity.

        Raises
        ------
        ModelError
            If the features are not those of such a window by this model.
        """
        return self._decode(features, prompts, multimask=multimask, sides=(0,))

    def decode_rois(
        self, features: Features, prompts: PromptBatch, *, multimask: bool = True, batched: bool = False
    ) -> Answers:
        """Answer prompts, each in the smallest RoI crop that holds its best mask.

        What a network learned on small pictures it tells quickest, and of clicks also best, in small pictures: crops of
        `Capabilities.roi_px` are tried from the smallest up, the whole window last. ``batched`` decodes prompts of one
        crop together: quicker, and the answers agree up to rounding.
        """
        sides = (*self.capabilities.roi_px, 0)
        return self._decode(features, prompts, multimask=multimask, sides=sides, batched=batched)

    def _decode(
        self,
        features: Features,
        prompts: PromptBatch,
        *,
        multimask: bool,
        sides: tuple[int, ...],
        batched: bool = False,
    ) -> Answers:
        """Answer prompts in RoI crops of the first of ``sides`` that holds their best mask; 0 is the window."""
        first, k = (1, 3) if multimask else (0, 1)
        count, (mh, mw) = len(prompts), self.logits_shape(features.shape)
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

            some = prompts if len(todo) == count else prompts[todo]
            self._each_group(features, some, answer, np.full(len(todo), side), batched=batched)
            todo = todo[~held]
            if not len(todo):
                break
        return Answers(logits, iou)

    def feature_maps(self, features: Features) -> FeatureMaps:
        """Give features as tensors for a batch of one image."""
        coarse, *fine = (send(torch.tensor(array), self.device).float()[None] for array in features.maps)  # 1 c gh gw
        return FeatureMaps(coarse, tuple(fine))

    def decode_filtered(
        self,
        features: Features,
        prompts: PromptBatch,
        keep: Keep[Result],
        *,
        least_iou: float,
        rois: Bool[np.ndarray, "n"] | None = None,
    ) -> list[Result]:
        """Answer ambiguous prompts, and draw only masks that are predicted to be good.

        Parameters and result are those of `Segmenter.decode_filtered`; `keep` is called from several threads at once.
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
            kept = map_alone(lambda each: keep(*each), seen, threads=1 if self.device.type == "cpu" else None)
            return [(row, result) for (row, *_), result in zip(seen, kept, strict=True)]

        near = min(self.capabilities.roi_px, default=0)
        sides = np.zeros(len(prompts), int) if rois is None else np.where(rois, near, 0)
        found = self._each_group(features, prompts, answer, sides, batched=True)
        by_row = sorted((each for some in found for each in some), key=lambda each: each[0])
        return [each for _, each in by_row]

    @property
    def _encoder(self) -> Callable[[Tensor], FeatureMaps]:
        """The weights as they are when the first window is encoded."""
        with _preparing:
            if self._prepared is None:
                self._prepared = self._prepare()
                give_back()
        return self._prepared

    def _prepare(self) -> Callable[[Tensor], FeatureMaps]:
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
        sam = self.sam
        with torch.inference_mode():
            return PreparedDecoder(
                sam.prompt_encoder,
                sam.mask_decoder,
                drawing=self._drawing(),
                position_side=sam.position_side,
                dtype=self.dtype,
            )

    def _drawing(self) -> Drawing | None:
        """What is drawn of prompts; nothing with SAM."""
        return None

    def _each_group(
        self,
        features: Features,
        prompts: PromptBatch,
        answer: Callable[["Group"], Result],
        sides: np.ndarray,
        *,
        batched: bool = False,
    ) -> list[Result]:
        """Put prompts to a window in groups, each on one core, and do something with what comes of each group.

        ``sides`` are those of the RoI crops in which prompts are decoded, in input pixels; 0 for the window. Whether
        prompts of one crop are ``batched`` is told by `RoiViews.batches`.
        """
        canvas, decoder = self.canvas(features.shape), self._decoder
        with torch.inference_mode():
            self._check(features, canvas)
            view = self._views.of(features, lambda: decoder.look(self.feature_maps(features)))
            given = self._to_input(prompts, canvas)
            crops = RoiViews(view)

            def work(batch: Batch) -> Result:
                question, seen = given.part(batch.rows), view
                if batch.place is not None:
                    question, seen = question.within(batch.place), crops.view(batch.place)
                return answer(Group(batch.rows, canvas, decoder, seen, decoder.ask(seen, question), batch.place))

            batches = crops.batches(given, sides, decoder, together=batched)
            found = map_alone(work, batches, threads=1 if self.device.type != "cpu" else None)
        growth.bound()
        return found

    def _to_input(self, prompts: PromptBatch, canvas: Canvas, *, masks: bool = True) -> Question:
        """Prompts in pixels of the network's input, with or without their masks."""
        scale, drawn = torch.tensor(canvas.scale), prompts.mask_logits if masks else None
        return Question(
            _tensor(prompts.points) * scale,
            torch.tensor(prompts.labels),
            None if prompts.boxes is None else _tensor(prompts.boxes) * scale.repeat(2),
            None if drawn is None else canvas.place(_tensor(drawn)),
        )

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def _check(self, features: Features, canvas: Canvas) -> None:
        found = features.maps[0].shape
        if found != (self.sam.spec.width, *canvas.grid):
            raise ModelError(
                f"an embedding of shape {found} for a window of {canvas.shape} pixels",
                expected=f"{(self.sam.spec.width, *canvas.grid)} from {self.name}",
                hint="encode the window with the same model",
            )


def _tensor(array: np.ndarray) -> Tensor:
    return torch.tensor(array, dtype=torch.float32)
