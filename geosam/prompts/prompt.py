"""One prompt: what points at one object, in pixels, with the source feature it came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from shapely.geometry.base import BaseGeometry

from geosam.arrays import Coordinates
from geosam.errors import PromptError


@dataclass(frozen=True, eq=False)
class Prompt:
    """Points, a box or a polygon that say which object is meant.

    Attributes
    ----------
    row
        Position in the source, from 0; of several rows that make one object, the first.
    id
        The source feature's own id.
    points_px, labels
        Clicks ``(x, y)`` and for each 1 (inside the object) or 0 (outside). A polygon brings up to three points inside
        it.
    box_px
        ``xyxy`` bounds of the object; a polygon brings its own.
    polygon_px
        An earlier outline of the object, which also serves as mask prompt.
    attributes
        The source feature's attributes.

    Raises
    ------
    PromptError
        If nothing in it says where the object is, or a number is not finite.

    Examples
    --------
    >>> click = Prompt(0, "a", np.array([[3.5, 2.5]]), np.array([1]))
    >>> click.kind, click.anchor_px, click.extent_px
    ('points', (3.5, 2.5), (3.5, 2.5, 3.5, 2.5))
    """

    row: int
    id: str | int
    points_px: Coordinates = field(default_factory=lambda: np.empty((0, 2)))
    labels: Int64[ndarray, "p"] = field(default_factory=lambda: np.empty(0, np.int64))
    box_px: Float64[ndarray, "4"] | None = None
    polygon_px: BaseGeometry | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_points()
        if self.box_px is not None and not (self.box_px[:2] <= self.box_px[2:]).all():
            raise PromptError(
                f"box {self.box_px.tolist()} of prompt {self.id!r}", expected="xmin <= xmax and ymin <= ymax"
            )
        if self.polygon_px is not None and self.box_px is None:
            object.__setattr__(self, "box_px", np.array(self.polygon_px.bounds))

    def _check_points(self) -> None:
        if self.points_px.shape != (len(self.labels), 2) or not np.isfinite(self.points_px).all():
            raise PromptError(
                f"points {self.points_px.tolist()} of prompt {self.id!r}", expected="finite (x, y), one label each"
            )
        if not ((self.labels == 0) | (self.labels == 1)).all():
            raise PromptError(
                f"labels {self.labels.tolist()} of prompt {self.id!r}", expected="1 (inside) or 0 (outside)"
            )
        if self.box_px is None and self.polygon_px is None and not self.labels.any():
            raise PromptError(
                f"prompt {self.id!r} with nothing inside the object", expected="a positive point, a box or a polygon"
            )

    @property
    def kind(self) -> str:
        """``"points"``, ``"box"`` (perhaps with points) or ``"polygon"`` (with its box and points)."""
        if self.polygon_px is not None:
            return "polygon"
        return "points" if self.box_px is None else "box"

    @property
    def extent_px(self) -> tuple[float, float, float, float]:
        """``xyxy`` bounds of everything known to belong to the object."""
        corners = [self.points_px[self.labels == 1]]
        if self.box_px is not None:
            corners.append(self.box_px.reshape(2, 2))
        known = np.concatenate(corners)
        x0, y0 = known.min(axis=0).tolist()
        x1, y1 = known.max(axis=0).tolist()
        return x0, y0, x1, y1

    @property
    def anchor_px(self) -> tuple[float, float]:
        """One ``(x, y)`` on the object: its first positive point, else the middle of its box."""
        positive = self.points_px[self.labels == 1]
        if len(positive):
            return float(positive[0, 0]), float(positive[0, 1])
        x0, y0, x1, y1 = self.extent_px
        return (x0 + x1) / 2, (y0 + y1) / 2


@dataclass(frozen=True)
class Skipped:
    """A row of the source that cannot serve as a prompt, and why.

    Attributes
    ----------
    row
        Position in the source, from 0.
    id
        The source feature's own id.
    reason
        What is the matter with it, in a few words.
    """

    row: int
    id: str | int
    reason: str
