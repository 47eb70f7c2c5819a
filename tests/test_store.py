import logging
import multiprocessing
import os
import pickle
import shutil
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.windows import Window
from safetensors.numpy import load_file

from geosam.errors import OptionError, StoreError
from geosam.store import LEFTOVER_S, EmbeddingStore

WINDOW = Window(0, 0, 64, 64)


def features(seed=0, shape=(4, 8, 8)):
    rng = np.random.default_rng(seed)
    fine = (2, 2 * shape[1], 2 * shape[2])
    return rng.normal(size=shape).astype(np.float16), rng.normal(size=fine).astype(np.float16)


def name(number):
    return EmbeddingStore.key("scene", Window(number, 0, 64, 64), model_key="m")


def same(one, other):
    return one is not None and len(one) == len(other) and all((a == b).all() for a, b in zip(one, other, strict=True))


def files(store):
    return sorted(path for path in store.folder.rglob("*") if path.is_file())


@pytest.fixture
def store(tmp_path):
    return EmbeddingStore(tmp_path / "store")


def test_an_entry_comes_back_as_it_was(store):
    assert store.get(name(0)) is None
    store.put(name(0), features())
    back = store.get(name(0))
    assert same(back, features())
    assert [array.dtype for array in back] == [np.float16, np.float16]
    assert store.stats().entries == 1
    assert store.stats().size > sum(array.nbytes for array in features())


def test_entries_are_safetensors_files(store):
    store.put(name(0), features())
    arrays = load_file(store.folder / name(0)[:2] / f"{name(0)}.safetensors")
    assert (arrays["1"] == features()[1]).all()


def test_entries_of_the_first_layout_go(store):
    group = store.folder / "ab" / "abcd.zarr"
    (group / "0").mkdir(parents=True)
    (group / "0" / "c.0").write_bytes(b"old")
    store.put(name(0), features())
    assert not group.exists()
    assert store.stats().entries == 1


def test_all_zero_features_come_back(store):
    store.put(name(0), (np.zeros((2, 3, 3), np.float16),))
    assert same(store.get(name(0)), (np.zeros((2, 3, 3), np.float16),))


def test_a_key_names_everything_the_features_depend_on():
    keys = {
        EmbeddingStore.key("scene", WINDOW, model_key="m"),
        EmbeddingStore.key("other", WINDOW, model_key="m"),
        EmbeddingStore.key("scene", Window(1, 0, 64, 64), model_key="m"),
        EmbeddingStore.key("scene", WINDOW, model_key="n"),
        EmbeddingStore.key("scene", WINDOW, model_key="m", bands=(1, 2, 3)),
        EmbeddingStore.key("scene", WINDOW, model_key="m", bands=(3, 2, 1)),
        EmbeddingStore.key("scene", WINDOW, model_key="m", stretch={"low": (0.0,), "high": (1.0,)}),
    }
    assert len(keys) == 7
    assert all(len(key) == 64 for key in keys)
    # known value: keys must not change from run to run, nor from one machine to the next
    assert EmbeddingStore.key("scene", WINDOW, model_key="m").startswith("8e663c59b2341126")


def test_a_key_of_numpy_offsets_is_the_key_of_plain_ones():
    numpy_window = Window(np.int64(0), np.int32(0), np.int64(64), 64.0)
    assert EmbeddingStore.key("scene", numpy_window, model_key="m") == EmbeddingStore.key(
        "scene", WINDOW, model_key="m"
    )


def test_a_key_of_objects_is_refused():
    with pytest.raises(OptionError, match="strings, numbers"):
        EmbeddingStore.key("scene", WINDOW, model_key="m", stretch=object())


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_must_be_positive(tmp_path, limit):
    with pytest.raises(OptionError, match="positive"):
        EmbeddingStore(tmp_path, limit)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="can be written"):
        EmbeddingStore(tmp_path / "file" / "store")


def test_a_folder_that_cannot_be_written_is_an_error(store):
    shutil.rmtree(store.folder)
    store.folder.touch()
    with pytest.raises(StoreError, match="work without it"):
        store.put(name(0), features())


class TestDamage:
    @given(where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_a_changed_byte_never_gives_other_features(self, store, where, flip):
        store.put(name(0), features())
        path = files(store)[0]
        content = bytearray(path.read_bytes())
        content[int(where * len(content))] ^= flip
        path.write_bytes(content)
        back = store.get(name(0))
        assert back is None or same(back, features())  # a byte of the metadata may mean nothing
        assert (back is None) == (store.stats().entries == 0)
        store.clear()

    @pytest.mark.parametrize("share", [0.0, 0.02, 0.5])
    def test_a_short_file_is_a_miss_and_is_recomputed(self, store, share, caplog):
        store.put(name(0), features())
        (path,) = files(store)
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        with caplog.at_level(logging.WARNING, "geosam.store"):
            assert store.get(name(0)) is None
        assert "damaged and was removed" in caplog.text
        assert files(store) == []
        store.put(name(0), features())
        assert same(store.get(name(0)), features())

    def test_the_file_of_another_entry_is_not_believed(self, store):
        store.put(name(0), features(0))
        (path,) = files(store)
        store.put(name(1), features(1))
        other = store.folder / name(1)[:2] / f"{name(1)}.safetensors"
        shutil.copy(path, other)
        assert store.get(name(1)) is None
        assert same(store.get(name(0)), features(0))


class TestLimit:
    size = 3000

    def fill(self, store, numbers):
        for number in numbers:
            store.put(name(number), (np.full((self.size // 2,), number + 1, np.float16),))
            age(store, number, number)

    def test_the_least_recently_read_go_first(self, tmp_path):
        self.fill(EmbeddingStore(tmp_path), [0])
        store = EmbeddingStore(tmp_path, int(4.5 * EmbeddingStore(tmp_path).stats().size))
        self.fill(store, range(4))
        age(store, 3, 0)
        assert store.get(name(0)) is not None  # reading makes it the youngest
        self.fill(store, [4, 5])
        assert store.stats().size <= store.max_bytes
        assert store.get(name(0)) is not None
        assert store.get(name(3)) is None
        assert store.get(name(5)) is not None

    def test_a_store_that_another_process_fills_is_kept_within_its_limit(self, tmp_path):
        one, other = EmbeddingStore(tmp_path, 60_000), EmbeddingStore(tmp_path, 60_000)
        for number in range(40):
            self.fill((one, other)[number % 2], [number])
            assert one.stats().size < 60_000 + 5000
        assert one.stats().entries > 8

    def test_an_entry_larger_than_the_limit_is_not_kept(self, tmp_path):
        store = EmbeddingStore(tmp_path, 1000)
        self.fill(store, [1])
        assert store.stats().entries == 0

    def test_clear_removes_everything(self, store):
        self.fill(store, range(3))
        store.clear()
        assert store.stats()[:2] == (0, 0)
        assert store.get(name(1)) is None


def age(store, number, seconds):
    """Pretend that an entry was last read long ago, `seconds` after the oldest."""
    path = store.folder / name(number)[:2] / f"{name(number)}.safetensors"
    if path.exists():
        os.utime(path, (1e9 + seconds, 1e9 + seconds))


def test_what_a_dead_process_left_behind_goes(tmp_path):
    store = EmbeddingStore(tmp_path)
    for leftover, seconds in (("old", LEFTOVER_S + 60), ("young", 0)):
        (tmp_path / "tmp" / leftover).mkdir()
        made = time.time() - seconds
        os.utime(tmp_path / "tmp" / leftover, (made, made))
    store.put(name(0), features())
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["young"]


def test_a_store_travels_to_workers(store):
    store.put(name(0), features())
    assert same(pickle.loads(pickle.dumps(store)).get(name(0)), features())


def test_threads_share_a_store(store):
    def use(number):
        store.put(name(number % 7), features(number % 7))
        return same(store.get(name(number % 7)), features(number % 7))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(60)))
    assert store.stats().entries == 7


def write_and_read(folder: Path, start: int, barrier) -> int:
    """Put and get the same twelve entries as every other process, each in another order; count wrong answers."""
    store = EmbeddingStore(folder, 30_000)  # so small that entries come and go all the time
    barrier.wait()
    wrong = 0
    for number in (np.arange(48) * 5 + start) % 12:
        store.put(name(int(number)), features(int(number)))
        back = store.get(name(int(number)))
        wrong += back is not None and not same(back, features(int(number)))
    return wrong


def test_processes_share_a_store(tmp_path):
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(3, mp_context=context) as pool:
        barrier = manager.Barrier(3, timeout=120)
        assert list(pool.map(write_and_read, [tmp_path] * 3, (0, 4, 8), [barrier] * 3, timeout=240)) == [0, 0, 0]
    store = EmbeddingStore(tmp_path)
    assert 0 < store.stats().size < 40_000
    assert list((tmp_path / "tmp").iterdir()) == []
    for number in range(12):
        assert store.get(name(number)) is None or same(store.get(name(number)), features(number))


def write_forever(folder: Path) -> None:
    """Put new entries until killed."""
    store, number = EmbeddingStore(folder), 0
    while True:
        store.put(name(number), features(number, (64, 64, 64)))
        number += 1


def test_a_killed_writer_leaves_only_whole_entries(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=write_forever, args=(tmp_path,))
    process.start()
    deadline = time.monotonic() + 120
    while EmbeddingStore(tmp_path).stats().entries < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.join()
    store = EmbeddingStore(tmp_path)
    entries = store.stats().entries
    assert entries >= 5
    assert all(same(store.get(name(number)), features(number, (64, 64, 64))) for number in range(entries))
