"""Graphics cards on a dask cluster: a scene claims one of a worker that offers it, and no two scenes share one."""

import logging
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from distributed import Client, LocalCluster, get_worker

from geosam.catalog import cluster as cluster_module
from geosam.catalog import schedule, segment_catalog
from geosam.catalog.cluster import Workers
from geosam.catalog.job import Job, ModelSpec
from geosam.errors import ClusterError
from geosam.testing import TruthNetwork, blob_labels, label_scene
from geosam.testing.scenes import TRANSFORM

pytestmark = pytest.mark.filterwarnings("default")  # dask's own warnings are not ours to fix

lock = threading.Lock()
busy: Counter[str] = Counter()
peaks: Counter[str] = Counter()
claims: list[object] = []


class Watched(TruthNetwork):
    """The perfect network, which notes how many scenes each worker is busy with and what they claim."""

    def encode(self, pixels):
        worker = get_worker()
        with lock:
            busy[worker.address] += 1
            peaks[worker.address] = max(peaks[worker.address], busy[worker.address])
            claims.append(worker.state.tasks[worker.get_current_task()].resource_restrictions)
        time.sleep(0.05)
        with lock:
            busy[worker.address] -= 1
        return super().encode(pixels)


@pytest.fixture(scope="module")
def client():
    """Two workers of two threads and one graphics card each, as they say; all within this process."""
    asked = {"n_workers": 2, "threads_per_worker": 2, "resources": {"GPU": 1}, "processes": False}
    with (
        LocalCluster(**asked, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(2, timeout=120)
        yield client
    logging.getLogger("geosam.prompts").setLevel(logging.NOTSET)  # as it was before the workers' plugin


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    (tmp_path / "scenes").mkdir()
    for number in range(6):
        grid = TRANSFORM @ TRANSFORM.translation(number * 64, 0)
        labels = blob_labels((48, 64), count=3, large=0, seed=number)
        label_scene(tmp_path / "scenes" / f"{number}.tif", labels, transform=grid)
    return tmp_path / "scenes"


def test_each_scene_claims_a_card_where_workers_offer_some(client, scenes, tmp_path):
    for counted in (busy, peaks, claims):
        counted.clear()
    report = segment_catalog(scenes, tmp_path / "run", model=Watched(side=64), scheduler=client, spacing_px=8)
    assert (report.done, report.failed) == (6, [])
    assert set(peaks.values()) == {1}
    assert claims == [{"GPU": 1}] * 6


def test_a_claim_that_no_worker_meets_is_one_clear_error(client, scenes, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_module, "PATIENCE_S", 0.3)
    monkeypatch.setattr(schedule, "WAIT_S", 0.1)
    with pytest.raises(ClusterError, match=r"no worker that offers \{'GPU': 2.0\}"):
        segment_catalog(scenes, tmp_path / "run", model=Watched(side=64), scheduler=client, resources={"GPU": 2.0})


@pytest.mark.parametrize(("resources", "limit"), [(None, 6), ({"GPU": 1.0}, 6), ({"GPU": 0.5}, 10), ({}, 10)])
def test_twice_as_many_scenes_are_under_way_as_can_be_worked_on(client, tmp_path, resources, limit):
    job = Job(tmp_path, ModelSpec.of(TruthNetwork()))
    with Workers(client, job, resources=resources) as workers:
        assert workers.limit == limit
