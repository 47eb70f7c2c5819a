"""What the polygons of a run show, on request: the columns `kind` and `kind_score`."""

import tempfile
from collections.abc import Iterator

from geopandas import GeoDataFrame

from geosam.pipeline.run import Run
from geosam.recognition import Describer, recognise
from geosam.store import EmbeddingStore

ROOM = 4 << 30
"""Bytes of windows' features that are kept on disk meanwhile, where a run has no store."""


def with_kinds(run: Run, frames: Iterator[GeoDataFrame]) -> Iterator[GeoDataFrame]:
    """The same polygons with their kinds; a window is encoded once, however many batches lie on it."""
    with tempfile.TemporaryDirectory(prefix="geosam-kinds-") as folder:
        describer = Describer(store=run.store or EmbeddingStore(folder, ROOM))
        for frame in frames:
            yield recognise(frame, run.scene, describer)
