"""Encode, decode, everything mode and a click: geosam against `segment_anything`, on the same weights in the same run.

    pip install -c constraints.txt '.[bench]'
    python benchmarks/engine.py [--repeat 3] [--busy] [--only encode,decode,everything,click,nano]

Weights of vit_b are random: time does not depend on what they know. The heads are scaled so that about a third of the
masks pass the usual filters, as with trained ones. Runs of both are taken in turn; medians and their ratio are printed:
by the clock, and in seconds of all cores together, which say more where other programs compute beside.
`segment_anything` takes minutes for a whole grid, so it gets one batch of 64 points, from which its grid of 1,024 is
reckoned: once the encoder, sixteen times the batch. `--busy` keeps one core busy meanwhile.
"""

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torchvision_shim
from rasterio.windows import Window

from geosam.embeddings import Embedding
from geosam.masks import EverythingOptions, segment_everything
from geosam.masks.sketch import render, sketch
from geosam.polygons import polygonize
from geosam.sam.model import Predictor, build
from geosam.sam.prepared.precision import quick_dtype
from geosam.sam.registry import load_model, spec

torchvision_shim.install()

import segment_anything  # noqa: E402 - after the stand-in
from segment_anything.modeling import Sam as PeerSam  # noqa: E402

SIDE, GRID, BATCH = 1024, 1024, 64
Runs = dict[str, Callable[[], object]]


def weights() -> PeerSam:
    """The peer's vit_b with random weights whose scores and masks are spread like those of a trained model."""
    torch.manual_seed(0)
    peer = segment_anything.sam_model_registry["vit_b"]().eval()
    with torch.no_grad():
        for name, value in peer.named_parameters():
            if "rel_pos" in name or "pos_embed" in name:
                value.normal_(std=0.02)
        for head in peer.mask_decoder.output_hypernetworks_mlps:
            head.layers[-1].weight *= 300
    return peer.requires_grad_(requires_grad=False)


def ours(peer: PeerSam, dtype: torch.dtype) -> Predictor:
    """The same weights in geosam."""
    sam = build(replace(spec("vit_b"), url="")).eval().requires_grad_(requires_grad=False)
    sam.load_state_dict(peer.state_dict(), strict=True)
    return Predictor(sam, "random", dtype=dtype)


def picture() -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    bands = [127 + 100 * np.sin(x / 37 + y / 91), 127 + 100 * np.cos(x / 53 - y / 29), (3 * x + 5 * y) % 256]
    return np.stack(bands).astype(np.uint8)


def grid(count: int) -> tuple[np.ndarray, np.ndarray]:
    side = round(count**0.5)
    ticks = (np.arange(side, dtype=np.float32) + 0.5) * (SIDE / side)
    return np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 1, 2), np.ones((count, 1), np.int64)


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
    runs: Runs = {"segment_anything": torch.no_grad()(lambda: peer.image_encoder(image))}
    runs |= {name: (lambda model=model: model.encode(picture())) for name, model in models.items()}
    show("encode", medians(runs, repeat), "segment_anything")


def bench_decode(models: dict[str, Predictor], peer: PeerSam, repeat: int) -> None:
    """64 clicks to all their masks, at a quarter of the window's sampling; features are random too."""
    points, labels = grid(BATCH)
    features = np.random.default_rng(0).standard_normal((256, 64, 64)).astype(np.float16)

    @torch.no_grad()
    def theirs() -> None:
        sparse, dense = peer.prompt_encoder((torch.tensor(points), torch.tensor(labels)), None, None)
        peer.mask_decoder(torch.tensor(features).float()[None], peer.prompt_encoder.get_dense_pe(), sparse, dense, True)

    runs: Runs = {"segment_anything": theirs}
    for name, model in models.items():
        asked = {"points": points, "labels": labels}
        runs[name] = lambda model=model, asked=asked: model.decode((features,), (SIDE, SIDE), **asked)
    show("decode 64", medians(runs, repeat), "segment_anything")


def bench_everything(models: dict[str, Predictor], peer: PeerSam, repeat: int) -> None:
    pixels = picture()
    points, labels = grid(BATCH)
    iou = models["geosam float32"].decode(
        models["geosam float32"].encode(pixels), (SIDE, SIDE), points=points, labels=labels
    )[1]
    shift = 0.88 - float(np.quantile(iou, 0.67))
    for head in (peer.mask_decoder, *(model.sam.mask_decoder for model in models.values())):
        head.iou_prediction_head.layers[-1].bias += shift
    generator = segment_anything.SamAutomaticMaskGenerator(peer, points_per_side=round(BATCH**0.5))
    image = np.ascontiguousarray(pixels.transpose(1, 2, 0))
    prepared = peer.preprocess(torch.tensor(pixels).float()[None])
    runs: Runs = {
        "batch": lambda: generator.generate(image),
        "encode": torch.no_grad()(lambda: peer.image_encoder(prepared)),
    }
    for name, model in models.items():
        for spare in (False, True):
            kind = f"{name}, {'spared' if spare else 'exact'}"
            runs[kind] = lambda model=model, spare=spare: everything(model, pixels, spare=spare)
    taken = medians(runs, repeat)
    batch, encode = taken.pop("batch"), taken.pop("encode")
    seconds = {"segment_anything (reckoned)": encode + (batch - encode) * GRID / BATCH} | taken
    show("everything", seconds, "segment_anything (reckoned)")


def everything(model: Predictor, pixels: np.ndarray, *, spare: bool) -> int:
    window = Window(0, 0, SIDE, SIDE)
    embedding = Embedding(model.encode(pixels), (SIDE, SIDE), window, None, model.key)
    options = EverythingOptions.preset("strict", spare=spare, **model.thresholds)
    return len(segment_everything(embedding, model, np.ones((SIDE, SIDE), bool), options))


def click(model: Predictor, arrays: tuple[np.ndarray, ...]) -> object:
    """A click on a window that has been encoded, to a polygon."""
    point = np.array([[[500.0, 480.0]]], np.float32)
    logits, iou = model.decode(arrays, (SIDE, SIDE), points=point, labels=np.ones((1, 1), np.int64))
    (x0, y0, x1, y1), crop = render(sketch(logits[0, iou[0].argmax()]), (SIDE, SIDE))
    labels = np.zeros((y1 - y0, x1 - x0), np.int32)
    labels[crop] = 1
    return list(polygonize([(0, labels)]))


def bench_click(models: dict[str, Predictor], peer: PeerSam, repeat: int) -> None:
    predictor = segment_anything.SamPredictor(peer)
    predictor.set_image(np.ascontiguousarray(picture().transpose(1, 2, 0)))
    point, label = np.array([[500.0, 480.0]]), np.array([1])
    runs: Runs = {"segment_anything (to a mask)": lambda: predictor.predict(point, label)}
    for name, model in (models | {"nano": load_model("nano")}).items():
        arrays = model.encode(picture())
        runs[name] = lambda model=model, arrays=arrays: click(model, arrays)
    show("click", medians(runs, 5 * repeat), "segment_anything (to a mask)")


def bench_nano(_models: dict[str, Predictor], _peer: PeerSam, repeat: int) -> None:
    models = {str(dtype).removeprefix("torch."): load_model("nano", dtype=dtype) for dtype in ("float32", "bfloat16")}
    runs: Runs = {}
    for name, model in models.items():
        runs[f"encode {name}"] = lambda model=model: model.encode(picture())
        for spare in (False, True):
            kind = f"everything {name}, {'spared' if spare else 'exact'}"
            runs[kind] = lambda model=model, spare=spare: everything(model, picture(), spare=spare)
    show("nano", medians(runs, repeat), "everything float32, exact")


def keep_busy() -> None:
    while True:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--only", default="encode,decode,everything,click,nano")
    chosen = parser.parse_args()
    peer = weights()
    dtypes = dict.fromkeys((torch.float32, quick_dtype(torch.device("cpu"))))
    models = {f"geosam {str(dtype).removeprefix('torch.')}": ours(peer, dtype) for dtype in dtypes}
    if chosen.busy:
        multiprocessing.get_context("spawn").Process(target=keep_busy, daemon=True).start()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads{', one busy process' if chosen.busy else ''}")
    for name in chosen.only.split(","):
        globals()[f"bench_{name}"](models, peer, chosen.repeat)
    print(f"peak memory of all together: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


if __name__ == "__main__":
    main()
