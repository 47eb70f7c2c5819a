"""What the region tree finds beside a grid of clicks and beside superpixels, on labelled pictures.

``python benchmarks/regions.py SET [--windows 4] [--methods fast,clicks,…] [--seed 0] [--model nano,nano2]
[--out benchmarks/regions.csv]``

Methods, each with each of several models, take turns window by window in one run. Superpixels get as many segments as
the tree gives in that window.

========  ===================================================================================================
column    meaning
========  ===================================================================================================
mean50    share of objects with a segment at IoU ≥ .5, mean over sources; likewise mean75
pooled50  the same over all objects, with a 90 % bootstrap interval over windows; likewise pooled75
l15 …     pooled50 of objects of a length from so many pixels to the next
covered   share of the ground that lies in a segment
asa       achievable segmentation accuracy: share of pixels whose segment lies mostly on the same object, or ground
edges     boundary recall: share of object borders within two pixels of a segment's
seconds   of processor per 1,024² pixels, with encoding; of superpixels with the search for the number of segments
========  ===================================================================================================
"""

import argparse
import csv
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from rasterio.features import rasterize
from scipy import ndimage

import geosam
from geosam.evaluation import list_pictures
from geosam.evaluation.ground import achievable_accuracy, boundary_recall, shared_px, truth_of
from geosam.evaluation.looks import Look, looks
from geosam.evaluation.table import LENGTHS_PX

TREE = "fast"


@dataclass
class Tally:
    """What a method found, window by window."""

    best: list[tuple[str, np.ndarray, np.ndarray]] = field(default_factory=list)
    rows: list[dict[str, float]] = field(default_factory=list)


def segmented(look: Look, model: Any, **options: Any) -> np.ndarray:
    """Segments of a window as labels, 0 for none."""
    found = geosam.segment(look.alone(), model=model, **options)
    left, top = look.window.col_off, look.window.row_off
    shapes = shapely.transform(look.scene.to_px(found.geometry), lambda xy: xy - (left, top))
    shape = (look.window.height, look.window.width)
    numbered = [(each, number) for number, each in enumerate(shapes, start=1) if not each.is_empty]
    return rasterize(numbered, out_shape=shape, dtype="int32") if numbered else np.zeros(shape, np.int32)


def slic(pixels: np.ndarray, count: int) -> np.ndarray:
    from skimage.segmentation import slic as cut

    return cut(pixels, n_segments=count, compactness=10, start_label=1)


def felzenszwalb(pixels: np.ndarray, count: int) -> np.ndarray:
    from skimage.segmentation import felzenszwalb as cut

    return searched(lambda scale: cut(pixels, scale=scale, sigma=0.8, min_size=48) + 1, count, 1.0, 10000.0)


def mean_shift(pixels: np.ndarray, count: int) -> np.ndarray:
    import cv2

    def cut(spread: float) -> np.ndarray:
        even = cv2.pyrMeanShiftFiltering(pixels[:, :, ::-1].copy(), 8, spread)
        code = (even.astype(np.int32) // 8) @ np.array([1, 32, 1024])
        return without_specks(pieces(code), 48)

    return searched(cut, count, 2.0, 80.0, steps=5)


def pieces(code: np.ndarray) -> np.ndarray:
    """Connected pixels of one code, from 1."""
    from skimage.measure import label

    return label(code, background=-1, connectivity=1)


def without_specks(labels: np.ndarray, least: int) -> np.ndarray:
    """Segments of fewer pixels go to the nearest other one."""
    speck = np.bincount(labels.ravel())[labels] < least
    if not speck.any() or speck.all():
        return labels
    return labels[tuple(ndimage.distance_transform_edt(speck, return_distances=False, return_indices=True))]


def searched(cut: Callable[[float], np.ndarray], count: int, low: float, high: float, *, steps: int = 7) -> np.ndarray:
    """The cut that gives nearly so many segments; more the smaller the parameter."""
    best = None
    for _ in range(steps):
        middle = float(np.sqrt(low * high))
        labels = cut(middle)
        found = len(np.unique(labels))
        if best is None or abs(found - count) < abs(best[0] - count):
            best = found, labels
        low, high = (middle, high) if found > count else (low, middle)
    return best[1] if best else cut(low)


SUPERPIXELS = {"slic": slic, "felzenszwalb": felzenszwalb, "mean shift": mean_shift}
SPEEDS: dict[str, dict[str, Any]] = {
    "fast": {"coverage": True},
    "best": {"coverage": True, "speed": "best"},
    "clicks": {"speed": "clicks"},
}


def lengths_of(look: Look) -> np.ndarray:
    """Lengths of the window's objects in px."""
    boxes = np.array([target.box for target in look.targets])
    return (boxes[:, 2:] - boxes[:, :2]).max(1)


def measured(labels: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    """Best IoU of each object, and what else is measured."""
    shared = shared_px(truth, labels)
    union = shared.sum(1, keepdims=True) + shared.sum(0) - shared
    ious = (shared / np.maximum(union, 1))[1:, 1:].max(1, initial=0.0)
    return ious, {
        "segments": shared.shape[1] - 1,
        "covered": (labels[valid] > 0).mean() if valid.any() else np.nan,
        "asa": achievable_accuracy(labels, truth),
        "edges": boundary_recall(labels, truth),
    }


def chosen(folder: Path, windows: int, sources: list[str], seed: int) -> Iterator[Look]:
    """Windows with known masks, so many of each source, from different pictures as far as there are."""
    seen: dict[str, int] = defaultdict(int)
    pictures = [each for each in list_pictures(folder, sources=sources) if each.label_format != "boxes"]
    turns: dict[str, list] = defaultdict(list)
    for each in pictures:
        turns[each.source].append(each)
    for source, some in turns.items():
        spread = [some[k] for k in np.random.default_rng(seed).permutation(len(some))]
        for look in looks(spread):
            if look.targets and look.targets[0].exact:
                seen[source] += 1
                yield look
            if seen[source] >= windows:
                break


def summed(tally: Tally) -> dict[str, float | str]:
    """One row of the table."""
    by_source: dict[str, list[np.ndarray]] = defaultdict(list)
    for source, best, _ in tally.best:
        by_source[source].append(best)
    best, length = (np.concatenate([each[k] for each in tally.best]) for k in (1, 2))
    row: dict[str, float | str] = {"windows": len(tally.best), "objects": len(best)}
    for least, name in ((0.5, "50"), (0.75, "75")):
        row[f"mean{name}"] = float(np.mean([np.mean(np.concatenate(each) >= least) for each in by_source.values()]))
        row[f"pooled{name}"] = float((best >= least).mean())
        row[f"pooled{name}_90"] = " to ".join(f"{v:.3f}" for v in interval(tally, least))
    for low, high in zip((0, *LENGTHS_PX), (*LENGTHS_PX, np.inf), strict=True):
        some = (length >= low) & (length < high)
        row[f"l{low}"] = float((best[some] >= 0.5).mean()) if some.any() else float("nan")
    for name in ("segments", "covered", "asa", "edges", "seconds"):
        row[name] = float(np.nanmean([each[name] for each in tally.rows]))
    return row


def interval(tally: Tally, least: float) -> tuple[float, float]:
    """5 % and 95 % of the pooled share over windows drawn anew."""
    rng = np.random.default_rng(0)
    found = np.array([(best >= least).sum() for _, best, _ in tally.best])
    count = np.array([len(best) for _, best, _ in tally.best])
    draws = rng.integers(0, len(found), (1000, len(found)))
    shares = found[draws].sum(1) / count[draws].sum(1)
    return float(np.quantile(shares, 0.05)), float(np.quantile(shares, 0.95))


def write_table(table: list[dict[str, Any]], path: Path) -> None:
    """Write the table, and print its rows over all sources."""
    shown = [{k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()} for row in table]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(shown)
    for row in shown:
        if row["source"] == "all":
            print(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--methods", default="fast,clicks,slic,felzenszwalb,mean shift")
    parser.add_argument("--sources", default="")
    parser.add_argument("--seed", type=int, default=0, help="another one draws other pictures")
    parser.add_argument("--model", default="nano", help="one, or several with commas: each method with each of them")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/regions.csv"))
    asked = parser.parse_args()
    models = {name: geosam.load_model(name) for name in asked.model.split(",")}
    turns = [(m, name) for m in asked.methods.split(",") for name in (models if m in SPEEDS else list(models)[:1])]
    tallies: dict[tuple[str, str], Tally] = defaultdict(Tally)
    for look in chosen(asked.folder, asked.windows, [each for each in asked.sources.split(",") if each], asked.seed):
        truth, lengths = truth_of(look), lengths_of(look)
        chip = look.chip()
        count = 0
        for method, name in turns:
            begin = time.process_time()
            if method in SPEEDS:
                labels = segmented(look, models[name], **SPEEDS[method])
            else:
                labels = SUPERPIXELS[method](np.ascontiguousarray(np.moveaxis(chip.pixels, 0, -1)), max(count, 2))
            seconds = (time.process_time() - begin) * 2**20 / truth.size
            labels = np.unique(labels, return_inverse=True)[1].reshape(truth.shape) + int(labels.min() > 0)
            best, row = measured(labels, truth, chip.valid)
            count = int(row["segments"]) if method == TREE else count
            shown = f"{method} {name}" if len(models) > 1 and method in SPEEDS else method
            for group in ("all", look.source):
                tallies[shown, group].best.append((look.source, best, lengths))
                tallies[shown, group].rows.append({**row, "seconds": seconds})
            print(
                f"{look.source:45s} {shown:13s} {(best >= 0.5).mean():.2f} {row['asa']:.3f} {seconds:.2f} s",
                flush=True,
            )
    table = [{"method": method, "source": group, **summed(tally)} for (method, group), tally in tallies.items()]
    table.sort(key=lambda row: (row["source"] != "all", row["source"], row["method"]))
    write_table(table, asked.out)


if __name__ == "__main__":
    main()
