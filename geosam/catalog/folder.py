"""The folder of a run: where its parts, its manifest and its journals lie."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any
from zlib import crc32

from geosam.catalog.items import Item
from geosam.disks import reason
from geosam.errors import CatalogError, SinkError
from geosam.paths import check_regular, is_address
from geosam.sinks import read_metadata
from geosam.sinks.places import local

FOLDERS = ("parts", "labels", "stacks", "embeddings", "encoding", "pairs")
"""Folders in the folder of a run."""


@dataclass(frozen=True)
class RunFolder:
    """A folder with the results of a catalog, scene by scene.

    ======================  =================================================================
    file                    what it is
    ======================  =================================================================
    ``parts/NAME.parquet``  polygons of a scene, in its own CRS
    ``labels/NAME.tif``     its label raster, if asked for
    ``manifest.jsonl``      a line for each attempt at a scene; the last one of a scene counts
    ``run.json``            what was asked for
    ``scenes.jsonl``        the scenes that were asked for, a line each
    ``embeddings/``         what ``geosam catalog encode`` made
    ======================  =================================================================

    Attributes
    ----------
    path
        The folder.
    """

    path: Path

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> "RunFolder":
        """The folder with those in it, made where they are absent.

        Raises
        ------
        SinkError
            If they cannot be made.
        """
        folder = cls(Path(path).absolute())
        try:
            for place in (folder.parts, folder.labels, folder.stacks):
                place.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:  # a NUL in the name
            raise SinkError(f"{path} cannot be made ({reason(error)})", hint="choose another folder") from error
        return folder

    @classmethod
    def existing(cls, path: str | os.PathLike[str]) -> "RunFolder":
        """The folder of a run that has begun.

        Raises
        ------
        CatalogError
            If there is none.
        """
        folder = cls(Path(path).absolute())
        if not folder.scenes.is_file():
            raise CatalogError(f"{path} holds no run", expected="the folder given to `geosam catalog run -o`")
        return folder

    def asked(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """What was asked for, and the scenes: name, path and key of each.

        Raises
        ------
        CatalogError
            If these are not as they were written.
        """
        facts, scenes = next(read_lines(self.facts), {}), list(read_lines(self.scenes))
        if facts.get("scenes") != len(scenes) or not all(scene.keys() >= {"name", "path", "key"} for scene in scenes):
            raise CatalogError(
                f"{self.path} has no whole list of what was asked for: run.json or scenes.jsonl is damaged",
                hint="run the catalog again with the same command; what is done is not done again",
            )
        return facts, scenes

    def check_free(self, output: Path) -> None:
        """Check that an output is none of the files of the run.

        Raises
        ------
        SinkError
            If it is one, or lies among them.
        """
        real, own = Path(os.path.realpath(output)), Path(os.path.realpath(self.path))
        files = {own / name for name in ("manifest.jsonl", "scenes.jsonl", "run.json", "prompts.parquet", ".lock")}
        folders = {own / name for name in FOLDERS}
        if real in files or not folders.isdisjoint(real.parents):
            raise SinkError(f"{output} is a file of the run", expected="an output outside of it", hint="choose another")

    @property
    def parts(self) -> Path:
        """Folder of the polygons."""
        return self.path / "parts"

    @property
    def labels(self) -> Path:
        """Folder of the label rasters."""
        return self.path / "labels"

    @property
    def stacks(self) -> Path:
        """Folder of the VRTs of scenes whose bands are rasters of their own."""
        return self.path / "stacks"

    @property
    def embeddings(self) -> Path:
        """Folder of the embedding store."""
        return self.path / "embeddings"

    @property
    def manifest(self) -> Path:
        """The manifest."""
        return self.path / "manifest.jsonl"

    @property
    def scenes(self) -> Path:
        """The list of scenes."""
        return self.path / "scenes.jsonl"

    @property
    def facts(self) -> Path:
        """What was asked for."""
        return self.path / "run.json"

    def part(self, name: str) -> Path:
        """The polygons of a scene."""
        return self.parts / f"{name}.parquet"

    def label(self, name: str) -> Path:
        """The label raster of a scene."""
        return self.labels / f"{name}.tif"


def digest_of(path: Path) -> str:
    """Size and hash of a file, by which it is known again; empty if there is none that can be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "part")
    ...     _ = path.write_bytes(b"whole")
    ...     known = digest_of(path)
    ...     _ = path.write_bytes(b"while")
    ...     is_whole(path, known), known.split("-")[0]
    (False, '5')
    """
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return f"{path.stat().st_size}-{file_digest(file, partial(blake2b, digest_size=16)).hexdigest()}"
    except OSError:
        return ""


def is_whole(path: Path, digest: str) -> bool:
    """Whether a file is still the one that was known by a digest; its bytes are read unless its size says no."""
    try:
        same_size = digest.startswith(f"{path.stat().st_size}-")
    except OSError:
        return False
    return same_size and digest_of(path) == digest


def to_line(row: Mapping[str, Any]) -> str:
    """A line of JSON, its own checksum last.

    Examples
    --------
    >>> line = to_line({"name": "a"})
    >>> from_line(line), from_line(line.replace("a", "b")), from_line(line[:-3])
    ({'name': 'a'}, None, None)
    """
    text = json.dumps(row, ensure_ascii=False)
    return json.dumps({**row, _CHECK: crc32(text.encode(errors="surrogatepass"))}, ensure_ascii=False) + "\n"


def from_line(line: str | bytes) -> dict[str, Any] | None:
    """The inverse of `to_line`; None for a line that is damaged, or half-written by a process that was killed."""
    try:
        row = json.loads(line)
        check = row.pop(_CHECK)
        text = json.dumps(row, ensure_ascii=False)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return row if check == crc32(text.encode(errors="surrogatepass")) else None


_CHECK = "check"


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a file of JSON lines; it appears whole."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("w", encoding="utf-8", errors="surrogatepass") as file:
            file.writelines(map(to_line, rows))
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        hint = "make room, or move away what has that name"
        raise SinkError(f"{path} cannot be written ({reason(error)})", hint=hint) from error


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file of JSON lines that are whole; none if there is no file.

    Raises
    ------
    CatalogError
        If what lies there cannot be read.
    """
    if not os.path.lexists(path):
        return
    check_regular(path, CatalogError, "a file of a run")
    try:
        with path.open("rb") as file:
            yield from (row for row in map(from_line, file) if row is not None)
    except OSError as error:
        raise CatalogError(f"{path} cannot be read ({error.strerror})", hint="move it away, and run again") from error


def check_apart(folder: str | os.PathLike[str], items: Iterable[Item]) -> None:
    """Check that no scene lies where results are written.

    Raises
    ------
    SinkError
        Which one does; or that no folder can have this name.
    """
    try:
        own = Path(os.path.realpath(folder))
    except ValueError as error:  # a NUL in the name
        raise SinkError(f"{str(folder)!r} ({error})", expected="a name that a folder can have") from None
    places = {own, *(own / name for name in FOLDERS)}
    for item in items:
        inside = (path for path in map(local, item.paths) if not is_address(path))
        if any(Path(os.path.realpath(path)).parent in places for path in inside):
            raise SinkError(
                f"{folder} holds the scene {item.name!r}", expected="a folder of its own", hint="choose another"
            )


def made(folder: str | os.PathLike[str]) -> Path:
    """A folder for results, made if it is not there; absolute.

    Raises
    ------
    SinkError
        If it cannot be made.
    """
    place = Path(folder).absolute()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"{folder} cannot be made ({error.strerror})", hint="choose another folder") from None
    return place


def key_of(path: Path) -> object:
    """What an output that is there was made of, as its metadata say; None if there is none."""
    with suppress(SinkError, OSError):
        return read_metadata(path).get("key")
    return None


def map_path(folder: Path, name: str) -> Path:
    """Where the land-cover map of a scene of that name lies, in the folder of the maps."""
    return folder / f"{name}.gpkg"
