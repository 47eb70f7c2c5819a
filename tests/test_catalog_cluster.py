"""A catalog on a real dask cluster: the same bytes as in one process, whatever dies on the way."""

import contextlib
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import cloudpickle
import dask
import geopandas as gpd
import numpy as np
import pytest
import rasterio
from distributed import Client, LocalCluster, WorkerPlugin
from distributed.comm import CommClosedError

from geosam.catalog import Item, Manifest, merge, segment_catalog
from geosam.catalog import cluster as cluster_module
from geosam.errors import ClusterError
from geosam.execute import Progress, Stage
from geosam.testing import TruthNetwork, blob_labels, label_scene
from geosam.testing.scenes import TRANSFORM, pixels_to_labels

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # dask's own warnings are not ours to fix
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SHAPE = (64, 96)
MANY = 100
MEMORY = 1_500_000_000
"""Bytes that a worker may take; one that idles takes some 500 million."""

SMALL = {"spacing_px": 8, "labels": True}
NETWORK = TruthNetwork(side=48)


@dataclass(frozen=True)
class Deadly(TruthNetwork):
    """The perfect network, which dies as often as there are files in a folder, of what their names say."""

    lives: str = ""

    def encode(self, pixels):
        for path in Path(self.lives).iterdir():
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
                die_of(path.name)
        return super().encode(pixels)


@dataclass(frozen=True)
class Greedy(TruthNetwork):
    """The perfect network, which runs out of memory whenever it sees a label above `MANY`."""

    def encode(self, pixels):
        if pixels_to_labels(pixels).max() > MANY:
            die_of("memory")
        return super().encode(pixels)


def die_of(cause: str) -> None:
    """End the worker: at once, or by taking memory until its nanny ends it."""
    if cause != "memory":
        os.kill(os.getpid(), signal.SIGKILL)
    taken = [np.ones(MEMORY // 8, np.uint8) for _ in range(8)]
    time.sleep(60)
    raise AssertionError(f"{sum(map(len, taken))} bytes were taken, and nobody minded")


class Watching(Progress):
    """Does something when the first scene is done."""

    def __init__(self, act) -> None:
        self.act = act

    @contextlib.contextmanager
    def stage(self, *_, **__):
        stage = Stage()
        stage.advance = lambda count=1: self.act()
        yield stage


@pytest.fixture(scope="module")
def client():
    """Two processes; a scene that has seen one of them die is tried alone."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0, "distributed.comm.timeouts.connect": "120s"}),
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50, memory_limit=MEMORY
        ) as cluster,
        Client(cluster, timeout=120, set_as_default=False) as client,
    ):
        client.wait_for_workers(2, timeout=120)
        yield client


def grid(number: int):
    """The grid of the scene of that number: each overlaps the one before by a third."""
    return TRANSFORM @ TRANSFORM.translation(number * 64, 0)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    for number in range(5):
        labels = blob_labels(SHAPE, count=6, large=1, seed=number)
        label_scene(folder / f"scene-{number}.tif", labels, transform=grid(number))
    return folder


@pytest.fixture(scope="module")
def undisturbed(scenes, tmp_path_factory) -> dict[str, bytes]:
    """What a run in this process gives."""
    folder = tmp_path_factory.mktemp("undisturbed")
    segment_catalog(scenes, folder, model=NETWORK, **SMALL)
    return content(folder)


def content(folder: Path) -> dict[str, bytes]:
    """The bytes of every part and label raster, and of the merged layer."""
    kinds = ("parts/*.parquet", "labels/*.tif", "all.gpkg")
    merge(folder, folder / "all.gpkg", once=True)
    return {str(path.relative_to(folder)): path.read_bytes() for kind in kinds for path in folder.glob(kind)}


def rows(folder: Path):
    return Manifest(folder / "manifest.jsonl").rows


@pytest.mark.parametrize("how", [{"threads": 2}, {"threads": 3, "split": 2}, {"workers": 1}], ids=str)
def test_whatever_does_the_work_the_merged_layer_is_the_same_bytes(scenes, undisturbed, tmp_path, how):
    shuffled = random.Random(4).sample(paths := sorted(scenes.iterdir()), len(paths))
    assert shuffled != paths
    assert segment_catalog(shuffled, tmp_path, model=NETWORK, **how, **SMALL).done == 5
    assert content(tmp_path) == undisturbed


def test_two_workers_give_the_same_bytes(client, scenes, undisturbed, tmp_path):
    report = segment_catalog(scenes, tmp_path, model=NETWORK, scheduler=client, **SMALL)
    assert report.done == 5
    assert content(tmp_path) == undisturbed
    assert os.getpid() not in {int(row.worker.split(":")[1]) for row in rows(tmp_path).values()}
    assert segment_catalog(scenes, tmp_path, model=NETWORK, scheduler=client, **SMALL).kept == 5


def test_words_are_read_alike_by_two_workers_and_on_threads(client, scenes, tmp_path):
    asked = {"model": NETWORK, "text": "building, tree, water", "text_threshold": 0.01, "labels": True}
    folders = {name: tmp_path / name for name in ("alone", "threads", "workers")}
    for folder, how in zip(folders.values(), ({}, {"threads": 2}, {"scheduler": client}), strict=True):
        assert segment_catalog(scenes, folder, **how, **asked).done == 5
    found = {name: content(folder) for name, folder in folders.items()}
    assert found["workers"] == found["threads"] == found["alone"]
    assert set(gpd.read_file(folders["alone"] / "all.gpkg", layer="all").label) <= {"building", "tree", "water"}
    assert len(gpd.read_file(folders["alone"] / "all.gpkg", layer="all")) > 0


def test_a_scene_in_pieces_gives_the_same_bytes(client, scenes, undisturbed, tmp_path):
    report = segment_catalog(scenes, tmp_path, model=NETWORK, scheduler=client, split=2, **SMALL)
    assert report.done == 5
    assert content(tmp_path) == undisturbed
    assert not [path for path in (tmp_path / "parts").iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("split", [256, 2])
def test_a_worker_that_is_killed_loses_nothing(client, scenes, undisturbed, tmp_path, split):
    (lives := tmp_path / "lives").mkdir()
    (lives / "one").touch()
    network = Deadly(side=48, lives=str(lives))
    report = segment_catalog(scenes, tmp_path / "run", model=network, scheduler=client, split=split, **SMALL)
    assert not list(lives.iterdir())
    assert (report.done, report.failed) == (5, [])
    assert content(tmp_path / "run") == undisturbed


def test_a_scene_that_no_worker_survives_is_named_and_the_others_are_done(client, scenes, tmp_path):
    copies, folder = shutil.copytree(scenes, tmp_path / "scenes"), tmp_path / "run"
    labels = blob_labels(SHAPE, count=6, large=1, seed=1)
    label_scene(copies / "scene-1.tif", np.where(labels > 0, labels + MANY, 0), transform=grid(1))
    report = segment_catalog(copies, folder, model=Greedy(side=48), scheduler=client, **SMALL)
    assert [row.name for row in report.failed] == ["scene-1"]
    assert "out of memory" in report.failed[0].reason
    assert report.done == 4
    again = segment_catalog(copies, folder, model=NETWORK, scheduler=client, **SMALL)
    assert (again.kept, again.done) == (4, 1)
    segment_catalog(copies, tmp_path / "whole", model=NETWORK, **SMALL)
    assert content(folder) == content(tmp_path / "whole")


def test_an_interrupted_client_goes_on(client, scenes, undisturbed, tmp_path):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segment_catalog(scenes, tmp_path, model=NETWORK, scheduler=client, progress=Watching(interrupt), **SMALL)
    assert len(rows(tmp_path)) == 1
    deadline = time.monotonic() + 60
    while client.processing() != dict.fromkeys(client.processing(), ()) and time.monotonic() < deadline:
        time.sleep(0.2)
    report = segment_catalog(scenes, tmp_path, model=NETWORK, scheduler=client, **SMALL)
    assert (report.kept, report.done) == (1, 4)
    assert content(tmp_path) == undisturbed


def test_every_fault_at_once_and_the_merged_layer_is_that_of_an_undisturbed_run(client, scenes, tmp_path):
    """Disk full; unreadable, damaged, without its asset; workers killed and out of memory; then all is well again."""
    copies = shutil.copytree(scenes, tmp_path / "scenes")
    (lives := tmp_path / "lives").mkdir()
    network, folder = Deadly(side=48, lives=str(lives)), tmp_path / "run"

    def run(**changes):
        items = [Item(path.stem, (changes.get(path.stem, str(path)),)) for path in sorted(copies.iterdir())]
        return segment_catalog(items, folder, model=network, scheduler=client, **SMALL)

    client.run(limit_files, 600)
    full = run()
    client.run(limit_files, resource.RLIM_INFINITY)
    assert len(full.failed) == 5
    assert all("larger than files may be" in row.reason for row in full.failed)
    (copies / "scene-1.tif").write_text("no raster")
    break_block(copies / "scene-2.tif")
    for cause in ("kill", "memory"):
        (lives / cause).touch()
    failed = {row.name: row for row in run(**{"scene-3": "asset nir of item scene-3"}).failed}
    assert {row.attempts for row in failed.values()} == {1}
    assert not list(lives.iterdir())
    fatal = failed.keys() - {"scene-1", "scene-2", "scene-3"}
    assert len(failed) == 3 + len(fatal) <= 4  # one scene may have seen both deaths, the second one alone
    assert all("died" in failed[name].reason for name in fatal)
    assert "cannot be opened" in rows(folder)["scene-1"].reason
    assert re.search("cannot be read|died", rows(folder)["scene-2"].reason)  # or its worker was killed each time
    assert "asset nir" in rows(folder)["scene-3"].reason
    for number in (1, 2):
        shutil.copy(scenes / f"scene-{number}.tif", copies)
    again = run()
    assert (again.kept, again.done, again.failed) == (5 - len(failed), len(failed), [])
    segment_catalog(copies, tmp_path / "whole", model=NETWORK, **SMALL)
    assert content(folder) == content(tmp_path / "whole")


def limit_files(size: int) -> None:
    """Let no file of this process grow beyond a size, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def break_block(path: Path) -> None:
    """Damage the pixels of a file, not its header."""
    with rasterio.open(path) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(64))


def test_a_scheduler_that_is_lost_is_one_clear_error(scenes, undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_module, "PATIENCE_S", 60.0)
    address = tmp_path / "scheduler.json"
    told = ["--scheduler-file", str(address)]
    scheduler = ["distributed.cli.dask_scheduler", *told, "--port", "0", "--no-dashboard"]
    worker = ["distributed.cli.dask_worker", *told, "--no-nanny", "--nthreads", "1", "--no-dashboard"]
    worker += ["--death-timeout", "120"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with contextlib.ExitStack() as stack:
        running = []
        for words in (scheduler, worker):
            running.append(subprocess.Popen([sys.executable, "-m", *words], cwd=tmp_path, **quiet))
            stack.callback(running[-1].wait, timeout=120)
            stack.callback(running[-1].kill)
        client = stack.enter_context(
            Client(scheduler_file=str(address), timeout=120, set_as_default=False, heartbeat_interval=500)
        )
        client._timeout = 1  # seconds that it tries to find the scheduler again
        with pytest.raises(ClusterError, match="goes on from what is done"):
            segment_catalog(
                scenes, tmp_path / "run", model=NETWORK, scheduler=client, progress=Watching(running[0].kill), **SMALL
            )
    assert 1 <= len(rows(tmp_path / "run")) < 5
    assert segment_catalog(scenes, tmp_path / "run", model=NETWORK, **SMALL).done < 5
    assert content(tmp_path / "run") == undisturbed


@pytest.mark.parametrize(
    "address", ["x", "http://127.0.0.1:8786", "tcp://127.0.0.1:1", "tcp://host:99999", "tcp://[::1", "tcp://a\0:1"]
)
def test_no_cluster_at_an_address_is_one_clear_error(scenes, tmp_path, address):
    with pytest.raises(ClusterError, match="no cluster"):
        segment_catalog(scenes, tmp_path, model=NETWORK, scheduler=address, **SMALL)


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-OpenSSH"])
def test_something_else_that_answers_is_no_cluster(scenes, tmp_path, monkeypatch, greeting):
    monkeypatch.setattr(cluster_module, "CONNECT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        greeter = threading.Thread(target=greet, args=(server, greeting), daemon=True)
        greeter.start()
        with pytest.raises(ClusterError, match="no cluster"):
            segment_catalog(scenes, tmp_path, model=NETWORK, scheduler=address, **SMALL)
        greeter.join(10)


def greet(server: socket.socket, greeting: bytes) -> None:
    """Say something to whoever comes, and wait until it goes."""
    peer, _ = server.accept()
    with peer:
        peer.sendall(greeting)
        peer.settimeout(5)
        with contextlib.suppress(OSError):
            peer.recv(1)


def test_workers_that_die_while_they_start_are_started_again(monkeypatch):
    deaths = [RuntimeError("Nanny failed to start.")] * (cluster_module.STARTS - 1)

    def start(workers):
        if deaths:
            raise deaths.pop()
        return f"{workers} workers"

    monkeypatch.setattr(cluster_module, "_local", start)
    assert cluster_module._start(2) == "2 workers"
    deaths += [RuntimeError("Nanny failed to start.")] * cluster_module.STARTS
    with pytest.raises(ClusterError, match="died while they started"):
        cluster_module._start(2)


def test_a_worker_that_dies_while_it_is_told_the_job_is_told_again(monkeypatch):
    monkeypatch.setattr(cluster_module, "PAUSE_S", 0.0)
    deaths = [CommClosedError("in <TCP (closed)>")] * (cluster_module.STARTS - 1)

    class Dying:
        def register_plugin(self, plugin, name):
            if deaths:
                raise deaths.pop()

    cluster_module._register(Dying(), WorkerPlugin(), "job")
    assert deaths == []
    deaths += [CommClosedError("in <TCP (closed)>")] * cluster_module.STARTS
    with pytest.raises(ClusterError, match="goes on from what is done"):
        cluster_module._register(Dying(), WorkerPlugin(), "job")


def test_a_script_needs_no_main_guard(scenes, undisturbed, tmp_path):
    script = tmp_path / "job.py"
    script.write_text(
        "from geosam.catalog import segment_catalog\n"
        "from geosam.testing import TruthNetwork\n"
        "class Mine(TruthNetwork):\n    pass\n"
        f"found = segment_catalog({str(scenes)!r}, 'run', workers=1, model=Mine(side=48), spacing_px=8, labels=True)\n"
        "print(found.done)\n"
    )
    how = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 240}
    done = subprocess.run([sys.executable, script], check=False, **how)
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\n", "")
    assert content(tmp_path / "run").keys() == undisturbed.keys()
