"""Masks of a window, refined: each in its RoI crop, those of one size together."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from geosam.arrays import Patch
from geosam.errors import ModelError
from geosam.nano.refiner import MaskRefiner
from geosam.nano.roi_crop import RoiCrop, window_cells
from geosam.sam.model.canvas import OUTSIDE, Canvas
from geosam.sam.prepared import Question
from geosam.sam.prepared.transfer import fetch, send
from geosam.sam.prepared.workers import map_alone
from geosam.segmenter import Features, Recipe, Refined

BATCH_CELLS = 1 << 15
"""Cells of crops that are refined together at most; so many fit a core's cache."""


def refine_masks(
    refiner: MaskRefiner,
    features: Features,
    logits: Float32[np.ndarray, "n mh mw"],
    iou: Float32[np.ndarray, "n"],
    asked: Question,
    canvas: Canvas,
    recipe: Recipe,
    *,
    tight: bool = False,
) -> Refined:
    """Refine masks of one window, each as if it were alone.

    Parameters
    ----------
    refiner
        The network that does it, on its device. Crops are cut out and put back by the processor.
    features
        What is kept of the window, with the picture.
    logits, iou
        The masks, which cover the window, and the IoU that the decoder predicts for each.
    asked
        Their prompts, in pixels of the network's input.
    canvas
        How the window lies on it.
    recipe
        How they are refined.
    tight
        Whether the boxes bound their objects, as those of users do.

    Returns
    -------
    Each mask where it lies; an empty mask stays empty, and its IoU is 0. One that would grow beyond its crop stays
    as it was, since it could only end there in a straight line.
    """
    how, bounded = recipe.refinement, tight and asked.boxes is not None
    passes, prior = (how.passes, recipe.boxes) if bounded else (1, None)
    crops = [RoiCrop.of_mask(each, canvas, how.margin) for each in logits]
    empty = Patch.of(np.full(window_cells(canvas), OUTSIDE, np.float32))
    masks, expected = [empty] * len(crops), np.zeros(len(crops), np.float32)
    device, picture = next(refiner.parameters()).device, features.picture
    if picture is None:
        raise ModelError(
            "features without a picture", expected="those of the same model", hint="encode the window anew"
        )

    def shown(row: int, crop: RoiCrop) -> dict[str, Tensor]:
        """What the refiner sees of a mask."""
        coarse, *_, fine = features.maps
        box = asked.points.new_full((2, 2), torch.nan) if asked.boxes is None else asked.boxes[row].view(2, 2)
        return {
            "pixels": torch.from_numpy(crop.picture(picture)),
            "fine": torch.from_numpy(crop.fine(fine)),
            "coarse": torch.from_numpy(crop.coarse(coarse)),
            "logits": crop.logits(torch.from_numpy(logits[row])),
            "iou": torch.from_numpy(iou[row : row + 1])[0],
            "boxes": crop.place(box).flatten(),
            "points": crop.place(asked.points[row]),
            "labels": asked.labels[row],
        }

    def work(batch: list[tuple[int, RoiCrop]]) -> None:
        each = [shown(row, crop) for row, crop in batch]
        given = {name: send(torch.stack([one[name] for one in each]), device) for name in each[0]}
        seen = fetch(*refiner.refine(**given, passes=passes, prior=prior))
        refined, reached = (torch.from_numpy(part) for part in seen)
        for (row, crop), one, mask, expects in zip(batch, each, refined, reached.tolist(), strict=True):
            cut = crop.cuts(mask, how.cut)
            masks[row] = crop.patch(one["logits"] if cut else mask, how.edge)
            expected[row] = min(expects, iou[row]) if cut else expects

    threads = torch.get_num_threads() if device.type == "cpu" else 1
    map_alone(work, batches(crops, threads), threads=threads)
    return Refined(masks, expected)


def batches(crops: Sequence[RoiCrop | None], threads: int = 1) -> list[list[tuple[int, RoiCrop]]]:
    """Batch crops of one size, with their places in the row.

    A batch holds 1, 2, 4 … crops, as many as `BATCH_CELLS` allows: few sizes of batches, for the reason of `CELLS`.
    None holds more than its share of all, so that no thread waits for another.

    Examples
    --------
    >>> canvas = Canvas.of((512, 512), resamples=False, side=1024)
    >>> small, large = (RoiCrop.around((100, 100, 100 + side, 140), canvas, 0.25) for side in (40, 160))
    >>> [[row for row, _ in batch] for batch in batches([small, large, None, small, small])]
    [[0, 3], [4], [1]]
    """
    alike: dict[tuple[int, int], list[tuple[int, RoiCrop]]] = {}
    for row, crop in enumerate(crops):
        if crop is not None:
            alike.setdefault((crop.rows[1], crop.cols[1]), []).append((row, crop))
    found = []
    for (h, w), group in alike.items():
        most = max(min(BATCH_CELLS // (h * w), len(crops) // threads), 1)
        while group:
            count = 1 << (min(len(group), most).bit_length() - 1)
            found.append(group[:count])
            group = group[count:]  # noqa: PLW2901 - what is left of it
    return found
