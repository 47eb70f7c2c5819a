"""Outlines in parts that lie far apart: each part is asked for by itself, so that nothing between them is meant."""

from collections.abc import Iterable, Mapping

import numpy as np
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely.geometry.base import BaseGeometry

from geosam.prompts.interior import interior_points
from geosam.prompts.prompt import Prompt


def apart(prompts: Iterable[Prompt]) -> tuple[list[Prompt], Mapping[int, int]]:
    """The prompts with a prompt for each group of parts that lie near each other, and the row that each of these is of.

    Parts belong together if the gap between them is no longer than the longer one of them. What a network sees of parts
    in one box is the ground between them.

    Parameters
    ----------
    prompts
        Prompts in pixels.

    Returns
    -------
    Prompts in order, whose rows differ, and their own row for each row that is not among the given ones.

    Examples
    --------
    >>> roofs = shapely.MultiPolygon([shapely.box(0, 0, 9, 9), shapely.box(90, 0, 99, 9)])
    >>> pair = Prompt(3, "pair", np.array([[4.5, 4.5]]), np.array([1]), polygon_px=roofs)
    >>> parts, owners = apart([pair])
    >>> [part.box_px.tolist() for part in parts], dict(owners)
    ([[0.0, 0.0, 9.0, 9.0], [90.0, 0.0, 99.0, 9.0]], {4: 3, 5: 3})
    """
    given, found, owners = list(prompts), [], {}
    row = max((prompt.row for prompt in given), default=0)
    for prompt in given:
        groups = [] if prompt.polygon_px is None else _groups(prompt.polygon_px)
        if len(groups) < 2:
            found.append(prompt)
            continue
        for part in _divided(prompt, groups):
            row += 1
            owners[row] = prompt.row
            found.append(Prompt(row, part.id, part.points_px, part.labels, polygon_px=part.polygon_px))
    return found, owners


def _groups(outline: BaseGeometry) -> list[BaseGeometry]:
    """The parts of an outline, those near each other as one; nothing if that is all of it."""
    parts = shapely.get_parts(outline)
    if len(parts) < 2:
        return []
    x0, y0, x1, y1 = shapely.bounds(parts).T
    sizes = np.maximum(x1 - x0, y1 - y0)
    one, other = shapely.STRtree(parts).query(parts, predicate="dwithin", distance=sizes)
    count, group = connected_components(coo_array((np.ones(len(one)), (one, other)), shape=(len(parts),) * 2))
    return [shapely.MultiPolygon(list(parts[group == number])) for number in range(count)] if count > 1 else []


def _divided(prompt: Prompt, groups: list[BaseGeometry]) -> list[Prompt]:
    """A prompt for each group, with the clicks that are nearest to it, and points inside if none of them is."""
    near = np.zeros(len(prompt.labels), int)
    if len(near):
        near = np.argmin([shapely.distance(group, shapely.points(prompt.points_px)) for group in groups], axis=0)
    found = []
    for number, group in enumerate(groups):
        points, labels = prompt.points_px[near == number], prompt.labels[near == number]
        if not labels.any():
            inside = interior_points(np.array([group]))[0]
            points = np.concatenate([inside, points])
            labels = np.concatenate([np.ones(len(inside), np.int64), labels])
        found.append(Prompt(prompt.row, prompt.id, points, labels, polygon_px=group))
    return found
