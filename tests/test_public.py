"""What `import geosam` gives: nothing public moves silently, and nothing heavy is loaded."""

import subprocess
import sys

import pytest

import geosam

PUBLIC = [
    "GeosamError",
    "Prompts",
    "SegmentOptions",
    "__version__",
    "click",
    "compare",
    "compare_to_file",
    "encode",
    "encode_catalog",
    "load_model",
    "open_scene",
    "plan",
    "segment",
    "segment_catalog",
    "segment_to_file",
    "similar",
    "view",
    "write",
]


def test_the_public_names_are_these():
    assert dir(geosam) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_documented(name):
    thing = getattr(geosam, name)
    assert isinstance(thing, str) or thing.__doc__


def test_importing_geosam_loads_nothing_heavy():
    heavy = ["torch", "numpy", "rasterio", "shapely", "geopandas", "pandas", "xarray"]
    code = f"import sys, geosam; sys.exit(' '.join(name for name in {heavy} if name in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"import geosam loaded {done.stderr}"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        geosam.no_such_name  # noqa: B018  # the attribute access is the test
