"""Laws of the region tree: its parts one by one, and the coverage of a scene."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components

from geosam.errors import ModelError, WeightsError
from geosam.evaluation.ground import shared_px
from geosam.regions import (
    DETAILS,
    CutOptions,
    FineFeatures,
    Growth,
    Place,
    Scale,
    ScoreHead,
    TileGrid,
    cover,
    empty_block,
    grow_kept,
    grow_scene,
    load_head,
    make_block,
    measure_nodes,
    measure_scale,
    merge,
)
from geosam.regions.coverage import absorb
from geosam.regions.cuts import best_cut
from geosam.regions.graph import AREA, BOTTOM, COLOUR, LEFT, RIGHT, TOP, sum_links
from geosam.regions.leaves import find_leaves
from geosam.regions.measures import NAMES
from geosam.regions.nodes import Nodes
from geosam.windows import WindowPlan


class Memory(dict):
    """A journal in memory."""

    def put(self, name, arrays, *, packed=True):
        self[name] = {key: array.copy() for key, array in arrays.items()}

    def get(self, name):
        return super().get(name)

    def names(self):
        return sorted(self)


def fields(shape, seed=0, *, noise=6):
    """Patches of even colour with noise, as pixels; and which patch each pixel is of."""
    rng = np.random.default_rng(seed)
    h, w = shape
    points = rng.integers(0, (h, w), (h * w // 900 + 3, 2))
    seeds = np.zeros(shape, np.int32)
    seeds[tuple(points.T)] = np.arange(1, len(points) + 1)
    nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    patch = seeds[tuple(nearest)]
    colours = rng.integers(30, 220, (len(points) + 1, 3))
    pixels = np.moveaxis(colours[patch], -1, 0) + rng.normal(0, noise, (3, h, w))
    return np.clip(pixels, 0, 255).astype(np.uint8), patch


def fine_of(pixels):
    """Features at a stride of 4: means of the picture."""
    _, h, w = pixels.shape
    wide = np.pad(pixels, ((0, 0), (0, -h % 4), (0, -w % 4)), mode="edge").astype(np.float32)
    means = wide.reshape(3, wide.shape[1] // 4, 4, -1, 4).mean((2, 4))
    return FineFeatures((means / 32).astype(np.float16), (h / 4, w / 4))


def covered(pixels, valid, *, size, levels=DETAILS["normal"][:1], least_px=0.0, keep=None):
    """The coverage of a picture whose features are known everywhere alike, cut into blocks."""
    fine = fine_of(pixels)
    scale = measure_scale([(pixels, fine, valid)])
    grid = TileGrid(WindowPlan(valid.shape, size=size, overlap=0))
    how, keep = Growth(scale.colour, load_head(), levels), Memory() if keep is None else keep

    def blocks():
        for spot in grid.blocks():
            at = grid.place(spot)
            whole = Place(at.row, at.col, at.row, at.col, at.shape, at.ends)
            yield spot, grow_kept(spot, lambda: make_block(pixels, valid, fine, scale, whole), scale.colour, keep)  # noqa: B023 - called at once

    grow_scene(grid, blocks(), scale.colour, keep)
    return cover(grid, keep, how, least_px=least_px)


def raster(coverage):
    return np.concatenate([labels for _, labels in coverage.strips()])


def same_partition(one, other):
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


# --- leaves ---------------------------------------------------------------------------------------------------------


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_every_valid_pixel_is_in_one_connected_leaf_with_its_minimum(seed):
    rng = np.random.default_rng(seed)
    strength = rng.random((22, 26)).astype(np.float32).round(1)  # with ties
    valid = np.pad(rng.random((20, 24)) < 0.9, 1)
    leaves = find_leaves(strength, valid)
    assert np.array_equal(leaves.labels > 0, valid[1:-1, 1:-1])
    for label in range(1, leaves.count + 1):
        assert ndimage.label(leaves.labels == label)[1] == 1


@pytest.mark.parametrize("even", [0.0, 0.5, 0.55])
def test_leaves_of_blocks_put_together_are_those_of_the_whole(even):
    rng = np.random.default_rng(3)
    hills = ndimage.gaussian_filter(rng.random((60, 80)), 1).astype(np.float32)
    strength = np.pad(np.maximum(hills - np.float32(even), 0), 1)  # as much of it is even
    valid = np.pad(np.ones((60, 80), bool), 1)
    whole = find_leaves(strength, valid)
    left, right = find_leaves(strength[:, :43], valid[:, :43]), find_leaves(strength[:, 41:], valid[:, 41:])
    number = np.concatenate([left.labels, right.labels + left.count], axis=1)
    ends = []
    for leaves, beyond in ((left, 42), (right, 0)):
        row, col = np.divmod(leaves.outlets, leaves.labels.shape[1] + 2)
        ends += [(number[each, 40], number[each, 41]) for each in row[col == beyond] - 1]
    one, other = np.array(ends).T
    count = left.count + right.count + 1
    joins = sparse.coo_array((np.ones(len(one)), (one, other)), shape=(count, count))
    group = connected_components(joins, directed=False)[1]
    assert same_partition(group[number], whole.labels)


def test_even_ground_is_one_leaf_whatever_its_outline():
    y, x = np.mgrid[:40, :60]
    strength = ((x + y > 50) & (x + y < 54)).astype(np.float32)
    leaves = find_leaves(np.pad(strength, 1), np.pad(np.ones((40, 60), bool), 1))
    for side in (x + y <= 50, x + y >= 54):
        assert len(np.unique(leaves.labels[side])) == 1


# --- tree -----------------------------------------------------------------------------------------------------------


def tree(shape=(90, 110), seed=1):
    pixels, patch = fields(shape, seed)
    fine = fine_of(pixels)
    scale = measure_scale([(pixels, fine, np.ones(shape, bool))])
    block = make_block(pixels, np.ones(shape, bool), fine, scale)
    return pixels, patch, block, merge(block.graph, scale.colour), scale


def test_merging_ends_in_one_root_whose_sums_are_those_of_the_picture():
    pixels, _, block, merges, _ = tree()
    assert len(merges.roots) == 1
    assert len(merges.children) == len(block.graph) - 1
    root = merges.sums[merges.roots[0]]
    assert root[AREA] == pixels[0].size
    assert root[COLOUR : COLOUR + 3].tolist() == pixels.sum((1, 2)).tolist()
    assert root[[LEFT, TOP, RIGHT, BOTTOM]].tolist() == [0, 0, pixels.shape[2], pixels.shape[1]]
    assert abs(merges.outline[merges.roots[0]]).max() < 1e-6


def test_heights_never_fall_towards_the_root_and_parts_come_first():
    _, _, _, merges, _ = tree()
    n = merges.leaves
    assert (merges.height[n:] >= merges.height[merges.children].max(1)).all()
    for first, last in pairwise(merges.rounds):
        assert merges.children[first - n : last - n].max() < first


def test_areas_and_outlines_of_nodes_are_those_of_their_pixels():
    _, _, block, merges, _ = tree((40, 50))
    leaf_of = block.labels - 1
    for node in range(merges.leaves, len(merges.sums), 7):
        inside, pending = set(), [node]
        while pending:
            here = pending.pop()
            if here < merges.leaves:
                inside.add(here)
            else:
                pending += merges.children[here - merges.leaves].tolist()
        mask = np.isin(leaf_of, list(inside))
        sides = (mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum()
        assert merges.sums[node, AREA] == mask.sum()
        assert merges.outline[node, 0] == pytest.approx(sides)


def test_measures_are_finite_and_complete():
    _, _, _, merges, scale = tree()
    measures = measure_nodes(merges, scale.colour)
    assert measures.shape == (len(merges.sums), len(NAMES))
    assert np.isfinite(measures).all()


def test_the_cut_is_the_best_of_all_cuts():
    _, _, _, merges, _ = tree((24, 30))
    rng = np.random.default_rng(0)
    worth = rng.normal(0, 1, len(merges.sums))
    n = merges.leaves

    def best(node):
        return worth[node] if node < n else max(worth[node], sum(best(c) for c in merges.children[node - n]))

    take, apart = best_cut(merges, worth, np.full(n, -np.inf))
    root = merges.roots[0]
    assert max(apart[0], worth[root]) == pytest.approx(best(root))
    assert take[:n].all()
    assert take[root] == (worth[root] >= apart[0])


# --- coverage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [200, 64, 33])
def test_every_valid_pixel_lies_in_one_segment(size):
    pixels, _ = fields((120, 150))
    valid = np.ones((120, 150), bool)
    valid[30:60, 40:110] = valid[:, :9] = False
    coverage = covered(pixels, valid, size=size, least_px=40)
    labels = raster(coverage)
    assert np.array_equal(labels > 0, valid)
    areas = np.bincount(labels.ravel(), minlength=len(coverage.segments) + 1)[1:]
    assert areas.tolist() == coverage.segments.extents.area.tolist()
    assert areas.min() >= 40
    box = [[s[1].start, s[0].start, s[1].stop, s[0].stop] for s in ndimage.find_objects(labels)]
    assert coverage.segments.extents.box.tolist() == box
    near = ndimage.grey_dilation(valid == 0, footprint=ndimage.generate_binary_structure(2, 1))
    at_nodata = np.unique(labels[near & valid])
    assert np.flatnonzero(coverage.segments.extents.at_nodata).tolist() == (at_nodata - 1).tolist()


def test_blocks_leave_no_trace_in_even_fields():
    pixels, patch = fields((120, 160), seed=5, noise=2)
    valid = np.ones(patch.shape, bool)
    one, other = (raster(covered(pixels, valid, size=size, least_px=30)) for size in (200, 50))
    count = np.zeros((one.max() + 1, other.max() + 1))
    np.add.at(count, (one, other), 1)
    union = count.sum(1, keepdims=True) + count.sum(0) - count
    assert ((count / np.maximum(union, 1)).max(1)[1:] >= 0.9).mean() > 0.7  # blocks hardly larger than the fields
    across = np.zeros((2, 2))  # borders on the blocks' edges, and elsewhere
    for axis, n in ((0, 120), (1, 160)):
        edges = [TileGrid(WindowPlan((120, 160), size=50, overlap=0)).plan[k].core for k in range(12)]
        at = {round(core.row_off if axis == 0 else core.col_off) for core in edges} - {0}
        differs = np.diff(other, axis=axis) != 0
        on = np.isin(np.arange(1, n), list(at))
        lines = np.moveaxis(differs, axis, 0)
        across[axis] = lines[on].mean(), lines[~on].mean()
    assert across[:, 0].mean() <= 1.5 * across[:, 1].mean()


@pytest.mark.parametrize("size", [128, 64])
def test_segments_are_those_of_one_block_wherever_blocks_end(size):
    """Nodes are measured when all is known; only grains of less than 16 px at an edge settle otherwise."""
    found = []
    for seed in range(3):
        pixels, _ = fields((260, 250), seed, noise=16)
        valid = np.ones((260, 250), bool)
        valid[40:80, 30:90] = False
        whole, parted = (raster(covered(pixels, valid, size=side, least_px=30)) for side in (300, size))
        shared = shared_px(whole, parted)
        found.append((shared / (shared.sum(1, keepdims=True) + shared.sum(0) - shared))[1:, 1:].max(1))
    assert np.mean(np.concatenate(found) >= 0.95) > 0.9


@given(st.integers(0, 30))
@settings(max_examples=10)
def test_nodes_are_measured_alike_in_a_part_of_their_tree(seed):
    """Measures look at no more kin than `Nodes.around` takes along."""
    *_, merges, scale = tree((60, 70), seed)
    nodes = Nodes(merges.sums, merges.past, merges.outline, merges.parent, merges.sibling)
    rows = np.random.default_rng(seed).choice(len(nodes), 20, replace=False)
    part, at = nodes.around(rows)
    assert len(part) < len(nodes)
    assert np.array_equal(measure_nodes(nodes, scale.colour, rows), measure_nodes(part, scale.colour, at))


def test_no_node_is_an_object_that_is_larger_than_any_learned_from(monkeypatch):
    """Of nodes that large the scores say anything: ground is cut by height."""
    pixels, patch = fields((200, 200), noise=2)
    valid = np.ones((200, 200), bool)
    monkeypatch.setattr("geosam.regions.choice.MOST_PX", 900)
    coverage = covered(pixels, valid, size=80)
    area = coverage.segments.extents.area
    assert not coverage.segments.chance[area > 900].any()
    assert coverage.segments.chance[area <= 900].any()
    assert len(coverage.segments) > len(np.unique(patch)) / 2


def test_an_interrupted_run_gives_the_same():
    pixels, _ = fields((100, 100))
    valid = np.ones((100, 100), bool)
    whole = Memory()
    first = raster(covered(pixels, valid, size=50, keep=whole))
    half = Memory({name: arrays for name, arrays in whole.items() if name.endswith("0000-0001")})
    assert np.array_equal(first, raster(covered(pixels, valid, size=50, keep=half)))


def test_coarser_levels_are_unions_of_finer_ones():
    pixels, _ = fields((120, 150), noise=12)
    valid = np.ones((120, 150), bool)
    levels = (CutOptions(), CutOptions(price=0.1), CutOptions(price=0.5))
    coverage = covered(pixels, valid, size=60, levels=levels, least_px=30)
    before = raster(coverage)
    counts = [before.max()]
    for depth in (1, 2):
        layer, part_of = coverage.coarser(depth)
        labels = raster(layer)
        assert np.array_equal(labels, np.concatenate([[0], part_of])[before])
        assert np.bincount(labels.ravel())[1:].tolist() == layer.segments.extents.area.tolist()
        counts.append(labels.max())
    assert counts[0] >= counts[1] >= counts[2]


def test_a_thin_line_is_a_segment_and_slanted_borders_have_no_stairs():
    h, w = 160, 200
    y, x = np.mgrid[:h, :w]
    pixels = np.where(y > 0.37 * x + 40, 90, 150)[None].repeat(3, 0) + np.random.default_rng(0).normal(0, 2, (3, h, w))
    line = np.abs(y - 0.3 * x - 15) < 1.6  # three pixels wide
    pixels[:, line] = 230
    labels = raster(covered(pixels.clip(0, 255).astype(np.uint8), np.ones((h, w), bool), size=90, least_px=20))
    on = np.bincount(labels[line])
    iou = max((line & (labels == k)).sum() / (line | (labels == k)).sum() for k in np.flatnonzero(on))
    assert iou > 0.5
    column = labels[:, 20:180]
    border = np.array([np.flatnonzero(c[60:] != c[-1]).max(initial=0) for c in column.T])
    steps = np.abs(np.diff(border))
    assert (steps <= 1).mean() > 0.95


def test_small_segments_join_what_they_are_most_like():
    pixels = np.full((3, 40, 60), 60, np.uint8)
    pixels[:, :, 30:] = 200
    pixels[:, 18:22, 26:30] = 180  # touches both sides; lighter
    valid = np.ones((40, 60), bool)
    labels = raster(covered(pixels, valid, size=80, least_px=30))
    assert labels[20, 28] == labels[20, 50] or labels.max() == 1


def test_a_scene_without_data_has_no_segments():
    coverage = covered(np.zeros((3, 50, 60), np.uint8), np.zeros((50, 60), bool), size=30)
    assert len(coverage.segments) == 0
    assert not raster(coverage).any()
    assert len(empty_block(Place(0, 0, 0, 0, (4, 5), (True,) * 4), 3).graph) == 0


def test_an_even_scene_is_one_segment():
    labels = raster(covered(np.full((3, 90, 120), 77, np.uint8), np.ones((90, 120), bool), size=40))
    assert labels.min() == labels.max() == 1


def test_absorb_changes_nothing_without_a_unit():
    assert absorb.__doc__
    pixels, _ = fields((60, 60))
    assert len(covered(pixels, np.ones((60, 60), bool), size=64, least_px=0).segments) >= len(
        covered(pixels, np.ones((60, 60), bool), size=64, least_px=500).segments
    )


def test_links_do_not_depend_on_the_order_of_equal_ends():
    ends = np.array([[2, 1], [0, 1], [1, 2], [1, 0]])
    borders = np.arange(8.0).reshape(4, 2)
    one = sum_links(ends, borders)
    other = sum_links(ends[::-1], borders[::-1])
    assert one[0].tolist() == other[0].tolist() == [[0, 1], [1, 2]]
    assert one[1].tolist() == other[1].tolist() == [[8, 10], [4, 6]]


# --- refusals -------------------------------------------------------------------------------------------------------


def test_a_damaged_head_is_named(tmp_path):
    path = tmp_path / "scores.npz"
    path.write_bytes(b"no head")
    with pytest.raises(WeightsError, match="a head of region scores"):
        ScoreHead.read(path)


def test_a_head_of_other_measures_is_refused():
    head = load_head()
    with pytest.raises(ModelError, match="2 chances"):
        ScoreHead(head.mean[:-1], head.spread[:-1], head.layers, {})


def test_a_head_that_is_written_is_read_again(tmp_path):
    head = load_head()
    head.write(tmp_path / "again.npz")
    again = ScoreHead.read(tmp_path / "again.npz")
    measures = np.random.default_rng(0).normal(size=(5, len(NAMES))).astype(np.float32)
    assert np.array_equal(head.score(measures), again.score(measures))
    assert again.facts == head.facts


def test_a_scale_of_nothing_is_refused():
    with pytest.raises(ModelError, match="positive"):
        Scale(0.0, 1.0, np.zeros(2, np.float32), np.zeros((2, 1), np.float32), 1.0)
