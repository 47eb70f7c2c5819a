"""Work in order and bounded, a journal that survives a kill, progress that keeps quiet."""

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from rich.console import Console

from geosam.errors import OptionError, SinkError
from geosam.execute import Bar, Journal, Progress, prefetch, progress_bar, run_in_order

# ------------------------------------------------------------------------------------------------------------ in order


@given(items=st.lists(st.integers(), max_size=30), threads=st.integers(0, 4), ahead=st.integers(0, 4))
@settings(max_examples=40, deadline=None)
def test_results_come_in_the_order_of_the_items_whatever_the_threads(items: list[int], threads: int, ahead: int):
    def slow_for_some(item: int) -> int:
        time.sleep(0.001 * (item % 3))
        return item * 2

    assert list(run_in_order(slow_for_some, items, threads=threads, ahead=ahead)) == [item * 2 for item in items]


@given(items=st.lists(st.integers(), max_size=30), ahead=st.integers(0, 4))
@settings(max_examples=30, deadline=None)
def test_prefetched_items_come_in_order(items: list[int], ahead: int):
    assert list(prefetch(items, ahead=ahead)) == items


@pytest.mark.parametrize(("threads", "ahead"), [(0, 0), (0, 3), (1, 0), (1, 2), (3, 1)])
def test_no_more_items_are_taken_than_may_wait(threads: int, ahead: int):
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(50):
            taken += 1
            yield item

    for used, _ in enumerate(run_in_order(abs, items(), threads=threads, ahead=ahead)):
        assert taken - used <= max(threads + ahead, 1)
    assert taken == 50


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_no_more_items_are_prefetched_than_may_wait(ahead: int):
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(50):
            taken += 1
            yield item

    for used, _ in enumerate(prefetch(items(), ahead=ahead)):
        assert taken - used <= ahead + 1


def test_a_prefetched_iterable_is_read_by_one_thread_that_is_not_this_one():
    readers = set()

    def items() -> Iterator[int]:
        for item in range(10):
            readers.add(threading.get_ident())
            yield item

    assert list(prefetch(items())) == list(range(10))
    assert len(readers) == 1
    assert threading.get_ident() not in readers


def test_threads_work_at_the_same_time():
    barrier = threading.Barrier(3, timeout=60)
    assert len(list(run_in_order(lambda _: barrier.wait(), range(6), threads=3))) == 6


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_an_error_names_its_item_and_ends_the_work(threads: int):
    done = []

    def fail_at_five(item: int) -> int:
        if item == 5:
            raise ValueError("bad window")
        done.append(item)
        return item

    results = []
    with pytest.raises(ValueError, match="bad window") as raised:
        results.extend(run_in_order(fail_at_five, range(1000), threads=threads, ahead=2))
    assert raised.value.__notes__ == ["while working on 5"]
    assert len(done) <= 5 + 2 * (threads + 2)


def test_results_before_an_error_are_given():
    def fail_at_three(item: int) -> int:
        if item == 3:
            raise OSError("unreadable")
        return item

    work = run_in_order(fail_at_three, range(9), threads=2)
    assert [next(work), next(work), next(work)] == [0, 1, 2]
    with pytest.raises(OSError, match="unreadable"):
        next(work)


@pytest.mark.parametrize("ahead", [0, 2])
def test_an_error_of_a_prefetched_iterable_comes_in_its_place(ahead: int):
    def items() -> Iterator[int]:
        yield from (1, 2)
        raise OSError("unreadable")

    work = prefetch(items(), ahead=ahead)
    assert [next(work), next(work)] == [1, 2]
    with pytest.raises(OSError, match="unreadable"):
        next(work)


def test_leaving_early_stops_the_threads():
    before = threading.active_count()
    for number in run_in_order(abs, iter(range(10**9)), threads=3):
        if number == 10:
            break
    for number in prefetch(iter(range(10**9))):
        if number == 10:
            break
    deadline = time.monotonic() + 60
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_negative_numbers_are_refused():
    with pytest.raises(OptionError, match="threads=-1"):
        list(run_in_order(abs, [1], threads=-1))
    with pytest.raises(OptionError, match="ahead=-1"):
        list(prefetch([1], ahead=-1))


INTERRUPTED = """
import sys, time
from geosam.execute import run_in_order

def work(item):
    print("begun", item, flush=True)
    time.sleep(0.3)
    return item

try:
    for _ in run_in_order(work, range(1000), threads=2, ahead=100):
        pass
except KeyboardInterrupt:
    print("left", flush=True)
    sys.exit(130)
"""


def test_ctrl_c_cancels_what_waits():
    """Of a hundred items that wait, each of which takes its time, hardly one is begun any more."""
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("begun")
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(120) == 130
    assert "left" in rest
    assert rest.count("begun") < 50


# ------------------------------------------------------------------------------------------------------------- journal


def entry(number: int = 1) -> dict[str, np.ndarray]:
    labels = np.zeros((64, 64), np.int32)
    labels[10:20, 5:50] = number
    return {"labels": labels, "scores": np.array([0.5], np.float32), "empty": np.zeros((0, 4), np.float32)}


def same(one: dict[str, np.ndarray] | None, other: dict[str, np.ndarray]) -> bool:
    return one is not None and one.keys() == other.keys() and all((one[key] == other[key]).all() for key in other)


arrays = st.dictionaries(
    st.text("abcxyz_", min_size=1, max_size=6),
    npst.arrays(
        st.sampled_from(["int32", "float32", "bool", "uint8"]), npst.array_shapes(min_dims=0, min_side=0, max_side=5)
    ),
    max_size=3,
)


@given(arrays=arrays)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_entry_comes_back_as_it_went(tmp_path: Path, arrays: dict[str, np.ndarray]):
    with Journal(tmp_path / "journal", "run") as journal:
        journal.put("window-1", arrays)
        back = journal.get("window-1")
    assert back is not None
    assert back.keys() == arrays.keys()
    for key, array in arrays.items():
        assert (back[key].dtype, back[key].shape) == (array.dtype, array.shape)
        assert np.array_equal(back[key], array, equal_nan=array.dtype.kind == "f")


def test_an_empty_window_is_an_entry(tmp_path: Path):
    with Journal(tmp_path / "journal", "run") as journal:
        journal.put("window-1", {})
        assert journal.get("window-1") == {}
        assert journal.get("window-2") is None
        assert journal.names() == ["window-1"]


def test_a_run_goes_on_where_it_stopped(tmp_path: Path):
    key = {"scene": "0123", "model": "nano", "options": {"spacing": 32}}
    with Journal.beside(tmp_path / "out.gpkg", key) as journal:
        for number in (2, 1, 10):
            journal.put(f"window-{number:05d}", entry(number))
    assert [name for name in os.listdir(tmp_path) if not name.startswith(".")] == []
    with Journal.beside(tmp_path / "out.gpkg", dict(reversed(key.items()))) as journal:
        assert journal.names() == ["window-00001", "window-00002", "window-00010"]
        assert same(journal.get("window-00010"), entry(10))
        journal.remove()
    assert os.listdir(tmp_path) == []


def test_other_parameters_start_anew(tmp_path: Path):
    with Journal(tmp_path / "journal", {"model": "nano"}) as journal:
        journal.put("window-1", entry())
    with Journal(tmp_path / "journal", {"model": "vit_b"}) as journal:
        assert journal.names() == []
        assert journal.get("window-1") is None
    with Journal(tmp_path / "journal", {"model": "nano"}) as journal:
        assert journal.names() == []


@pytest.mark.parametrize("damage", ["cut", "flip", "garbage", "empty"])
def test_a_damaged_entry_is_none_and_removed(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture):
    with Journal(tmp_path / "journal", "run") as journal:
        journal.put("window-1", {"values": np.random.default_rng(1).random(1000)})
        (path,) = (tmp_path / "journal").glob("*.npz")
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        wrong = {"cut": content[: len(content) // 2], "flip": content, "garbage": b"garbage", "empty": b""}
        path.write_bytes(wrong[damage])
        assert journal.get("window-1") is None
        assert "damaged" in caplog.text
        assert journal.names() == []
        journal.put("window-1", entry())
        assert same(journal.get("window-1"), entry())


def test_a_damaged_key_starts_anew(tmp_path: Path):
    with Journal(tmp_path / "journal", "run") as journal:
        journal.put("window-1", entry())
    (tmp_path / "journal" / "run").write_bytes(b"\xff\xfe")
    with Journal(tmp_path / "journal", "run") as journal:
        assert journal.names() == []


def test_entries_are_put_from_many_threads(tmp_path: Path):
    with Journal(tmp_path / "journal", "run") as journal:
        list(run_in_order(lambda number: journal.put(f"w{number % 7}", entry(number % 7)), range(70), threads=4))
        assert all(same(journal.get(f"w{number}"), entry(number)) for number in range(7))


def test_names_that_leave_the_folder_are_refused(tmp_path: Path):
    with Journal(tmp_path / "journal", "run") as journal:
        for name in ("../up", "", ".hidden", "a/b"):
            with pytest.raises(OptionError, match="journal entry"):
                journal.put(name, entry())


def test_a_full_disk_leaves_no_half_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with Journal(tmp_path / "journal", "run") as journal:
        monkeypatch.setattr("geosam.execute.journal.os.replace", full)
        with pytest.raises(SinkError, match="the disk is full"):
            journal.put("window-1", entry())
        assert journal.get("window-1") is None
        assert [name for name in os.listdir(journal.folder) if "npz" in name] == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SinkError, match="cannot be written"):
        Journal(tmp_path / "file" / "journal", "run")


WRITER = """
import sys
import numpy as np
from geosam.execute import Journal

journal = Journal(sys.argv[1], "run")
number = 0
while True:
    journal.put(f"window-{number % 50:03d}", {"labels": np.full((256, 256), number, np.int32)})
    number += 1
    if number == 20:
        print("begun", flush=True)
"""


def begin(folder: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    return process


def end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    process.send_signal(how)
    process.communicate(timeout=120)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_leaves_whole_entries_only(tmp_path: Path, how: signal.Signals, caplog: pytest.LogCaptureFixture):
    folder = tmp_path / "journal"
    for _ in range(3):
        process = begin(folder)
        time.sleep(0.05)
        end(process, how)
        with Journal(folder, "run") as journal:
            assert len(journal.names()) >= 20
            for name in journal.names():
                back = journal.get(name)
                assert back is not None
                assert len(np.unique(back["labels"])) == 1
            left = {path.name for path in folder.iterdir()} - {f"{name}.npz" for name in journal.names()}
            assert left == {"lock", "lock.pid", "run"}
    assert "damaged" not in caplog.text


def test_two_runs_do_not_share_a_journal(tmp_path: Path):
    process = begin(tmp_path / "journal")
    try:
        with pytest.raises(SinkError, match=f"is being written by process {process.pid}: wait for it"):
            Journal(tmp_path / "journal", "run")
    finally:
        end(process, signal.SIGKILL)
    with Journal(tmp_path / "journal", "run") as journal:
        assert len(journal.names()) >= 20
        with pytest.raises(SinkError, match=f"process {os.getpid()}"):
            Journal(tmp_path / "journal", "other")
        assert len(journal.names()) >= 20


def _open_and_remove(folder: Path, rounds: int) -> int:
    held, deadline = 0, time.monotonic() + 120
    while held < rounds and time.monotonic() < deadline:
        try:
            journal = Journal(folder, "run")
        except SinkError:  # the other process holds it
            time.sleep(0.001)
            continue
        journal.put("mine", {"pid": np.array(os.getpid())})
        back = journal.get("mine")
        assert back is not None
        assert back["pid"] == os.getpid()
        journal.remove()
        held += 1
    return held


def test_removing_and_opening_at_the_same_time_is_safe(tmp_path: Path):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        held = list(pool.map(_open_and_remove, [tmp_path / "journal"] * 2, [50] * 2, timeout=240))
    assert held == [50, 50]


# ------------------------------------------------------------------------------------------------------------ progress


def test_a_bar_shows_how_far_the_work_is_and_its_rate():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Bar(console) as progress:
        with progress.stage("segment", 8, unit="windows", done=4) as stage:
            for _ in range(4):
                time.sleep(0.02)
                stage.advance()
        assert list(progress.track([1, 2, 3], "write", unit="polygons")) == [1, 2, 3]
        assert list(progress.track(iter([1, 2]), "read")) == [1, 2]
    shown = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]  # a StringIO, see above
    assert "segment" in shown
    assert "8/8" in shown
    assert "windows/s" in shown
    assert "3/3" in shown
    assert "2/2" in shown


def test_nothing_is_shown_where_nobody_watches(capsys: pytest.CaptureFixture[str]):
    for progress in (Progress(), progress_bar(), progress_bar(quiet=True)):
        with progress, progress.stage("segment", 3) as stage:
            stage.advance()
            stage.advance(2)
        assert list(progress.track(iter([1, 2]), "read")) == [1, 2]
    assert capsys.readouterr() == ("", "")


def test_a_bar_is_drawn_on_a_terminal_only():
    terminal = Console(file=io.StringIO(), force_terminal=True)
    assert type(progress_bar(console=terminal)) is Bar
    assert type(progress_bar(console=terminal, quiet=True)) is Progress
    assert type(progress_bar(console=Console(file=io.StringIO()))) is Progress


def test_an_error_passes_through_a_bar():
    console = Console(file=io.StringIO(), force_terminal=True)
    with pytest.raises(KeyboardInterrupt), Bar(console) as progress, progress.stage("segment", 3):
        raise KeyboardInterrupt
