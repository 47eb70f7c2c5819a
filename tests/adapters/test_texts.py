"""Models that understand words: each beside the library's own result, on small random networks, loaded from folders."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from geosam.adapters import load_text
from geosam.segmenter import WordFinder, WordReader, centred
from tests.adapters.conftest import randomised
from tests.adapters.text_networks import SETTINGS, model_of, write_vocabulary

RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 256, (3, 80, 120), dtype=np.uint8)
WORDS = ("roof", "car", "solar panel")


@pytest.fixture(scope="session")
def folders(library, tmp_path_factory) -> dict[str, Path]:
    """A folder of each family."""
    found = {}
    for kind in SETTINGS:
        torch.manual_seed(5)
        found[kind] = tmp_path_factory.mktemp("texts") / kind
        randomised(model_of(kind)).save_pretrained(found[kind])
        write_vocabulary(kind, found[kind])
    return found


def test_each_folder_is_one_of_the_two_ports(folders):
    assert isinstance(load_text(folders["clip"]), WordReader)
    for kind in ("grounding-dino", "owlv2", "sam3"):
        assert isinstance(load_text(folders[kind]), WordFinder), kind
