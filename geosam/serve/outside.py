"""What another program saved in the session's layer, such as QGIS with its own tools, as a step like any other.

A geometry of the file is in the scene's CRS, and back in pixels it differs by the last bits. So vertices that stayed
where they were, and those that were snapped to others, are theirs again to the bit, and borders stay shared.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import shapely
from scipy.spatial import KDTree
from shapely.geometry.base import BaseGeometry

from geosam.serve.objects import MapObject, Step
from geosam.serve.shapes import canonical, vertices

NEAR_PX = 1e-3
"""Farther than any transform into the CRS and back moves a vertex, and nearer than any hand."""


def step_of(there: Mapping[int, MapObject], found: Mapping[int, MapObject]) -> Step | None:
    """The step from the objects of a session to those that its file holds now; None if there is no difference.

    Parameters
    ----------
    there, found
        By id. What another program drew has no prompts any more.

    Examples
    --------
    >>> house = MapObject(1, canonical(shapely.box(0, 0, 4, 4)), score=0.5)
    >>> moved = replace(house, shape=canonical(shapely.Polygon([(1e-8, 0), (0, 4), (4, 5), (4, 0)])))
    >>> step = step_of({1: house}, {1: moved})
    >>> step.did, step.after[1].shape.wkt
    ('1 object changed by another program', 'POLYGON ((0 0, 0 4, 4 5, 4 0, 0 0))')
    >>> step_of({1: house}, {1: house}) is None
    True
    """
    tree = shapely.STRtree([one.shape for one in there.values()])
    known = list(there.values())
    after: dict[int, MapObject | None] = dict.fromkeys(there.keys() - found.keys())
    for number, one in found.items():
        old = there.get(number)
        if old is not None and shapely.equals_identical(one.shape, old.shape):
            changed = replace(old, class_code=one.class_code)
        else:
            rows = tree.query(shapely.box(*one.shape.bounds).buffer(NEAR_PX)).tolist()
            shape = snapped(one.shape, [known[row].shape for row in rows])
            same = old is not None and shapely.equals_identical(shape, old.shape)
            kept = old if old is not None and same else replace(one, shape=shape, prompts=None)
            changed = replace(kept, class_code=one.class_code, score=one.score if old is None else old.score)
        if changed != old:
            after[number] = changed
    if not after:
        return None
    did = f"{len(after)} object{'s' if len(after) > 1 else ''} changed by another program"
    return Step(did, {number: there.get(number) for number in after}, after)


def snapped(shape: BaseGeometry, others: Iterable[BaseGeometry]) -> BaseGeometry:
    """A shape whose vertices are those of others where they nearly are; as it was if that made it cross itself."""
    places = np.concatenate([vertices(each) for each in others] or [np.zeros((0, 2))])
    if not len(places):
        return shape
    tree = KDTree(places)

    def onto(xy: np.ndarray) -> np.ndarray:
        away, nearest = map(np.asarray, tree.query(xy, distance_upper_bound=NEAR_PX))
        near = np.isfinite(away)
        xy = xy.copy()
        xy[near] = places[nearest[near]]
        return xy

    found = shapely.transform(shape, onto)
    return canonical(found) if shapely.is_valid(found) else shape
