"""Damaged inputs of all kinds, each given to the command line; thousands by ``make fuzz``."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CASES = 60


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="cases run in copies of one process")
def test_damaged_inputs_end_valid_or_in_one_line():
    words = [sys.executable, "-m", "tests.fuzz", "--cases", CASES, "--seed", 21, "--jobs", 2, "--verbose"]
    done = subprocess.run(
        list(map(str, words)), cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False, timeout=800
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = set(re.findall(r"^ +\d+ (\w+) ", done.stdout, re.MULTILINE))
    assert {"raster", "vector", "options", "run", "weights", "journal", "store"} <= kinds
