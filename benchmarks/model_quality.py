"""Score a model on a folder of labelled pictures: mean IoU from one box and from one click, source by source.

    python benchmarks/model_quality.py DATA/dev [--model nano] [--limit 0] [--sources a,b]

The folder holds ``manifest.csv`` and ``objects.csv`` (true boxes and deepest interior points). Counted are objects of
at least 256 pixels that do not touch the picture's edge, on pictures from before a disaster; beside the model, the box
itself taken as the mask. Each object is looked at in the window of at most 1,024 pixels whose middle is nearest.
"""

import argparse
import csv
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning

from geosam.sam.registry import load_model
from geosam.training.real import FORMATS, RealRow, read_image

SIDE, STEP, SMALLEST = 1024, 512, 256


def main() -> None:
    """Print one line per source, then the mean over sources."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--limit", type=int, default=0, help="pictures per source; 0 for all")
    parser.add_argument("--sources", default="", help="comma-separated; all by default")
    options = parser.parse_args()
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    model = load_model(options.model)
    scores = defaultdict(list)
    for source, row, objects in pictures(options.folder, options.sources, options.limit):
        scores[source] += score_picture(model, row, objects)
    print(f"{'source':42s} objects   box  click  the box itself")
    means = []
    for source, rows in sorted(scores.items()):
        if rows:
            means.append(np.mean(rows, axis=0))
            print(f"{source:42s} {len(rows):7d} {means[-1][0]:5.3f}  {means[-1][1]:5.3f}  {means[-1][2]:5.3f}")
    box, click, itself = np.mean(means, axis=0)
    print(f"{'mean over sources':42s} {'':7s} {box:5.3f}  {click:5.3f}  {itself:5.3f}")


def pictures(folder: Path, sources: str, limit: int):
    """Give the pictures that have labels, and their objects' rows."""
    objects = defaultdict(list)
    for each in read_csv(folder / "objects.csv"):
        if each["touches_edge"] == "0" and float(each["area_px"] or 0) >= SMALLEST:
            objects[each["file"]].append(each)
    seen = defaultdict(int)
    for row in read_csv(folder / "manifest.csv"):
        source = row["file"].split("/")[0]
        wanted = not sources or source in sources.split(",")
        usable = row["label_format"] in FORMATS and objects[row["file"]] and "_post_" not in row["file"]
        if wanted and usable and (not limit or seen[source] < limit):
            seen[source] += 1
            path = folder / row["file"]
            yield (
                source,
                RealRow(path, folder / row["labels"], row["label_format"], source, row["file"]),
                objects[row["file"]],
            )


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def score_picture(model, row: RealRow, objects: list[dict[str, str]]) -> list[tuple[float, float, float]]:
    """IoU from the box, from the click, and of the box itself, for each object."""
    labels, pixels = read_image(row).labels, stretched(row.file)
    by_window = defaultdict(list)
    for each in objects:
        x, y = int(float(each["point_x"])), int(float(each["point_y"]))
        if labels[y, x]:
            box = [float(each[name]) for name in ("xmin", "ymin", "xmax", "ymax")]
            by_window[window_of(box, labels.shape)].append((labels[y, x], box, (x + 0.5, y + 0.5)))
    return [
        score for (top, left), few in by_window.items() for score in score_window(model, pixels, labels, top, left, few)
    ]


def stretched(path: Path) -> np.ndarray:
    """Three bands of bytes; other types are stretched between the 2nd and 98th percentile of each band."""
    with rasterio.open(path) as scene:
        bands = scene.read()[:3].astype(np.float32)
        if scene.dtypes[0] != "uint8":
            low, high = np.percentile(bands, (2, 98), axis=(1, 2), keepdims=True)
            bands = np.clip((bands - low) / np.maximum(high - low, 1e-6), 0, 1) * 255
    return np.broadcast_to(bands if len(bands) == 3 else bands[:1], (3, *bands.shape[1:])).astype(np.uint8)


def window_of(box: list[float], shape: tuple[int, int]) -> tuple[int, int]:
    """Top and left of the window whose middle is nearest to the box's."""
    corner = []
    for length, low, high in ((shape[0], box[1], box[3]), (shape[1], box[0], box[2])):
        starts = np.unique(np.minimum(np.arange(0, max(length - SIDE, 0) + STEP, STEP), max(length - SIDE, 0)))
        corner.append(int(starts[np.abs(starts + SIDE / 2 - (low + high) / 2).argmin()]))
    return corner[0], corner[1]


def score_window(model, pixels, labels, top, left, objects):
    rows, columns = slice(top, top + SIDE), slice(left, left + SIDE)
    shown = np.ascontiguousarray(pixels[:, rows, columns])
    shape = shown.shape[1:]
    arrays = model.encode(shown)
    move = np.array([left, top], np.float32)
    points = np.array([point for _, _, point in objects], np.float32)[:, None] - move
    boxes = np.array([box for _, box, _ in objects], np.float32) - np.tile(move, 2)
    ones = np.ones((len(objects), 1), np.int64)
    boxed, _ = model.decode(arrays, shape, points=points, labels=-ones, boxes=boxes, multimask=False)
    clicked, iou = model.decode(arrays, shape, points=points, labels=ones)
    for index, (label, _, _) in enumerate(objects):
        truth = labels[rows, columns] == label
        itself = np.zeros(shape, bool)
        x0, y0, x1, y1 = boxes[index].round().astype(int)
        itself[max(y0, 0) : y1, max(x0, 0) : x1] = True
        answers = enlarge(boxed[index, 0], shape), enlarge(clicked[index, iou[index].argmax()], shape), itself
        yield tuple((answer & truth).sum() / max((answer | truth).sum(), 1) for answer in answers)


def enlarge(logits: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A mask at the pixels of the window."""
    return np.asarray(Image.fromarray(logits).resize(shape[::-1], Image.Resampling.BILINEAR)) > 0


if __name__ == "__main__":
    main()
