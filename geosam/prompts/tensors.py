"""The prompts of one window as arrays, ready for a model."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy import ndarray
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from geosam.arrays import Ids
from geosam.errors import PromptError
from geosam.prompts.interior import interior_points
from geosam.prompts.prompt import Prompt
from geosam.prompts.rendering import render
from geosam.segmenter import PromptBatch

BATCH = 64
"""Prompts in one group at most."""

LAST = 1 / 1024
"""Points on the far edge of a window are moved inside by so much, in pixels."""


@dataclass(frozen=True, eq=False)
class WindowPrompts:
    """Prompts of one kind with the same number of points each, in pixels of one window.

    Because all are alike nothing needs padding, and what a prompt gives does not depend on its company.

    Attributes
    ----------
    rows
        Row of each prompt in the source.
    batch
        The prompts; boxes may have no click (``p = 0``), and polygons are rendered as low-res masks.
    """

    rows: Ids
    batch: PromptBatch

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.batch):
            raise PromptError(f"{len(self.rows)} rows of {len(self.batch)} prompts", expected="one for each")

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def for_window(
        cls,
        prompts: Iterable[Prompt],
        window: Window,
        *,
        logits_shape: tuple[int, int],
        scale: float = 1.0,
        batch: int = BATCH,
    ) -> Iterator["WindowPrompts"]:
        """Groups of alike prompts, each prompt in exactly one, ordered by kind, number of points and row.

        A generator: mask logits are rendered group by group.

        Parameters
        ----------
        prompts
            Prompts in pixels of the working grid.
        window
            The window, in pixels of the grid that is coarser by `scale`.
        logits_shape
            ``(mh, mw)`` samples of mask logits that cover the window.
        scale
            Pixels of the window's grid per pixel of the working grid: ``1 / 2**level``.
        batch
            Most prompts in a group.

        Raises
        ------
        PromptError
            If a prompt lies outside the window.

        Examples
        --------
        >>> click = Prompt(7, "a", np.array([[12.0, 30.0]]), np.array([1]))
        >>> group, = WindowPrompts.for_window([click], Window(10, 20, 64, 64), logits_shape=(16, 16))
        >>> group.batch.points.tolist(), group.batch.boxes
        ([[[2.0, 10.0]]], None)
        """
        alike: dict[tuple[str, int], list[Prompt]] = {}
        for prompt in _seen(sorted(prompts, key=lambda prompt: prompt.row), window, scale):
            alike.setdefault((prompt.kind, len(prompt.labels)), []).append(prompt)
        for kind in sorted(alike):
            for start in range(0, len(alike[kind]), batch):
                yield _group(alike[kind][start : start + batch], window, logits_shape)


def _group(prompts: Sequence[Prompt], window: Window, logits_shape: tuple[int, int]) -> WindowPrompts:
    """The arrays of alike prompts in window pixels."""
    points = np.array([prompt.points_px for prompt in prompts])
    boxes = [prompt.box_px for prompt in prompts if prompt.box_px is not None]
    outlines = np.array([prompt.polygon_px for prompt in prompts if prompt.polygon_px is not None], object)
    marks = [prompt.points_px[prompt.labels == 1] for prompt in prompts]
    batch = PromptBatch(
        points=points.astype(np.float32),
        labels=np.array([prompt.labels for prompt in prompts], np.int64),
        boxes=np.array(boxes, np.float32) if boxes else None,
        mask_logits=render(outlines, (window.height, window.width), logits_shape, marks) if len(outlines) else None,
    )
    return WindowPrompts(np.array([prompt.row for prompt in prompts], np.int64), batch)


def _seen(prompts: Sequence[Prompt], window: Window, scale: float) -> Iterator[Prompt]:
    """The part of each prompt that a window shows, in window pixels."""
    for prompt, polygon in zip(prompts, _seen_polygons(prompts, window, scale), strict=True):
        points, labels = _seen_points(prompt, window, scale)
        box = _seen_box(prompt, polygon, window, scale)
        if polygon is not None and box is not None and not labels.any():
            inside = interior_points(np.array([polygon]))[0]
            points, labels = np.concatenate([inside, points]), np.concatenate([np.ones(len(inside), np.int64), labels])
        if box is None and (prompt.kind != "points" or not labels.any()):
            raise PromptError(
                f"prompt {prompt.id!r} outside window {window.toranges()}", expected="prompts that `assign` gave to it"
            )
        yield replace(prompt, points_px=points, labels=labels, box_px=box, polygon_px=polygon)


def _seen_polygons(prompts: Sequence[Prompt], window: Window, scale: float) -> ndarray:
    """The prompts' polygons (or None) in window pixels, cut at the window."""
    offset = np.array([window.col_off, window.row_off])
    polygons = np.array([prompt.polygon_px for prompt in prompts], object)
    there = ~shapely.is_missing(polygons)
    polygons[there] = shapely.transform(polygons[there], lambda xy: xy * scale - offset)
    x0, y0, x1, y1 = shapely.bounds(polygons).T
    over = (x0 < 0) | (y0 < 0) | (x1 > window.width) | (y1 > window.height)
    polygons[over] = shapely.intersection(polygons[over], shapely.box(0, 0, window.width, window.height))
    for number in np.flatnonzero(over):  # a cut may leave bits of outline beside the areas
        parts = shapely.get_parts(shapely.get_parts(polygons[number]))
        polygons[number] = shapely.multipolygons(parts[shapely.get_dimensions(parts) == 2])
    return polygons


def _seen_points(prompt: Prompt, window: Window, scale: float) -> tuple[ndarray, ndarray]:
    """The prompt's points within the window and their labels."""
    extent = np.array([window.width, window.height])
    points = prompt.points_px * scale - (window.col_off, window.row_off)
    shown = ((points >= 0) & (points <= extent)).all(axis=1)
    return np.minimum(points[shown], extent - LAST), prompt.labels[shown]


def _seen_box(prompt: Prompt, polygon: BaseGeometry | None, window: Window, scale: float) -> ndarray | None:
    """The part of the prompt's box within the window; None if there is none."""
    if polygon is not None:
        return None if polygon.is_empty else np.array(polygon.bounds)
    if prompt.box_px is None:
        return None
    x0, y0, x1, y1 = prompt.box_px * scale - np.tile([window.col_off, window.row_off], 2)
    if x1 < 0 or y1 < 0 or x0 > window.width or y0 > window.height:
        return None
    return np.array([max(x0, 0.0), max(y0, 0.0), min(x1, window.width), min(y1, window.height)])
