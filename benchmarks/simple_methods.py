"""What simple methods reach on a labelled set, with the same prompts and the same windows as a model.

    pip install 'geosam[bench]'
    python benchmarks/simple_methods.py SET [--limit 0] [--objects 0] [--sources a,b] [--csv OUT]

- from a box: **the box itself**; **GrabCut** in it (Rother et al. 2004; OpenCV, 5 rounds, on the box and half of it
  around);
- from a click: the segment under it, of **Felzenszwalb** and Huttenlocher (2004) and of **SLIC** (Achanta et al. 2012;
  both scikit-image, with segments of some 1,000 pixels for SLIC and scale 200 for Felzenszwalb, not tuned);
- from three clicks: a **random forest** over multi-scale features of a pixel (scikit-image, scikit-learn), taught with
  the pixels around each click and pixels drawn from the window as background; the piece under the first click counts.
  Further clicks go where it was wrong, as a model's do. It is shown only the object's box and as much around it, which
  helps it.

None of these depends on a model, so that the numbers are measured once and kept in ``benchmarks/simple_methods.csv``.
"""

import argparse
import csv
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage
from skimage.feature import multiscale_basic_features
from skimage.segmentation import felzenszwalb, slic
from sklearn.ensemble import RandomForestClassifier

from geosam.evaluation import list_pictures, looks
from geosam.evaluation.asking import correct
from geosam.evaluation.crops import Crop, iou
from geosam.evaluation.looks import Target

METHODS = ("box_itself", "grabcut", "felzenszwalb", "slic", "forest")
NEAR_PX, BACKGROUND = 3, 300
KEPT = Path(__file__).with_name("simple_methods.csv")


def grabcut(pixels: np.ndarray, target: Target) -> Crop:
    """Foreground in the box by GrabCut; the box itself where it finds nothing to tell apart."""
    x0, y0, x1, y1 = (int(v) for v in np.rint(target.box))
    margin = max(x1 - x0, y1 - y0) // 2 + 4
    left, top = max(x0 - margin, 0), max(y0 - margin, 0)
    part = np.ascontiguousarray(pixels[top : y1 + margin, left : x1 + margin])
    mask = np.zeros(part.shape[:2], np.uint8)
    cv2.setRNGSeed(0)
    try:
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(part, mask, (x0 - left, y0 - top, x1 - x0, y1 - y0), *models, 5, cv2.GC_INIT_WITH_RECT)
    except cv2.error:
        return Crop.of_box(target.box)
    return Crop.of((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD), left, top)


def under(segments: np.ndarray, target: Target) -> Crop:
    """The segment under the click."""
    x, y = (int(v) for v in target.point)
    return Crop.of(segments == segments[y, x])


def forest(features: np.ndarray, target: Target, rounds: int = 3) -> Crop:
    """Pixels that a forest takes for the object, after so many clicks."""
    h, w = features.shape[:2]
    x0, y0, x1, y1 = target.box
    mx, my = (x1 - x0) / 2, (y1 - y0) / 2
    left, top, right, bottom = (int(v) for v in (max(x0 - mx, 0), max(y0 - my, 0), min(x1 + mx, w), min(y1 + my, h)))
    shown = features[top:bottom, left:right]
    rng = np.random.default_rng(0)
    background = features.reshape(h * w, -1)[rng.integers(0, h * w, BACKGROUND)]
    samples, labels = [background], [np.zeros(BACKGROUND)]
    x, y, label = (*(float(v) for v in target.point), 1)
    click = int(y) - top, int(x) - left
    for _ in range(rounds):
        if label >= 0:
            around = features[
                max(int(y) - NEAR_PX, 0) : int(y) + NEAR_PX + 1, max(int(x) - NEAR_PX, 0) : int(x) + NEAR_PX + 1
            ]
            samples.append(around.reshape(-1, features.shape[2]))
            labels.append(np.full(len(samples[-1]), label))
        trees = RandomForestClassifier(20, max_depth=10, class_weight="balanced", random_state=0)
        trees.fit(np.concatenate(samples), np.concatenate(labels))
        inside = trees.predict(shown.reshape(-1, shown.shape[2])).reshape(shown.shape[:2]) > 0
        pieces, _ = ndimage.label(inside)
        found = Crop.of(pieces == pieces[click] if inside[click] else inside, left, top)
        x, y, label = correct(found, target.truth)
    return found


def score(pixels: np.ndarray, targets: tuple[Target, ...], scale: float = 200) -> list[list[float]]:
    """IoU of every method for every object of a window."""
    pixels = np.ascontiguousarray(np.moveaxis(pixels, 0, -1))
    superpixels = slic(pixels, n_segments=max(pixels.shape[0] * pixels.shape[1] // 1000, 2), start_label=1)
    segments = felzenszwalb(pixels, scale=scale, sigma=0.8, min_size=50)
    features = multiscale_basic_features(pixels, sigma_max=8, channel_axis=-1, workers=1).astype(np.float32)
    scores = []
    for each in targets:
        answers = (
            Crop.of_box(each.box),
            grabcut(pixels, each),
            under(segments, each),
            under(superpixels, each),
            forest(features, each),
        )
        scores.append([iou(answer, each.truth) for answer in answers])
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data/dev"))
    parser.add_argument("--limit", type=int, default=0, help="pictures of each source; 0 for all")
    parser.add_argument("--objects", type=int, default=0, help="objects of each source; 0 for all")
    parser.add_argument("--sources", default="", help="comma-separated; all by default")
    parser.add_argument("--csv", type=Path, help="where to keep the numbers, source by source")
    options = parser.parse_args()
    if not options.folder.is_dir():
        print(f"{options.folder} is not here: nothing is measured")
        return
    scores, begin = defaultdict(list), time.monotonic()
    chosen = [name for name in options.sources.split(",") if name]
    for look in looks(list_pictures(options.folder, sources=chosen, limit=options.limit), objects=options.objects):
        exact = tuple(each for each in look.targets if each.exact)
        if exact:
            scores[look.source] += score(look.chip().pixels, exact)
            print(f"{time.monotonic() - begin:6.0f} s  {look.name}: {len(exact)} objects", flush=True)
    rows = [(source, len(found), *np.mean(found, axis=0)) for source, found in sorted(scores.items())]
    print(f"{'source':42s} objects " + " ".join(f"{name:>12s}" for name in METHODS))
    for source, count, *means in rows:
        print(f"{source:42s} {count:7d} " + " ".join(f"{mean:12.3f}" for mean in means))
    overall = np.mean([means for *_, means in ((s, c, m) for s, c, *m in rows)], axis=0)
    print(f"{'mean over sources':42s} {'':7s} " + " ".join(f"{mean:12.3f}" for mean in overall))
    if options.csv:
        with options.csv.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["source", "objects", *METHODS])
            table.writerows([source, count, *(f"{mean:.4f}" for mean in means)] for source, count, *means in rows)


if __name__ == "__main__":
    main()
