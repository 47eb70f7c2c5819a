"""The whole flow with a perfect network: whatever is not the truth is the pipeline's fault."""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from geopandas import GeoDataFrame, read_file
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.features import rasterize
from shapely import union_all

import geosam
from geosam.errors import OptionError, SceneReadError, StoreError
from geosam.scene import Scene
from geosam.segmenter import Capabilities
from geosam.store import EmbeddingStore
from geosam.testing import TruthNetwork, WatchedNetwork, blob_labels, label_scene, parcel_labels

SHAPE = (300, 380)
SMALL = {"spacing_px": 12, "overlap": 32}


Counting = partial(WatchedNetwork, side=128)
Together = partial(Counting, capabilities=Capabilities(max_windows=3))
"""A network that takes three windows at once, as a graphics card does."""


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return blob_labels(SHAPE, count=25, large=2, seed=4)


@pytest.fixture
def path(tmp_path: Path, truth: np.ndarray) -> Path:
    return label_scene(tmp_path / "scene.tif", truth)


def drawn(table: GeoDataFrame, scene: Scene) -> np.ndarray:
    """The polygons as labels on the scene's grid."""
    shapes = zip(scene.to_px(table.geometry), table["object_id"].tolist(), strict=True)
    return rasterize(shapes, out_shape=scene.shape, dtype="int32") if len(table) else np.zeros(scene.shape, np.int32)


def assert_same_objects(found: np.ndarray, truth: np.ndarray) -> None:
    """Pixel for pixel the same objects, whatever their numbers: none split, none merged."""
    pairs = np.unique(np.stack([found.ravel(), truth.ravel()]), axis=1)
    for side in pairs:
        numbers, counts = np.unique(side, return_counts=True)
        assert (counts == 1).all(), f"{np.count_nonzero(counts > 1)} of {len(numbers)} are not one to one"
    assert (0 in pairs[0]) == (0 in pairs[1])
    assert (0, 0) in set(zip(*pairs.tolist(), strict=True)) or 0 not in pairs


def rows(table: GeoDataFrame) -> tuple[list[bytes], str]:
    """All of a table's content."""
    return table.geometry.to_wkb().tolist(), table.drop(columns="geometry").to_csv(float_format="%.17g")


def layer(path: Path) -> list[tuple]:
    """All rows of a GeoPackage's layer, geometry blobs included."""
    with sqlite3.connect(path) as database:
        name = database.execute("select table_name from gpkg_contents where data_type = 'features'").fetchone()[0]
        found = database.execute(f'select * from "{name}" order by fid').fetchall()
    database.close()
    return found


def leftovers(folder: Path) -> set[str]:
    """What lies in a folder beside the scene."""
    return {entry.name for entry in folder.iterdir()} - {"scene.tif", "store"}


def interrupt(*_: object, **__: object) -> None:
    """Ctrl-C in the middle of whatever this stands for."""
    raise KeyboardInterrupt


# --------------------------------------------------------------------------------------------------------------- law


@pytest.mark.slow
@given(
    shape=st.tuples(st.integers(40, 70), st.integers(40, 80)),
    draw=st.sampled_from([parcel_labels, blob_labels]),
    count=st.integers(1, 15),
    seed=st.integers(0, 999),
    side=st.integers(32, 90),
    overlap=st.integers(8, 16),
)
@settings(max_examples=5)
def test_a_perfect_network_gives_back_the_truth_whatever_the_objects_and_the_windows(
    shape: tuple[int, int], draw: Callable[..., np.ndarray], count: int, seed: int, side: int, overlap: int
):
    truth = draw(shape, count=count, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        scene = geosam.open_scene(label_scene(f"{folder}/scene.tif", truth))
        table = geosam.segment(scene, model=TruthNetwork(side=side), spacing_px=2, overlap=overlap)
        assert_same_objects(drawn(table, scene), truth)
    assert len(table) == truth.max()
    assert table.geometry.is_valid.all()


@pytest.mark.slow
@pytest.mark.parametrize(("side", "overlap"), [(96, 32), (512, 64)])
def test_a_perfect_network_gives_back_the_truth_through_any_windows(
    path: Path, truth: np.ndarray, side: int, overlap: int
):
    scene = geosam.open_scene(path)
    table = geosam.segment(scene, model=TruthNetwork(side=side), spacing_px=6, overlap=overlap)
    assert_same_objects(drawn(table, scene), truth)
    assert len(table) == truth.max()
    assert table.geometry.is_valid.all()


@pytest.mark.slow
@pytest.mark.parametrize(("side", "count"), [(96, 30), (128, 6)])
def test_parcels_that_cover_everything_come_back_also_when_larger_than_a_window(tmp_path: Path, side: int, count: int):
    truth = parcel_labels(SHAPE, count=count, seed=2)
    scene = geosam.open_scene(label_scene(tmp_path / "scene.tif", truth))
    table = geosam.segment(scene, model=TruthNetwork(side=side), **SMALL)
    assert_same_objects(drawn(table, scene), truth)
    assert len(table) == count
    assert table["touches_edge"].any()


@pytest.mark.slow
def test_simplified_parcels_leave_no_gap_and_do_not_overlap(tmp_path: Path):
    scene = geosam.open_scene(label_scene(tmp_path / "scene.tif", parcel_labels(SHAPE, count=20)))
    exact = geosam.segment(scene, model=TruthNetwork(side=128), **SMALL)
    table = geosam.segment(scene, model=TruthNetwork(side=128), simplify=1.0, **SMALL)
    corners = [sum(len(g.wkb) for g in each.geometry) for each in (exact, table)]
    assert corners[1] < corners[0] / 2
    whole = SHAPE[0] * SHAPE[1] / 4
    assert union_all(table.geometry.to_numpy()).area == pytest.approx(whole, abs=1e-4)
    assert table.geometry.area.sum() == pytest.approx(whole, abs=1e-4)


def test_area_limits_hold_for_whole_objects(path: Path, truth: np.ndarray, tmp_path: Path):
    scene = geosam.open_scene(path)
    sizes = np.bincount(truth.ravel())[1:] / 4
    low, high = np.sort(sizes)[[5, -2]] * [1.05, 1.05]  # m²; the ground measures up to 0.1 % otherwise than the grid
    report = geosam.segment_to_file(
        scene,
        tmp_path / "out.gpkg",
        labels=tmp_path / "out.tif",
        model=TruthNetwork(side=96),
        min_area=low,
        max_area=high,
        **SMALL,
    )
    kept = (sizes >= low) & (sizes <= high)
    assert report.objects == kept.sum() > 3
    wanted = np.where(np.concatenate([[False], kept])[truth], truth, 0)
    with rasterio.open(tmp_path / "out.tif") as labels:
        assert_same_objects(labels.read(1), wanted)
    assert_same_objects(drawn(read_file(tmp_path / "out.gpkg", layer="out"), scene), wanted)


def test_windows_without_data_are_skipped_and_objects_that_end_there_say_so(tmp_path: Path, truth: np.ndarray):
    valid = np.ones(SHAPE, bool)
    valid[:, 200:] = False
    path = label_scene(tmp_path / "scene.tif", truth, valid=valid)
    network = Counting(side=96)
    report = geosam.segment_to_file(path, tmp_path / "out.gpkg", model=network, **SMALL)
    assert report.empty > 0
    assert len(network.windows) == report.encoded == report.windows - report.empty
    table, scene = read_file(tmp_path / "out.gpkg", layer="out"), geosam.open_scene(path)
    assert_same_objects(drawn(table, scene), np.where(valid, truth, 0))
    right = scene.to_px(table.geometry)
    ends = np.array([shape.bounds[2] == 200 for shape in right])
    np.testing.assert_array_equal(table["touches_nodata"], ends)
    assert ends.any()
    assert not ends.all()


# ------------------------------------------------------------------------------------------------------------ frames


def _scene_in(folder: Path, labels: np.ndarray, place: str) -> Path:
    transforms = {"rotated": Affine.translation(5e5, 5e6) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)}
    path = label_scene(folder / "scene.tif", labels, transform=transforms.get(place, Affine(0.5, 0, 5e5, 0, -0.5, 5e6)))
    if place in ("rotated", "plain"):
        return path
    with rasterio.open(path) as source:
        pixels, crs = source.read(), source.crs
    h, w = labels.shape
    extra = {}
    if place == "gcps":
        corners = [(0, 0), (0, w), (h, 0), (h, w), (h / 2, w / 3)]
        points = [GroundControlPoint(row=r, col=c, x=5e5 + c / 2, y=5e6 - r / 2) for r, c in corners]
        extra = {"gcps": points, "crs": crs}
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "height": h, "width": w, "photometric": "RGB"}
    path.unlink()
    with rasterio.open(path, "w", **profile, **extra) as target:
        target.write(pixels)
    return path


@pytest.mark.parametrize("place", ["plain", "rotated", "gcps"])
def test_polygons_lie_where_the_pixels_are(tmp_path: Path, place: str):
    labels = np.zeros((160, 200), np.int32)
    labels[40:60, 100:150], labels[120:130, 20:40] = 1, 2
    table = geosam.segment(_scene_in(tmp_path, labels, place), model=TruthNetwork(side=96), **SMALL)
    turn = np.deg2rad(30) if place == "rotated" else 0.0
    for shape, (x, y) in zip(table.geometry, [(125, 50), (30, 125)], strict=True):
        east, north = x / 2, -y / 2
        wanted = 5e5 + east * np.cos(turn) - north * np.sin(turn), 5e6 + east * np.sin(turn) + north * np.cos(turn)
        assert np.hypot(shape.centroid.x - wanted[0], shape.centroid.y - wanted[1]) < 0.02
    np.testing.assert_allclose(table.geometry.area, [250, 50], rtol=1e-3)
    assert table.crs.to_epsg() == 32631


@pytest.mark.filterwarnings("ignore:.*no geotransform.*:rasterio.errors.NotGeoreferencedWarning")
def test_a_scene_without_a_crs_gives_polygons_in_pixels(tmp_path: Path, truth: np.ndarray):
    path = _scene_in(tmp_path, truth, "none")
    table = geosam.segment(path, model=TruthNetwork(side=128), min_area=20, **SMALL)
    assert table.crs is None
    sizes = np.bincount(truth.ravel())[1:]
    assert sorted(table.geometry.area) == sorted(sizes[sizes >= 20])
    assert table["area_m2"].isna().all()


# -------------------------------------------------------------------------------------------------------- same bytes


@pytest.mark.slow
def test_two_runs_give_the_same_bytes_whatever_store_and_journal_hold(path: Path, tmp_path: Path):
    options = {"model": TruthNetwork(side=128), **SMALL}
    first = rows(geosam.segment(path, **options))
    store = EmbeddingStore(tmp_path / "store")
    assert rows(geosam.segment(path, store=store, **options)) == first
    assert rows(geosam.segment(path, store=store, **options)) == first
    layers = []
    for stop in (None, 3):
        out = tmp_path / "out.gpkg"
        if stop:
            with pytest.raises(KeyboardInterrupt):
                geosam.segment_to_file(path, out, **options | {"model": Counting(stop_after=stop)}, overwrite=True)
        report = geosam.segment_to_file(path, out, **options)
        assert report.resumed == (stop or 0)
        layers.append(layer(out))
    assert layers[0] == layers[1]
    assert len(layers[0]) == len(first[0])


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".gpkg", ".parquet"])
def test_the_files_are_the_same_bytes_in_whatever_order_the_windows_are_done(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
):
    rng = np.random.default_rng(0)
    options = {"model": TruthNetwork(side=128), "simplify": 1.0, **SMALL}
    files = []
    for name in ("whole", "odd", "even"):
        folder = tmp_path / name
        folder.mkdir()
        outputs = {"output": folder / f"out{suffix}", "labels": folder / "out.tif"}
        if name != "whole":
            with monkeypatch.context() as patch:
                patch.setattr("rasterio.shutil.copy", interrupt)
                with pytest.raises(KeyboardInterrupt):
                    geosam.segment_to_file(path, **outputs, **options)
            entries = sorted(folder.glob(".*-journal/window-*.npz"))
            for entry in rng.choice(entries, 7, replace=False):
                entry.unlink()
        report = geosam.segment_to_file(path, **outputs, **options)
        assert report.resumed == (0 if name == "whole" else report.windows - 7)
        files.append([output.read_bytes() for output in outputs.values()])
    assert files[0] == files[1] == files[2]


# ------------------------------------------------------------------------------------------------------------- files


def test_nothing_found_is_a_valid_empty_layer(tmp_path: Path):
    path = label_scene(tmp_path / "scene.tif", np.zeros((100, 120), np.int32))
    report = geosam.segment_to_file(
        path, tmp_path / "out.gpkg", labels=tmp_path / "out.tif", model=TruthNetwork(side=64), **SMALL
    )
    table = read_file(tmp_path / "out.gpkg", layer="out")
    assert report.objects == len(table) == 0
    assert table.crs.to_epsg() == 32631
    assert {"object_id", "score", "area_m2", "model"} <= set(table.columns)
    with rasterio.open(tmp_path / "out.tif") as labels:
        assert not labels.read(1).any()
    assert geosam.segment(path, model=TruthNetwork(side=64), **SMALL).empty
    assert leftovers(tmp_path) == {"out.gpkg", "out.tif"}


def test_the_label_raster_is_the_polygons_drawn(path: Path, truth: np.ndarray, tmp_path: Path):
    scene, network = geosam.open_scene(path), TruthNetwork(side=128)
    ys, xs = zip(*[np.argwhere(truth == label)[7] + 0.5 for label in (1, 3, 5)], strict=True)
    clicks = geosam.Prompts.from_points(np.stack([xs, ys], -1), scene, crs="px")
    for prompts in (None, clicks):
        geosam.segment_to_file(
            scene, tmp_path / "out.gpkg", prompts, labels=tmp_path / "out.tif", model=network, **SMALL
        )
        table = read_file(tmp_path / "out.gpkg", layer="out")
        with rasterio.open(tmp_path / "out.tif") as labels:
            np.testing.assert_array_equal(labels.read(1), drawn(table, scene))
        assert len(table) == (truth.max() if prompts is None else 3)


def test_an_interrupted_run_leaves_only_its_journal_and_goes_on(path: Path, tmp_path: Path):
    out, labels = tmp_path / "out.gpkg", tmp_path / "out.tif"
    with pytest.raises(KeyboardInterrupt):
        geosam.segment_to_file(path, out, labels=labels, model=Counting(stop_after=4), **SMALL)
    assert leftovers(tmp_path) == {".out.gpkg.geosam-journal"}
    network = Counting()
    report = geosam.segment_to_file(path, out, labels=labels, model=network, **SMALL)
    assert report.resumed == 4
    assert len(network.windows) == report.encoded == report.windows - 4
    assert leftovers(tmp_path) == {"out.gpkg", "out.tif"}


@pytest.mark.parametrize("late", ["rasterio.shutil.copy", "geosam.sinks.ogr.add_style", "geosam.sinks.picture"])
def test_interrupted_while_it_writes_a_run_leaves_no_output_and_goes_on(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: str
):
    outputs = {"output": tmp_path / "out.gpkg", "labels": tmp_path / "out.tif", "picture": tmp_path / "out.png"}
    options = SMALL | {"spacing_px": 16}
    with monkeypatch.context() as patch:
        patch.setattr(late, interrupt)
        with pytest.raises(KeyboardInterrupt):
            geosam.segment_to_file(path, **outputs, model=Counting(), **options)
    assert leftovers(tmp_path) == {".out.gpkg.geosam-journal"}
    report = geosam.segment_to_file(path, **outputs, overwrite=False, model=Counting(stop_after=0), **options)
    assert report.resumed == report.windows
    assert report.outputs == list(outputs.values())
    assert leftovers(tmp_path) == {"out.gpkg", "out.tif", "out.png"}


@pytest.mark.parametrize(("side", "changes"), [(128, {"spacing_px": 16}), (160, {})])
def test_another_option_or_window_starts_the_journal_anew(path: Path, tmp_path: Path, side: int, changes: dict):
    options = SMALL | {"spacing_px": 15}
    with pytest.raises(KeyboardInterrupt):
        geosam.segment_to_file(path, tmp_path / "out.gpkg", model=Counting(stop_after=4), **options)
    report = geosam.segment_to_file(path, tmp_path / "out.gpkg", model=Counting(side=side), **options | changes)
    assert report.resumed == 0


KILLED = """
import os, signal, sys, geosam
from geosam.testing import TruthNetwork

class Dying(TruthNetwork):
    left = 3
    def encode(self, pixels):
        if Dying.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        Dying.left -= 1
        return super().encode(pixels)

geosam.segment_to_file(sys.argv[1], sys.argv[2], labels=sys.argv[3], model=Dying(side=128), spacing_px=12, overlap=32)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_kill_9_leaves_no_half_file_and_the_next_run_goes_on(path: Path, tmp_path: Path):
    out, labels = tmp_path / "out.gpkg", tmp_path / "out.tif"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path), str(out), str(labels)], check=False, timeout=600)
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    assert not labels.exists()
    report = geosam.segment_to_file(path, out, labels=labels, model=TruthNetwork(side=128), **SMALL)
    assert report.resumed == 3
    assert leftovers(tmp_path) == {"out.gpkg", "out.tif"}
    fresh = tmp_path / "fresh" / "out.gpkg"
    fresh.parent.mkdir()
    geosam.segment_to_file(path, fresh, model=TruthNetwork(side=128), **SMALL)
    assert layer(out) == layer(fresh)


def test_a_damaged_block_stops_the_run_and_the_journal_lets_it_go_on_after_the_repair(tmp_path: Path):
    path = label_scene(tmp_path / "scene.tif", parcel_labels((600, 600), count=5))
    whole = path.read_bytes()
    with rasterio.open(path) as source:
        offset, size = (int(source.get_tag_item(f"BLOCK_{what}_1_1", "TIFF", bidx=1)) for what in ("OFFSET", "SIZE"))
    path.write_bytes(whole[:offset] + b"\xff" * size + whole[offset + size :])
    stamp = path.stat()
    options = {"model": Counting(side=256), "spacing_px": 32, "overlap": 32}
    with pytest.raises(SceneReadError, match="cannot be read"):
        geosam.segment_to_file(path, tmp_path / "out.gpkg", **options)
    assert leftovers(tmp_path) == {".out.gpkg.geosam-journal"}
    path.write_bytes(whole)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    report = geosam.segment_to_file(path, tmp_path / "out.gpkg", **options)
    assert report.objects == 5


# ------------------------------------------------------------------------------------------------------------- store


def test_what_was_encoded_once_is_recalled(path: Path, tmp_path: Path):
    store, first, second = EmbeddingStore(tmp_path / "store"), Counting(), Counting()
    report = geosam.encode(path, model=first, store=store, **SMALL)
    assert report.encoded == len(first.windows) == report.windows
    again = geosam.segment_to_file(path, tmp_path / "out.gpkg", model=second, store=store, **SMALL)
    assert len(second.windows) == again.encoded == 0
    assert again.recalled == len(first.windows)


@pytest.mark.parametrize("known", [0, 5])
def test_windows_embedded_together_give_the_same_bytes(path: Path, tmp_path: Path, known: int):
    """Also where the store knows some of them; each is encoded once."""
    store, network = EmbeddingStore(tmp_path / "store"), Together()
    if known:
        with pytest.raises(KeyboardInterrupt):
            geosam.encode(path, model=Counting(stop_after=known), store=store, **SMALL)
    wanted, table = (
        geosam.segment(path, model=model, store=place, **SMALL)
        for model, place in ((TruthNetwork(side=128), None), (network, store))
    )
    assert rows(table) == rows(wanted)
    windows = geosam.encode(path, model=Counting(), store=tmp_path / "another", **SMALL).windows
    assert len(network.windows) == windows - known  # one that is missing alone is encoded alone
    assert max(network.batches) == 3


def test_a_run_of_windows_embedded_together_goes_on_where_it_stopped(path: Path, tmp_path: Path):
    output = tmp_path / "out.gpkg"
    with pytest.raises(KeyboardInterrupt):
        geosam.segment_to_file(path, output, model=Together(stop_after=7), **SMALL)
    report = geosam.segment_to_file(path, output, model=(second := Together()), **SMALL)
    assert report.resumed >= 3
    assert len(second.windows) == report.windows - report.empty - report.resumed
    geosam.segment_to_file(path, tmp_path / "whole.gpkg", model=TruthNetwork(side=128), **SMALL)
    assert layer(output) == layer(tmp_path / "whole.gpkg")


def test_a_full_disk_does_not_end_the_run(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def full(*_: object) -> None:
        raise StoreError("cannot write to the store (no space left on device)")

    store = EmbeddingStore(tmp_path / "store")
    monkeypatch.setattr(store, "put", full)
    with caplog.at_level(logging.WARNING):
        table = geosam.segment(path, model=TruthNetwork(side=128), store=store, **SMALL)
    assert rows(table) == rows(geosam.segment(path, model=TruthNetwork(side=128), **SMALL))
    assert caplog.text.count("no space left") == 1


def test_an_unknown_option_is_named(path: Path):
    with pytest.raises(OptionError, match=r"unknown option min_aera.*min_area"):
        geosam.segment(path, model=TruthNetwork(), min_aera=3)


# -------------------------------------------------------------------------------------------------------------- plan


def test_a_plan_counts_windows_and_passes_and_leaves_the_scenes_folder_alone(
    tmp_path: Path, truth: np.ndarray, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
):
    monkeypatch.setenv("GEOSAM_CACHE", str(tmp_path_factory.mktemp("cache")))
    valid = np.ones(SHAPE, bool)
    valid[:150] = False
    path = label_scene(tmp_path / "scene.tif", truth, valid=valid)
    found = geosam.plan(path, model=TruthNetwork(side=128), spacing_px=16, overlap=32)
    assert (found.shape, found.window, found.overlap) == (SHAPE, 128, 32)
    assert (found.windows, found.empty, found.passes) == (12, 4, 8)
    columns, rows = 8 + 7 + 7 + 8, 7 + 8  # those on the windows' cores and 16 px around them
    assert found.points == columns * rows
    assert found.seconds > 0
    assert found.peak_bytes > 1 << 20
    assert leftovers(tmp_path) == set()


def test_a_scene_of_2048_px_takes_nine_encoder_passes(tmp_path):
    """Windows of 1,024 px that share 128: three by three; segmenting it all encodes each once, and once only."""
    scene = label_scene(tmp_path / "large.tif", parcel_labels((2048, 2048), count=20))
    network = Counting(side=1024)
    found = geosam.segment(scene, model=network, spacing_px=256, window=1024, overlap=128)
    assert len(network.windows) == 9
    assert len(found) > 10
