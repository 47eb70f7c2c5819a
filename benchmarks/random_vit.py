"""vit_b with random weights for `engine.py`: the same file for geosam and for `segment_anything`.

Time does not depend on what weights know. Their heads are scaled and shifted so that about a third of the masks pass
the usual filters, as with trained ones.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torchvision_shim

from geosam.models import load_model
from geosam.sam.model import Predictor
from geosam.segmenter import PromptBatch

torchvision_shim.install()

import segment_anything  # noqa: E402 - after the stand-in
from segment_anything.modeling import Sam as PeerSam  # noqa: E402

SIDE, BATCH = 1024, 64
Dtype = Literal["float32", "bfloat16"]
PASSING, LEAST_IOU = 0.33, 0.88


def picture() -> np.ndarray:
    """Waves and a ramp, ``3 1024 1024``."""
    y, x = np.mgrid[:SIDE, :SIDE]
    bands = [127 + 100 * np.sin(x / 37 + y / 91), 127 + 100 * np.cos(x / 53 - y / 29), (3 * x + 5 * y) % 256]
    return np.stack(bands).astype(np.uint8)


def grid(count: int) -> tuple[np.ndarray, np.ndarray]:
    """A square grid of clicks inside objects."""
    side = round(count**0.5)
    ticks = (np.arange(side, dtype=np.float32) + 0.5) * (SIDE / side)
    return np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 1, 2), np.ones((count, 1), np.int64)


def write(path: Path) -> None:
    """Write a checkpoint of random weights."""
    torch.manual_seed(0)
    peer = segment_anything.sam_model_registry["vit_b"]().eval()
    with torch.no_grad():
        for name, value in peer.named_parameters():
            if "rel_pos" in name or "pos_embed" in name:
                value.normal_(std=0.02)
        for head in peer.mask_decoder.output_hypernetworks_mlps:
            head.layers[-1].weight *= 300
    torch.save(peer.state_dict(), path)
    points, labels = grid(BATCH)
    model = ours(path, "float32")
    iou = model.decode(model.encode(picture()), PromptBatch(points=points, labels=labels))[1]
    with torch.no_grad():
        peer.mask_decoder.iou_prediction_head.layers[-1].bias += LEAST_IOU - float(np.quantile(iou, 1 - PASSING))
    torch.save(peer.state_dict(), path)


def ours(path: Path, dtype: Dtype, device: str = "cpu") -> Predictor:
    """The checkpoint in geosam."""
    return load_model(path, device=device, dtype=dtype)


def theirs(path: Path, device: str = "cpu") -> PeerSam:
    """The checkpoint in `segment_anything`."""
    peer = segment_anything.sam_model_registry["vit_b"](str(path)).eval().requires_grad_(requires_grad=False)
    return peer.to(device)
