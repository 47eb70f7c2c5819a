"""A scene and samples in, a map out: all files, whole and in the legend's colours; and what is drawn from a map."""

import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from odc.geo.geobox import GeoBox
from typer.testing import CliRunner

pytest.importorskip("sklearn", reason="scikit-learn is an extra: geosam[landcover]")

from geosam.catalog import landcover_catalog
from geosam.cli import app
from geosam.errors import GeosamError, LandcoverError, OptionError, SinkError
from geosam.landcover import (
    ClassifyOptions,
    DesignOptions,
    Legend,
    area_table,
    assess,
    class_areas,
    class_strips,
    classes_at,
    classify,
    dissolve,
    draw_points,
    sample_design,
)
from geosam.landcover.model import LandcoverModel
from geosam.landcover.rasters import read_map
from geosam.pipeline.landcover import LandcoverFiles, SampleSource, map_landcover
from geosam.polygons import frame, polygonize
from geosam.recognition import Encoder
from geosam.scene import open_scene
from geosam.sheets.maps import place_pictures
from geosam.sinks import Category, categorized, read_layer, write_classes, write_points
from geosam.testing import TruthNetwork, WatchedNetwork, label_scene, parcel_labels

GRID = GeoBox((128, 160), rasterio.Affine(10, 0, 500000, 0, -10, 5000000), "EPSG:32633")
KINDS = ("water", "field", "forest")
PLAIN = ClassifyOptions(recognition=False, min_margin=0)


@pytest.fixture(scope="module")
def labels():
    return parcel_labels((128, 160), count=60, seed=2)


@pytest.fixture(scope="module")
def kinds(labels):
    return np.random.default_rng(1).integers(0, 3, labels.max() + 1)


@pytest.fixture(scope="module")
def path(labels, kinds, tmp_path_factory):
    colours = np.array([[30, 60, 120], [200, 180, 90], [20, 80, 30]])
    picture = colours[kinds[labels]] + np.random.default_rng(2).integers(-8, 8, (128, 160, 3))
    path = tmp_path_factory.mktemp("landcover") / "scene.tif"
    profile = {"driver": "GTiff", "count": 3, "height": 128, "width": 160, "dtype": "uint8"}
    with rasterio.open(path, "w", crs="EPSG:32633", transform=GRID.affine, photometric="rgb", **profile) as file:
        file.write(picture.clip(0, 255).astype(np.uint8).transpose(2, 0, 1))
    return path


@pytest.fixture(scope="module")
def scene(path):
    return open_scene(str(path))


@pytest.fixture(scope="module")
def segments(labels, scene):
    ids, shapes = next(iter(polygonize([(0, labels)], coverage=True)))
    ones = np.ones(len(ids), np.float32)
    return frame(shapes, scene, object_ids=ids, predicted_iou=ones, stability=ones)


@pytest.fixture(scope="module")
def truth(segments, kinds):
    return np.array(KINDS)[kinds[segments.object_id]]


@pytest.fixture(scope="module")
def samples(segments, truth):
    picked = [k for kind in KINDS for k in np.flatnonzero(truth == kind)[:6]]
    inside = segments.geometry.iloc[picked].representative_point()
    return gpd.GeoDataFrame({"class": truth[picked]}, geometry=inside.to_numpy(), crs=segments.crs)


@pytest.fixture(scope="module")
def report(scene, segments, samples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    names = ("map.gpkg", "dissolved.gpkg", "classes.tif", "areas.csv", "areas.svg", "report.html")
    one, two, three, four, five, six = (folder / name for name in names)
    files = LandcoverFiles(one, two, three, (four, five), six)
    return map_landcover(scene, files, samples=samples, segments=segments, options=PLAIN)


def test_all_files_are_there_and_nothing_else(report):
    folder = report.outputs[0].parent
    names = {path.name for path in folder.iterdir()}
    assert names == {path.name for path in report.outputs} | {"classes.tif.aux.xml"}


def test_the_map_is_right(report, truth):
    assert (report.segments["class"] == truth).mean() > 0.95
    written = read_layer(report.outputs[0])
    assert written["class"].tolist() == report.segments["class"].tolist()


def test_the_geopackage_opens_in_the_colours_of_the_legend(report):
    with closing(sqlite3.connect(report.outputs[0])) as package:
        document, default = package.execute("SELECT styleQML, useAsDefault FROM layer_styles").fetchone()
    assert default == 1
    assert 'attr="class"' in document
    legend = report.classification.legend
    for name in KINDS:
        rgb = ",".join(str(int(legend.colour(name)[at : at + 2], 16)) for at in (1, 3, 5))
        assert f'value="{name}"' in document
        assert rgb in document


def test_a_style_that_was_written_is_a_legend_again(tmp_path):
    (path := tmp_path / "style.qml").write_text(categorized("class", [Category("a", "Reed", "#0a0b0c")]))
    assert Legend.of(path) == Legend((1,), ("Reed",), ("#0a0b0c",))


def test_the_raster_holds_the_codes_of_the_segments(report, labels, scene):
    with rasterio.open(report.outputs[2]) as file:
        codes, colours, nodata = file.read(1), file.colormap(1), file.nodata
        assert file.profile["tiled"]
    by_segment = report.segments.set_index("object_id").class_code
    assert np.array_equal(codes, by_segment.loc[labels.ravel()].to_numpy().reshape(labels.shape))
    legend = report.classification.legend
    assert nodata == legend.nodata == 0
    assert colours[legend.code("water")][:3] == tuple(int(legend.colour("water")[at : at + 2], 16) for at in (1, 3, 5))


def test_overviews_of_a_raster_are_made_in_its_colours(tmp_path, caplog):
    labels = np.repeat(np.arange(1, 3, dtype=np.int32), 640)[:, None].repeat(1280, 1)
    scene = open_scene(label_scene(tmp_path / "scene.tif", labels))
    classes = [(1, "Reed", "#0a0b0c"), (2, "Sand", "#d0e0f0")]
    write_classes([(0, labels)], tmp_path / "classes.tif", scene, classes, nodata=0)
    assert not caplog.records
    with rasterio.open(tmp_path / "classes.tif", overview_level=0) as file:
        assert file.shape == (640, 640)
        assert file.colormap(1)[2] == (0xD0, 0xE0, 0xF0, 255)
        assert set(np.unique(file.read(1))) == {1, 2}


def test_the_names_of_classes_lie_beside_the_raster(report):
    text = report.outputs[2].with_name("classes.tif.aux.xml").read_text()
    assert all(f"<Category>{name}</Category>" in text for name in KINDS)
    assert "<GDALRasterAttributeTable" in text


def test_dissolved_pieces_of_a_class_do_not_touch_and_lose_no_ground(report):
    joined = dissolve(report.segments)
    assert joined.area_m2.sum() == pytest.approx(report.segments.area_m2.sum(), rel=1e-9)
    assert joined.segments.sum() == len(report.segments)
    for _, own in joined.groupby("class"):
        shapes = own.geometry.to_numpy()
        one, other = shapely.STRtree(shapes).query(shapes, predicate="intersects")
        apart = one < other
        assert shapely.length(shapely.intersection(shapes[one[apart]], shapes[other[apart]])).sum() == 0
    assert shapely.coverage_is_valid(joined.geometry.to_numpy())


def test_areas_sum_to_the_scene(report):
    table = pd.read_csv(report.outputs[3], index_col="class")
    assert table.area_ha.sum() == pytest.approx(report.segments.area_m2.sum() / 1e4)
    assert table.share.sum() == pytest.approx(1)


def test_the_page_needs_nothing_else(report):
    page = report.outputs[5].read_text()
    assert page.count("data:image/png") >= 1
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert all(name in page for name in (*KINDS, "Cross-validation", "Areas"))
    assert "width=device-width" in page


def test_the_page_is_in_words_and_in_per_cent(report):
    page = report.outputs[5].read_text()
    headings = set(re.findall(r"<th>([^<]*)</th>", page))
    assert {"area, ha", "share", "mean probability", "user's accuracy", "producer's accuracy"} <= headings
    assert not any("_" in heading for heading in headings)
    share = report.areas["share"].iloc[0]
    assert f"<td>{share:.1%}</td>" in page
    assert re.search(r"blocks of [0-9.e+]+ (m|degrees|pixels)\)", page)


def test_a_doubtful_place_is_outlined_on_both_pictures(report, scene):
    row = report.segments.iloc[int(report.segments.area.argmax())]
    legend = report.classification.legend
    for picture in place_pictures(scene, report.segments, legend, row.geometry):
        white = (picture == 255).all(axis=2)
        assert white.any()
        assert white.mean() < 0.2


def test_equal_input_makes_equal_files(report, scene, segments, samples, tmp_path):
    names = [path.name for path in report.outputs]
    again = LandcoverFiles(
        *(tmp_path / name for name in names[:3]), tuple(tmp_path / name for name in names[3:5]), tmp_path / names[5]
    )
    map_landcover(scene, again, samples=samples, segments=segments, options=PLAIN)
    for path in report.outputs:
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_model_makes_the_map_of_another_scene(report, scene, segments, tmp_path):
    model = report.classification.model.save(tmp_path / "model.geosam")
    other = map_landcover(scene, LandcoverFiles(tmp_path / "map.gpkg"), trained=model, segments=segments)
    unsampled = ~report.segments.sampled
    assert other.segments["class"][unsampled].tolist() == report.segments["class"][unsampled].tolist()


def test_another_map_of_a_scene_encodes_nothing_again(path, samples, tmp_path, monkeypatch):
    encode, seen, network = Encoder.encode, [], WatchedNetwork()
    monkeypatch.setattr(Encoder, "encode", lambda self, pixels: seen.append(pixels.shape) or encode(self, pixels))
    how = {"samples": samples, "model": network, "options": ClassifyOptions(min_margin=0, validate=False)}
    counts = []
    for name, kept in (("first", tmp_path / "store"), ("again", tmp_path / "store"), ("alone", None)):
        (tmp_path / name).mkdir()
        map_landcover(open_scene(str(path)), LandcoverFiles(tmp_path / name / "map.gpkg"), store=kept, **how)
        counts.append((len(network.windows), len(seen)))
    assert counts == [(1, 1), (1, 1), (2, 2)]
    assert len({(tmp_path / name / "map.gpkg").read_bytes() for name in ("first", "again", "alone")}) == 1


def test_nothing_is_written_if_one_file_cannot_be(scene, segments, samples, tmp_path):
    (tmp_path / "report.html").write_text("mine")
    files = LandcoverFiles(tmp_path / "map.gpkg", report=tmp_path / "report.html")
    with pytest.raises(SinkError):
        map_landcover(scene, files, samples=samples, segments=segments, options=PLAIN)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_samples_or_a_model_but_not_both(scene, segments, tmp_path):
    with pytest.raises(OptionError, match="neither"):
        map_landcover(scene, LandcoverFiles(tmp_path / "map.gpkg"), segments=segments)


@pytest.mark.parametrize("name", ["report", "model"])
def test_nothing_is_told_of_samples_that_are_not_there(name, scene, segments, report, tmp_path):
    files = LandcoverFiles(tmp_path / "map.gpkg", **{name: tmp_path / {"report": "a.html", "model": "a.geosam"}[name]})
    with pytest.raises(OptionError, match="of a map without samples"):
        map_landcover(scene, files, trained=report.classification.model, segments=segments)
    assert list(tmp_path.iterdir()) == []


def test_a_model_is_one_of_the_outputs(path, segments, samples, tmp_path):
    samples.to_file(tmp_path / "samples.gpkg")
    segments.to_parquet(tmp_path / "segments.parquet")
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    made = ["landcover", str(path), "--samples", str(tmp_path / "samples.gpkg"), "-q"]
    made += ["--segments", str(tmp_path / "segments.parquet"), "-o", str(tmp_path / "map.gpkg"), "--save-model"]
    for wrong in ("samples.gpkg", "map.gpkg", "model.txt"):
        assert CliRunner().invoke(app, [*made, str(tmp_path / wrong), "--overwrite"]).exit_code != 0
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before
    (tmp_path / "m.geosam").write_text("mine")
    assert CliRunner().invoke(app, [*made, str(tmp_path / "m.geosam")]).exit_code != 0
    assert (tmp_path / "m.geosam").read_text() == "mine"
    assert CliRunner().invoke(app, [*made, str(tmp_path / "m.geosam"), "--overwrite"]).exit_code == 0
    assert LandcoverModel.load(tmp_path / "m.geosam").legend.names == tuple(sorted(KINDS))


def test_samples_are_read_before_the_scene_is_segmented(path, samples, tmp_path, monkeypatch):
    monkeypatch.setattr("geosam.pipeline.segment", lambda *_, **__: pytest.fail("the scene is segmented"))
    for how, message in (
        ({"label": "nix"}, "without a column"),
        ({"crs": "foo"}, "crs='foo'"),
        ({"legend": "nlcd"}, "of class"),
    ):
        with pytest.raises(GeosamError, match=message):
            map_landcover(path, LandcoverFiles(tmp_path / "map.gpkg"), samples=SampleSource(samples, **how))


def test_segments_of_others_are_made_valid_and_measured_or_unknown(scene, segments, samples, tmp_path):
    """One crosses itself, one has a corner in another world: the map is valid, and all others are what they were."""
    far = segments.copy()
    x, y = far.geometry.iloc[1].centroid.coords[0]
    far.loc[far.index[1], "geometry"] = shapely.Polygon([(x, y), (x + 9, y), (-2e100, y + 9)])
    cx, cy = far.geometry.iloc[2].centroid.coords[0]
    far.loc[far.index[2], "geometry"] = shapely.Polygon([(cx, cy), (cx + 4, cy + 4), (cx + 4, cy), (cx, cy + 4)])
    found = map_landcover(
        scene, LandcoverFiles(tmp_path / "map.gpkg"), samples=samples, segments=far, options=PLAIN
    ).segments
    assert found.is_valid.all()
    assert len(found) == len(segments)


def test_samples_beside_the_scene_are_refused_before_the_work(scene, samples, tmp_path):
    network = WatchedNetwork()
    files = LandcoverFiles(tmp_path / "map.gpkg")
    with pytest.raises(LandcoverError, match=r"beside the scene: expected places within \(500000\.0, .*--samples-crs"):
        map_landcover(scene, files, samples=samples.set_crs("EPSG:3857", allow_override=True), model=network)
    assert not network.windows


def test_codes_of_a_legend_where_zero_is_a_class(scene, segments, samples, tmp_path):
    renamed = samples.assign(**{"class": samples["class"].map({"water": "Water", "field": "Crops", "forest": "Trees"})})
    source = SampleSource(renamed, legend="dynamicworld")
    files = LandcoverFiles(tmp_path / "map.gpkg", raster=tmp_path / "classes.tif")
    map_landcover(scene, files, samples=source, segments=segments.iloc[1:], options=PLAIN)
    with rasterio.open(tmp_path / "classes.tif") as file:
        assert file.nodata == 255
        assert set(np.unique(file.read(1))) == {0, 1, 4, 255}


def test_strips_of_codes_tile_the_scene(report, scene):
    strips = list(class_strips(report.segments, scene, report.classification.legend))
    assert sum(len(codes) for _, codes in strips) == 128


def test_areas_of_a_map_are_those_of_its_segments(report):
    areas = class_areas(report.segments)
    table = area_table(report.segments, report.classification.legend)
    assert areas == pytest.approx(table.area_ha.to_dict(), rel=1e-6)


def test_the_size_of_a_sample_is_that_of_the_paper():
    """Olofsson et al. 2014, section 5.1.1: 641 places."""
    areas = {"deforestation": 0.02, "gain": 0.015, "forest": 0.32, "other": 0.645}
    options = DesignOptions({"deforestation": 0.7, "gain": 0.6, "forest": 0.9, "other": 0.95}, 0.01, least=75)
    design = sample_design(areas, options)
    assert design.attrs["total"] == 641
    assert design.n[["deforestation", "gain"]].tolist() == [75, 75]


@pytest.mark.parametrize("allocation", ["balanced", "proportional", "equal", "neyman"])
def test_a_sample_has_as_many_places_as_asked_for(allocation):
    design = sample_design({"a": 80.0, "b": 15.0, "c": 5.0}, DesignOptions(allocation=allocation, total=200))
    assert design.n.sum() == 200
    assert (design.n >= 2).all()


def test_a_wanted_error_of_each_class_asks_for_more_places():
    design = sample_design({"a": 90.0, "b": 10.0}, DesignOptions(0.9, 0.05, se_users=0.03))
    assert (design.se_users <= 0.03 + 1e-9).all()


@pytest.mark.parametrize(
    ("areas", "options"),
    [
        ({}, {}),
        ({"a": 0.0}, {}),
        ({"a": 1.0}, {"users": {"b": 0.5}}),
        ({"a": 1.0}, {"users": 1.0}),
        ({"a": 1.0}, {"allocation": "x"}),
    ],
)
def test_designs_that_make_no_sense_are_refused(areas, options):
    with pytest.raises(LandcoverError):
        sample_design(areas, DesignOptions(**options))


def test_places_lie_in_their_class_and_are_the_same_for_a_seed(report):
    counts = dict.fromkeys(KINDS, 20)
    points = draw_points(report.segments, counts, seed=4)
    assert points.map_class.value_counts().to_dict() == counts
    assert classes_at(report.segments, points.to_crs(4326)).tolist() == points.map_class.tolist()
    assert points.equals(draw_points(report.segments, counts, seed=4))
    assert "map_class" not in draw_points(report.segments, counts, blind=True)


def test_places_are_spread_by_area():
    shapes = [shapely.box(0, 0, 10, 10), shapely.box(100, 0, 130, 10)]
    mapped = gpd.GeoDataFrame({"class": ["a", "a"]}, geometry=shapes, crs="EPSG:32633")
    points = draw_points(mapped, {"a": 4000})
    assert (points.geometry.x < 50).mean() == pytest.approx(0.25, abs=0.03)


def test_places_without_a_crs_are_no_geojson(tmp_path):
    mapped = gpd.GeoDataFrame({"class": ["a"]}, geometry=[shapely.box(0, 0, 10, 10)])
    with pytest.raises(SinkError, match="the points have no CRS"):
        write_points(draw_points(mapped, {"a": 5}), tmp_path / "points.geojson")
    assert not list(tmp_path.iterdir())


def test_a_map_is_assessed_by_labelled_places(report, tmp_path):
    points = draw_points(report.segments, dict.fromkeys(KINDS, 15), seed=1)
    points["reference"] = points.map_class
    points.loc[0, "reference"] = ""
    wrong = points.index[points.map_class == "water"][1]
    points.loc[wrong, "reference"] = "forest"
    found, notes = assess(report.segments, write_points(points, tmp_path / "points.csv"))
    assert found.counts.to_numpy().sum() == 44
    assert 0.9 < found.overall.value < 1
    assert notes == ("1 places are not labelled and left out",)
    assert found.classes.area.sum() == pytest.approx(report.segments.area_m2.sum() / 1e4, rel=1e-6)


def test_the_command_line_from_scene_to_areas(path, segments, samples, tmp_path):
    segments.to_parquet(tmp_path / "segments.parquet")
    samples.to_file(tmp_path / "samples.gpkg")
    run = CliRunner()
    made = ["landcover", str(path), "-o", str(tmp_path / "map.gpkg"), "--samples", str(tmp_path / "samples.gpkg")]
    made += ["--segments", str(tmp_path / "segments.parquet"), "--save-model", str(tmp_path / "m.geosam"), "-q"]
    assert run.invoke(app, made).exit_code == 0, run.invoke(app, made).output
    drawn = ["sample", str(tmp_path / "map.gpkg"), "-o", str(tmp_path / "points.gpkg"), "--total", "60"]
    assert run.invoke(app, drawn).exit_code == 0
    points = gpd.read_file(tmp_path / "points.gpkg")
    points.assign(reference=points.map_class).to_file(tmp_path / "labelled.gpkg")
    asked = [
        "accuracy",
        str(tmp_path / "map.gpkg"),
        str(tmp_path / "labelled.gpkg"),
        "--chart",
        str(tmp_path / "c.svg"),
    ]
    told = run.invoke(app, asked)
    assert told.exit_code == 0
    assert "overall accuracy 100.0 %" in told.output
    assert (tmp_path / "c.svg").read_text().startswith("<svg")


def test_a_class_raster_is_the_map_that_its_polygons_are(report, scene, path, tmp_path):
    """The raster that was written, read as a map: same classes, same areas; codes by its own names or by a legend."""
    legend = report.classification.model.legend
    rows = list(zip(legend.codes, legend.names, legend.colours, strict=True))
    raster = write_classes(
        class_strips(report.segments, scene, legend), tmp_path / "m.tif", scene, rows, nodata=legend.nodata
    )
    areas = class_areas(report.segments)
    assert class_areas(read_map(raster)) == pytest.approx(areas, rel=1e-5)
    (tmp_path / "m.tif.aux.xml").unlink()
    assert set(read_map(raster)["class"]) == {str(legend.code(name)) for name in areas}
    assert class_areas(read_map(raster, legend=legend)) == pytest.approx(areas, rel=1e-5)
    with pytest.raises(LandcoverError, match="codes of the legend"):
        read_map(raster, legend=Legend((999,), ("sea",), ("#0064c8",)))
    with pytest.raises(LandcoverError, match="3 bands of uint8"):
        read_map(path)


def test_errors_of_the_command_line_are_one_line(path, tmp_path):
    told = CliRunner().invoke(app, ["landcover", str(path), "-o", str(tmp_path / "map.gpkg")])
    assert told.exit_code == 1
    assert len(told.stderr.strip().splitlines()) == 1


@pytest.fixture(scope="module")
def scenes(path, tmp_path_factory):
    """Two sound scenes and one that is cut off."""
    folder = tmp_path_factory.mktemp("scenes")
    for name in ("a", "b"):
        (folder / f"{name}.tif").write_bytes(path.read_bytes())
    (folder / "c.tif").write_bytes(path.read_bytes()[:200])
    return folder


@pytest.fixture(scope="module")
def one_by_one(scenes, report, tmp_path_factory):
    """Maps of the scenes, made in this process."""
    folder = tmp_path_factory.mktemp("maps")
    landcover_catalog(str(scenes), folder, report.classification.model, model=TruthNetwork())
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


def test_a_catalog_is_mapped_by_one_model_and_what_is_missing_is_done_later(report, scenes, one_by_one, tmp_path):
    areas = pd.read_csv(one_by_one / "areas.csv")
    whole = areas.area_ha.sum().round(3)
    assert areas.groupby("scene").area_ha.sum().round(3).to_dict() == dict.fromkeys("ab", whole / 2)
    shutil.copytree(one_by_one, maps := tmp_path / "maps")
    (maps / "b.gpkg").unlink()
    before = (maps / "a.gpkg").stat().st_mtime_ns
    again = landcover_catalog(str(scenes), maps, report.classification.model, model=TruthNetwork())
    assert (again.earlier, again.done, list(again.failed)) == (["a"], ["b"], ["c"])
    assert (maps / "a.gpkg").stat().st_mtime_ns == before
    assert contents(maps) == contents(one_by_one)
    other = replace(report.classification.model, min_margin=0.5)
    assert landcover_catalog(str(scenes), maps, other, model=TruthNetwork()).done == ["a", "b"]


@pytest.mark.parametrize("where", [{"threads": 2}, pytest.param({"workers": 2}, marks=pytest.mark.slow)])
def test_a_catalog_has_the_same_bytes_wherever_it_is_mapped(report, scenes, one_by_one, tmp_path, where):
    run = landcover_catalog(str(scenes), tmp_path, report.classification.model, model=TruthNetwork(), **where)
    assert (run.done, list(run.failed)) == (["a", "b"], ["c"])
    assert contents(tmp_path) == contents(one_by_one)


def test_a_catalog_of_maps_is_not_shared_out_by_pieces(report, scenes, tmp_path):
    with pytest.raises(OptionError, match="'split' over a catalog"):
        landcover_catalog(str(scenes), tmp_path, report.classification.model, split=4)


def test_segments_are_measured_where_a_scene_is_given(scene, segments, samples, truth):
    found = classify(segments, samples, scene=scene, options=ClassifyOptions(min_margin=0, validate=False))
    assert (found.segments["class"] == truth).mean() > 0.9
    assert found.model.features.recognition
    with pytest.raises(LandcoverError, match="both"):
        classify(segments, samples, scene=scene, features=found.features)
