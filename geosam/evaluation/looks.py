"""What the model is shown: windows of labelled pictures, and the objects that are asked for in each.

An object counts if it covers at least 256 pixels and the picture's edge does not cut it. It is looked at in one window
of at most 1,024 pixels, the one whose middle is nearest to its own.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Float32
from rasterio.windows import Window

from geosam.evaluation.crops import Crop
from geosam.evaluation.sets import LabelledPicture
from geosam.evaluation.truth import TrueObject, Truth, read_truth
from geosam.scene import Chip, Scene, open_scene

log = logging.getLogger(__name__)

SIDE, STEP = 1024, 512
"""Side of a window, and the distance of neighbouring windows, in pixels."""

SMALLEST_PX = 256
"""Area of the smallest object that counts."""

INSET_PX = 1e-3
"""By how much a window's outline is drawn inside it, so that rounding does not add a row of pixels."""


@dataclass(frozen=True, eq=False)
class Target:
    """An object in a window, in the window's pixels.

    Attributes
    ----------
    box
        ``xyxy``; the prompt.
    point
        ``(x, y)`` of the first click.
    truth
        The mask it should give; only its box filled where `exact` is False.
    exact
        Whether the mask is known, not only its box.
    """

    box: Float32[np.ndarray, "4"]
    point: Float32[np.ndarray, "2"]
    truth: Crop
    exact: bool


@dataclass(frozen=True, eq=False)
class Look:
    """One window of a picture, and what is asked for in it."""

    source: str
    name: str
    scene: Scene
    window: Window
    targets: tuple[Target, ...]

    def chip(self) -> Chip:
        """Read the window's pixels."""
        return self.scene.read(self.window)

    def alone(self) -> Scene:
        """The window as a scene of its own, where it lies in the world."""
        h, w = self.scene.shape
        if (self.window.height, self.window.width) == (h, w):
            return self.scene
        left, top = self.window.col_off, self.window.row_off
        outline = shapely.box(left, top, left + self.window.width, top + self.window.height).buffer(-INSET_PX)
        return self.scene.within(self.scene.to_world(outline)[0])


def looks(
    pictures: Iterable[LabelledPicture], *, smallest_px: float | int = SMALLEST_PX, objects: int = 0
) -> Iterator[Look]:
    """Give the windows of labelled pictures, picture by picture.

    Parameters
    ----------
    pictures
        As `geosam.evaluation.sets.list_pictures` lists them.
    smallest_px
        Area of the smallest object that counts.
    objects
        At most so many of each source, the first ones; 0 for all.

    Raises
    ------
    SceneError, SceneReadError
        If a picture or its truth cannot be read.
    """
    seen = Counter[str]()
    for picture in pictures:
        if objects and seen[picture.source] >= objects:
            continue
        scene = open_scene(picture.file)
        truth = read_truth(picture, scene)
        counted = [each for each in truth.objects if each.area >= smallest_px and not each.touches_edge]
        if objects:
            counted = counted[: objects - seen[picture.source]]
        seen[picture.source] += len(counted)
        for window, few in _by_window(counted, scene.shape):
            targets = tuple(_target(each, truth, window) for each in few)
            yield Look(picture.source, picture.name, scene, window, targets)


def _by_window(counted: list[TrueObject], shape: tuple[int, int]) -> list[tuple[Window, list[TrueObject]]]:
    found: dict[tuple[int, int], list[TrueObject]] = defaultdict(list)
    for each in counted:
        found[window_of(each.box, shape)].append(each)
    h, w = (min(side, SIDE) for side in shape)
    return [(Window(left, top, w, h), few) for (top, left), few in sorted(found.items(), key=lambda item: item[0])]  # pyright: ignore[reportCallIssue]  # attrs class without stubs


def window_of(box: Float32[np.ndarray, "4"], shape: tuple[int, int]) -> tuple[int, int]:
    """Find top and left of the window whose middle is nearest to the box's.

    Examples
    --------
    >>> window_of(np.array([900, 10, 1100, 60], np.float32), (1024, 2048))
    (0, 512)
    """
    corner = []
    for length, low, high in ((shape[0], box[1], box[3]), (shape[1], box[0], box[2])):
        last = max(length - SIDE, 0)
        starts = np.unique(np.minimum(np.arange(0, last + STEP, STEP), last))
        corner.append(int(starts[np.abs(starts + SIDE / 2 - (low + high) / 2).argmin()]))
    return corner[0], corner[1]


def _target(each: TrueObject, truth: Truth, window: Window) -> Target:
    top, left, h, w = (round(v) for v in (window.row_off, window.col_off, window.height, window.width))
    move = np.array([left, top], np.float32)
    box = np.clip(each.box - np.tile(move, 2), 0, np.array([w, h, w, h], np.float32)).astype(np.float32)
    if truth.ids is None:
        return Target(box, each.point - move, Crop.of_box(box), exact=False)
    return Target(box, each.point - move, Crop.of(truth.ids[top : top + h, left : left + w] == each.label), exact=True)
