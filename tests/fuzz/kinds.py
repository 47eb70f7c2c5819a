"""What is damaged, kind by kind."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import rasterio
from numpy.random import Generator
from rasterio.errors import RasterioError
from rasterio.transform import Affine, from_origin

from tests.fuzz.asked import commands, random_words
from tests.fuzz.cases import Case
from tests.fuzz.maps import maps
from tests.fuzz.mutate import damage_bytes, damage_file, damage_json, damage_tiff, damage_xml, pick
from tests.fuzz.sound import CORNER, CRS, RESOLUTION, pixels
from tests.fuzz.weights import damage_weights

SIZES = (1, 2, 3, 15, 16, 17, 33, 63, 64, 65, 100, 200)
TYPES = ("uint8", "uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64", "complex64", "int64")
PLACES = (None, CRS, CRS, "EPSG:4326", "EPSG:3857", "EPSG:2154", "ESRI:54030", "EPSG:3413", "OGC:CRS84")
LOCAL = 'LOCAL_CS["site",UNIT["metre",1]]'
SCENE_COMMANDS = ("segment", "segment", "segment", "plan", "encode", "info", "catalog")


def raster(rng: Generator, case: Case) -> None:
    """A raster made oddly, or a sound one damaged."""
    how = rng.random()
    path = _odd_raster(rng, case.inputs) if how < 0.55 else _damaged_raster(rng, case)
    _look_at(rng, case, path)


def _odd_raster(rng: Generator, folder: Path) -> Path:
    """A raster of odd size, type, bands, CRS, transform, nodata, colours."""
    h, w = (int(pick(rng, SIZES)) for _ in "hw")
    count, dtype = int(pick(rng, (1, 1, 2, 3, 3, 3, 4, 5, 13))), str(pick(rng, TYPES))
    driver, suffix = pick(rng, (("GTiff", ".tif"),) * 6 + (("PNG", ".png"), ("JPEG", ".jpg"), ("ENVI", ".img")))
    if driver in ("PNG", "JPEG"):
        dtype, count = "uint8", min(count, 3) if count != 2 else 1
    data = pixels((h, w), int(rng.integers(9))).astype(float)[np.arange(count) % 3] * float(pick(rng, (1, 1, 1, 0, 30)))
    if dtype.startswith(("float", "complex")) and rng.random() < 0.5:
        data[:, : h // 2] = pick(rng, (np.nan, np.inf, -np.inf, 1e38, -9999))
    if not dtype.startswith(("float", "complex")):
        limits = np.iinfo(dtype)
        data = data.clip(float(limits.min), min(float(limits.max), 2.0**52))
    crs = pick(rng, (*PLACES, LOCAL))
    x, y, step = (15, 47, 1e-5) if crs in ("EPSG:4326", "OGC:CRS84") else (*CORNER, RESOLUTION)
    transform = pick(
        rng,
        (
            *[from_origin(x, y, step, step)] * 6,
            None,
            Affine.identity(),
            from_origin(x, y, step, -step),
            from_origin(x, y, step, 3 * step),
            from_origin(x, y, step * 1e9, step * 1e9),
            from_origin(1e300, y, step, step),
            Affine(step, step / 3, x, step / 5, -step, y),
            Affine(step, 0, x, 0, 0, y),
            Affine(float("nan"), 0, x, 0, -step, y),
            from_origin(179.9999, 89.9999, step, step),
        ),
    )
    profile = {"nodata": pick(rng, (None, None, None, 0, 255, -9999, float("nan"), 1e40))}
    if driver == "GTiff":
        profile |= pick(rng, ({}, {"tiled": True, "blockxsize": 16, "blockysize": 16}, {"compress": "deflate"}))
        profile |= pick(rng, ({}, {}, {"photometric": "MINISWHITE"}, {"interleave": "pixel"}, {"nbits": 4}))
    path = folder / f"odd{suffix}"
    profile |= {
        "transform": transform,
        "driver": driver,
        "height": h,
        "width": w,
        "count": count,
        "dtype": dtype,
        "crs": crs,
    }
    with suppress(RasterioError, ValueError, OverflowError), rasterio.open(path, "w", **profile) as file:
        file.write(data.astype(dtype))
        _decorate(rng, file, count)
    if not path.exists():  # GDAL refuses to write this one
        path.write_bytes(b"")
    return path


def _decorate(rng: Generator, file: rasterio.DatasetReader, count: int) -> None:
    """Palette, scales, tags, masks and overviews."""
    for decorate in (
        lambda: file.write_colormap(1, {n: (n, 255 - n, n // 2, int(pick(rng, (0, 255)))) for n in range(256)}),
        lambda: setattr(file, "scales", [float(pick(rng, (0, 2, -1, np.nan, 1e300)))] * count),
        lambda: setattr(file, "offsets", [float(pick(rng, (0, 100, np.inf)))] * count),
        lambda: file.update_tags(1, NODATA="x", STATISTICS_MAXIMUM="nan"),
        lambda: file.write_mask(np.zeros(file.shape, np.uint8)),
        lambda: file.build_overviews([2, 4]),
    ):
        if rng.random() < 0.15:
            with suppress(RasterioError, ValueError, AttributeError, rasterio._err.CPLE_BaseError):
                decorate()


def _damaged_raster(rng: Generator, case: Case) -> Path:
    """A sound scene, damaged as TIFF, as VRT or as bytes."""
    path = case.take("scene.tif")
    how = rng.random()
    if how < 0.45:
        path.write_bytes(damage_tiff(rng, path.read_bytes()))
    elif how < 0.65:
        path.write_bytes(damage_bytes(rng, path.read_bytes()))
    else:
        vrt = path.with_suffix(".vrt")
        with rasterio.open(path) as file:
            rasterio.shutil.copy(file, vrt, driver="VRT")
        vrt.write_bytes(damage_xml(rng, vrt.read_bytes()))
        path = vrt
    if rng.random() < 0.1:
        path.with_suffix(".tfw").write_text(str(pick(rng, ("", "0\n" * 6, "nan\n" * 6, "1\n0\n0\n-1\n"))))
    return path


def _look_at(rng: Generator, case: Case, path: Path) -> None:
    """Give a scene to one of the commands that take one."""
    command = pick(rng, SCENE_COMMANDS)
    if command == "info" and command not in commands():
        command = "plan"
    if command == "segment":
        case.segment_often(
            rng, path, *pick(rng, ((), (), ("--bands", "1"), ("--nodata", "0"), ("--stretch", "minmax")))
        )
    elif command == "catalog":
        shutil.copy(case.base / "many" / "a.tif", case.inputs / "sound.tif")
        case.run("catalog", "run", case.inputs, "-o", case.out / "run", "-q", "--spacing", 16)
    elif command == "encode":
        case.run("encode", path, "--store", case.out / "store", "-q")
    else:
        case.run(command, path)


def vector(rng: Generator, case: Case) -> None:
    """A layer of prompts, or of an area of interest, damaged."""
    suffix = pick(rng, (".gpkg", ".geojson", ".geojson", ".csv", ".shp", ".fgb", ".parquet"))
    layer = case.take(f"vectors/{pick(rng, ('points', 'boxes', 'outlines'))}{suffix}", whole_stem=suffix == ".shp")
    if suffix == ".gpkg" and rng.random() < 0.3:
        layer = case.take("vectors/layers.gpkg")
    damaged = layer
    if suffix == ".shp":
        damaged = layer.with_suffix(pick(rng, (".shp", ".shx", ".dbf", ".prj", ".cpg")))
        if rng.random() < 0.15:
            damaged.unlink()
    if damaged.exists():
        damage_file(rng, damaged)
    words: list[object] = ["--aoi" if rng.random() < 0.25 else "--prompts", layer]
    if words[0] == "--prompts":
        words += pick(rng, ((), (), (), ("--id-column", "code"), ("--id-column", "count"), ("--group-column", "there")))
        words += pick(rng, ((), (), (), ("--prompts-layer", "boxes"), ("--prompts-crs", "EPSG:4326")))
    if rng.random() < 0.15:
        source = case.base / "many"
        case.run("catalog", "run", source, "-o", case.out / "run", "-q", "--spacing", 16, *_without_crs(words))
        return
    case.segment_often(rng, case.base / "scene.tif", *words)


def _without_crs(words: list[object]) -> list[object]:
    return words[: words.index("--prompts-crs")] if "--prompts-crs" in words else words


def options(rng: Generator, case: Case) -> None:
    """A command with random options, of values that make sense and of others."""
    command = pick(rng, ("segment",) * 5 + ("plan",) * 2 + ("encode", "run", "run", "merge", "report", "evaluate"))
    words = random_words(rng, command, case)
    if command == "segment":
        layer = case.out / pick(rng, ("layer.gpkg",) * 4 + ("layer.fgb", "layer.parquet", "layer.geojson", "layer.shp"))
        case.layers, case.scene = [layer], case.base / "scene.tif"
        words = ["segment", case.scene, "-o", layer, "-q", *words]
    elif command in ("plan", "encode"):
        words = [command, case.base / "scene.tif", *words]
    elif command == "run":
        words = ["catalog", "run", case.base / "many", "-o", case.out / "run", "-q", *words]
    elif command == "merge":
        layer = case.out / pick(rng, ("layer.gpkg", "layer.parquet", "layer.fgb", "layer.geojson"))
        case.layers = [layer]
        words = ["catalog", "merge", case.base / "run", "-o", layer, *words]
    elif command == "report":
        words = ["catalog", "report", case.base / "run", "-o", case.out / "report.html"]
    else:
        words = ["evaluate", case.base / "labelled", "-q", *words]
    case.run(*words)


def run_folder(rng: Generator, case: Case) -> None:
    """The folder of a run whose files are damaged, removed or swapped; then it is used again."""
    folder = case.out / "run"  # whoever uses a run writes into its folder
    shutil.copytree(case.base / "run", folder)
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    for _ in range(int(rng.integers(1, 3))):
        _spoil(rng, pick(rng, files), files)
    layer = case.out / "layer.gpkg"
    again = ("catalog", "run", case.base / "many", "-o", folder, "-q", "--spacing", 16, "--labels")
    merged = ("catalog", "merge", folder, "-o", layer, *pick(rng, ((), (), ("--once",))))
    for words in pick(rng, ((again, merged), (merged,), (("catalog", "report", folder),), (again,))):
        case.run(*words)
        case.layers = [layer] if words is merged else case.layers


def _spoil(rng: Generator, path: Path, others: list[Path]) -> None:
    """Damage a file, remove it, or put another in its place."""
    how = rng.random()
    if not path.is_file():
        return
    if how < 0.7:
        damage_file(rng, path)
    elif how < 0.8:
        path.unlink()
    elif how < 0.85:
        path.unlink()
        path.mkdir()
    else:
        other = pick(rng, [each for each in others if each != path])
        if other.is_file():
            shutil.copy(other, path)


def weights(rng: Generator, case: Case) -> None:
    """A weights file whose header, specification or tensors are damaged."""
    path = case.take("weights.safetensors")
    damage_weights(rng, path)
    if rng.random() < 0.1:
        path = path.rename(path.with_suffix(pick(rng, (".pth", ".pt", ".bin", ""))))
    words = (
        "--model",
        path,
        "--aoi",
        "POLYGON ((500000 5300000, 500030 5300000, 500030 5299970, 500000 5299970, 500000 5300000))",
    )
    case.segment(case.base / "scene.tif", *words)


def journal(rng: Generator, case: Case) -> None:
    """The journal of an interrupted run, damaged; the run goes on, and gives what an undisturbed one gives."""
    shutil.copytree(case.base / "broken", case.out, dirs_exist_ok=True)
    layer = case.out / "out.gpkg"
    files = [path for path in case.out.rglob("*") if path.is_file() and path.name != "lock"]
    for _ in range(int(rng.integers(1, 4))):
        _spoil(rng, pick(rng, files), files)
    case.layers, case.same, case.scene = [layer], case.base / "whole.gpkg", case.base / "scene.tif"
    case.run("segment", case.scene, "-o", layer, "-q", "--store", "none", "--spacing", 16)


def store(rng: Generator, case: Case) -> None:
    """A store of embeddings, damaged; what cannot be read is made again."""
    folder = case.out / "store"
    shutil.copytree(case.base / "store", folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    for _ in range(int(rng.integers(1, 6))):
        path = pick(rng, files)
        if path.suffix == ".json" and path.is_file() and rng.random() < 0.6:
            path.write_bytes(damage_json(rng, path.read_bytes()))
        else:
            _spoil(rng, path, files)
    layer = case.out / "layer.gpkg"
    case.layers, case.same, case.scene = [layer], case.base / "whole.gpkg", case.base / "scene.tif"
    case.run("segment", case.scene, "-o", layer, "-q", "--store", folder, "--spacing", 16)


def calibration(rng: Generator, case: Case) -> None:
    """What a machine was measured to need, damaged; it is measured again."""
    shutil.copytree(case.base / "cache", case.cache, dirs_exist_ok=True)
    for path in (case.cache / "calibration").glob("*"):
        path.write_bytes(damage_json(rng, path.read_bytes()))
    case.run("plan", case.base / "scene.tif")


def config(rng: Generator, case: Case) -> None:
    """The configuration of a training, damaged."""
    folder = case.take("configs")
    damage_file(rng, folder / pick(rng, ("nano.toml", "nano.toml", "nano-start.toml")))
    case.run("train", folder / "nano.toml", "-o", case.out / "trained")


def labelled(rng: Generator, case: Case) -> None:
    """A set of labelled pictures, damaged."""
    folder = case.take("labelled")
    files = sorted(folder.iterdir())
    for _ in range(int(rng.integers(1, 3))):
        _spoil(rng, pick(rng, files), files)
    case.tables = [case.out / "scores.json"]
    case.run("evaluate", folder, "-q", "--windows", 1, "--spacing", 16, "--json", case.tables[0])


KINDS: dict[str, tuple[int, Callable[[Generator, Case], None]]] = {
    "raster": (26, raster),
    "vector": (24, vector),
    "options": (16, options),
    "run": (9, run_folder),
    "weights": (9, weights),
    "journal": (4, journal),
    "store": (4, store),
    "calibration": (2, calibration),
    "config": (3, config),
    "labelled": (3, labelled),
    "maps": (12, maps),
}
"""Share of the cases, and what makes one."""


def make(kind: str | None, seed: int, number: int, base: Path, folder: Path) -> Case:
    """Make the case of a number; without a kind, it is drawn as well."""
    rng = np.random.default_rng([seed, number])
    names, shares = list(KINDS), [share for share, _ in KINDS.values()]
    drawn = str(rng.choice(names, p=np.array(shares) / sum(shares)))
    case = Case.begin(kind or drawn, base, folder)
    KINDS[case.kind][1](rng, case)
    return case
