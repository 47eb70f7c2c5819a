"""What one process needs to work on scenes: the job, and the model and the store that it opens once."""

import logging
import threading
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from geosam.catalog.job import Job, PromptFile
from geosam.execute import Progress, Stage
from geosam.pipeline.request import RASTERS
from geosam.prompts import Prompts
from geosam.prompts.placement import PIXELS
from geosam.scene import Scene
from geosam.scene.reproject import parse_crs
from geosam.segmenter import Segmenter
from geosam.store import EmbeddingStore
from geosam.vectors import notes, read_vector

_log = logging.getLogger(__name__)

STORE_BYTES = 1 << 50
"""Limit of a catalog's store: none to speak of, since it holds what was asked for and nothing else."""

INDEXED = {".gpkg", ".fgb", ".shp", ".gdb", ".sqlite"}
"""Prompt files that may have an index to be read by; of others each process holds all."""


class Station:
    """The place where one process works on scenes.

    Parameters
    ----------
    job
        What is done with every scene.
    torch_threads
        Threads that the model may use; 0 leaves that as it is.
    device
        Where the model runs, as for `geosam.load_model`.
    """

    def __init__(self, job: Job, *, torch_threads: int = 0, device: str = "auto") -> None:
        self.job, self.device = job, device
        self.progress = Halting()
        self.loads = 0
        self._torch_threads = torch_threads
        self._loading = threading.Lock()
        self._network: Segmenter | None = None

    @property
    def network(self) -> Segmenter:
        """The model, loaded when it is first asked for, once."""
        with self._loading:
            if self._network is None:
                if self._torch_threads:
                    import torch

                    torch.set_num_threads(self._torch_threads)
                self._network = self.job.model.load(self.device)
                self.loads += 1
            return self._network

    @cached_property
    def store(self) -> EmbeddingStore | None:
        """The store of embeddings, if there is one."""
        return EmbeddingStore(self.job.store, STORE_BYTES) if self.job.store else None

    def prompts_on(self, scene: Scene) -> Prompts | None:
        """The prompts that may fall on a scene, None for everything mode."""
        file = self.job.prompts
        if file is None:
            return None
        suffix = Path(file.path).suffix.lower()
        if suffix in RASTERS:
            return Prompts.from_masks(file.path, scene)
        near = self._read(file, scene) if suffix in INDEXED else self._within(file, scene)
        return Prompts.from_features(near, scene, **file.how)

    def _read(self, file: PromptFile, scene: Scene) -> gpd.GeoDataFrame:
        """The features of an indexed file around a scene, with the file's own feature ids."""
        around = partial(_around, scene, file)
        return read_vector(file.path, layer=file.layer, bounds=around, needs_crs=file.crs is None)

    def _within(self, file: PromptFile, scene: Scene) -> gpd.GeoDataFrame:
        """Those of all features that lie around a scene."""
        bounds = _around(scene, file, self._features.crs)
        if bounds is None:
            return self._features
        near = self._features.sindex.query(shapely.box(*bounds), predicate="intersects")
        return self._features.iloc[np.sort(near)]

    @cached_property
    def _features(self) -> gpd.GeoDataFrame:
        file = self.job.prompts
        assert file is not None  # only called where there are prompts
        features = read_vector(file.path, layer=file.layer, needs_crs=file.crs is None)
        for label, reason in notes(features).get("reasons", {}).items():
            _log.warning("prompt %r cannot be used: %s", label, reason)
        return features


class Halted(BaseException):
    """Ends the work of a thread whose results nobody waits for any more."""


class Halting(Progress):
    """Shows nothing, and ends the work at the next window once it is told to."""

    def __init__(self) -> None:
        self.halted = threading.Event()

    def stage(self, *_: Any, **__: Any) -> Any:
        """See `Progress.stage`."""
        return _HaltingStage(self.halted)


class _HaltingStage(Stage):
    def __init__(self, halted: threading.Event) -> None:
        self._halted = halted

    def __enter__(self) -> "_HaltingStage":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def advance(self, count: int = 1) -> None:
        if self._halted.is_set():
            raise Halted


def _around(scene: Scene, file: PromptFile, crs: Any) -> tuple[float, float, float, float] | None:
    """Bounds of a scene in the CRS of the prompts, given or their own; None if all are to be looked at."""
    given = crs if file.crs is None else file.crs
    return None if given is None or str(given).lower() == PIXELS else _bounds_in(scene, given)


def _bounds_in(scene: Scene, crs: Any) -> tuple[float, float, float, float] | None:
    """Bounds of a scene in a CRS, a little wide; None if they cannot be told, so that everything must be looked at."""
    h, w = scene.shape
    outline = shapely.segmentize(shapely.box(0, 0, w, h), max(h, w) / 16)
    world = gpd.GeoSeries(scene.to_world([outline]), crs=scene.crs)
    if crs is not None and scene.crs is not None:
        world = world.to_crs(parse_crs(crs))
    x0, y0, x1, y1 = world.total_bounds
    if not np.isfinite([x0, y0, x1, y1]).all():
        return None
    margin = (x1 - x0 + y1 - y0) / 100
    return x0 - margin, y0 - margin, x1 + margin, y1 + margin
