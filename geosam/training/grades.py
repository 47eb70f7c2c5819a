"""Fit the package's model of damage grades on rendered pairs: ``python -m geosam.training.grades``.

No labelled imagery that may be used for published weights has grades of damage, so places are rendered before and
after floods, landslides, fires and earthquakes, with another sun, sensor and lean on each day. What became of each
building is known from the layout.
"""

import argparse
import logging
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from affine import Affine

from geosam.change.damage import FATES, GRADES, OrdinalModel, fit_ordinal
from geosam.change.measures import MEASURES, feature_measures, measure_objects
from geosam.change.pair import open_pair
from geosam.change.radiometry import match
from geosam.change.registration import register
from geosam.training.world.layout import Building, Layout, Region
from geosam.training.world.materials import pick
from geosam.training.world.places import PLACES
from geosam.training.world.places.aftermath import AFTERMATHS, FALLEN
from geosam.training.world.places.elements import draw_lean, draw_sun
from geosam.training.world.rendering import photograph
from geosam.training.world.sensor import draw_sensor
from geosam.training.world.shapes import rectangle

log = logging.getLogger(__name__)

SIDE = 640
FINEST_M, COARSEST_M = 0.25, 0.7
"""Metres per pixel of the pairs: aerial and very-high-resolution satellite pictures."""

MINOR = 0.3
"""Share of a roof up to which its damage is minor; `FALLEN` and more is destroyed."""

SLIGHT = 0.02
"""Damage of a rendered roof below which nothing of it can be seen."""

MOST_CLEARED = 0.2
"""Share of the buildings that are gone, at most."""

SETTLED = ("suburb", "town", "industry", "camp")
"""Places with enough buildings to learn from."""

CRS = "EPSG:32633"
SEED = 20_260


def footprint(building: Building) -> shapely.Geometry:
    """Plan of a building in metres from the top left corner."""
    parts = [shapely.Polygon(rectangle((building.x, building.y), building.size_m, building.angle))]
    if building.form == "round":
        parts = [shapely.Point(building.x, building.y).buffer(building.size_m[0] / 2)]
    cos, sin = np.cos(building.angle), np.sin(building.angle)
    for along, across, length, width in building.wings:
        centre = (building.x + along * cos - across * sin, building.y + along * sin + across * cos)
        parts.append(shapely.Polygon(rectangle(centre, (width, length), building.angle)))
    return shapely.union_all(parts)


def fate(building: Building, later: Layout) -> tuple[int, int]:
    """Grade and status of a building: what the layout after has in its place."""
    there = [each for each in later.buildings if each.x == building.x and each.y == building.y]
    if not there:
        return GRADES.index("destroyed"), FATES.index("gone")
    damage = there[0].damage
    if damage <= SLIGHT:
        return GRADES.index("none"), FATES.index("kept")
    grade = "minor" if damage < MINOR else "major" if damage < FALLEN else "destroyed"
    return GRADES.index(grade), FATES.index("changed")


def draw_place(rng: np.random.Generator) -> tuple[Layout, Layout, str, float]:
    """A settled place before and after an event, the event's name, and metres per pixel."""
    event = str(rng.choice(list(AFTERMATHS)))
    happen, themes = AFTERMATHS[event]
    settled = [name for name in themes if name in SETTLED] or list(SETTLED[:1])
    resolution = float(np.exp(rng.uniform(np.log(FINEST_M), np.log(COARSEST_M))))
    before = PLACES[str(rng.choice(settled))][0](rng, SIDE * resolution)
    return before, cleared(rng, happen(rng, before)), event, resolution


def cleared(rng: np.random.Generator, layout: Layout) -> Layout:
    """A place from which some buildings are gone, swept away or cleared; bare ground lies where they were."""
    share = rng.uniform(0, MOST_CLEARED)
    gone = [each for each in layout.buildings if rng.random() < share]
    scars = tuple(
        Region(
            "ruin",
            rectangle((each.x, each.y), (each.size_m[0] + 2, each.size_m[1] + 2), each.angle),
            pick(rng, "soil"),
            pick(rng, "rubble"),
            strength=0.6,
            ragged_m=0.8,
        )
        for each in gone
        if rng.random() < 0.7  # grass has grown over the others
    )
    return replace(
        layout,
        regions=(*layout.regions, *scars),
        buildings=tuple(each for each in layout.buildings if each not in gone),
    )


def measured_pair(seed: int, folder: Path, describer: Any) -> tuple[np.ndarray, np.ndarray, str]:
    """Measures, grades and fates (n × 2) of all buildings of one rendered pair, and its event."""
    rng = np.random.default_rng([SEED, seed])
    before, after, event, resolution = draw_place(rng)
    texture = int(rng.integers(2**32))
    for name, layout in (("before", before), ("after", after)):
        seen = replace(layout, lean=draw_lean(rng), sun=draw_sun(rng))
        world = photograph(seen, draw_sensor(rng, resolution), np.random.default_rng(texture), side=SIDE)
        place = Affine(resolution, 0, 500_000, 0, -resolution, 5_000_000)
        profile = {"driver": "GTiff", "count": 3, "height": SIDE, "width": SIDE, "dtype": "uint8"}
        with rasterio.open(folder / f"{name}.tif", "w", **profile, crs=CRS, transform=place) as file:
            file.write(world.pixels)
    pair = open_pair(folder / "before.tif", folder / "after.tif")
    pair = pair.shifted(register(pair).shift_px)
    inside = [each for each in before.buildings if min(each.x, each.y) > 0 and max(each.x, each.y) < SIDE * resolution]
    plans = np.array([shapely.transform(footprint(each), lambda xy: xy / resolution) for each in inside], object)
    measured = measure_objects(plans, pair, match(pair))
    deep = feature_measures(plans, pair, describer)
    names = [name for name in MEASURES if name.startswith("feature_change")]
    measured = measured.with_columns(**dict(zip(names, deep.T, strict=True)))
    return measured.values, np.array([fate(each, after) for each in inside], np.int64).reshape(-1, 2), event


def fit_default(pairs: int, *, start: int = 0) -> tuple[OrdinalModel, OrdinalModel]:
    """Fit the models of grades and of fates on so many rendered pairs."""
    from geosam.recognition import Describer

    values, truths, describer = [], [], Describer()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(start, start + pairs):
            found, known, event = measured_pair(seed, Path(folder), describer)
            log.info("pair %d: %s, grades %s", seed, event, np.bincount(known[:, 0], minlength=4).tolist())
            values.append(found)
            truths.append(known)
    every, truth = np.concatenate(values), np.concatenate(truths)
    origin = {"fitted on": "rendered pairs", "pairs": pairs, "trust": TRUST}
    return (
        fit_ordinal(every, truth[:, 0], GRADES, names=USED, origin=origin),
        fit_ordinal(every, truth[:, 1], FATES, names=USED, origin=origin),
    )


TRUST = (
    "ranks damage well enough to look at the worst first; what its grades are worth in a place is not known before "
    "some of its buildings are labelled: fit a model of your own on 20 or more"
)

USED = tuple(name for name in MEASURES if name not in ("outline_change", "area_change"))
"""Measures that need no decoded outlines, so that the models hold for any segmenter."""


def main() -> None:
    """Fit the models and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[1] / "change")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    grades, fates = fit_default(asked.pairs)
    grades.write(asked.folder / "grades.json")
    fates.write(asked.folder / "fates.json")


if __name__ == "__main__":
    main()
