"""The objects whose fate is asked for: known footprints with their ids and attributes, each once.

Every id that comes in goes out once. Rows that share an id are one object; a row that cannot be placed stays in the
table, as unseen, with the reason.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import shapely

from geosam.change.pair import Pair
from geosam.errors import PromptError
from geosam.prompts.source import rows_from_frame
from geosam.vectors import PROMPTS, read_vector
from geosam.vectors.repair import repaired


@dataclass(frozen=True, eq=False)
class Objects:
    """Objects of a pair, in the order in which their ids first came.

    Attributes
    ----------
    ids
        The source's own id of each, no two alike; None for objects that no source knows.
    shapes_px
        Their polygons or points in pixels of the grid; empty where there is nothing to place.
    attributes
        The source's other columns, a row for each object.
    reasons
        For each object why it cannot be placed; empty text where it can.
    """

    ids: tuple[Any, ...]
    shapes_px: np.ndarray
    attributes: pd.DataFrame
    reasons: tuple[str, ...]

    def __post_init__(self) -> None:
        lengths = {len(self.ids), len(self.shapes_px), len(self.attributes), len(self.reasons)}
        known = [each for each in self.ids if each is not None]
        if len(lengths) > 1 or len(set(known)) < len(known):
            raise PromptError("objects with columns of different lengths, or with an id twice")

    def __len__(self) -> int:
        return len(self.ids)

    def with_shapes(self, shapes_px: np.ndarray) -> "Objects":
        """The same objects with other outlines."""
        return Objects(self.ids, shapes_px, self.attributes, self.reasons)


def read_objects(
    source: Any, pair: Pair, *, layer: str | int | None = None, id_column: str | None = None, crs: Any = None
) -> Objects:
    """Read known objects and place them on the grid of a pair.

    Parameters
    ----------
    source
        A vector file, a GeoDataFrame or geometries, in any CRS.
    pair
        The pair.
    layer
        Name or number of a layer, where a file has several.
    id_column
        Column that names an object, such as ``osm_id``; None: ``osm_id`` or ``id`` where each row has its own, else
        the rows' numbers. Rows with one id are one object.
    crs
        CRS of the coordinates, where the source says none or says it wrongly.

    Raises
    ------
    PromptError
        If the source cannot be read, or a column is absent.
    """
    frame = read_vector(source, purpose=PROMPTS, layer=layer, needs_crs=crs is None)
    rows = rows_from_frame(frame, id_column=id_column or _own_id(frame), label_column=None)
    given = np.array(rows.geometries, object)
    sound, refused = repaired(shapely.force_2d(_filled(given)))
    placed = pair.before.to_px(sound, crs if crs is not None else rows.crs)
    return _joined(rows.ids, placed, rows.attributes, {**refused, **rows.reasons}, pair)


def _filled(shapes: np.ndarray) -> np.ndarray:
    """Empty polygons where there is nothing."""
    found = shapes.copy()
    found[shapely.is_missing(found)] = shapely.Polygon()
    return found


def _own_id(frame: Any) -> str | None:
    """A column of ids that OpenStreetMap's exports have, where it tells all rows apart."""
    for name in ("osm_id", "full_id", "@id"):
        if name in frame and frame[name].notna().all() and frame[name].is_unique:
            return name
    return None


def _joined(ids: Any, placed: np.ndarray, attributes: pd.DataFrame, reasons: Any, pair: Pair) -> Objects:
    """One object for each id, its rows' shapes united, the first row's attributes kept."""
    rows_of: dict[Any, list[int]] = {}
    for row, name in enumerate(ids):
        rows_of.setdefault(name, []).append(row)
    frame_px = shapely.box(0, 0, pair.shape[1], pair.shape[0])
    shapes, said = [], []
    for rows in rows_of.values():
        whole = placed[rows[0]] if len(rows) == 1 else shapely.union_all(shapely.make_valid(placed[rows]))
        reason = next((reasons[row] for row in rows if row in reasons), "")
        if whole.is_empty:
            reason = reason or "no outline"
        elif not whole.intersects(frame_px):
            reason = "outside the ground that both scenes show"
        shapes.append(whole)
        said.append(reason)
    firsts = [rows[0] for rows in rows_of.values()]
    table = attributes.iloc[firsts].reset_index(drop=True)
    found = np.empty(len(shapes), object)
    found[:] = shapes
    return Objects(tuple(rows_of), found, table, tuple(said))
