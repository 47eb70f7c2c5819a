"""Everything mode: click on a grid of points, keep the masks that are good, and each object once.

After Kirillov et al. 2023, "Segment Anything", section 5 and appendix B. Filters and suppression work on the decoder's
own sampling. But for rounding, what a point finds does not depend on which others were asked beside it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32
from rasterio.windows import Window

from geosam.arrays import Ids, Patch, Valid
from geosam.embeddings import Embedding
from geosam.errors import OptionError
from geosam.masks.candidates import Candidate, disjoint, distinct, finish, on_open_ground, supported
from geosam.masks.decoder import MaskDecoder, sharpens, survey
from geosam.masks.islands import keep_islands
from geosam.masks.judging import judged
from geosam.masks.mask_set import MaskSet
from geosam.masks.redrawing import redraw
from geosam.masks.second_looks import INSIDE, look_again
from geosam.masks.sketch import sketch, stability

Number = int | float

ROW = 1 << 31
"""Grid points are numbered ``ROW * row + column`` over the whole scene."""


@dataclass(frozen=True)
class EverythingOptions:
    """How everything mode looks and what it keeps; by default so that a plain SAM covers the ground as a map should.

    Parameters
    ----------
    spacing_px
        Pixels between the points of the grid, which is anchored to the scene's first pixel.
    pred_iou_threshold, stability_threshold
        Least predicted IoU and least stability of a mask that is kept, both in [0, 1].
    stability_offset
        Logits by which the threshold moves to either side when stability is measured.
    nms_iou
        IoU, of boxes or of masks, above which two masks that share most of the smaller one are the same object.
    passes, relax
        Each pass after the first lowers both thresholds by `relax` for points on ground that no kept mask covers.
        Strict thresholds alone leave a third to two thirds of an aerial scene without a segment (Remote SAMsing,
        arXiv 2605.00256); further passes need no further decoding.
    connected
        Keep of each mask only the island on which its point stands (`geosam.masks.islands`).
    overlap
        Greatest share of a mask that better masks may cover, in [0, 1]. Below 1 the ground is laid out once, as on a
        map, instead of keeping wholes beside their parts, and `nms_iou` has no say.
    whole_every
        Points on every so manyth row and column of the grid are answered in the whole window; the others, where the
        network knows how to, in their surroundings only, for a fraction of the work (`SamSpec.focus_px`). Large objects
        are then found from the former alone. 1 answers all in the whole window.
    support
        Prefer masks on whose ground the other points answer alike, not stable ones
        (`geosam.masks.candidates.supported`).
    judged
        Prefer the masks that the network's judge expects to agree with an object (`geosam.masks.judging`); whatever
        `support` says.
    redraw
        Ask for each mask that is kept once more, by its box, and keep that answer unless it spills onto other masks
        (`geosam.masks.redrawing`): a box tells a network more than the point on which the mask was found.

    Raises
    ------
    OptionError
        If a value lies outside its range.

    Examples
    --------
    >>> EverythingOptions(spacing_px=16).pred_iou_threshold
    0.8
    """

    spacing_px: Number = 32.0
    pred_iou_threshold: Number = 0.8
    stability_threshold: Number = 0.9
    stability_offset: Number = 1.0
    nms_iou: Number = 0.7
    passes: int = 2
    relax: Number = 0.1
    connected: bool = True
    overlap: Number = 1.0
    support: bool = False
    judged: bool = False
    whole_every: int = 1
    redraw: bool = False

    def __post_init__(self) -> None:
        for name in ("pred_iou_threshold", "stability_threshold", "nms_iou", "relax", "overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"{name}={getattr(self, name)}", expected="a number in [0, 1]")
        if not (self.spacing_px >= 1 and min(self.passes, self.whole_every) >= 1 and self.stability_offset >= 0):
            raise OptionError(
                f"spacing_px={self.spacing_px}, passes={self.passes}, whole_every={self.whole_every}, "
                f"stability_offset={self.stability_offset}",
                expected="spacing_px, passes and whole_every of at least 1, and an offset of at least 0",
            )


def segment_everything(
    embedding: Embedding,
    decoder: MaskDecoder,
    valid: Valid,
    options: EverythingOptions = EverythingOptions(),
    *,
    asked: Valid | None = None,
) -> MaskSet:
    """Find every object of a window.

    Parameters
    ----------
    embedding
        The window, encoded.
    decoder
        The network that answers.
    valid
        True where the window has data; no point is asked and no mask reaches outside it.
    options
        How to look and what to keep.
    asked
        True where points are asked, as far as there are data; by default everywhere. Masks reach beyond it.

    Returns
    -------
    Masks by pass, best score first. Their `prompt_ids` tell the point of the grid: ``ROW * row + column`` over the
    whole scene.
    """
    there = valid if asked is None else valid & asked
    given = {"connected": options.connected, "stability_offset": options.stability_offset}
    found = find_candidates(embedding, decoder, there, options)
    if sharpens(decoder):
        found = look_again(found, embedding, decoder, **given, overlap=options.overlap)
    kept = _keep(found, embedding.shape, options)
    if options.redraw:
        kept = redraw(kept, embedding, decoder, **given)
    masks = finish(kept, embedding, valid)
    return masks.select(masks.area_px > 0)


def find_candidates(
    embedding: Embedding, decoder: MaskDecoder, valid: Valid, options: EverythingOptions
) -> list[Candidate]:
    """Find every mask of a window that could stay, before any gives way to another; points are asked where `valid`."""
    points, ids = grid_points(embedding.window, valid, options.spacing_px)
    found = _ask(embedding, decoder, points, ids, options=options)
    if options.support or options.judged:
        found = supported(found, embedding.shape)
    return judged(found, decoder, embedding.shape) if options.judged else found


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


def _local(ids: Ids, options: EverythingOptions) -> Bool[np.ndarray, "n"] | None:
    """Which points are answered in their surroundings; the scene-wide grid decides."""
    if options.whole_every == 1:
        return None
    middle = options.whole_every // 2
    return (ids // ROW % options.whole_every != middle) | (ids % ROW % options.whole_every != middle)


def _ask(
    embedding: Embedding, decoder: MaskDecoder, points: np.ndarray, ids: np.ndarray, *, options: EverythingOptions
) -> list[Candidate]:
    """Decode some points and sketch those masks that could pass the most relaxed filter."""
    slack = options.relax * (options.passes - 1)

    def look(row: int, choice: int, predicted: float, seen: Patch) -> Candidate | None:
        if options.connected:
            seen = seen._replace(logits=keep_islands(seen, embedding.shape, points[row : row + 1], INSIDE))
        steady = stability(seen.logits, options.stability_offset)
        if steady < options.stability_threshold - slack:
            return None
        mask = sketch(seen)
        if not mask.area:
            return None
        point = (float(points[row, 0]), float(points[row, 1]))
        near = local is not None and bool(local[row])
        return Candidate(mask, float(np.clip(predicted, 0, 1)), steady, int(ids[row]), choice, point, local=near)

    local = _local(ids, options)
    least = options.pred_iou_threshold - slack
    given = {"points": points, "least_iou": least, "local": local}
    seen = survey(decoder, embedding.arrays, embedding.shape, look=look, **given)
    return [one for one in seen if one is not None]


def _keep(found: list[Candidate], shape: tuple[int, int], options: EverythingOptions) -> list[Candidate]:
    """Pass by pass, take the best of the candidates that stand on open ground."""
    kept: list[Candidate] = []
    for number in range(options.passes):
        drop = number * options.relax
        iou, steady = options.pred_iou_threshold - drop, options.stability_threshold - drop
        fit = [one for one in found if one.predicted_iou >= iou and one.stability >= steady]
        fit = on_open_ground(fit, kept, shape)
        kept = distinct(fit, options.nms_iou, kept) if options.overlap == 1 else disjoint(fit, options.overlap, kept)
    return kept
