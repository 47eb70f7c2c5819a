"""Windows that the model has seen: encoded on one thread, ahead of the hand, and kept in bounded memory.

Which window answers a click depends on the click alone, never on what is there already: windows lie on a fixed lattice
and share half their side with each neighbour, so that a click is at least a quarter of a window away from every edge
beyond which the scene goes on.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from geosam.arrays import Valid
from geosam.embeddings import Embedding, embed, recall
from geosam.errors import GeosamError, StoreError
from geosam.pipeline.prompted import Level
from geosam.scene import Scene
from geosam.segmenter import Segmenter
from geosam.store import EmbeddingStore
from geosam.windows import WindowPlan

_log = logging.getLogger(__name__)

SHARED = 2
"""Neighbouring windows share one part in so many of their side."""

CALM_S = 0.25
"""Seconds without a question after which windows are encoded that nobody has asked for: both would slow each other."""

WAITING = 64
"""Windows that wait to be encoded at most; older wishes are forgotten."""

FAILED = 256
"""Windows that could not be encoded and are remembered with the reason."""


class Spot(NamedTuple):
    """A window of the lattice: the number of the level, and the window's place in the level's plan."""

    level: int
    place: int


@dataclass(frozen=True, eq=False)
class Seen:
    """A window that was encoded.

    Attributes
    ----------
    embedding
        What the model made of it.
    valid
        True where it has data.
    """

    embedding: Embedding
    valid: Valid

    @property
    def size(self) -> int:
        """Bytes."""
        return self.valid.nbytes + sum(array.nbytes for array in self.embedding.arrays)


def lattice(scene: Scene, side: int) -> list[Level]:
    """The scene at full, half, quarter … resolution, down to where one window shows all of it, each with its windows.

    Examples
    --------
    >>> import tempfile
    >>> from geosam.scene import open_scene
    >>> from geosam.testing import coordinate_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scene = open_scene(coordinate_scene(folder + "/xy.tif", (300, 500)))
    ...     [(level.scene.shape, level.plan.grid) for level in lattice(scene, 256)]
    [((300, 500), (2, 3)), ((150, 250), (1, 1))]
    """
    levels: list[Level] = []
    while not levels or len(levels[-1].plan) > 1:
        view = scene.coarsened(2.0 ** len(levels)) if levels else scene
        levels.append(Level(len(levels), view, WindowPlan(view.shape, size=side, overlap=side // SHARED)))
    return levels


class Warmth:
    """The windows that are encoded, and the thread that encodes them.

    Parameters
    ----------
    scene, network
        What is seen, and by whom.
    memory
        Bytes of windows that are kept; those looked at least recently go first. One of each level always stays, since a
        large object may take as many.
    store
        Embeddings on disk, from earlier times and for later ones; None for none.
    """

    def __init__(
        self, scene: Scene, network: Segmenter, *, memory: int = 1 << 30, store: EmbeddingStore | None = None
    ) -> None:
        self.scene, self.network, self.memory, self.store = scene, network, memory, store
        self.levels = lattice(scene, network.side)
        self._seen: OrderedDict[Spot, Seen] = OrderedDict()
        self._wanted: OrderedDict[Spot, bool] = OrderedDict()  # whether somebody waits for it; the next one is last
        self._failed: OrderedDict[Spot, GeosamError] = OrderedDict()
        self._now: Spot | None = None
        self._asked = 0.0
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def close(self, patience: float | int | None = None) -> bool:
        """End the thread, after the window in hand, waiting so many seconds at most; tells whether it has ended."""
        with self._changed:
            self._closed = True
            self._wanted.clear()
            self._changed.notify_all()
        if self._thread is None:
            return True
        self._thread.join(patience)
        return not self._thread.is_alive()

    def get(self, spot: Spot) -> Seen | None:
        """A window if it is there.

        Raises
        ------
        GeosamError
            That it could not be encoded for.
        """
        with self._changed:
            self._asked = time.monotonic()
            failed = self._failed.pop(spot, None)  # asked again, it is tried again
            if failed is not None:
                raise failed
            if spot in self._seen:
                self._seen.move_to_end(spot)
            return self._seen.get(spot)

    def want(self, spots: Iterable[Spot]) -> None:
        """Have windows encoded next, those named first before the others."""
        self._add(reversed(list(spots)), waited_for=True)

    def ahead(self, spots: Sequence[Spot]) -> None:
        """Have windows encoded once nobody waits for others, those named first before the others."""
        self._add(spots, waited_for=False)

    def wait(self, spot: Spot, seconds: float | int) -> Seen | None:
        """A window, after waiting for it so long at most."""
        end = time.monotonic() + seconds
        with self._changed:
            while spot not in self._seen and spot not in self._failed and not self._closed:
                if not self._changed.wait(max(0.0, end - time.monotonic())) and time.monotonic() >= end:
                    break
        return self.get(spot)

    def around(self, spot: Spot) -> list[Spot]:
        """The windows beside one, those that share most with it first."""
        plan = self.levels[spot.level].plan
        rows, cols = plan.grid
        row, col = divmod(spot.place, cols)
        steps = ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))
        there = [(row + down, col + right) for down, right in steps]
        return [Spot(spot.level, r * cols + c) for r, c in there if 0 <= r < rows and 0 <= c < cols]

    def state(self, spot: Spot) -> str:
        """Whether a window is ``warm``, ``encoding`` (or waits for it), or ``cold``."""
        with self._changed:
            if spot in self._seen:
                return "warm"
            return "encoding" if spot in self._wanted or spot == self._now else "cold"

    @property
    def busy(self) -> int:
        """How many windows are being encoded or waited for."""
        with self._changed:
            return sum(self._wanted.values()) + (self._now is not None)

    def __len__(self) -> int:
        return len(self._seen)

    def look(self, level: Level, index: int) -> Seen:
        """Encode a window of a level at once, on the thread that calls; it is not kept."""
        chip = level.scene.read(level.plan[index].window)
        return Seen(embed(chip, self.network), chip.valid)

    def _add(self, spots: Iterable[Spot], *, waited_for: bool) -> None:
        with self._changed:
            for spot in spots:
                if spot in self._seen or spot == self._now or (spot in self._wanted and not waited_for):
                    continue
                self._wanted[spot] = waited_for or self._wanted.get(spot, False)
                self._wanted.move_to_end(spot, last=waited_for)
            while len(self._wanted) > WAITING:
                self._wanted.popitem(last=False)
            if self._wanted and self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._work, name="geosam-encode", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _work(self) -> None:
        while (spot := self._next()) is not None:
            found: Seen | GeosamError
            try:
                found = self._encode(spot)
            except GeosamError as error:
                found = error
            except Exception as error:  # the thread goes on, whatever one window provokes
                _log.warning("window %s could not be encoded: %r", spot, error)
                found = GeosamError(f"window {spot.place} could not be encoded ({type(error).__name__})")
            with self._changed:
                self._now = None
                if isinstance(found, GeosamError):
                    self._failed[spot] = found
                    while len(self._failed) > FAILED:
                        self._failed.popitem(last=False)
                else:
                    self._keep(spot, found)
                self._changed.notify_all()

    def _next(self) -> Spot | None:
        """The next window, as soon as it is time for it; None at the end."""
        with self._changed:
            while not self._closed:
                spot = next(reversed(self._wanted), None)
                calm = time.monotonic() - self._asked
                if spot is not None and (self._wanted[spot] or calm >= CALM_S):
                    del self._wanted[spot]
                    self._now = spot
                    return spot
                self._changed.wait(None if spot is None else CALM_S - calm)
        return None

    def _encode(self, spot: Spot) -> Seen:
        level = self.levels[spot.level]
        chip = level.scene.read(level.plan[spot.place].window)
        key = EmbeddingStore.key(level.scene.fingerprint, chip.window, model_key=self.network.key)
        arrays = None if self.store is None else self.store.get(key)
        if arrays is not None:
            return Seen(recall(chip, arrays, self.network), chip.valid)
        embedding = embed(chip, self.network)
        if self.store is not None:
            with suppress(StoreError):  # it only saves time
                self.store.put(key, embedding.arrays)
        return Seen(embedding, chip.valid)

    def _keep(self, spot: Spot, seen: Seen) -> None:
        self._seen[spot] = seen
        size = sum(each.size for each in self._seen.values())
        while size > self.memory and len(self._seen) > len(self.levels):
            size -= self._seen.popitem(last=False)[1].size


def no_data(valid: Valid, x: float, y: float) -> bool:
    """Whether a place in pixels of a window has no data."""
    h, w = valid.shape
    row, col = min(max(int(np.floor(y)), 0), h - 1), min(max(int(np.floor(x)), 0), w - 1)
    return not bool(valid[row, col])
