"""Prompts: points, boxes, polygons and masks that say which objects are meant, from the world to one window's arrays.

The way of a prompt::

    source, numeric   rows of geometries from files, frames and arrays
    placement         repaired, brought to the scene's pixels, clipped, or refused with a reason
    objects           rows of one object gathered into one `Prompt`
    parts             outlines in parts that lie far apart, one by one
    assignment        each `Prompt` to the window that shows it best
    tensors           the `WindowPrompts` of one window, rendered and batched

What a geometry means:

===================  ==============================================================================================
geometry             prompt
===================  ==============================================================================================
point, multipoint    clicks, inside or outside by the label column
line                 one to five clicks along it: the thing under the line, such as a road or a river
polygon              an earlier outline: its box, up to three points well inside it, and itself as mask prompt
multipolygon         the same, as one object; parts that lie far apart are asked for one by one
anything in `boxes`  its bounds, nothing else
===================  ==============================================================================================

A negative row without a group refines the nearest object. A source without a CRS is read in the scene's, if its
coordinates then reach the scene; otherwise it is refused, as is one whose degrees are none. Corners of a box may come
in any order, so that a box never crosses the antimeridian: give such a box as a polygon in a suitable CRS.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from geosam.errors import PromptError
from geosam.prompts.assignment import assign as assign
from geosam.prompts.numeric import rows_from_boxes, rows_from_masks, rows_from_points
from geosam.prompts.objects import objects_from
from geosam.prompts.parse import parse_box as parse_box
from geosam.prompts.parse import parse_point as parse_point
from geosam.prompts.parts import apart as apart
from geosam.prompts.placement import PIXELS, crs_from, frame_of, place
from geosam.prompts.prompt import Prompt as Prompt
from geosam.prompts.prompt import Skipped as Skipped
from geosam.prompts.source import AUTO, Rows, read_features, rows_from_frame
from geosam.prompts.tensors import WindowPrompts as WindowPrompts
from geosam.scene import Scene

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Prompts:
    """All prompts for one scene, in its pixels; iterates `Prompt` by row.

    Attributes
    ----------
    items
        One prompt for each object, by row.
    skipped
        Rows of the source that cannot be used, with the reason, by row.
    table
        The source's attributes with the types that it gives them, one line for each prompt; None: what the prompts say.

    Raises
    ------
    PromptError
        If two prompts have the same row.
    """

    items: tuple[Prompt, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    table: pd.DataFrame | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if len({prompt.row for prompt in self.items}) < len(self.items):
            raise PromptError(
                "two prompts from the same row", expected="one prompt for each row", hint="join them with Prompts.join"
            )

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Prompt]:
        return iter(self.items)

    @classmethod
    def from_features(
        cls,
        source: Any,
        scene: Scene,
        *,
        crs: Any = None,
        layer: str | int | None = None,
        id_column: str | None = None,
        label_column: str | None = AUTO,
        group_column: str | None = None,
    ) -> "Prompts":
        """Prompts from a vector file, a GeoDataFrame, a GeoSeries or shapely geometries.

        Parameters
        ----------
        source
            The features; each keeps its attributes. ``"path|layername=name"`` names a layer of a file.
        scene
            The scene they point at.
        crs
            What the coordinates mean, if the source says nothing or something wrong: a CRS, or ``"px"``. It counts
            more than what the source says.
        layer
            Layer of a file that has several.
        id_column
            Column with the features' ids, where rows with the same id are one object; without it a column ``id`` of
            unique values, else the file's feature ids or the frame's index. A feature without one gets a free number.
        label_column
            Column that tells inside (1, true, pos, foreground) from outside (0, false, neg, background); None: there
            is none. Without it the column ``label`` is used in layers with points, if all of its values are such words;
            it is a plain attribute otherwise.
        group_column
            Rows with the same value here are one object; `id_column` if not given.

        Raises
        ------
        PromptError
            If the source cannot be read, a column is absent, a label is not understood, or the frame of the
            coordinates is unknown.
        """
        features = read_features(source, layer=layer, needs_crs=crs is None)
        rows = rows_from_frame(features, id_column=id_column, label_column=label_column, group_column=group_column)
        return cls._from_rows(in_frame(rows, crs), scene)

    @classmethod
    def from_points(
        cls, xy: Any, scene: Scene, *, labels: Any = None, groups: Any = None, crs: Any = None
    ) -> "Prompts":
        """Prompts from clicks.

        Parameters
        ----------
        xy
            One ``(x, y)``; ``n x 2`` for n clicks; or ``n x p x 2`` for n objects with p clicks each.
        scene
            The scene they point at.
        labels
            For each click 1 (inside) or 0 (outside); all inside if not given.
        groups
            For each click the object it belongs to; without it, each positive click is an object of its own.
        crs
            CRS of the coordinates, or ``"px"``; the scene's own if not given.

        Raises
        ------
        PromptError
            If a coordinate is not a finite number or a shape does not fit.
        """
        return cls._from_rows(rows_from_points(xy, crs, labels=labels, groups=groups), scene)

    @classmethod
    def from_boxes(
        cls, boxes: Any, scene: Scene, *, crs: Any = None, layer: str | int | None = None, id_column: str | None = None
    ) -> "Prompts":
        """Prompts from boxes, each an object of its own.

        Parameters
        ----------
        boxes
            One ``(xmin, ymin, xmax, ymax)``, an ``n x 4`` array, shapely geometries, a GeoDataFrame or a vector file;
            of geometries the bounds on the scene's pixels are taken. Corners may come in any order.
        scene
            The scene they point at.
        crs
            CRS of the coordinates, or ``"px"``; the frame's or file's own, else the scene's, if not given.
        layer, id_column
            As in `from_features`.

        Raises
        ------
        PromptError
            If a coordinate is not a finite number or a shape does not fit.
        """
        return cls._from_rows(rows_from_boxes(boxes, crs, layer=layer, id_column=id_column), scene, boxes=True)

    @classmethod
    def from_masks(cls, masks: Any, scene: Scene) -> "Prompts":
        """Prompts from masks: their outlines serve as polygons.

        Parameters
        ----------
        masks
            An integer label array over the scene (0 for none), one or more boolean masks over it, or a label raster
            file in any CRS and resolution.
        scene
            The scene they point at.

        Raises
        ------
        PromptError
            If an array does not have the scene's shape, a file cannot be read, or values are not whole numbers.
        """
        return cls._from_rows(rows_from_masks(masks, scene), scene)

    @classmethod
    def join(cls, *parts: "Prompts") -> "Prompts":
        """Several sources as one: rows are counted on from part to part, ids stay."""
        items: list[Prompt] = []
        skipped: list[Skipped] = []
        tables: list[pd.DataFrame] = []
        start = 0
        for part in parts:
            tables.append(part.attributes_frame())
            items += [replace(prompt, row=prompt.row + start) for prompt in part.items]
            skipped += [replace(row, row=row.row + start) for row in part.skipped]
            start = 1 + max([start - 1, *(item.row for item in items), *(row.row for row in skipped)])
        return cls(tuple(items), tuple(skipped), stacked(tables))

    @classmethod
    def _from_rows(cls, rows: Rows, scene: Scene, *, boxes: bool = False) -> "Prompts":
        """Rows placed on the scene and gathered into objects."""
        frame = frame_of(rows.crs, rows.geometries, scene, assumed=rows.assumed)
        placed = place(rows.geometries, scene, frame, known=rows.reasons)
        items, skipped, firsts = objects_from(rows, placed, boxes=boxes)
        if skipped:
            first = skipped[0]
            log.warning("%d of %d prompts skipped; prompt %r: %s", len(skipped), len(rows), first.id, first.reason)
        return cls(items, skipped, rows.attributes.iloc[firsts])

    def attributes_frame(self) -> pd.DataFrame:
        """The prompts' own attributes, one line for each prompt, indexed by its row; types as in the source."""
        index = pd.Index([prompt.row for prompt in self.items], name="row", dtype="int64")
        if self.table is not None:
            return self.table.set_axis(index)
        return pd.DataFrame.from_records([dict(prompt.attributes) for prompt in self.items], index=index)


def in_frame(rows: Rows, crs: Any) -> Rows:
    """The rows with coordinates in `crs` where it is given; that the source says something else is said."""
    if crs is None:
        return rows
    if rows.crs is not None and rows.assumed is None and str(crs).lower() != PIXELS and crs_from(crs) != rows.crs:
        log.warning(
            "prompts that say %s are read as %s, as asked", rows.crs.to_string()[:60], crs_from(crs).to_string()
        )
    return replace(rows, crs=crs, assumed=None)


def stacked(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Tables one below the other; whole numbers and truth values stay what they are where another has no such column.

    Examples
    --------
    >>> stacked([pd.DataFrame({"no": [2**60 + 1]}), pd.DataFrame(index=range(1))])["no"].tolist()
    [1152921504606846977, <NA>]
    """
    names = list(dict.fromkeys(name for table in tables for name in table.columns))
    kinds = {name: [table[name].dtype for table in tables if name in table] for name in names}
    gaps = {
        name: found[0].name.replace("uint", "UInt").replace("int", "Int").replace("bool", "boolean")
        for name, found in kinds.items()
        if len(found) < len(tables) and isinstance(found[0], np.dtype) and found[0].kind in "iub"
    }
    filled = [table.astype({name: gaps[name] for name in table if name in gaps}) for table in tables]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()


__all__ = ["Prompt", "Prompts", "Skipped", "WindowPrompts", "apart", "assign", "parse_box", "parse_point"]
