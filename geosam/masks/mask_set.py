"""The masks of one window."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from rasterio.windows import Window

from geosam.arrays import Flags, Ids, PixelBoxes, Scores
from geosam.errors import OptionError

Crop = Bool[np.ndarray, "_ _"]
"""One mask, cut to its box."""


@dataclass(frozen=True, eq=False)
class MaskSet:
    """The masks of one window, best first or in the order of their prompts; they may overlap.

    Parameters
    ----------
    window
        Where the window lies on the working pixel grid.
    shape
        ``(h, w)`` of the window in pixels.
    boxes
        Tight half-open ``xyxy`` box of each mask in window pixels; all zero for an empty mask.
    crops
        The masks, each cut to its box.
    predicted_iou
        The IoU that the network expects of its mask, in [0, 1].
    stability
        IoU of the masks cut above and below the threshold (`geosam.masks.low_res.stability`), in [0, 1].
    prompt_ids
        Row of the prompt, or the point of the grid, that each mask answers.
    touches_nodata
        Whether the mask borders on pixels without data, or reached into them before it was cut.

    Raises
    ------
    OptionError
        If the parts do not fit one another.

    Examples
    --------
    >>> masks = MaskSet.empty(Window(512, 0, 256, 256))
    >>> len(masks), masks.shape
    (0, (256, 256))
    """

    window: Window
    shape: tuple[int, int]
    boxes: PixelBoxes
    crops: tuple[Crop, ...]
    predicted_iou: Scores
    stability: Scores
    prompt_ids: Ids
    touches_nodata: Flags

    def __post_init__(self) -> None:
        columns = (self.boxes, self.crops, self.predicted_iou, self.stability, self.prompt_ids, self.touches_nodata)
        if len({len(column) for column in columns}) > 1:
            raise OptionError(f"columns of {[len(column) for column in columns]} masks", expected="one length for all")
        h, w = self.shape
        if len(self) and (self.boxes.min() < 0 or (self.boxes > np.array([w, h, w, h])).any()):
            raise OptionError("a box beyond the window", expected=f"boxes within {w} by {h} pixels")
        for (x0, y0, x1, y1), crop in zip(self.boxes.tolist(), self.crops, strict=True):
            if crop.shape != (y1 - y0, x1 - x0):
                raise OptionError(f"a crop of {crop.shape}", expected=f"{(y1 - y0, x1 - x0)}, as its box says")

    def __len__(self) -> int:
        return len(self.crops)

    @property
    def score(self) -> Scores:
        """Predicted IoU times stability, in [0, 1]."""
        return np.clip(self.predicted_iou, 0, 1) * self.stability

    @property
    def area_px(self) -> Ids:
        """Pixels in each mask."""
        return np.array([np.count_nonzero(crop) for crop in self.crops], np.int64)

    def select(self, index: Sequence[int] | np.ndarray) -> "MaskSet":
        """The masks at `index` (positions, or a flag for each mask), in that order."""
        positions = np.arange(len(self))[np.asarray(index, None if len(index) else np.int64)]
        return type(self)(
            self.window,
            self.shape,
            self.boxes[positions],
            tuple(self.crops[position] for position in positions),
            self.predicted_iou[positions],
            self.stability[positions],
            self.prompt_ids[positions],
            self.touches_nodata[positions],
        )

    @classmethod
    def empty(cls, window: Window) -> "MaskSet":
        """No masks at all."""
        shape = (int(window.height), int(window.width))
        none = np.zeros(0, np.float32)
        return cls(window, shape, np.zeros((0, 4), np.int32), (), none, none, np.zeros(0, np.int64), np.zeros(0, bool))

    @classmethod
    def concatenate(cls, sets: "Iterable[MaskSet]") -> "MaskSet":
        """Put sets of the same window one after the other.

        Raises
        ------
        OptionError
            If there is none, or their windows differ.
        """
        sets = tuple(sets)
        if len({(masks.window, masks.shape) for masks in sets}) != 1:
            raise OptionError(f"{len(sets)} sets of masks", expected="at least one, and all of one window")
        return cls(
            sets[0].window,
            sets[0].shape,
            np.concatenate([masks.boxes for masks in sets]),
            tuple(crop for masks in sets for crop in masks.crops),
            np.concatenate([masks.predicted_iou for masks in sets]),
            np.concatenate([masks.stability for masks in sets]),
            np.concatenate([masks.prompt_ids for masks in sets]),
            np.concatenate([masks.touches_nodata for masks in sets]),
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All of it as named arrays, the masks at one bit a pixel; `from_arrays` is the inverse."""
        bits = [np.packbits(crop) for crop in self.crops]
        window = self.window
        return {
            "window": np.array([window.col_off, window.row_off, window.width, window.height], np.int64),
            "boxes": self.boxes,
            "bits": np.concatenate(bits) if bits else np.zeros(0, np.uint8),
            "predicted_iou": self.predicted_iou,
            "stability": self.stability,
            "prompt_ids": self.prompt_ids,
            "touches_nodata": self.touches_nodata,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "MaskSet":
        """Rebuild the set that `to_arrays` took apart."""
        boxes = arrays["boxes"]
        heights, widths = (boxes[:, 3] - boxes[:, 1]).tolist(), (boxes[:, 2] - boxes[:, 0]).tolist()
        crops, start = [], 0
        for h, w in zip(heights, widths, strict=True):
            stop = start + -(-h * w // 8)
            crops.append(np.unpackbits(arrays["bits"][start:stop], count=h * w).reshape(h, w).astype(bool))
            start = stop
        window = Window(*arrays["window"].tolist())  # pyright: ignore[reportCallIssue]  # attrs class without stubs
        scores = (arrays[name] for name in ("predicted_iou", "stability", "prompt_ids", "touches_nodata"))
        return cls(window, (int(window.height), int(window.width)), boxes, tuple(crops), *scores)
