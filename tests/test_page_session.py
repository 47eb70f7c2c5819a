"""A session in a real browser with the real program: control points, and borders that objects share."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.control import GroundControlPoint
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from tests.front.browser import ROOT, Hand, chromium
from tests.front.doors import served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # of the browser's driver
]

VILLAGE = ROOT / "sample_data" / "village_before.tif"
CORNER, SIDE = (320, 256), 512
"""Where the scene with control points lies in the village, in pixels."""
ROOF = (586.0 - CORNER[0], 475.0 - CORNER[1])
PIXEL_M = 0.5


@contextmanager
def opened(scene: Path, session: Path, *options: str) -> Iterator[Hand]:
    pytest.importorskip("uvicorn")
    with served(scene, session, *options) as page, chromium() as browser:
        hand = Hand(browser.new_page(viewport={"width": 1200, "height": 800}))
        hand.page.set_default_timeout(30_000)
        hand.page.goto(page.address)
        yield hand.wait_ready()
        assert hand.errors == []


def to_world(xy: np.ndarray) -> np.ndarray:
    """What the control points say: turned by 40 degrees, and bent by 12 m."""
    x, y = PIXEL_M * xy[:, 0], -PIXEL_M * xy[:, 1]
    turn = np.radians(40)
    east, north = np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y
    return np.stack([500_000 + east + 12 * (y / 256) ** 2, 5_000_000 + north + 6 * (x / 256) ** 2], axis=1)


def with_control_points(folder: Path) -> Path:
    """A part of the village that nothing but control points places."""
    path = folder / "gcps.tif"
    with rasterio.open(VILLAGE) as source:
        pixels = source.read(window=Window(*CORNER, SIDE, SIDE))
    places = np.stack(np.meshgrid(*[np.linspace(0, SIDE, 5)] * 2), axis=-1).reshape(-1, 2)
    points = [
        GroundControlPoint(row=y, col=x, x=e, y=n)
        for (x, y), (e, n) in zip(places.tolist(), to_world(places).tolist(), strict=True)
    ]
    kind = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", **kind) as target:
        target.write(pixels)
        target.gcps = points, rasterio.CRS.from_epsg(32633)
    return path


def test_a_scene_by_control_points_is_clicked_saved_and_opened_again(tmp_path: Path):
    scene, session = with_control_points(tmp_path), tmp_path / "s.gpkg"
    with opened(scene, session) as hand:
        hand.page.wait_for_selector(".leaflet-tile-loaded")
        hand.click(*ROOF)
        hand.until("app.hand.answer?.exact")
        hand.press("Enter")
        (saved,) = hand.saved(1)
    drawn = shapely.Polygon(saved["shape"]["coordinates"][0])
    assert drawn.contains(shapely.Point(ROOF))
    (world,) = gpd.read_file(session, layer="objects").geometry
    away = shapely.hausdorff_distance(world.boundary, shapely.transform(drawn.boundary, to_world))
    assert away < PIXEL_M, f"{away / PIXEL_M:.2f} px from where the control points say"
    with opened(scene, session) as hand:
        (again,) = hand.saved(1)
        assert again["shape"] == saved["shape"]
        hand.move(*ROOF)
        hand.until("app.state.objectAt(app.state.pointer) === value", saved["id"])


def pieces(folder: Path) -> Path:
    """Three fields that share borders: two side by side, and one below both."""
    with rasterio.open(VILLAGE) as raster:
        to_crs, crs = raster.transform, raster.crs
    shapes = [shapely.box(300, 300, 400, 400), shapely.box(400, 300, 500, 400), shapely.box(300, 400, 500, 450)]
    table = gpd.GeoDataFrame({"class": "field"}, geometry=shapes, index=range(3), crs=crs)
    table.geometry = table.geometry.affine_transform(to_crs.to_shapely())
    table.to_file(folder / "pieces.gpkg")
    return folder / "pieces.gpkg"


AREA = 200 * 150


def shapes_of(hand: Hand) -> dict[int, BaseGeometry]:
    objects = hand.run("[...app.state.objects.values()]")
    return {one["id"]: shapely.Polygon(one["shape"]["coordinates"][0]) for one in objects}


def fit(shapes: dict[int, BaseGeometry], area: float) -> bool:
    """Whether shapes cover an area without a gap and without an overlap."""
    union = shapely.union_all(list(shapes.values()))
    whole = len(shapely.get_rings(union)) == 1
    return whole and union.area == pytest.approx(area) == sum(shape.area for shape in shapes.values())


def move_and_add_vertices(hand: Hand) -> None:
    """One where all three meet, which lies on an edge of the lower one; and one more on the edge of two."""
    hand.run("app.map.leaflet.setView([380, 400], 1, { animate: false }) && null")
    hand.press("v")
    hand.click(350, 350)
    hand.press("d")
    hand.drag((400, 400), (406, 395), (412, 388))
    hand.until("[...app.state.objects.values()].filter(({ origin }) => origin === 'edit').length === 3")
    assert fit(shapes_of(hand), AREA)
    hand.drag((405.5, 340), (399, 343), (391, 345))
    hand.until("[1, 2].every((id) => app.state.objects.get(id).shape.coordinates[0].length === 6)")
    hand.press("Escape", "Escape")


def cut_the_lower_one(hand: Hand) -> None:
    """Along a line that ends within the upper one, whose border gets the vertex of the cut."""
    hand.press("k")
    hand.click(360, 380)
    hand.click(350, 470)
    hand.press("Enter")
    hand.saved(4)
    places = {number: set(map(tuple, shapely.get_coordinates(shape))) for number, shape in shapes_of(hand).items()}
    (fresh,) = [place for place in places[3] & places[4] if place[1] < 405]
    assert fresh in places[1]
    hand.press("Escape")


def join_two(hand: Hand) -> None:
    hand.press("v")
    hand.click(450, 350)
    hand.click(460, 430, held="Shift")
    hand.press("j")
    hand.saved(3)
    assert hand.page.evaluate("() => String(getSelection())") == "", "Shift has selected text of the page"
    hand.press("Escape", "Escape")


def open_again_and_leave_as_it_was(hand: Hand) -> None:
    hand.move(350, 350)
    hand.press("e")
    hand.until("app.hand.object === 1 && app.hand.answer?.shape")
    assert shapely.Polygon(hand.run("app.hand.answer.shape.coordinates")[0]) == shapes_of(hand)[1]
    hand.press("Enter")
    hand.until("app.hand.isEmpty")


def test_borders_stay_shared_through_vertices_cuts_joins_and_opening_again(tmp_path: Path):
    scene, session = Path(shutil.copy(VILLAGE, tmp_path)), tmp_path / "s.gpkg"
    with opened(scene, session, "--labels", str(pieces(tmp_path))) as hand:
        hand.saved(3)
        for change in (move_and_add_vertices, cut_the_lower_one, join_two, open_again_and_leave_as_it_was):
            change(hand)
            assert fit(shapes_of(hand), AREA), change.__name__
        before = shapes_of(hand)
    with opened(scene, session) as hand:
        hand.saved(3)
        assert shapes_of(hand) == before
        for _ in range(4):
            hand.press("Control+z")
        hand.until("[...app.state.objects.values()].every(({ origin }) => origin === 'file')")
        assert fit(hand.saved(3) and shapes_of(hand), AREA)
