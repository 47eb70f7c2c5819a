"""Outputs appear whole or not at all, and those of one run together.

Everything is written into a hidden folder beside the output, ``.NAME.geosam``, which is locked meanwhile, and moved
into place when all outputs of the run are complete (`geosam.sinks.commit`). The folder is removed however the writing
ends; if the process was killed, the next write to the same output finishes what was complete and removes the rest.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError
from rasterio._err import CPLE_BaseError  # what GDAL says, where rasterio passes it on as it is
from rasterio.errors import RasterioError

from geosam.disks import number, reason
from geosam.errors import GeosamError, SinkError
from geosam.locks import LockedFolder
from geosam.paths import beside, for_gdal
from geosam.sinks.commit import RECORD, Commit, Move, home_of, moved_away
from geosam.sinks.places import SIDECARS, Stamp, check_together, exists, followed

_DRIVER_ERRORS = (
    OSError,
    sqlite3.Error,
    pa.ArrowException,
    RasterioError,
    CPLE_BaseError,
    DataSourceError,
    DataLayerError,
    FeatureError,
    FieldError,
    GeometryError,
)


@contextmanager
def named_errors(path: Path, verb: str = "written") -> Iterator[None]:
    """Turn what a driver raises into a `SinkError` that names the file."""
    try:
        yield
    except SinkError as error:
        if path.name in str(error):
            raise
        raise SinkError(f"{path}: {error.problem}", expected=error.expected, hint=error.hint) from None
    except GeosamError:
        raise
    except _DRIVER_ERRORS as error:
        hint = "make room, or choose another folder" if number(error) else "see whether the file is damaged"
        raise SinkError(f"{path} cannot be {verb} ({reason(error)})", hint=hint) from error


@dataclass
class Place:
    """Where an output is written before it appears.

    Attributes
    ----------
    path, target
        The output as it was asked for, absolute; the file that it stands for, links followed.
    folder
        The hidden folder beside the target.
    part
        The file to write, under a name that no driver reads anything into.
    before
        What must still lie at the target when the output appears: None for nothing, a stamp, or ``"anything"``.
    """

    path: Path
    target: Path
    folder: LockedFolder
    part: Path
    before: "Stamp | str | None"

    def commit(self) -> tuple[list[Move], list[str]]:
        """What is moved to its place, and what is removed from there."""
        if self.before != "anything" and Stamp.of(self.target) != self.before:
            if self.before is None:
                raise moved_away(FileExistsError(), str(self.path))
            raise SinkError(f"{self.path} was changed while a layer was added to it", hint="write again")
        with suppress(OSError):
            shutil.copymode(self.target, self.part)
        written = self.folder.path / self.part.name
        moves = [Move(os.fspath(written), os.fspath(self.target), self.before is not None)]
        removed = []
        for suffix in SIDECARS:
            old, new = f"{self.target}{suffix}", f"{written}{suffix}"
            if os.path.lexists(new):
                moves.append(Move(new, old))
            elif os.path.lexists(old):
                removed.append(old)
        return moves, removed


class Outputs:
    """The files that a run writes; inside the block they are its own, and after `commit` all of them are there.

    Parameters
    ----------
    paths
        The files, as `check_path` gives them.
    overwrite
        Whether files that exist may be replaced. A GeoPackage is told by its layers instead (`geosam.sinks.ogr`).
    key
        Identity of the run: if a run of this key was killed when its outputs were complete, they are moved into their
        places, and `done` has its facts.

    Attributes
    ----------
    done
        What a killed run that was complete gave to `commit`; None if there is still work to do.

    Raises
    ------
    SinkError
        If another process writes one of them, a folder cannot be written, or a file exists.
    OptionError
        If two of them are one file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     one, two = Path(folder, "a.txt"), Path(folder, "b.txt")
    ...     with Outputs([one, two]) as outputs:
    ...         for path in (one, two):
    ...             _ = outputs.place(path).part.write_text("whole")
    ...         seen = one.exists(), two.exists()
    ...         outputs.commit()
    ...     seen, sorted(os.listdir(folder))
    ((False, False), ['a.txt', 'b.txt'])
    """

    def __init__(self, paths: Iterable[Path], *, overwrite: bool = True, key: str = "") -> None:
        self._paths = [Path(path).absolute() for path in paths]
        check_together(self._paths)
        named = "".join(f"\0{path}" for path in self._paths).encode(errors="surrogateescape")
        self._key = sha256(key.encode() + named).hexdigest() if key else ""
        self._overwrite = overwrite
        self.done: dict[str, Any] | None = None

    def __enter__(self) -> "Outputs":
        with ExitStack() as stack:
            self._folders = {path: self._open(path, stack) for path in self._paths}
            self._recover()
            self._places = {path: self._prepare(path, stack) for path in self._paths}
            stack.push(self._leave)
            self._closing = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._closing.__exit__(*error)

    def place(self, path: Path) -> Place:
        """Where one of the outputs is to be written."""
        return self._places[Path(path).absolute()]

    def commit(self, facts: dict[str, Any] | None = None) -> None:
        """Move all outputs, now complete, into their places: all of them, whenever the process is killed, or none.

        Parameters
        ----------
        facts
            What `done` gives to a run that finds the outputs complete.

        Raises
        ------
        SinkError
            If one cannot be moved, or something has appeared where nothing may be replaced.
        """
        if not self._paths:
            return
        moves, removed = [], []
        for place in self._places.values():
            with named_errors(place.path):
                mine, old = place.commit()
            moves += mine
            removed += old
        commit = Commit(tuple(moves), tuple(removed), self._key, facts or {})
        if self._key or len(moves) + len(removed) > 1:  # one move alone needs no record
            with named_errors(self._paths[0]):
                commit.write(self._home.path)
        self._carry_out(commit, self._home)

    @property
    def _home(self) -> LockedFolder:
        return self._folders[self._paths[0]]

    def _open(self, path: Path, stack: ExitStack) -> LockedFolder:
        target = followed(path)
        try:
            folder = LockedFolder(beside(target, "geosam"), str(path))
        except SinkError:
            raise
        except OSError as error:
            raise SinkError(
                f"{target.parent} cannot be written ({reason(error)})", hint="choose another folder"
            ) from error
        stack.callback(_dismiss, folder)
        return folder

    def _recover(self) -> None:
        """Finish what killed runs had complete, of these outputs or of some of them and others."""
        own = {folder.path: folder for folder in self._folders.values()}
        for folder in own.values():
            home = home_of(folder.path)
            if home is None:
                continue
            record, locked = Commit.read(home), own.get(home) or LockedFolder(home, str(home))
            if record is not None:
                self._carry_out(record, locked)
                if self._key and record.key == self._key:
                    self.done = record.facts
                for other in {Path(move.staged).parent for move in record.moves} - {*own, home}:
                    with suppress(SinkError, OSError):
                        LockedFolder(other, str(other)).remove()
            if home not in own:
                locked.remove()

    def _carry_out(self, commit: Commit, home: LockedFolder) -> None:
        try:
            commit.carry_out()
        except OSError as error:
            if not commit.begun:  # nothing was moved: as if the record had never been
                (home.path / RECORD).unlink(missing_ok=True)
            raise moved_away(error, error.filename2 or str(error.filename or self._paths[0])) from error

    def _prepare(self, path: Path, stack: ExitStack) -> Place:
        folder, target = self._folders[path], followed(path)
        if self.done is None:
            folder.clear()
        free = not self._overwrite and path.suffix.lower() != ".gpkg"
        if free and self.done is None and target.exists():
            raise exists(path)
        name = Path(stack.enter_context(for_gdal(folder.path)))
        return Place(path, target, folder, name / f"part{path.suffix}", None if free else "anything")

    def _leave(self, kind: type[BaseException] | None, *_: object) -> None:
        """Remove the folders, that of the record last; if it was not carried out, or its run not told, they wait."""
        record = Commit.read(self._home.path) if self._paths else None
        told = record is None or (not record.left and not (kind and self._key))
        if told:
            for folder in reversed(self._folders.values()):
                folder.remove()


def _dismiss(folder: LockedFolder) -> None:
    """Let a folder go, and remove it if it holds nothing that is to be finished."""
    folder.release() if home_of(folder.path) is not None else folder.remove()


@contextmanager
def staged(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a file to write; it gets its place if all went well.

    Parameters
    ----------
    path
        The output; an existing file is replaced whole, with its sidecar files.
    overwrite
        Whether it may be.

    Raises
    ------
    SinkError
        If another process writes it, the folder cannot be written or the file cannot be moved into place.
    """
    with placed(path, None, overwrite=overwrite) as place:
        yield place.part


@contextmanager
def placed(path: Path, outputs: Outputs | None, *, overwrite: bool = True) -> Iterator[Place]:
    """The place of an output, one of several that appear together, or one that appears when the block is left."""
    if outputs is not None:
        yield outputs.place(path)
        return
    with Outputs([path], overwrite=overwrite) as alone:
        yield alone.place(path)
        alone.commit()
