"""Objects that stand only on the date after, among the segments of its region tree, behind the known ones."""

import logging

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geosam.change.measures import Measured, measure_objects
from geosam.change.newcomers import LEAST_KNOWN, SURE, arrived, ground_beside, learn_likeness, plausible, spread
from geosam.change.objects import Objects
from geosam.change.outlines import Outlines
from geosam.change.status import MOST_UNSEEN, Fates
from geosam.pipeline.two_dates import Look, solid_shapes
from geosam.prompts import stacked

log = logging.getLogger(__name__)

LIKELY = 0.2
"""Chance of being an object from which a segment may be new; pieces of roofs and of ground have less."""

Told = tuple[Objects, Measured, Outlines, Fates]


def with_new(look: Look, told: Told) -> Told:
    """The objects and those that stand only on the date after."""
    objects, _, outlines, _ = told
    known = solid_shapes(objects)
    areal = np.where(shapely.get_dimensions(known) == 2, known, outlines.before)
    usable = areal[~shapely.is_empty(areal)]
    if len(usable) < LEAST_KNOWN:
        log.warning("new objects are not looked for: %d known ones, %d are needed", len(usable), LEAST_KNOWN)
        return told
    candidates = look.segments(after=True, least=LIKELY)
    candidates = candidates[plausible(candidates, usable)]
    if not len(candidates):
        return told
    sample = usable[spread(len(usable))]
    beside = ground_beside(sample, look.pair.shape)
    if not len(beside):
        return told
    stack = np.concatenate([sample, beside, candidates])
    scene = look.pair.before
    then = look.describer.describe(gpd.GeoSeries(list(scene.to_world(stack)), crs=scene.crs), scene).values
    world = look.pair.after_world(scene.to_world(candidates))
    now = look.describer.describe(gpd.GeoSeries(list(world), crs=scene.crs), look.pair.after).values
    n, m = len(sample), len(sample) + len(beside)
    like = learn_likeness(then[:n], then[n:m])
    chance = arrived(like.probability(now), like.probability(then[m:]))
    candidates, chance = candidates[chance >= SURE], chance[chance >= SURE]
    seen = measure_objects(candidates, look.pair, look.radiometry)
    new = seen.unseen <= MOST_UNSEEN
    return joined_new(told, look.redrawn(candidates[new]), (seen, new, chance))


def joined_new(told: Told, shapes: np.ndarray, found: tuple[Measured, np.ndarray, np.ndarray]) -> Told:
    """The tables with new objects behind the known ones."""
    objects, measured, outlines, fates = told
    seen, new, chance = found
    count = len(shapes)
    table = stacked([objects.attributes, pd.DataFrame(index=range(count))])
    more = Objects(
        (*objects.ids, *[None] * count),
        np.concatenate([objects.shapes_px, shapes]),
        table,
        (*objects.reasons, *[""] * count),
    )
    values = np.concatenate([measured.values, seen.values[new]])
    return (
        more,
        Measured(values, np.concatenate([measured.unseen, seen.unseen[new]])),
        outlines.with_new(shapes),
        Fates(
            np.concatenate([fates.status, np.full(count, "new", object)]),
            np.concatenate([fates.score, chance[new].astype(np.float32)]),
            np.concatenate([fates.probabilities, np.full((count, 3), np.nan)]),
        ),
    )
