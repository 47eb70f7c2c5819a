"""Embeddings on disk, by content: whoever asks twice encodes once.

A store is a folder. Every entry is a safetensors file of its own, ``ab/ab12….safetensors``, with one array for each
feature map and a checksum over all of them. It is written under a temporary name and renamed, so an entry is whole or
absent, whatever happens to the process. An entry that does not read back as it was written counts as absent, and is
removed. When the store outgrows its limit, the entries that were read least recently go.

Uncompressed, because half-precision features hardly compress and reading must be quick: 4 MB come back in a few
milliseconds, checksum included.
"""

import hashlib
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rasterio.windows import Window
from safetensors import safe_open
from safetensors.numpy import save

from geosam.errors import OptionError, StoreError

log = logging.getLogger(__name__)

LAYOUT = 2
"""Version of the entries' layout; part of every key. Those of the first were Zarr groups, and are removed."""

LEFTOVER_S = 3600.0
"""Age in seconds beyond which a temporary file belongs to a process that died."""

SPARE = 0.9
"""Share of the limit to which a full store is emptied, so that not every entry has to make room for itself."""


class StoreStats(NamedTuple):
    """How full a store is: entries, their bytes, and the limit."""

    entries: int
    size: int
    max_bytes: int


class _Entry(NamedTuple):
    used: float
    size: int
    path: Path


class EmbeddingStore:
    """A folder of embeddings that threads, processes and machines may share.

    Parameters
    ----------
    folder
        Where the entries lie; made if it is not there.
    max_bytes
        Size beyond which the entries read least recently are removed.

    Raises
    ------
    OptionError
        If the limit is not positive.
    StoreError
        If the folder cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = EmbeddingStore(folder)
    ...     key = store.key("scene-fingerprint", Window(0, 0, 1024, 1024), model_key="nano-0123")
    ...     store.get(key) is None
    ...     store.put(key, (np.ones((2, 3, 3), np.float16),))
    ...     store.get(key)[0].shape, store.stats().entries
    True
    ((2, 3, 3), 1)
    """

    def __init__(self, folder: str | Path, max_bytes: int = 20 << 30) -> None:
        if max_bytes <= 0:
            raise OptionError(f"max_bytes={max_bytes}", expected="a positive number of bytes")
        self.folder, self.max_bytes = Path(folder), max_bytes
        self._temporary = self.folder / "tmp"
        self._unwatched = 0.0  # bytes that may still be written before the folder is looked through again
        try:
            self._temporary.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"no store at {folder} ({error})", expected="a folder that can be written") from error

    def __repr__(self) -> str:
        return f"EmbeddingStore({str(self.folder)!r}, max_bytes={self.max_bytes})"

    @staticmethod
    def key(scene_fingerprint: str, window: Window, *, model_key: str, **parts: object) -> str:
        """Name an entry by everything that its features depend on.

        Parameters
        ----------
        scene_fingerprint
            Identifies the source's content.
        window
            Pixels of the working grid.
        model_key
            Identifies the encoder's weights and precision.
        parts
            Whatever else changes the pixels, such as stretch, bands and resolution: strings, numbers, None, or tuples
            and dictionaries of them.

        Returns
        -------
        64 hexadecimal digits.

        Raises
        ------
        OptionError
            If a part is of another type, whose text might differ from run to run.
        """
        place = [int(number) for number in (window.col_off, window.row_off, window.width, window.height)]
        whole = {"layout": LAYOUT, "scene": scene_fingerprint, "window": place, "model": model_key, "parts": parts}
        try:
            text = json.dumps(whole, sort_keys=True)
        except TypeError as error:
            raise OptionError(
                f"a key made of {parts}", expected="strings, numbers, tuples and dicts of them"
            ) from error
        return hashlib.sha256(text.encode()).hexdigest()

    def get(self, key: str) -> tuple[np.ndarray, ...] | None:
        """The arrays of an entry, or None if there is none; an entry that is damaged is removed."""
        path = self._path(key)
        try:
            if not path.exists():
                return None
            arrays = _read(path, key)
        except Exception as error:  # whatever a damaged file provokes, the entry is of no use
            if os.path.exists(path):  # else another process removed it while it was read
                log.warning("embedding %s in %s is damaged and was removed: %r", key, self.folder, error)
                self._remove(path)
            return None
        with suppress(OSError):  # a folder that cannot be written serves all the same
            os.utime(path)
        return arrays

    def put(self, key: str, arrays: Sequence[np.ndarray]) -> None:
        """Write an entry and make room for it; nothing happens if it is there already.

        Raises
        ------
        StoreError
            If the folder cannot be written, as when the disk is full.
        """
        path, draft = self._path(key), self._temporary / uuid.uuid4().hex
        try:
            if path.exists():
                return
            _write(draft, key, arrays)
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(draft, path)
        except OSError as error:
            raise StoreError(
                f"cannot write to the store at {self.folder} ({error})",
                expected="a folder that can be written, and room on the disk",
                hint="empty the store, move it, or work without it",
            ) from error
        finally:
            _delete(draft)
        self._unwatched -= sum(array.nbytes for array in arrays)
        if self._unwatched <= 0:
            self._make_room()

    def stats(self) -> StoreStats:
        """Count the entries and their bytes."""
        entries = list(self._entries())
        return StoreStats(len(entries), sum(entry.size for entry in entries), self.max_bytes)

    def clear(self) -> None:
        """Remove every entry."""
        for entry in self._entries():
            self._remove(entry.path)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"

    def _entries(self) -> Iterator[_Entry]:
        """Every entry; those that another process removes meanwhile are left out."""
        for path in self.folder.glob("??/*.safetensors"):
            with suppress(FileNotFoundError):
                status = path.stat()
                yield _Entry(status.st_mtime, status.st_size, path)

    def _remove(self, path: Path) -> None:
        """Take an entry away at once for all readers, then delete it."""
        grave = self._temporary / uuid.uuid4().hex
        with suppress(OSError):  # another process was faster, or the folder cannot be written
            os.replace(path, grave)
            _delete(grave)

    def _make_room(self) -> None:
        """Remove what was read least recently if the limit is exceeded, and what dead processes left behind."""
        for outdated in self.folder.glob("??/*.zarr"):
            self._remove(outdated)
        entries = sorted(self._entries())
        size = sum(entry.size for entry in entries)
        if size > self.max_bytes:
            for entry in entries:
                if size <= SPARE * self.max_bytes:
                    break
                self._remove(entry.path)
                size -= entry.size
        # a quarter of what is free, because others may be writing as well
        self._unwatched = max((self.max_bytes - size) / 4, self.max_bytes / 100)
        for leftover in self._temporary.iterdir():
            with suppress(FileNotFoundError):
                if time.time() - leftover.stat().st_mtime > LEFTOVER_S:
                    _delete(leftover)


def _write(path: Path, key: str, arrays: Sequence[np.ndarray]) -> None:
    tensors = {str(number): np.ascontiguousarray(array) for number, array in enumerate(arrays)}
    path.write_bytes(save(tensors, {"checksum": _checksum(key, arrays)}))


def _read(path: Path, key: str) -> tuple[np.ndarray, ...]:
    """Read an entry; raises whatever safetensors raises, or `StoreError` where the checksum differs."""
    with safe_open(path, "np") as file:
        arrays = tuple(file.get_tensor(name) for name in sorted(file.keys(), key=int))
        checksum = (file.metadata() or {}).get("checksum")
    if _checksum(key, arrays) != checksum:  # flipped bits, or the file of another entry
        raise StoreError("an entry of the store has changed since it was written", expected="its checksum")
    for array in arrays:
        array.setflags(write=False)  # as the encoder gives them
    return arrays


def _checksum(key: str, arrays: Sequence[np.ndarray]) -> str:
    """SHA-256 over key, types, shapes and values."""
    digest = hashlib.sha256(key.encode())
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()


def _delete(path: Path) -> None:
    """Delete a file, or a folder such as older versions wrote; nothing happens if it cannot be."""
    with suppress(OSError):
        path.unlink()
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
