"""Legends: known ones, those in files, and the way from one to another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosam.errors import LandcoverError
from geosam.landcover.legend import LEGENDS, Legend
from geosam.landcover.remap import Remap

SIZES = {"worldcover": 11, "dynamicworld": 9, "esri": 9, "nlcd": 20, "corine": 44}


@pytest.mark.parametrize("name", LEGENDS)
def test_known_legends_have_all_their_classes(name):
    assert len(Legend.named(name)) == SIZES[name]


@pytest.mark.parametrize(
    ("legend", "code", "colour"),
    [
        ("worldcover", 50, "#fa0000"),
        ("dynamicworld", 0, "#419bdf"),
        ("nlcd", 95, "#6c9fb8"),
        ("corine", 523, "#e6f2ff"),
    ],
)
def test_known_colours(legend, code, colour):
    assert Legend.named(legend).colour(code) == colour


@pytest.mark.parametrize("name", LEGENDS)
def test_no_class_is_no_data_or_unknown(name):
    legend = Legend.named(name)
    assert not {legend.nodata, legend.unknown} & set(legend.codes)
    assert legend.nodata != legend.unknown


def test_a_legend_is_found_by_the_names_that_people_give_it():
    assert {Legend.named(name).name for name in ("WorldCover", "esa-worldcover", "ESA WorldCover")} == {"worldcover"}


def test_an_unknown_legend_is_refused():
    with pytest.raises(LandcoverError, match="worldcover, dynamicworld"):
        Legend.named("globcover")


@given(st.lists(st.text(st.characters(categories=["L"]), min_size=1, max_size=8), min_size=1, max_size=40))
def test_names_alone_make_a_legend_whatever_their_order(names):
    names = [name for name in names if " ".join(name.lower().split()) not in ("", "unknown")]
    plain = {name.strip().lower() for name in names}
    if not names or len(plain) < len({name.strip() for name in names}):
        return
    legend = Legend.of_names(names)
    assert legend == Legend.of_names(reversed(names))
    assert [legend.code(name) for name in legend.names] == list(range(1, len(legend) + 1))


@pytest.mark.parametrize(
    ("codes", "names", "colours"),
    [
        ((1, 1), ("a", "b"), ("#000000", "#000001")),
        ((1, 2), ("a", "A"), ("#000000", "#000001")),
        ((1,), ("unknown",), ("#000000",)),
        ((-1,), ("a",), ("#000000",)),
        ((1,), ("a",), ("red",)),
        ((), (), ()),
    ],
)
def test_what_is_no_legend_is_refused(codes, names, colours):
    with pytest.raises(LandcoverError):
        Legend(codes, names, colours)


def test_a_legend_of_a_csv_file(tmp_path):
    (path := tmp_path / "own.csv").write_text("Code,Name,Color\n3,Reed,#00FF00\n7,Sand,\n", encoding="utf-8-sig")
    legend = Legend.of(path)
    assert (legend.codes, legend.names, legend.colours[0]) == ((3, 7), ("Reed", "Sand"), "#00ff00")


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "code,name\nx,reed\n", "code,name,colour\n1,reed,green\n"])
def test_a_csv_file_that_holds_no_legend_is_refused(tmp_path, text):
    (path := tmp_path / "own.csv").write_text(text)
    with pytest.raises(LandcoverError):
        Legend.of(path)


POLYGONS = """<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis><renderer-v2 type="categorizedSymbol" attr="class"><categories>
<category value="water" symbol="0" label="Water"/><category value="reed" symbol="1" label=""/>
<category value="" symbol="2" label=""/></categories><symbols>
<symbol name="0"><layer><Option type="Map"><Option name="color" value="0,100,200,255"/></Option></layer></symbol>
<symbol name="1"><layer><prop k="color" v="1,2,3,255"/></layer></symbol></symbols></renderer-v2></qgis>"""

RASTER = """<qgis><pipe><rasterrenderer type="paletted"><colorPalette>
<paletteEntry value="10" color="#006400" label="Tree cover"/><paletteEntry value="80" color="#0064c8" label="Water"/>
</colorPalette></rasterrenderer></pipe></qgis>"""


def test_a_legend_of_a_style_for_polygons(tmp_path):
    (path := tmp_path / "style.qml").write_text(POLYGONS)
    assert Legend.of(path) == Legend((1, 2), ("Water", "reed"), ("#0064c8", "#010203"))


def test_a_legend_of_a_style_for_rasters(tmp_path):
    (path := tmp_path / "style.qml").write_text(RASTER)
    assert Legend.of(path) == Legend((10, 80), ("Tree cover", "Water"), ("#006400", "#0064c8"))


@pytest.mark.parametrize("text", ["", "<qgis>", "<qgis/>", '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'])
def test_a_style_without_classes_is_refused(tmp_path, text):
    (path := tmp_path / "style.qml").write_text(text)
    with pytest.raises(LandcoverError):
        Legend.of(path)


@pytest.mark.parametrize("one", LEGENDS)
@pytest.mark.parametrize("other", LEGENDS)
def test_every_class_but_clouds_has_a_class_in_every_other_legend(one, other):
    table = Remap.between(one, other).table()
    lost = set(table.from_name[table.to.isna()])
    assert lost <= {"Clouds"}


def test_a_remap_of_codes_that_no_class_has_is_no_data():
    remap = Remap.between("worldcover", "nlcd")
    assert remap.apply(np.array([10, 80, 0, 7, -3, 2**20])).tolist() == [43, 11, 0, 0, 0, 0]


def test_own_tables_from_one_legend_to_another(tmp_path):
    (path := tmp_path / "remap.csv").write_text("from,to\nTree cover,1\n80,Water\n20,\n")
    remap = Remap.from_csv(path, Legend.named("worldcover"), Legend.named("dynamicworld"))
    assert dict(remap.codes) == {10: 1, 80: 0}
