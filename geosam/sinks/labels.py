"""Labels → a cloud-optimized GeoTIFF, strip by strip."""

import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from odc.geo.gcp import GCPGeoBox
from odc.geo.geobox import GeoBox
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetWriter

from geosam.arrays import Labels
from geosam.errors import SinkError
from geosam.scene import Scene
from geosam.sinks.columns import to_json
from geosam.sinks.inputs import scene_files
from geosam.sinks.places import check_path
from geosam.sinks.staging import Outputs, named_errors, placed

EXTENSIONS = (".tif", ".tiff")
"""Extensions of label rasters, in any case."""

_BLOCK = 512
_BLOCK_ROWS = 64
_CACHE_BYTES = 64 << 20


class LabelSink:
    """Writes the labels of a scene from top to bottom; the file appears when all rows are written and the block left.

    The file is a cloud-optimized GeoTIFF: int32, 0 for no object (also the nodata value), deflate, never lossy whatever
    the scene's own compression, with the scene's transform, control points or neither. A pixel of an overview is the
    most frequent label below it, *no object* counted like any other.

    Parameters
    ----------
    path
        Output file, ``.tif`` or ``.tiff``; an existing file is replaced whole.
    scene
        The scene whose grid the labels have, or its geobox.
    metadata
        Lies as JSON in the tag ``geosam``.
    overwrite
        Whether an existing file may be replaced.
    outputs
        Outputs that it is one of, and appears with; alone, it appears when the block is left.

    Raises
    ------
    SinkError
        If the file cannot be written, a strip does not fit, or rows are missing at the end.

    Examples
    --------
    >>> import tempfile
    >>> grid = GeoBox((100, 80), rasterio.Affine(10, 0, 500000, 0, -10, 5000000), "EPSG:32633")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with LabelSink(f"{folder}/labels.tif", grid) as sink:
    ...         sink.write(0, np.ones((60, 80), np.int32))
    ...         sink.write(60, np.zeros((40, 80), np.int32))
    ...     with rasterio.open(f"{folder}/labels.tif") as labels:
    ...         labels.read(1).sum(), labels.crs.to_epsg()
    (np.int64(4800), 32633)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        scene: Scene | GeoBox | GCPGeoBox,
        *,
        metadata: Mapping[str, object] | None = None,
        overwrite: bool = True,
        outputs: Outputs | None = None,
    ) -> None:
        read = scene_files(scene) if isinstance(scene, Scene) else ()
        self.path = check_path(path, EXTENSIONS, overwrite=overwrite, inputs=read)
        self._outputs, self._overwrite = outputs, overwrite
        self._geobox = scene if isinstance(scene, GeoBox | GCPGeoBox) else scene.geobox
        self._tags = {"geosam": to_json(metadata)} if metadata else {}
        self._height, self._width = self._geobox.shape
        self._written = 0
        self._held = np.zeros((0, self._width), np.int32)

    def __enter__(self) -> "LabelSink":
        with ExitStack() as stack:
            self._part = stack.enter_context(placed(self.path, self._outputs, overwrite=self._overwrite)).part
            self._strips = self._part.with_name("strips.tif")
            with named_errors(self.path), quiet():
                self._dataset = self._create()
            stack.push(self._complete)
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.__exit__(kind, error, trace)

    def write(self, row_off: int, labels: Labels) -> None:
        """Write the next rows.

        Parameters
        ----------
        row_off
            Row of the scene at which the strip begins: where the last one ended.
        labels
            As many rows as you like, of the scene's whole width.

        Raises
        ------
        SinkError
            If the strip does not begin where the last one ended, or does not fit the scene.
        """
        expected_row = self._written + len(self._held)
        if row_off != expected_row or labels.shape[1] != self._width or row_off + len(labels) > self._height:
            given = f"a strip of {labels.shape[0]} by {labels.shape[1]} at row {row_off}"
            raise SinkError(given, expected=f"{self._width} columns from row {expected_row} to at most {self._height}")
        rows = np.concatenate([self._held, labels]) if len(self._held) else labels
        whole = len(rows) if row_off + len(labels) == self._height else len(rows) // _BLOCK_ROWS * _BLOCK_ROWS
        with named_errors(self.path), quiet():
            self._dataset.write(rows[:whole], 1, window=((self._written, self._written + whole), (0, self._width)))
        self._written += whole
        self._held = rows[whole:].copy()

    def _create(self) -> DatasetWriter:
        """Open the file that takes the strips: low tiles that a strip fills, no nodata yet (see `finish`)."""
        crs = self._geobox.crs
        place: dict[str, Any] = {"crs": CRS.from_wkt(crs.to_wkt()) if crs is not None else None}
        if isinstance(self._geobox, GCPGeoBox):
            place["gcps"] = self._geobox.gcps()
        else:
            place["transform"] = self._geobox.affine
        return rasterio.open(
            self._strips,
            "w",
            driver="GTiff",
            width=self._width,
            height=self._height,
            count=1,
            dtype="int32",
            tiled=True,
            blockxsize=_BLOCK,
            blockysize=_BLOCK_ROWS,
            compress="deflate",
            zlevel=1,
            sparse_ok=True,
            bigtiff="if_safer",
            **place,
        )

    def finish(self) -> None:
        """Make the cloud-optimized file, once all rows are written; leaving the block does so too.

        Raises
        ------
        SinkError
            If rows are missing, or the file cannot be written.

        Notes
        -----
        GDAL leaves nodata out when it takes the mode, which would let objects grow from overview to overview. So the
        overviews are built while 0 is an ordinary label, and it becomes nodata afterwards.
        """
        with named_errors(self.path), quiet():
            self._dataset.close()
            if self._written < self._height:
                missing = f"rows {self._written + len(self._held)} to {self._height} were never written"
                raise SinkError(f"{self.path}: {missing}", expected=f"all {self._height} rows")
            with rasterio.open(self._strips, "r+") as strips:
                strips.build_overviews(_factors(self._height, self._width), Resampling.mode)
                strips.nodata = 0
                strips.update_tags(**self._tags)
            rasterio.shutil.copy(self._strips, self._part, driver="COG", compress="deflate", blocksize=_BLOCK)

    def _complete(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close what is open; make the file if all went well and it is not made yet."""
        with named_errors(self.path), quiet():
            self._dataset.close()
        if kind is None and not self._part.exists():
            self.finish()


def read_tag(path: str) -> dict[str, object]:
    """Read the metadata of a file of `LabelSink`."""
    with quiet(), rasterio.open(path) as labels:
        return json.loads(labels.tags().get("geosam", "{}"))


def _factors(height: int, width: int) -> list[int]:
    """Powers of two down to an overview that is one block."""
    return [2**level for level in range(1, 32) if max(height, width) / 2 ** (level - 1) > _BLOCK]


@contextmanager
def quiet() -> Iterator[None]:
    """A bounded block cache, and no word about a scene that has no place in the world: its labels have none either."""
    with rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES), warnings.catch_warnings(), _libtiff_noted():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


@contextmanager
def _libtiff_noted() -> Iterator[None]:
    """Keep from the terminal what libtiff says of a full disk, past GDAL and Python; the error gets it as a note."""
    try:
        terminal = os.dup(2)
    except OSError:  # there is none
        yield
        return
    with TemporaryFile() as heard:
        os.dup2(heard.fileno(), 2)
        try:
            yield
        except Exception as error:
            heard.seek(0)
            error.add_note(heard.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            heard.seek(0)
            others = [line for line in heard if b"tiff" not in line.lower()]
            if others:
                os.write(2, b"".join(others))
