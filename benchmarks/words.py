"""Words: the ground that each is given, footprints by their scores, and words taught by five examples.

    python benchmarks/words.py [DATA] [--only ground rank teach] [--worlds 39] [-o words.csv]

*ground*: for each word precision, recall and F1 at the default threshold and at the best one, and the false ground of
pictures that it is absent from; `dev`, and renderings of a seed that nothing was learned from. *rank*: of the masks of
"building", as many best-scored ones as there are footprints; how many footprints these meet at an IoU of one half, and
how many as many masks drawn at random meet. *teach*: words taught by five objects and five pieces of ground; area under
the ROC curve over the segments of the same picture and of another one of the source, and seconds of processor without
the encoder.
"""

import argparse
import csv
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import shapely
import torch
import xarray
from geopandas import GeoSeries

from geosam.evaluation.sets import LabelledPicture, list_pictures
from geosam.evaluation.truth import find_objects, read_truth
from geosam.evaluation.words import Counted, at_pixels, score_rasters, table
from geosam.execute import Journal
from geosam.pipeline.reading import suited
from geosam.pipeline.regions import cover_scene
from geosam.pipeline.request import Request
from geosam.pipeline.run import Run
from geosam.pipeline.teaching import teach
from geosam.pipeline.words import Reading
from geosam.recognition import KINDS, KindReader, Prompt, describe, load_vocabulary
from geosam.scene import Scene, open_scene
from geosam.store import EmbeddingStore
from geosam.training.kind_rows import SOURCES, SPARSE, world_look
from geosam.training.words import ABSENT as ABSENT_TRAIN
from geosam.training.world.rendering import THEMES

OF = {
    **SOURCES,
    "argha-buildings": "building",
    "levir-bit": "building",
    "xbd-subset": "building",
    "cosmiq-solaris": "building",
    "isaid": "vehicle",
    "antillia-Bijie-Landslide": "landslide",
    "antillia-Hokkaido-Iburi-Tobu-Landslide": "landslide",
    "detectree": "tree",
}
"""Kind of the objects of each source."""

ABSENT = {
    **ABSENT_TRAIN,
    "argha-buildings": ("landslide", "snow"),
    "levir-bit": ("landslide", "snow"),
    "xbd-subset": ("landslide", "snow"),
    "antillia-Bijie-Landslide": ("pool", "solar panel", "vehicle"),
    "antillia-Hokkaido-Iburi-Tobu-Landslide": ("pool", "solar panel", "vehicle"),
}
"""Kinds that the pictures of a source surely do not show."""

SEED, SIDE = 90, 512
"""Of renderings."""

WORD = {word.kind: word for word in load_vocabulary().words}
TEXT = ", ".join(word.word for word in WORD.values())


def pictures(data: Path) -> Iterator[LabelledPicture]:
    """Pictures of `dev` with objects of a known kind, those from before a disaster."""
    for picture in list_pictures(data / "dev"):
        if picture.source in OF and "_post_" not in picture.name:
            yield picture


def ground(data: Path, worlds: int) -> Iterator[tuple]:
    """Rows of the ground that each word is given."""
    counted: dict[tuple[str, str], list[Counted]] = defaultdict(list)
    for picture in pictures(data):
        kind, scene = OF[picture.source], open_scene(picture.file)
        ids = read_truth(picture, scene).ids
        if ids is None or picture.source in SPARSE:
            continue
        seen = suited(scene, [Prompt(kind, WORD[kind])])
        true = at_pixels(ids > 0, seen.shape)
        every, none = np.ones(true.shape, bool), np.zeros(true.shape, bool)
        for name, score in score_rasters(seen, TEXT):
            each = next(word.kind for word in WORD.values() if word.word == name)
            if each == kind or each in ABSENT.get(picture.source, ()):
                counted[name, picture.source].append(Counted.of(score, true if each == kind else none, every))
    for number in range(worlds):
        look = world_look(THEMES[number % len(THEMES)], np.random.default_rng([SEED, number]), side=SIDE, name="")
        kinds = np.where(look.labels > 0, np.append(look.kinds, -1)[look.labels - 1], look.ground)
        for name, score in score_rasters(rendered(look.pixels), TEXT):
            kind = next(KINDS.index(word.kind) for word in WORD.values() if word.word == name)
            counted[name, "rendered"].append(Counted.of(score, kinds == kind, kinds >= 0))
    for row in table(counted):
        place = "ground", row.word, f"{row.source} ({row.pictures})"
        for measure in ("precision", "recall", "f1", "best_f1", "best_threshold", "false_area"):
            value = getattr(row, measure)
            if not np.isnan(value):
                yield *place, measure, value
        if not np.isnan(row.f1):
            yield *place, "best less default F1", row.best_f1 - row.f1


def rendered(pixels: np.ndarray) -> Scene:
    """A rendering as a scene."""
    return open_scene(xarray.DataArray(pixels, dims=("band", "y", "x")))


def segments_of(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Label of every pixel's segment, and the scores of each segment."""
    with tempfile.TemporaryDirectory() as folder, Journal(folder, "words") as journal:
        run = Run(Request.of(scene, None, model="nano", options=None, changes={"text": TEXT}), journal)
        coverage = cover_scene(run)
        scores, _ = Reading(run, coverage).all()
        return np.concatenate([rows for _, rows in coverage.strips()]), scores


def rank(data: Path) -> Iterator[tuple]:
    """Footprints that the best-scored masks meet, beside masks drawn at random."""
    found: dict[str, list[np.ndarray]] = defaultdict(list)
    for picture in pictures(data):
        if OF[picture.source] != "building":
            continue
        scene = open_scene(picture.file)
        seen = suited(scene, [Prompt("building", WORD["building"])])
        ids = at_pixels_of(read_truth(picture, scene).ids, seen.shape)
        labels, scores = segments_of(seen)
        met = meets(labels, ids, len(scores))
        n = min(int(len(np.unique(ids)) - 1), len(scores))
        best = np.argsort(-scores[:, 0], kind="stable")[:n]
        chance = n / max(len(scores), 1)
        found[picture.source].append(np.array([n, met[best].sum(), met.sum() * chance]))
    for source, rows in found.items():
        n, best, random = np.sum(rows, 0)
        place = "rank", "building", f"{source} ({len(rows)})"
        yield *place, "footprints", n
        yield *place, "met by the best-scored masks", best
        yield *place, "met by masks at random", random
        yield *place, "ratio", best / max(random, 1e-9)


def at_pixels_of(ids: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A label raster on another grid over the same ground."""
    rows, cols = (
        np.minimum(((np.arange(n) + 0.5) * of / n).astype(int), of - 1) for n, of in zip(shape, ids.shape, strict=True)
    )
    return ids[np.ix_(rows, cols)]


def meets(labels: np.ndarray, ids: np.ndarray, count: int) -> np.ndarray:
    """Which segments meet an object at an IoU of one half or more."""
    most = int(ids.max()) + 1
    pair, pixels = np.unique(labels.astype(np.int64) * most + ids, return_counts=True)
    label, which = np.divmod(pair, most)
    area, size = np.bincount(labels.ravel(), minlength=count + 1), np.bincount(ids.ravel(), minlength=most)
    good = (label > 0) & (which > 0) & (pixels / (area[label] + size[which] - pixels) >= 0.5)
    found = np.zeros(count + 1, bool)
    found[label[good]] = True
    return found[1:]


def teach_words(data: Path) -> Iterator[tuple]:
    """Words taught on one picture, read there and on others of the source."""
    by_source: dict[str, list[LabelledPicture]] = defaultdict(list)
    for picture in pictures(data):
        by_source[picture.source].append(picture)
    here: list[float] = []
    elsewhere: list[float] = []
    for source, some in by_source.items():
        seen = [each for each in (Known.of(picture) for picture in some[:3]) if each is not None]
        same, other, taken = [], [], []
        for number, one in enumerate(seen):
            for seed in range(2):
                word, seconds, used = one.taught(np.random.default_rng([number, seed]))
                reader = KindReader.of([word])
                same.append(one.auc(reader, used))
                other += [another.auc(reader, set()) for another in seen if another is not one]
                taken.append(seconds)
        same = [each for each in same if not np.isnan(each)]  # a picture whose objects all were shown says nothing
        if same:
            here.append(float(np.mean(same)))
            elsewhere += [float(np.mean(other))] if other else []
            place = "teach", OF[source], f"{source} ({len(seen)})"
            yield *place, "AUC, same picture", np.mean(same)
            if other:
                yield *place, "AUC, another picture of the source", np.mean(other)
            yield *place, "seconds without the encoder, most", np.max(taken)
    yield "teach", "all", f"mean over sources ({len(here)})", "AUC, same picture", np.mean(here)
    yield (
        "teach",
        "all",
        f"mean over sources ({len(elsewhere)})",
        "AUC, another picture of the source",
        np.mean(elsewhere),
    )


class Known:
    """A picture, its segments, and which of them are of its objects."""

    def __init__(self, picture: LabelledPicture, scene: Scene, ids: np.ndarray) -> None:
        self.picture, self.scene, self.ids = picture, scene, ids
        self.labels, _ = segments_of(scene)
        self.features = describe(scene.read(scene.crop), self.labels)
        count = int(self.labels.max())
        area = np.maximum(np.bincount(self.labels.ravel(), minlength=count + 1)[1:], 1)
        share = np.bincount(self.labels[ids > 0], minlength=count + 1)[1:] / area
        self.right, self.wrong = np.flatnonzero(share >= 0.5), np.flatnonzero(share <= 0.1)
        self.objects = [each for each in find_objects(ids) if each.area >= 64]

    @classmethod
    def of(cls, picture: LabelledPicture) -> "Known | None":
        """A picture with enough objects and ground to teach and to measure; None else."""
        scene = open_scene(picture.file)
        truth = read_truth(picture, scene).ids
        if truth is None:
            return None
        seen = suited(scene, [Prompt("", WORD[OF[picture.source]])])
        found = cls(picture, seen, at_pixels_of(truth, seen.shape).astype(np.int32))
        return found if min(len(found.objects), len(found.right) // 2, len(found.wrong) // 2) >= 5 else None

    def taught(self, rng: np.random.Generator) -> tuple:
        """A word from five objects and five segments of ground, the seconds that it took, the segments it used."""
        from rasterio.features import shapes

        chosen = rng.choice(len(self.objects), 5, replace=False)
        values = [self.objects[each].label for each in chosen]
        ground = rng.choice(self.wrong, 5, replace=False) + 1
        parts = []
        for raster, numbers in ((self.ids, values), (self.labels, ground)):
            mask = np.isin(raster, numbers)
            drawn: dict[float, list] = defaultdict(list)
            for shape, value in shapes(raster.astype(np.int32), mask=mask, connectivity=8):
                drawn[value].append(shapely.geometry.shape(shape))
            parts.append(np.array([shapely.union_all(each) for each in drawn.values()], object))
        right, wrong = (GeoSeries(self.scene.to_world(each), crs=self.scene.crs) for each in parts)
        used = set(np.unique(self.labels[np.isin(self.ids, values)]).tolist()) | set(ground.tolist())
        with tempfile.TemporaryDirectory() as folder:
            store = EmbeddingStore(folder)
            teach("thing", self.scene, right[:4], wrong=wrong, store=store)  # the encoder's part
            begin = time.process_time()
            word = teach("thing", self.scene, right, wrong=wrong, store=store)
            return word, time.process_time() - begin, used

    def auc(self, reader: KindReader, used: set[int]) -> float:
        """Area under the ROC curve of the segments' scores, those that were shown left out."""
        scores = reader.read(self.features, [reader.vocabulary.words[0]])
        right, wrong = (
            scores[[n for n in rows if n + 1 not in used], 0].astype(np.float64) for rows in (self.right, self.wrong)
        )
        above = (right[:, None] > wrong[None]).mean() + (right[:, None] == wrong[None]).mean() / 2
        return float(above)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--only", nargs="+", default=["ground", "rank", "teach"])
    parser.add_argument("--worlds", type=int, default=39)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).with_name("words.csv"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    work = {
        "ground": lambda: ground(given.data, given.worlds),
        "rank": lambda: rank(given.data),
        "teach": lambda: teach_words(given.data),
    }
    rows = [row for name in given.only for row in work[name]()]
    rows = [*others(given.output, given.only), *rows]
    with given.output.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(HEADS)
        for *place, value in rows:
            out.writerow([*place, f"{float(value):.3f}"])
            print(*place, f"{float(value):.3f}", sep=",")


def others(path: Path, only: list[str]) -> list[tuple]:
    """Rows of an earlier table that are not measured anew."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [tuple(row) for row in list(csv.reader(file))[1:] if row[0] not in only]


HEADS = ("what", "word", "source (pictures)", "measure", "value")
"""Columns of the table."""

if __name__ == "__main__":
    main()
