"""Edits of shapes, as functions from objects to objects: split, merge, and vertices whose borders stay shared.

A vertex belongs to every object whose outline has it, and moves in all of them. Where an outline runs straight through
a place at which others have a vertex, it gets that vertex first: so what touched before touches after.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry
from shapely.ops import split as split_by

from geosam.serve.objects import MapObject
from geosam.serve.requests import NothingError, ServeError
from geosam.serve.shapes import areas, canonical, checked, united, vertices

Place = tuple[float, float]
Edited = dict[int, MapObject | None]

ON_LINE = 1e-6
"""Pixels within which a place lies on a line: cuts of lines are rounded to the last bits."""


def merged(objects: list[MapObject]) -> Edited:
    """Several objects as one, with the id of the first in order and the class of the largest.

    Raises
    ------
    ServeError
        If it is less than two.
    """
    if len(objects) < 2:
        raise ServeError(f"merge of {len(objects)} object", expected="at least two")
    largest = max(objects, key=lambda one: (one.shape.area, -one.id))
    first = min(objects, key=lambda one: one.id)
    score = min(one.score for one in objects)
    whole = replace(
        largest, id=first.id, shape=united([one.shape for one in objects]), score=score, origin="edit", prompts=None
    )
    return {one.id: whole if one is first else None for one in objects}


def divided(
    one: MapObject, line: list[Place], near: Iterable[MapObject], next_id: Callable[[], int]
) -> tuple[Edited, int]:
    """An object cut along a line: the largest piece keeps the id. Neighbours get the vertices of the cut.

    Parameters
    ----------
    one
        What is cut.
    line
        At least two places; it must cross the object from border to border.
    near
        Objects that may share its border.
    next_id
        Gives ids to the other pieces.

    Returns
    -------
    The objects that changed, by id, and how many pieces there are.

    Raises
    ------
    NothingError
        If the line does not cut it.
    """
    if len(set(line)) < 2:
        raise ServeError("split along a line of one place", expected="at least two places")
    knife = shapely.LineString(line)
    pieces = [piece for part in shapely.get_parts(one.shape) for piece in _cut(part, knife)]
    if len(pieces) <= len(shapely.get_parts(one.shape)):
        hint = "draw it from outside one border to outside the other"
        raise NothingError(f"the line does not cut object {one.id} in two", hint=hint)
    groups = _sides(pieces, one.shape)
    groups.sort(key=lambda shape: (-shape.area, shape.bounds))
    edited: Edited = {one.id: replace(one, shape=groups[0], origin="edit", prompts=None)}
    for shape in groups[1:]:
        number = next_id()
        edited[number] = replace(one, id=number, shape=shape, origin="edit", prompts=None)
    known = {tuple(xy) for xy in vertices(one.shape).tolist()}
    fresh = {tuple(xy) for shape in groups for xy in vertices(shape).tolist()} - known
    for other in near:
        if other.id != one.id:
            shape = with_vertices(other.shape, fresh)
            if shape is not other.shape:
                edited[other.id] = replace(other, shape=canonical(shape))
    return edited, len(groups)


def moved_vertex(objects: Iterable[MapObject], start: Place, end: Place) -> Edited:
    """The objects that have a vertex at a place, or an outline through it, with that vertex elsewhere.

    Raises
    ------
    NothingError
        If none has one.
    ServeError
        If an outline would cross itself or another.
    """

    def move(xy: np.ndarray) -> np.ndarray:
        xy = xy.copy()
        xy[(xy == start).all(axis=1)] = end
        return xy

    return _with_place(objects, start, move)


def added_vertex(objects: Iterable[MapObject], at: Place, between: tuple[Place, Place]) -> Edited:
    """The objects that have an edge between two places, with a vertex at a third one instead of the straight line.

    Raises
    ------
    NothingError
        If none has such an edge.
    ServeError
        If an outline would cross itself.
    """
    edited: Edited = {}
    for one in objects:
        shape = _map_rings(one.shape, lambda ring: _bent(ring, at, between))
        if shape is not one.shape:
            edited[one.id] = _edited(one, shape)
    if not edited:
        raise NothingError(f"no outline has an edge from {between[0]} to {between[1]}")
    return edited


def removed_vertex(objects: Iterable[MapObject], at: Place) -> Edited:
    """The objects that have a vertex at a place, without it.

    Raises
    ------
    NothingError
        If none has one.
    ServeError
        If a ring would have less than three, or an outline would cross itself.
    """

    def remove(ring: np.ndarray) -> np.ndarray:
        return _closed(ring[:-1][(ring[:-1] != at).any(axis=1)], at)

    edited: Edited = {}
    for one in objects:
        if (vertices(one.shape) == at).all(axis=1).any():
            edited[one.id] = _edited(one, _map_rings(one.shape, remove))
    if not edited:
        raise NothingError(f"no outline has a vertex at {at}")
    return edited


def with_vertices(shape: BaseGeometry, places: Iterable[Place]) -> BaseGeometry:
    """A shape with a vertex at each of some places that its outline runs through; the same one if it runs through none.

    Examples
    --------
    >>> with_vertices(shapely.box(0, 0, 2, 2), [(1.0, 0.0), (5.0, 5.0)]).wkt
    'MULTIPOLYGON (((2 0, 2 2, 0 2, 0 0, 1 0, 2 0)))'
    """
    for place in places:
        if shapely.distance(shapely.Point(place), shape.boundary) <= ON_LINE:
            shape = _map_rings(shape, lambda ring, place=place: _through(ring, place))
    return shape


def _with_place(objects: Iterable[MapObject], start: Place, change: Callable[[np.ndarray], np.ndarray]) -> Edited:
    there = [one for one in objects if shapely.distance(shapely.Point(start), one.shape.boundary) <= ON_LINE]
    if not any((vertices(one.shape) == start).all(axis=1).any() for one in there):
        raise NothingError(f"no outline has a vertex at {start}")
    edited: Edited = {}
    for one in there:
        noded = _map_rings(one.shape, lambda ring: _through(ring, start))
        edited[one.id] = _edited(one, _map_rings(noded, change))
    if _overlap(list(edited.values())) > _overlap(there) + ON_LINE:
        raise ServeError("a vertex moved so far that borders cross", expected="a place nearer to where it was")
    return edited


def _overlap(objects: Sequence[MapObject | None]) -> float:
    """Ground that objects share, as often as it is shared."""
    shapes = np.array([one.shape for one in objects if one is not None], object)
    return float(np.sum(shapely.area(shapes))) - shapely.union_all(shapes).area


def _edited(one: MapObject, shape: BaseGeometry) -> MapObject:
    """The object with a shape drawn by hand, if that is one; it answers no prompts any more."""
    return replace(one, shape=checked(shape, f"object {one.id} with an outline"), origin="edit", prompts=None)


def _map_rings(shape: BaseGeometry, change: Callable[[np.ndarray], np.ndarray]) -> BaseGeometry:
    """A shape whose closed rings are changed one by one; the same shape if none is."""
    parts, same = [], True
    for part in shapely.get_parts(shape):
        rings = [shapely.get_coordinates(ring) for ring in shapely.get_rings(part)]
        drawn = [change(ring) for ring in rings]
        same &= all(len(a) == len(b) and bool((a == b).all()) for a, b in zip(rings, drawn, strict=True))
        parts.append((drawn[0], drawn[1:]))
    return shape if same else shapely.MultiPolygon(parts)


def _bent(ring: np.ndarray, at: Place, between: tuple[Place, Place]) -> np.ndarray:
    one, other = between
    first, second = ring[:-1], ring[1:]
    forth = (first == one).all(axis=1) & (second == other).all(axis=1)
    back = (first == other).all(axis=1) & (second == one).all(axis=1)
    return np.insert(ring, np.flatnonzero(forth | back) + 1, at, axis=0)


def _through(ring: np.ndarray, place: Place) -> np.ndarray:
    """A ring with a vertex at a place on one of its edges."""
    if (ring == place).all(axis=1).any():
        return ring
    edges = shapely.linestrings(np.stack([ring[:-1], ring[1:]], axis=1))
    away = np.asarray(shapely.distance(edges, shapely.Point(place)))
    nearest = int(np.argmin(away))
    return np.insert(ring, nearest + 1, place, axis=0) if away[nearest] <= ON_LINE else ring


def _closed(ring: np.ndarray, at: Place) -> np.ndarray:
    if len(ring) < 3:
        raise ServeError(f"no vertex at {at} can go", expected="outlines of at least three vertices")
    return np.concatenate([ring, ring[:1]])


def _cut(part: BaseGeometry, knife: BaseGeometry) -> list[BaseGeometry]:
    """The pieces of a polygon."""
    return [piece for piece in areas(split_by(part, knife)) if piece.area > 0]


def _sides(pieces: list[BaseGeometry], whole: BaseGeometry) -> list[BaseGeometry]:
    """The pieces as shapes: those cut off are one object each; parts that the line missed stay with the largest."""
    parts = list(shapely.get_parts(whole))
    missed = [piece for piece in pieces if any(piece.equals(part) for part in parts)]
    cut = sorted((piece for piece in pieces if piece not in missed), key=lambda piece: (-piece.area, piece.bounds))
    if missed:
        cut[0] = united([cut[0], *missed])
    return [canonical(piece) for piece in cut]
