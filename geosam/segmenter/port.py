"""`Segmenter`: the port through which every model is asked, with its `Features` and `Capabilities`."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Float64

from geosam.arrays import AnyPixels, Patch, Pixels, Scores
from geosam.errors import ModelError, OptionError
from geosam.segmenter.prompts import Answers, PromptBatch, described
from geosam.segmenter.recipe import Recipe

Result = TypeVar("Result")

Keep = Callable[[int, int, float, Patch], Result]
"""Called with a prompt's row, the number of the alternative, its predicted IoU and its logits where there may be
something; perhaps on several threads at once."""


@dataclass(frozen=True, eq=False)
class Features(Sequence[np.ndarray]):
    """What a model made of a window, once for however many prompts follow; a sequence of the arrays that are stored.

    Parameters
    ----------
    maps
        The encoder's features ``c gh gw``, the coarsest first. They cannot be written to. Those of a model are
        ``float16``: rounded once, so that stored ones give the same masks as fresh ones.
    shape
        ``(h, w)`` of the window in pixels.
    picture
        The pixels themselves, ``3 ph pw``, reduced, where the model wants them for its refiner; else None.

    Raises
    ------
    ModelError
        If there are no maps, or one is no array of floating point.

    Examples
    --------
    >>> features = Features((np.zeros((8, 4, 4), np.float16),), (64, 64), np.zeros((3, 32, 32), np.float16))
    >>> len(features), features[-1] is features.picture
    (2, True)
    """

    maps: tuple[np.ndarray, ...]
    shape: tuple[int, int]
    picture: np.ndarray | None = None

    def __post_init__(self) -> None:
        wrong = [each for each in self.arrays if not isinstance(each, np.ndarray) or each.dtype.kind != "f"]
        if wrong or not self.maps:
            given = described(wrong[0]) if wrong else "none"
            raise ModelError(f"features: {given}", expected="at least one array, all of floating point")
        for each in self.arrays:
            each.setflags(write=False)

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays in the order in which they are stored: the maps, then the picture."""
        return self.maps if self.picture is None else (*self.maps, self.picture)

    @classmethod
    def of(cls, arrays: Sequence[np.ndarray], shape: tuple[int, int], *, picture: bool = False) -> "Features":
        """Rebuild what `arrays` took apart; ``picture`` tells whether the last one is the picture."""
        arrays = tuple(arrays)
        return cls(arrays[:-1], shape, arrays[-1]) if picture and arrays else cls(arrays, shape)

    def __getitem__(self, index):
        return self.arrays[index]

    def __len__(self) -> int:
        return len(self.arrays)


@dataclass(frozen=True)
class Capabilities:
    """What a model can do beyond its two verbs, and how it is best asked.

    Parameters
    ----------
    max_batch
        Prompts that are best decoded together, at most; bounds memory and changes nothing else but rounding.
    max_windows
        Windows that are best encoded together; one keeps a processor busy.
    roi_px
        Sides in pixels of the RoI crops in which `Segmenter.decode_rois` decodes, the smallest first; empty where it
        decodes in the whole window.
    picture
        Whether `Features.picture` is kept.
    refines, scores
        Whether `Segmenter.refine` and `Segmenter.score` can be asked.

    Examples
    --------
    >>> Capabilities(max_batch=0)
    Traceback (most recent call last):
    geosam.errors.OptionError: max_batch=0, max_windows=1: expected at least 1
    """

    max_batch: int = 64
    max_windows: int = 1
    roi_px: tuple[int, ...] = ()
    picture: bool = False
    refines: bool = False
    scores: bool = False

    def __post_init__(self) -> None:
        if min(self.max_batch, self.max_windows) < 1:
            raise OptionError(f"max_batch={self.max_batch}, max_windows={self.max_windows}", expected="at least 1")


class Refined(NamedTuple):
    """Refined masks.

    Attributes
    ----------
    masks
        One for each of ``n``, where it lies.
    iou
        The IoU that each is predicted to have, in [0, 1].
    """

    masks: list[Patch]
    iou: Scores


@runtime_checkable
class Segmenter(Protocol):
    """A model: whatever embeds windows and answers prompts on them.

    Two verbs make one: `encode` and `decode`. All else follows from these; a model that knows a quicker or a better
    way overrides it, and says so in its `capabilities`. Derive from this class; nobody asks who a model is.

    `geosam.testing.TruthNetwork` is a perfect one, and short.

    Attributes
    ----------
    name
        What users call it.
    key
        Identifies the weights: the same key, the same features.
    side
        Longest side in pixels of a window that it takes without making it smaller.
    capabilities
        What it can do beyond its two verbs; by default nothing.
    recipe
        How prompts become masks with it; by default as with plain SAM.
    """

    name: str
    key: str
    side: int
    capabilities: Capabilities = Capabilities()
    recipe: Recipe = Recipe()

    @abstractmethod
    def logits_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the mask logits for a window of ``shape`` ``(h, w)`` pixels."""

    @abstractmethod
    def encode(self, pixels: Pixels) -> Features:
        """Embed a window of pixels, ``3 h w``, red, green and blue from 0 to 255."""

    @abstractmethod
    def decode(self, features: Features, prompts: PromptBatch, *, multimask: bool = True) -> Answers:
        """Answer prompts on a window.

        Parameters
        ----------
        features
            What `encode` gave for the window.
        prompts
            In pixels of the window.
        multimask
            True for the alternatives of an ambiguous prompt (mostly three), False for one answer.
        """

    def encode_many(self, windows: Sequence[AnyPixels]) -> list[Features]:
        """Embed windows, in their order: of each what `encode` gives, up to rounding."""
        return [self.encode(pixels) for pixels in windows]

    def decode_rois(
        self, features: Features, prompts: PromptBatch, *, multimask: bool = True, batched: bool = False
    ) -> Answers:
        """Answer prompts, each in the smallest RoI crop that holds its best mask; else as `decode`.

        ``batched`` decodes prompts of one crop together: quicker, and answers agree up to rounding with those alone.
        """
        return self.decode(features, prompts, multimask=multimask)

    def decode_filtered(
        self,
        features: Features,
        prompts: PromptBatch,
        keep: Keep[Result],
        *,
        least_iou: float,
        rois: Bool[np.ndarray, "n"] | None = None,
    ) -> list[Result]:
        """Answer ambiguous prompts, and keep something of those masks that are predicted to be good.

        Parameters
        ----------
        features, prompts
            As `decode` takes them.
        keep
            What is kept of a mask.
        least_iou
            Masks with a predicted IoU below are left out, and need not be drawn.
        rois
            Prompts that may be decoded in their smallest RoI crop; masks that its edge cuts are left out. None for the
            whole window.

        Returns
        -------
        What `keep` gave, by row and alternative.
        """
        kept: list[Result] = []
        for rows in batches(len(prompts), self.capabilities.max_batch):
            logits, iou = self.decode(features, prompts[rows])
            good = np.argwhere(iou >= least_iou).tolist()
            kept += [
                keep(rows.start + row, choice, float(iou[row, choice]), Patch.of(logits[row, choice]))
                for row, choice in good
            ]
        return kept

    def refine(
        self, features: Features, prompts: PromptBatch, iou: Float32[np.ndarray, "n"], *, tight: bool = False
    ) -> Refined:
        """Refine masks beside the picture, and predict their IoU anew.

        Parameters
        ----------
        features
            What `encode` gave for the window.
        prompts
            The masks, and the clicks and boxes that they answer.
        iou
            What was predicted for the masks.
        tight
            Whether the boxes bound their objects, as those of users do, and are not inferred from masks.

        Raises
        ------
        ModelError
            If the model has no refiner.
        """
        raise ModelError(f"{self.name!r} has no mask refiner", expected="weights that hold one, as nano's do")

    def score(self, measures: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n"]:
        """Give the IoU that masks are expected to have, from the measures that `geosam.masks.quality` takes.

        Raises
        ------
        ModelError
            If the model has no quality model.
        """
        raise ModelError(f"{self.name!r} has no quality model", expected="weights that hold one, as nano's do")


def batches(count: int, most: int) -> Iterator[slice]:
    """Cut ``count`` rows into slices of at most ``most``."""
    for start in range(0, count, most):
        yield slice(start, min(start + most, count))


def check_recipe(recipe: Recipe, segmenter: Segmenter) -> None:
    """Refuse a recipe that asks for what a model cannot do.

    Raises
    ------
    OptionError
        If masks shall be refined or scored, and the model cannot.
    """
    can = segmenter.capabilities
    for wanted, able, what in (
        (recipe.refinement.enabled, can.refines, "refinement"),
        (recipe.quality.enabled, can.scores, "quality"),
    ):
        if wanted and not able:
            hint = "leave it out of the recipe, or use a model that can, as nano does"
            raise OptionError(f"recipe.{what} with {segmenter.name!r}", expected="a model that knows how to", hint=hint)
