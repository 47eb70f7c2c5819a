import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from geosam.errors import OptionError
from geosam.segmenter import PromptBatch
from geosam.testing import (
    StubNetwork,
    TruthNetwork,
    blob_labels,
    coordinate_scene,
    label_scene,
    labels_to_pixels,
    parcel_labels,
    pixels_to_labels,
)

INSIDE = np.ones((1, 1), np.int64)


def click(x, y):
    return np.array([[[x, y]]], np.float32)


def pieces(labels):
    return [
        ndimage.label(labels == label)[1]  # pyright: ignore[reportIndexIssue]  # scipy's stubs miss the tuple
        for label in np.unique(labels[labels > 0])
    ]


@given(st.lists(st.integers(0, 65535), min_size=4, max_size=4))
def test_colours_spell_labels_through_the_embedding(values):
    labels = np.array(values, np.int32).reshape(2, 2)
    (array,) = TruthNetwork().encode(labels_to_pixels(labels))
    assert array.dtype == np.float16
    assert (pixels_to_labels(array) == labels).all()


@pytest.mark.parametrize("label", [-1, 65536])
def test_labels_that_no_colour_spells_are_refused(label):
    with pytest.raises(OptionError, match="0 to 65535"):
        labels_to_pixels(np.array([[label]], np.int32))


@given(st.integers(0, 1000), st.integers(40, 130), st.integers(40, 130))
@settings(max_examples=15, deadline=None)
def test_drawn_objects_are_in_one_piece_and_numbered_without_gaps(seed, h, w):
    for labels in (blob_labels((h, w), count=12, seed=seed), parcel_labels((h, w), count=12, seed=seed)):
        ids = np.unique(labels[labels > 0])
        assert ids.tolist() == list(range(1, len(ids) + 1))
        assert set(pieces(labels)) <= {1}


def test_mixed_colours_at_borders_get_a_label_beside_them():
    labels = parcel_labels((120, 120), count=20, seed=3)
    means = labels_to_pixels(labels).reshape(3, 60, 2, 60, 2).mean(axis=(2, 4)).round().astype(np.uint8)
    coarse = pixels_to_labels(means)
    blocks = labels.reshape(60, 2, 60, 2).transpose(0, 2, 1, 3).reshape(60, 60, 4)
    pure = (blocks == blocks[..., :1]).all(axis=-1)
    assert (coarse[pure] == blocks[pure][:, 0]).all()
    assert (coarse[~pure, None] == blocks[~pure]).any(axis=-1).mean() > 0.95


def test_colours_far_from_any_label_mean_background():
    pixels = labels_to_pixels(np.full((9, 20), 5, np.int32))
    pixels[:, :, 8:] = np.array([1, 2, 3])[:, None, None]
    assert pixels_to_labels(pixels)[0].tolist() == [5] * 10 + [0] * 10
    assert not pixels_to_labels(pixels[:, :, 8:]).any()


def test_parcels_leave_no_background_and_blobs_do():
    assert parcel_labels((200, 300), count=60).min() == 1
    assert blob_labels((200, 300)).min() == 0


def test_large_blobs_cross_the_scene():
    labels = blob_labels((512, 512), count=60, large=2, seed=4)
    river = np.nonzero(labels == 1)[1]
    assert (river.min(), river.max()) == (0, 511)
    assert (labels == 2).sum() > 0.05 * labels.size
    assert labels.max() > 40


def test_same_seed_same_labels():
    assert (blob_labels((99, 99), seed=5) == blob_labels((99, 99), seed=5)).all()
    assert (blob_labels((99, 99), seed=5) != blob_labels((99, 99), seed=6)).any()


def test_scene_file_keeps_labels_and_valid_pixels(tmp_path):
    labels = parcel_labels((100, 80), count=9)
    valid = np.arange(80) < np.arange(100)[:, None]
    with rasterio.open(label_scene(tmp_path / "a.tif", labels, valid=valid)) as source:
        assert (pixels_to_labels(source.read()) == labels).all()
        assert ((source.dataset_mask() > 0) == valid).all()
        assert source.crs.to_epsg() == 32631
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_coordinate_scene_in_pixels(tmp_path):
    with rasterio.open(coordinate_scene(tmp_path / "c.tif", (700, 300))) as source:
        low_col, low_row, high = source.read().astype(int)
        assert (low_col + high % 16 * 256 == np.arange(300)).all()
        assert (low_row + high // 16 * 256 == np.arange(700)[:, None]).all()
    with rasterio.open(coordinate_scene(tmp_path / "d.tif", (700, 300), dtype="uint16")) as source:
        assert source.read()[:, 699, 299].tolist() == [299, 699, 0]


def test_coordinate_scene_in_the_world(tmp_path):
    with rasterio.open(coordinate_scene(tmp_path / "c.tif", (20, 30), frame="world", dtype="float64")) as source:
        x, y, _ = source.read()[:, 19, 29]
        assert (x, y) == source.xy(19, 29)


@pytest.mark.parametrize(("frame", "dtype"), [("world", "uint8"), ("moon", "uint8")])
def test_coordinate_scene_refuses_what_it_cannot_hold(tmp_path, frame, dtype):
    with pytest.raises(OptionError, match="float type"):
        coordinate_scene(tmp_path / "c.tif", (20, 30), frame=frame, dtype=dtype)


class TestTruthNetwork:
    labels = np.zeros((40, 48), np.int32)
    labels[5:15, 5:25] = 300
    labels[8:12, 8:12] = 60000
    labels[20:39, 30:33] = 7
    network = TruthNetwork()
    arrays = network.encode(labels_to_pixels(labels))

    def decode(self, points, labels=INSIDE, network=network, multimask=True, **extra):
        return network.decode(self.arrays, PromptBatch(points, labels, **extra), multimask=multimask)

    def test_click_gives_the_label_under_it(self):
        logits, iou = self.decode(click(9.5, 9.5))
        assert logits.shape == (1, 3, 40, 48)
        assert ((logits > 0) == (self.labels == 60000)).all()
        assert iou.tolist() == [[1, 1, 1]]
        assert set(np.unique(logits)) == {-10, 10}

    def test_click_on_background_gives_an_empty_mask(self):
        logits, iou = self.decode(click(1, 1), multimask=False)
        assert logits.shape == (1, 1, 40, 48)
        assert not (logits > 0).any()
        assert iou.tolist() == [[0]]

    def test_outside_point_excludes_its_label_and_padding_counts_for_nothing(self):
        points = np.array([[[9.5, 9.5], [6, 6], [9, 9], [31, 31]]], np.float32)
        logits, _ = self.decode(points, np.array([[1, 1, 0, -1]]))
        assert ((logits > 0) == (self.labels == 300)).all()

    @pytest.mark.parametrize(("box", "label"), [((5, 5, 25, 15), 300), ((7, 7, 13, 13), 60000), ((29, -9, 34, 60), 7)])
    def test_box_gives_the_label_it_fits_best(self, box, label):
        nothing = np.full((1, 1), -1)
        logits, _ = self.decode(click(0, 0), nothing, boxes=np.array([box], np.float32), multimask=False)
        assert ((logits > 0) == (self.labels == label)).all()

    def test_mask_prompt_gives_the_label_it_covers(self):
        rough = np.full((1, 10, 12), -5, np.float32)
        rough[0, 5:10, 7:9] = 5
        logits, _ = self.decode(click(0, 0), np.full((1, 1), -1), mask_logits=rough, multimask=False)
        assert ((logits > 0) == (self.labels == 7)).all()

    def test_parts_are_halves_with_their_true_iou(self):
        logits, iou = self.decode(click(6, 6), network=TruthNetwork(parts=True))
        left, whole, right = logits[0] > 0
        assert (whole == (self.labels == 300)).all()
        assert (left ^ right == whole).all()
        assert iou[0].tolist() == pytest.approx([left.sum() / whole.sum(), 1, right.sum() / whole.sum()])

    def test_stride_gives_means_that_cover_the_window(self):
        logits, _ = self.decode(click(6, 6), network=TruthNetwork(stride=16))
        assert logits.shape == (1, 3, 3, 3)
        assert logits[0, 0, 0, 0] == pytest.approx(20 * ((self.labels[:16, :16] == 300).mean() - 0.5))

    def test_no_prompts_no_masks(self):
        logits, iou = self.decode(np.zeros((0, 1, 2), np.float32), np.zeros((0, 1), np.int64))
        assert logits.shape == (0, 3, 40, 48)
        assert iou.shape == (0, 3)


def test_stub_network_sees_the_same_discs_from_every_window(tmp_path):
    with rasterio.open(coordinate_scene(tmp_path / "c.tif", (400, 400))) as source:
        scene = source.read()
    network = StubNetwork()
    seen = []
    for off in (0, 41):
        window = scene[:, off : off + 256, off : off + 256]
        logits, iou = network.decode(
            network.encode(window), PromptBatch(points=click(100.0 - off, 90.0 - off), labels=INSIDE)
        )
        assert logits.shape == (1, 3, 64, 64)
        assert iou.round(2).tolist() == [[1, 0.5, pytest.approx(0.33)]]
        rows, cols = np.nonzero(logits[0, 0] > 0)
        seen.append(((cols.mean() + 0.5) * 4 + off, (rows.mean() + 0.5) * 4 + off))
    assert seen[0] == pytest.approx(seen[1], abs=1)
    assert seen[0] == pytest.approx((96, 96), abs=1)


def test_stub_network_misses_between_discs():
    network = StubNetwork()
    pixels = np.zeros((3, 128, 130), np.uint8)
    logits, iou = network.decode(network.encode(pixels), PromptBatch(points=click(1, 1), labels=INSIDE))
    assert logits.shape == (1, 3, 32, 33)
    assert not (logits > 0).any()
    assert not iou.any()
