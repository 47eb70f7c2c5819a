"""The identity of a raster's content, by the bytes of every file that GDAL reads for it."""

from hashlib import blake2b
from pathlib import Path

import numpy as np
from rasterio.io import DatasetReader

from geosam.scene.raster import Nodata

WHOLE_FILE_BYTES = 64 * 2**20
SAMPLES, SAMPLE_BYTES = 64, 64 * 2**10


def fingerprint(path: str, dataset: DatasetReader, override: Nodata) -> str:
    """Identity of the content of a raster and its side files.

    Local files count by their bytes (all of them up to 64 MB, beyond that size, time of change and 64 samples), not
    by where they lie; remote ones by address without its query (which may be a passing signature), size and tags.
    """
    digest = blake2b(digest_size=16)
    facts = (dataset.shape, dataset.dtypes, dataset.nodatavals, tuple(dataset.transform), repr(override))
    digest.update(repr(facts).encode())
    files = [Path(file) for file in dataset.files]
    if files and all(file.is_file() for file in files):
        for file in files:
            _digest_file(file, digest)
    else:
        tags = sorted(dataset.tags().items())
        digest.update(repr((path.split("?", maxsplit=1)[0], tags, dataset.block_shapes)).encode())
    return digest.hexdigest()


def _digest_file(file: Path, digest: blake2b) -> None:
    size = file.stat().st_size
    digest.update(str(size).encode())
    with file.open("rb") as stream:
        if size <= WHOLE_FILE_BYTES:
            while part := stream.read(2**20):
                digest.update(part)
            return
        digest.update(str(file.stat().st_mtime_ns).encode())
        for start in np.linspace(0, size - SAMPLE_BYTES, SAMPLES).astype(int).tolist():
            stream.seek(start)
            digest.update(stream.read(SAMPLE_BYTES))
