"""Prompts: points, boxes, polygons and masks that say which objects are meant, from the world to one window's arrays.

The way of a prompt::

    source, numeric   rows of geometries from files, frames and arrays
    placement         repaired, brought to the scene's pixels, clipped, or refused with a reason
    objects           rows of one object gathered into one `Prompt`
    assignment        each `Prompt` to the window that shows it best
    tensors           the `WindowPrompts` of one window, rendered and batched

What a geometry means:

===================  ==============================================================================================
geometry             prompt
===================  ==============================================================================================
point, multipoint    clicks, inside or outside by the label column
line                 one to five clicks along it: the thing under the line, such as a road or a river
polygon              an earlier outline: its box, up to three points well inside it, and itself as mask prompt
multipolygon         the same, as one object
anything in `boxes`  its bounds, nothing else
===================  ==============================================================================================

A negative row without a group refines the nearest object. A source without a CRS is read in the scene's, if its
coordinates then reach the scene; otherwise it is refused. Corners of a box may come in any order, so that a box never
crosses the antimeridian: give such a box as a polygon in a suitable CRS.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from os import PathLike, fspath
from typing import Any

import pandas as pd

from geosam.errors import PromptError
from geosam.prompts.assignment import assign as assign
from geosam.prompts.numeric import rows_from_boxes, rows_from_masks, rows_from_points
from geosam.prompts.objects import objects_from
from geosam.prompts.parse import parse_box as parse_box
from geosam.prompts.parse import parse_point as parse_point
from geosam.prompts.placement import frame_of, place
from geosam.prompts.prompt import Prompt as Prompt
from geosam.prompts.prompt import Skipped as Skipped
from geosam.prompts.source import LABEL_COLUMN, Rows, read_features, rows_from_frame
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
    files
        Files that they were read from, which no output may be.

    Raises
    ------
    PromptError
        If two prompts have the same row.
    """

    items: tuple[Prompt, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    files: tuple[str, ...] = ()

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
        label_column: str | None = LABEL_COLUMN,
        group_column: str | None = None,
    ) -> "Prompts":
        """Prompts from a vector file, a GeoDataFrame, a GeoSeries or shapely geometries.

        Parameters
        ----------
        source
            The features; each keeps its attributes.
        scene
            The scene they point at.
        crs
            What the coordinates mean, if the source says nothing or something wrong: a CRS, or ``"px"``.
        layer
            Layer of a file that has several.
        id_column
            Column with the features' ids; without it a column ``id`` of unique values, else the file's feature ids or
            the frame's index.
        label_column
            Column that tells inside (1, true, pos, foreground) from outside (0, false, neg, background). The column
            ``label`` is used in layers with points if its values are such words; it is a plain attribute otherwise.
        group_column
            Rows with the same value here are one object; `id_column` if not given.

        Raises
        ------
        PromptError
            If the source cannot be read, a column is absent, a label is not understood, or the frame of the
            coordinates is unknown.
        """
        features = read_features(source, layer=layer)
        rows = rows_from_frame(features, id_column=id_column, label_column=label_column, group_column=group_column)
        return cls._from_rows(replace(rows, crs=rows.crs if crs is None else crs), scene)._read_from(source)

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
        return cls._from_rows(
            rows_from_boxes(boxes, crs, layer=layer, id_column=id_column), scene, boxes=True
        )._read_from(boxes)

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
        return cls._from_rows(rows_from_masks(masks, scene), scene)._read_from(masks)

    @classmethod
    def join(cls, *parts: "Prompts") -> "Prompts":
        """Several sources as one: rows are counted on from part to part, ids stay."""
        items: list[Prompt] = []
        skipped: list[Skipped] = []
        start = 0
        for part in parts:
            items += [replace(prompt, row=prompt.row + start) for prompt in part.items]
            skipped += [replace(row, row=row.row + start) for row in part.skipped]
            start = 1 + max([start - 1, *(item.row for item in items), *(row.row for row in skipped)])
        return cls(tuple(items), tuple(skipped), tuple(file for part in parts for file in part.files))

    @classmethod
    def _from_rows(cls, rows: Rows, scene: Scene, *, boxes: bool = False) -> "Prompts":
        """Rows placed on the scene and gathered into objects."""
        placed = place(rows.geometries, scene, frame_of(rows.crs, rows.geometries, scene))
        items, skipped = objects_from(rows, placed, boxes=boxes)
        if skipped:
            first = skipped[0]
            log.warning("%d of %d prompts skipped; prompt %r: %s", len(skipped), len(rows), first.id, first.reason)
        return cls(items, skipped)

    def _read_from(self, source: Any) -> "Prompts":
        return replace(self, files=(fspath(source),)) if isinstance(source, str | PathLike) else self

    def attributes_frame(self) -> pd.DataFrame:
        """The prompts' own attributes, one line for each prompt, indexed by its row."""
        index = pd.Index([prompt.row for prompt in self.items], name="row", dtype="int64")
        return pd.DataFrame.from_records([dict(prompt.attributes) for prompt in self.items], index=index)


__all__ = ["Prompt", "Prompts", "Skipped", "WindowPrompts", "assign", "parse_box", "parse_point"]
