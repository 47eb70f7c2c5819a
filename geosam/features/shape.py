"""How large a segment is, how long, how jagged; lengths in metres."""

import numpy as np
import shapely


def shape_columns(geometries_px: np.ndarray, metres: float) -> dict[str, np.ndarray]:
    """Size and form of polygons.

    Parameters
    ----------
    geometries_px
        In working pixels.
    metres
        Per pixel; where that is not known (NaN) sizes are in pixels.

    Examples
    --------
    >>> found = shape_columns(np.array([shapely.box(0, 0, 20, 5)]), 2.0)
    >>> {name: round(float(values[0]), 2) for name, values in found.items()}
    {'log_area': 2.6, 'elongation': 4.0, 'rectangularity': 1.0, 'compactness': 0.5, 'solidity': 1.0, 'width': 8.0}
    """
    metres = metres if np.isfinite(metres) else 1.0
    area, length = shapely.area(geometries_px), shapely.length(geometries_px)
    some = np.maximum(area, 1e-9)
    boxes = shapely.oriented_envelope(geometries_px)
    short, long = _sides(boxes)
    return {
        "log_area": np.log10(np.maximum(area * metres**2, 1e-9)),
        "elongation": long / np.maximum(short, 1e-9),
        "rectangularity": area / np.maximum(short * long, 1e-9),
        "compactness": 4 * np.pi * some / np.maximum(length, 1e-9) ** 2,
        "solidity": area / np.maximum(shapely.area(shapely.convex_hull(geometries_px)), 1e-9),
        "width": 2 * area / np.maximum(length, 1e-9) * metres,
    }


def _sides(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Short and long side of rectangles; 0 of what is none."""
    corners, owner = shapely.get_coordinates(boxes, return_index=True)
    short, long = np.zeros(len(boxes)), np.zeros(len(boxes))
    whole = np.flatnonzero(np.bincount(owner, minlength=len(boxes)) == 5)
    first = np.searchsorted(owner, whole)
    one = np.hypot(*(corners[first + 1] - corners[first]).T)
    other = np.hypot(*(corners[first + 2] - corners[first + 1]).T)
    short[whole], long[whole] = np.minimum(one, other), np.maximum(one, other)
    return short, long
