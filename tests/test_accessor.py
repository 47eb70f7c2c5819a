"""xarray: the accessor gives what the pipeline gives, lazily where it says so."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pystac
import pytest
import rasterio
import rioxarray
import shapely
import xarray

import geosam
import geosam.accessor
from geosam.catalog.sources import read_footprint
from geosam.errors import OptionError, SceneError
from geosam.store import EmbeddingStore
from geosam.testing import TruthNetwork, blob_labels, label_scene
from geosam.testing.scenes import CRS, TRANSFORM, labels_to_pixels

SHAPE = (80, 112)
SMALL = {"model": TruthNetwork(side=48), "spacing_px": 8}


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return label_scene(tmp_path_factory.mktemp("scene") / "scene.tif", blob_labels(SHAPE, count=10, large=2, seed=3))


@pytest.fixture(scope="module")
def truth(path):
    return geosam.segment(path, **SMALL)


@pytest.fixture(params=[None, 40], ids=["numpy", "dask"])
def array(path, request):
    opened = rioxarray.open_rasterio(path, chunks=request.param and {"x": request.param, "y": request.param})
    yield opened
    opened.close()


def test_segment_is_that_of_the_file(array, truth):
    found = array.geosam.segment(**SMALL)
    assert found.crs == truth.crs
    assert found.geometry.geom_equals_exact(truth.geometry, 1e-6).all()
    assert found.columns.tolist() == truth.columns.tolist()


def test_prompts_and_embeddings(array, truth, tmp_path):
    clicks = truth.geometry.representative_point()
    (report,) = array.geosam.encode(model=SMALL["model"], store=tmp_path)
    assert report.encoded == EmbeddingStore(tmp_path).stats().entries > 0
    assert len(array.geosam.prompt(clicks, store=tmp_path, **SMALL)) == len(truth)
    with pytest.raises(OptionError, match="no prompts"):
        array.geosam.prompt(None)


def test_labels_are_those_of_the_label_raster_and_wait_until_they_are_asked_for(path, tmp_path, array, monkeypatch):
    geosam.segment_to_file(path, tmp_path / "out.parquet", labels=tmp_path / "labels.tif", min_area=3, **SMALL)
    with rasterio.open(tmp_path / "labels.tif") as source:
        expected = source.read(1)
    calls = []
    monkeypatch.setattr(geosam.accessor, "embed", lambda *a, real=geosam.accessor.embed: calls.append(1) or real(*a))
    labels = array.geosam.labels(min_area=3, **SMALL)
    assert not calls
    assert labels.dims == ("y", "x")
    assert len(labels.chunks[0]) > 1
    assert labels.dtype == np.int32
    assert np.array_equal(labels.compute(scheduler="threads").values, expected)
    assert labels.x.values.tolist() == pytest.approx(array.x.values.tolist())
    assert labels.rio.crs == array.rio.crs


def test_a_dataset_over_time(array, truth):
    bands = xarray.Dataset({name: array.isel(band=n, drop=True) for n, name in enumerate(("red", "green", "blue"))})
    times = pd.date_range("2024-06-01", periods=2)
    series = xarray.concat([bands, bands * 0], dim=pd.Index(times, name="time")).astype("uint8")
    found = series.geosam.segment(**SMALL)
    assert len(found) == len(truth)
    assert (found.time == times[0]).all()
    labels = series.geosam.labels(**SMALL)
    assert labels.dims == ("time", "y", "x")
    assert labels.isel(time=0).max() == len(truth)
    assert labels.isel(time=1).max() == 0


def test_wrong_arrays_and_options(array):
    with pytest.raises(SceneError):
        array.rename(x="a").geosam.segment(**SMALL)
    with pytest.raises(OptionError, match="unknown option"):
        array.geosam.segment(colour="red")
    assert array.geosam.scene(bands=1).shape == SHAPE


@pytest.mark.filterwarnings("ignore:The .shapely.ops.transform:DeprecationWarning")  # odc-geo still calls it
def test_a_stack_that_odc_stac_loads(tmp_path):
    odc_stac = pytest.importorskip("odc.stac", reason="odc-stac is absent: needs geosam[stac]")
    red, green, blue = labels_to_pixels(labels := blob_labels(SHAPE, count=10, large=2, seed=3))
    items = []
    for month, bands in ((6, (red, green, blue)), (7, (0 * red, 0 * green, 0 * blue))):
        item = None
        for name, band in zip(("red", "green", "blue"), bands, strict=True):
            path = tmp_path / f"{month}-{name}.tif"
            kind = {"driver": "GTiff", "count": 1, "dtype": "uint8", "height": SHAPE[0], "width": SHAPE[1]}
            with rasterio.open(path, "w", **kind, crs=CRS, transform=TRANSFORM) as target:
                target.write(band, 1)
            item = item or stac_item(path, datetime(2024, month, 1, tzinfo=UTC))
            item.add_asset(name, pystac.Asset(str(path), media_type=pystac.MediaType.GEOTIFF, roles=["data"]))
        items.append(item)
    asked = {"crs": CRS, "resolution": TRANSFORM.a, "dtype": "uint8", "chunks": {"x": 40, "y": 40}}
    stack = odc_stac.load(items, ("red", "green", "blue"), **asked)
    assert stack.red.chunks is not None
    truth = geosam.segment(label_scene(tmp_path / "truth.tif", labels), **SMALL)
    found = stack.geosam.segment(**SMALL)
    assert found.geometry.geom_equals_exact(truth.geometry, 1e-6).all()
    assert (found.time == stack.time.values[0]).all()
    drawn = stack.geosam.labels(**SMALL)
    assert [int(step.max()) for step in drawn.compute(scheduler="threads")] == [len(truth), 0]
    assert len(stack.isel(time=0).geosam.prompt(truth.geometry.representative_point(), **SMALL)) == len(truth)


def stac_item(path: Path, when: datetime) -> pystac.Item:
    footprint = read_footprint(str(path))
    properties = {"proj:code": CRS, "proj:shape": list(SHAPE), "proj:transform": list(TRANSFORM)}
    item = pystac.Item(path.stem, shapely.geometry.mapping(footprint), list(footprint.bounds), when, properties)
    item.stac_extensions.append("https://stac-extensions.github.io/projection/v2.0.0/schema.json")
    return item
