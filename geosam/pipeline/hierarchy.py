"""Wholes and their parts: every object of several views of the scene, one table."""

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
from geopandas import GeoDataFrame

from geosam.errors import OptionError
from geosam.pipeline.everything import find_everything
from geosam.pipeline.request import Request
from geosam.pipeline.run import Run
from geosam.polygons import nest

VIEWS = (-1, 0, 1, 2)
"""Looked at are the scene at twice, once, half and a quarter of its resolution: 1 is half. A network finds what is of a
certain size in its pixels, so that finer views give parts and coarser ones wholes."""


def find_hierarchy(run: Run) -> Iterator[GeoDataFrame]:
    """All objects of all views with `level` and `parent_id`, as one table, which is held in memory."""
    yield nest([one_table(view_of(run, number)) for number in VIEWS])


def view_of(run: Run, number: int) -> Run:
    """The same run on the scene at ``1 / 2**number`` of its resolution, with its entries in the same journal."""
    scene = run.scene.coarsened(2.0**number) if number else run.scene
    return replace(run, request=replace(run.request, scene=scene), prefix=f"view{number}-")


def one_table(run: Run) -> GeoDataFrame:
    """All objects of one view."""
    frames = list(find_everything(run))
    full = [frame for frame in frames if len(frame)] or frames[:1]
    return GeoDataFrame(pd.concat(full, ignore_index=True)) if len(full) > 1 else full[0]


def check_hierarchy(request: Request, *, labels: bool) -> None:
    """Refuse what a hierarchy, or a coverage, cannot be.

    Raises
    ------
    OptionError
        If there are prompts, or a label raster is asked for; or of a coverage, if there are prompts.
    """
    if request.options.coverage and request.prompts is not None:
        raise OptionError("coverage with prompts", expected="everything mode", hint="leave one of them out")
    if not request.options.hierarchy:
        return
    if request.prompts is not None:
        raise OptionError("hierarchy with prompts", expected="everything mode", hint="leave one of them out")
    if labels:
        hint = "leave the label raster or the hierarchy out"
        raise OptionError("a label raster of a hierarchy", expected="objects that do not overlap", hint=hint)
