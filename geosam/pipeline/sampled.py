"""The extent of an event by samples: ground of the date after that is like those on it, less what was so before."""

from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from geosam.change.extents import Extent, outline_extent
from geosam.change.options import SAMPLES, ExtentOptions
from geosam.change.pair import Pair
from geosam.errors import PromptError
from geosam.features import measure_features
from geosam.landcover import ClassifyOptions, classify, dissolve, with_classes
from geosam.landcover.learning import require_sklearn
from geosam.landcover.legend import plain
from geosam.landcover.samples import read_samples
from geosam.scene import Scene

HOW = ClassifyOptions()


@dataclass(frozen=True, eq=False)
class Samples:
    """Places of known class on the date after, in the CRS of before, and the class that shows the event."""

    places: gpd.GeoDataFrame
    label: str
    shows: str

    @classmethod
    def read(cls, asked: ExtentOptions, pair: Pair) -> "Samples":
        """Read the samples of an extent.

        Raises
        ------
        LandcoverError
            If they cannot be read, or have no column of that name.
        ModelError
            If scikit-learn is not installed.
        PromptError
            If none of them is of the event, or all are.
        """
        require_sklearn()
        places = read_samples(asked.prompts, asked.label, into=pair.before.crs)
        names = sorted({str(name).strip() for name in places[asked.label]})
        shows = [name for name in names if plain(name) == plain(asked.event)]
        if not shows or len(names) < 2:
            raise PromptError(
                f"samples of {', '.join(names)} for the extent of {asked.event!r}",
                expected="samples of that class, and of another one",
                hint="event= (--event) is the class of those on the event",
            )
        return cls(places, asked.label, shows[0])

    def after(self, pair: Pair) -> gpd.GeoDataFrame:
        """The samples where the scene after shows them."""
        moved = list(pair.after_world(self.places))
        return gpd.GeoDataFrame({self.label: self.places[self.label].to_numpy()}, geometry=moved, crs=pair.before.crs)


def sampled_extent(
    pair: Pair, samples: Samples, less_px: np.ndarray, asked: ExtentOptions, *, model: Any, store: Any, progress: Any
) -> Extent:
    """Find the segments after that are like the samples on an event, less those before that are.

    Parameters
    ----------
    pair
        The pair.
    samples
        On the event and beside it.
    less_px
        Polygons in pixels of the grid that are taken off as well.
    asked
        The name of the event, and the mapping unit.
    model, store, progress
        As for `geosam.segment`.

    Raises
    ------
    LandcoverError
        If no sample lies on the scene after.
    """
    how = {"model": model, "store": store, "progress": progress}
    segments, features = _measured(pair.after, how)
    learned = classify(segments, samples.after(pair), samples.label, features=features, options=HOW)
    shapes, sure = _pieces(learned.segments, samples.shows)
    there = pair.from_after_px(shapes, segments.crs)
    before, features = _measured(pair.before, how)
    was, _ = _pieces(with_classes(before, features, learned.model), samples.shows)
    less = np.concatenate([pair.before.to_px(was, before.crs), less_px])
    named = {"event": asked.event, "scores": sure, "mmu_m2": asked.mmu_m2, "method": SAMPLES}
    found = outline_extent(pair, there, less, **named)
    return Extent(found.frame, {**found.facts, **learned.model.facts, "notes": list(learned.notes)})


def _measured(scene: Scene, how: dict[str, Any]) -> tuple[gpd.GeoDataFrame, Any]:
    """All ground of a scene in segments, and their features."""
    from geosam.pipeline import segment

    segments = segment(scene, coverage=True, **how)
    return segments, measure_features(segments, scene, HOW.features, store=how["store"])


def _pieces(segments: gpd.GeoDataFrame, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Connected ground of a class, and how sure it is: the mean probability by area."""
    own = gpd.GeoDataFrame(segments[segments["class"] == name])
    if not len(own):
        return np.zeros(0, object), np.zeros(0)
    shapes = np.asarray(dissolve(own).geometry.values, object)
    inside = shapely.point_on_surface(np.asarray(own.geometry.values, object))
    segment, piece = shapely.STRtree(shapes).query(inside, predicate="intersects")
    weight = shapely.area(np.asarray(own.geometry.values, object))[segment]
    chance = np.asarray(own["probability"], np.float64)[segment]
    total = np.bincount(piece, weight * chance, len(shapes))
    return shapes, total / np.bincount(piece, weight, len(shapes))
