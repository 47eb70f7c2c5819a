"""A configuration so small that a step takes a blink, and a data folder as small."""

import csv
from dataclasses import replace
from zlib import crc32

import numpy as np
import pytest
from PIL import Image

from geosam.testing import blob_labels, labels_to_pixels
from geosam.training.config import SharpenerOptions, TrainConfig, read_config
from geosam.training.real import HELD_OUT


@pytest.fixture
def tiny() -> TrainConfig:
    whole = read_config()
    model = replace(
        whole.model,
        width=32,
        encoder_sizes={"widths": (16, 16, 32, 32), "depths": (1, 1, 1, 1), "fine_channels": (16, 8)},
        decoder_sizes={"heads": 2, "mlp": 32, "iou_hidden": 16},
    )
    data = replace(
        whole.data,
        batch=2,
        prompts=3,
        sides=(64,),
        scale=(0.8, 1.2),
        render_side=96,
        render_uses=2,
        minimum_px=30,
        object_px=(12.0, 50.0),
    )
    optimiser = replace(whole.optimiser, steps=6, decay=1.0, warm_up=2, dense_steps=1, rate=3e-3, blend=1.0)
    return TrainConfig("tiny", 3, model, data, optimiser, whole.losses)


@pytest.fixture
def options() -> SharpenerOptions:
    """A sharpener's course of a few steps."""
    small = {"batch": 2, "prompts": 2, "sides": (64,), "minimum_px": 30, "object_px": (12.0, 50.0)}
    return replace(read_config().sharpener, steps=4, warm_up=1, least_iou=0.0, **small)


@pytest.fixture
def data(tmp_path):
    """Two sources of two pictures each; of each source one picture is held out, by its name."""
    rows = []
    for source in ("fields", "roofs"):
        (tmp_path / "train" / source).mkdir(parents=True)
        names = [f"{source}/{number}.png" for number in range(200)]
        held = next(name for name in names if crc32(name.encode()) % HELD_OUT == 0)
        learned = next(name for name in names if crc32(name.encode()) % HELD_OUT)
        for seed, name in enumerate((held, learned)):
            labels = blob_labels((40, 40), count=5, large=0, seed=seed).repeat(4, 0).repeat(4, 1)
            Image.fromarray(labels_to_pixels(labels).transpose(1, 2, 0)).save(tmp_path / "train" / name)
            truth = name.replace(".png", "_ids.png")
            Image.fromarray(labels.astype(np.uint16)).save(tmp_path / "train" / truth)
            rows.append(("train", name, truth, "ids", "open"))
    with (tmp_path / "train" / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("split", "file", "labels", "label_format", "terms"), *rows])
    return tmp_path
