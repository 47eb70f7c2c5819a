"""Prompted mode end to end, with a perfect network: what is asked for is found, however and wherever it is said."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from geopandas import GeoDataFrame
from geopandas.testing import assert_geodataframe_equal
from rasterio.features import rasterize
from scipy import ndimage

import geosam
from geosam import Prompts
from geosam.scene import Scene
from geosam.sinks import read_layer
from geosam.testing import StubNetwork, TruthNetwork, WatchedNetwork, blob_labels, coordinate_scene, label_scene

SAMPLE = Path(__file__).parents[1] / "sample_data"
SHAPE = (200, 240)
SIDE = 64
WINDOWS = {"overlap": 16}
TURNED = Affine.translation(500_000, 5_000_000) @ Affine.rotation(25) @ Affine.scale(0.5, -0.5)
OBLIQUE = "+proj=omerc +lat_0=45 +lonc=3 +alpha=30 +gamma=0 +k=1 +x_0=0 +y_0=0 +ellps=GRS80 +units=m"
CRSS = ("EPSG:4326", "EPSG:3857", "EPSG:32632", "EPSG:3035", "EPSG:6933", "OGC:CRS84", OBLIQUE)
"""Longitude and latitude twice, Mercator, the neighbouring UTM zone, two equal-area ones, and one of nobody's list."""


Counting = partial(WatchedNetwork, side=SIDE)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """Two objects larger than a window, the first two, and some that fit."""
    return blob_labels(SHAPE, count=14, large=2, seed=10)


@pytest.fixture
def scene(tmp_path: Path, truth: np.ndarray) -> Scene:
    return geosam.open_scene(label_scene(tmp_path / "scene.tif", truth))


def places_inside(truth: np.ndarray) -> np.ndarray:
    """For each object the centre of the pixel that lies deepest inside it, ``(x, y)``."""
    places = []
    for label in range(1, truth.max() + 1):
        depth = ndimage.distance_transform_edt(np.pad(truth == label, 1))[1:-1, 1:-1]
        row, col = np.unravel_index(depth.argmax(), depth.shape)
        places.append((col + 0.5, row + 0.5))
    return np.array(places)


def boxes_of(truth: np.ndarray) -> np.ndarray:
    """``xyxy`` bounds of each object."""
    slices = ndimage.find_objects(truth)
    return np.array([[cols.start, rows.start, cols.stop, rows.stop] for rows, cols in slices], float)


def outlines_of(truth: np.ndarray) -> list[shapely.Geometry]:
    """The outline of each object, in pixels."""
    found = rasterio.features.shapes(truth, mask=truth > 0)
    parts = {int(label): shapely.geometry.shape(outline) for outline, label in found}
    return [parts[label] for label in range(1, truth.max() + 1)]


def drawn(polygon: shapely.Geometry, scene: Scene) -> np.ndarray:
    return rasterize(scene.to_px(np.array([polygon], object)), out_shape=scene.shape, dtype="uint8") > 0


def rows(table: GeoDataFrame) -> tuple[list[bytes], str]:
    """All of a table's content."""
    return table.geometry.to_wkb().tolist(), table.drop(columns="geometry").to_csv(float_format="%.17g")


# ------------------------------------------------------------------------------------------------------------- where


@pytest.mark.parametrize("transform", [None, TURNED], ids=["north up", "turned"])
def test_prompts_in_any_crs_give_the_same_mask(tmp_path: Path, truth: np.ndarray, transform: Affine | None):
    grid = {"transform": transform} if transform else {}
    scene = geosam.open_scene(label_scene(tmp_path / "scene.tif", truth, **grid))
    small = range(2, 8)
    shapes = {
        "points": shapely.points(places_inside(truth)[small]),
        "boxes": shapely.segmentize(shapely.box(*boxes_of(truth)[small].T), 1),
        "polygons": shapely.segmentize(np.array(outlines_of(truth))[small], 1),
    }
    answers = []
    for crs in (None, *CRSS):
        there = {kind: gpd.GeoSeries(scene.to_world(some), crs=scene.crs) for kind, some in shapes.items()}
        there = {kind: some.to_crs(crs) if crs else some for kind, some in there.items()}
        asked = Prompts.join(
            Prompts.from_features(there["points"], scene),
            Prompts.from_boxes(there["boxes"], scene),
            Prompts.from_features(there["polygons"], scene),
        )
        answers.append(rows(geosam.segment(scene, asked, model=TruthNetwork(side=SIDE), **WINDOWS)))
    for answer in answers[1:]:
        assert answer == answers[0]
    found = [drawn(polygon, scene) for polygon in shapely.from_wkb(answers[0][0])]
    assert len(found) == 3 * len(small)
    for number, mask in enumerate(found):
        np.testing.assert_array_equal(mask, truth == small[number % len(small)] + 1)


def test_a_file_of_prompts_is_read_in_its_own_crs_and_keeps_ids_and_attributes(
    tmp_path: Path, scene: Scene, truth: np.ndarray
):
    outlines = gpd.GeoDataFrame(
        {"parcel": ["c", "a", "b"], "crop": ["rye", None, "oat"]},
        geometry=scene.to_world(np.array(outlines_of(truth))[[4, 2, 6]]),
        crs=scene.crs,
    )
    outlines.to_crs(4326).to_file(tmp_path / "old.gpkg")
    asked = Prompts.from_features(tmp_path / "old.gpkg", scene, id_column="parcel")
    table = geosam.segment(scene, asked, model=TruthNetwork(side=SIDE), **WINDOWS)
    assert table["prompt_id"].tolist() == ["c", "a", "b"]
    assert table["crop"].fillna("-").tolist() == ["rye", "-", "oat"]
    for polygon, number in zip(table.geometry, (4, 2, 6), strict=True):
        np.testing.assert_array_equal(drawn(polygon, scene), truth == number + 1)


# ------------------------------------------------------------------------------------------------- larger than a window


@pytest.mark.parametrize("kind", ["click", "box", "polygon"])
def test_an_object_larger_than_a_window_is_found_whole(scene: Scene, truth: np.ndarray, kind: str):
    for number in (0, 1):
        asked = {
            "click": lambda n=number: Prompts.from_points(places_inside(truth)[n], scene, crs="px"),
            "box": lambda n=number: Prompts.from_boxes(boxes_of(truth)[n], scene, crs="px"),
            "polygon": lambda n=number: Prompts.from_features(outlines_of(truth)[n], scene, crs="px"),
        }[kind]()
        (polygon,) = geosam.segment(scene, asked, model=TruthNetwork(side=SIDE), **WINDOWS).geometry
        found, wanted = drawn(polygon, scene), truth == number + 1
        assert max(np.ptp(np.nonzero(wanted), axis=1)) > 1.3 * SIDE
        for one, other in ((found, wanted), (wanted, found)):  # as sharp as a view with pixels of 4 px is
            assert ndimage.distance_transform_edt(~other)[one].max() < 6


# -------------------------------------------------------------------------------------------------- each window once


def all_kinds(scene: Scene, truth: np.ndarray) -> Prompts:
    """Every object by a click, by its box and by its outline."""
    return Prompts.join(
        Prompts.from_points(places_inside(truth), scene, crs="px"),
        Prompts.from_boxes(boxes_of(truth), scene, crs="px"),
        Prompts.from_features(outlines_of(truth), scene, crs="px"),
    )


def test_each_window_of_each_level_is_encoded_once_for_all_kinds_of_prompts(
    tmp_path: Path, scene: Scene, truth: np.ndarray
):
    network = Counting()
    asked = all_kinds(scene, truth)
    report = geosam.segment_to_file(scene, tmp_path / "out.gpkg", asked, model=network, **WINDOWS)
    assert len({pixels.tobytes() for pixels in network.windows}) == len(network.windows)
    assert len(network.windows) == report.encoded == report.windows
    assert report.objects == len(asked)


@dataclass(frozen=True)
class Together(TruthNetwork):
    """A perfect network that counts prompts which it is asked together, in crops."""

    together: list[int] = field(default_factory=list, compare=False)

    def decode_rois(self, features, prompts, *, multimask=True, batched=False):
        self.together.extend([len(prompts)] * batched)
        return super().decode_rois(features, prompts, multimask=multimask, batched=batched)


def test_boxes_and_polygons_are_answered_together_where_speed_is_asked_for(scene: Scene, truth: np.ndarray):
    boxes = Prompts.from_boxes(boxes_of(truth), scene, crs="px")
    asked = Prompts.join(boxes, Prompts.from_features(outlines_of(truth), scene, crs="px"))
    slow, quick = Together(side=SIDE), Together(side=SIDE)
    plain = geosam.segment(scene, asked, model=slow, **WINDOWS)
    fast = geosam.segment(scene, asked, model=quick, speed="fast", **WINDOWS)
    assert rows(fast) == rows(plain)
    assert (sum(slow.together), sum(quick.together)) == (0, len(asked))


@pytest.mark.parametrize("refine", [0, 1])
def test_answered_together_masks_are_as_good_as_alone(refine: int):
    scene = geosam.open_scene(SAMPLE / "village_before.tif")
    known = gpd.read_file(SAMPLE / "village_truth.gpkg", layer="before")
    known = known[known["class"] == "building"].iloc[::6]
    plain, fast, again = (geosam.segment(scene, known, speed=speed, refine=refine) for speed in (None, "fast", "fast"))
    assert rows(fast) == rows(again)
    assert fast.prompt_id.tolist() == plain.prompt_id.tolist()
    truth = known.geometry.to_numpy()
    first, second = (
        shapely.area(shapely.intersection(found, truth)) / shapely.area(shapely.union(found, truth))
        for found in (plain.geometry.to_numpy(), fast.geometry.to_numpy())
    )
    assert second.mean() > first.mean() - 0.01


def test_a_thousand_clicks_need_as_many_passes_as_one_in_each_window(tmp_path: Path):
    scene = geosam.open_scene(coordinate_scene(tmp_path / "scene.tif", (512, 512)))
    rng = np.random.default_rng(0)
    discs = np.stack(np.meshgrid(np.arange(8), np.arange(8)), axis=-1).reshape(-1, 2) * 64 + 32
    clicks = discs[rng.integers(0, len(discs), 1000)] + rng.uniform(-12, 12, (1000, 2))
    asked = Prompts.from_points(clicks, scene, crs="px")
    report = geosam.segment_to_file(scene, tmp_path / "out.gpkg", asked, model=StubNetwork(side=256), overlap=64)
    assert report.objects == 1000
    assert report.encoded == report.windows == 9


def test_objects_are_written_in_tables_that_agree_and_labels_drawn_only_where_asked_for(
    scene: Scene, truth: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    clicks = gpd.GeoSeries(scene.to_world(shapely.points(places_inside(truth))), crs=scene.crs)
    names = [str(number) if number < 7 else f"roof {number}" for number in range(len(clicks))]
    asked = Prompts.from_features(gpd.GeoDataFrame({"name": names}, geometry=clicks), scene, id_column="name")
    whole = geosam.segment(scene, asked, model=Counting(), **WINDOWS)
    monkeypatch.setattr("geosam.pipeline.prompted.ROWS", 3)
    monkeypatch.setattr("geosam.pipeline.prompted.rasterize", None)
    assert_geodataframe_equal(geosam.segment(scene, asked, model=Counting(), **WINDOWS), whole)
    out = tmp_path / "out.gpkg"
    geosam.segment_to_file(scene, out, asked, model=Counting(), **WINDOWS)
    assert read_layer(out)["prompt_id"].tolist() == whole["prompt_id"].tolist() == names


def test_prompts_where_the_scene_has_no_data_need_no_pass_and_are_reported(tmp_path: Path, truth: np.ndarray):
    valid = np.zeros(SHAPE, bool)
    valid[:, :60] = True
    scene = geosam.open_scene(label_scene(tmp_path / "scene.tif", truth, valid=valid))
    clicks = Prompts.from_points([[200.0, 100.0], [230.0, 20.0]], scene, crs="px")
    network = Counting()
    report = geosam.segment_to_file(scene, tmp_path / "out.gpkg", clicks, model=network, **WINDOWS)
    assert len(network.windows) == report.encoded == report.objects == 0
    assert report.empty == report.windows == 2
    assert [prompt for prompt, _ in report.skipped] == [0, 1]


# ------------------------------------------------------------------------------------------------- same bytes, resumed


def test_an_interrupted_run_goes_on_over_all_levels_and_gives_the_same_files(
    tmp_path: Path, scene: Scene, truth: np.ndarray
):
    asked = all_kinds(scene, truth)
    files = []
    whole = Counting()
    for stop in (None, 1, 6, -2, -1):
        folder = tmp_path / f"stopped-{stop}"
        folder.mkdir()
        out, labels = folder / "out.gpkg", folder / "out.tif"
        if stop is None:
            report = geosam.segment_to_file(scene, out, asked, labels=labels, model=whole, **WINDOWS)
            assert (report.resumed, report.encoded) == (0, len(whole.windows))
        else:
            done = stop % len(whole.windows)
            with pytest.raises(KeyboardInterrupt):
                geosam.segment_to_file(scene, out, asked, labels=labels, model=Counting(stop_after=done), **WINDOWS)
            assert [path.name for path in folder.iterdir()] == [".out.gpkg.geosam-journal"]
            report = geosam.segment_to_file(scene, out, asked, labels=labels, model=Counting(), **WINDOWS)
            assert (report.resumed, report.encoded) == (done, len(whole.windows) - done)
        assert sorted(path.name for path in folder.iterdir()) == ["out.gpkg", "out.tif"]
        files.append((out.read_bytes(), labels.read_bytes()))
    assert all(pair == files[0] for pair in files[1:])
