"""How well change, damage and extents are told, on the bundled pair and on labelled pictures.

``python benchmarks/change.py [--pairs TRAIN] [--told DEV] [--scenes N] [--extents DEV] [--csv benchmarks/change.csv]``

The bundled pair has its truth. TRAIN and DEV hold pairs as ``NAME_pre_disaster.tif`` / ``NAME_post_disaster.tif`` with
``.geojson`` beside them whose ``uid`` joins both dates and whose ``damage`` is a word of the Joint Damage Scale; a name
begins with its event. Models are fitted on all pairs of every event but one, and told on that one ("other events"); and
on all of TRAIN, and told on DEV ("the same events"). Beside them the mean colour difference and SSIM inside the
footprint, without alignment, learned by ridge regression on the same objects. Macro-F1 is of the grades that occur. The
damage term is that of xView2: the harmonic mean of their F1 by pixels of footprints.

``--extents`` takes a labelled set (``manifest.csv``), of which `EXTENT_SOURCES` are measured: the IoU of all ground of
an event in a picture, the mean over a source's pictures. Objects are outlined from a box each, and from three clicks
each (the second and third where the outline was wrong); from three clicks in all, on the three largest objects; and
each of these grown to ground that looks like it. A picture without a date before is grown as if all of it had changed.

Rows of the table that were not measured anew stay.
"""

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from scipy.stats import rankdata

import geosam
from geosam.change import ExtentOptions
from geosam.change.damage import GRADES, OrdinalModel, default_grades, fit_ordinal, level_of
from geosam.change.fitting import WORDS
from geosam.change.ground import ssim
from geosam.change.growing import grow
from geosam.change.measures import MEASURES, crops, feature_measures, measure_objects
from geosam.change.pair import Pair, burnt, open_pair
from geosam.change.radiometry import Radiometry, match
from geosam.change.registration import register
from geosam.change.status import probabilities_of
from geosam.change.unseen import mask_to_polygons
from geosam.embeddings import embed
from geosam.evaluation.asking import ask_clicks, segment_boxes
from geosam.evaluation.crops import Crop
from geosam.evaluation.looks import Look, Target
from geosam.evaluation.sets import LabelledPicture, list_pictures
from geosam.evaluation.truth import read_truth
from geosam.recognition import Describer
from geosam.scene.grid import all_of

ROOT = Path(__file__).parents[1]
DECODED = ("outline_change", "area_change")

EXTENT_SOURCES = (
    "levir-bit",
    "antillia-Flood",
    "antillia-Hokkaido-Iburi-Tobu-Landslide",
    "antillia-Nepal-LandSlide",
    "antillia-Sichuan-Landslide",
)

LEAST_PX = 64
"""Pixels of the smallest patch and hole of a grown extent, and of the smallest object that is prompted."""

CLICKED_M2 = 2000
"""Square metres of the smallest water of the bundled pair that is clicked on."""

ALL_CHANGED = Radiometry(offset=(768.0, 768.0, 768.0))
"""Colours before that nothing after has."""


@dataclass
class Scene:
    """A labelled pair, measured."""

    event: str
    fitted_on: bool
    numbers: np.ndarray  # which pair each object is of
    grades: np.ndarray
    pixels: np.ndarray
    values: np.ndarray
    baseline: np.ndarray
    seen: np.ndarray


def measured(post: Path, describer: Describer, *, fitted_on: bool) -> Scene | None:
    truth, known = (gpd.read_file(post.with_name(post.name.replace("post", when))) for when in ("post", "pre"))
    if not len(truth):
        return None
    words = dict(zip(truth["uid"], truth["damage"], strict=True))
    known = known[known["uid"].isin(words)]
    grades = np.array([grade(words[uid]) for uid in known["uid"]])
    pre, later = (post.with_name(post.name.replace("post", when)).with_suffix(".tif") for when in ("pre", "post"))
    plain = open_pair(pre, later)
    shapes = plain.before.to_px(known)
    pair = plain.shifted(register(plain).shift_px)
    found = measure_objects(shapes, pair, match(pair))
    values = found.values.copy()
    values[:, -4:] = feature_measures(shapes, pair, describer)
    plainly, seen = colour_and_ssim(shapes, plain), np.isfinite(values[:, 0])
    numbers = np.zeros(len(grades), int)
    return Scene(post.name.split("_")[0], fitted_on, numbers, grades, shapely.area(shapes), values, plainly, seen)


def grade(word: str) -> int:
    found = WORDS.get(word, word)
    return GRADES.index(found) if found in GRADES else -1


def colour_and_ssim(shapes: np.ndarray, pair) -> np.ndarray:
    found = np.full((len(shapes), 2), np.nan)
    for row, (both, inside) in crops(shapes, pair):
        first, second = both.before.astype(np.float32), both.after.astype(np.float32)
        colour = np.linalg.norm((first - second)[:, inside].mean(1)) / 255
        found[row] = colour, (1 - ssim(first.mean(0), second.mean(0))[inside].mean()) / 2
    return found


def auc(truth: np.ndarray, score: np.ndarray) -> float:
    positive = int(truth.sum())
    if positive in (0, len(truth)):
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * (len(truth) - positive)))


def f1(truth: np.ndarray, told: np.ndarray, count: int, weight: np.ndarray | int = 1) -> list[float]:
    table = np.zeros((count, count))
    np.add.at(table, (truth, told), weight)
    return [float(2 * table[k, k] / max(table[k].sum() + table[:, k].sum(), 1)) for k in range(count)]


def ridge(train: np.ndarray, truth: np.ndarray, test: np.ndarray) -> np.ndarray:
    centre, scale = np.nanmean(train, axis=0), np.nanstd(train, axis=0)
    a, b = (np.nan_to_num((each - centre) / scale) for each in (train, test))
    return b @ np.linalg.solve(a.T @ a + np.eye(a.shape[1]), a.T @ (truth - truth.mean()))


def bundled() -> list[dict]:
    """Status of the bundled pair's buildings with the package's own models, and the extent of its flood."""
    folder = ROOT / "sample_data"
    truth = gpd.read_file(folder / "village_truth.gpkg", layer="changes")
    known = truth[truth["status"] != "new"]
    words = known.set_index("id")["status"].map({"unchanged": "kept", "damaged": "changed", "gone": "gone"})
    scenes = (folder / "village_before.tif", folder / "village_after.tif")
    river, flooded, clicks = bundled_flood(folder / "village_truth.gpkg")
    asked = ExtentOptions(event="flood", prompts=clicks, before=river)
    compared = geosam.compare(*scenes, known.drop(columns="status"), find_new=False, extent=asked)
    water = shapely.union_all(compared.extent.geometry) if compared.extent is not None else shapely.Polygon()
    found = compared.change[compared.change["status"] != "unseen"]
    levels = ["kept", "changed", "gone"]
    right, told = (
        np.array([levels.index(each) for each in column]) for column in (found["source_id"].map(words), found["status"])
    )
    scores = f1(right, told, 3)
    either = f1((right > 0).astype(int), (told > 0).astype(int), 2)[1]
    rows = [
        ("status right", float((right == told).mean())),
        ("changed or gone, F1", either),
        ("macro-F1", float(np.mean(scores))),
        ("extent of the flood by clicks, IoU", water.intersection(flooded).area / water.union(flooded).area),
    ]
    return [{"set": "bundled", "what": what, "value": value, "objects": len(found)} for what, value in rows]


def bundled_flood(truth: Path) -> tuple[gpd.GeoDataFrame, shapely.Geometry, gpd.GeoDataFrame]:
    """The river before, what was flooded beside it, and a click in each large water after."""
    before, after = (gpd.read_file(truth, layer=name) for name in ("before", "after"))
    river = before[before["class"] == "water"]
    water = after[after["class"].isin(["flood", "water"])].geometry
    clicks = [each.representative_point() for each in water.explode() if each.area > CLICKED_M2]
    flooded = water.union_all().difference(river.geometry.union_all())
    return river, flooded, gpd.GeoDataFrame(geometry=clicks, crs=before.crs)


def told_on(name: str, model: OrdinalModel, scene: Scene) -> list[dict]:
    damaged = scene.grades >= 2
    score, chance = model.score(scene.values), np.zeros((len(scene.grades), len(GRADES)))
    for number in np.unique(scene.numbers):  # pair by pair, as `compare` does it
        own = scene.numbers == number
        chance[own] = probabilities_of(scene.values[own], np.ones(own.sum(), bool), model)
    told, there = level_of(chance), np.unique(scene.grades)
    by_pixels = np.array(f1(scene.grades, told, 4, scene.pixels))[there]
    rows = [
        ("AUC", auc(damaged, score)),
        ("damaged, F1", f1(damaged.astype(int), (told >= 2).astype(int), 2)[1]),
        ("four-grade macro-F1", float(np.mean(np.array(f1(scene.grades, told, 4))[there]))),
        ("xView2 damage term", float(len(there) / np.sum(1 / (by_pixels + 1e-6)))),
        ("calibration error", calibration_error(chance[:, 2:].sum(axis=1), damaged)),
    ]
    return [
        {"set": scene.event, "what": f"{name}, {what}", "value": value, "objects": len(damaged)} for what, value in rows
    ]


def calibration_error(chance: np.ndarray, truth: np.ndarray, bins: int = 10) -> float:
    bin_of = np.minimum((chance * bins).astype(int), bins - 1)
    parts = [bin_of == number for number in range(bins)]
    return float(sum(abs(chance[p].mean() - truth[p].mean()) * p.mean() for p in parts if p.any()))


def joined(scenes: list[Scene]) -> Scene:
    kept = [scene.seen & (scene.grades >= 0) for scene in scenes]
    columns = [
        np.concatenate([getattr(scene, name)[ok] for scene, ok in zip(scenes, kept, strict=True)])
        for name in ("grades", "pixels", "values", "baseline", "seen")
    ]
    columns.insert(0, np.repeat(np.arange(len(scenes)), [ok.sum() for ok in kept]))
    return Scene(scenes[0].event, scenes[0].fitted_on, *columns)


def labelled(folders: list[Path], told: list[Path], most: int) -> list[dict]:
    describer, scenes = Describer(), []
    for folder in (*folders, *told):
        for post in sorted(folder.glob("*_post_disaster.geojson"))[: most or None]:
            scene = measured(post, describer, fitted_on=folder in folders)
            scenes += [scene] if scene is not None else []
            print(post.stem, flush=True)
    rows: list[dict] = []
    for event in sorted({scene.event for scene in scenes}):
        here = [scene for scene in scenes if scene.event == event]
        rows += told_on("package's model", default_grades(), joined(here))
        if others := [scene for scene in scenes if scene.event != event]:
            rows += fitted("other events", joined(others), joined(here))
        if kept_back := [scene for scene in here if not scene.fitted_on]:
            rows += fitted("the same events", joined([each for each in scenes if each.fitted_on]), joined(kept_back))
    return rows


def fitted(where: str, train: Scene, test: Scene) -> list[dict]:
    """Rows about a model, and about the baseline, that were fitted on some objects and told on others."""
    names = [name for name in MEASURES if name not in DECODED]
    rows = told_on(f"fitted on {where}", fit_ordinal(train.values, train.grades, names=names), test)
    plain = auc(test.grades >= 2, ridge(train.baseline, train.grades >= 2, test.baseline))
    what = f"colour + SSIM, fitted on {where}, AUC"
    return [*rows, {"set": test.event, "what": what, "value": plain, "objects": len(test.grades)}]


def extents(folder: Path) -> list[dict]:
    """IoU of extents by source and by what was pointed at."""
    network = geosam.load_model("nano")
    found: dict[tuple[str, str], list[float]] = {}
    objects: dict[str, int] = {}
    for picture in list_pictures(folder, sources=EXTENT_SOURCES):
        look = whole_look(picture)
        if not look.targets:
            continue
        objects[picture.source] = objects.get(picture.source, 0) + len(look.targets)
        truth = read_truth(picture, look.scene).ids != 0
        for what, value in told_extents(look, network, truth, pair_of(picture)):
            found.setdefault((picture.source, what), []).append(value)
        print(picture.name, flush=True)
    return [
        {"set": source, "what": f"extent IoU, {what}", "value": float(np.mean(values)), "objects": objects[source]}
        for (source, what), values in found.items()
    ]


def whole_look(picture: LabelledPicture) -> Look:
    """All of a picture with every object, also those that its edge cuts, the largest first."""
    scene = geosam.open_scene(picture.file)
    truth = read_truth(picture, scene)
    listed = sorted((each for each in truth.objects if each.area >= LEAST_PX), key=lambda each: -each.area)
    targets = [Target(each.box, each.point, Crop.of(truth.ids == each.label), exact=True) for each in listed]
    return Look(picture.source, picture.name, scene, all_of(scene.shape), tuple(targets))


def pair_of(picture: LabelledPicture) -> tuple[Pair, Radiometry]:
    """A picture and that of before, if there is one (``…_A`` beside ``…_B``), and how their colours are matched."""
    before = picture.file.with_name(picture.file.name.replace("_B.", "_A."))
    pair = open_pair(before, picture.file)
    return pair, ALL_CHANGED if before == picture.file else match(pair)


def told_extents(look: Look, network, truth: np.ndarray, dates: tuple[Pair, Radiometry]) -> list[tuple[str, float]]:
    """What was pointed at and the IoU of what it gave."""
    first, *_, last = ask_clicks(embed(look.chip(), network), network, look.targets)
    given = {
        "a box per object": segment_boxes(look, network),
        "3 clicks per object": last,
        "3 clicks in all": first[:3],
    }
    rows = []
    for name, answers in given.items():
        mask = np.zeros(truth.shape, bool)
        for each in answers:
            x0, y0, x1, y1 = each.mask.box
            mask[y0:y1, x0:x1] |= each.mask.mask
        outlines = mask_to_polygons(mask.astype(np.uint8))
        grown, _ = grow(dates[0], outlines, dates[1], least_px=LEAST_PX)
        wide = burnt(list(grown), (0, 0), truth.shape) if len(grown) else np.zeros(truth.shape, bool)
        rows += [(name, mask_iou(mask, truth)), (f"{name}, grown", mask_iou(wide, truth))]
    return rows


def mask_iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max((one | other).sum(), 1))


def kept(path: Path, rows: list[dict]) -> list[dict]:
    """Rows of a table on sets that were not measured anew."""
    measured_now = {row["set"] for row in rows}
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{**row, "value": float(row["value"])} for row in csv.DictReader(file) if row["set"] not in measured_now]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, action="append", default=[])
    parser.add_argument("--told", type=Path, action="append", default=[])
    parser.add_argument("--scenes", type=int, default=0)
    parser.add_argument("--extents", type=Path)
    parser.add_argument("--no-bundled", action="store_true", help="leave the bundled pair out")
    parser.add_argument("--csv", type=Path, default=ROOT / "benchmarks" / "change.csv")
    asked = parser.parse_args()
    rows = [] if asked.no_bundled else bundled()
    rows += labelled(asked.pairs, asked.told, asked.scenes) if asked.pairs else []
    rows += extents(asked.extents) if asked.extents else []
    rows = kept(asked.csv, rows) + rows
    with asked.csv.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["set", "what", "value", "objects"])
        writer.writeheader()
        writer.writerows({**row, "value": f"{row['value']:.3f}"} for row in rows)
    for row in rows:
        print(f"{row['set']:24} {row['what']:44} {row['value']:.3f}  ({row['objects']})")


if __name__ == "__main__":
    main()
