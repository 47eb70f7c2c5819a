"""Kill a run with three outputs at every system call that changes a disk, run it again, and see what is there.

    python benchmarks/output_kills.py [--calls rename,unlink] [--every 1] [--csv output_kills.csv]

The run is the whole command ``geosam segment SCENE -o out.gpkg --labels out.tif --picture out.png`` on a small scene,
the network replaced by a stub, in a copy of a process that has everything imported. One run under strace counts the
calls that change a disk; between two of them nothing changes, so that killing (SIGKILL) on entering each of them, in a
run of its own, tries every state that a kill can leave. It is done where there were no outputs, and with --overwrite
where there were others. After each kill the same command is run again. Then it must have ended well, the three outputs
must be those of the clean run byte for byte, and nothing else may lie beside them. In between, an output is the old one
or the new one, whole. A kill after the last move may leave a run whose outputs are all there: then the same command
without --overwrite may also say so, in one line.
"""

import argparse
import contextlib
import csv
import gc
import io
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

NAMES = ("out.gpkg", "out.tif", "out.png")
CHANGES = ["rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "mkdir",
    "mkdirat", "rmdir", "fsync", "fdatasync", "sync_file_range", "chmod", "fchmod", "fchmodat", "utimensat", "setxattr",
    "fsetxattr", "flock", "close", "openat", "ftruncate", "truncate", "fallocate", "copy_file_range", "sendfile",
    "write", "writev", "pwrite64", "pwritev"]  # fmt: skip
"""System calls that change what is on a disk, or let go of a lock."""

_LINE = re.compile(r"^(?P<pid>\d+) +(?P<call>\w+)\((?P<rest>.*)")


@dataclass(frozen=True)
class Call:
    """A system call of the run: its name, how many of that name came up to it, and what it was about."""

    name: str
    number: int
    about: str


@dataclass
class Bench:
    """A folder with a scene, old and new outputs, and a place in which runs are killed."""

    home: Path
    old: dict[str, bytes]
    new: dict[str, bytes]

    @property
    def place(self) -> Path:
        """The folder of the killed runs; the same for all, since paths are part of what is written."""
        return self.home / "place"

    def lay(self, before: dict[str, bytes]) -> None:
        """Empty the place, but for the scene and the outputs that were there before."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        shutil.copy2(self.home / "scene.tif", self.place / "scene.tif")
        for name, content in before.items():
            (self.place / name).write_bytes(content)

    def there(self) -> dict[str, bytes]:
        """The outputs that are there."""
        return {name: (self.place / name).read_bytes() for name in NAMES if (self.place / name).exists()}

    def strangers(self) -> list[str]:
        """What lies beside scene, outputs and the cache."""
        return sorted(set(os.listdir(self.place)) - {*NAMES, "scene.tif", "cache"})


def prepare() -> None:
    """Import everything that a run needs, and let a stub stand in for the built-in network."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    import geosam.cli
    import geosam.pipeline.regions
    import geosam.pipeline.request
    import geosam.sinks.picture
    from geosam.testing import StubNetwork

    torch.set_num_threads(1)
    geosam.pipeline.request.load_model = lambda *_, **__: StubNetwork(side=64, channels=4)
    with contextlib.redirect_stderr(io.StringIO()):
        become(["segment", "absent.tif", "-o", "absent.gpkg"])  # so that what reads the options is there, too


def command(*more: str) -> list[str]:
    """Words of the command."""
    outputs = ["-o", NAMES[0], "--labels", NAMES[1], "--picture", NAMES[2]]
    return ["segment", "scene.tif", *outputs, "--spacing", "16", "--quiet", *more]


def start(place: Path, words: list[str], *, waits: bool = False) -> tuple[int, int]:
    """Start the command in a copy of this process; one that waits begins when something is written to its pipe."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(reading)
        return pid, writing
    code = 99
    try:
        os.close(writing)
        if waits:
            os.read(reading, 1)
        os.close(reading)
        os.chdir(place)
        said = os.open(place.with_name("said"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.close(said)
        os.environ["GEOSAM_CACHE"] = os.fspath(place / "cache")
        code = become(words)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def become(words: list[str]) -> int:
    """Be the command, and give its exit code."""
    from geosam.cli import main

    sys.argv = ["geosam", *words]
    logging.root.handlers = []
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def run(place: Path, words: list[str]) -> int:
    """Run the command to its end, and give its exit code."""
    pid, pipe = start(place, words)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(pipe)
    return code


def run_traced(place: Path, words: list[str], *how: str) -> tuple[int, list[str]]:
    """Run the command under strace, and give its exit code and the lines of strace."""
    pid, pipe = start(place, words, waits=True)
    trace = place.with_name("trace")
    strace = ["strace", "-f", "-qq", "-y", "-s", "0", "-o", os.fspath(trace), *how, "-p", str(pid)]
    tracer = subprocess.Popen(strace, stderr=subprocess.DEVNULL)
    while "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text():
        time.sleep(0.002)
    time.sleep(0.01)
    os.write(pipe, b"x")
    os.close(pipe)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    tracer.wait()
    return code, trace.read_text(errors="replace").splitlines()


def calls_of(lines: list[str], place: Path) -> Iterator[Call]:
    """Calls of the main thread that change something in the place, from the lines of strace."""
    counts: Counter[str] = Counter()
    first = _LINE.match(lines[0])
    for line in lines:
        found = _LINE.match(line)
        if found is None or first is None:
            continue
        name, rest = found["call"], found["rest"]
        if found["pid"] != first["pid"]:
            if _changes(name, rest, place):
                raise RuntimeError(f"another thread changes files, and is not killed: {line}")
            continue
        counts[name] += 1
        if _changes(name, rest, place):
            yield Call(name, counts[name], rest.replace(os.fspath(place), "")[:100])


def _changes(name: str, rest: str, place: Path) -> bool:
    inside = os.fspath(place) in rest
    if name == "openat":
        return inside and re.search("O_CREAT|O_TRUNC", rest) is not None
    if name == "close":
        return inside and rest.partition(">")[0].endswith("/lock")
    return inside


def judge(bench: Bench, before: dict[str, bytes], words: list[str]) -> tuple[str, str]:
    """What a kill left, and what is wrong after the command was run again; the latter is empty if all is well."""
    left = bench.there()
    whole = all(content in (before.get(name), bench.new[name]) for name, content in left.items())
    count = sum(left.get(name) == bench.new[name] for name in NAMES)
    state = f"{count} new" if whole else "half a file"
    code = run(bench.place, words)
    said = bench.place.with_name("said").read_text(errors="replace")
    after = bench.there()
    refused = code == 1 and count == len(NAMES) and "exists" in said and not before
    faults = {
        "an output is half a file before the rerun": not whole,
        f"the rerun ends with {code}: {said.strip()[-200:]}": code != 0 and not refused,
        "outputs differ from the clean run's": after != bench.new,
        f"left behind: {bench.strangers()}": bool(bench.strangers()),
    }
    return state + (", said" if refused else ""), "; ".join(name for name, wrong in faults.items() if wrong)


def set_up(home: Path) -> Bench:
    """Write the scene, and the outputs of two clean runs that differ in an option."""
    from geosam.testing import coordinate_scene

    coordinate_scene(home / "scene.tif", (64, 64))
    bench = Bench(home, {}, {})
    for kept, more in ((bench.old, ["--min-area", "1e9"]), (bench.new, [])):
        bench.lay({})
        if run(bench.place, command(*more)):
            raise RuntimeError(f"the clean run failed: {(home / 'said').read_text()}")
        kept.update(bench.there())
    if len(bench.new) != len(NAMES) or any(bench.old[name] == bench.new[name] for name in NAMES) or bench.strangers():
        raise RuntimeError(f"the outputs of the clean runs are not as they should be: {os.listdir(bench.place)}")
    return bench


def kill_all(
    bench: Bench, before: dict[str, bytes], wanted: Callable[[Call], bool], every: int
) -> Iterator[tuple[Call, str, str]]:
    """Kill at each call, run again and judge."""
    words = command("--overwrite") if before else command()
    bench.lay(before)
    code, lines = run_traced(bench.place, words, "-e", f"trace={','.join(CHANGES)}")
    if code:
        raise RuntimeError(f"the clean run under strace failed with {code}")
    found = sorted(filter(wanted, calls_of(lines, bench.place)), key=lambda call: CHANGES.index(call.name))
    print(
        f"{len(found)} calls:", *(f"{name} {n}" for name, n in Counter(call.name for call in found).items()), flush=True
    )
    for call in found[::every]:
        bench.lay(before)
        at = f"inject={call.name}:signal=KILL:when={call.number}"
        code, lines = run_traced(bench.place, words, "-e", f"trace={call.name}", "-e", at)
        if code != -9:
            yield call, "not reached", f"the run was not killed, it ended with {code}"
        else:
            yield call, *judge(bench, before, words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", help="only these system calls, comma between them")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_suffix(".csv"))
    asked = parser.parse_args()
    only = asked.calls.split(",") if asked.calls else CHANGES
    prepare()
    gc.freeze()  # so that a copy of this process need not touch every page
    rows: Counter[tuple[str, str, str, str]] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        bench = set_up(Path(folder))
        for title, before in (("none", {}), ("old ones", bench.old)):
            for call, state, fault in kill_all(bench, before, lambda call: call.name in only, asked.every):
                rows[title, call.name, state, "wrong" if fault else "right"] += 1
                print(f"{title}: {call.name} {call.number} ({call.about}): {state}: {fault or 'right'}", flush=True)
    with asked.csv.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["outputs before", "killed at", "outputs after the kill", "after the rerun", "kills"])
        table.writerows([*row, count] for row, count in sorted(rows.items()))
    print(asked.csv.read_text())
    wrong = sum(count for row, count in rows.items() if row[-1] == "wrong")
    print(f"{sum(rows.values())} kills, {wrong} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
