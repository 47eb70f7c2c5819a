"""Parts → one layer: all rows once, in one CRS; an object of two scenes found once if asked."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from pyproj import CRS

import geosam
from geosam.catalog import Manifest, Row, RunFolder, merge
from geosam.catalog.folder import digest_of, write_lines
from geosam.catalog.parts import move
from geosam.errors import CatalogError, OptionError, SinkError
from geosam.polygons import COLUMNS, measure
from geosam.sinks import read_metadata

UTM31, UTM32 = "EPSG:32631", "EPSG:32632"
WEST, NORTH = 700_000.0, 5_000_000.0


def table(shapes, *, scene: str, crs: str | None = UTM31, **columns) -> gpd.GeoDataFrame:
    """The documented columns for some polygons."""
    shapes = np.array(shapes, object)
    count = len(shapes)
    area, perimeter = measure(shapes, CRS(crs) if crs else None)
    values = {"object_id": np.arange(1, count + 1), "scene": [scene] * count, "model": ["m"] * count}
    values |= {"area_m2": area, "perimeter_m": perimeter, "n_windows": np.ones(count)}
    frame = gpd.pd.DataFrame(
        {name: gpd.pd.Series(values.get(name, [0] * count), dtype=kind) for name, kind in COLUMNS.items()}
    )
    frame["score"] = np.float32(0.5)
    for name, value in columns.items():
        frame[name] = value
    return gpd.GeoDataFrame(frame, geometry=shapes, crs=crs)


def write_run(path, frames: dict[str, gpd.GeoDataFrame], footprints=None) -> RunFolder:
    """The folder of a run with these parts."""
    run = RunFolder.create(path)
    write_lines(run.facts, [{"model": "m", "scenes": len(frames)}])
    write_lines(run.scenes, [{"name": name, "path": "", "key": "k"} for name in frames])
    manifest = Manifest(run.manifest)
    for name, frame in frames.items():
        geosam.write(frame, run.part(name))
        place = (footprints or {}).get(name)
        lonlat = place and shapely.geometry.mapping(gpd.GeoSeries([place], crs=UTM31).to_crs(4326)[0])
        part = digest_of(run.part(name))
        manifest.append(Row(name, "", "k", "done", objects=len(frame), footprint=lonlat, part=part))
    return run


def boxes(count: int, *, left: float = WEST):
    return [shapely.box(left + 30 * n, NORTH, left + 30 * n + 20, NORTH + 20) for n in range(count)]


@pytest.mark.parametrize("side", [1e8, 1e12, 1e297])
def test_what_exceeds_the_earth_lies_nowhere_in_another_crs(side):
    sound = boxes(1)[0]
    moved = move(np.array([sound, shapely.box(0, 0, side, side)], object), CRS(UTM31), CRS(UTM32))
    assert moved[1].is_empty or shapely.get_num_coordinates(moved[1]) < 100
    assert moved[0].area == pytest.approx(sound.area, rel=0.05)


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet", ".fgb", ".geojson"])
def test_all_rows_of_all_parts_in_order(tmp_path, suffix):
    frames = {name: table(boxes(3, left=WEST + 100 * n), scene=name) for n, name in enumerate("abc")}
    write_run(tmp_path / "run", frames)
    merged = merge(tmp_path / "run", tmp_path / f"all{suffix}")
    assert (merged.scenes, merged.objects, merged.joined, merged.missing) == (3, 9, 0, ())
    read = gpd.read_parquet(merged.path) if suffix == ".parquet" else gpd.read_file(merged.path, layer="all")
    read = read.sort_values(["scene", "object_id"], ignore_index=True)
    whole = gpd.pd.concat(frames.values(), ignore_index=True)
    assert read.scene.tolist() == whole.scene.tolist()
    assert read.object_id.tolist() == whole.object_id.tolist()
    moved = read.geometry.to_crs(UTM31)
    assert moved.symmetric_difference(whole.geometry).area.max() < 0.1
    assert read_metadata(merged.path)["scenes"] == 3


def test_a_layer_of_one_part_is_that_part(tmp_path):
    frame = table(boxes(4), scene="a")
    run = write_run(tmp_path / "run", {"a": frame})
    assert gpd.read_parquet(merge(run.path, tmp_path / "all.parquet").path).equals(gpd.read_parquet(run.part("a")))


def test_equal_runs_give_equal_bytes(tmp_path):
    for name in ("one", "two"):
        write_run(tmp_path / name, {"a": table(boxes(4), scene="a"), "b": table(boxes(2), scene="b")})
        merge(tmp_path / name, tmp_path / f"{name}.gpkg", layer="all")
    assert (tmp_path / "one.gpkg").read_bytes() == (tmp_path / "two.gpkg").read_bytes()


def test_parts_of_two_zones_come_to_one_crs(tmp_path):
    here = table(boxes(2), scene="a")
    there = table(gpd.GeoSeries(boxes(2, left=WEST + 200), crs=UTM31).to_crs(UTM32), scene="b", crs=UTM32)
    write_run(tmp_path / "run", {"a": here, "b": there})
    for crs, expected in ((None, "EPSG:4326"), (UTM31, UTM31)):
        read = gpd.read_parquet(merge(tmp_path / "run", tmp_path / "all.parquet", crs=crs).path)
        assert read.crs == expected
        truth = gpd.GeoSeries([*boxes(2), *boxes(2, left=WEST + 200)], crs=UTM31)
        assert read.geometry.to_crs(UTM31).symmetric_difference(truth).area.max() < 0.1
        assert gpd.GeoSeries([shapely.box(*read.total_bounds)]).covers(read.geometry.union_all()).all()


def test_columns_fit_all_parts(tmp_path):
    frames = {
        "a": table(boxes(2), scene="a", height=[3, 4]),
        "b": table(boxes(1), scene="b", height=[2.5], kind=["barn"]),
        "c": table([], scene="c"),
        "d": table(boxes(1), scene="d", height=[None]),
    }
    write_run(tmp_path / "run", frames)
    read = gpd.read_parquet(merge(tmp_path / "run", tmp_path / "all.parquet").path)
    assert read.height.tolist()[:3] == [3, 4, 2.5]
    assert gpd.pd.isna(read.height[3])
    assert read.kind.tolist()[2] == "barn"


def test_empty_parts_give_an_empty_layer(tmp_path):
    write_run(tmp_path / "run", {"a": table([], scene="a"), "b": table([], scene="b")})
    for suffix in (".gpkg", ".parquet"):
        merged = merge(tmp_path / "run", tmp_path / f"all{suffix}", once=True)
        assert merged.objects == 0


class TestOnce:
    """Two scenes: the left one ends at x = 100, the right one begins at x = 60; both saw what lies between."""

    LEFT, RIGHT = shapely.box(0, 0, 100, 100), shapely.box(60, 0, 200, 100)

    @staticmethod
    def at(shape):
        return shapely.transform(shape, lambda xy: np.add(xy, [WEST, NORTH]))

    def merged(self, tmp_path, left, right, *, crs=None, **columns):
        frames = {
            "a": table([self.at(shape) for shape in left], scene="a", **columns.get("a", {})),
            "b": table([self.at(shape) for shape in right], scene="b", **columns.get("b", {})),
        }
        run = write_run(tmp_path / "run", frames, {"a": self.at(self.LEFT), "b": self.at(self.RIGHT)})
        merged = merge(run.path, tmp_path / "all.parquet", once=True, crs=crs)
        return merged, gpd.read_parquet(merged.path)

    @pytest.mark.parametrize("crs", [None, "EPSG:4326"])
    def test_an_object_across_is_whole_and_there_once(self, tmp_path, crs):
        truth = shapely.box(40, 40, 150, 60)
        merged, found = self.merged(tmp_path, [truth & self.LEFT], [truth & self.RIGHT], crs=crs)
        assert (merged.objects, merged.joined) == (1, 1)
        shape = found.geometry.to_crs(UTM31)[0]
        assert shape.symmetric_difference(self.at(truth)).area < 0.1
        assert len(shape.geoms) == 1
        assert found.area_m2[0] == pytest.approx(measure(np.array([self.at(truth)]), CRS(UTM31))[0][0], rel=1e-4)
        assert found.scene.tolist() == ["a"]
        assert found.n_windows.tolist() == [2]

    def test_the_first_scene_has_the_say_where_it_has_data(self, tmp_path):
        seen, otherwise = shapely.box(70, 40, 90, 60), shapely.box(71, 41, 92, 61)
        merged, found = self.merged(tmp_path, [seen], [otherwise])
        assert merged.objects == 1
        assert found.geometry[0].equals(shapely.MultiPolygon([self.at(seen)]))

    def test_other_objects_stay(self, tmp_path):
        left = [shapely.box(10, 10, 20, 20), shapely.box(70, 10, 80, 20)]
        right = [shapely.box(79, 10, 95, 20), shapely.box(150, 10, 160, 20)]
        merged, found = self.merged(tmp_path, left, right)
        assert (merged.objects, merged.joined) == (4, 0)
        assert found.scene.tolist() == ["a", "a", "b", "b"]

    def test_answers_to_different_prompts_stay_apart(self, tmp_path):
        shape = shapely.box(70, 40, 90, 60)
        ids = {"a": {"prompt_id": ["x"]}, "b": {"prompt_id": ["y"]}}
        assert self.merged(tmp_path, [shape], [shape], **ids)[0].objects == 2
        ids["b"]["prompt_id"] = ["x"]
        assert self.merged(tmp_path, [shape], [shape], **ids)[0].objects == 1


class TestRefusals:
    def test_a_scene_without_a_result_is_named(self, tmp_path):
        run = write_run(tmp_path / "run", {name: table(boxes(1), scene=name) for name in "abc"})
        Manifest(run.manifest).append(Row("b", "", "k", "failed", reason="no file"))
        run.part("c").unlink()
        with pytest.raises(CatalogError, match="2 of 3 scenes have no result: b, c"):
            merge(run.path, tmp_path / "all.gpkg")
        assert not (tmp_path / "all.gpkg").exists()
        merged = merge(run.path, tmp_path / "all.gpkg", allow_failures=True)
        assert merged.missing == ("b", "c")
        assert read_metadata(merged.path)["missing"] == ["b", "c"]

    def test_results_of_other_parameters_are_none(self, tmp_path):
        run = write_run(tmp_path / "run", {"a": table(boxes(1), scene="a")})
        write_lines(run.scenes, [{"name": "a", "path": "", "key": "other"}])
        with pytest.raises(CatalogError, match="1 of 1"):
            merge(run.path, tmp_path / "all.gpkg")

    def test_scenes_with_and_without_a_crs(self, tmp_path):
        write_run(tmp_path / "run", {"a": table(boxes(1), scene="a"), "b": table(boxes(1), scene="b", crs=None)})
        with pytest.raises(CatalogError, match="no CRS"):
            merge(tmp_path / "run", tmp_path / "all.gpkg")
        merged = merge(tmp_path / "run", tmp_path / "all.gpkg", allow_failures=True)
        assert (merged.scenes, merged.objects, merged.missing) == (1, 1, ("b",))

    def test_what_is_no_run_no_format_no_crs(self, tmp_path):
        with pytest.raises(CatalogError, match="holds no run"):
            merge(tmp_path, tmp_path / "all.gpkg")
        write_run(tmp_path / "run", {"a": table(boxes(1), scene="a")})
        with pytest.raises(SinkError):
            merge(tmp_path / "run", tmp_path / "all.shp")
        with pytest.raises(OptionError):
            merge(tmp_path / "run", tmp_path / "all.gpkg", crs="nowhere")

    def test_a_damaged_part_is_named(self, tmp_path):
        run = write_run(tmp_path / "run", {"a": table(boxes(1), scene="a")})
        run.part("a").write_bytes(b"PAR1")
        with pytest.raises(CatalogError, match="the parts of a are damaged"):
            merge(run.path, tmp_path / "all.gpkg")


def test_ids_with_gaps_and_of_64_bits_are_compared_and_merged_as_they_are(tmp_path):
    big = 2**53 + 1
    ids = {"a": [big, 7, big], "b": [big, None, big - 1]}
    shapes = [shapely.box(WEST + 40 * n, NORTH, WEST + 40 * n + 20, NORTH + 20) for n in range(3)]
    frames = {
        name: table(shapes, scene=name, prompt_id=gpd.pd.array(values, dtype="Int64")) for name, values in ids.items()
    }
    place = shapely.box(WEST - 50, NORTH - 50, WEST + 200, NORTH + 50)
    write_run(tmp_path / "run", frames, dict.fromkeys(ids, place))
    merged = merge(tmp_path / "run", tmp_path / "all.parquet", once=True)
    assert merged.joined == 2
    assert gpd.read_parquet(merged.path).prompt_id.tolist() == [big, 7, big, big - 1]


def test_ids_that_are_numbers_in_one_part_and_words_in_another(tmp_path):
    frames = {
        "a": table(boxes(1), scene="a", prompt_id=gpd.pd.array([7], dtype="Int64")),
        "b": table(boxes(1, left=WEST + 500), scene="b", prompt_id=["07"]),
        "c": table([], scene="c"),
    }
    merged = merge(write_run(tmp_path / "run", frames).path, tmp_path / "all.parquet")
    assert gpd.read_parquet(merged.path).prompt_id.tolist() == ["7", "07"]


@pytest.mark.parametrize(("text", "joined"), [("building, road", 1), (None, 3)])
def test_what_words_name_is_one_object_only_with_one_word(tmp_path, text, joined):
    """Of prompts, a column `label` is an attribute like all others."""
    shapes, place = boxes(3), shapely.box(WEST - 50, NORTH - 50, WEST + 200, NORTH + 50)
    words = {"a": ["building", "road", "road"], "b": ["building", "building", "tree"]}
    run = write_run(
        tmp_path / "run",
        {name: table(shapes, scene=name, label=given) for name, given in words.items()},
        dict.fromkeys(words, place),
    )
    write_lines(run.facts, [{"model": "m", "scenes": 2, "options": {"text": text}}])
    merged = merge(run.path, tmp_path / "all.parquet", once=True)
    assert (merged.joined, merged.objects) == (joined, 6 - joined)
    kept = gpd.read_parquet(merged.path).label.tolist()
    assert kept == [*words["a"], *words["b"][1:]] if text else words["a"]
