"""Everything mode: click on a grid of points, keep the masks that are good, and each object once.

After Kirillov et al. 2023, "Segment Anything", section 5 and appendix B. Filters and suppression work on the decoder's
own sampling. But for rounding, what a point finds does not depend on which others are decoded beside it.
"""

import numpy as np
from jaxtyping import Bool, Float32
from rasterio.windows import Window

from geosam.arrays import Ids, Patch, Valid
from geosam.embeddings import Embedding
from geosam.masks.low_res import keep_components, stability, to_low_res
from geosam.masks.mask_set import MaskSet
from geosam.masks.quality import scored
from geosam.masks.second_pass import INSIDE, decode_again, refine_candidates
from geosam.masks.suppression import (
    Candidate,
    on_open_ground,
    suppress,
    to_mask_set,
    with_consensus,
    without_overlap,
)
from geosam.segmenter import PromptBatch, Recipe, Segmenter, check_recipe

Number = int | float

ROW = 1 << 31
"""Grid points are numbered ``ROW * row + column`` over the whole scene."""


def segment_everything(
    embedding: Embedding,
    segmenter: Segmenter,
    valid: Valid,
    recipe: Recipe | None = None,
    *,
    asked: Valid | None = None,
) -> MaskSet:
    """Find every object of a window.

    Parameters
    ----------
    embedding
        The window, encoded.
    segmenter
        The model.
    valid
        True where the window has data; no point is asked and no mask reaches outside it.
    recipe
        How to look and what to keep; None for the model's own.
    asked
        True where points are asked, as far as there are data; by default everywhere. Masks reach beyond it.

    Returns
    -------
    Masks by pass, best score first. Their `prompt_ids` tell the point of the grid: ``ROW * row + column`` over the
    whole scene.

    Raises
    ------
    OptionError
        If the recipe asks for what the model cannot do.
    """
    recipe = recipe or segmenter.recipe
    check_recipe(recipe, segmenter)
    found = find_candidates(embedding, segmenter, valid if asked is None else valid & asked, recipe)
    if recipe.refinement.enabled:
        found = refine_candidates(found, embedding, segmenter, recipe)
    kept = _keep(found, embedding.shape, recipe)
    if recipe.second_pass.everything:
        kept = decode_again(kept, embedding, segmenter, recipe)
    masks = to_mask_set(kept, embedding, valid)
    return masks.select(masks.area_px > 0)


def find_candidates(embedding: Embedding, segmenter: Segmenter, valid: Valid, recipe: Recipe) -> list[Candidate]:
    """Find every mask of a window that could stay, before any is suppressed; points are decoded where `valid`."""
    points, ids = grid_points(embedding.window, valid, recipe.everything.spacing_px)
    found = _decode(embedding, segmenter, points, ids, recipe=recipe)
    if recipe.suppression.consensus or recipe.quality.enabled:
        found = with_consensus(found, embedding.shape)
    return scored(found, segmenter, embedding.shape) if recipe.quality.enabled else found


def grid_points(window: Window, valid: Valid, spacing_px: Number) -> tuple[Float32[np.ndarray, "n 2"], Ids]:
    """Points of the scene-wide grid that lie in a window and on data, row by row.

    Point ``(i, j)`` lies at ``((i + 0.5) * spacing, (j + 0.5) * spacing)`` of the scene, so windows that overlap ask at
    the same places. Where the grid misses a narrow window, its middle is asked.

    Returns
    -------
    points, ids
        ``(x, y)`` in window pixels, and their numbers in the scene-wide grid.

    Examples
    --------
    >>> points, ids = grid_points(Window(40, 0, 64, 32), np.ones((32, 64), bool), 32)
    >>> points.tolist(), ids.tolist()
    ([[8.0, 16.0], [40.0, 16.0]], [1, 2])
    """
    cols, x = _ticks(window.col_off, window.width, spacing_px)
    rows, y = _ticks(window.row_off, window.height, spacing_px)
    points = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    ids = (rows[:, None] * ROW + cols).ravel()
    on_data = valid[points[:, 1].astype(np.int64), points[:, 0].astype(np.int64)]
    return points[on_data].astype(np.float32), ids[on_data]


def _ticks(offset: Number, length: Number, spacing: Number) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the grid lines within ``[offset, offset + length)``, and where they lie in the window."""
    first = int(np.ceil(offset / spacing - 0.5))
    numbers = np.arange(first, int(np.ceil((offset + length) / spacing - 0.5)), dtype=np.int64)
    if not len(numbers):
        return np.array([int((offset + length / 2) // spacing)]), np.array([length / 2])
    return numbers, (numbers + 0.5) * spacing - offset


def _in_rois(ids: Ids, every: int) -> Bool[np.ndarray, "n"] | None:
    """Which points are decoded in RoI crops; the scene-wide grid decides."""
    if every == 1:
        return None
    return (ids // ROW % every != every // 2) | (ids % ROW % every != every // 2)


def _decode(
    embedding: Embedding, segmenter: Segmenter, points: Float32[np.ndarray, "n 2"], ids: Ids, *, recipe: Recipe
) -> list[Candidate]:
    """Decode points, clean their masks, and pack those that could pass the most relaxed filter."""
    how = recipe.everything
    slack, rois = how.relax * (how.passes - 1), _in_rois(ids, how.whole_every)

    def keep(row: int, choice: int, predicted: float, seen: Patch) -> Candidate | None:
        if how.connected:
            seen = seen._replace(logits=keep_components(seen, embedding.shape, points[row : row + 1], INSIDE))
        steady = stability(seen.logits, how.stability_offset)
        if steady < how.stability_threshold - slack:
            return None
        mask = to_low_res(seen)
        if not mask.area:
            return None
        point = (float(points[row, 0]), float(points[row, 1]))
        in_roi = rois is not None and bool(rois[row])
        return Candidate(mask, float(np.clip(predicted, 0, 1)), steady, int(ids[row]), choice, point, in_roi=in_roi)

    least = how.pred_iou_threshold - slack
    prompts = PromptBatch.of_clicks(points)
    seen = segmenter.decode_filtered(embedding.features, prompts, keep, least_iou=least, rois=rois)
    return [one for one in seen if one is not None]


def _keep(found: list[Candidate], shape: tuple[int, int], recipe: Recipe) -> list[Candidate]:
    """Pass by pass, take the best of the candidates that lie on open ground."""
    how, layout = recipe.everything, recipe.suppression
    kept: list[Candidate] = []
    for number in range(how.passes):
        drop = number * how.relax
        iou, steady = how.pred_iou_threshold - drop, how.stability_threshold - drop
        fit = [one for one in found if one.predicted_iou >= iou and one.stability >= steady]
        fit = on_open_ground(fit, kept, shape)
        if layout.overlap == 1:
            kept = suppress(fit, layout.nms_iou, kept)
        else:
            kept = without_overlap(fit, layout.overlap, kept)
    return kept
