"""Land-cover maps of real scenes: class IoU by the same samples, of segments, of simpler segments and of pixels.

    python benchmarks/landcover.py ../shared/data/dev --seeds 5

Every method learns from the same points (ten of each class) and is scored on all pixels whose class is known:

- ``geosam``: segments of the region tree, with the default features and estimator
- ``geosam without recognition``: the same without the recognition network's features
- ``slic``, ``felzenszwalb``: as many segments, same features and estimator (scikit-image)
- ``pixels``: a random forest on the bands of each pixel

It also says how right a map would be whose segments all got their best class (``ceiling``). The table goes to
``benchmarks/landcover.csv``.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
import shapely
from rasterio.features import rasterize
from rasterio.windows import from_bounds
from sklearn.ensemble import RandomForestClassifier

import geosam
from geosam.errors import LandcoverError
from geosam.features import FeatureOptions, measure_features
from geosam.features.burning import Burner
from geosam.landcover.classify import ClassifyOptions, classify
from geosam.polygons import polygonize
from geosam.scene import Scene
from geosam.scene.grid import all_of

SAMPLES = 10
AROUND_PX = 60
METHODS = ("geosam", "geosam without recognition", "slic", "felzenszwalb", "pixels")


@dataclass
class Case:
    """A scene, the code of each pixel's class (0: not known), and their names."""

    source: str
    scene: Scene
    truth: np.ndarray
    names: tuple[str, ...]
    groups: np.ndarray | None = None  # of pixels: those of one group are either learned from or scored
    bands_as: str | None = None


def cases(folder: Path) -> Iterator[Case]:
    """The real scenes with classes, and the bundled ones."""
    manifest = pd.read_csv(folder / "manifest.csv")
    for name in ("antillia-Satellite-Imagery-Amazon-Forest", "detectree"):
        for row in manifest[manifest.file.str.startswith(name)].itertuples():
            with rasterio.open(folder / str(row.labels)) as file:
                mask = file.read(1)
            yield Case(
                name, geosam.open_scene(str(folder / str(row.file))), 1 + (mask > mask.max() / 2), ("other", "forest")
            )
    for row in manifest[manifest.file.str.contains("S2Hand")].itertuples():
        with rasterio.open(folder / str(row.labels)) as file:
            mask = file.read(1)
        for source, bands in (("sen1floods11", "4,3,2"), ("sen1floods11, infrared", "12,8,4")):
            scene = geosam.open_scene(str(folder / str(row.file)), bands=bands)
            yield Case(source, scene, np.where(mask < 0, 0, mask + 1), ("land", "water"))
    yield bundled("village_before", "village_truth", "before")
    yield bundled("farmland", "farmland_truth", None)
    with tempfile.TemporaryDirectory() as into:
        part, polygons = tutorial(folder / "open-geo-tutorial", Path(into))
        for source, bands in (("open-geo-tutorial", "3,2,1"), ("open-geo-tutorial, infrared", "4,3,2")):
            yield by_polygons(source, geosam.open_scene(str(part), bands=bands), polygons)


def plain_profile(file: rasterio.DatasetReader, values: np.ndarray) -> dict[str, object]:
    """How a part of a raster is written."""
    count, height, width = values.shape
    size = {"count": count, "height": height, "width": width, "dtype": values.dtype}
    return {"driver": "GTiff", "crs": file.crs, "photometric": "minisblack", "alpha": "no", **size}


def tutorial(folder: Path, into: Path) -> tuple[Path, gpd.GeoDataFrame]:
    """Training polygons, and a raster of the ground around them."""
    path = folder / "S2B_2018-10-13_B02_B03_B04_B08.tif"
    with rasterio.open(path) as file:
        polygons = gpd.read_file(folder / "rcr_landcover.shp").to_crs(file.crs)
        window = from_bounds(
            *shapely.box(*polygons.total_bounds).buffer(AROUND_PX * file.res[0]).bounds, file.transform
        )
        window = window.round_offsets().round_lengths()
        values, place = file.read(window=window), file.window_transform(window)
        with rasterio.open(into / path.name, "w", **plain_profile(file, values), transform=place) as part:
            part.write(values)
    return into / path.name, polygons


def by_polygons(source: str, scene: Scene, polygons: gpd.GeoDataFrame) -> Case:
    """Half of the polygons of each class are learned from, the others scored."""
    column = next(name for name in ("Classname", "classname", "class") if name in polygons.columns)
    names = tuple(sorted(polygons[column].unique()))
    shapes = scene.to_px(polygons)
    codes = rasterize([(s, names.index(c) + 1) for s, c in zip(shapes, polygons[column], strict=True)], scene.shape)
    groups = rasterize([(s, k + 1) for k, s in enumerate(shapes)], scene.shape, dtype="int32")
    return Case(source, scene, codes, names, groups, bands_as="blue,green,red,nir")


def bundled(name: str, truth: str, layer: str | None) -> Case:
    """A bundled scene, whose truth is known everywhere."""
    folder = Path(__file__).parents[1] / "sample_data"
    cover = {"tank": "building", "parking": "road", "pool": "water", "tree": "trees", "forest": "trees"}
    cover |= {"orchard": "trees", "field": "open land", "pitch": "open land", "vehicle": None}
    scene = geosam.open_scene(str(folder / f"{name}.tif"))
    polygons = gpd.read_file(folder / f"{truth}.gpkg", layer=layer)
    classes = polygons["class"].map(lambda one: cover.get(one, one))
    polygons, classes = polygons[classes.notna()], classes[classes.notna()]
    names = tuple(sorted({*classes, "open land"}))
    shapes = scene.to_px(polygons)
    order = np.argsort(-shapely.area(shapes))
    burnt = [(shapes[k], names.index(classes.iloc[k]) + 1) for k in order]
    codes = rasterize(burnt, scene.shape, fill=names.index("open land") + 1)
    return Case(f"bundled {name}", scene, np.where(scene.read(all_of(scene.shape)).valid, codes, 0), names)


def drawn(case: Case, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Flat positions of ten pixels of each class, and which pixels are scored."""
    rng = np.random.default_rng(seed)
    learnable, scored = case.truth.ravel() > 0, case.truth.ravel() > 0
    if case.groups is not None:
        groups = case.groups.ravel()
        for code in range(1, len(case.names) + 1):
            own = np.unique(groups[(case.truth.ravel() == code) & (groups > 0)])
            held = rng.permutation(own)[: len(own) // 2]
            learnable &= ~np.isin(groups, held)
        scored &= ~learnable
    flat = case.truth.ravel()
    classes = [code for code in range(1, len(case.names) + 1) if (learnable & (flat == code)).any()]
    picked = [rng.choice(np.flatnonzero(learnable & (flat == code)), SAMPLES) for code in classes]
    return np.concatenate(picked), scored & np.isin(flat, classes)


def points(case: Case, flat: np.ndarray) -> gpd.GeoDataFrame:
    """Pixels as samples."""
    rows, cols = np.divmod(flat, case.scene.shape[1])
    places = case.scene.to_world(shapely.points(cols + 0.5, rows + 0.5))
    names = [case.names[code - 1] for code in case.truth.ravel()[flat]]
    return gpd.GeoDataFrame({"class": names}, geometry=places, crs=case.scene.crs)


def vectorized(labels: np.ndarray, scene: Scene) -> gpd.GeoDataFrame:
    """Segments of a label array as polygons."""
    _, numbers = np.unique(labels, return_inverse=True)
    numbered = (numbers.reshape(labels.shape) + 1).astype(np.int32)
    ids, shapes = next(iter(polygonize([(0, numbered)], coverage=True)))
    return gpd.GeoDataFrame({"object_id": ids}, geometry=scene.to_world(shapes), crs=scene.crs)


def simple_segments(case: Case, method: str, count: int) -> gpd.GeoDataFrame:
    """About as many segments by scikit-image."""
    from skimage.segmentation import felzenszwalb, slic

    picture = case.scene.read(all_of(case.scene.shape)).pixels.transpose(1, 2, 0)
    if method == "slic":
        return vectorized(slic(picture, n_segments=count, compactness=10, start_label=1), case.scene)
    low, high = 1.0, 5000.0
    for _ in range(9):  # fewer segments by a larger scale
        scale = float(np.sqrt(low * high))
        labels = felzenszwalb(picture, scale=scale, sigma=0.8, min_size=20)
        low, high = (scale, high) if labels.max() + 1 > count else (low, scale)
    return vectorized(labels, case.scene)


def codes_of(case: Case, segments: gpd.GeoDataFrame, values: np.ndarray) -> np.ndarray:
    """A value of each segment on the pixels; 0 where none lies."""
    burner = Burner(case.scene.to_px(segments), case.scene.shape)
    labels = np.concatenate([strip for _, strip in burner.strips()])
    return np.concatenate([[0], values])[labels]


def scores(case: Case, found: np.ndarray, scored: np.ndarray) -> dict[str, float]:
    """Overall accuracy, mean IoU and IoU of each class."""
    one, other = found.ravel()[scored], case.truth.ravel()[scored]
    result = {"accuracy": float((one == other).mean())}
    for code in np.unique(other):
        both = ((one == code) & (other == code)).sum()
        result[f"IoU {case.names[code - 1]}"] = float(both / ((one == code) | (other == code)).sum())
    result["mean IoU"] = float(np.mean([value for name, value in result.items() if name.startswith("IoU")]))
    return result


def by_pixels(case: Case, flat: np.ndarray) -> np.ndarray:
    """A random forest on the bands of each pixel."""
    bands = tuple(n for n, colour in enumerate(case.scene.raster.info.colours, 1) if colour != "alpha")
    values, _ = case.scene.values(all_of(case.scene.shape), bands)
    X = np.nan_to_num(values.reshape(len(bands), -1).T)
    forest = RandomForestClassifier(200, class_weight="balanced", random_state=0)
    forest.fit(X[flat], case.truth.ravel()[flat])
    found = np.zeros(len(X), int)
    known = np.flatnonzero(case.truth.ravel() > 0)
    for part in np.array_split(known, max(1, len(known) // 500_000)):
        found[part] = forest.predict(X[part])
    return found


def measured(case: Case, seeds: int) -> list[dict[str, object]]:
    """A row for each method, seed and measure."""
    begin = time.process_time()
    own = geosam.segment(case.scene, coverage=True)
    took, rows = {"geosam": time.process_time() - begin}, []
    segments = {"geosam": own} | {name: simple_segments(case, name, len(own)) for name in ("slic", "felzenszwalb")}
    features = {
        name: measure_features(one, case.scene, FeatureOptions(case.bands_as, recognition=True))
        for name, one in segments.items()
    }
    segments["geosam without recognition"] = own
    plain = [name for name in features["geosam"].columns if not name.startswith(("s4_", "s8_", "s16_"))]
    features["geosam without recognition"] = features["geosam"][plain]
    for seed in range(seeds):
        flat, scored = drawn(case, seed)
        samples = points(case, flat)
        for method in METHODS:
            if method == "pixels":
                found, ceiling, count = by_pixels(case, flat), float("nan"), 0
            else:
                found = codes_of(case, segments[method], by_segments(case, segments[method], features[method], samples))
                ceiling, count = best_possible(case, segments[method], scored), len(segments[method])
            told = scores(case, found, scored) | {"ceiling": ceiling}
            base = {"source": case.source, "scene": case.scene.name, "method": method, "segments": count, "seed": seed}
            rows += [{**base, "measure": name, "value": value} for name, value in told.items()]
    print(case.source, case.scene.name, f"{len(own)} segments, {took['geosam']:.1f} s CPU", flush=True)
    return rows


def by_segments(
    case: Case, segments: gpd.GeoDataFrame, features: pd.DataFrame, samples: gpd.GeoDataFrame
) -> np.ndarray:
    """Code of each segment; 0 for all where the samples of all classes but one lie in mixed segments."""
    options = ClassifyOptions(min_margin=0, validate=False)
    try:
        classes = classify(segments, samples, features=features, options=options).segments["class"]
    except LandcoverError as error:
        print(case.source, error, flush=True)
        return np.zeros(len(segments), int)
    return classes.map({name: k for k, name in enumerate(case.names, 1)}).fillna(0).to_numpy(int)


def best_possible(case: Case, segments: gpd.GeoDataFrame, scored: np.ndarray) -> float:
    """Accuracy if each segment got the class that most of its pixels have."""
    labels = codes_of(case, segments, np.arange(1, len(segments) + 1)).ravel()[scored]
    counts = np.zeros((len(segments) + 1, len(case.names) + 1), int)
    np.add.at(counts, (labels, case.truth.ravel()[scored]), 1)
    return float(counts[1:].max(axis=1).sum() / counts.sum())


def written(rows: list[dict[str, object]]) -> pd.DataFrame:
    """The table of means over seeds, written down as far as it goes."""
    keys = ["source", "scene", "method", "segments", "measure"]
    mean = pd.DataFrame(rows).groupby(keys, sort=False).value.agg(["mean", "std"]).round(4).reset_index()
    path = Path(__file__).with_suffix(".csv")
    if path.exists():  # sources that were not measured now stay
        former = pd.read_csv(path)
        mean = pd.concat([former[~former.source.isin(mean.source)], mean], ignore_index=True)
    mean.to_csv(path, index=False)
    return mean


def main() -> None:
    """Measure all cases and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="real scenes with manifest.csv")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", help="sources that contain one of these")
    asked = parser.parse_args()
    rows: list[dict[str, object]] = []
    mean = pd.DataFrame()
    for case in cases(asked.folder):
        if asked.only is None or any(part in case.source for part in asked.only):
            rows += measured(case, asked.seeds)
            mean = written(rows)
    shown = mean[mean.measure.isin(["accuracy", "mean IoU", "ceiling"])]
    print(
        shown.pivot_table(index=["source", "method"], columns="measure", values="mean", sort=False).round(3).to_string()
    )


if __name__ == "__main__":
    main()
