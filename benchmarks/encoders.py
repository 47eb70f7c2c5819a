"""Candidates for the built-in models' image encoders: what they cost and what they learn in the same few steps.

    python benchmarks/encoders.py [DATA] [--steps 300] [--only NAME …] [-o table.md]

Each candidate is put into the built-in model's place and trained from the same seed on the same batches: a third of the
steps from the dense losses, the others from prompts (`geosam.training`). Printed are millions of parameters of the
whole model, the median time of encoding 1,024 × 1,024 px, minutes of training, and held-out IoU from a box and from a
click on rendered and on real pictures (without DATA on rendered ones alone). A short run tells which learns fastest,
not where each would end; with the little compute that there is, that is the question.
"""

import argparse
import csv
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from geosam.models import build, to_predictor
from geosam.nano import encoder as conv
from geosam.sam.model import Predictor
from geosam.training import read_config, train, trainer
from geosam.training.config import spec_of

FINE = (64, 32)
PRETRAINED = {"encoder": "lite0", "encoder_sizes": {"widths": (32, 64), "depths": (1, 2), "fine_channels": FINE}}


def plain(*widths: int, depths: tuple[int, ...]) -> dict[str, Any]:
    """An encoder of four stages."""
    return {"encoder_sizes": {"widths": widths, "depths": depths, "fine_channels": FINE}}


CANDIDATES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nano: dense convolutions": (plain(32, 64, 128, 256, depths=(1, 2, 4, 2)), {}),
    "narrower and deeper": (plain(24, 48, 96, 192, depths=(2, 3, 8, 3)), {}),
    "wider and shallower": (plain(48, 96, 160, 256, depths=(1, 1, 2, 1)), {}),
    "depthwise, as ConvNeXt": (plain(32, 64, 128, 256, depths=(2, 2, 6, 2)), {}),
    "nano2: pretrained, kernels fixed": (PRETRAINED, {"backbone_rate": 0.2, "backbone_kernels": False}),
    "pretrained, everything learns": (PRETRAINED, {"backbone_rate": 0.2, "backbone_kernels": True}),
    "pretrained, a slower backbone": (PRETRAINED, {"backbone_rate": 0.05, "backbone_kernels": False}),
}
"""The model and the optimiser, where they differ from `nano`'s."""


class DepthwiseBlock(nn.Module):
    """A depthwise 7 × 7, then two pointwise layers with four times the channels between them (Liu et al. 2022)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = conv.PixelNorm(channels)
        self.widen, self.merge = nn.Conv2d(channels, 4 * channels, 1), nn.Conv2d(4 * channels, channels, 1)
        self.scale = nn.Parameter(torch.full((channels, 1, 1), 0.2))

    def forward(self, image: Tensor) -> Tensor:
        """Refine ``image``, *b c h w*, keeping its shape."""
        branch = functional.gelu(self.widen(self.norm(self.spread(image))))  # b 4c h w
        return image + self.scale.to(branch.dtype) * self.merge(branch)  # b c h w


@contextmanager
def blocks_of(kind: str) -> Iterator[None]:
    """Encoders built meanwhile consist of such blocks."""
    before = conv.Block
    if kind.startswith("depthwise"):
        conv.Block = DepthwiseBlock
    try:
        yield
    finally:
        conv.Block = before


@contextmanager
def without_export() -> Iterator[None]:
    """Runs end with their last look: nothing is calibrated, sharpened and written, which takes longer than they do."""
    before = trainer.export
    trainer.export = lambda run, folder, *_, **__: folder
    try:
        yield
    finally:
        trainer.export = before


def measure(name: str, data: Path | None, *, steps: int) -> dict[str, str]:
    """One row of the table."""
    model, optimiser = CANDIDATES[name]
    whole = read_config().start or read_config()
    config = replace(
        whole,
        model=replace(whole.model, **model),
        data=replace(whole.data, sides=(256,)),
        optimiser=replace(whole.optimiser, steps=steps, dense_steps=steps // 3, decay=0.4, **optimiser),
        losses=replace(whole.losses, corrections_after=steps),
    )
    with blocks_of(name), without_export():
        sam = build(spec_of(config))
        seconds = encoding(to_predictor(sam, name))
        begin = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            train(config, folder, data=data, processes=1, workers=1, peek_minutes=1e6)
            minutes = (time.perf_counter() - begin) / 60
            with (Path(folder) / "curves.csv").open(encoding="utf-8") as file:
                last = list(csv.DictReader(file))[-1]
    parameters = sum(each.numel() for each in sam.parameters()) / 1e6
    scores = {key: last.get(key) or "nan" for key in ("box world", "click world", "box real", "click real")}
    return {
        "encoder": name,
        "M parameters": f"{parameters:.1f}",
        "encode 1,024², ms": f"{1000 * seconds:.0f}",
        "minutes": f"{minutes:.1f}",
        **{key: f"{float(value):.3f}" for key, value in scores.items()},
    }


def encoding(predictor: Predictor, rounds: int = 5) -> float:
    """Median seconds of encoding one window."""
    pixels, taken = np.random.default_rng(0).integers(0, 256, (3, 1024, 1024), np.uint8), []
    for _ in range(rounds + 1):
        begin = time.perf_counter()
        predictor.encode(pixels)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--only", nargs="*", default=list(CANDIDATES), choices=list(CANDIDATES))
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    data = options.data if (options.data / "train" / "manifest.csv").is_file() else None
    rows = []
    for name in options.only:
        rows.append(measure(name, data, steps=options.steps))
        print(rows[-1], flush=True)  # so that a run that is cut short has not been for nothing
    lines = [" | ".join(rows[0]), " | ".join("---" for _ in rows[0]), *(" | ".join(row.values()) for row in rows)]
    table = (
        "\n".join(f"| {line} |" for line in lines) + f"\n\n{options.steps} steps; {torch.get_num_threads()} threads.\n"
    )
    print(table)
    if options.output:
        options.output.write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
