"""Several files appear together: a record of what is to be moved, which whoever finds it carries out.

The outputs of a run are written in hidden folders beside their places (`geosam.sinks.staging`). When all are complete,
one record in the folder of the first says what is moved where, and notes in the other folders lead to it. From the
moment that the record is there the outputs count as written: if the process is killed between the moves, whoever next
opens one of these folders finishes them.
"""

import errno
import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from geosam.errors import SinkError

RECORD, NOTE = "commit", "commit-lies-in"
"""Names of the record, and of the notes that lead to it."""


@dataclass(frozen=True)
class Move:
    """A complete file, where it belongs, and whether it may replace what lies there."""

    staged: str
    target: str
    replaces: bool = True


@dataclass(frozen=True)
class Commit:
    """What is to be done when all outputs are complete.

    Attributes
    ----------
    moves
        Files that get their place. Those that must not replace anything come into their places first, all or none.
    removed
        Files that belong to former outputs.
    key
        Identity of the run and its outputs.
    facts
        What the run says at its end, as JSON holds it.
    """

    moves: tuple[Move, ...]
    removed: tuple[str, ...] = ()
    key: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, home: Path) -> "Commit | None":
        """The record in a folder, None if there is none; it is written whole or not at all."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            found = json.loads((home / RECORD).read_bytes())
            moves = tuple(Move(**move) for move in found.pop("moves"))
            return cls(moves, tuple(found.pop("removed")), **found)
        return None

    def write(self, home: Path) -> None:
        """Put the record down for good: from now on the outputs count as written."""
        for move in self.moves:
            flush(Path(move.staged))
            folder = Path(move.staged).parent
            if folder != home:
                _put(folder / NOTE, os.fspath(home))
        _put(home / RECORD, json.dumps(asdict(self), default=str))

    def carry_out(self) -> None:
        """Make all moves; those that were made before are passed over.

        Raises
        ------
        FileExistsError
            If something lies where nothing may be replaced; then nothing was moved.
        OSError
            If a file cannot be moved.
        """
        self._link_new()
        for path in self.removed:
            Path(path).unlink(missing_ok=True)
        for move in self.moves:
            if not os.path.lexists(move.staged):
                continue
            if move.replaces:
                os.replace(move.staged, move.target)
            else:
                os.unlink(move.staged)
        for folder in {Path(move.target).parent for move in self.moves}:
            flush(folder)

    @property
    def begun(self) -> bool:
        """Whether some move was made."""
        return not all(os.path.lexists(move.staged) for move in self.moves)

    @property
    def left(self) -> bool:
        """Whether some move is still to be made."""
        return any(os.path.lexists(move.staged) for move in self.moves)

    def _link_new(self) -> None:
        linked: list[Move] = []
        try:
            for move in self.moves:
                if not move.replaces and os.path.lexists(move.staged):
                    _link(move)
                    linked.append(move)
        except OSError:
            for move in linked:
                os.unlink(move.target) if os.path.lexists(move.staged) else os.replace(move.target, move.staged)
            raise


def home_of(folder: Path) -> Path | None:
    """The folder with the record that the files in `folder` are part of, None if there is none."""
    if (folder / RECORD).is_file():
        return folder
    with suppress(OSError, ValueError):
        home = Path((folder / NOTE).read_text(errors="surrogateescape"))
        record = Commit.read(home)
        if record is not None and any(Path(move.staged).parent == folder for move in record.moves):
            return home
    return None


def flush(path: Path) -> None:
    """Have the disk hold a file or a folder before anything else is done; folders where they can be asked for it."""
    is_folder = path.is_dir()
    if is_folder and sys.platform == "win32":
        return
    file = os.open(path, os.O_RDONLY if sys.platform != "win32" else os.O_RDWR)
    try:
        os.fsync(file)
    except OSError:
        if not is_folder:
            raise
    finally:
        os.close(file)


def _link(move: Move) -> None:
    """Give a file its place, if that is free; where a file system has no hard links, after a look."""
    try:
        os.link(move.staged, move.target)
    except FileExistsError:
        if not os.path.samefile(move.staged, move.target):
            raise
    except OSError:
        if os.path.lexists(move.target):
            raise FileExistsError(errno.EEXIST, "it exists", move.target) from None
        os.rename(move.staged, move.target)


def _put(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(text.encode(errors="surrogateescape"))
    flush(part)
    os.replace(part, path)
    flush(path.parent)


def moved_away(error: OSError, target: str) -> SinkError:
    """The error for a place that cannot be taken."""
    if isinstance(error, FileExistsError):
        return SinkError(
            f"{target} appeared while it was written",
            hint="choose another name or allow it to be overwritten (--overwrite)",
        )
    return SinkError(
        f"{target} cannot be replaced ({error.strerror})", hint="close the programs that have it open and write again"
    )
