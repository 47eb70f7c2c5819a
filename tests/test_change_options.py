"""Options of a comparison: files that they name, days, bands, units; what cannot be is refused before any work."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin
from typer.testing import CliRunner

import geosam
from geosam.change import CompareOptions, ExtentOptions
from geosam.change.pair import open_pair
from geosam.change.unseen import mask_polygons
from geosam.cli import app
from geosam.errors import GeosamError, OptionError, SceneError
from geosam.scene import open_scene
from geosam.testing import TruthNetwork

CRS = "EPSG:32633"


@pytest.fixture(scope="module")
def village(tmp_path_factory):
    """Two scenes of noise, and footprints on them."""
    folder = tmp_path_factory.mktemp("village")
    rng = np.random.default_rng(0)
    place = from_origin(500_000, 5_400_000, 0.5, 0.5)
    profile = {"driver": "GTiff", "count": 3, "height": 96, "width": 96, "dtype": "uint8", "crs": CRS}
    for name in ("before.tif", "after.tif"):
        with rasterio.open(folder / name, "w", transform=place, **profile) as file:
            file.write(rng.integers(0, 255, (3, 96, 96), dtype=np.uint8))
    shapes = [shapely.box(500_005 + 15 * n, 5_399_970, 500_013 + 15 * n, 5_399_980) for n in range(2)]
    return folder / "before.tif", folder / "after.tif", gpd.GeoDataFrame({"name": ["a", "b"]}, geometry=shapes, crs=CRS)


@pytest.mark.parametrize(
    ("words", "outputs"),
    [
        (("--units", "own.gpkg"), ("own.gpkg",)),
        (("--mask-before", "own.gpkg"), ("own.gpkg",)),
        (("--extent-prompts", "own.gpkg"), ("own.gpkg",)),
        (("--extent-word", "water", "--extent-before", "own.gpkg"), ("own.gpkg",)),
        (("--extent-prompts", "own.geojson"), ("out.gpkg", "--geojson", "own.geojson")),
    ],
)
def test_no_output_is_a_file_that_an_option_names(words, outputs, village, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before, after, footprints = village
    footprints.to_file("own.gpkg")
    footprints.to_crs(4326).to_file("own.geojson")
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    ended = CliRunner().invoke(app, ["change", str(before), str(after), "-q", "--overwrite", *words, "-o", *outputs])
    assert ended.exit_code == 1
    assert "is read by this run" in ended.output
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept


@pytest.mark.parametrize(
    ("before", "after"), [("2024-13-01", ""), ("", "tomorrow"), ("2024-05-02", "2024-05-01"), ("2024-06", "2024-05-31")]
)
def test_days_that_are_none_or_the_wrong_way_round_are_refused(before, after):
    with pytest.raises(OptionError, match="date_"):
        CompareOptions(date_before=before, date_after=after)


@pytest.mark.parametrize(
    ("before", "after"),
    [("", ""), ("2024-05-01T10:00:00Z", "2024-05-01"), ("2024-05", "2024-05-31"), ("2023", "2024-01-01"), ("2024", "")],
)
def test_days_may_be_told_as_far_as_they_are_known(before, after):
    assert CompareOptions(date_before=before, date_after=after).date_before == before


def test_a_bad_extent_is_refused_before_the_scenes_are_compared(village, monkeypatch):
    monkeypatch.setattr("geosam.pipeline.compare.known_objects", lambda *_: pytest.fail("objects are looked for"))
    for how in (
        {"extent": ExtentOptions("word", word="unicorn")},
        {"extent": ExtentOptions("outlines", prompts="nix.gpkg")},
        {"extent": ExtentOptions("word", word="water", before="nix.gpkg")},
        {"units": "nix.gpkg"},
        {"units": float("inf")},
    ):
        with pytest.raises(GeosamError):
            geosam.compare(*village[:2], model=TruthNetwork(), options=CompareOptions(**how))
    with pytest.raises(OptionError, match=r"--extent-bands green,nir"):
        ExtentOptions("ndwi", bands={"green": 0})


@pytest.mark.parametrize("grey_first", [True, False])
def test_a_grey_and_a_colour_scene_are_told(village, caplog, grey_first):
    grey, coloured = open_scene(village[0], bands=1), open_scene(village[1])
    open_pair(*((grey, coloured) if grey_first else (coloured, grey)))
    (said,) = [each.getMessage() for each in caplog.records]
    assert said.startswith(f"{grey.name} shows one band, {coloured.name} three: these are matched to the one")
    caplog.clear()
    open_pair(coloured, coloured)
    assert not caplog.records


def test_pixels_finer_than_both_scenes_are_told(village, caplog):
    open_pair(*village[:2], resolution_m=0.001)
    assert "resolution_m=0.001 is finer than both scenes" in caplog.text


def test_a_raster_that_is_no_mask_is_refused(village, tmp_path):
    with pytest.raises(SceneError, match="3 bands: expected one band"):
        mask_polygons(village[0])
