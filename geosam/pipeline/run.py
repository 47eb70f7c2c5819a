"""One run: a request, and where its results are kept while it goes on."""

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from rasterio.windows import Window

from geosam.embeddings import Embedding, embed_many, recall
from geosam.errors import StoreError
from geosam.execute import Journal, Progress, prefetch
from geosam.models import cache_folder
from geosam.pipeline.options import Report
from geosam.pipeline.request import Request
from geosam.scene import Chip, Scene
from geosam.segmenter import Segmenter
from geosam.store import EmbeddingStore
from geosam.windows import WindowPlan

_log = logging.getLogger(__name__)

AHEAD = 2
"""Windows that are read before they are asked for."""

ROOM = 4 << 30
"""Bytes of windows' features that are kept on disk meanwhile, where a run has no store."""

AUTO_STORE_BYTES = 4 << 30
"""Limit of the store in the cache folder."""


@dataclass
class Run:
    """A request that is being carried out.

    Attributes
    ----------
    request
        The scene, the network, the options and the prompts.
    journal
        Results of windows, kept until the output is whole, so that an interrupted run can go on.
    store
        Embeddings kept for later runs, or None.
    progress
        Shows how far the run is.
    report
        What was done so far.
    prefix
        What the journal's names begin with, where several views of a scene share it.
    """

    request: Request
    journal: Journal
    store: EmbeddingStore | None = None
    progress: Progress = field(default_factory=Progress)
    report: Report = field(default_factory=Report)
    prefix: str = ""

    @property
    def scene(self) -> Scene:
        """The scene at its working resolution."""
        return self.request.scene

    @property
    def network(self) -> Segmenter:
        """The encoder and decoder."""
        return self.request.network

    @property
    def tolerance_px(self) -> float:
        """The tolerance of the simplification in pixels of the scene."""
        return self.request.options.simplify / self.scene.frame.resolution

    def plan(self) -> WindowPlan:
        """The windows of the scene."""
        return self.request.options.plan(self.scene.shape, side=self.network.side)

    def embed(self, scene: Scene, chip: Chip) -> Embedding:
        """The chip's embedding, from the store where it has one, else encoded and kept if the store has room."""
        return self._embed(scene, [chip])[0]

    def embed_each(self, scene: Scene, windows: Iterable[Window]) -> Iterator[tuple[Chip, Embedding]]:
        """Windows in their order, read ahead; as many as the network takes at once are encoded together."""
        several = self.network.capabilities.max_windows
        chips = prefetch((scene.read(window) for window in windows), ahead=max(AHEAD, several))
        while some := list(islice(chips, several)):
            yield from zip(some, self._embed(scene, some), strict=True)

    def _embed(self, scene: Scene, chips: Sequence[Chip]) -> list[Embedding]:
        found = [self._recall(scene, chip) for chip in chips]
        missing = [row for row, embedding in enumerate(found) if embedding is None]
        made = embed_many([chips[row] for row in missing], self.network)
        for row, embedding in zip(missing, made, strict=True):
            found[row] = embedding
            self._keep(scene, embedding)
        self.report.encoded += len(missing)
        self.report.recalled += len(chips) - len(missing)
        return [each for each in found if each is not None]

    def _recall(self, scene: Scene, chip: Chip) -> Embedding | None:
        arrays = None if self.store is None else self.store.get(self._key(scene, chip.window))
        return None if arrays is None else recall(chip, arrays, self.network)

    def _keep(self, scene: Scene, embedding: Embedding) -> None:
        """Put an embedding into the store; a store that cannot be written is no longer used, and the run goes on."""
        if self.store is None:
            return
        try:
            self.store.put(self._key(scene, embedding.window), embedding.arrays)
        except StoreError as error:
            _log.warning("the run goes on without its store: %s", error)
            self.store = None

    def _key(self, scene: Scene, window: Window) -> str:
        return EmbeddingStore.key(scene.fingerprint, window, model_key=self.network.key)

    def once(self, name: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """The journal's entry `name`, made and kept if it is not there."""
        arrays = self.journal.get(name)
        if arrays is None:
            arrays = make()
            self.journal.put(name, arrays)
        return arrays


@contextmanager
def feature_store(store: Any) -> Iterator[EmbeddingStore]:
    """The store that `open_store` gives; a temporary one, removed afterwards, where there is none.

    What the recognition network sees of a window is so kept as long as a run may ask for it again.
    """
    if (kept := open_store(store)) is not None:
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="geosam-features-") as folder:
        yield EmbeddingStore(folder, ROOM)


def open_store(store: Any, *, needed: bool = False) -> EmbeddingStore | None:
    """A store from its folder, ``"auto"`` for the one in the cache folder, None for none.

    One that cannot be opened is said, and the run goes on without it, unless it is `needed`.

    Raises
    ------
    StoreError
        If a store that is needed cannot be opened.
    """
    if store is None or isinstance(store, EmbeddingStore):
        return store
    try:
        if store == "auto":
            return EmbeddingStore(cache_folder() / "embeddings", AUTO_STORE_BYTES)
        return EmbeddingStore(store)
    except StoreError as error:
        if needed:
            raise
        _log.warning("the run goes on without its store: %s", error)
        return None
