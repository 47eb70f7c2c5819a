"""Two dates of a place compared: `compare`, in straight lines.

Pair → shift and colours → objects, decoded on both dates with the same prompts → measures → status, grade, shares of
changed ground → new objects → extent of the event → summary.
"""

from typing import Any

import numpy as np
import pandas as pd
from geopandas import GeoDataFrame

from geosam.change.damage import FATES, OrdinalModel
from geosam.change.objects import Objects, read_objects
from geosam.change.options import CompareOptions, with_changes
from geosam.change.pair import open_pair
from geosam.change.radiometry import match
from geosam.change.registration import register
from geosam.change.result import Comparison, sources
from geosam.change.status import probabilities_of, tell_fates
from geosam.change.summary import summarise, unit_shapes
from geosam.change.unseen import mask_pair, unseen_frame
from geosam.pipeline.newcomers import with_new
from geosam.pipeline.run import feature_store, open_store
from geosam.pipeline.two_dates import Look
from geosam.recognition import Describer


def compare(
    before: Any,
    after: Any,
    prompts: Any = None,
    *,
    model: Any = "nano",
    options: CompareOptions | None = None,
    store: Any = None,
    progress: Any = None,
    **changes: Any,
) -> Comparison:
    """Compare two dates of a place: what became of each object, and how far an event reached.

    Parameters
    ----------
    before, after
        Scenes, or whatever `geosam.open_scene` opens; any CRSs, resolutions, extents and bit depths.
    prompts
        Known objects such as footprints: a vector file, a GeoDataFrame or geometries in any CRS. None: every object of
        the scene before.
    model
        As for `segment`.
    options
        See `geosam.change.CompareOptions`; each of its fields may also be given by its name, as in ``correct=False``.
    store
        Folder or `EmbeddingStore` in which embeddings and features are kept for later runs.
    progress
        Shows how far decoding is, such as a `geosam.execute.Bar`.

    Returns
    -------
    Comparison
        Its `change` has a row for each object, each id once; see `geosam.change.result.COLUMNS`.

    Raises
    ------
    SceneError, PromptError, ModelError, OptionError
        If the scenes, the objects, a model or an option cannot be used.
    """
    asked = with_changes(options or CompareOptions(), changes)
    grades, fates = asked.grade_model(), asked.fate_model()
    pair = open_pair(before, after, resolution_m=asked.resolution_m)
    registration = register(pair)
    corrected = asked.correct and registration.matters
    if corrected:
        pair = pair.shifted(registration.shift_px)
    pair = mask_pair(mask_pair(pair, asked.masks_before), asked.masks_after, after=True)
    radiometry = match(pair)
    kept = open_store(store)
    with feature_store(kept) as seen:
        look = Look(pair, radiometry, Describer(store=seen), model=model, store=kept, progress=progress)
        units = unit_shapes(asked.units, look.frame_polygon, pair.before.crs, asked.units_crs)
        event = look.read_event(asked.extent)
        frames = told_objects(look, prompts, asked, (grades, fates))
    extent = look.extent(asked.extent, event) if asked.extent else None
    return Comparison(
        *frames,
        extent.frame if extent else None,
        unseen_frame(pair),
        sources(pair, asked),
        summarise(frames[0], extent.frame if extent else None, *units),
        pair,
        registration,
        radiometry,
        {
            "registration": registration.describe(),
            "corrected": corrected,
            "radiometry": {"gain": list(radiometry.gain), "offset": list(radiometry.offset)},
            "resolution_m": pair.resolution_m,
            "grades": dict(grades.origin),
            "fates": dict(fates.origin),
            "extent": dict(extent.facts) if extent else None,
        },
    )


def told_objects(
    look: Look, prompts: Any, asked: CompareOptions, models: tuple[OrdinalModel, OrdinalModel]
) -> tuple[GeoDataFrame, GeoDataFrame, GeoDataFrame]:
    """The tables of what became of the objects, and of their outlines on both dates; models of grades and of fates."""
    grades, fates = models
    objects = known_objects(prompts, look, asked)
    measured, outlines = look.measured(objects, decode=asked.decode)
    fate = tell_fates(measured, fates)
    if asked.find_new:
        objects, measured, outlines, fate = with_new(look, (objects, measured, outlines, fate))
    graded = probabilities_of(measured.values, np.isin(fate.status, FATES), grades)
    return look.frames(objects, measured, outlines, (fate, graded))


def known_objects(prompts: Any, look: Look, asked: CompareOptions) -> Objects:
    """The known objects, or every object of the date before."""
    if prompts is not None:
        return read_objects(prompts, look.pair, layer=asked.layer, id_column=asked.id_column, crs=asked.prompts_crs)
    shapes = look.everything(after=False)
    ids = tuple(range(1, len(shapes) + 1))
    return Objects(ids, shapes, pd.DataFrame(index=range(len(ids))), ("",) * len(ids))
