"""What one window saw: its masks laid flat into one label raster."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geosam.arrays import Flags, Labels, Scores
from geosam.errors import OptionError
from geosam.masks import MaskSet


@dataclass(frozen=True)
class WindowInstances:
    """The instances of one window, none overlapping another.

    Attributes
    ----------
    index
        The window's position in its plan.
    labels
        ``h w``, window px: 0 for none, 1 … n for this window's instances.
    predicted_iou, stability
        The network's own quality scores, one per instance.
    touches_nodata
        Whether the instance ends where the scene has no data.

    Raises
    ------
    OptionError
        If the label raster names more instances than there are scores.

    Examples
    --------
    >>> ones = np.ones(1, np.float32)
    >>> seen = WindowInstances(0, np.eye(2, dtype=np.int32), ones, ones, np.zeros(1, bool))
    >>> len(seen)
    1
    """

    index: int
    labels: Labels
    predicted_iou: Scores
    stability: Scores
    touches_nodata: Flags

    def __post_init__(self) -> None:
        top = int(self.labels.max(initial=0))
        counts = {len(self.predicted_iou), len(self.stability), len(self.touches_nodata)}
        if len(counts) > 1 or top > len(self) or int(self.labels.min(initial=0)) < 0:
            raise OptionError(
                f"labels up to {top} with {sorted(counts)} scores in window {self.index}",
                expected="labels 0 … n with n predicted IoUs, stabilities and nodata flags",
            )

    def __len__(self) -> int:
        return len(self.predicted_iou)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain arrays for a journal: the label raster in the smallest type that holds it."""
        return {
            "labels": self.labels.astype(np.min_scalar_type(len(self))),
            "predicted_iou": self.predicted_iou,
            "stability": self.stability,
            "touches_nodata": self.touches_nodata,
        }

    @classmethod
    def from_arrays(cls, index: int, arrays: Mapping[str, np.ndarray]) -> "WindowInstances":
        """The inverse of `to_arrays`."""
        return cls(
            index,
            arrays["labels"].astype(np.int32),
            arrays["predicted_iou"].astype(np.float32),
            arrays["stability"].astype(np.float32),
            arrays["touches_nodata"].astype(bool),
        )


def flatten(masks: MaskSet, index: int, *, min_visible: float | int = 0.1) -> WindowInstances:
    """Lay overlapping masks flat: larger ones below, smaller ones on top.

    Parameters
    ----------
    masks
        The masks of one window.
    index
        The window's position in its plan.
    min_visible
        A mask of which less than this share stays visible is a whole that its parts have replaced: it is dropped,
        instead of leaving slivers between the parts.

    Returns
    -------
    WindowInstances
        Renumbered 1 … n in the order of `masks`; masks that are empty or hidden are left out.

    Examples
    --------
    >>> from rasterio.windows import Window
    >>> flatten(MaskSet.empty(Window(0, 0, 8, 8)), 0).labels.shape
    (8, 8)
    """
    areas = np.array([np.count_nonzero(crop) for crop in masks.crops], np.int64)
    painted = np.zeros(masks.shape, np.int32)
    for position in np.lexsort((np.arange(len(areas)), masks.score, -areas)):
        x0, y0, x1, y1 = masks.boxes[position]
        painted[y0:y1, x0:x1][masks.crops[position]] = position + 1
    visible = np.bincount(painted.ravel(), minlength=len(areas) + 1)[1:]
    kept = np.flatnonzero((visible > 0) & (visible >= min_visible * areas))
    renumber = np.zeros(len(areas) + 1, np.int32)
    renumber[kept + 1] = np.arange(1, len(kept) + 1)
    return WindowInstances(
        index, renumber[painted], masks.predicted_iou[kept], masks.stability[kept], masks.touches_nodata[kept]
    )
