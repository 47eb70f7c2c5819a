"""Options of GDAL that several threads want at once."""

from concurrent.futures import ThreadPoolExecutor

import geopandas as gpd
import pyogrio
import pytest
import shapely

from geosam import sinks
from geosam.gdal import gdal_options

NAME = "OGR_CURRENT_DATE"


@pytest.mark.parametrize("first_leaves_first", [False, True])
def test_options_hold_until_the_last_who_wants_them_leaves(first_leaves_first):
    before = pyogrio.get_gdal_config_option(NAME)
    some = [gdal_options({NAME: "1970"}) for _ in range(2)]
    for one in some:
        one.__enter__()
    for left, one in enumerate(some if first_leaves_first else some[::-1], 1):
        assert pyogrio.get_gdal_config_option(NAME) == 1970
        one.__exit__(None, None, None)
        assert (pyogrio.get_gdal_config_option(NAME) == before) == (left == 2)


def test_layers_that_are_written_at_once_are_the_same_bytes(tmp_path):
    frame = gpd.GeoDataFrame({"object_id": [1]}, geometry=[shapely.box(0, 0, 1, 1)], crs="EPSG:32633")
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda k: sinks.write(frame, tmp_path / f"{k}" / "layer.gpkg"), folders(tmp_path, 24)))
    assert len({path.read_bytes() for path in done}) == 1


def folders(path, count):
    for number in range(count):
        (path / f"{number}").mkdir()
    return range(count)
