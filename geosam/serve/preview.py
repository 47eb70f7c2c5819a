"""From prompts to a shape: what the hand sees before it accepts is what is saved.

A prompt is answered on the finest level whose window shows its object; clicks move to a coarser one as long as their
mask runs into an edge beyond which the scene goes on. Where the windows that this takes are not encoded yet, a small
window is encoded on the spot, and its answer is told to be a rough one.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from geosam.masks import MaskSet, segment_prompts
from geosam.pipeline.prompted import Level, is_cut, to_scene
from geosam.polygons import mask_polygons
from geosam.prompts import Prompt, WindowPrompts, assign
from geosam.prompts.interior import interior_points
from geosam.serve.requests import OutsideError, ServeError
from geosam.serve.shapes import canonical
from geosam.serve.warm import Seen, Spot, Warmth, lattice

TOLERANCE_PX = 1.0
"""Farthest that an outline may lie from the mask's, in pixels: a hand can move the vertices that are left, and nobody
sees stairs. Costs less than .01 of IoU even on small roofs (docs/click.md)."""

QUICK_PX = 384
"""Side of the small window: a seventh of the work of a whole one, and wider than most objects."""

QUICK_S = 0.4
"""Seconds that looking for a rough answer may take; a model that needs longer for the small window is not asked."""

KEPT_QUICK = 8
"""Small windows that are kept, since the hand mostly stays near."""


@dataclass(frozen=True)
class Asked:
    """Prompts for one object, in pixels of the scene.

    Attributes
    ----------
    clicks
        ``(x, y, 1 inside or 0 outside)``.
    box
        ``xyxy`` bounds of the object, or None.
    outline
        A rough outline, or None.
    """

    clicks: tuple[tuple[float, float, int], ...] = ()
    box: tuple[float, float, float, float] | None = None
    outline: BaseGeometry | None = None

    def __post_init__(self) -> None:
        inside = any(label for *_, label in self.clicks)
        if not inside and self.box is None and self.outline is None:
            raise ServeError("prompts without a click inside", expected="a click inside, a box or an outline")

    @property
    def origin(self) -> str:
        """Where a shape that answers it comes from."""
        return "outline" if self.outline is not None else "click" if self.box is None else "box"

    def to_prompt(self) -> Prompt:
        """The prompt as the pipeline knows it; an outline brings points inside it."""
        xy = np.array([click[:2] for click in self.clicks], np.float64).reshape(-1, 2)
        labels = np.array([click[2] for click in self.clicks], np.int64)
        box = None if self.box is None else np.array(self.box, np.float64)
        if self.outline is not None:
            inside = interior_points(np.array([self.outline], object))[0]
            xy, labels = np.concatenate([inside, xy]), np.concatenate([np.ones(len(inside), np.int64), labels])
            box = None
        return Prompt(0, "", xy, labels, box_px=box, polygon_px=self.outline)


@dataclass(frozen=True)
class Answered:
    """A shape, or none, and how sure the model is of it.

    Attributes
    ----------
    shape
        In pixels of the scene, canonical; None if nothing was found.
    score
        Predicted IoU times stability, in [0, 1].
    exact
        Whether it is the answer; a rough one is one for the eye while windows are encoded.
    """

    shape: BaseGeometry | None
    score: float
    exact: bool


class Answerer:
    """Answers prompts on the windows that are there.

    Parameters
    ----------
    warmth
        The windows, the scene and the model.
    tolerance_px
        See `TOLERANCE_PX`; 0 keeps the outlines of pixels.
    """

    def __init__(self, warmth: Warmth, *, tolerance_px: float | int = TOLERANCE_PX) -> None:
        self.warmth, self.tolerance_px = warmth, tolerance_px
        self._quick = lattice(warmth.scene, min(QUICK_PX, warmth.network.side))
        self._quick_seen: OrderedDict[Spot, Seen] = OrderedDict()
        self._quick_s = 0.0
        self._turn = threading.Lock()

    def check(self, asked: Asked) -> None:
        """Refuse prompts where the scene has no data.

        Raises
        ------
        OutsideError
            If a click lies outside the scene or on no data, or a box or outline does not meet the scene.
        """
        scene = self.warmth.scene
        h, w = scene.shape
        for x, y, label in asked.clicks:
            if not (0 <= x < w and 0 <= y < h):
                raise OutsideError(
                    f"a click at {x:g}, {y:g}, outside the scene", expected=f"a place within {w} x {h} px"
                )
            if label and not self._has_data(x, y):
                given = f"a click at {x:g}, {y:g}, where the scene has no data"
                raise OutsideError(given, expected="a place with data")
        bounds = asked.outline.bounds if asked.outline is not None else asked.box
        if bounds is not None and (bounds[2] <= 0 or bounds[3] <= 0 or bounds[0] >= w or bounds[1] >= h):
            raise OutsideError("a box outside the scene", expected=f"a box that meets {w} x {h} px")

    def answer(self, asked: Asked) -> Answered:
        """The exact answer if its windows are there; else a rough one, and the windows are on their way.

        Raises
        ------
        OutsideError
            As `check`.
        """
        self.check(asked)
        prompt = asked.to_prompt()
        with self._turn:
            found = self._on_levels(prompt, self.warmth.levels, self._seen_of(self.warmth.levels))
            if found is not None:
                return Answered(*found, exact=True)
            rough = self._rough(prompt)
        return Answered(*(rough or (None, 0.0)), exact=False)

    def spot_of(self, x: float, y: float) -> Spot:
        """The window that shows a place best at full resolution."""
        return Spot(0, self.warmth.levels[0].plan.best((x, y, x, y)))

    def _has_data(self, x: float, y: float) -> bool:
        spot = self.spot_of(x, y)
        window = self.warmth.levels[0].plan[spot.place].window
        seen = self.warmth.get(spot)
        if seen is not None:
            return bool(seen.valid[int(y) - round(window.row_off), int(x) - round(window.col_off)])
        pixel = Window(int(x), int(y), 1, 1)  # pyright: ignore[reportCallIssue]  # attrs class without stubs
        return bool(self.warmth.scene.read(pixel).valid.any())

    def _seen_of(self, levels: Sequence[Level]) -> Any:
        def see(level: Level, index: int) -> Seen | None:
            spot = Spot(level.number, index)
            seen = self.warmth.get(spot)
            if seen is None:
                self.warmth.want([spot])
            return seen

        return see

    def _on_levels(
        self, prompt: Prompt, levels: list[Level], see: Any, *, end: float = float("inf")
    ) -> tuple[BaseGeometry | None, float] | None:
        """The answer of the first level that shows the whole object; None if a window is missing on the way.

        After the time `end` no coarser level is looked at.
        """
        first, found = 0, None
        while True:
            level, index = _place(prompt, levels, first)
            seen = see(level, index)
            if seen is None:
                return None
            masks = self._masks(prompt, level, index, seen)
            shape, score = self._shape(masks, level)
            if shape is not None or found is None:  # nothing on a coarser level takes nothing away
                found = shape, score
            goes_on = prompt.kind == "points" and bool(len(masks)) and is_cut(masks, 0, level)
            if not goes_on or level is levels[-1] or time.monotonic() > end:
                return found
            first = level.number + 1

    def _masks(self, prompt: Prompt, level: Level, index: int, seen: Seen) -> MaskSet:
        window = level.plan[index].window
        network = self.warmth.network
        shape = network.logits_shape(seen.valid.shape)
        (group,) = WindowPrompts.for_window([prompt], window, logits_shape=shape, scale=0.5**level.number)
        return segment_prompts(seen.embedding, network, group, seen.valid)

    def _shape(self, masks: MaskSet, level: Level) -> tuple[BaseGeometry | None, float]:
        polygons = mask_polygons(masks, tolerance_px=self.tolerance_px / 2.0**level.number)
        shape = to_scene(polygons, level, self.warmth.scene)[0]
        if shape.is_empty:
            return None, 0.0
        return canonical(shape), float(masks.score[0])

    def _rough(self, prompt: Prompt) -> tuple[BaseGeometry | None, float] | None:
        """An answer from small windows, if the model is quick enough for that."""
        if self._quick_s > QUICK_S:
            return None
        begin = time.monotonic()

        def see(level: Level, index: int) -> Seen:
            spot = Spot(level.number, index)
            if spot not in self._quick_seen:
                start = time.monotonic()
                self._quick_seen[spot] = self.warmth.look(level, index)
                self._quick_s = time.monotonic() - start
            self._quick_seen.move_to_end(spot)
            while len(self._quick_seen) > KEPT_QUICK:
                self._quick_seen.popitem(last=False)
            return self._quick_seen[spot]

        return self._on_levels(prompt, self._quick, see, end=begin + QUICK_S / 2)


def _place(prompt: Prompt, levels: list[Level], first: int) -> tuple[Level, int]:
    """The level, from a first one on, and the window that show a prompt's object best."""
    ((number, index),) = assign([prompt], [level.plan for level in levels], first=first)
    return levels[number], index
