"""Points inside polygons: well inside, and far from each other."""

import numpy as np
import shapely
from jaxtyping import Float64, Int64
from numpy import ndarray

MOST_POINTS = 3
"""Points that a polygon brings at most."""

LEAST_CLEARANCE = 1 / 3
"""A further point must be at least this far inside, as a fraction of the first one's distance to the outline."""


def interior_points(polygons: ndarray) -> tuple[Float64[ndarray, "m 2"], Int64[ndarray, "m"]]:
    """Up to three points inside each polygon, the one furthest from the outline first.

    The first point is the centre of the largest circle inside the polygon (the pole of inaccessibility): unlike the
    centroid it lies inside a C shape too. Each further one is the centre of the largest circle in what is left once
    the earlier circles are taken away, as long as it is not much closer to the outline.

    Parameters
    ----------
    polygons
        Valid shapely polygons or multipolygons with an area, an object array of n.

    Returns
    -------
    The points, ``m`` of them, and for each the index of its polygon, ascending.

    Examples
    --------
    >>> points, index = interior_points(np.array([shapely.box(0, 0, 4, 4), shapely.box(0, 0, 12, 4)]))
    >>> index.tolist()
    [0, 1, 1, 1]
    """
    rest, kept, least = polygons, np.arange(len(polygons)), np.zeros(len(polygons))
    points, index = [np.empty((0, 2))], [np.empty(0, np.int64)]
    for _ in range(MOST_POINTS):
        centres, radii = _largest_circles(rest)
        least = np.where(least == 0, LEAST_CLEARANCE * radii, least)
        wide = radii >= least
        points.append(centres[wide])
        index.append(kept[wide])
        discs = shapely.buffer(shapely.points(centres[wide]), radii[wide], quad_segs=4)
        rest, kept, least = shapely.difference(rest[wide], discs), kept[wide], least[wide]
        roomy = shapely.area(rest) > np.pi * least**2
        rest, kept, least = rest[roomy], kept[roomy], least[roomy]
    order = np.argsort(np.concatenate(index), kind="stable")
    return np.concatenate(points)[order], np.concatenate(index)[order]


def _largest_circles(polygons: ndarray) -> tuple[ndarray, ndarray]:
    """Centre and radius of the largest circle inside each polygon, to a twentieth of the polygon's shorter side."""
    bounds = shapely.bounds(polygons)
    tolerance = np.maximum(np.min(bounds[:, 2:] - bounds[:, :2], axis=1) / 20, 1e-6)
    with np.errstate(all="ignore"):  # edges of almost no length
        radii = shapely.maximum_inscribed_circle(polygons, tolerance=tolerance)  # lines from the centres outwards
    return shapely.get_coordinates(shapely.get_point(radii, 0)), shapely.length(radii)
