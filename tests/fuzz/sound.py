"""The sound inputs from which all cases come, written once into a folder."""

import json
import shutil
import warnings
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import geopandas
import numpy as np
import pandas
import rasterio
import shapely
import torch
from PIL import Image
from rasterio.transform import from_origin

import geosam
from geosam.models import build, write_sam
from geosam.nano.spec import NanoSpec
from geosam.segmenter import Everything, Features, Recipe, Suppression
from geosam.testing import StubNetwork

CRS, RESOLUTION, CORNER = "EPSG:32633", 0.5, (500_000.0, 5_300_000.0)

SHAPE = (130, 150)
"""Rows and columns of the scene."""

SIDE = 64
"""Side of the networks' windows, in pixels."""

FORMATS = {"gpkg": "GPKG", "geojson": "GeoJSON", "shp": "ESRI Shapefile", "fgb": "FlatGeobuf"}
"""Vector formats that GDAL writes, beside CSV and GeoParquet."""


@dataclass(frozen=True)
class Network(StubNetwork):
    """Finds discs; after so many windows it is interrupted."""

    side: int = SIDE
    channels: int = 4
    most: int | None = None

    def encode(self, pixels: np.ndarray) -> Features:
        """Count the windows, and encode."""
        global _encoded  # noqa: PLW0603 - the network is frozen and may be copied
        _encoded += 1
        if self.most is not None and _encoded > self.most:
            raise KeyboardInterrupt
        return super().encode(pixels)


_encoded = 0


def write_all(folder: Path) -> None:
    """Write every sound input."""
    warnings.simplefilter("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    write_scene(folder / "scene.tif")
    (folder / "many").mkdir()
    for name, east in (("a", 0.0), ("b", 40.0)):
        write_scene(folder / "many" / f"{name}.tif", east=east)
    write_vectors(folder / "vectors")
    write_weights(folder / "weights.safetensors")
    write_labelled(folder / "labelled")
    configs = folder / "configs"
    configs.mkdir()
    for name in ("nano.toml", "nano-start.toml"):
        (configs / name).write_text((resources.files("geosam.training") / name).read_text())
    write_runs(folder)
    write_maps(folder)


def pixels(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Fields of different colours with noise, ``3 h w``."""
    rng = np.random.default_rng(seed)
    h, w = shape
    fields = rng.integers(30, 220, (3, -(-h // 20), -(-w // 20)))
    whole = np.kron(fields, np.ones((1, 20, 20)))[:, :h, :w] + rng.normal(0, 3, (3, h, w))
    return whole.clip(1, 255).astype(np.uint8)


def write_scene(path: Path, *, east: float = 0.0, **profile: object) -> None:
    """Write a small scene."""
    place = from_origin(CORNER[0] + east, CORNER[1], RESOLUTION, RESOLUTION)
    given = {"crs": CRS, "transform": place, "driver": "GTiff", **profile}
    data = pixels(SHAPE)
    with rasterio.open(path, "w", height=SHAPE[0], width=SHAPE[1], count=3, dtype="uint8", **given) as file:
        file.write(data)


def prompts() -> dict[str, geopandas.GeoDataFrame]:
    """Points, boxes and outlines on the scene, with attributes of several types."""
    rng = np.random.default_rng(1)
    xy = np.array(CORNER) + rng.uniform(8, 55, (6, 2)) * [1, -1]
    table = {
        "code": ["00042", "NA", "é", "", "x", None],
        "count": pandas.array([1, None, 2**40, 0, -1, 7], "Int64"),
        "height": [1.5, None, 0.0, -1.0, 1e10, 3.0],
        "when": pandas.to_datetime(["2024-01-01", None, "1900-06-01", "2030-12-31", "2024-02-29", "2024-03-31"]),
        "there": [True, False, True, True, False, False],
    }
    points = geopandas.GeoDataFrame(table, geometry=shapely.points(xy), crs=CRS)
    return {
        "points": points,
        "boxes": points.set_geometry(shapely.box(*(xy - 4).T, *(xy + 4).T), crs=CRS),
        "outlines": points.set_geometry(shapely.buffer(shapely.points(xy), 5, quad_segs=3), crs=CRS),
    }


def write_vectors(folder: Path) -> None:
    """Write the prompts in every format."""
    folder.mkdir()
    for name, layer in prompts().items():
        for suffix, driver in FORMATS.items():
            layer.to_file(folder / f"{name}.{suffix}", driver=driver)
        layer.to_parquet(folder / f"{name}.parquet")
        plain = pandas.DataFrame(layer.drop(columns="geometry")).assign(
            **({"lon": layer.to_crs(4326).geometry.x, "lat": layer.to_crs(4326).geometry.y} if name == "points" else {})
        )
        plain["wkt"] = layer.to_crs(4326).geometry.to_wkt()
        plain.to_csv(folder / f"{name}.csv", index=False)
    for name, layer in prompts().items():
        layer.to_file(folder / "layers.gpkg", layer=name, driver="GPKG")


def write_weights(path: Path) -> None:
    """Write a network of a few thousand parameters."""
    torch.manual_seed(0)
    sizes = {"widths": (8, 8, 16, 16), "depths": (1, 1, 1, 1), "fine_channels": (8, 4)}
    decoder = {"mlp": 32, "heads": 4, "iou_hidden": 16, "activation": "relu"}
    everything = Everything(spacing_px=32, pred_iou_threshold=0.1, stability_threshold=0.0)
    recipe = Recipe(everything=everything, suppression=Suppression(overlap=0.2))
    spec = NanoSpec("small", "conv", sizes, side=SIDE, width=32, decoder_sizes=decoder, drawn=True, position_side=SIDE,
        focus_px=(32,), recipe=recipe, licence="free", source="random",
    )  # fmt: skip
    write_sam(build(spec), path)


def write_labelled(folder: Path) -> None:
    """Write pictures with truth beside them, in every way."""
    folder.mkdir()
    ids = np.zeros((96, 96), np.uint16)
    ids[20:50, 10:40], ids[30:70, 55:85] = 1, 2
    shown = np.moveaxis(pixels(ids.shape), 0, -1)
    for name in "abcde":
        Image.fromarray(shown).save(folder / f"{name}.png")
    Image.fromarray(ids).save(folder / "a_ids.png")
    Image.fromarray(((ids > 0) * 255).astype(np.uint8)).save(folder / "b_mask.png")
    boxes = [(10, 20, 40, 50), (55, 30, 85, 70)]
    shapes = geopandas.GeoDataFrame(geometry=[shapely.box(*box) for box in boxes], crs=None)
    shapes.to_file(folder / "c.geojson", driver="GeoJSON")
    (folder / "d.csv").write_text("xmin,ymin,xmax,ymax\n" + "".join(",".join(map(str, box)) + "\n" for box in boxes))
    rings = [[x0, y0, x1, y0, x1, y1, x0, y1] for x0, y0, x1, y1 in boxes]
    coco = {
        "images": [{"id": 1, "file_name": "e.png"}],
        "annotations": [{"image_id": 1, "segmentation": [ring]} for ring in rings],
    }
    (folder / "coco.json").write_text(json.dumps(coco))


def write_runs(folder: Path) -> None:
    """Write a finished run over a catalog, an interrupted run, a filled store and a calibration."""
    asked = {"model": Network(), "spacing_px": 16}
    geosam.segment_catalog(folder / "many", folder / "run", labels=True, **asked)
    scene = folder / "scene.tif"
    geosam.segment_to_file(scene, folder / "whole.gpkg", store=folder / "store", **asked)
    (folder / "broken").mkdir()
    try:
        geosam.segment_to_file(
            scene, folder / "broken" / "out.gpkg", store=None, model=Network(most=_encoded + 3), spacing_px=16
        )
    except KeyboardInterrupt:
        pass
    else:
        raise RuntimeError("the run was not interrupted")
    geosam.plan(scene, model=Network())
    cache = geosam.models.cache_folder()
    shutil.copytree(cache, folder / "cache")


def write_maps(folder: Path) -> None:
    """Write a map of classes as polygons and as a raster, labelled places, segments, a second date, a word."""
    from geosam.landcover import classify
    from geosam.pipeline.teaching import teach

    place, scene = folder / "maps", folder / "scene.tif"
    place.mkdir()
    write_scene(place / "after.tif")
    segments = geopandas.read_file(folder / "whole.gpkg")
    names = np.array(["water", "wood", "field"])[np.arange(len(segments)) % 3]
    segments.assign(right=np.arange(len(segments)) % 2).to_parquet(place / "segments.parquet")
    mapped = geopandas.GeoDataFrame({"class": names}, geometry=segments.geometry, crs=CRS)
    mapped.to_file(place / "map.gpkg")
    inside = mapped.geometry.apply(lambda shape: shape.representative_point())
    spots = geopandas.GeoDataFrame({"class": np.tile(names, 4)}, geometry=np.tile(inside.array, 4), crs=CRS)
    spots.to_file(place / "places.gpkg")
    lonlat = spots.to_crs(4326).geometry
    pandas.DataFrame({"lon": lonlat.x, "lat": lonlat.y, "class": spots["class"]}).to_csv(
        place / "places.csv", index=False
    )
    rows = ((1, "water", "#0064c8"), (2, "wood", "#006400"), (3, "field", ""))
    (place / "legend.csv").write_text("code,name,colour\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    codes = (np.indices(SHAPE).sum(0) // 60 % 3 + 1).astype(np.uint8)
    grid = {"crs": CRS, "transform": from_origin(*CORNER, RESOLUTION, RESOLUTION), "dtype": "uint8", "nodata": 0}
    with rasterio.open(place / "classes.tif", "w", "GTiff", SHAPE[1], SHAPE[0], 1, **grid) as file:
        file.write(codes, 1)
    opened = geosam.open_scene(scene)
    classify(segments, spots, scene=opened).model.save(place / "model.geosam")
    known = prompts()["boxes"]
    known.to_file(place / "footprints.gpkg")
    known.iloc[:2].to_file(place / "cloud.gpkg")
    (place / "word.safetensors").write_bytes(teach("yard", opened, known, store=None).to_bytes())
