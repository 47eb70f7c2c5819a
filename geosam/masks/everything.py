"""Everything mode: click on a grid of points, keep the masks that are good, and each object once.

After Kirillov et al. 2023, "Segment Anything", section 5 and appendix B. Filters and suppression work on the decoder's
own sampling. But for rounding, what a point finds does not depend on which others were asked beside it.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32
from rasterio.windows import Window

from geosam.arrays import Ids, Patch, Valid
from geosam.embeddings import Embedding
from geosam.errors import OptionError
from geosam.masks.candidates import Candidate, covered, disjoint, distinct, finish, on_open_ground, supported
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

PRESETS = {
    "strict": {},
    "maps": {"pred_iou_threshold": 0.8, "stability_threshold": 0.9, "passes": 2, "relax": 0.1, "connected": True},
}
"""``strict``: few and sure, the published thresholds. ``maps``: cover the ground as a map should."""

ROUNDS = (((0, 0),), ((1, 1),), ((0, 1), (1, 0)))
"""Grid points, by whether their row and column are odd, in the order in which they are asked if points are spared."""


@dataclass(frozen=True)
class EverythingOptions:
    """How everything mode looks and what it keeps.

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
    min_area_px, max_area_px
        Least and greatest area of a mask in pixels.
    batch
        Points decoded at a time by a decoder that draws all its masks; bounds memory and changes nothing else.
    passes, relax
        Each pass after the first lowers both thresholds by `relax` for points on ground that no kept mask covers.
        Strict thresholds alone leave a third to two thirds of an aerial scene without a segment (Remote SAMsing,
        arXiv 2605.00256); further passes need no further decoding.

    spare
        Ask every second point of every second row first, and spare the points on masks that are good enough already;
        then the points between them, likewise (TinySAM, arXiv 2312.13789). False asks every point.
    sure
        Where masks are laid out without overlap: least worth of a mask that spares points, in [0, 1]: the predicted IoU
        times the stability or the root of the support, or what the judge expects.
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
    >>> EverythingOptions.preset("maps", spacing_px=16).pred_iou_threshold
    0.8
    """

    spacing_px: Number = 32.0
    pred_iou_threshold: Number = 0.88
    stability_threshold: Number = 0.95
    stability_offset: Number = 1.0
    nms_iou: Number = 0.7
    min_area_px: Number = 0.0
    max_area_px: Number = float("inf")
    batch: int = 64
    passes: int = 1
    relax: Number = 0.1
    spare: bool = False
    sure: Number = 0.5
    connected: bool = False
    overlap: Number = 1.0
    support: bool = False
    judged: bool = False
    whole_every: int = 1
    redraw: bool = False

    def __post_init__(self) -> None:
        for name in ("pred_iou_threshold", "stability_threshold", "nms_iou", "relax", "overlap", "sure"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"{name}={getattr(self, name)}", expected="a number in [0, 1]")
        if not (
            self.spacing_px >= 1 and min(self.batch, self.passes, self.whole_every) >= 1 and self.stability_offset >= 0
        ):
            raise OptionError(
                f"spacing_px={self.spacing_px}, batch={self.batch}, passes={self.passes}, "
                f"whole_every={self.whole_every}, stability_offset={self.stability_offset}",
                expected="spacing_px, batch, passes and whole_every of at least 1, and an offset of at least 0",
            )
        if not 0 <= self.min_area_px <= self.max_area_px:
            raise OptionError(
                f"min_area_px={self.min_area_px}, max_area_px={self.max_area_px}", expected="0 <= min_area <= max_area"
            )

    @classmethod
    def preset(cls, name: str, **changes: Number) -> "EverythingOptions":
        """The options of a preset, ``"strict"`` or ``"maps"``, with changes."""
        if name not in PRESETS:
            raise OptionError(f"preset {name!r}", expected=" or ".join(map(repr, PRESETS)))
        return cls(**(PRESETS[name] | changes))


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
        kept = redraw(kept, embedding, decoder, **given, batch=options.batch)
    masks = finish(kept, embedding, valid)
    area = masks.area_px
    return masks.select((area > 0) & (area >= options.min_area_px) & (area <= options.max_area_px))


def find_candidates(
    embedding: Embedding, decoder: MaskDecoder, valid: Valid, options: EverythingOptions
) -> list[Candidate]:
    """Find every mask of a window that could stay, before any gives way to another; points are asked where `valid`."""
    points, ids = grid_points(embedding.window, valid, options.spacing_px)
    found: list[Candidate] = []
    for among in _rounds(ids, options):
        sure = _sure(found, embedding, decoder, options)
        turn = among[~covered(points[among], sure, embedding.shape)]
        found.extend(_ask(embedding, decoder, points[turn], ids[turn], options=options))
    return _rated(found, embedding, decoder, options)


def _rated(
    found: list[Candidate], embedding: Embedding, decoder: MaskDecoder, options: EverythingOptions
) -> list[Candidate]:
    """Masks with all that decides which of them are preferred."""
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


def _rounds(ids: Ids, options: EverythingOptions) -> list[np.ndarray]:
    """Which points are asked together; the scene-wide grid decides, so windows that overlap agree."""
    if not options.spare:
        return [np.arange(len(ids))]
    parity = np.stack([ids // ROW % 2, ids % ROW % 2], 1)  # n 2
    return [np.flatnonzero((parity[:, None] == np.array(turn)).all(2).any(1)) for turn in ROUNDS]


def _local(ids: Ids, options: EverythingOptions) -> Bool[np.ndarray, "n"] | None:
    """Which points are answered in their surroundings; the scene-wide grid decides."""
    if options.whole_every == 1:
        return None
    middle = options.whole_every // 2
    return (ids // ROW % options.whole_every != middle) | (ids % ROW % options.whole_every != middle)


def _sure(
    found: list[Candidate], embedding: Embedding, decoder: MaskDecoder, options: EverythingOptions
) -> list[Candidate]:
    """Masks that will be kept whatever else is found, or give way to better ones of the same object."""
    if not options.spare:
        return []
    if options.overlap < 1:
        laid = disjoint(_rated(found, embedding, decoder, options), options.overlap)
        return [one for one in laid if one.worth >= options.sure]
    iou, steady = options.pred_iou_threshold, options.stability_threshold
    return [one for one in found if one.predicted_iou >= iou and one.stability >= steady]


def _ask(
    embedding: Embedding, decoder: MaskDecoder, points: np.ndarray, ids: np.ndarray, *, options: EverythingOptions
) -> list[Candidate]:
    """Decode some points and sketch those masks that could pass the most relaxed filter."""
    slack = options.relax * (options.passes - 1)
    area = embedding.shape[0] * embedding.shape[1]

    def look(row: int, choice: int, predicted: float, seen: Patch) -> Candidate | None:
        if options.connected:
            seen = seen._replace(logits=keep_islands(seen, embedding.shape, points[row : row + 1], INSIDE))
        steady = stability(seen.logits, options.stability_offset)
        if steady < options.stability_threshold - slack:
            return None
        mask = sketch(seen)
        # this area is an estimate: the exact one is asked after the mask has been sharpened
        if (
            not mask.area
            or not options.min_area_px / 2 <= mask.area * area / math.prod(seen.shape) <= options.max_area_px * 2
        ):
            return None
        point = (float(points[row, 0]), float(points[row, 1]))
        near = local is not None and bool(local[row])
        return Candidate(mask, float(np.clip(predicted, 0, 1)), steady, int(ids[row]), choice, point, local=near)

    local = _local(ids, options)
    least = options.pred_iou_threshold - slack
    given = {"points": points, "least_iou": least, "local": local, "batch": options.batch}
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
