"""What a rough answer costs and what an exact one brings: one click on objects of known truth, both ways.

    python benchmarks/hover.py ../shared/data/dev [--limit 3] [--objects 8] [--out benchmarks/hover.csv]

While the pointer moves, `geosam.serve` asks the model once for each place (`geosam.serve.hovering.brief`); where it
rests, with all steps of the model's recipe. Each object is clicked at its deepest point. IoUs are means over sources,
times those of the processor, of all threads together, from a window that is encoded to the mask. Photographs are left
out.
"""

import argparse
import csv
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from geosam.embeddings import embed
from geosam.evaluation.asking import first_click
from geosam.evaluation.crops import iou
from geosam.evaluation.looks import looks
from geosam.evaluation.sets import list_pictures
from geosam.models import load_model
from geosam.serve.hovering import brief

PHOTOGRAPHS = ("bsds500", "coco-lightly")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=3, help="pictures of each source")
    parser.add_argument("--objects", type=int, default=8, help="objects of each source")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/hover.csv"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model("nano", device="cpu")
    ways = {"rough": brief(model.recipe), "exact": model.recipe}
    found: dict[str, dict[str, list[float]]] = {way: defaultdict(list) for way in ways}
    times: dict[str, list[float]] = {way: [] for way in ways}
    pictures = [each for each in list_pictures(options.folder, limit=options.limit) if each.source not in PHOTOGRAPHS]
    for look in looks(pictures, objects=options.objects):
        embedding = embed(look.chip(), model)
        for target in look.targets:
            for way, recipe in ways.items():
                model.recipe = recipe
                begin = time.process_time()
                mask = first_click(embedding, model, [target]).answers[0].mask
                times[way].append(1000 * (time.process_time() - begin))
                found[way][look.source].append(iou(mask if target.exact else mask.filled(), target.truth))
    rows = [
        {
            "set": options.folder.name,
            "way": way,
            "objects": len(times[way]),
            "sources": len(found[way]),
            "iou_one_click": round(float(np.mean([np.mean(each) for each in found[way].values()])), 3),
            "cpu_ms_median": round(float(np.median(times[way]))),
            "cpu_ms_p95": round(float(np.percentile(times[way], 95))),
        }
        for way in ways
    ]
    kept = []
    if options.out.is_file():
        with options.out.open(newline="") as file:
            kept = [row for row in csv.DictReader(file) if row["set"] != options.folder.name]
    with options.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows([*kept, *rows])
    for row in rows:
        print(row, flush=True)


if __name__ == "__main__":
    main()
