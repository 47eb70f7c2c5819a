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
    ("masks/grown.py", "GROWN = 0.08", "GROWN = 0.2"),
    ("masks/grown.py", "LIKELIER = 0.5", "LIKELIER = 1.0"),
    ("masks/lone_clicks.py", "SHARPER, MIDDLE = 0.5, 0.3", "SHARPER, MIDDLE = 0.0, 0.3"),
    ("masks/lone_clicks.py", "SHARPER, MIDDLE = 0.5, 0.3", "SHARPER, MIDDLE = 0.5, 0.0"),
    ("masks/lone_clicks.py", "DOUBT = 0.05", "DOUBT = 0.5"),
    ("masks/lone_clicks.py", "CLEAR = 8.0", "CLEAR = 2.0"),
    ("masks/lone_clicks.py", "(4.25, 4.25)", "(9.0, 9.0)"),
    ("masks/corrections.py", "REACH = 2.0", "REACH = 4.0"),
    ("masks/redrawing.py", "SPILL = 0.1", "SPILL = 0.4"),
    ("masks/second_looks.py", "TOGETHER = 64", "TOGETHER = 8"),
    ("masks/second_looks.py", "HIDDEN = 0.5", "HIDDEN = 0.9"),
    ("masks/second_looks.py", "ALIKE = 0.7", "ALIKE = 0.5"),
    ("masks/second_looks.py", "JUDGED = 2 / 3", "JUDGED = 1 / 3"),
    ("masks/second_looks.py", "SURE = 4.0", "SURE = 1.0"),
    ("masks/second_answers.py", "0.55, 0.41, 0.42, 0.33", "0.55, 0.41, 0.2, 0.11"),
    ("sam/box_sides.py", "MORE = 0.5", "MORE = 1.0"),
    ("sam/box_sides.py", "LOOSE = 7.5", "LOOSE = 15.0"),
    ("sam/box_sides.py", "PULL = 20.0", "PULL = 5.0"),
    ("sam/box_sides.py", "OUTSIDE = 10.0", "OUTSIDE = 3.0"),
    ("sam/model/close_up.py", "MARGIN = 0.25", "MARGIN = 0.5"),
    ("sam/model/close_up.py", "BEYOND = -1.0", "BEYOND = -4.0"),
    ("sam/model/close_up.py", "CUT = 1 / 6", "CUT = 1 / 3"),
    ("sam/registry/specs.py", '"spacing_px": 16', '"spacing_px": 24'),
    ("sam/registry/specs.py", '"whole_every": 8', '"whole_every": 4'),
    ("sam/registry/specs.py", '"pred_iou_threshold": 0.3', '"pred_iou_threshold": 0.4'),
    ("sam/registry/specs.py", '"overlap": 0.2', '"overlap": 0.35'),
)
"""Module, what stands there, what is put in its place."""


def noticed(module: str, old: str, new: str) -> bool:
    """Whether the golden net fails on a copy of the package with one change."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("geosam", "tests", "sample_data"):
            shutil.copytree(HERE.parent / name, Path(folder, "copy", name))
        shutil.copy(HERE.parent / "pyproject.toml", Path(folder, "copy"))
        if (shared := HERE.parent.parent / "shared").is_dir():
            Path(folder, "shared").symlink_to(shared)
        place = Path(folder, "copy", "geosam", module)
        text = place.read_text()
        if len(re.findall(re.escape(old), text)) != 1:
            raise SystemExit(f"{module}: {old!r} does not stand there once")
        place.write_text(text.replace(old, new))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "tests/test_golden.py"]
        environment = {**os.environ, "PYTHONPATH": str(Path(folder, "copy"))}
        run = subprocess.run(command, cwd=Path(folder, "copy"), env=environment, capture_output=True, check=False)
        return run.returncode == 1


def main() -> None:
    """Change each constant in turn; a line for each."""
    with open(HERE / "mutations.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["module", "constant", "changed to", "noticed", "seconds"])
        for module, old, new in MUTATIONS:
            begin = time.perf_counter()
            seen = noticed(module, old, new)
            row = [module, old, new, seen, round(time.perf_counter() - begin)]
            table.writerow(row)
            file.flush()
            print(*row)


if __name__ == "__main__":
    main()
