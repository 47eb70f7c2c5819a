"""Rows to objects: which rows belong together, and what each brings to its prompt."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy import ndarray
from shapely.geometry.base import BaseGeometry

from geosam.arrays import Coordinates, Ids
from geosam.prompts.interior import interior_points
from geosam.prompts.placement import Placed
from geosam.prompts.prompt import Prompt, Skipped
from geosam.prompts.source import Rows

MOST_POINTS_ON_LINE = 5
"""Clicks that a line is turned into at most."""

POINT_SPACING_PX = 64
"""A line gets about one click for each such length, in pixels."""

ONLY_OUTSIDE = "it is negative, and no positive prompt is there for it to refine"


@dataclass(frozen=True, eq=False)
class _Object:
    """Rows that are one object, the first of the positive ones among them (or None), and its area (or None)."""

    rows: Sequence[int]
    first: int | None
    area: BaseGeometry | None


def objects_from(
    rows: Rows, placed: Placed, *, boxes: bool = False
) -> tuple[tuple[Prompt, ...], tuple[Skipped, ...], list[int]]:
    """One prompt for each object that the placed rows describe, the rows that serve for none, and whose attributes.

    The latter are positions of rows, one for each prompt: the first positive row of its object.

    Rows of one group are one object: their points together, their polygons as one. A row without a group is an object
    of its own; if it is negative, it refines the nearest object instead. Lines become points along them. With `boxes`,
    each geometry stands for its bounds only.
    """
    objects = list(_objects(rows, placed))
    clicks = _clicks(placed.geometries_px, rows.labels)
    meant = sorted((thing for thing in objects if thing.first is not None), key=lambda thing: min(thing.rows))
    firsts = [thing.first for thing in meant if thing.first is not None]
    attributes = rows.attributes.iloc[firsts].to_dict("records")
    inside = _insides([None if boxes else thing.area for thing in meant])
    described = zip(meant, inside, attributes, strict=True)
    prompts = [replace(_prompt(rows, thing, clicks, within), attributes=own) for thing, within, own in described]
    if boxes:
        prompts = [replace(prompt, polygon_px=None) for prompt in prompts]
    lone = [row for thing in objects if thing.first is None for row in thing.rows]
    if prompts:
        prompts = _refined(prompts, [clicks[row] for row in lone])
    reasons = {row: reason for row, reason in enumerate(placed.reasons) if reason}
    reasons |= {} if prompts else dict.fromkeys(lone, ONLY_OUTSIDE)
    skipped = [Skipped(row, rows.ids[row], reasons[row]) for row in sorted(reasons)]
    return tuple(prompts), tuple(skipped), firsts


def _objects(rows: Rows, placed: Placed) -> Iterator[_Object]:
    """The usable rows by object."""
    members: dict[Hashable, list[int]] = {}
    for row in np.flatnonzero(placed.reasons == "").tolist():
        group = rows.groups[row]
        members.setdefault(("row", row) if group is None else ("group", group), []).append(row)
    positive = (rows.labels == 1).tolist()
    surfaces = ((shapely.get_dimensions(placed.geometries_px) == 2) & (rows.labels == 1)).tolist()
    for group in members.values():
        areas = [placed.geometries_px[row] for row in group if surfaces[row]]
        area = shapely.union_all(areas) if len(areas) > 1 else next(iter(areas), None)
        yield _Object(group, next((row for row in group if positive[row]), None), area)


def _clicks(geometries: ndarray, labels: Ids) -> list[ndarray]:
    """The clicks ``(x, y)`` that each row brings: its points, points along its line, or inside a negative polygon."""
    dimensions = shapely.get_dimensions(geometries)
    points, negative = dimensions == 0, (dimensions == 2) & (labels == 0)
    clicks = [np.empty((0, 2))] * len(geometries)
    for kind, found in (
        (points, shapely.get_coordinates(geometries[points], return_index=True)),
        (negative, interior_points(geometries[negative])),
    ):
        for row, xy in zip(np.flatnonzero(kind).tolist(), _by_owner(*found, int(kind.sum())), strict=True):
            clicks[row] = xy
    for row in np.flatnonzero(dimensions == 1).tolist():
        clicks[row] = _along(geometries[row])
    return clicks


def _by_owner(xy: Coordinates, owner: ndarray, count: int) -> list[ndarray]:
    """Points cut by owner, for owners 0 to ``count - 1`` in ascending order."""
    return np.split(xy, np.searchsorted(owner, np.arange(1, count))) if count else []


def _along(line: BaseGeometry) -> ndarray:
    """One, three or five points along a line, by its length; the first lies in its middle."""
    most = int(np.clip(line.length // POINT_SPACING_PX, 1, MOST_POINTS_ON_LINE))
    places = np.linspace(-0.4, 0.4, most // 2 * 2 + 1) if most > 1 else np.zeros(1)
    places = places[np.argsort(np.abs(places), kind="stable")] + 0.5
    lines = np.full(len(places), line, object)
    return shapely.get_coordinates(shapely.line_interpolate_point(lines, places, normalized=True))


def _insides(areas: Sequence[BaseGeometry | None]) -> list[ndarray]:
    """For each object points well inside its area, none if it has no area."""
    there = [number for number, area in enumerate(areas) if area is not None]
    found = _by_owner(*interior_points(np.array([areas[number] for number in there], object)), len(there))
    insides = [np.empty((0, 2))] * len(areas)
    for number, xy in zip(there, found, strict=True):
        insides[number] = xy
    return insides


def _prompt(rows: Rows, thing: _Object, clicks: Sequence[ndarray], inside: ndarray) -> Prompt:
    """The prompt that the rows of one object make together."""
    first = thing.rows[0] if thing.first is None else thing.first
    xy = np.concatenate([clicks[row] for row in thing.rows])
    labels = np.repeat(rows.labels[thing.rows], [len(clicks[row]) for row in thing.rows])
    if len(thing.rows) > 1:  # positive ones first, by place: the order of the rows must not matter
        order = np.lexsort((xy[:, 1], xy[:, 0], -labels))
        xy, labels = xy[order], labels[order]
    return Prompt(
        row=min(thing.rows),
        id=rows.ids[first],
        points_px=np.concatenate([inside, xy]),
        labels=np.concatenate([np.ones(len(inside), np.int64), labels]),
        box_px=None if thing.area is None else np.array(thing.area.bounds),
        polygon_px=thing.area,
    )


def _refined(prompts: list[Prompt], lone: Sequence[ndarray]) -> list[Prompt]:
    """The prompts with the clicks of each lone negative row given to the nearest one."""
    if not lone:
        return prompts
    tree = shapely.STRtree([_shape(prompt) for prompt in prompts])
    extra: dict[int, list[ndarray]] = {}
    for points in lone:
        near = tree.query_nearest(shapely.MultiPoint(points), all_matches=True)
        number = min(near.tolist(), key=lambda number: prompts[number].anchor_px)
        extra.setdefault(number, []).append(points)
    return [_with_negatives(prompt, extra.get(number, [])) for number, prompt in enumerate(prompts)]


def _shape(prompt: Prompt) -> BaseGeometry:
    """Where a prompt's object is known to be."""
    if prompt.polygon_px is not None:
        return prompt.polygon_px
    if prompt.box_px is not None:
        return shapely.box(*prompt.box_px)
    return shapely.MultiPoint(prompt.points_px[prompt.labels == 1])


def _with_negatives(prompt: Prompt, negatives: Sequence[ndarray]) -> Prompt:
    """The prompt with more negative points, ordered by place."""
    if not negatives:
        return prompt
    positive = prompt.labels == 1
    xy = np.concatenate([prompt.points_px[~positive], *negatives])
    xy = xy[np.lexsort((xy[:, 1], xy[:, 0]))]
    return replace(
        prompt,
        points_px=np.concatenate([prompt.points_px[positive], xy]),
        labels=np.concatenate([prompt.labels[positive], np.zeros(len(xy), np.int64)]),
    )
