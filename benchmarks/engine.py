"""Encode, decode, everything mode and a click: geosam against `segment_anything`, on the same weights in the same run.

    pip install -c constraints.txt '.[bench]'
    python benchmarks/engine.py [--repeat 3] [--threads 2] [--weights vit_b.pth]
        [--only rate,encode,decode,click,nano,everything] [--no-peer]

Weights of vit_b are random (`random_vit.py`) unless a checkpoint is given. Runs of both are taken in turn; medians and
their ratio are printed: by the clock, and in seconds of all cores together, which say more where other programs compute
beside. Everything mode (`everything.py`) runs in processes of their own, for their peak memory; the peer needs minutes
for it and runs once, or not at all with `--no-peer`. `rate` is what the machine reaches in products of matrices.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from everything import bench_everything, everything
from random_vit import BATCH, SIDE, Dtype, grid, ours, picture, segment_anything, theirs, write
from rasterio.windows import Window
from segment_anything.modeling import Sam as PeerSam

from geosam.embeddings import Embedding
from geosam.masks import MaskSet, segment_prompts
from geosam.masks.low_res import render, to_low_res
from geosam.models import load_model
from geosam.polygons import polygonize
from geosam.prompts import WindowPrompts
from geosam.sam.model import Predictor
from geosam.sam.prepared.precision import quick_dtype
from geosam.segmenter import Features, PromptBatch

PEER, PRODUCT = "segment_anything", 2048
CLICK = np.array([[[500.0, 480.0]]], np.float32)
Runs = dict[str, Callable[[], object]]


def medians(runs: Runs, repeat: int) -> dict[str, np.ndarray]:
    """Seconds of each by the clock and of all cores, taken in turn after one round to warm up."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for turn in range(repeat + 1):
        for name, run in runs.items():
            begin = time.perf_counter(), time.process_time()
            run()
            if turn:
                taken[name].append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
    return {name: np.median(each, axis=0) for name, each in taken.items()}


def show(what: str, seconds: dict[str, np.ndarray], base: str) -> None:
    for name, (wall, cores) in seconds.items():
        clock = f"{wall * 1000:9.0f} ms {seconds[base][0] / wall:6.1f} x"
        print(
            f"{what:11} {name:28} {clock}   cores {cores * 1000:9.0f} ms {seconds[base][1] / cores:6.1f} x", flush=True
        )


def bench_encode(models: dict[str, Predictor], peer: PeerSam, repeat: int) -> None:
    image = peer.preprocess(torch.tensor(picture()).float()[None])
    runs: Runs = {PEER: torch.no_grad()(lambda: peer.image_encoder(image))}
    runs |= {name: (lambda model=model: model.encode(picture())) for name, model in models.items()}
    show("encode", medians(runs, repeat), PEER)


def bench_decode(models: dict[str, Predictor], peer: PeerSam, repeat: int) -> None:
    """64 clicks to all their masks, at a quarter of the window's sampling; features are random too."""
    points, labels = grid(BATCH)
    features = np.random.default_rng(0).standard_normal((256, 64, 64)).astype(np.float16)

    @torch.no_grad()
    def theirs() -> None:
        sparse, dense = peer.prompt_encoder((torch.tensor(points), torch.tensor(labels)), None, None)
        peer.mask_decoder(torch.tensor(features).float()[None], peer.prompt_encoder.get_dense_pe(), sparse, dense, True)

    runs: Runs = {PEER: theirs}
    for name, model in models.items():
        asked = {"points": points, "labels": labels}
        runs[name] = lambda model=model, asked=asked: model.decode(
            Features.of((features,), (SIDE, SIDE)), PromptBatch(**asked)
        )
    show("decode 64", medians(runs, repeat), PEER)


def click(model: Predictor, features: Features, outline: np.ndarray | None = None) -> object:
    """A click on a window that has been encoded, to a polygon: as a user gets it, or of logits that are given."""
    if outline is None:
        masks = answered(model, features)
        (x0, y0, x1, y1), crop = masks.boxes[0].tolist(), masks.crops[0]
    else:
        model.decode(features, PromptBatch(points=CLICK, labels=np.ones((1, 1), np.int64)))
        (x0, y0, x1, y1), crop = render(to_low_res(outline), (SIDE, SIDE))
    labels = np.zeros((y1 - y0, x1 - x0), np.int32)
    labels[crop] = 1
    return list(polygonize([(0, labels)]))


def answered(model: Predictor, features: Features) -> MaskSet:
    """A click, answered as in prompted mode."""
    asked = WindowPrompts(np.zeros(1, np.int64), PromptBatch(CLICK, np.ones((1, 1), np.int64)))
    embedding = Embedding(features, Window(0, 0, SIDE, SIDE))
    return segment_prompts(embedding, model, asked, np.ones((SIDE, SIDE), bool))


def bench_click(models: dict[str, Predictor], peer: PeerSam, repeat: int) -> None:
    """Masks of random weights have tens of thousands of corners, so the polygon is also drawn of `nano`'s logits."""
    predictor = segment_anything.SamPredictor(peer)
    predictor.set_image(np.ascontiguousarray(picture().transpose(1, 2, 0)))
    runs: Runs = {"segment_anything (to a mask)": lambda: predictor.predict(CLICK[0], np.array([1]))}
    nano = load_model("nano")
    arrays = nano.encode(picture())
    runs["nano"] = lambda arrays=arrays: click(nano, arrays)
    logits, iou = nano.decode(arrays, PromptBatch(points=CLICK, labels=np.ones((1, 1), np.int64)))
    outline = logits[0, iou[0].argmax()]
    for name, model in models.items():
        arrays = model.encode(picture())
        runs[name] = lambda model=model, arrays=arrays: click(model, arrays, outline)
        runs[f"{name}, random outline"] = lambda model=model, arrays=arrays: click(model, arrays)
    show("click", medians(runs, 5 * repeat), "segment_anything (to a mask)")


def bench_nano(dtypes: list[Dtype], repeat: int) -> None:
    encode: Runs = {}
    whole: Runs = {}
    for dtype in dtypes:
        model = load_model("nano", dtype=dtype)
        arrays = model.encode(picture())
        encode[f"encode {dtype}"] = lambda model=model: model.encode(picture())
        encode[f"click {dtype}, to a polygon"] = lambda model=model, arrays=arrays: click(model, arrays)
        whole[f"everything {dtype}"] = lambda model=model: everything(model, picture())
    show("nano", medians(encode, 5 * repeat), "encode float32")
    show("nano", medians(whole, repeat), "everything float32")


def bench_rate(dtypes: list[Dtype]) -> None:
    """Products of square matrices on all threads, in GFLOP/s: by the clock, and by seconds of a core."""
    for dtype in dtypes:
        one, other = (torch.randn(PRODUCT, PRODUCT).to(getattr(torch, dtype)) for _ in range(2))
        seconds = medians({"product": lambda one=one, other=other: one @ other}, 5)["product"]
        wall, core = 2e-9 * PRODUCT**3 / seconds
        print(f"{'rate':11} {dtype:28} {wall:9.0f} GFLOP/s   a core {core:9.0f} GFLOP/s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", default="rate,encode,decode,click,nano,everything")
    parser.add_argument("--no-peer", action="store_true", help="everything mode without the peer's minutes")
    parser.add_argument("--weights", type=Path)
    chosen = parser.parse_args()
    only = chosen.only.split(",")
    torch.set_num_threads(chosen.threads)
    quick = quick_dtype(torch.device("cpu")) == torch.bfloat16
    dtypes: list[Dtype] = ["float32", "bfloat16"] if quick else ["float32"]
    print(f"torch {torch.__version__}, {chosen.threads} threads, medians of {chosen.repeat}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = chosen.weights or Path(folder) / "vit_b.pth"
        if set(only) - {"rate", "nano"} and not chosen.weights:
            write(path)
        if "rate" in only:
            bench_rate(dtypes)
        if "everything" in only:  # before this process holds models of its own
            bench_everything(path, dtypes, repeat=chosen.repeat, peer=not chosen.no_peer)
        benches = {"encode": bench_encode, "decode": bench_decode, "click": bench_click}
        for kind in [kind for kind in benches if kind in only]:
            models = {f"geosam {dtype}": ours(path, dtype) for dtype in dtypes}
            benches[kind](models, theirs(path), chosen.repeat)
        if "nano" in only:
            bench_nano(dtypes, chosen.repeat)


if __name__ == "__main__":
    main()
