"""On a graphics card: windows embedded, clicks answered and whole windows segmented, beside `segment_anything` there.

    pip install -c constraints.txt '.[bench]'
    python benchmarks/device.py [--device cuda] [--repeat 5] [--no-peer]

Medians by the clock, after one round to warm up; all results lie in the processor's memory when the clock stops. The
ratio is to the first row of each kind. Weights of vit_b are random (`random_vit.py`). Peak memory is the card's.
`make bench` leaves it out, since most machines have no card; with `--device cpu` it runs anywhere.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from everything import everything
from random_vit import BATCH, Dtype, grid, ours, picture, segment_anything, theirs, write

from geosam.models import load_model
from geosam.sam.model import Predictor
from geosam.segmenter import PromptBatch

PEER = "segment_anything"
WINDOWS = 8
Runs = dict[str, Callable[[], object]]


def compare(what: str, runs: Runs, repeat: int, *, each: int = 1) -> None:
    """Print medians of runs in turn, in ms for each of the things that a run makes."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeat + 1):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            if turn:
                taken[name].append(1000 * (time.perf_counter() - begin) / each)
    medians = {name: float(np.median(some)) for name, some in taken.items()}
    first = next(iter(medians.values()))
    for name, median in medians.items():
        print(f"{what:16} {name:28} {median:10.2f} ms {first / median:6.1f} x", flush=True)


def peer_runs(path: Path, device: str) -> dict[str, Callable[[], object]]:
    """What `segment_anything` does with a window: embed it, answer 64 clicks, find everything."""
    peer = theirs(path, device)
    image = np.ascontiguousarray(picture().transpose(1, 2, 0))
    predictor = segment_anything.SamPredictor(peer)
    generator = segment_anything.SamAutomaticMaskGenerator(peer, points_per_side=32)
    points, labels = (torch.tensor(array, device=device) for array in grid(BATCH))

    def encode() -> None:
        predictor.set_image(image)
        predictor.features.cpu()

    @torch.no_grad()
    def decode() -> None:
        sparse, dense = peer.prompt_encoder((points, labels), None, None)
        given = predictor.features, peer.prompt_encoder.get_dense_pe(), sparse, dense
        for found in peer.mask_decoder(*given, multimask_output=True):
            found.cpu()

    return {"encode": encode, "decode 64": decode, "everything": lambda: generator.generate(image)}


def our_runs(model: Predictor) -> dict[str, Callable[[], object]]:
    """The same with geosam."""
    points, labels = grid(BATCH)
    arrays = model.encode(picture())
    return {
        "encode": lambda: model.encode(picture()),
        "decode 64": lambda: model.decode(arrays, PromptBatch(points=points, labels=labels)),
        "everything": lambda: everything(model, picture()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--no-peer", action="store_true")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("no graphics card here: nothing to measure (--device cpu runs anywhere)")
        return
    card = torch.cuda.get_device_name(options.device) if options.device.startswith("cuda") else options.device
    print(f"{card}, torch {torch.__version__}, medians of {options.repeat}", flush=True)
    nano = load_model("nano", device=options.device)
    windows = [picture()] * WINDOWS
    one_by_one: Runs = {"one by one": lambda: [nano.encode(each) for each in windows]}
    compare("nano encode", one_by_one | {"together": lambda: nano.encode_many(windows)}, options.repeat, each=WINDOWS)
    for kind, run in our_runs(nano).items():
        if kind != "encode":
            compare(f"nano {kind}", {"geosam float32": run}, options.repeat)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vit_b.pth"
        write(path)
        dtypes: list[Dtype] = ["float32", "bfloat16"]
        rows = {} if options.no_peer else {PEER: peer_runs(path, options.device)}
        rows |= {f"geosam {dtype}": our_runs(ours(path, dtype, options.device)) for dtype in dtypes}
        for kind in ("encode", "decode 64", "everything"):
            compare(kind, {name: runs[kind] for name, runs in rows.items()}, options.repeat)
    if options.device.startswith("cuda"):
        print(f"peak memory of the card {torch.cuda.max_memory_allocated(options.device) / 2**20:.0f} MB")


if __name__ == "__main__":
    main()
