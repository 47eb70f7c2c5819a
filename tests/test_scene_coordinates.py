"""Where an array lies: what it declares, what its coordinates say, and where these contradict each other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rioxarray
import xarray
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from rasterio.control import GroundControlPoint
from rasterio.windows import Window

from geosam.errors import SceneError
from geosam.scene import Scene, open_scene

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

ALL = Window(0, 0, 60, 40)
GRID = Affine(0.5, 0, 500_000, 0, -0.5, 5_300_000)
H, W = 40, 60
BANDS = np.random.default_rng(0).integers(1, 200, (3, H, W)).astype(np.uint8)


def stack(*, corner: float = 0.0, dtype: str = "float64", **attrs: Any) -> xarray.DataArray:
    """An array as stackstac makes it: coordinates are corners (0) or centres (0.5), attributes declare the grid."""
    x, y = 500_000 + 0.5 * (np.arange(W) + corner), 5_300_000 - 0.5 * (np.arange(H) + corner)
    coords = {"band": ["red", "green", "blue"], "x": x, "y": y, "epsg": 32633}
    return xarray.DataArray(
        BANDS.astype(dtype), dims=("band", "y", "x"), coords=coords, attrs={"transform": GRID} | attrs
    )


def written(tmp_path: Path, **options: Any) -> Path:
    place = {"crs": "EPSG:32633", "transform": GRID}
    path = tmp_path / "a.tif"
    profile = {"driver": "GTiff", "count": 3, "height": H, "width": W, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile | place | options) as file:
        file.write(BANDS)
    return path


def place(scene: Scene) -> Affine:
    return scene.frame.affine


def assert_at(scene: Scene, expected: Affine) -> None:
    np.testing.assert_allclose(tuple(place(scene))[:6], tuple(expected)[:6], rtol=0, atol=1e-6)


# ---------------------------------------------------------------- declared grids


@settings(max_examples=30)
@given(st.sampled_from([0.0, 0.5]), st.integers(0, W - 1), st.integers(0, H - 1), st.data())
def test_a_part_of_a_declared_grid_lies_where_it_was_cut_out(corner: float, left: int, top: int, data: Any) -> None:
    right, bottom = data.draw(st.integers(left + 1, W)), data.draw(st.integers(top + 1, H))
    part = stack(corner=corner)[:, top:bottom, left:right]
    scene = open_scene(part)
    assert_at(scene, GRID @ Affine.translation(left, top))
    assert scene.crs == CRS(32633)


@pytest.mark.parametrize("transform", [tuple(GRID)[:6], list(GRID), GRID], ids=["six", "nine", "affine"])
def test_a_transform_may_be_six_numbers_or_nine(transform: Any) -> None:
    assert_at(open_scene(stack(transform=transform)), GRID)


def test_arrays_of_rioxarray_cut_turned_and_averaged(tmp_path: Path) -> None:
    array = rioxarray.open_rasterio(written(tmp_path)).load()
    assert_at(open_scene(array[:, 3:4, 5:]), GRID @ Affine.translation(5, 3))
    assert_at(open_scene(array[:, 3:4, 5:6]), GRID @ Affine.translation(5, 3))
    assert_at(open_scene(array.sortby("y")), GRID @ Affine.translation(0, H) @ Affine.scale(1, -1))
    coarse = open_scene(array.coarsen(x=2, y=2).mean())
    assert_at(coarse, GRID @ Affine.scale(2))
    assert "count, as centres" in coarse.notes[0]


def test_coordinates_rounded_to_float32_do_not_move_a_declared_grid(tmp_path: Path) -> None:
    array = rioxarray.open_rasterio(written(tmp_path)).load()
    rounded = array.assign_coords(x=array.x.astype("float32"), y=array.y.astype("float32"))
    assert_at(open_scene(rounded), GRID)
    bare = rounded.drop_vars("spatial_ref").rio.write_crs(32633)
    assert "rounded to" in open_scene(bare).notes[0]


@pytest.mark.parametrize(
    "change",
    [
        {"x": 500_000.12 + 0.5 * np.arange(W)},  # neither corners nor centres
        {"x": 500_000 + 0.7 * np.arange(W)},  # another step
        {"x": 499_000 + 0.5 * np.arange(W)},  # before the grid begins
    ],
    ids=["phase", "step", "outside"],
)
def test_coordinates_that_contradict_the_declared_grid_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SceneError, match="expected one grid"):
        open_scene(stack().assign_coords(change))


def test_two_declared_grids_half_a_pixel_apart_are_refused() -> None:
    array = stack().rio.write_crs(32633)
    array.coords["spatial_ref"].attrs["GeoTransform"] = "499999.75 0.5 0 5300000.25 0 -0.5"
    with pytest.raises(SceneError, match=r"and \(0\.5.*one grid"):
        open_scene(array)


def test_a_declared_transform_that_is_none_is_refused() -> None:
    for transform in ((0, 0, 5, 0, 0, 5), (float("nan"),) * 6, ("a",) * 6):
        with pytest.raises(SceneError, match="declares"):
            open_scene(stack(transform=transform))


def test_a_rotated_grid_is_followed_by_its_coordinates(tmp_path: Path) -> None:
    turned = Affine.translation(500_000, 5_300_000) @ Affine.rotation(20) @ Affine.scale(0.5, -0.5)
    array = rioxarray.open_rasterio(written(tmp_path, transform=turned)).load()
    assert_at(open_scene(array), turned)
    assert_at(open_scene(array[:, 5:, 7:]), turned @ Affine.translation(7, 5))
    with pytest.raises(SceneError, match="another grid"):
        open_scene(array[:, ::2, ::2])


# ---------------------------------------------------------------- coordinates alone, and none


def test_coordinates_alone_are_centres_and_a_single_row_is_of_square_pixels() -> None:
    array = stack(corner=0.5)
    del array.attrs["transform"]
    assert_at(open_scene(array), GRID)
    row = open_scene(array[:, 7:8])
    assert_at(row, GRID @ Affine.translation(0, 7))
    assert "square" in row.notes[0]
    assert_at(open_scene(array[:, 7:8].assign_attrs(resolution=0.5)), GRID @ Affine.translation(0, 7))
    with pytest.raises(SceneError, match="one pixel"):
        open_scene(array[:, 7:8, 3:4])


def test_a_crs_and_places_in_two_dimensions_are_no_grid() -> None:
    swath = {name: (("y", "x"), np.ones((H, W))) for name in ("lat", "lon")}
    array = xarray.DataArray(BANDS, dims=("band", "y", "x"), coords=swath).rio.write_crs(4326)
    numbered = array.assign_coords(x=np.arange(W), y=np.arange(H))
    for one in (array, numbered, numbered[:, 4:, 4:]):
        scene = open_scene(one)
        assert scene.crs is None
        assert place(scene) == Affine.identity()
        assert "2-D coordinates" in scene.notes[0]
        assert "without a CRS" in scene.notes[1]


def test_a_file_without_a_place_stays_without_one_as_an_array(tmp_path: Path) -> None:
    array = rioxarray.open_rasterio(written(tmp_path, transform=None)).load()
    for one in (array, array[:, 4:, 4:]):
        assert open_scene(one).crs is None
    x, y = stack(corner=0.5).x.values, stack(corner=0.5).y.values
    assert_at(open_scene(array.assign_coords(x=x, y=y)), GRID)


def test_a_crs_by_name_code_and_grid_mapping() -> None:
    by_attribute = stack(crs="epsg:32633").drop_vars("epsg")
    mapping = {key: value for key, value in CRS(32633).to_cf().items() if key != "crs_wkt"}
    by_mapping = stack().drop_vars("epsg").assign_coords(utm=((), 0, mapping))
    for array in (by_attribute, by_mapping):
        crs = open_scene(array).crs
        assert crs is not None
        assert crs.equals(CRS(32633)) or crs.to_dict() == CRS(32633).to_dict()


def test_crss_that_contradict_each_other_are_refused() -> None:
    mapped = stack().assign_coords(spatial_ref=((), 0, CRS(32633).to_cf()))
    for agreeing in (stack(crs="epsg:32633"), mapped, stack(crs="+proj=utm +zone=33 +datum=WGS84 +units=m")):
        crs = open_scene(agreeing).crs
        assert crs is not None
        assert crs.to_epsg(min_confidence=20) == 32633
    swapped = mapped.drop_vars("epsg").assign_attrs(crs="EPSG:4326")
    for array in (stack(crs="epsg:32634"), mapped.assign_coords(epsg=32634), swapped):
        with pytest.raises(SceneError, match=r"declares the CRSs WGS 84 / UTM zone 3.* and .*: expected one CRS"):
            open_scene(array)


def test_control_points_of_a_cut_array_are_said(tmp_path: Path) -> None:
    points = [GroundControlPoint(r, c, *(GRID @ (c, r))) for r in (0, H) for c in (0, W)]
    path = written(tmp_path, gcps=points, transform=None)
    array = rioxarray.open_rasterio(path).load()
    assert open_scene(array).notes == ()
    assert "lie beyond it" in open_scene(array[:, 10:, 10:]).notes[0]


# ---------------------------------------------------------------- values


@pytest.mark.parametrize("fill", [-9999, 256, 300, 0.5, float("nan"), 1e30])
def test_fill_values_that_bytes_cannot_hold_mark_nothing(fill: float) -> None:
    array = stack(dtype="uint8", _FillValue=fill)
    array.values[:] = {-9999: 241, 300: 44}.get(fill, 0)
    scene = open_scene(array)
    assert scene.read(ALL).valid.all()
    assert "cannot occur in uint8" in scene.notes[0]


def test_masked_bytes_are_bytes(tmp_path: Path) -> None:
    path = written(tmp_path, nodata=int(BANDS[0, 0, 0]))
    file = open_scene(path).read(ALL)
    for how in ({"masked": True}, {"masked": True, "band_as_variable": True}, {"band_as_variable": True}):
        with rioxarray.open_rasterio(path, **how) as array:
            scene = open_scene(array)
            np.testing.assert_array_equal(scene.read(ALL).pixels, file.pixels)
            np.testing.assert_array_equal(scene.read(ALL).valid, file.valid)
            assert scene.stretch.method == "identity"
    with rioxarray.open_rasterio(path, masked=True) as array:  # what was computed is no longer bytes
        assert open_scene((array / 2.5).assign_attrs(array.attrs)).stretch.method == "percentile"


def test_variables_of_different_types_keep_theirs() -> None:
    red, green, nir = stack(dtype="uint8").drop_vars("band")
    data = {
        "red": red.assign_attrs(_FillValue=-9999),
        "green": (green.astype(np.uint16) * 100).assign_attrs(nodata=500),
        "nir": (nir.astype(np.float32) / 255).assign_attrs(_FillValue=np.nan),
        "lat": (("y", "x"), np.ones((H, W))),
        "clouds": 3,
    }
    scene = open_scene(xarray.Dataset(data))
    info = scene.raster.info
    assert (info.descriptions, info.dtypes) == (("red", "green", "nir"), ("uint8", "uint16", "float32"))
    assert info.nodatas[:2] == (None, 500)
    assert_at(scene, GRID)
    values, known = scene.values(Window(0, 0, W, H))
    np.testing.assert_array_equal(known[1], BANDS[1] != 5)
    np.testing.assert_array_equal(values[0], BANDS[0])
    np.testing.assert_array_equal(open_scene(xarray.Dataset(data), bands="nir,green,red").values(ALL)[0][2], BANDS[0])
