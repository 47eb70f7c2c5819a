"""The folder of a run: where its parts, its manifest and its journals lie."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geosam.errors import CatalogError, SinkError


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
        except OSError as error:
            raise SinkError(f"{path} cannot be made ({error.strerror})", hint="choose another folder") from error
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


def write_lines(path: Path, rows: Iterable[Any]) -> None:
    """Write a file of JSON lines; it appears whole."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SinkError(f"{path} cannot be written ({error})", hint="see whether the disk is full") from error


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file of JSON lines; one that a killed process left half-written is left out."""
    try:
        with path.open("rb") as file:
            for line in file:
                try:
                    row = json.loads(line)
                except ValueError:
                    continue
                if isinstance(row, dict):
                    yield row
    except FileNotFoundError:
        return
