"""Networks that need no weights: a perfect one for scenes that spell their truth, and one of constant cost."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32

from geosam.arrays import AnyPixels, Labels, Patch, Pixels
from geosam.segmenter import Answers, Capabilities, Features, PromptBatch, Recipe, Refined, Segmenter
from geosam.testing.scenes import pixels_to_labels

SURE = np.float32(10)
"""Logit of a pixel that the perfect network puts inside an object; outside it is the negative."""

PITCH = 64
"""Pixels between the centres of neighbouring discs of `StubNetwork`; a divisor of 256."""


@dataclass(frozen=True)
class TruthNetwork(Segmenter):
    """A perfect model for a scene whose colours spell its labels (`labels_to_pixels`); its features are the pixels.

    A prompt means the label that has most inside points on it and fewest outside points, whose bounding box in the
    window has the best IoU with the prompt's box, and whose pixels have the best IoU with the prompt's mask; where
    these disagree their sum decides, and among equals the smaller label. The whole label is returned, wherever in the
    window its pixels lie. A prompt that means none (a click on background) gives an empty mask of predicted IoU 0.

    Parameters
    ----------
    side
        Longest window side in pixels that it claims to take.
    key
        Name under which its embeddings are stored, and what the ``model`` column says.
    stride
        Window pixels per logit, each way. 1 gives the exact mask; 4, as of a real network, the mean over 4 by 4 pixels.
    parts
        If true, the first and the last of the three masks are the object's left and right halves, with their true IoU,
        as a real network does at an ambiguous click; if false all three are the object.
    recipe, capabilities
        As of any `Segmenter`, for what is derived from this class.
    """

    side: int = 1024
    key: str = "truth"
    stride: int = 1
    parts: bool = False
    recipe: Recipe = field(default_factory=Recipe)
    capabilities: Capabilities = field(default_factory=Capabilities)
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.key)

    def logits_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the mask logits for a window of `shape` pixels."""
        return -(-shape[0] // self.stride), -(-shape[1] // self.stride)

    def encode(self, pixels: Pixels) -> Features:
        """The pixels as ``float16``, which holds every 8-bit value exactly."""
        return Features((pixels.astype(np.float16),), (pixels.shape[1], pixels.shape[2]))

    def decode(self, features: Features, prompts: PromptBatch, *, multimask: bool = True) -> Answers:
        """Answer every prompt with the truth; the logits cover the window."""
        truth = pixels_to_labels(features.maps[0])
        table = _Table(truth)
        votes = table.votes_of_points(prompts.points, prompts.labels)
        if prompts.boxes is not None:
            votes += table.votes_of_boxes(prompts.boxes)
        if prompts.mask_logits is not None:
            votes += table.votes_of_masks(prompts.mask_logits > 0)
        votes[:, table.ids == 0] = 0
        meant = np.where(votes.max(axis=1) > 0, table.ids[votes.argmax(axis=1)], -1)
        named, which = np.unique(meant, return_inverse=True)  # each object is drawn once, however many prompts mean it
        answers = [self._answer(truth == label, multimask) for label in named]
        none = np.zeros((0, 3 if multimask else 1, *self.logits_shape(features.shape)), np.float32)
        logits = np.stack([logits for logits, _ in answers])[which] if answers else none
        ious = np.array([iou for _, iou in answers], np.float32).reshape(len(named), logits.shape[1])
        return Answers(logits, ious[which])

    def refine(
        self, features: Features, prompts: PromptBatch, iou: Float32[np.ndarray, "n"], *, tight: bool = False
    ) -> Refined:
        """The masks as they are, where the capabilities say that it refines: they are right already."""
        if not self.capabilities.refines or prompts.mask_logits is None:
            return super().refine(features, prompts, iou, tight=tight)
        return Refined([Patch.of(each) for each in prompts.mask_logits], iou)

    def _answer(self, whole: np.ndarray, multimask: bool) -> tuple[np.ndarray, list[float]]:
        """Logits (k mh mw) of one object, and their IoU with it."""
        count = 3 if multimask else 1
        if not (multimask and self.parts and whole.any()):
            return np.repeat(_logits(whole, self.stride)[None], count, axis=0), [float(whole.any())] * count
        middle = np.median(np.nonzero(whole)[1])
        left = np.arange(whole.shape[1]) <= middle
        masks = [whole & left, whole, whole & ~left]
        return np.stack([_logits(mask, self.stride) for mask in masks]), [mask.sum() / whole.sum() for mask in masks]


class _Table:
    """The labels of one window, and how well each fits a prompt."""

    def __init__(self, truth: Labels) -> None:
        self.truth = truth
        self.ids = np.unique(truth)
        self.positions = np.searchsorted(self.ids, truth)

    def votes_of_points(self, points: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Inside points less outside points on each label (n, labels)."""
        h, w = self.truth.shape
        cols, rows = np.floor(points).astype(int).transpose(2, 0, 1)
        on = self.positions[rows.clip(0, h - 1), cols.clip(0, w - 1)]
        votes = np.zeros((len(points), len(self.ids)))
        prompts = np.arange(len(points))[:, None]
        np.add.at(votes, (prompts, on), (labels == 1) * 1.0 - (labels == 0))
        return votes

    def votes_of_boxes(self, boxes: np.ndarray) -> np.ndarray:
        """IoU of each label's bounding box with each box, both within the window."""
        h, w = self.truth.shape
        mine = np.array([_bounds(self.truth == label) for label in self.ids], float)
        asked = boxes.astype(float).clip(0, [w, h, w, h])[:, None]
        sides = np.minimum(mine[:, 2:], asked[..., 2:]) - np.maximum(mine[:, :2], asked[..., :2])
        both = sides.clip(0).prod(-1)
        either = (mine[:, 2:] - mine[:, :2]).prod(-1) + (asked[..., 2:] - asked[..., :2]).prod(-1) - both
        return both / either

    def votes_of_masks(self, masks: np.ndarray) -> np.ndarray:
        """IoU of each label with each mask, at the mask's sampling."""
        h, w = self.truth.shape
        mh, mw = masks.shape[1:]
        rows, cols = ((np.arange(n) + 0.5) * (side / n) for n, side in ((mh, h), (mw, w)))
        seen = self.truth[np.ix_(rows.astype(int), cols.astype(int))]
        votes = np.zeros((len(masks), len(self.ids)))
        for column, label in enumerate(self.ids):
            both = (masks & (seen == label)).sum(axis=(1, 2))
            either = (masks | (seen == label)).sum(axis=(1, 2))
            votes[:, column] = both / np.maximum(either, 1)
        return votes


def _bounds(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Half-open ``xyxy`` bounds of a mask that is not empty."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(cols[0]), int(rows[0]), int(cols[-1]) + 1, int(rows[-1]) + 1


def _logits(mask: np.ndarray, stride: int) -> np.ndarray:
    """Mean logits over blocks of `stride` by `stride` pixels; the last blocks are filled up by repetition."""
    logits = np.where(mask, SURE, -SURE)
    if stride == 1:
        return logits
    h, w = mask.shape
    filled = np.pad(logits, ((0, -h % stride), (0, -w % stride)), mode="edge")
    return filled.reshape(filled.shape[0] // stride, stride, -1, stride).mean(axis=(1, 3), dtype=np.float32)


@dataclass(frozen=True)
class WatchedNetwork(TruthNetwork):
    """`TruthNetwork` that keeps what it is given, and may be interrupted.

    Parameters
    ----------
    stop_after
        Windows after which encoding another raises `KeyboardInterrupt`; None for never.

    Attributes
    ----------
    windows
        The pixels of every window that was encoded.
    batches
        How many windows were encoded together each time.
    asked
        Every batch of prompts, and whether alternatives were wanted.
    """

    stop_after: int | None = None
    windows: list[np.ndarray] = field(default_factory=list, init=False, repr=False, compare=False)
    batches: list[int] = field(default_factory=list, init=False, repr=False, compare=False)
    asked: list[tuple[PromptBatch, bool]] = field(default_factory=list, init=False, repr=False, compare=False)

    def encode(self, pixels: Pixels) -> Features:
        """See `TruthNetwork.encode`."""
        if len(self.windows) == self.stop_after:
            raise KeyboardInterrupt
        self.windows.append(pixels)
        return super().encode(pixels)

    def encode_many(self, windows: Sequence[AnyPixels]) -> list[Features]:
        """See `geosam.segmenter.Segmenter.encode_many`."""
        self.batches.append(len(windows))
        return super().encode_many(windows)

    def decode(self, features: Features, prompts: PromptBatch, *, multimask: bool = True) -> Answers:
        """See `TruthNetwork.decode`."""
        self.asked.append((prompts, multimask))
        return super().decode(features, prompts, multimask=multimask)


@dataclass(frozen=True)
class StubNetwork(Segmenter):
    """A network that finds discs on a lattice, at a cost that does not depend on what it sees.

    Encoding gives arrays of a real model's size. Decoding gives, for a prompt within a disc, that disc, and for any
    other an empty mask. The discs are `PITCH` pixels apart; their radii are 24 and 29 pixels in turn. On a
    `coordinate_scene` of 8-bit pixels the lattice is the scene's (the window's first pixel tells its place), so that
    neighbouring windows see the same discs; on other scenes it is the window's own.

    Parameters
    ----------
    side
        Longest window side in pixels that it claims to take.
    key
        Name under which its embeddings are stored, and what the ``model`` column says.
    channels
        Channels of the embedding, at a sixteenth of the window's sampling.
    """

    side: int = 1024
    key: str = "stub"
    channels: int = 256
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.key)

    def encode(self, pixels: Pixels) -> Features:
        """Features of a sixteenth of the window's sampling, all zero but for where the window lies on the lattice."""
        features = np.zeros((self.channels, -(-pixels.shape[1] // 16), -(-pixels.shape[2] // 16)), np.float16)
        features[:2, 0, 0] = pixels[:2, 0, 0] % (2 * PITCH)
        return Features((features,), (pixels.shape[1], pixels.shape[2]))

    def logits_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the mask logits for a window of `shape` pixels."""
        return -(-shape[0] // 4), -(-shape[1] // 4)

    def decode(self, features: Features, prompts: PromptBatch, *, multimask: bool = True) -> Answers:
        """The disc under each prompt's first point or box centre, at a quarter of the window's sampling.

        The alternatives are one array, seen several times, and only the first is sure of itself, so that an answer
        costs little time and memory.
        """
        k = 3 if multimask else 1
        boxes, shape = prompts.boxes, features.shape
        middles = prompts.points[:, 0] if boxes is None else (boxes[:, :2] + boxes[:, 2:]) / 2
        origin = features.maps[0][:2, 0, 0].astype(np.float32)
        cells = np.floor((middles + origin) / PITCH)
        centres = (cells + 0.5) * PITCH - origin
        radii = 24 + cells.sum(axis=1) % 2 * 5
        hit = np.hypot(*(middles - centres).T) < radii
        mh, mw = self.logits_shape(shape)
        x, y = ((np.arange(m, dtype=np.float32) + 0.5) * (side / m) for m, side in ((mw, shape[1]), (mh, shape[0])))
        east, south = (x - centres[:, :1]) ** 2, (y - centres[:, 1:]) ** 2
        logits = np.sqrt(south[:, :, None] + east[:, None, :])
        np.subtract(np.where(hit, radii, -1)[:, None, None], logits, out=logits)
        logits *= SURE
        scores = hit[:, None] / np.arange(1, k + 1, dtype=np.float32)
        return Answers(np.broadcast_to(logits[:, None], (len(hit), k, mh, mw)), scores)
