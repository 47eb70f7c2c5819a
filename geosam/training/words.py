"""Fit the lines by which words are read: where each word's scores have their half.

    python -m geosam.training.words DATA [--worlds 416] [--seed 0] [--rows KEPT.npz] [-o OUTPUT]

What is scored are the segments that the door gives (`geosam.pipeline.words`): whole objects, parts of them, unions with
what lies beside them, and all ground between. Real pictures are read by heads that have not seen them, renderings are
of another seed than those that the head was fitted on. For each kind the half is put where the F1 of the ground, as a
mean over sources, is best among thresholds that call less than `FALSE` of pictures without the word by it, together
with how sure one segment of a scene must be for the word to be there at all; the slope is that of Platt's logistic
regression on shares of ground.
"""

import argparse
import json
import logging
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import xarray
from jaxtyping import Float64, Int32
from PIL import Image
from scipy.optimize import minimize

from geosam.execute import Journal
from geosam.pipeline.reading import suited
from geosam.pipeline.regions import cover_scene
from geosam.pipeline.request import Request
from geosam.pipeline.run import Run
from geosam.pipeline.words import Reading
from geosam.recognition.kinds import HEAD_FILE, KINDS, KindHead, load_head
from geosam.recognition.reading import LINES_FILE, KindReader, Line
from geosam.recognition.vocabulary import Prompt, load_vocabulary
from geosam.scene import Scene, open_scene
from geosam.training.kind_rows import SOURCES, SPARSE, WORLD, world_look
from geosam.training.kinds import FOLDS, FitOptions, collect, cooled, fit, folds, temperature_in, thinned
from geosam.training.real import open_rows, read_image
from geosam.training.world.rendering import THEMES

log = logging.getLogger(__name__)

FALSE = 0.008
"""Most ground of pictures without a word that may be called by it, a little below what is promised (1 %)."""

THRESHOLDS = np.linspace(0.02, 0.98, 97)
"""Probabilities among which the half is looked for."""

GATES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
"""Probabilities that one segment of a scene must have, if the word is to be there at all."""

SIDE = 512
"""Side of renderings, px."""

ABSENT = {
    "agoro-fields": ("landslide", "snow", "solar panel"),
    "antillia-Aerial-Imagery-Road": ("landslide", "snow"),
    "antillia-Aerial-Imagery-Solar-Panel": ("landslide", "snow"),
    "antillia-Flood": ("landslide", "pool", "snow", "solar panel"),
    "antillia-Nepal-LandSlide": ("pool", "solar panel", "vehicle"),
    "antillia-Satellite-Imagery-Amazon-Forest": ("landslide", "pool", "snow", "solar panel", "vehicle"),
    "antillia-Sichuan-Landslide": ("pool", "solar panel", "vehicle"),
    "hotosm-fair-models": ("landslide", "snow"),
    "hotosm-fair-utilities": ("landslide", "snow"),
}
"""Kinds that the pictures of a source surely do not show."""


@dataclass(frozen=True, eq=False)
class Told:
    """Segments of one picture.

    Attributes
    ----------
    source
        Where the picture is from.
    probability
        Of each kind, ``n k``.
    area
        Pixels of each, ``n``.
    share
        Share of its pixels that is of each kind, ``n k``.
    known
        Share of its pixels of which is known whether they are of each kind, ``n k``.
    """

    source: str
    probability: Float64[np.ndarray, "n k"]
    area: Float64[np.ndarray, "n"]
    share: Float64[np.ndarray, "n k"]
    known: Float64[np.ndarray, "n k"]


class Bare(KindReader):
    """A reader whose scores are probabilities of kinds as the head gives them."""

    @classmethod
    def around(cls, head: KindHead) -> "Bare":
        """Around a head."""
        return cls(head, {}, {}, "bare", "bare")


def told(scene: Scene, kinds: Int32[np.ndarray, "h w"], head: KindHead, source: str) -> Told:
    """Segment a picture and tell what its segments are said to be and are; ``kinds`` is -1 where nothing is known."""
    words = load_vocabulary().words
    with tempfile.TemporaryDirectory() as folder, Journal(folder, "words") as journal:
        changes = {"text": [word.word for word in words]}
        request = Request.of(scene, None, model="nano", options=None, changes=changes)
        run = Run(request.read_by(Bare.around(head)), journal)
        coverage = cover_scene(run)
        found, _ = Reading(run, coverage).all()
        labels = np.concatenate([rows for _, rows in coverage.strips()])
    n = len(found)
    area = np.bincount(labels.ravel(), minlength=n + 1)[1:].astype(np.float64)
    probability = np.zeros((n, len(KINDS)))
    for column, word in enumerate(words):
        probability[:, KINDS.index(word.kind)] = found[:, column]
    counts = [np.bincount(labels[kinds == kind], minlength=n + 1)[1:] for kind in range(-1, len(KINDS))]
    share = np.stack(counts[1:], 1) / np.maximum(area, 1)[:, None]
    return Told(source, probability, area, share, _known(source, share, counts[0] / np.maximum(area, 1)))


def _known(source: str, share: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Share of the pixels of each segment of which is known whether they are of each kind."""
    if source == WORLD:
        return np.repeat(1 - unknown[:, None], len(KINDS), 1)
    known, kind = np.zeros_like(share), KINDS.index(SOURCES[source])
    known[:, kind] = share[:, kind] if source in SPARSE else 1.0
    for name in ABSENT.get(source, ()):
        known[:, KINDS.index(name)] = 1.0
    return known


def real_pictures(data: Path, heads: Sequence[KindHead]) -> Iterator[Told]:
    """Segments of the open pictures of the training split, each told by a head that has not seen it."""
    for row in open_rows(data):
        if row.source not in SOURCES:
            continue
        kind = SOURCES[row.source]
        word = next(word for word in load_vocabulary().words if word.kind == kind)
        scene = suited(open_scene(row.file), [Prompt(kind, word)])
        labels = Image.fromarray(read_image(row).labels).resize(
            (scene.shape[1], scene.shape[0]), Image.Resampling.NEAREST
        )
        kinds = np.where(np.asarray(labels) > 0, KINDS.index(kind), -1).astype(np.int32)
        log.info("%s", row.name)
        fold = int(folds(np.array([f"{row.source}/{row.name}"]))[0])
        yield told(scene, kinds, heads[fold], row.source)


def rendered_pictures(count: int, seed: int, head: KindHead) -> Iterator[Told]:
    """Segments of renderings of a seed, each theme as often as every other."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        look = world_look(THEMES[number % len(THEMES)], rng, side=SIDE, name=f"{seed}-{number}")
        kinds = np.where(look.labels > 0, np.append(look.kinds, -1)[look.labels - 1], look.ground)
        scene = open_scene(xarray.DataArray(look.pixels, dims=("band", "y", "x")))
        yield told(scene, kinds.astype(np.int32), head, WORLD)


def fit_line(pictures: Sequence[Told], kind: int) -> tuple[Line, dict[str, float]]:
    """The line of a kind, and what it reaches: F1 at its half, the best F1 of all thresholds, and false ground."""
    found = [(*_curves(pictures, kind, gate), gate) for gate in GATES]
    best, threshold, false, gate = max(
        (
            (float(f1[at]), THRESHOLDS[at], float(false[at]), gate)
            for f1, false, gate in found
            for at in _allowed(false)
        ),
        key=lambda each: (each[0], -each[3]),
    )
    odds = float(np.log(threshold / (1 - threshold)))
    line = Line(round(_slope(pictures, kind), 3), round(odds, 3))
    presence = max(0.5, round(float(line(np.array([gate]))[0]), 3))
    facts = {"f1": best, "best": float(found[0][0].max()), "false": false, "threshold": float(threshold), "gate": gate}
    return replace(line, presence=presence), facts


def _allowed(false: np.ndarray) -> np.ndarray:
    """Thresholds that call little enough by a word that is absent; the highest if none does."""
    some = np.flatnonzero(false <= FALSE)
    return some if len(some) else np.array([len(false) - 1])


def _curves(pictures: Sequence[Told], kind: int, gate: float) -> tuple[np.ndarray, np.ndarray]:
    """F1 as a mean over sources, and false ground as a mean over pictures without the word, at each threshold.

    A word counts as absent from pictures of which no segment has a probability of ``gate``.
    """
    groups: dict[str, list[np.ndarray]] = defaultdict(list)
    absent = []
    for each in pictures:
        known, share = each.known[:, kind] * each.area, each.share[:, kind] * each.area
        p = each.probability[:, kind]
        over = (p[None] >= THRESHOLDS[:, None]) & (p.max(initial=0) >= gate)  # t n
        if share.sum() > 0 and each.source not in SPARSE:
            groups[each.source].append(np.stack([over @ share, over @ known, np.full(len(over), share.sum())]))
        elif share.sum() == 0 and known.sum() > 0.5 * each.area.sum():
            absent.append(over @ known / known.sum())
    f1 = np.mean([_f1(np.sum(group, 0)) for group in groups.values()], axis=0)
    return f1, np.mean(absent, axis=0) if absent else np.zeros(len(THRESHOLDS))


def _f1(sums: np.ndarray) -> np.ndarray:
    hit, called, true = sums
    return 2 * hit / np.maximum(called + true, 1e-9)


def _slope(pictures: Sequence[Told], kind: int) -> float:
    """Slope of the logistic regression of a kind's share on the log-odds of its probability, sources weighted alike."""
    odds, share, weight = [], [], []
    for source in sorted({each.source for each in pictures}):
        mine = [each for each in pictures if each.source == source]
        w = np.concatenate([each.known[:, kind] * np.sqrt(each.area) for each in mine])
        if w.sum() <= 0:
            continue
        p = np.clip(np.concatenate([each.probability[:, kind] for each in mine]), 1e-6, 1 - 1e-6)
        known = np.maximum(np.concatenate([each.known[:, kind] for each in mine]), 1e-6)
        odds.append(np.log(p / (1 - p)))
        share.append(np.clip(np.concatenate([each.share[:, kind] for each in mine]) / known, 0, 1))
        weight.append(w / w.sum())
    x, y, w = map(np.concatenate, (odds, share, weight))

    def cost(line: np.ndarray) -> float:
        z = line[0] * x + line[1]
        return float((w * (np.logaddexp(0, z) - y * z)).sum() + 1e-4 * (line[0] - 1) ** 2)

    return float(np.clip(minimize(cost, np.array([1.0, 0.0]), method="Nelder-Mead").x[0], 0.3, 3.0))


def fold_heads(data: Path, kept: Path | None, seed: int) -> list[KindHead]:
    """Heads of kinds, each of which has not seen one fold of the pictures."""
    rows, options = thinned(collect(data, 208, seed, kept), seed), FitOptions()
    fold, temperature, backbone = folds(rows.picture), temperature_in(HEAD_FILE), load_head().backbone
    return [cooled(fit(rows[fold != number], options, backbone), temperature) for number in range(FOLDS)]


def fit_lines(pictures: Iterable[Told]) -> dict[str, dict[str, float]]:
    """The line of every word's kind with what it reaches, by name."""
    all_of_them = list(pictures)
    found = {}
    for word in load_vocabulary().words:
        line, facts = fit_line(all_of_them, KINDS.index(word.kind))
        rounded = {name: round(value, 3) for name, value in facts.items()}
        found[word.kind] = {"slope": line.slope, "middle": line.middle, "presence": line.presence, **rounded}
    return found


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with train/manifest.csv")
    parser.add_argument("--worlds", type=int, default=416, help="renderings; 32 of each theme")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=Path, help="rows of `geosam.training.kinds`: keep them here, or take them")
    parser.add_argument("-o", "--output", type=Path, default=LINES_FILE)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    torch.manual_seed(given.seed)
    pictures = [
        *real_pictures(given.data, fold_heads(given.data, given.rows, given.seed)),
        *rendered_pictures(given.worlds, given.seed + 1, load_head()),
    ]
    facts = {"licence": "Apache-2.0", "seed": given.seed, "worlds": given.worlds, "false": FALSE}
    lines = fit_lines(pictures)
    given.output.write_text(json.dumps({**facts, "lines": lines}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
