"""What is known of every instance of every window: where it lies, how much of it is at home, whether it is whole."""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Int32

from geosam.arrays import Flags, Ids, Scores
from geosam.instances.pieces import WindowInstances
from geosam.instances.runs import Runs
from geosam.windows import WindowPlan

Numbers = Int32[np.ndarray, "..."]
"""Object ids, local labels, ranks or counts."""


@dataclass(frozen=True)
class Sightings:
    """Columns with an entry for each instance, window after window.

    Attributes
    ----------
    window
        Index of the window that saw it.
    first
        Its first pixel, counted through all rows of the scene.
    stop
        The row below its last pixel, in scene px.
    pixels
        Its size.
    home
        How much of it lies in the core of its window.
    whole
        Whether it keeps away from all edges of its window beyond which the scene goes on.
    predicted_iou, stability, touches_nodata
        As the window has them.
    """

    window: Numbers
    first: Ids
    stop: Ids
    pixels: Numbers
    home: Numbers
    whole: Flags
    predicted_iou: Scores
    stability: Scores
    touches_nodata: Flags

    def __len__(self) -> int:
        return len(self.window)

    @classmethod
    def of(cls, plan: WindowPlan, index: int, seen: WindowInstances | None) -> "Sightings":
        """The instances of one window."""
        if seen is None or not len(seen):
            return cls.none()
        window, core, count = plan[index].window, plan[index].core, len(seen)
        top, left = core.row_off - window.row_off, core.col_off - window.col_off
        runs = Runs.encode(seen.labels)
        home = Runs.encode(seen.labels[top : top + core.height, left : left + core.width])
        first, last = runs.first_and_last(count)
        row, col = np.divmod(first, window.width)
        return cls(
            window=np.full(count, index, np.int32),
            first=(row + window.row_off) * plan.shape[1] + col + window.col_off,
            stop=last // window.width + window.row_off + 1,
            pixels=runs.areas(count),
            home=home.areas(count),
            whole=_whole(plan, index, seen),
            predicted_iou=seen.predicted_iou,
            stability=seen.stability,
            touches_nodata=seen.touches_nodata,
        )

    @classmethod
    def none(cls) -> "Sightings":
        """No instance at all."""
        return cls(
            **{name: np.zeros(0, np.int32) for name in ("window", "pixels", "home")},
            **{name: np.zeros(0, np.int64) for name in ("first", "stop")},
            **{name: np.zeros(0, bool) for name in ("whole", "touches_nodata")},
            **{name: np.zeros(0, np.float32) for name in ("predicted_iou", "stability")},
        )

    @classmethod
    def concatenate(cls, parts: "list[Sightings]") -> "Sightings":
        """The instances of several windows, one after the other."""
        every = [cls.none(), *parts]
        return cls(**{one.name: np.concatenate([getattr(part, one.name) for part in every]) for one in fields(cls)})


def _whole(plan: WindowPlan, index: int, seen: WindowInstances) -> Flags:
    """Which instances of a window no inner edge of it cuts."""
    window, (h, w), labels = plan[index].window, plan.shape, seen.labels
    edges = (
        (window.row_off > 0, labels[0]),
        (window.row_off + window.height < h, labels[-1]),
        (window.col_off > 0, labels[:, 0]),
        (window.col_off + window.width < w, labels[:, -1]),
    )
    cut = np.zeros(len(seen) + 1, bool)
    for is_inner, line in edges:
        if is_inner:
            cut[line] = True
    return ~cut[1:]
