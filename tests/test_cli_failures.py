"""What reaches the terminal when a command fails: one line, and nothing of other libraries."""

import logging
import signal
import subprocess
import sys
import warnings

import pytest

from geosam.cli import failures
from geosam.cli.failures import one_line, was_interrupted
from geosam.cli.log import Line
from geosam.cli.scenes import read_aoi
from geosam.errors import SinkError

SCRIPT = """
import logging, os, signal, sys, threading, warnings
import typer
from geosam.cli.failures import Commands, run
app = typer.Typer(cls=Commands, pretty_exceptions_enable=False)
@app.command()
def first(): pass
@app.command()
def work():
    {work}
run(app)
"""


def ran(work: str, *, before: str = "") -> subprocess.CompletedProcess:
    script = SCRIPT.format(work=work.replace("\n", "\n    "))
    words = [sys.executable, "-c", before + script, "work"]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_polite_signals_end_with_130_and_a_line(name: str):
    heeded = f"import signal; signal.signal(signal.{name}, signal.SIG_DFL)\n"  # whatever the tests run under
    done = ran(f"os.kill(os.getpid(), signal.{name})\nimport time; time.sleep(30)", before=heeded)
    assert (done.returncode, done.stderr) == (130, f"{failures.AGAIN}\n")


def test_a_hang_up_that_the_parent_ignores_is_ignored():
    ignored = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    done = ran("os.kill(os.getpid(), signal.SIGHUP); print('on')", before=ignored)
    assert (done.returncode, done.stdout) == (0, "on\n")


@pytest.mark.parametrize(
    "work",
    [
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\nfinally:\n    raise RuntimeError('a callback failed')",
        "try:\n    os.kill(os.getpid(), signal.SIGTERM)\nexcept BaseException: pass\nraise OSError('no file')",
        "class A:\n    def __del__(self): os.kill(os.getpid(), signal.SIGINT)\ndel_me = A()\ndel del_me\n"
        "import time; time.sleep(30)",
        "import io, time\nclass Dropped(io.RawIOBase):\n    def close(self):\n"
        "        if not self.closed: os.kill(os.getpid(), signal.SIGINT)\n        super().close()\n"
        "Dropped()\ntime.sleep(30)",
    ],
)
def test_what_a_library_makes_of_an_interruption_is_one(work: str):
    done = ran(work)
    assert (done.returncode, done.stderr) == (130, f"{failures.AGAIN}\n")


def test_nothing_of_other_libraries_reaches_the_terminal():
    done = ran(
        "warnings.warn('/some/inner/path')\n"
        "threading.Thread(target=lambda: 1 / 0).start()\n"
        "os.write(2, b'libtiff: its own line')\n"
        "raise ValueError('https://host/a?sig=SECRET \\x1b[31m\\nred')"
    )
    assert done.returncode == 70
    assert done.stderr.startswith("unexpected ValueError: https://host/a?sig=*** \\x1b[31m red; GEOSAM_DEBUG=1")
    assert done.stderr.count("\n") == 1


def test_memory_that_a_library_lacks_is_said_as_such():
    done = ran('raise RuntimeError("DefaultCPUAllocator: can\'t allocate memory: you tried")')
    assert (done.returncode, done.stderr) == (1, f"{failures.NO_MEMORY}\n")


def test_a_record_is_a_line():
    record = logging.LogRecord(
        "geosam", logging.WARNING, "", 1, "a\nb %s", ("\x1b[2J",), (ValueError, ValueError(), None)
    )
    assert Line().format(record) == "WARNING geosam: a b \\x1b[2J"
    assert one_line(OSError("a\x9bb\n c")) == "a\\x9bb c"


def test_interruptions_are_found_behind_other_errors():
    def chained() -> BaseException:
        try:
            try:
                raise KeyboardInterrupt
            except BaseException:
                raise RuntimeError("in a callback") from None
        except RuntimeError:
            try:
                raise SinkError("cannot be written") from ValueError("other")
            except SinkError as error:
                return error

    assert was_interrupted(chained())
    assert not was_interrupted(SinkError("cannot be written"))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert warnings.showwarning.__module__ != "logging"


def test_an_area_as_text_may_be_longer_than_a_name_of_a_file():
    ring = ", ".join(f"{x} {x * x}" for x in range(100))
    assert read_aoi(f"POLYGON (({ring}, 0 0))").area > 0
