"""Recognition: what it costs, how well kinds are told, and how well "more like this" ranks.

    python benchmarks/recognition.py [DATA] [--only speed kinds similar] [--rows KEPT.npz] [-o recognition.csv]

*speed*: milliseconds of processor for a window of 1,024², one thread, beside what this core's rate of matrix products
allows. *kinds*: whole objects of pictures that the head has not seen (folds over pictures of `train`; `dev`), of
sources that it has not seen (left out in turn; pictures under terms that weights may not be learned from), macro-F1
over the kinds that are there, share right, expected calibration error in ten bins. *similar*: five objects and five
pieces of ground of one picture that the head has not seen are shown, the others ranked: area under the ROC curve, with
and without shape.
"""

import argparse
import csv
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from rasterio.windows import Window
from safetensors import safe_open

from geosam.backbone.weights import read_backbone
from geosam.evaluation.sets import list_pictures
from geosam.evaluation.truth import read_truth
from geosam.recognition import KINDS, Examples, RegionFeatures, load_backbone, load_head, pool, rank, similarity
from geosam.recognition.kinds import HEAD_FILE
from geosam.scene import open_scene
from geosam.training.kind_rows import SOURCES, Rows, cut
from geosam.training.kinds import FitOptions, collect, fit, thinned

FOREIGN = {
    "argha-buildings": "building",
    "levir-bit": "building",
    "xbd-subset": "building",
    "cosmiq-solaris": "building",
    "isaid": "vehicle",
    "antillia-Bijie-Landslide": "landslide",
    "antillia-Hokkaido-Iburi-Tobu-Landslide": "landslide",
    "detectree": "tree",
}
"""Sources that are only measured on, and the kind of their objects."""

LEFT_OUT = (
    ("hotosm-fair-models", "antillia-Sichuan-Landslide", "antillia-Aerial-Imagery-Road"),
    ("hotosm-fair-utilities", "antillia-Nepal-LandSlide", "antillia-Flood"),
    ("agoro-fields", "deepforest"),
    ("antillia-Satellite-Imagery-Amazon-Forest", "antillia-Aerial-Imagery-Solar-Panel"),
)
"""Sources that are left out together, for the time's sake: several kinds at once."""

TWICE = ("building", "landslide", "tree")
"""Kinds of which another real source is left to learn from when one is left out."""

PICTURES, OBJECTS, LEAST_PX = 14, 120, 64
"""Pictures of a source and objects of a window that are measured, at most; and the smallest object."""

SHOWN, DRAWS = 5, 8
"""Examples of either sort, and how often they are drawn."""


def speed() -> Iterator[tuple[str, str, float]]:
    """Milliseconds of processor for a window, and what its arithmetic takes at this core's rate of matrix products."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 1024, 1024), np.uint8)
    labels = np.repeat(np.repeat(np.arange(1, 4097, dtype=np.int32).reshape(64, 64), 16, 0), 16, 1)
    encoder, backbone = load_backbone("float32"), read_backbone()
    maps, picture = encoder.encode(pixels), torch.from_numpy(pixels)[None]
    matrix = torch.rand(2048, 2048)
    rate = 2 * 2048**3 / (1e6 * least(lambda: matrix @ matrix))  # GFLOP/s
    with torch.inference_mode():
        yield "speed", "readable backbone, ms", least(lambda: backbone(picture), 3)
    yield "speed", "prepared backbone, ms", least(lambda: encoder.encode(pixels))
    yield "speed", "its arithmetic at the rate of matrix products, ms", operations(1024) / rate / 1e6
    yield "speed", "rate of matrix products, GFLOP/s", rate
    yield "speed", "sums over 4,096 regions, ms", least(lambda: pool(maps, pixels, labels))


def operations(side: int) -> float:
    """Floating-point operations of the convolutions for a square window."""
    found = 0.0

    def count(layer: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal found
        found += 2.0 * output.numel() * layer.weight[0].numel()

    backbone = read_backbone()
    for layer in backbone.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        backbone(torch.zeros(1, 3, 256, 256, dtype=torch.uint8))
    return found * (side / 256) ** 2


def least(work: Callable[[], object], rounds: int = 5) -> float:
    """Least milliseconds of processor of several rounds."""
    taken = []
    for _ in range(rounds + 1):
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return 1000 * min(taken[1:])


def kinds(data: Path, kept: Path | None) -> Iterator[tuple[str, str, float]]:
    """Scores of the head."""
    rows, options = thinned(collect(data, 208, 0, kept), 0), FitOptions()
    backbone, head = load_head().backbone, load_head()
    measured = {split: labelled(data / split, split) for split in ("dev", "train")}
    temperature = temperature_of(HEAD_FILE)

    def told(rows_learned: Rows, asked: Rows) -> np.ndarray:
        found = fit(rows_learned, options, backbone)
        found = replace(found, weight=found.weight / temperature, bias=found.bias / temperature)
        return found.probabilities(as_features(asked, backbone))

    picture = np.array([hash_of(name) % 2 for name in rows.picture])
    real = np.isin(rows.source.astype(str), list(SOURCES))
    parts = [(fold, rows[real & rows.whole & (picture == fold)]) for fold in (0, 1)]
    found = [told(rows[~real | (picture != fold)], asked) for fold, asked in parts]
    yield from scores("pictures of train not seen", np.concatenate(found), Rows.join([asked for _, asked in parts]))
    dev = measured["dev"]
    known, foreign = (dev[np.isin(dev.source.astype(str), list(names))] for names in (SOURCES, FOREIGN))
    yield from scores("dev, sources known", head.probabilities(as_features(known, backbone)), known)
    strange = Rows.join([measured["train"], foreign])
    outside = head.probabilities(as_features(strange, backbone))
    found, asked = [outside], [strange]
    for names in LEFT_OUT:
        out = np.isin(rows.source.astype(str), names)
        asked.append(rows[out & rows.whole])
        found.append(told(rows[~out], asked[-1]))
    told_all, asked_all = np.concatenate(found), Rows.join(asked)
    twice = np.isin(asked_all.kind, [KINDS.index(kind) for kind in TWICE])
    yield from scores("sources not seen, kinds of another real source", told_all[twice], asked_all[twice])
    yield from scores("sources not seen, all kinds", told_all, asked_all)
    for source in np.unique(asked_all.source.astype(str)):
        of_it = asked_all.source == source
        right = told_all[of_it].argmax(1) == asked_all.kind[of_it]
        yield "kinds, share right, source not seen", f"{source} ({int(of_it.sum())})", float(right.mean())


def temperature_of(path: Path) -> np.float32:
    """Temperature in a head."""
    with safe_open(path, "np") as file:
        return np.float32(file.metadata()["temperature"])


def hash_of(name: str) -> int:
    """A number of a name that stays."""
    return crc32(str(name).encode())


def as_features(rows: Rows, backbone: str) -> RegionFeatures:
    """Rows as the head takes them."""
    return RegionFeatures(rows.values, np.ones(len(rows), np.int64), backbone)


def labelled(folder: Path, split: str) -> Rows:
    """Whole objects of a split's pictures; of `train` only those that no weights may be learned from."""
    encoder, rng, found, seen = load_backbone("float32"), np.random.default_rng(0), [], Counter()
    of = {**FOREIGN, **(SOURCES if split == "dev" else {})}
    for picture in list_pictures(folder):
        seen[picture.source] += 1
        if picture.source not in of or seen[picture.source] > PICTURES:
            continue
        scene = open_scene(picture.file)
        ids = read_truth(picture, scene).ids
        for window in windows(scene.shape) if ids is not None else ():
            chip = scene.read(window)
            part = ids[window.row_off : window.row_off + window.height, window.col_off : window.col_off + window.width]
            known, labels = np.unique(part, return_inverse=True)
            labels = labels.reshape(part.shape).astype(np.int32) + int(known[0] > 0)
            features = RegionFeatures.from_sums(pool(encoder.encode(chip.pixels), chip.pixels, labels), encoder.key)
            some = np.flatnonzero(features.area_px >= LEAST_PX)
            some = some if len(some) <= OBJECTS else rng.choice(some, OBJECTS, replace=False)
            n = len(some)
            kind, none, yes = np.full(n, KINDS.index(of[picture.source])), np.full(n, -1), np.ones(n, bool)
            found.append(
                Rows(features.values[some], kind, none, np.full(n, picture.source), np.full(n, picture.name), yes)
            )
    return Rows.join(found)


def windows(shape: tuple[int, int]) -> Iterator[Window]:
    """Windows side by side."""
    for y in range(0, shape[0], 1024):
        for x in range(0, shape[1], 1024):
            yield Window(x, y, min(1024, shape[1] - x), min(1024, shape[0] - y))


def scores(name: str, found: np.ndarray, rows: Rows) -> Iterator[tuple[str, str, float]]:
    """Macro-F1, share right and calibration error, and F1 of each kind that is there."""
    guess, right = found.argmax(1), found.argmax(1) == rows.kind
    each = {}
    for kind in np.unique(rows.kind):
        hit = int((right & (rows.kind == kind)).sum())
        each[KINDS[kind]] = 2 * hit / max(int((guess == kind).sum() + (rows.kind == kind).sum()), 1)
    yield (
        f"kinds, {name}",
        f"macro-F1 over {len(each)} kinds ({len(rows)} objects)",
        float(np.mean(list(each.values()))),
    )
    yield f"kinds, {name}", "share right", float(right.mean())
    yield f"kinds, {name}", "expected calibration error", calibration_error(found.max(1), right)
    for kind, value in each.items():
        yield f"kinds, {name}", f"F1 {kind} ({int((rows.kind == KINDS.index(kind)).sum())})", value


def calibration_error(sure: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Mean difference of confidence and share right over bins of confidence."""
    place = np.minimum((sure * bins).astype(int), bins - 1)
    parts = [place == number for number in range(bins)]
    return float(sum(part.mean() * abs(sure[part].mean() - right[part].mean()) for part in parts if part.any()))


def similar(data: Path) -> Iterator[tuple[str, str, float]]:
    """Area under the curve, picture by picture, by the mean over pictures and over sources."""
    regions = list(regions_of_pictures(data))
    for shape in (similarity.WEIGHTS["shape"], 0.0):
        similarity.WEIGHTS["shape"] = shape
        found: dict[str, list[float]] = {}
        for source, features, is_object in regions:
            found.setdefault(source, []).append(shown(features, is_object))
        name = f"similar, {SHOWN} + {SHOWN} examples" + ("" if shape else ", without shape")
        every = [value for values in found.values() for value in values]
        yield name, f"AUC, mean over {len(every)} pictures", float(np.mean(every))
        yield name, f"AUC, mean over {len(found)} sources", float(np.mean([np.mean(each) for each in found.values()]))
        for source, values in found.items():
            yield name, f"AUC {source} ({len(values)})", float(np.mean(values))


def regions_of_pictures(data: Path, most: int = 4) -> Iterator[tuple[str, RegionFeatures, np.ndarray]]:
    """Objects and pieces of the ground of some pictures of each source, none of which the head of kinds has seen."""
    encoder, seen = load_backbone("float32"), Counter()
    pictures = [each for each in list_pictures(data / "dev") if each.source in {*SOURCES, *FOREIGN}]
    pictures += [each for each in list_pictures(data / "train") if each.source in FOREIGN]
    for picture in pictures:
        scene = open_scene(picture.file)
        ids = read_truth(picture, scene).ids if seen[picture.source] < most else None
        if ids is None:
            continue
        pixels = scene.read(Window(0, 0, 1024, 1024)).pixels
        known, labels = np.unique(ids[:1024, :1024], return_inverse=True)
        labels = (labels.reshape(pixels.shape[1:]) + int(known[0] > 0)).astype(np.int32)
        ground = np.where(labels > 0, 0, cut(pixels, labels, 40.0))
        count = int(labels.max())
        every = np.where(labels > 0, labels, np.where(ground > 0, ground + count, 0)).astype(np.int32)
        features = RegionFeatures.from_sums(pool(encoder.encode(pixels), pixels, every), encoder.key)
        some, is_object = features.area_px >= 30, np.arange(len(features)) < count
        if min(int((some & is_object).sum()), int((some & ~is_object).sum())) >= SHOWN + 3:
            seen[picture.source] += 1
            kept = RegionFeatures(features.values[some], features.area_px[some], encoder.key)
            yield picture.source, kept, is_object[some]


def shown(features: RegionFeatures, is_object: np.ndarray) -> float:
    """Mean area under the curve of several draws of examples."""
    rng, found = np.random.default_rng(0), []
    for _ in range(DRAWS):
        right, wrong = (rng.choice(np.flatnonzero(of), SHOWN, replace=False) for of in (is_object, ~is_object))
        others = np.setdiff1d(np.arange(len(features)), np.concatenate([right, wrong]))
        score = rank(features, Examples(right, wrong))[others]
        place = np.empty(len(others))
        place[np.argsort(score, kind="stable")] = np.arange(1, len(others) + 1)
        yes = is_object[others]
        n = int(yes.sum())
        found.append((place[yes].sum() - n * (n + 1) / 2) / (n * (len(yes) - n)))
    return float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--only", nargs="*", default=["speed", "kinds", "similar"])
    parser.add_argument("--rows", type=Path, help="rows to learn from, kept")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    works = {
        "speed": speed,
        "kinds": lambda: kinds(options.data, options.rows),
        "similar": lambda: similar(options.data),
    }
    before = list(csv.reader(options.output.open(encoding="utf-8")))[1:] if options.output.is_file() else []
    kept = [row for row in before if row[0].split(",")[0] not in options.only]
    for name in options.only:
        for row in works[name]():
            print(*row[:2], f"{row[2]:.3f}", sep="  ", flush=True)
            kept.append([row[0], row[1], f"{row[2]:.3f}"])
    with options.output.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["what", "measure", "value"], *kept])


if __name__ == "__main__":
    main()
