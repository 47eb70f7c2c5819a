"""Fine-tune on the footprints of one scene and score on other scenes of the same event.

    python benchmarks/finetune.py [DATA] [--scene santa-rosa-wildfire_00000038] [--others 242,285,52,343] [--steps 200]

The scene has some hundred footprints, of which a fifth is held out. The other scenes are nowhere seen in training. xBD
is for non-commercial use: the weights are measured here and thrown away (``--weights`` scores ones that are at hand).

Results: `docs/experiments.md`, "What fine-tuning trains".
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from geosam.evaluation import ObjectScore, score_pictures
from geosam.evaluation.sets import LabelledPicture
from geosam.execute import progress_bar
from geosam.pipeline.request import to_network
from geosam.training import finetune

ENDING = "_pre_disaster"
COLUMNS = ("box", "click", "clicks3")


def scores_of(model: object, pictures: list[LabelledPicture]) -> list[ObjectScore]:
    with progress_bar() as progress:
        return list(score_pictures(to_network(model), pictures, everything=0, progress=progress))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data/train/xbd-subset"))
    parser.add_argument("--scene", default="santa-rosa-wildfire_00000038")
    parser.add_argument("--others", default="242,285,52,343", help="numbers of other scenes of the event")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--part", choices=("sharpener", "decoder", "all"))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--weights", type=Path, help="score these instead of training")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"{options.data} is not here: nothing is measured")
        return
    event = options.scene.rsplit("_", 1)[0]
    names = [f"{event}_{int(number):08d}{ENDING}" for number in options.others.split(",")]
    paths = [(options.data / f"{name}.tif", options.data / f"{name}.geojson") for name in names]
    others = [LabelledPicture(tif, labels, "vector", event, tif.name) for tif, labels in paths]
    with tempfile.TemporaryDirectory() as folder:
        weights = options.weights
        if weights is None:
            scene = options.data / f"{options.scene}{ENDING}.tif"
            begin, busy = time.monotonic(), time.process_time()
            with progress_bar() as progress:
                done = finetune(
                    scene, scene.with_suffix(".geojson"), Path(folder) / "tuned.safetensors",
                    model=options.model, part=options.part, steps=options.steps, progress=progress,
                )  # fmt: skip
            weights = done.path
            print(
                f"{done.trained_on} footprints learned from, {done.held_out} held out; {done.steps} steps, "
                f"{time.monotonic() - begin:.0f} s, of which {time.process_time() - busy:.0f} s on the processor"
            )
            for name, score in (("before", done.before), ("after", done.after)):
                print(f"  held out, {name:6}" + "".join(f"  {one} {getattr(score, one):.3f}" for one in COLUMNS))
        found = {name: scores_of(model, others) for name, model in (("before", options.model), ("after", weights))}
    print(f"{len(others)} other scenes of {event}, {len(found['before'])} footprints")
    for name, scores in found.items():
        means = [np.mean([getattr(score, one) for score in scores]) for one in COLUMNS]
        print(
            f"  {name:6}" + "".join(f"  {one} {mean:.3f}" for one, mean in zip(COLUMNS, means, strict=True)), flush=True
        )


if __name__ == "__main__":
    main()
