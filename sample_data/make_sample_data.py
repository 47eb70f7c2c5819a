"""Make the scenes of this folder: `python sample_data/make_sample_data.py [FOLDER]`.

A village on a river before and after a flood, and farmland in four 16-bit bands, with their truth. Everything is
rendered by `geosam.training.world`, so nothing here belongs to anyone else; the same code gives the same files.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import rasterio
import shapely
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.features import shapes
from rasterio.transform import array_bounds

from geosam.training.world.layout import Block, Building, Ground, Layout, Region, Road, Sun, Tree
from geosam.training.world.materials import pick, spectrum
from geosam.training.world.places.elements import draw_field, draw_forest, draw_orchard, scattered_trees
from geosam.training.world.places.houses import Quarter
from geosam.training.world.places.land import farmland
from geosam.training.world.places.streets import parking, traffic
from geosam.training.world.rendering import World, photograph
from geosam.training.world.sensor import Sensor
from geosam.training.world.shapes import Occupancy, blob, inset, parcels, rectangle, ribbon

SIDE = 1024
EXTENT_M = 512.0
VILLAGE_CRS = "EPSG:32633"
VILLAGE = Affine(0.5, 0.0, 512_340.0, 0.0, -0.5, 5_402_180.0)
FARM_SIDE = 448
FARM_CRS = "EPSG:4326"
FARM = Affine(4.0e-5, 0.0, 16.4120, 0.0, -2.7e-5, 48.3350)
FARM_SCALE = 4000
NODATA = 0
AFTER_CLASSES = ("building", "flood", "ruin", "solar", "tank", "vehicle", "water")


@dataclass(frozen=True)
class Change:
    """A building and what became of it: unchanged, new, gone or damaged."""

    building: Building
    status: str


def curve(*points: tuple[float, float]) -> np.ndarray:
    """A smooth path through points, in metres (Catmull-Rom)."""
    p = np.array([points[0], *points, points[-1]])
    t = np.linspace(0, 1, 10, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True):
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.concatenate([*pieces, p[-1:]])


RIVER = curve((-30, 95), (60, 120), (130, 100), (205, 118), (280, 165), (350, 168), (430, 130), (545, 150))
RIVER_WIDTH_M = 17 + 4 * np.sin(np.linspace(0, 9, len(RIVER)))
CENTRE = (250.0, 300.0)


def village_roads(rng: np.random.Generator) -> list[Road]:
    """The high street with a bridge, side streets, lanes to the fields, and a farm track."""
    asphalt, worn = spectrum("77787a", 0.15), spectrum("868583", 0.17)
    gravel, kerb, verge = spectrum("b7aa92", 0.28), spectrum("b3afa6", 0.3), pick(rng, "grass")
    high = curve((292, -30), (290, 60), (296, 160), (282, 240), (262, 310), (270, 400), (300, 470), (312, 545))
    main = curve((-30, 330), (60, 318), (150, 296), (262, 300), (360, 286), (450, 300), (545, 280))
    bridge = high[(high[:, 1] > 128) & (high[:, 1] < 200)]
    return [
        Road(main, 6.5, asphalt, kerb, True),
        Road(curve((262, 372), (180, 378), (110, 362), (92, 306)), 5.0, worn, kerb),
        Road(curve((268, 392), (350, 390), (420, 372), (432, 298)), 5.0, worn, kerb),
        Road(curve((282, 232), (210, 228), (140, 240), (128, 300)), 5.0, worn, kerb),
        Road(curve((288, 226), (370, 224), (420, 240), (430, 298)), 5.0, worn, kerb),
        Road(curve((180, 378), (172, 440), (190, 545)), 3.2, gravel, verge),
        Road(curve((432, 298), (470, 370), (478, 460), (545, 500)), 3.2, gravel, verge),
        Road(curve((-30, 190), (60, 200), (140, 240)), 3.0, gravel, verge),
        Road(high, 7.0, asphalt, kerb, True),
        Road(bridge, 7.5, spectrum("a9a7a2", 0.3), None, False, bridge=True),
    ]  # fmt: skip


def village_land(rng: np.random.Generator) -> list[Region]:
    """Fields around the village green, woods, an orchard, and the river with its banks."""
    land: list[Region] = []
    for number, outline in enumerate(parcels(rng, EXTENT_M, 88.0, angle=0.22, bend=0.012)):
        field = inset(outline, 1.6)
        land.append(draw_orchard(rng, field) if number % 9 == 4 else draw_field(rng, field))
    grass, dry = spectrum("6f7f48", 0.38), spectrum("8d8a5c", 0.31)
    settled = blob(np.random.default_rng(5), (266.0, 302.0), 178.0, rough=0.10)
    land.append(Region("village", settled, grass, dry, strength=0.5, ragged_m=2.0, labelled=False))
    wood = replace(draw_forest(rng, blob(rng, (470.0, 55.0), 62.0, rough=0.25)), colour=spectrum("42572f", 0.42))
    land += [wood, replace(wood, polygon=blob(rng, (28.0, 470.0), 60.0, rough=0.3), row_m=5.5)]
    land.append(replace(wood, polygon=blob(rng, (120.0, 150.0), 17.0, rough=0.3), row_m=5.0))
    bank = ribbon(RIVER, RIVER_WIDTH_M + 9)
    land.append(
        Region(
            "bank",
            bank,
            spectrum("8a8660", 0.3),
            spectrum("5f6d40", 0.38),
            strength=0.6,
            ragged_m=2.0,
            labelled=False,
            over=True,
        )
    )
    land.append(
        Region(
            "water",
            ribbon(RIVER, RIVER_WIDTH_M),
            spectrum("3e5754", 0.03),
            spectrum("2f474a", 0.02),
            strength=0.3,
            over=True,
        )
    )
    land.append(
        Region(
            "water",
            blob(rng, (395.0, 455.0), 16.0, rough=0.2),
            spectrum("34494c", 0.02),
            spectrum("3f5650", 0.03),
            strength=0.2,
        )
    )
    return land


def village_landmarks(
    rng: np.random.Generator, occupancy: Occupancy
) -> tuple[list[Building], list[Block], list[Region]]:
    """Church, school with its pitch and car park, farm halls, greenhouses, a small solar park."""
    nave, south_wing = ((5.0, 4.0, 14.0, 9.0),), ((-13.0, 10.0, 20.0, 13.0),)
    buildings = [
        Building(232.0, 268.0, (24.0, 11.0), 0.25, "gable", spectrum("8b4a36", 0.3), 9.0, 1.0, nave, clutter=0.0),
        Building(219.2, 264.7, (6.0, 6.0), 0.25, "hip", spectrum("4f5a58", 0.2), 21.0, 1.6, clutter=0.0),
        Building(345.0, 336.0, (40.0, 14.0), 0.06, "flat", spectrum("c9c6be", 0.4), 8.0, 0.0, south_wing, clutter=0.6),
        Building(60.0, 285.0, (34.0, 16.0), -0.2, "gable", spectrum("9d9a96", 0.35), 6.0, 0.3, stripe_m=1.1),
        Building(66.0, 262.0, (22.0, 11.0), -0.2, "gable", spectrum("8f5a44", 0.28), 5.0, 0.5, clutter=0.05),
        Building(30.0, 292.0, (9.0, 9.0), 0.0, "round", spectrum("c6c8c8", 0.4), 11.0, 0.5, clutter=0.0),
        Building(19.0, 288.0, (7.0, 7.0), 0.0, "round", spectrum("b9bdbd", 0.4), 11.0, 0.5, clutter=0.0),
    ]  # fmt: skip
    glass = spectrum("d5dcd8", 0.45)
    buildings += [
        Building(487.0, 335 + 10.5 * k, (38.0, 8.5), 0.1, "barrel", glass, 3.0, 0.4, stripe_m=2.2, clutter=0.0)
        for k in range(3)
    ]
    pitch = rectangle((352.0, 432.0), (74.0, 46.0), 0.12)
    turf = spectrum("5b7f3c", 0.48)
    lot, cars = parking(rng, (388.0, 333.0), (32.0, 20.0), 0.06, full=0.65)
    panels = [
        Block("solar", x, y, (28.0, 3.6), 0.0, spectrum("2b3550", 0.07), 1.6, (1.1, 1.8))
        for y in (412.0, 418.6, 425.2, 431.8, 438.4)
        for x in (105.0, 136.0)
    ]
    for body in buildings:
        occupancy.take(body.x, body.y, (body.size_m[0] + 6, body.size_m[1] + 8), body.angle)
    for x, y, size in (
        (352.0, 432.0, (78.0, 50.0)),
        (388.0, 333.0, (34.0, 22.0)),
        (120.0, 438.0, (66.0, 46.0)),
        (395.0, 455.0, (40.0, 36.0)),
    ):
        occupancy.take(x, y, size)
    return buildings, [*cars, *panels], [Region("pitch", pitch, turf, turf * np.float32(0.85), strength=0.2), lot]


def village_before() -> tuple[Layout, tuple[Building, ...]]:
    """The village in an ordinary June."""
    rng = np.random.default_rng(2024)
    roads = village_roads(rng)
    land = village_land(rng)
    occupancy = Occupancy(EXTENT_M, 400)
    occupancy.block_paths([road.path for road in roads], [road.width_m + 3 for road in roads])
    occupancy.block_paths([RIVER], [34.0])
    landmarks, blocks, grounds = village_landmarks(rng, occupancy)
    styles = ("tile", "tile", "tile", "shingle", "tile", "metal")
    quarter = Quarter(rng, occupancy, styles)
    quarter.lot, quarter.setback, quarter.terraced = 19.0, 4.5, False
    quarter.settle(roads[:5], extent_m=EXTENT_M, density=0.92).settle([roads[8]], extent_m=EXTENT_M, density=0.8)
    buildings = tuple(body for body in (*landmarks, *quarter.buildings) if dry(body.x, body.y, 14.0))
    trees = scattered_trees(rng, occupancy, 800, EXTENT_M) + avenue(rng)
    cars = traffic(rng, [roads[0], roads[8]], 0.16)
    layout = Layout(
        "village", EXTENT_M, Sun(2.35, 0.80),
        Ground(spectrum("6b7a46", 0.38), spectrum("878556", 0.31), 22.0, 0.5, 0.06, pick(rng, "tree")),
        regions=(*land, *quarter.yards, *grounds), roads=tuple(roads), buildings=buildings,
        blocks=(*blocks, *quarter.blocks, *cars), trees=tuple(tree for tree in trees if dry(tree.x, tree.y, 9.5)),
    )  # fmt: skip
    return layout, buildings


def dry(x: float, y: float, margin_m: float) -> bool:
    """Whether a place is farther than a margin from the river's middle."""
    return float(np.hypot(RIVER[:, 0] - x, RIVER[:, 1] - y).min()) > margin_m


def avenue(rng: np.random.Generator) -> list[Tree]:
    """Trees along the river."""
    trees = []
    for x, y in RIVER[::2] + rng.normal(0, 1.5, RIVER[::2].shape):
        for side in (-1, 1):
            radius = float(rng.uniform(2.0, 4.5))
            where = (float(x + rng.uniform(-6, 6)), float(y + side * rng.uniform(13, 19)))
            if rng.random() < 0.75:
                trees.append(Tree(*where, radius, 2.2 * radius, pick(rng, "tree", 0.12)))
    return trees


def village_after(layout: Layout, buildings: tuple[Building, ...]) -> tuple[Layout, list[Change]]:
    """The same place after a flood: water in the low ground, houses gone or damaged, some built since."""
    rng = np.random.default_rng(7)
    changes = []
    for number, body in enumerate(buildings):
        away = float(np.hypot(RIVER[:, 0] - body.x, RIVER[:, 1] - body.y).min())
        chance = rng.random()
        status = "unchanged"
        if number > 8 and away < 80 and chance < 0.75:
            status = "gone" if chance < 0.25 else "damaged"
        elif number > 8 and chance < 0.04:
            status = "gone"
        damaged = replace(body, damage=float(rng.uniform(0.45, 0.8))) if status == "damaged" else body
        changes.append(Change(damaged, status))
    changes += [Change(house, "new") for house in new_houses(buildings)]
    standing = tuple(change.building for change in changes if change.status != "gone")
    water = flood_outline(rng)
    area = shapely.Polygon(water).buffer(0)
    gone = shapely.union_all([footprint(change.building) for change in changes if change.status == "gone"])
    blocks = tuple(
        body
        for body, place in ((body, shapely.Point(body.x, body.y)) for body in layout.blocks)
        if not gone.contains(place) and (body.kind != "vehicle" or (rng.random() < 0.5 and not area.contains(place)))
    )
    scars = tuple(ruin(rng, change.building) for change in changes if change.status == "gone")
    mud = Region(
        "flood", water, spectrum("93805f", 0.1), spectrum("84745a", 0.08), strength=0.35, ragged_m=3.0, over=True
    )
    after = replace(
        layout, sun=Sun(2.75, 0.66), regions=(*layout.regions, *scars, mud), buildings=standing, blocks=blocks,
        trees=tuple(tree for tree in layout.trees if rng.random() < 0.97),
    )  # fmt: skip
    return after, changes


def new_houses(buildings: tuple[Building, ...]) -> list[Building]:
    """Houses built since, where there was room."""
    plans = shapely.union_all([footprint(body) for body in buildings]).buffer(3.0)
    colours = ("a4553b", "7d766d", "b5795c", "a0553d", "c9ccd0", "8e5140")
    places = (
        (226.0, 418.0, 0.3),
        (230.0, 446.0, 0.2),
        (250.0, 462.0, 0.2),
        (352.0, 486.0, 0.1),
        (336.0, 478.0, 0.1),
        (198.0, 448.0, 1.4),
    )
    houses = []
    for (x, y, angle), colour in zip(places, colours, strict=True):
        house = Building(x, y, (12.0, 8.5), angle, "hip", spectrum(colour, 0.3), 4.0, 0.5, clutter=0.2)
        houses += [] if footprint(house).intersects(plans) else [house]
    return houses


def flood_outline(rng: np.random.Generator) -> np.ndarray:
    """The river's banks pushed out unevenly."""
    wobble = np.convolve(rng.normal(0, 1, len(RIVER) + 12), np.ones(13) / 13, "valid")
    width = RIVER_WIDTH_M + 52 + 70 * np.clip(wobble * 2.2, -0.5, 1.2)
    outline = shapely.union_all(
        [
            shapely.Point(*p).buffer(w / 2)
            for p, w in zip(
                densified(RIVER), np.interp(np.linspace(0, 1, 400), np.linspace(0, 1, len(width)), width), strict=True
            )
        ]
    )
    return np.asarray(outline.simplify(0.4).exterior.coords)


def densified(path: np.ndarray, count: int = 400) -> np.ndarray:
    """A path with evenly numbered points between its own."""
    t, s = np.linspace(0, 1, count), np.linspace(0, 1, len(path))
    return np.stack([np.interp(t, s, path[:, 0]), np.interp(t, s, path[:, 1])], axis=1)


def ruin(rng: np.random.Generator, body: Building) -> Region:
    """The bare ground where a house stood."""
    return Region(
        "ruin",
        rectangle((body.x, body.y), (body.size_m[0] + 2, body.size_m[1] + 2), body.angle),
        pick(rng, "soil"),
        pick(rng, "rubble"),
        strength=0.6,
        ragged_m=0.8,
    )


def village_pictures() -> tuple[World, World, list[Change]]:
    """Both village pictures and the changes between them."""
    layout, buildings = village_before()
    later, changes = village_after(layout, buildings)
    june = Sensor(
        haze=(0.006, 0.008, 0.012, 0.003), blur_px=0.45, noise=0.0, brightness=0.43, black=0.7, saturation=0.84
    )
    july = replace(
        june, haze=(0.010, 0.013, 0.018, 0.004), brightness=0.45, saturation=0.78, cast=(1.03, 1.0, 0.97, 1.0)
    )
    before = photograph(layout, june, np.random.default_rng(11), side=SIDE, supersample=2)
    after = photograph(later, july, np.random.default_rng(11), side=SIDE, supersample=2)
    return before, after, changes


def farmland_picture() -> tuple[World, np.ndarray]:
    """Four 16-bit bands (blue, green, red, near infrared; reflectance times 4,000), 0 where there is no data."""
    rng = np.random.default_rng(98)
    layout = replace(farmland(rng, FARM_SIDE * 3.0), sun=Sun(2.5, 0.9))
    clear = Sensor(haze=(0.010, 0.014, 0.022, 0.004), blur_px=0.5, noise=0.003, brightness=0.42, black=0.6)
    world = photograph(layout, clear, np.random.default_rng(32), side=FARM_SIDE, reflectance=True, supersample=2)
    bands = np.clip(np.asarray(world.reflectance)[[2, 1, 0, 3]] * FARM_SCALE + 0.5, 1, FARM_SCALE).astype(np.uint16)
    bands[:, outside_swath()] = NODATA
    return world, bands


def outside_swath() -> np.ndarray:
    """The corner that the satellite did not see."""
    y, x = np.mgrid[:FARM_SIDE, :FARM_SIDE]
    return x + 0.35 * y > 1.12 * FARM_SIDE


def truth(labels: np.ndarray, classes: tuple[str, ...], transform: Affine, crs: str) -> gpd.GeoDataFrame:
    """Instances as polygons in the scene's CRS, their outlines within 0.45 pixels of the masks' edges.

    Pixel centres lie half a pixel from every edge, so the polygons still rasterize to exactly the masks.
    """
    rows = [(int(value), shapely.geometry.shape(geometry)) for geometry, value in shapes(labels, mask=labels > 0)]
    rows.sort(key=lambda row: row[0])
    ids = [number for number, _ in rows]
    geometry = gpd.GeoSeries([outline for _, outline in rows]).simplify(0.45).affine_transform(transform.to_shapely())
    return gpd.GeoDataFrame({"id": ids, "class": [classes[i - 1] for i in ids]}, geometry=geometry.array, crs=crs)


def footprint(body: Building) -> shapely.Geometry:
    """Plan of a building in metres from the scene's top-left corner."""
    parts = [shapely.Polygon(rectangle((body.x, body.y), body.size_m, body.angle))]
    if body.form == "round":
        parts = [shapely.Point(body.x, body.y).buffer(body.size_m[0] / 2)]
    cos, sin = np.cos(body.angle), np.sin(body.angle)
    for along, across, length, width in body.wings:
        centre = (body.x + along * cos - across * sin, body.y + along * sin + across * cos)
        parts.append(shapely.Polygon(rectangle(centre, (width, length), body.angle)))
    return shapely.union_all(parts)


def footprints(changes: list[Change]) -> gpd.GeoDataFrame:
    """Every building of either date with what became of it."""
    metres = VILLAGE * Affine.scale(SIDE / EXTENT_M)
    plans = gpd.GeoSeries([footprint(change.building) for change in changes]).affine_transform(metres.to_shapely())
    ids, status = range(1, len(changes) + 1), [change.status for change in changes]
    frame = gpd.GeoDataFrame({"id": ids, "status": status}, geometry=plans.array, crs=VILLAGE_CRS)
    scene = shapely.box(*array_bounds(SIDE, SIDE, VILLAGE))
    return frame[frame.intersects(scene)].reset_index(drop=True)


def write_scene(path: Path, bands: np.ndarray, transform: Affine, crs: str, **options) -> None:
    """A compressed, tiled GeoTIFF without a time stamp."""
    count, height, width = bands.shape
    profile = {
        "driver": "GTiff",
        "count": count,
        "height": height,
        "width": width,
        "dtype": bands.dtype,
        "crs": crs,
        "transform": transform,
    }
    with rasterio.open(path, "w", **profile, tiled=True, blockxsize=256, blockysize=256, **options) as file:
        file.write(bands)
        if count == 4:
            file.colorinterp = [ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined]
            file.descriptions = ("blue", "green", "red", "nir")


def make(folder: Path) -> None:
    """Write all files into a folder, the same bytes each time."""
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2026-01-01T00:00:00.000Z"})
    before, after, changes = village_pictures()
    write_scene(
        folder / "village_before.tif",
        before.pixels,
        VILLAGE,
        VILLAGE_CRS,
        compress="webp",
        webp_lossless=True,
        photometric="rgb",
    )
    write_scene(
        folder / "village_after.tif",
        after.pixels,
        VILLAGE,
        VILLAGE_CRS,
        compress="webp",
        webp_lossless=True,
        photometric="rgb",
    )
    path = folder / "village_truth.gpkg"
    path.unlink(missing_ok=True)
    truth(before.labels, before.classes, VILLAGE, VILLAGE_CRS).to_file(path, layer="before")
    later = truth(after.labels, after.classes, VILLAGE, VILLAGE_CRS)
    later[later["class"].isin(AFTER_CLASSES)].to_file(path, layer="after")
    buildings = footprints(changes)
    buildings.to_file(path, layer="changes")
    write_prompts(folder, before, buildings)
    world, bands = farmland_picture()
    write_scene(
        folder / "farmland.tif", bands, FARM, FARM_CRS, compress="deflate", predictor=2, zlevel=9, nodata=NODATA
    )
    path = folder / "farmland_truth.gpkg"
    path.unlink(missing_ok=True)
    truth(np.where(bands[0] == NODATA, 0, world.labels).astype(np.int32), world.classes, FARM, FARM_CRS).to_file(
        path, layer="truth"
    )


def write_prompts(folder: Path, before: World, buildings: gpd.GeoDataFrame) -> None:
    """Points on objects of the first picture, and footprints of an old map: shifted, and some missing."""
    objects = truth(before.labels, before.classes, VILLAGE, VILLAGE_CRS)
    chosen = objects[objects.area > 60].groupby("class").head(6).sort_values("id")
    points = gpd.GeoDataFrame(
        {"id": chosen["id"], "class": chosen["class"], "label": 1},
        geometry=chosen.representative_point(),
        crs=VILLAGE_CRS,
    )
    (folder / "points.gpkg").unlink(missing_ok=True)
    points.to_file(folder / "points.gpkg", layer="points")
    old = buildings[buildings["status"] != "new"]
    old = old[old["id"] % 11 != 0].drop(columns="status")
    old = old.set_geometry(old.translate(1.6, -1.1))
    (folder / "old_footprints.gpkg").unlink(missing_ok=True)
    old.to_file(folder / "old_footprints.gpkg", layer="footprints")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
