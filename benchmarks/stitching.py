"""Stitching rules against a known truth, with a decoder that errs: objects found, split, falsely merged.

    python benchmarks/stitching.py [--side 4096]

The simulated decoder displaces every border by noise that differs from window to window, misses one instance in fifty,
and now and then sees two neighbours as one. Compared are: the cores pasted side by side, pasted cores whose touching
labels fuse, and geosam's rule: one object where two agree in their strip, and ground given to objects.
"""

import argparse
import time

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from vectorize import warped_parcels

from geosam.instances import WindowInstances, assemble, stitch
from geosam.testing import blob_labels
from geosam.windows import PlannedWindow, WindowPlan


def see(truth: np.ndarray, planned: PlannedWindow) -> WindowInstances:
    """What an imperfect decoder sees of the truth in one window."""
    rng, window = np.random.default_rng(planned.index), planned.window
    shape = (window.height, window.width)
    noise = [gaussian_filter(rng.standard_normal(shape).astype(np.float32), 8) for _ in range(2)]
    rows, cols = (axis + 2 * n / n.std() for axis, n in zip(np.mgrid[: shape[0], : shape[1]], noise, strict=True))
    rows = np.clip(np.rint(rows), 0, shape[0] - 1).astype(int) + window.row_off
    cols = np.clip(np.rint(cols), 0, shape[1] - 1).astype(int) + window.col_off
    names, labels = np.unique(truth[rows, cols], return_inverse=True)
    fate = np.arange(len(names))
    fate[rng.random(len(names)) < 0.02] = -1
    touching = np.unique(
        np.stack([labels.reshape(shape)[:, :-1].ravel(), labels.reshape(shape)[:, 1:].ravel()], 1), axis=0
    )
    for one, other in touching[(touching[:, 0] < touching[:, 1]) & (names[touching] > 0).all(1)]:
        if rng.random() < 0.005:
            fate[other] = fate[one]
    fate[names == 0] = -1
    _, local = np.unique(np.append(fate, -1), return_inverse=True)
    labels = local[:-1][labels].reshape(shape).astype(np.int32)
    scores = np.ones(int(labels.max()), np.float32)
    return WindowInstances(planned.index, labels, scores, scores, scores < 0)


def paste_cores(plan: WindowPlan, seen: list[WindowInstances]) -> np.ndarray:
    """Every window's core with ids of its own."""
    painted, count = np.zeros(plan.shape, np.int32), 0
    for planned, instances in zip(plan, seen, strict=True):
        rows, cols = planned.core.toslices()
        top, left = planned.window.row_off, planned.window.col_off
        part = instances.labels[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left]
        painted[rows, cols] = np.where(part > 0, part + count, 0)
        count += len(instances)
    return painted


def fuse_touching(plan: WindowPlan, seen: list[WindowInstances]) -> np.ndarray:
    """Pasted cores, with labels joined that meet across the line between two cores."""
    painted = paste_cores(plan, seen)
    owner = np.zeros(plan.shape, np.int32)
    for planned in plan:
        owner[planned.core.toslices()] = planned.index
    pairs = []
    for one, other in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        meet = (owner[one] != owner[other]) & (painted[one] > 0) & (painted[other] > 0)
        pairs.append(np.stack([painted[one][meet], painted[other][meet]]))
    first, second = np.concatenate(pairs, axis=1)
    size = int(painted.max()) + 1
    group = connected_components(coo_array((np.ones(len(first)), (first, second)), shape=(size, size)), directed=False)[
        1
    ]
    return np.where(painted > 0, group[painted] + 1, 0)


def strip_rule(plan: WindowPlan, seen: list[WindowInstances]) -> np.ndarray:
    """The rule of geosam."""
    objects = stitch(plan, seen.__getitem__)
    return np.concatenate([labels for _, labels in assemble(plan, objects, seen.__getitem__)])


RULES = {"paste cores": paste_cores, "touching labels fuse": fuse_touching, "strip rule (geosam)": strip_rule}


def judge(truth: np.ndarray, found: np.ndarray) -> tuple[float, int, int]:
    """Share of objects found at an IoU of one half, objects in several pieces, results that hold several objects."""
    table = coo_array((np.ones(truth.size, np.int64), (truth.ravel(), found.ravel()))).tocsr().tocoo()
    sizes, results = np.bincount(truth.ravel()), np.bincount(found.ravel())
    one, other, shared = table.row, table.col, table.data
    inside = (one > 0) & (other > 0)
    one, other, shared = one[inside], other[inside], shared[inside]
    matched = one[2 * shared >= sizes[one] + results[other] - shared]
    there = np.count_nonzero(sizes[1:])
    split = np.bincount(one[shared > 0.1 * sizes[one]], minlength=2) > 1
    merged = np.bincount(other[shared > 0.5 * sizes[one]], minlength=2) > 1
    return len(set(matched.tolist())) / there, int(split.sum()), int(merged.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096)
    side = parser.parse_args().side
    scenes = {
        "blobs": (blob_labels((side, side), count=side * side // 12_000, large=6), 1024, 256),
        "parcels": (warped_parcels(side, side * side // 8_000), 512, 128),
    }
    for name, (truth, size, overlap) in scenes.items():
        plan = WindowPlan(truth.shape, size=size, overlap=overlap)
        seen = [see(truth, planned) for planned in plan]
        print(f"\n{name}: {len(np.unique(truth)):,} objects, {len(plan)} windows of {size}, overlap {overlap}")
        for rule, function in RULES.items():
            start = time.process_time()
            result = function(plan, seen)
            seconds = time.process_time() - start
            found, split, merged = judge(truth, result)
            print(f"  {rule:28} found {found:.3f}  split {split:4}  merged {merged:4}  {seconds:5.1f} s CPU")


if __name__ == "__main__":
    main()
