"""The identity of a raster's content, by the bytes of every file that GDAL reads for it, and whether it is still so."""

import re
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rasterio.io import DatasetReader

from geosam.display import without_secrets
from geosam.paths import is_address
from geosam.scene.origin import local_file
from geosam.scene.raster import Nodata

WHOLE_FILE_BYTES = 64 * 2**20
SAMPLES, SAMPLE_BYTES = 64, 64 * 2**10

_PASSING = re.compile(
    r"(x-amz-|x-goog-|sig|signature|token|access_token|expires|policy|key-pair-id|awsaccesskeyid|googleaccessid|"
    r"s[etprv]|ske|skt|sks|skv|skoid|sktid|hdnts|api_?key|subscription-key|header\.|userpwd)",
    re.IGNORECASE,
)
"""Parameters of an address that pass, or say who asks, but not what for."""


class Stamp(NamedTuple):
    """A file as the file system knows it: another stamp, another content."""

    path: str
    size: int
    mtime_ns: int
    device: int
    inode: int

    @classmethod
    def of(cls, file: Path | str) -> "Stamp | None":
        """The stamp of a file as it is now; None if it is gone."""
        try:
            now = Path(file).stat()
        except OSError:
            return None
        return cls(str(file), now.st_size, now.st_mtime_ns, now.st_dev, now.st_ino)

    def holds(self) -> bool:
        """Whether the file is still as it was; another machine may number devices and files otherwise."""
        now = Stamp.of(self.path)
        if now is None or now[:3] != self[:3]:
            return False
        return now.device != self.device or now.inode == self.inode


def files_of(dataset: DatasetReader, known: tuple[Path, ...] = ()) -> list[Path]:
    """The local files that a dataset is made of: those that GDAL names, and further ones that are known."""
    named = (local_file(name) if not Path(name).is_file() else Path(name) for name in dataset.files)
    return list(dict.fromkeys([*(file for file in named if file is not None), *known]))


def fingerprint(source: str, dataset: DatasetReader, override: Nodata, known: tuple[Path, ...] = ()) -> str:
    """Identity of the content of a raster and its side files, 32 hex digits.

    Local files count by their bytes (all of them up to 64 MB, beyond that size, time of change and 64 samples), not
    by where they lie; those in archives by the archive and their name in it; remote ones by address without what is
    passing in its query, such as a signature, by size and tags.

    Parameters
    ----------
    source
        The raster's path or URI.
    dataset
        The same, opened.
    override
        The user's word on nodata.
    known
        Files that it is made of beside those that GDAL names.
    """
    digest = blake2b(digest_size=16)
    facts = (dataset.shape, dataset.dtypes, dataset.nodatavals, tuple(dataset.transform), repr(override))
    digest.update(repr(facts).encode())
    names, files = dataset.files, files_of(dataset, known)
    if dataset.driver not in ("GTiff", "COG"):  # whose CRS may stand in a file that GDAL does not name
        digest.update(repr((dataset.crs and dataset.crs.to_wkt(), dataset.rpcs and dataset.rpcs.to_gdal())).encode())
    inside = [(name, local_file(name)) for name in names if not Path(name).is_file()]
    if any(archive is not None for _, archive in inside):
        digest.update(repr([name.partition(archive.name)[2] for name, archive in inside if archive]).encode())
    if not files or any(archive is None for _, archive in inside):
        digest.update(repr((lasting(source), sorted(dataset.tags().items()), dataset.block_shapes)).encode())
    for file in files:
        _digest_file(file, digest)
    return digest.hexdigest()


def lasting(source: str) -> str:
    """An address without the parameters that pass, and without passwords; the name of a local file as it is."""
    if not is_address(source):
        return source
    path, _, query = without_secrets(source).partition("?")[0], *source.partition("?")[1:]
    lasting = [each for each in re.split("[&;]", query) if each and not _PASSING.match(each)]
    return "?".join([path, *lasting])


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
