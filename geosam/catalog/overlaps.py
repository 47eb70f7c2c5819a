"""Objects that two overlapping scenes both found, found once: the strip rule, with polygons.

Two scenes share a strip of ground. An object may be cut by the edge of either, but inside the strip both saw all of it.
Two polygons are one object where their intersection over union inside the strip exceeds one half, as in
`geosam.instances.stitch`; more than half, so that of polygons that do not overlap at most one matches. Matches join
transitively. An object keeps the outline of the first scene that saw it as far as that scene has data; beyond it the
next scene's goes on.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import shapely
from pyproj import CRS
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely.geometry.base import BaseGeometry

from geosam.catalog.parts import EARTH_M_PER_DEGREE, Edits, Part, Parts, move, read
from geosam.polygons import measure
from geosam.sinks.table import GEOMETRY, as_multipolygons

SEAM_M = 0.005
"""How far outlines of two scenes overlap where one takes over from the other, so that they join without a crack."""

_HELD = 16
_MEANS = ("score", "predicted_iou", "stability")
_ALL = ("touches_edge", "touches_nodata")
_COLUMNS = ("area_m2", "perimeter_m", "prompt_id", "n_windows", *_MEANS, *_ALL)

Member = tuple[int, int]
"""Position of a part, and row in it."""


class _Seen(NamedTuple):
    """The polygons of one scene, in the common CRS, and what each of them is."""

    shapes: np.ndarray
    rows: pd.DataFrame
    labels: np.ndarray


def find_once(table: Parts, footprints: Sequence[BaseGeometry | None], *, label: str | None = None) -> dict[int, Edits]:
    """What becomes of rows whose object another scene found too: one takes their place, the others are left out.

    Parameters
    ----------
    table
        The parts and the CRS in which they are compared.
    footprints
        Where each scene has data, longitude and latitude; a scene without a footprint overlaps none.
    label
        Column that says what an object is, which is then the same in all scenes that found it; None: nothing does.

    Returns
    -------
    dict
        By position of the part, edits by row.
    """
    places = _place(footprints, table.crs)

    @lru_cache(maxsize=_HELD)
    def seen(position: int) -> _Seen:
        return _read(table.parts[position], table.crs, label)

    pairs: list[tuple[Member, Member]] = []
    for one, other in _overlapping(places):
        pairs += _match(seen, (one, other), shapely.intersection(places[one], places[other]))
    edits: dict[int, dict[int, Any]] = defaultdict(dict)
    for members in _groups(pairs):
        first, *others = members
        edits[first[0]][first[1]] = _join(seen, members, places, table.crs)
        for position, row in others:
            edits[position][row] = None
    return dict(edits)


def share_ground(table: Parts, footprints: Sequence[BaseGeometry | None]) -> dict[int, Edits]:
    """What becomes of the segments of coverages: ground that an earlier scene covers is taken from them.

    Parameters
    ----------
    table, footprints
        As for `find_once`.

    Returns
    -------
    dict
        By position of the part, edits by row: the rest of a segment, or None where nothing is left of it.
    """
    seen = lru_cache(maxsize=_HELD)(lambda position: _read(table.parts[position], table.crs))
    before: dict[int, list[int]] = defaultdict(list)
    for one, other in _overlapping(_place(footprints, table.crs)):
        before[other].append(one)
    edits: dict[int, Edits] = {}
    for position, earlier in before.items():
        taken = shapely.union_all([shapely.union_all(seen(one).shapes) for one in earlier])
        edits[position] = _leave(seen(position).shapes, taken, table.crs)
    return edits


def _leave(shapes: np.ndarray, taken: BaseGeometry, crs: CRS | None) -> Edits:
    """Cut ground that is taken off the shapes that reach into it."""
    rows, _ = _clip(shapes, taken)
    rest = np.array([_polygons(shape) for shape in shapely.difference(shapes[rows], taken)], object)
    left = ~shapely.is_empty(rest)
    whole = shapely.normalize(as_multipolygons(rest[left]))
    columns = zip(shapely.to_wkb(whole), *(values.tolist() for values in measure(whole, crs)), strict=True)
    edits: dict[int, Mapping[str, Any] | None] = dict.fromkeys(rows.tolist())
    for row, values in zip(rows[left].tolist(), columns, strict=True):
        edits[row] = dict(zip((GEOMETRY, "area_m2", "perimeter_m"), values, strict=True))
    return edits


def _place(footprints: Sequence[BaseGeometry | None], crs: CRS | None) -> np.ndarray:
    """The footprints in the common CRS; empty where there is none."""
    lonlat = np.array([one if one is not None else shapely.Polygon() for one in footprints], object)
    return shapely.make_valid(move(lonlat, CRS(4326), crs))


def _overlapping(places: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs of scenes whose footprints share an area, in order."""
    tree = shapely.STRtree(places)
    left, right = tree.query(places, predicate="intersects")
    for one, other in sorted(zip(left.tolist(), right.tolist(), strict=True)):
        if one < other and shapely.area(shapely.intersection(places[one], places[other])) > 0:
            yield one, other


def _read(part: Part, crs: CRS | None, label: str | None = None) -> _Seen:
    batches = [batch for _, _, batch in read([part])]
    if not batches:
        return _Seen(np.zeros(0, object), pd.DataFrame(columns=list(_COLUMNS)), np.zeros(0, object))
    whole = pa.Table.from_batches(batches)
    shapes = move(shapely.from_wkb(whole.column(GEOMETRY).to_numpy()), part.crs, crs)
    rows = whole.select(_COLUMNS).to_pandas()
    rows["prompt_id"] = pd.Series(whole.column("prompt_id").to_pylist(), dtype=object)  # pandas would round some
    labels = np.full(len(rows), "", object) if label is None else np.array(whole.column(label).to_pylist(), object)
    return _Seen(shapely.make_valid(shapes), rows, labels)


def _match(seen: Any, positions: tuple[int, int], strip: BaseGeometry) -> list[tuple[Member, Member]]:
    """Pairs of rows of two parts that are one object."""
    (rows, clipped), (other_rows, other_clipped) = (_clip(seen(position).shapes, strip) for position in positions)
    if not len(rows) or not len(other_rows):
        return []
    left, right = shapely.STRtree(other_clipped).query(clipped, predicate="intersects")
    shared = shapely.area(shapely.intersection(clipped[left], other_clipped[right]))
    sizes = shapely.area(clipped)[left] + shapely.area(other_clipped)[right]
    labels, other_labels = (seen(position).labels for position in positions)
    same = (3 * shared > sizes) & (labels[rows[left]] == other_labels[other_rows[right]])  # the IoU exceeds one half
    ids, other_ids = (seen(position).rows["prompt_id"].to_numpy(object) for position in positions)
    return [
        ((positions[0], one), (positions[1], other))
        for one, other in sorted(zip(rows[left[same]].tolist(), other_rows[right[same]].tolist(), strict=True))
        if pd.isna(ids[one]) or pd.isna(other_ids[other]) or str(ids[one]) == str(other_ids[other])
    ]


def _clip(shapes: np.ndarray, strip: BaseGeometry) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the polygons that reach into a strip, and what of them lies in it."""
    shapely.prepare(strip)
    rows = np.flatnonzero(shapely.intersects(shapes, strip))
    clipped = shapes[rows]
    cut = ~shapely.contains_properly(strip, clipped)
    clipped[cut] = shapely.intersection(clipped[cut], strip)
    inside = shapely.area(clipped) > 0
    return rows[inside], clipped[inside]


def _groups(pairs: list[tuple[Member, Member]]) -> Iterator[list[Member]]:
    """The members of each object, by scene and row."""
    members = sorted({member for pair in pairs for member in pair})
    number = {member: index for index, member in enumerate(members)}
    links = np.array([[number[one], number[other]] for one, other in pairs]).reshape(-1, 2)
    shape = (len(members), len(members))
    if not members:
        return
    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=shape)
    groups: dict[int, list[Member]] = defaultdict(list)
    for member, group in zip(members, connected_components(graph, directed=False)[1].tolist(), strict=True):
        groups[group].append(member)
    yield from groups.values()


def _join(seen: Any, members: list[Member], places: np.ndarray, crs: CRS | None) -> dict[str, Any]:
    """Outline and columns of an object that several scenes found."""
    rows = pd.concat([seen(position).rows.iloc[[row]] for position, row in members])
    shape, before, seam = shapely.Polygon(), shapely.Polygon(), _in_units(SEAM_M, crs)
    for position in sorted({position for position, _ in members}):
        own = shapely.union_all([seen(one).shapes[row] for one, row in members if one == position])
        beyond = shapely.difference(own, shapely.buffer(before, -seam, join_style="mitre"))
        shape = shapely.union_all([shape, beyond])
        before = shapely.union_all([before, places[position]])
    whole = as_multipolygons(np.array([_polygons(shape)], object))
    area, perimeter = measure(whole, crs)
    weight = rows["area_m2"].fillna(1).to_numpy() + 1e-9
    return {
        GEOMETRY: shapely.to_wkb(shapely.normalize(whole[0])),
        "area_m2": float(area[0]),
        "perimeter_m": float(perimeter[0]),
        "n_windows": int(rows["n_windows"].to_numpy().sum()),
        **{name: float(np.average(rows[name], weights=weight)) for name in _MEANS},
        **{name: bool(rows[name].all()) for name in _ALL},
    }


def _polygons(shape: BaseGeometry) -> Any:
    """The areas of a shape, without lines and points that a difference may leave."""
    parts = shapely.get_parts(shape)
    return shapely.multipolygons(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])


def _in_units(metres: float, crs: CRS | None) -> float:
    """Metres in units of a CRS."""
    if crs is None or not crs.axis_info:
        return metres
    return metres / EARTH_M_PER_DEGREE if crs.is_geographic else metres / crs.axis_info[0].unit_conversion_factor
