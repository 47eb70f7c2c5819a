"""From prompts to a shape: what the hand sees before it accepts is what is saved.

A prompt is answered on the finest level whose window shows its object; clicks move to a coarser one as long as their
mask runs into an edge beyond which the scene goes on. Where the windows that this takes are not encoded yet, a small
window is encoded on the spot, and its answer is told to be a rough one. So is the answer to a place that the hand
only moves over: the model is asked once, without the steps of its recipe that ask it again.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from geosam.errors import GeosamError
from geosam.masks import MaskSet, segment_prompts
from geosam.pipeline.prompted import Level, is_cut, to_scene
from geosam.polygons import mask_polygons
from geosam.prompts import Prompt, WindowPrompts, assign
from geosam.prompts.interior import interior_points
from geosam.segmenter import Segmenter
from geosam.serve.hovering import asked_briefly, checked_between
from geosam.serve.requests import BusyError, OutsideError, ServeError
from geosam.serve.shapes import canonical
from geosam.serve.warm import Seen, Spot, Warmth, lattice

TOLERANCE_PX, TOLERANCE_SHARE = 1.0, 1 / 40
"""Farthest that an outline may lie from the mask's: pixels, but no more than this share of the root of its area, since
small objects lose more by the same distance. A hand can move the vertices that are left, and nobody sees stairs."""

QUICK_PX = 384
"""Side of the small window: a seventh of the work of a whole one, and wider than most objects."""

QUICK_S, TRIES = 0.4, 3
"""Seconds that looking for a rough answer may take. A model that needs longer on the processor for the small window, at
its best of so many tries (the first lays out its weights), is not asked."""

KEPT_QUICK = 8
"""Small windows that are kept, since the hand mostly stays near."""

KEPT_ANSWERS = 64
"""Answers of each kind that are kept: the hand comes back to where it was, and what it moved over is clicked next."""


Found = tuple[BaseGeometry | None, float]
"""A shape, or none, and its score."""


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
    hover
        ``"moves"`` where the hand only passes, so that a rough answer at once is better than the exact one later;
        ``"rests"`` where the exact one is wanted until the hand moves on; empty where it is wanted in any case.
    """

    clicks: tuple[tuple[float, float, int], ...] = ()
    box: tuple[float, float, float, float] | None = None
    outline: BaseGeometry | None = None
    hover: Literal["", "moves", "rests"] = ""

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

    Attributes
    ----------
    latest
        What was asked last: where the hand is.
    """

    def __init__(self, warmth: Warmth, *, tolerance_px: float | int = TOLERANCE_PX) -> None:
        self.warmth, self.tolerance_px = warmth, tolerance_px
        self.latest: Asked | None = None
        self._quick = lattice(warmth.scene, min(QUICK_PX, warmth.network.side))
        self._quick_seen: OrderedDict[Spot, Seen] = OrderedDict()
        self._quick_s: list[float] = []
        self._known: OrderedDict[Asked, Answered] = OrderedDict()
        self._glances: OrderedDict[Asked, Answered] = OrderedDict()
        self._brief: Segmenter | None = None
        self._resting: Segmenter | None = None
        self._rests_at: Asked | None = None
        self._prepared = False
        self._missing: Spot | None = None
        self._waiting: tuple[Asked | None, Answered] = None, Answered(None, 0.0, exact=False)
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

        A place that the hand only moves over has a rough answer unless the exact one is known.

        Raises
        ------
        OutsideError
            As `check`.
        BusyError
            If the hand rested here and something else was asked before the answer was there.
        """
        self.check(asked)
        prompt, name = asked.to_prompt(), replace(asked, hover="")
        self.latest = name
        with self._turn:
            known = self._known.get(name)
            if known is not None:
                self._known.move_to_end(name)
                return known
            glance = self._glance(name, prompt) if asked.hover == "moves" else None
            if glance is not None:
                return glance
            self._rests_at = name
            network = self._until_moved() if asked.hover == "rests" else self.warmth.network
            found = self._on_levels(prompt, self.warmth.levels, self._see, network)
            if found is not None:
                self._prepared = True  # the model has laid out what all further answers use
                self._known[name] = Answered(*found, exact=True)
                _shorten(self._known, KEPT_ANSWERS)
                return self._known[name]
            missing = self._missing
            if name != self._waiting[0]:  # who asks again has the same rough answer
                rough = self._rough(prompt)  # before its window is begun: both would slow each other
                self._waiting = name, Answered(*(rough or (None, 0.0)), exact=False)
            if missing is not None:
                self.warmth.want([missing])
            return self._waiting[1]

    def prepare(self, x: float | int, y: float | int) -> None:
        """Have the window at a place encoded and the model laid out, so that the first click does not wait for that."""
        with suppress(GeosamError):
            with self._turn:
                self._rough(Asked(((float(x), float(y), 1),)).to_prompt())
            self.warmth.want([self.spot_of(x, y)])

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

    def _see(self, level: Level, index: int) -> Seen | None:
        """A window of the lattice; if it is not there, it is noted as missing."""
        spot = Spot(level.number, index)
        seen = self.warmth.get(spot)
        self._missing = spot if seen is None else None
        return seen

    def _glance(self, asked: Asked, prompt: Prompt) -> Answered | None:
        """An answer without the steps that ask the model again; None if it has none, or the window is not there."""
        if asked in self._glances:
            self._glances.move_to_end(asked)
            return self._glances[asked]
        if self._brief is None and self._prepared:
            self._brief = asked_briefly(self.warmth.network)
        if self._brief is None:
            return None
        found = self._on_levels(prompt, self.warmth.levels, self._see, self._brief, end=0.0)
        if found is None:
            return None
        self._glances[asked] = Answered(*found, exact=False)
        _shorten(self._glances, KEPT_ANSWERS)
        return self._glances[asked]

    def _until_moved(self) -> Segmenter:
        """The model, whose answer ends as soon as something else is asked."""

        def check() -> None:
            if self.latest != self._rests_at:
                raise BusyError("a hover that has moved on", expected="the place that was asked for since")

        if not self._prepared:
            return self.warmth.network
        if self._resting is None:
            self._resting = checked_between(self.warmth.network, check)
        return self._resting

    def _on_levels(
        self,
        prompt: Prompt,
        levels: list[Level],
        see: Callable[[Level, int], Seen | None],
        network: Segmenter,
        *,
        end: float = float("inf"),
    ) -> Found | None:
        """The answer of the first level that shows the whole object; None if a window is missing on the way.

        After the time `end` no coarser level is looked at.
        """
        first, found = 0, None
        while True:
            level, index = _place(prompt, levels, first)
            seen = see(level, index)
            if seen is None:
                return None
            masks = _masks(prompt, level.plan[index].window, seen, network, scale=0.5**level.number)
            shape, score = self._shape(masks, level)
            if shape is not None or found is None:  # nothing on a coarser level takes nothing away
                found = shape, score
            goes_on = prompt.kind == "points" and bool(len(masks)) and is_cut(masks, 0, level)
            if not goes_on or level is levels[-1] or time.monotonic() > end:
                return found
            first = level.number + 1

    def _shape(self, masks: MaskSet, level: Level) -> Found:
        side = float(np.sqrt(masks.area_px[0]))
        tolerance = min(self.tolerance_px / 2.0**level.number, TOLERANCE_SHARE * side) if self.tolerance_px else 0.0
        polygons = mask_polygons(masks, tolerance_px=tolerance)
        shape = to_scene(polygons, level, self.warmth.scene)[0]
        if shape.is_empty:
            return None, 0.0
        return canonical(shape), float(masks.score[0])

    def _rough(self, prompt: Prompt) -> Found | None:
        """An answer from small windows, if the model is quick enough for that."""
        if len(self._quick_s) >= TRIES and min(self._quick_s) > QUICK_S:
            return None
        begin = time.monotonic()

        def see(level: Level, index: int) -> Seen:
            spot = Spot(level.number, index)
            if spot not in self._quick_seen:
                start = time.process_time()  # the clock says more of how busy the machine is
                self._quick_seen[spot] = self.warmth.look(level, index)
                self._quick_s = [*self._quick_s[-TRIES:], time.process_time() - start]
            self._quick_seen.move_to_end(spot)
            _shorten(self._quick_seen, KEPT_QUICK)
            return self._quick_seen[spot]

        return self._on_levels(prompt, self._quick, see, self.warmth.network, end=begin + QUICK_S / 2)


def _shorten(kept: OrderedDict[Any, Any], most: int) -> None:
    """Let the oldest go."""
    while len(kept) > most:
        kept.popitem(last=False)


def _masks(prompt: Prompt, window: Window, seen: Seen, network: Segmenter, *, scale: float) -> MaskSet:
    """The mask that a prompt asks for in a window whose pixels are `scale` of the scene's."""
    shape = network.logits_shape(seen.valid.shape)
    (group,) = WindowPrompts.for_window([prompt], window, logits_shape=shape, scale=scale)
    return segment_prompts(seen.embedding, network, group, seen.valid)


def _place(prompt: Prompt, levels: list[Level], first: int) -> tuple[Level, int]:
    """The level, from a first one on, and the window that show a prompt's object best."""
    ((number, index),) = assign([prompt], [level.plan for level in levels], first=first)
    return levels[number], index
