"""Two dates of a place: pairs, shift, colours, objects, grades, extents, schemas."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.features import rasterize
from rasterio.warp import Resampling, calculate_default_transform, reproject
from rasterio.windows import Window
from scipy import ndimage

from geosam.change import (
    FATES,
    GRADES,
    STATUSES,
    CompareOptions,
    ExtentOptions,
    OrdinalModel,
    fit,
    match,
    open_pair,
    problems,
    read_objects,
    register,
    to_schema,
)
from geosam.change.damage import fit_ordinal, level_of
from geosam.change.extents import index_extent, outline_extent
from geosam.change.measures import MEASURES, Measured, measure_objects
from geosam.change.pair import tiles
from geosam.change.radiometry import Radiometry
from geosam.change.status import tell_fates
from geosam.change.unseen import mask_pair, not_analysed
from geosam.errors import ModelError, OptionError, PromptError, SceneError
from geosam.pipeline.compare import compare
from geosam.recognition import Encoder
from geosam.testing import TruthNetwork, WatchedNetwork, label_scene, labels_to_pixels, parcel_labels

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "sample_data"
PLACE = Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000)
CRS = "EPSG:32633"


def write(path, bands, *, transform=PLACE, crs=CRS, **more):
    """A GeoTIFF of some bands."""
    bands = np.asarray(bands)
    profile = {"driver": "GTiff", "count": len(bands), "height": bands.shape[1], "width": bands.shape[2]}
    with rasterio.open(path, "w", **profile, dtype=bands.dtype, transform=transform, crs=crs, **more) as file:
        file.write(bands)
    return path


@pytest.fixture(scope="session")
def village(tmp_path_factory):
    """The middle of the bundled village before and after, and known footprints with what became of them."""
    folder = tmp_path_factory.mktemp("village")
    for name in ("before", "after"):
        with rasterio.open(SAMPLE / f"village_{name}.tif") as file:
            window = Window(384, 256, 384, 384)
            part = write(folder / f"{name}.tif", file.read(window=window), transform=file.window_transform(window))
    changes = gpd.read_file(SAMPLE / "village_truth.gpkg", layer="changes")
    with rasterio.open(part) as file:
        inside = changes[changes.within(shapely.box(*file.bounds))]
    known = inside[inside.status != "new"].rename(columns={"id": "osm_id"}).reset_index(drop=True)
    return folder / "before.tif", folder / "after.tif", known


@pytest.fixture(scope="session")
def village_pair(village):
    """The same as a pair."""
    return open_pair(village[0], village[1])


@pytest.fixture(scope="session")
def compared(village):
    """The village compared without a segmenter, a map of water on it."""
    before, after, known = village
    return compare(before, after, known, decode=False, find_new=False, model=TruthNetwork())


# --- pairs -----------------------------------------------------------------------------------------------------------


def test_after_is_seen_on_the_grid_of_before_whatever_its_crs_and_resolution(tmp_path):
    y, x = np.mgrid[:240, :240]
    smooth = np.stack([127 + 80 * np.sin(x / 31), 127 + 80 * np.cos(y / 23), x / 2 + y / 4]).astype(np.uint8)
    write(tmp_path / "a.tif", smooth)
    bounds = (500_000, 5_400_000 - 120, 500_120, 5_400_000)
    place, width, height = calculate_default_transform(CRS, "EPSG:4326", 240, 240, *bounds)
    warped = np.zeros((3, height, width), np.uint8)
    for band, out in zip(smooth, warped, strict=True):
        reproject(
            band, out, src_transform=PLACE, src_crs=CRS, dst_transform=place, dst_crs=4326, resampling=Resampling.cubic
        )
    write(tmp_path / "b.tif", warped, transform=place, crs="EPSG:4326", nodata=0)
    pair = open_pair(tmp_path / "a.tif", tmp_path / "b.tif")
    both = pair.read(Window(40, 60, 100, 90))
    assert both.seen.mean() > 0.99
    away = np.abs(both.before.astype(int) - both.after)[:, both.seen]
    assert away.max() <= 4


def test_the_coarser_scene_gives_the_grid_and_the_overlap_its_extent(tmp_path):
    rng = np.random.default_rng(0)
    fine = ndimage.gaussian_filter(rng.uniform(0, 255, (3, 200, 200)), (0, 3, 3)).astype(np.uint8)
    write(tmp_path / "fine.tif", fine)
    coarse = (fine.reshape(3, 50, 4, 50, 4).mean((2, 4)) * 100).astype(np.uint16)
    write(tmp_path / "coarse.tif", coarse[:, :, 10:], transform=Affine(2, 0, 500_020, 0, -2, 5_400_000))
    pair = open_pair(tmp_path / "fine.tif", tmp_path / "coarse.tif")
    assert pair.resolution_m == pytest.approx(2, rel=1e-3)
    assert pair.shape == (50, 40)
    assert pair.read(Window(0, 0, 40, 50)).seen.all()


def test_scenes_of_two_places_are_refused(tmp_path):
    write(tmp_path / "a.tif", np.ones((3, 40, 40), np.uint8))
    write(tmp_path / "b.tif", np.ones((3, 40, 40), np.uint8), transform=Affine(0.5, 0, 600_000, 0, -0.5, 5_400_000))
    with pytest.raises(SceneError, match="do not overlap"):
        open_pair(tmp_path / "a.tif", tmp_path / "b.tif")


def test_a_scene_without_a_crs_is_no_pair_with_one_that_has_one(tmp_path):
    write(tmp_path / "a.tif", np.ones((3, 40, 40), np.uint8))
    write(tmp_path / "b.tif", np.ones((3, 40, 40), np.uint8), crs=None)
    with pytest.raises(SceneError, match="no CRS"):
        open_pair(tmp_path / "a.tif", tmp_path / "b.tif")


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40))
def test_tiles_cover_a_grid_once(h, w, side):
    count = np.zeros((h, w), int)
    for tile in tiles((h, w), side):
        count[tile.row_off : tile.row_off + tile.height, tile.col_off : tile.col_off + tile.width] += 1
    assert (count == 1).all()


# --- registration and radiometry -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def shifted(village, tmp_path_factory):
    """The date after, its content moved by 3.4 px to the right and 1.7 px up."""
    path = tmp_path_factory.mktemp("shifted") / "after.tif"
    with rasterio.open(village[1]) as file:
        moved = [ndimage.shift(band.astype(float), (-1.7, 3.4), order=3, mode="reflect") for band in file.read()]
        write(path, np.clip(np.rint(moved), 0, 255).astype(np.uint8), transform=file.transform)
    return path


def test_a_shift_of_a_few_pixels_is_found_within_a_fifth_of_one(village, shifted):
    true = register(open_pair(village[0], village[1])).shift_px
    found = register(open_pair(village[0], shifted), side=192)
    assert found.found
    assert np.subtract(found.shift_px, true) == pytest.approx([3.4, -1.7], abs=0.2)
    assert all(abs(each.dx_px - found.shift_px[0]) < 1 for each in found.windows if each.counts)


def test_a_shift_that_is_not_told_from_none_is_left_in(village, compared, shifted):
    assert 0 < np.hypot(*compared.registration.shift_px) < 0.2
    assert compared.facts["corrected"] is False
    assert compared.pair.shift_px == (0.0, 0.0)
    assert register(open_pair(village[0], shifted)).matters


def test_a_corrected_shift_changes_no_status(village, shifted, compared):
    moved = compare(village[0], shifted, village[2], decode=False, find_new=False, model=TruthNetwork())
    seen = (compared.change["status"] != "unseen") & (moved.change["status"] != "unseen")
    assert seen.mean() > 0.9
    assert (compared.change["status"] == moved.change["status"])[seen].mean() >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hurricane-florence_00000480", "santa-rosa-wildfire_00000360"])
def test_a_shift_of_real_pictures_is_found_and_taken_out(dev_data, tmp_path, name):
    folder = dev_data / "xbd-subset"
    before, after = (folder / f"{name}_{when}_disaster.tif" for when in ("pre", "post"))
    with rasterio.open(after) as file:
        pixels = [ndimage.shift(band.astype(float), (-1.7, 3.4), order=3, mode="reflect") for band in file.read()]
        moved = write(
            tmp_path / "moved.tif",
            np.clip(np.rint(pixels), 0, 255).astype(np.uint8),
            transform=file.transform,
            crs=file.crs,
        )
    own, found = (register(open_pair(before, each)) for each in (after, moved))
    assert own.found
    assert found.found
    assert np.subtract(found.shift_px, own.shift_px) == pytest.approx([3.4, -1.7], abs=0.2)
    known = gpd.read_file(folder / f"{name}_pre_disaster.geojson")[["uid", "geometry"]]
    how = {"id_column": "uid", "decode": False, "find_new": False, "model": TruthNetwork()}
    first, second = (compare(before, each, known, **how).change for each in (after, moved))
    seen = (first["status"] != "unseen") & (second["status"] != "unseen")
    assert seen.mean() > 0.9
    sure = np.minimum(first["status_score"], second["status_score"]) >= 0.6  # at a half resampling alone decides
    same = first["status"] == second["status"]
    assert same[seen & sure].all()
    assert same[seen].mean() > 0.85


def test_pictures_that_show_nothing_alike_have_no_shift(tmp_path):
    rng = np.random.default_rng(1)
    for name in "ab":
        write(tmp_path / f"{name}.tif", rng.integers(0, 255, (3, 300, 300)).astype(np.uint8))
    found = register(open_pair(tmp_path / "a.tif", tmp_path / "b.tif"))
    assert not found.found
    assert found.shift_px == (0.0, 0.0)
    assert "not known" in found.describe()


def test_colours_are_matched_by_what_has_not_changed(tmp_path):
    rng = np.random.default_rng(2)
    ground = ndimage.gaussian_filter(rng.uniform(40, 200, (3, 160, 160)), (0, 2, 2))
    later = (ground - 20) / 1.25
    later[:, :50, :] = 10
    write(tmp_path / "a.tif", ground.astype(np.uint8))
    write(tmp_path / "b.tif", np.rint(later).astype(np.uint8))
    found = match(open_pair(tmp_path / "a.tif", tmp_path / "b.tif"))
    assert found.gain == pytest.approx([1.25] * 3, abs=0.05)
    assert found.offset == pytest.approx([20] * 3, abs=4)


# --- unseen ----------------------------------------------------------------------------------------------------------


def test_nodata_and_masks_are_unseen_and_never_kept(village, tmp_path):
    before, after, known = village
    with rasterio.open(before) as file:
        x0, y0, x1, y1 = file.bounds
        cover = np.zeros((1, 384, 384), np.uint8)
        cover[:, :, 192:] = 1
        write(tmp_path / "cloud.tif", cover, transform=file.transform)
    west = gpd.GeoDataFrame(geometry=[shapely.box(x0, y0, x0 + 40, y1)], crs=CRS).to_crs(4326)
    found = compare(
        before, after, known, decode=False, find_new=False, model=TruthNetwork(),
        masks_after=(tmp_path / "cloud.tif",), masks_before=(west,),
    )  # fmt: skip
    middle = found.change.geometry.centroid.x
    covered = (middle > (x0 + x1) / 2 + 8) | (middle < x0 + 32)
    assert covered.sum() > 5
    assert (found.change["status"][covered] == "unseen").all()
    assert (found.change["status"][(middle > x0 + 50) & (middle < (x0 + x1) / 2 - 10)] != "unseen").all()
    assert found.change["grade"][found.change["status"] == "unseen"].isna().all()
    area = found.not_analysed["area_ha"].sum()
    assert area == pytest.approx((96 + 40) * 192 / 1e4, rel=0.02)


@given(st.floats(0, 2 * np.pi), st.floats(3, 12))
def test_what_is_unseen_of_an_object_is_a_share(village_pair, turn, size):
    at, to = np.array([64.3, 70.1]), shapely.affinity.rotate(shapely.box(0, 0, size, 2 * size), turn, use_radians=True)
    shapes = np.array([shapely.affinity.translate(to, *at), shapely.affinity.translate(to, *-at)], object)
    unseen = measure_objects(shapes, village_pair, Radiometry()).unseen
    assert 0 <= unseen[0] < 1e-6
    assert unseen[1] == 1


def test_what_is_not_analysed_does_not_depend_on_tiles(village, monkeypatch):
    pair = open_pair(village[0], village[1])
    pair = mask_pair(
        pair, [gpd.GeoDataFrame(geometry=list(pair.before.to_world(shapely.box(50, 60, 200, 90))), crs=CRS)]
    )
    found = not_analysed(pair)
    monkeypatch.setattr("geosam.change.unseen.TILE", 64)
    assert [each.wkb for each in not_analysed(pair)] == [each.wkb for each in found]
    assert sum(each.area for each in found) == pytest.approx(150 * 30, abs=1)


# --- objects ---------------------------------------------------------------------------------------------------------


def test_every_id_is_answered_once_with_its_attributes(village):
    before, after, known = village
    far = gpd.GeoDataFrame({"osm_id": [9001]}, geometry=[shapely.box(0, 0, 9, 9)], crs=CRS)
    bare = gpd.GeoDataFrame({"osm_id": [9002]}, geometry=[None], crs=CRS)
    twice = known.iloc[:1]
    given = pd.concat([known, far, bare, twice], ignore_index=True)
    found = compare(before, after, given, decode=False, find_new=False, model=TruthNetwork(), id_column="osm_id")
    ids = found.change["source_id"].tolist()
    assert ids == [*known["osm_id"], 9001, 9002]
    last = found.change.iloc[-2:]
    assert last["status"].tolist() == ["unseen", "unseen"]
    assert all(last["note"])
    assert found.change["status"].isin(STATUSES).all()
    assert found.change["status_source"].iloc[:5].tolist() == known["status"].iloc[:5].tolist()


def test_the_result_does_not_depend_on_the_order_of_objects(village, compared):
    before, after, known = village
    found = compare(before, after, known.iloc[::-1], decode=False, find_new=False, model=TruthNetwork())
    turned = found.change.iloc[::-1].reset_index(drop=True)
    columns = ["source_id", "status", "status_score", "grade", *MEASURES[:5]]
    pd.testing.assert_frame_equal(turned[columns], compared.change[columns])


def test_objects_are_asked_for_in_the_same_batches_whatever_their_order(village):
    before, after, known = village
    networks = WatchedNetwork(), WatchedNetwork()
    for network, some in zip(networks, (known, known.iloc[::-1]), strict=True):
        compare(before, after, some, find_new=False, model=network)
    one, turned = ([batch.boxes.tolist() for batch, _ in network.asked] for network in networks)
    assert sum(map(len, one)) == 2 * len(known)
    assert one == turned


def test_objects_that_cannot_be_read_are_refused(village):
    pair = open_pair(village[0], village[1])
    with pytest.raises(PromptError, match="absent"):
        read_objects("absent.gpkg", pair)
    with pytest.raises(PromptError):
        read_objects(village[2], pair, id_column="no_such_column")


# --- grades ----------------------------------------------------------------------------------------------------------


def labelled(n=240, seed=0):
    rng = np.random.default_rng(seed)
    grades = rng.integers(0, 4, n)
    values = np.full((n, len(MEASURES)), np.nan, np.float32)
    values[:, 0] = grades + rng.normal(0, 0.7, n)
    values[:, 1] = -grades + rng.normal(0, 0.7, n)  # speaks for less, and so must not count
    return values, grades


def test_more_change_is_never_less_damage():
    values, grades = labelled()
    model = fit_ordinal(values, grades)
    assert min(model.weights) >= 0
    assert model.weights[1] == 0
    low, high = np.full((2, 1, len(MEASURES)), 1.0, np.float32)
    high[0, 0] = 2
    assert model.score(high)[0] > model.score(low)[0]


def test_probabilities_are_calibrated_and_sum_to_one():
    model = fit_ordinal(*labelled(600))
    values, grades = labelled(2000, seed=1)
    p = model.probabilities(values)
    assert p.sum(axis=1) == pytest.approx(1)
    assert (level_of(p) == grades).mean() > 0.6
    for k in range(1, 4):
        above = p[:, k:].sum(axis=1)
        for low, high in ((0.2, 0.5), (0.5, 0.8)):
            part = (above >= low) & (above < high)
            assert above[part].mean() == pytest.approx((grades[part] >= k).mean(), abs=0.12)


def test_a_model_is_kept_and_read_again(tmp_path):
    model = fit_ordinal(*labelled())
    found = OrdinalModel.read(model.write(tmp_path / "model.json"))
    values, _ = labelled(20, seed=3)
    assert (found.probabilities(values) == model.probabilities(values)).all()
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ModelError, match=r"other\.json"):
        OrdinalModel.read(tmp_path / "other.json")


def test_too_few_labels_are_refused():
    values, grades = labelled(12)
    with pytest.raises(OptionError, match="at least 20"):
        fit_ordinal(values, grades)
    with pytest.raises(OptionError, match="grades"):
        fit_ordinal(labelled(40)[0], np.zeros(40, np.int64))


def test_labels_of_a_place_make_a_model_of_it(compared, village):
    words = {"unchanged": "no-damage", "damaged": "major", "gone": "destroyed"}
    labels = village[2].assign(grade=village[2]["status"].map(words))
    model = fit(compared, labels, id_column="osm_id")
    assert model.levels == GRADES
    again = compare(*village, decode=False, find_new=False, model=TruthNetwork(), grades=model)
    told = again.change["grade"] != "none"
    assert told[village[2]["status"] != "unchanged"].mean() > 0.8
    assert told[village[2]["status"] == "unchanged"].mean() < 0.1
    with pytest.raises(OptionError, match="not compared"):
        fit(compared, {"nobody": "none"})
    with pytest.raises(OptionError, match="broken"):
        fit(compared, dict.fromkeys(compared.change["source_id"], "broken"))


def test_the_packages_models_are_of_these_levels():
    options = CompareOptions()
    assert options.grade_model().levels == GRADES
    assert options.fate_model().levels == FATES
    with pytest.raises(OptionError, match="kept"):
        CompareOptions(grades=options.fate_model()).grade_model()


def test_what_is_hidden_has_no_fate():
    values = np.zeros((3, len(MEASURES)), np.float32)
    fates = tell_fates(Measured(values, np.array([0, 0.6, 1], np.float32)), CompareOptions().fate_model())
    assert fates.status.tolist() == ["kept", "unseen", "unseen"]


@pytest.mark.slow
def test_new_houses_are_told_and_others_are_not(monkeypatch):
    encode, windows = Encoder.encode, []
    monkeypatch.setattr(Encoder, "encode", lambda self, pixels: windows.append(pixels.shape) or encode(self, pixels))
    scenes = (SAMPLE / "village_before.tif", SAMPLE / "village_after.tif")
    truth = gpd.read_file(SAMPLE / "village_truth.gpkg", layer="changes")
    known, new = truth[truth["status"] != "new"], truth[truth["status"] == "new"].geometry
    found = compare(*scenes, known.drop(columns="status"), decode=False).change
    told = found[found["status"] == "new"]
    iou = np.array([[a.intersection(b).area / a.union(b).area for b in new] for a in told.geometry])
    assert (iou.max(axis=0) > 0.5).sum() >= 4
    assert (iou.max(axis=1) > 0.5).mean() >= 0.75
    assert told["source_id"].isna().all()
    assert told["object_id"].min() > found.loc[found["status"] != "new", "object_id"].max()
    assert len(windows) == 2, "each date is encoded once, without a store as well"


def test_a_picture_that_stays_has_no_change(village):
    pair = open_pair(village[0], village[0])
    shapes = read_objects(village[2], pair).shapes_px
    found = measure_objects(shapes, pair, Radiometry())
    names = [name for name in MEASURES if name not in ("calmness", "outline_change", "area_change")]
    plain = found.values[:, [MEASURES.index(name) for name in names if not name.startswith("feature")]]
    assert np.nanmax(np.abs(plain)) < 1e-3


# --- extents ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def wet(tmp_path):
    """Green, near infrared, short-wave infrared before and after: a river, and a flood beside it."""
    rng = np.random.default_rng(5)
    dates = []
    for flooded in (False, True):
        bands = np.stack([np.full((200, 240), level) for level in (800.0, 2400.0, 2000.0)])
        water = np.zeros((200, 240), bool)
        water[90:110] = True
        if flooded:
            water[60:90, 40:200] = True
            water[5:7, 5:7] = True  # smaller than the mapping unit
        bands[:, water] = np.array([[700.0], [200.0], [100.0]])
        dates.append(np.clip(bands + rng.normal(0, 40, bands.shape), 1, None).astype(np.uint16))
    paths = [write(tmp_path / f"{name}.tif", bands) for name, bands in zip(("before", "after"), dates, strict=True)]
    return open_pair(*paths)


BANDS = {"green": 0, "nir": 1, "swir": 2}


@pytest.mark.parametrize("method", ["ndwi", "mndwi"])
def test_a_flood_is_what_is_water_only_after(wet, method):
    found = index_extent(wet, method, bands=BANDS, mmu_m2=50)
    assert len(found.frame) == 1
    assert found.frame["area_ha"].sum() == pytest.approx(30 * 160 * 0.25 / 1e4, rel=0.01)
    assert found.frame["confidence"].between(0.5, 1).all()
    assert found.facts["parted"] > 0.8


def test_an_extent_does_not_depend_on_tiles(wet, monkeypatch):
    whole = index_extent(wet, "ndwi", bands=BANDS)
    monkeypatch.setattr("geosam.change.extents.TILE", 64)
    cut = index_extent(wet, "ndwi", bands=BANDS)
    assert [each.wkb for each in whole.frame.geometry] == [each.wkb for each in cut.frame.geometry]


def test_burn_severity_has_the_published_classes(tmp_path):
    nir, swir = np.full((2, 60, 80), 0.3, np.float32)
    later = nir.copy()
    for column, fall in enumerate((0.0, 0.2, 0.35, 0.55, 0.9)):
        ratio = (1 - fall) / (1 + fall)
        later[:, column * 16 : (column + 1) * 16] = 0.3 * ratio
    before = write(tmp_path / "a.tif", np.stack([nir, swir, swir]))
    after = write(tmp_path / "b.tif", np.stack([later, swir, swir]))
    found = index_extent(open_pair(before, after), "dnbr", bands={"nir": 0, "swir": 1}, mmu_m2=1).frame
    order = found.assign(x=found.geometry.centroid.x).sort_values("x")["class"].tolist()
    assert order == ["low severity", "moderate-low severity", "moderate-high severity", "high severity"]


def test_radar_that_falls_shows_water(tmp_path):
    before = np.full((1, 80, 80), -9, np.float32)
    after = before.copy()
    after[:, 20:60, 20:60] = -18
    pair = open_pair(write(tmp_path / "a.tif", before), write(tmp_path / "b.tif", after))
    found = index_extent(pair, "sar", mmu_m2=10).frame
    assert found["event"].tolist() == ["flood"]
    assert found["area_ha"].sum() == pytest.approx(400 / 1e4, rel=0.01)


def test_an_index_without_its_bands_is_refused(wet):
    with pytest.raises(OptionError, match="nir"):
        index_extent(wet, "ndwi", bands={"green": 0})
    with pytest.raises(OptionError, match="ndwi"):
        index_extent(wet, "magic")
    with pytest.raises(OptionError, match="prompts"):
        ExtentOptions(method="outlines")
    with pytest.raises(OptionError, match="prompts"):
        ExtentOptions(method="ndwi", prompts="clicks.gpkg")


def test_outlines_less_what_was_there_before(wet):
    after = np.array([shapely.box(40, 60, 200, 110), shapely.box(150, 60, 220, 80)], object)
    river = np.array([shapely.box(0, 90, 240, 110)], object)
    found = outline_extent(wet, after, river, event="flood", scores=[0.9, 0.5], mmu_m2=10).frame
    assert found["area_ha"].sum() == pytest.approx((160 * 30 + 20 * 20) * 0.25 / 1e4, rel=0.01)
    assert not found.geometry.iloc[0].overlaps(found.geometry.iloc[1])


@pytest.mark.parametrize(("grow", "grown"), [(None, ["Point"]), (True, ["Point", "Polygon"]), (False, [])])
def test_points_grow_and_boxes_say_how_far_they_reach(tmp_path, monkeypatch, grow, grown):
    labels = np.zeros((120, 160), np.int32)
    labels[20:50, 20:60], labels[70:100, 90:140] = 1, 2
    paths = [write(tmp_path / f"{name}.tif", labels_to_pixels(labels)) for name in ("before", "after")]
    where = Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000).to_shapely()
    kinds = {"Point": shapely.Point(40, 35), "Polygon": shapely.box(88, 68, 142, 102)}
    shapes = gpd.GeoSeries(list(kinds.values())).affine_transform(where).set_crs(CRS)
    seen = []

    def kept(pair, outlines, radiometry, *, least_px):
        seen.extend(name for name, prompt in kinds.items() if shapely.intersects(outlines, prompt).any())
        return outlines, np.full(len(outlines), 0.5)

    monkeypatch.setattr("geosam.pipeline.two_dates.grow", kept)
    how = ExtentOptions(event="flood", prompts=gpd.GeoDataFrame(geometry=shapes), mmu_m2=1, grow=grow)
    asked = {"decode": False, "find_new": False, "extent": how, "model": TruthNetwork()}
    found = compare(*paths, gpd.GeoDataFrame(geometry=shapes[:1]), **asked)
    assert seen == grown
    assert found.extent.area_ha.sum() == pytest.approx((30 * 40 + 30 * 50) * 0.25 / 1e4, rel=0.05)


@pytest.fixture
def flooded(tmp_path):
    """Parcels of fields and water on both dates, of which some are water only after; samples, and the new water."""
    pytest.importorskip("sklearn", reason="scikit-learn is an extra: geosam[landcover]")
    labels = parcel_labels((320, 400), count=60, seed=4)
    wet = np.random.default_rng(3).permutation(labels.max() + 1) % 4  # 0 always, 1 after
    colours = np.array([[200, 180, 90], [30, 60, 120]])
    noise = np.random.default_rng(2).integers(-8, 8, (320, 400, 3))
    paths = []
    for name, water in (("before", wet == 0), ("after", wet < 2)):
        picture = colours[water[labels].astype(int)] + noise
        paths.append(write(tmp_path / f"{name}.tif", picture.astype(np.uint8).transpose(2, 0, 1)))
    where, inside = PLACE.to_shapely(), ndimage.distance_transform_edt
    rows = []
    for label in range(1, labels.max() + 1):
        y, x = np.unravel_index(inside(np.pad(labels == label, 1))[1:-1, 1:-1].argmax(), labels.shape)
        rows.append(("Flood" if wet[label] < 2 else "field", shapely.Point(x + 0.5, y + 0.5)))
    names, points = zip(*rows, strict=True)
    samples = gpd.GeoDataFrame({"class": names}, geometry=gpd.GeoSeries(points).affine_transform(where), crs=CRS)
    return paths, samples, wet[labels] == 1


def test_an_extent_by_samples_is_what_is_like_them_after_and_was_not_before(flooded, tmp_path):
    paths, samples, truth = flooded
    samples.to_crs(4326).to_file(tmp_path / "samples.gpkg")
    how = ExtentOptions("samples", "flood", tmp_path / "samples.gpkg", mmu_m2=4)
    found = compare(*paths, samples.iloc[:1], decode=False, find_new=False, extent=how).extent
    assert set(found["method"]) == {"samples"}
    assert found["confidence"].between(0.5, 1).all()
    drawn = rasterize(found.geometry.affine_transform((~PLACE).to_shapely()), out_shape=truth.shape) > 0
    assert (drawn & truth).sum() / (drawn | truth).sum() > 0.9


@pytest.mark.parametrize(
    ("event", "most", "message"),
    [("landslide", 99, "samples of Flood, field for the extent of 'landslide'"), ("flood", 0, "samples of Flood for")],
)
def test_samples_of_an_extent_are_of_the_event_and_of_other_ground(flooded, event, most, message):
    paths, samples, _ = flooded
    some = samples[(samples["class"] == "Flood") | (samples.index < most)]
    with pytest.raises(PromptError, match=message):
        compare(*paths, samples.iloc[:1], extent=ExtentOptions("samples", event, some), model=TruthNetwork())


def test_prompts_of_an_extent_that_are_not_on_it_are_refused(flooded):
    paths, samples, _ = flooded
    marked = samples.assign(label=(samples["class"] == "Flood").astype(int))
    with pytest.raises(PromptError, match=r"prompts of an extent with label 0.*--extent samples"):
        compare(*paths, samples.iloc[:1], extent=ExtentOptions(prompts=marked), model=TruthNetwork())


# --- decoding, summary, schemas --------------------------------------------------------------------------------------


def test_objects_are_decoded_on_both_dates_with_the_same_prompts(tmp_path):
    labels = np.zeros((2, 200, 200), np.int32)
    for number in range(9):
        top, left = 15 + number // 3 * 60, 15 + number % 3 * 60
        labels[:, top : top + 30, left : left + 30] = number + 1
    labels[1][labels[1] == 5] = 0
    labels[1, 75:90, 75:105] = 5  # half of it is left
    scenes = [label_scene(tmp_path / f"{number}.tif", each) for number, each in enumerate(labels)]
    with rasterio.open(scenes[0]) as file:
        crs, place = file.crs, file.transform
    boxes = [shapely.box(15 + n % 3 * 60, 15 + n // 3 * 60, 45 + n % 3 * 60, 45 + n // 3 * 60) for n in range(9)]
    known = gpd.GeoSeries(boxes).affine_transform(place.to_shapely())
    known = gpd.GeoDataFrame({"id": range(101, 110)}, geometry=known.array, crs=crs)
    found = compare(*scenes, known, find_new=False, model=TruthNetwork(), correct=False)
    iou = found.change["overlap_iou"].to_numpy()
    assert iou[4] == pytest.approx(0.5, abs=0.02)
    assert np.delete(iou, 4) == pytest.approx(1, abs=0.02)
    assert found.before["source_id"].tolist() == found.after["source_id"].tolist() == list(range(101, 110))


def test_a_summary_counts_every_object_once(compared, village):
    assert compared.summary["objects"].sum() == len(village[2])
    cells = compare(*village, decode=False, find_new=False, model=TruthNetwork(), units=50.0).summary
    assert cells["objects"].sum() == len(village[2])
    assert cells["kept"].sum() == compared.counts()["kept"]
    with pytest.raises(OptionError, match="cells"):
        compare(*village, decode=False, find_new=False, model=TruthNetwork(), units=1e-4)


@pytest.mark.parametrize("schema", ["ems", "unosat", "osm"])
def test_schemas_hold_no_unknown_field_or_word(compared, schema):
    layers = to_schema(compared, schema)
    assert problems(layers, schema) == []
    first = next(iter(layers.values()))
    seen = compared.change["status"] != "unseen"
    assert len(first) == (len(compared.change) if schema == "ems" else seen.sum())
    assert first.crs == "EPSG:4326"


def test_the_validator_finds_what_is_unknown():
    assert problems({"roads": pd.DataFrame()}, "ems") == ["roads: no layer of the schema"]
    assert problems({"source": pd.DataFrame({"colour": [1]})}, "ems") == ["source.colour: no field of the schema"]
    with pytest.raises(OptionError, match="schema"):
        problems({}, "fema")


def test_an_unknown_option_is_named(village):
    with pytest.raises(OptionError, match="no_such"):
        compare(*village, no_such=1)
