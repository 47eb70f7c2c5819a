import numpy as np
import pytest
from rasterio.windows import Window

from geosam.embeddings import Embedding, embed, recall
from geosam.errors import ModelError
from geosam.pipeline.request import to_network
from geosam.scene import Chip, open_scene
from geosam.segmenter import Capabilities, Features, PromptBatch, Segmenter
from geosam.store import EmbeddingStore
from geosam.testing import StubNetwork, TruthNetwork, label_scene, parcel_labels, pixels_to_labels


class Broken(TruthNetwork):
    """Overflows half precision in one pixel."""

    def encode(self, pixels):
        array = super().encode(pixels).maps[0].copy()
        array[0, 3, 3] = np.inf
        return Features((array,), array.shape[1:])


@pytest.fixture
def chip(tmp_path) -> Chip:
    scene = open_scene(label_scene(tmp_path / "scene.tif", parcel_labels((60, 90), count=9)))
    return scene.read(Window(10, 20, 64, 32))


def test_an_embedding_knows_its_place(chip):
    embedding = embed(chip, TruthNetwork(key="k"))
    assert embedding.shape == (32, 64)
    assert embedding.window == Window(10, 20, 64, 32)
    assert embedding.features.maps == embedding.arrays
    assert (pixels_to_labels(embedding.arrays[0]) == parcel_labels((60, 90), count=9)[20:52, 10:74]).all()


def test_a_recalled_embedding_equals_a_fresh_one(chip, tmp_path):
    fresh = embed(chip, TruthNetwork())
    store = EmbeddingStore(tmp_path / "store")
    key = store.key("scene", chip.window, model_key="k")
    store.put(key, fresh.arrays)
    again = recall(chip, store.get(key) or (), TruthNetwork())
    assert again.arrays[0].tobytes() == fresh.arrays[0].tobytes()
    assert (again.shape, again.window) == (fresh.shape, fresh.window)


def test_the_picture_is_recalled_as_a_field_of_its_own(chip):
    arrays = np.zeros((2, 4, 4), np.float16), np.ones((3, 16, 32), np.float16)
    network = TruthNetwork(capabilities=Capabilities(picture=True))
    features = recall(chip, arrays, network).features
    assert len(features.maps) == 1
    assert (features.picture == 1).all()
    assert [each is other for each, other in zip(features, arrays, strict=True)] == [True, True]
    with pytest.raises(ValueError, match="read-only"):
        features.maps[0][:] = 1


def test_features_that_are_not_finite_are_refused(chip):
    with pytest.raises(ModelError, match="not finite at"):
        embed(chip, Broken())


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((), "none: expected at least one array"),
        ((np.zeros((2, 4, 4), np.float32),), "float32"),
        ((np.zeros(3, np.float16), np.zeros(3)), "float64"),
    ],
)
def test_features_are_half_precision(arrays, message):
    with pytest.raises(ModelError, match=message):
        Embedding(Features(arrays, (8, 8)), Window(4, 0, 8, 8))


def test_the_shape_is_the_windows():
    with pytest.raises(ModelError, match="shape of Window"):
        Embedding(Features((np.zeros((2, 4, 4), np.float16),), (8, 9)), Window(4, 0, 8, 8))


@pytest.mark.parametrize("network", [TruthNetwork(), TruthNetwork(stride=3), StubNetwork()])
def test_fakes_meet_the_ports(network, chip):
    assert isinstance(network, Segmenter)
    points, labels = np.full((2, 1, 2), 9, np.float32), np.ones((2, 1), np.int64)
    logits, iou = network.decode(network.encode(chip.pixels), PromptBatch(points=points, labels=labels))
    assert logits.shape == (2, 3, *network.logits_shape((32, 64)))
    assert iou.shape == (2, 3)


def test_what_is_no_segmenter_is_refused_in_one_line():
    with pytest.raises(ModelError, match="a dict as model: expected a name, a path or a Segmenter"):
        to_network({"encode": 1})


class Least(Segmenter):
    """Two verbs and three names, of `TruthNetwork`'s."""

    name, key, side = "least", "least", 64
    truth = TruthNetwork(parts=True)

    def logits_shape(self, shape):
        return self.truth.logits_shape(shape)

    def encode(self, pixels):
        return self.truth.encode(pixels)

    def decode(self, features, prompts, *, multimask=True):
        return self.truth.decode(features, prompts, multimask=multimask)


def test_two_verbs_make_a_segmenter(chip):
    network = Least()
    features = network.encode_many([chip.pixels])[0]
    prompts = PromptBatch.of_clicks(np.array([[9.5, 9.5], [40.5, 20.5]], np.float32))
    plain, rois = network.decode(features, prompts), network.decode_rois(features, prompts)
    assert np.array_equal(plain.logits, rois.logits)
    kept = network.decode_filtered(features, prompts, lambda *seen: seen, least_iou=0.9)
    assert [(row, choice) for row, choice, *_ in kept] == [(0, 1), (1, 1)]
    assert all(iou == 1 and (mask.logits == plain.logits[row, 1]).all() for row, _, iou, mask in kept)
    with pytest.raises(ModelError, match="no mask refiner"):
        network.refine(features, prompts, plain.iou[:, 0])
    with pytest.raises(ModelError, match="no quality model"):
        network.score(np.zeros((1, 13)))
    assert isinstance(to_network(network), Segmenter)
