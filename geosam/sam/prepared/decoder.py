"""Prompts to masks, arranged for speed: the same function as `geosam.sam.model.network.Sam.decode`.

The readable modules are the definition; this is what is run. What an image gives to all prompts is made once
(`PreparedDecoder.look`); each prompt goes through the transformer with folded attention and gets its predicted IoUs
(`ask`); only masks that are wanted are drawn (`draw`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from geosam.sam.blocks import FeatureMaps
from geosam.sam.mask_decoder import MaskDecoder
from geosam.sam.prepared.nesting import nest
from geosam.sam.prepared.transfer import send
from geosam.sam.prepared.two_way import PreparedTransformer
from geosam.sam.prepared.upscaling import DEPTH, Hints, PreparedUpscaling, SharedMaps, pick
from geosam.sam.prompt_encoder import PromptEncoder

GROUP_HIDDEN = 512
"""One more prompt for each of these hidden units goes through the tokens' layers together: large weights are read once
for several prompts."""

TOGETHER_VALUES = 1 << 19
"""Values of the cells of prompts on a small image that go through all layers together: a core's own cache holds them,
and many small products take longer to call than to compute."""

GPU_GROUP = 64
"""Prompts at a time on a graphics card."""

STRIDE = 16
"""Input pixels to a side of one cell of the image embedding."""


@runtime_checkable
class Around(Protocol):
    """What a model whose prompts are drawn prepares of one image."""

    def part(self, place: tuple[int, int, int, int]) -> "Around":
        """That of a box of cells, ``x0 y0 x1 y1``."""
        ...


@runtime_checkable
class Drawing(Protocol):
    """What a model adds whose prompts are also drawn as maps, such as `geosam.nano.drawing`."""

    def look(self, finest: Tensor, grid: tuple[int, int]) -> Around:
        """Prepare the finest features ``e 16N`` of an image, in nested order, once for all prompts."""
        ...

    def draw(
        self, cells: Tensor, around: Any, question: "Question", prompts: tuple[Tensor, Tensor, Tensor | None]
    ) -> tuple[Tensor, Hints]:
        """Draw ``n`` prompts over cells ``m N c``: ``n N c``, and maps that join the upscaling.

        ``question`` is in the processor's memory, ``prompts`` are its points, labels and boxes on the device.
        """
        ...


@dataclass(frozen=True, eq=False)
class View:
    """One image as the decoder sees it, whatever it will be asked.

    Attributes
    ----------
    grid
        ``(gh, gw)`` of the image embedding.
    side
        Pixels that the positional encoding takes as its unit.
    cells
        The image embedding, ``1 N c``.
    pe
        Where the cells are, ``1 N c``.
    shared
        What the image adds to the upscaling.
    around
        What `Drawing.look` prepared, for a model whose prompts are drawn.
    """

    grid: tuple[int, int]
    side: int
    cells: Tensor
    pe: Tensor
    shared: SharedMaps
    around: Around | None = None

    def part(self, place: tuple[int, int, int, int]) -> "View":
        """What lies in a box of cells, ``x0 y0 x1 y1``, as if it were an image of its own, its corner at (0, 0)."""
        x0, y0, x1, y1 = place
        (gh, gw), cut = self.grid, (slice(y0, y1), slice(x0, x1))

        def some(maps: Tensor) -> Tensor:
            """Rows that belong to cells, in nested order; a bias belongs to all."""
            if maps.ndim == 1:
                return maps
            return maps.reshape(gh, gw, -1, maps.shape[-1])[cut].reshape(-1, maps.shape[-1])

        first = slice(0, y1 - y0), slice(0, x1 - x0)
        return View(
            (y1 - y0, x1 - x0),
            self.side,
            some(self.cells[0])[None],
            self.pe.reshape(gh, gw, -1)[first].reshape(1, -1, self.pe.shape[-1]),
            SharedMaps(some(self.shared.eighth), some(self.shared.quarter)),
            None if self.around is None else self.around.part(place),
        )


class Question(NamedTuple):
    """``n`` prompts, as `geosam.sam.prompt_encoder.PromptEncoder` takes them, in the processor's memory.

    What is computed depends on what is asked, and so no device has to be waited for to know it.
    """

    points: Float[Tensor, "n p 2"]
    labels: Int[Tensor, "n p"]
    boxes: Float[Tensor, "n 4"] | None = None
    masks: Float[Tensor, "n mh mw"] | None = None

    def within(self, place: tuple[int, int, int, int]) -> "Question":
        """The same prompts as they lie in a box of cells, ``x0 y0 x1 y1``, as of an image of its own."""
        x0, y0, x1, y1 = place
        by = self.points.new_tensor([x0 * STRIDE, y0 * STRIDE])
        boxes = None if self.boxes is None else self.boxes - by.repeat(2)
        fine = [slice(low << DEPTH, high << DEPTH) for low, high in ((y0, y1), (x0, x1))]
        return Question(self.points - by, self.labels, boxes, None if self.masks is None else self.masks[:, *fine])

    def part(self, rows: Sequence[int]) -> "Question":
        """Some of the prompts."""
        some = list(rows)
        boxes, masks = (None if each is None else each[some] for each in (self.boxes, self.masks))
        return Question(self.points[some], self.labels[some], boxes, masks)

    def present(self) -> "Question":
        """The same single prompt without places that are no points; several prompts as they are."""
        if len(self.labels) != 1:
            return self
        there = self.labels[0] >= 0  # p
        return self._replace(points=self.points[:, there], labels=self.labels[:, there])

    def to(self, device: torch.device) -> "Question":
        """The same prompts in a device's memory."""
        boxes, masks = (None if each is None else send(each, device) for each in (self.boxes, self.masks))
        return Question(send(self.points, device), send(self.labels, device), boxes, masks)


class Attended(NamedTuple):
    """``n`` prompts that have been through the transformer.

    Attributes
    ----------
    iou
        Predicted IoU of all masks, ``n 1+k``, the one for clear prompts first.
    classifiers
        What tells the pixels of each mask, ``n 1+k c2``.
    pixels
        What the cells learned, part by part of the prompts: ``n N c`` together.
    hints
        Maps of likeness, for a model whose prompts are drawn.
    """

    iou: Float[Tensor, "n k"]
    classifiers: Tensor
    pixels: list[Tensor]
    hints: Hints | None

    def cells(self, row: int) -> Float[Tensor, "N c"]:
        """What the cells learned of one prompt."""
        part, place = divmod(row, len(self.pixels[0]))
        return self.pixels[part][place]


class PreparedDecoder:
    """Weights of a prompt encoder and a mask decoder, arranged once.

    Parameters
    ----------
    prompt_encoder, mask_decoder
        The modules to follow, with their weights; later changes to these are not seen.
    drawing
        For a model whose prompts are drawn.
    position_side
        Pixels that the positional encoding takes as its unit; 0 for the input's own side.
    dtype
        Precision of the products, ``torch.float32`` or ``torch.bfloat16``.
    """

    def __init__(
        self,
        prompt_encoder: PromptEncoder,
        mask_decoder: MaskDecoder,
        *,
        drawing: Drawing | None = None,
        position_side: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.prompts = prompt_encoder
        self.outputs = torch.cat([mask_decoder.iou_token.weight, mask_decoder.mask_tokens.weight])  # 1+k c
        self.transformer = PreparedTransformer(mask_decoder.transformer, dtype)
        self.upscaling = PreparedUpscaling(mask_decoder, dtype)
        self.iou_head = mask_decoder.iou_prediction_head
        self.drawing = drawing
        self.position_side = position_side
        self.group = max(1, self.transformer.hidden // GROUP_HIDDEN)
        self.dtype = dtype

    def look(self, features: FeatureMaps) -> View:
        """Prepare one image for its prompts."""
        gh, gw = features.coarse.shape[-2:]
        side = self.position_side or STRIDE * max(gh, gw)
        pe = self.prompts.pe_layer.grid(gh, gw, cells=side / STRIDE)  # c gh gw
        fine = tuple(nest(maps[0], depth) for depth, maps in enumerate(features.fine, start=1))  # c8 4N, c4 16N
        around = None if self.drawing is None else self.drawing.look(fine[-1], (gh, gw))
        return View(
            (gh, gw),
            side,
            features.coarse.flatten(2).mT.to(self.dtype).contiguous(),  # 1 N c
            pe.flatten(1).T[None].to(self.dtype).contiguous(),  # 1 N c
            self.upscaling.share(fine),
            around,
        )

    def groups(self, rows: Sequence[int], *, cells: int | None = None) -> list[Sequence[int]]:
        """Cut rows of prompts into groups for `ask`.

        On a processor groups are small, and what a prompt gets does not depend on its group. On an image of few
        ``cells`` many go together, for a fraction of the time; their answers then agree up to rounding.
        """
        size = self.group if self.device.type == "cpu" else GPU_GROUP
        if cells is not None:
            size = max(size, TOGETHER_VALUES // (cells * self.outputs.shape[1]))
        return [rows[start : start + size] for start in range(0, len(rows), size)]

    def ask(self, view: View, question: Question) -> Attended:
        """Put ``n`` prompts to an image."""
        question = question.present()
        n, full = len(question.points), bool((question.labels >= 0).all())
        points, labels, boxes, masks = question.to(self.device)
        sparse, present, dense = self.prompts(points, labels, side=view.side, boxes=boxes, masks=masks)
        tokens = torch.cat([self.outputs.expand(n, -1, -1), sparse], 1)  # n 1+k+t c
        everywhere = present.new_ones(n, len(self.outputs))  # n 1+k
        present = None if full else torch.cat([everywhere, present], 1)  # n 1+k+t
        cells, hints = view.cells + dense.flatten(2).mT.to(self.dtype), None  # m N c
        if self.drawing is not None and view.around is not None:
            cells, hints = self.drawing.draw(cells, view.around, question, (points, labels, boxes))  # n N c
        tokens, pixels = self.transformer(tokens, self._parts(cells, n), view.pe, present)  # n 1+k+t c, n N c
        outputs = len(self.outputs)
        iou = self.iou_head(tokens[:, :outputs])[:, 0]  # n 1+k
        return Attended(iou, self.upscaling.classifiers(tokens[:, 1:outputs]), pixels, hints)

    def draw(self, view: View, asked: Attended, row: int, masks: slice | list[int]) -> Float[Tensor, "k mh mw"]:
        """Logits of some masks of one prompt, at stride 4, in float32."""
        hints = None if asked.hints is None else Hints(asked.hints.maps[row], asked.hints.which)
        return self.upscaling.masks(asked.classifiers[row, masks], asked.cells(row), view.shared, hints, grid=view.grid)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.outputs.device

    def draw_several(self, view: View, asked: Attended, rows: Sequence[int]) -> Float[Tensor, "n k mh mw"]:
        """Logits of all masks of some prompts on a small image, in few products: those of `draw` up to rounding."""
        some = list(rows)
        cells = torch.stack([asked.cells(row) for row in some])  # n N c
        hints = None if asked.hints is None else Hints(pick(asked.hints.maps, some), asked.hints.which)
        return self.upscaling.several(pick(asked.classifiers, some), cells, view.shared, hints, grid=view.grid)

    def _parts(self, cells: Tensor, n: int) -> list[Tensor]:
        """Cells of ``n`` prompts as they go through the layers: all at once, or one by one if a cache is too small."""
        if cells.device.type != "cpu" or (len(cells) == n and cells.numel() <= TOGETHER_VALUES):
            return [cells]
        return list(cells.split(1)) if len(cells) == n else [cells] * n
