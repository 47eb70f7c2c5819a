"""Are the tuned constants seen by a test? Change one at a time in a copy of the package and run the golden net.

    python benchmarks/mutations.py

Writes `mutations.csv` beside itself: constant, change, whether a test noticed, seconds. A constant that nobody notices
is either idle or has no test.
"""

import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent

MUTATIONS = (
    ("jitter_px", "(4.25, 4.25)", "(9.0, 9.0)"),
    ("clicks.clip", "clip=8.0", "clip=2.0"),
    ("clicks.ambiguity", "ambiguity=0.05", "ambiguity=0.5"),
    ("clicks.refined_weight", "refined_weight=0.5", "refined_weight=0.0"),
    ("clicks.central_weight", "central_weight=0.3", "central_weight=0.0"),
    ("clicks.reach", "reach=2.0", "reach=4.0"),
    ("clicks.in_turn", "in_turn=True", "in_turn=False"),
    ("boxes.bias", "Boxes(bias=0.5", "Boxes(bias=1.0"),
    ("boxes.loose", "loose=7.5", "loose=15.0"),
    ("boxes.pull", "pull=20.0", "pull=5.0"),
    ("boxes.outside", "outside=10.0", "outside=3.0"),
    ("refinement.passes", "passes=2,", "passes=1,"),
    ("refinement.margin", "margin=0.25", "margin=0.5"),
    ("refinement.edge", "edge=-1.0", "edge=-4.0"),
    ("refinement.cut", "cut=1 / 6", "cut=1 / 3"),
    ("refinement.nms_iou", "nms_iou=0.7", "nms_iou=0.5"),
    ("refinement.hidden", "hidden=0.5", "hidden=0.9"),
    ("refinement.batch", "batch=64", "batch=8"),
    ("refinement.sure", "sure=4.0", "sure=1.0"),
    ("second_pass.expand", "expand=0.08", "expand=0.2"),
    ("second_pass.bias", "bias=0.5,  # as", "bias=1.0,  # as"),
    ("second_pass.spill", "spill=0.1", "spill=0.4"),
    ("second_pass.iou_weights", "0.55, 0.41, 0.42, 0.33", "0.55, 0.41, 0.2, 0.11"),
    ("everything.spacing_px", "spacing_px=16", "spacing_px=24"),
    ("everything.whole_every", "whole_every=8", "whole_every=4"),
    ("everything.pred_iou_threshold", "pred_iou_threshold=0.3", "pred_iou_threshold=0.4"),
    ("suppression.overlap", "overlap=0.2", "overlap=0.35"),
    ("quality.weight", "enabled=scores, weight=2 / 3", "enabled=scores, weight=1 / 3"),
)
"""Field of the built-in model's recipe, what stands in it, what is put in its place."""

RECIPE = "nano/recipe.py"


def noticed(old: str, new: str) -> bool:
    """Whether the golden net fails on a copy of the package with one change."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("geosam", "tests", "sample_data"):
            shutil.copytree(HERE.parent / name, Path(folder, "copy", name))
        shutil.copy(HERE.parent / "pyproject.toml", Path(folder, "copy"))
        if (shared := HERE.parent.parent / "shared").is_dir():
            Path(folder, "shared").symlink_to(shared)
        place = Path(folder, "copy", "geosam", RECIPE)
        text = place.read_text()
        if len(re.findall(re.escape(old), text)) != 1:
            raise SystemExit(f"{RECIPE}: {old!r} does not stand there once")
        place.write_text(text.replace(old, new))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "tests/test_golden.py"]
        environment = {**os.environ, "PYTHONPATH": str(Path(folder, "copy"))}
        run = subprocess.run(command, cwd=Path(folder, "copy"), env=environment, capture_output=True, check=False)
        return run.returncode == 1


def main() -> None:
    """Change each constant in turn; a line for each."""
    with open(HERE / "mutations.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["field", "constant", "changed to", "noticed", "seconds"])
        for name, old, new in MUTATIONS:
            begin = time.perf_counter()
            seen = noticed(old, new)
            row = [name, old, new, seen, round(time.perf_counter() - begin)]
            table.writerow(row)
            file.flush()
            print(*row)


if __name__ == "__main__":
    main()
