"""What is seen of the windows in the objects of a scene: labels that change at seams, straight cuts, objects lost.

    python benchmarks/seams.py [SCENE …] [--coverage] [--model nano] [--window 512] [--keep FOLDER]

Seams are the lines where a window ends (``edge``) and where the ground of two windows is parted (``core``).

- **change**: how much more often the label changes across a seam than across other lines of that direction; 1: unseen.
- **straight**: outline that follows a seam for 8 px or more, in px for each 100 px of seam, beside what other lines
  have by chance; and how many objects have such an outline.
- **strip IoU**: of an instance and the most alike one of the neighbouring window, within what both see; quartiles.
- **one window** (scenes that the model can take at once): F1 at an IoU of one half between the objects found through
  windows and those that one window finds, for objects that cross a core seam and for those that touch no seam.

Of several scenes it also says how much more straight outline lies at their cores than elsewhere: of one alone a few
objects decide that.

With ``--coverage`` the segments of the region tree are looked at, whose blocks are the cores of windows of that size.

``--keep`` holds what the network saw, so that another rule of stitching is measured on the same masks.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
from scipy.sparse import coo_array

from geosam.execute import Journal
from geosam.instances import Load, assemble, stitch
from geosam.pipeline.everything import segment_windows
from geosam.pipeline.regions import OVERLAP, cover_scene
from geosam.pipeline.request import Request
from geosam.pipeline.run import Run
from geosam.regions import TileGrid
from geosam.windows import WindowPlan

LEAST_PX = 8
BUNDLED = Path(__file__).parents[1] / "sample_data" / "village_before.tif"


@dataclass(frozen=True)
class Seams:
    """The lines of one direction: column x parts x - 1 from x."""

    core: list[int]
    edge: list[int]
    other: list[int]

    @classmethod
    def across(cls, plan: WindowPlan, axis: int) -> "Seams":
        """Vertical lines (axis 1) or horizontal ones (axis 0)."""
        n, edges, cores = plan.shape[axis], set[int](), set[int]()
        for planned in plan:
            window, core = planned.window.toslices()[axis], planned.core.toslices()[axis]
            edges |= {window.start, window.stop}
            cores |= {core.start, core.stop}
        edges, cores = edges - cores - {0, n}, cores - {0, n}
        near = np.array(sorted(edges | cores))
        other = [x for x in range(LEAST_PX, n - LEAST_PX, 7) if not len(near) or np.abs(near - x).min() > 3]
        return cls(sorted(cores), sorted(edges), other)


def straight(labels: np.ndarray, x: int) -> tuple[float, float, set[int]]:
    """Share of column x where the label changes, share where it does for long, and the objects that end so."""
    before, after = labels[:, x - 1], labels[:, x]
    changes = before != after
    long, _ = long_runs(changes.astype(np.int64))
    ids = set().union(*(long_runs(np.where(changes, side, 0))[1] for side in (before, after)))
    return float(changes.mean()), long / len(changes), ids


def long_runs(values: np.ndarray) -> tuple[int, set[int]]:
    """Pixels in runs of one value, at least as long as what counts as straight, and these values; 0 is none."""
    begins = np.flatnonzero(np.diff(values, prepend=values[0] - 1))
    lengths = np.diff(np.append(begins, len(values)))
    kept = (lengths >= LEAST_PX) & (values[begins] > 0)
    return int(lengths[kept].sum()), set(values[begins[kept]].tolist())


def lines(labels: np.ndarray, plan: WindowPlan) -> dict[str, tuple[float, float, int]]:
    """For each kind of line: change and straight outline per px of line, and number of objects cut straight."""
    found: dict[str, list[tuple[float, float, int]]] = {"core": [], "edge": [], "other": []}
    ids: dict[str, set[int]] = {"core": set(), "edge": set(), "other": set()}
    for axis, turned in ((1, labels), (0, labels.T)):
        seams = Seams.across(plan, axis)
        for kind, rows in found.items():
            for x in getattr(seams, kind):
                change, share, cut = straight(turned, x)
                rows.append((change, share, len(turned)))
                ids[kind] |= cut
    means = {kind: np.average(rows, axis=0, weights=[n for *_, n in rows]) for kind, rows in found.items() if rows}
    return {kind: (float(mean[0]), float(mean[1]), len(ids[kind])) for kind, mean in means.items()}


def strip_ious(plan: WindowPlan, load: Load) -> np.ndarray:
    """IoU of each instance with the most alike one of the neighbour, inside the strip that both see."""
    best = []
    for i, j, strip in plan.neighbours():
        views = []
        for index in (i, j):
            seen, window = load(index), plan[index].window
            rows, cols = strip.toslices()
            if seen is not None:
                shift = np.s_[rows.start - window.row_off : rows.stop - window.row_off]
                views.append(seen.labels[shift, cols.start - window.col_off : cols.stop - window.col_off].ravel())
        if len(views) == 2:
            table, sizes, others = contingency(*views)
            iou = table.data / (sizes[table.row] + others[table.col] - table.data)
            iou[(table.row == 0) | (table.col == 0)] = 0
            for side, counts in ((table.row, sizes), (table.col, others)):
                top = np.zeros(len(counts))
                np.maximum.at(top, side, iou)
                best.append(top[1:][counts[1:] >= LEAST_PX**2])
    return np.concatenate([np.zeros(0), *best])


def contingency(one: np.ndarray, other: np.ndarray) -> tuple[coo_array, np.ndarray, np.ndarray]:
    """Pixels of each pair of labels, and of each label on either side."""
    table = coo_array((np.ones(one.size, np.int64), (one.ravel(), other.ravel()))).tocsr().tocoo()
    return table, np.bincount(one.ravel()), np.bincount(other.ravel())


def agreement(found: np.ndarray, reference: np.ndarray, plan: WindowPlan) -> dict[str, float]:
    """F1 at an IoU of one half, of objects that cross a core seam and of those that touch no seam."""
    table, sizes, others = contingency(found, reference)
    same = (table.row > 0) & (table.col > 0) & (3 * table.data > sizes[table.row] + others[table.col])
    pairs = set(zip(table.row[same].tolist(), table.col[same].tolist(), strict=True))
    crossing = [across(labels, plan, ("core",)) for labels in (found, reference)]
    apart = [
        set(np.unique(labels).tolist()) - {0} - across(labels, plan, ("core", "edge")) for labels in (found, reference)
    ]
    f1 = {}
    for name, (mine, theirs) in (("across", crossing), ("apart", apart)):
        hits = sum((one in mine) + (other in theirs) for one, other in pairs)
        f1[name] = hits / max(len(mine) + len(theirs), 1)
    return f1


def across(labels: np.ndarray, plan: WindowPlan, kinds: tuple[str, ...]) -> set[int]:
    """Objects that lie on both sides of a seam."""
    ids: set[int] = set()
    for axis, turned in ((1, labels), (0, labels.T)):
        seams = Seams.across(plan, axis)
        for x in (x for kind in kinds for x in getattr(seams, kind)):
            ids |= set(np.intersect1d(turned[:, x - 1], turned[:, x]).tolist())
    return ids - {0}


class Windows:
    """What the network sees in a scene's windows of one size; kept in a folder, if one is given."""

    def __init__(self, scene: Path, model: str, window: int, folder: Path) -> None:
        request = Request.of(scene, None, model=model, options=None, changes={"window": window})
        journal = Journal(folder / f"{scene.stem}-{window}", request.key)
        run = Run(request, journal)
        self.plan, self.side = run.plan(), request.network.side
        self.load = segment_windows(run, self.plan)
        self.journal = journal

    def labels(self) -> tuple[np.ndarray, float]:
        """The scene's objects, and the seconds of processor that stitching and painting took."""
        begin = time.process_time()
        objects = stitch(self.plan, self.load)
        painted = np.concatenate([labels for _, labels in assemble(self.plan, objects, self.load)])
        return painted, time.process_time() - begin


class Blocks:
    """The segments of a scene's region tree, put together from blocks of windows of one size."""

    def __init__(self, scene: Path, model: str, window: int, folder: Path) -> None:
        request = Request.of(scene, None, model=model, options=None, changes={"coverage": True})
        self.plan, self.side = WindowPlan(request.scene.shape, size=window, overlap=OVERLAP), request.network.side
        self.journal = Journal(folder / f"{scene.stem}-blocks-{window}", [request.key, window])
        self.run = Run(request, self.journal)

    def labels(self) -> tuple[np.ndarray, float]:
        """The scene's segments, and the seconds of processor that they took."""
        begin = time.process_time()
        with patch("geosam.pipeline.regions.tree_grid", lambda _: TileGrid(self.plan)):
            coverage = cover_scene(self.run)
        return np.concatenate([labels for _, labels in coverage.strips()]), time.process_time() - begin


def report(
    scene: Path, model: str, window: int, *, folder: Path, reference: bool, kind: type[Windows | Blocks]
) -> tuple[float, float] | None:
    """Print what is seen; give the straight outline at cores and elsewhere, px for each px of line."""
    windows = kind(scene, model, window, folder)
    plan, (labels, seconds) = windows.plan, windows.labels()
    ids, areas = np.unique(labels, return_counts=True)
    areas = areas[ids > 0]
    print(f"\n{scene.parent.name}/{scene.name}: {len(plan)} windows of {window} px, model {model}")
    print(
        f"  {len(areas):,} objects, median {np.median(areas):.0f} px, cover {np.mean(labels > 0):.2f}, {seconds:.2f} s"
    )
    found = lines(labels, plan)
    if len(plan) == 1:
        return None
    usual, chance, _ = found.pop("other")
    for line, (change, share, cut) in found.items():
        print(
            f"  {line}: change {change / usual:5.2f}   straight {100 * share:5.1f} px / 100 px"
            f"  (elsewhere {100 * chance:.1f})   {cut} objects cut"
        )
    if isinstance(windows, Windows):
        ious = strip_ious(plan, windows.load)
        quartiles = ", ".join(f"{q:.2f}" for q in np.quantile(ious, [0.25, 0.5, 0.75])) if len(ious) else "-"
        print(f"  strip IoU: quartiles {quartiles}; above one half {np.mean(ious > 0.5):.2f}")
    if reference and max(plan.shape) <= windows.side:
        f1 = agreement(labels, kind(scene, model, windows.side, folder).labels()[0], plan)
        print(f"  one window: F1 {f1['across']:.3f} across seams, {f1['apart']:.3f} apart from them")
    windows.journal.close()
    return found["core"][1], chance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="*", type=Path)
    parser.add_argument("--coverage", action="store_true", help="the segments of the region tree")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--window", type=int, default=0, help="512, or 256 for the bundled scene")
    parser.add_argument("--keep", type=Path, help="folder for what the network saw")
    parser.add_argument("--no-reference", action="store_true", help="do not look at the scene through one window")
    given = parser.parse_args()
    scenes, window = given.scenes or [BUNDLED], given.window or (512 if given.scenes else 256)
    with tempfile.TemporaryDirectory() as folder:
        kept, kind = given.keep or Path(folder), Blocks if given.coverage else Windows
        found = [
            report(scene, given.model, window, folder=kept, reference=not given.no_reference, kind=kind)
            for scene in scenes
        ]
    parted = [each for each in found if each]
    if len(parted) > 1:
        at, elsewhere = np.mean(parted, axis=0)
        print(f"\n{len(parted)} scenes: straight at cores {at / elsewhere:.2f} x elsewhere")


if __name__ == "__main__":
    main()
