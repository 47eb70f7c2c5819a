import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from geosam.embeddings import Embedding, ImageEncoder, embed, recall
from geosam.errors import ModelError
from geosam.masks import MaskDecoder
from geosam.scene import Chip, open_scene
from geosam.store import EmbeddingStore
from geosam.testing import StubNetwork, TruthNetwork, label_scene, parcel_labels, pixels_to_labels

PLACE = {"shape": (8, 8), "window": Window(4, 0, 8, 8), "geobox": GeoBox((8, 8), Affine.identity(), "EPSG:32631")}


class Broken(TruthNetwork):
    """Overflows half precision in one pixel."""

    def encode(self, pixels):
        (array,) = super().encode(pixels)
        array[0, 3, 3] = np.inf
        return (array,)


@pytest.fixture
def chip(tmp_path) -> Chip:
    scene = open_scene(label_scene(tmp_path / "scene.tif", parcel_labels((60, 90), count=9)))
    return scene.read(Window(10, 20, 64, 32))


def test_an_embedding_knows_its_place_and_its_model(chip):
    embedding = embed(chip, TruthNetwork(key="k"))
    assert embedding.shape == (32, 64)
    assert embedding.window == Window(10, 20, 64, 32)
    assert embedding.geobox == chip.geobox
    assert embedding.model_key == "k"
    assert embedding.features is embedding.arrays[0]
    assert (pixels_to_labels(embedding.features) == parcel_labels((60, 90), count=9)[20:52, 10:74]).all()


def test_a_recalled_embedding_equals_a_fresh_one(chip, tmp_path):
    fresh = embed(chip, TruthNetwork())
    store = EmbeddingStore(tmp_path / "store")
    key = store.key("scene", chip.window, model_key=fresh.model_key)
    store.put(key, fresh.arrays)
    again = recall(chip, store.get(key) or (), fresh.model_key)
    assert again.arrays[0].tobytes() == fresh.arrays[0].tobytes()
    assert (again.shape, again.window, again.geobox) == (fresh.shape, fresh.window, fresh.geobox)


def test_features_that_are_not_finite_are_refused(chip):
    with pytest.raises(ModelError, match="not finite at"):
        embed(chip, Broken())


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((), "none"),
        ((np.zeros((2, 4, 4), np.float32),), "float32"),
        ((np.zeros(3, np.float16), np.zeros(3)), "float64"),
    ],
)
def test_features_are_half_precision(arrays, message):
    with pytest.raises(ModelError, match=f"{message}: expected at least one array, all float16"):
        Embedding(arrays, **PLACE, model_key="m")


def test_the_shape_is_the_windows():
    with pytest.raises(ModelError, match="shape of Window"):
        Embedding((np.zeros((2, 4, 4), np.float16),), **PLACE | {"shape": (8, 9)}, model_key="m")


@pytest.mark.parametrize("network", [TruthNetwork(), TruthNetwork(stride=3), StubNetwork()])
def test_fakes_meet_the_ports(network, chip):
    assert isinstance(network, ImageEncoder)
    assert isinstance(network, MaskDecoder)
    points, labels = np.full((2, 1, 2), 9, np.float32), np.ones((2, 1), np.int64)
    logits, iou = network.decode(network.encode(chip.pixels), (32, 64), points=points, labels=labels)
    assert logits.shape == (2, 3, *network.logits_shape((32, 64)))
    assert iou.shape == (2, 3)
