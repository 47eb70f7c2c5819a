"""One process at a time: a lock that the operating system frees when its process ends, however it ends."""

import errno
import logging
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from geosam.errors import SinkError

if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    _BUSY = PermissionError

    def _try_lock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    _BUSY = BlockingIOError

    def _try_lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


_log = logging.getLogger(__name__)

_CANNOT = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
"""What file systems say that have no locks."""


HINT = "wait for it, or choose another output"


class Lock:
    """An exclusive lock on a file; a second file beside it names the process that has it.

    Parameters
    ----------
    path
        The lock file; made if absent.
    what
        What is locked, for the error message.
    hint
        What to do where another process has it, for the same.

    Raises
    ------
    SinkError
        If another process, or another part of this one, has the lock; names its process id.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Lock(Path(folder) / "lock", "fields.gpkg"):
    ...     Lock(Path(folder) / "lock", "fields.gpkg")
    Traceback (most recent call last):
    geosam.errors.SinkError: fields.gpkg is being written by process ...: wait for it, or choose another output
    """

    def __init__(self, path: Path, what: str, *, hint: str = HINT) -> None:
        self.path = path
        owner = path.with_name(f"{path.name}.pid")
        file: int | None = None
        while file is None:
            try:
                file = _lock_file(path)
            except _BUSY as error:
                pid = owner.read_text(errors="replace") if owner.is_file() else "?"
                raise SinkError(f"{what} is being written by process {pid}", hint=hint) from error
        self._file: int | None = file
        with suppress(OSError):  # it is only for the message
            owner.write_text(str(os.getpid()))

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def held(self) -> bool:
        """Whether the lock was not released yet."""
        return self._file is not None

    def release(self) -> None:
        """Let others have the lock; the files stay."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class LockedFolder:
    """A folder that one process at a time works in; it is gone when it is no longer needed, its lock last of all.

    Parameters
    ----------
    path
        The folder; made if absent.
    what
        What it is for, for the error message.
    hint
        What to do where another process has it, for the same.

    Raises
    ------
    SinkError
        If another process has it.
    OSError
        If it cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     folder = LockedFolder(Path(place) / ".work", "fields.gpkg")
    ...     _ = (folder.path / "half").write_text("done")
    ...     folder.remove()
    ...     list(Path(place).iterdir())
    []
    """

    def __init__(self, path: Path, what: str, *, hint: str = HINT) -> None:
        self.path = path
        while True:  # another process may just be removing it
            path.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                self._lock = Lock(path / "lock", what, hint=hint)
                return

    def clear(self) -> None:
        """Remove all that lies in the folder but its lock."""
        for entry in self.path.iterdir():
            if entry.name in ("lock", "lock.pid"):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder, unless it was let go before.

        The lock goes last: from then on the folder is anybody's, and stays if it is used.
        """
        if not self._lock.held:
            return
        with suppress(OSError):
            self.clear()
            (self.path / "lock.pid").unlink(missing_ok=True)
            self._lock.path.unlink()
            self.path.rmdir()
        self._lock.release()

    def release(self) -> None:
        """Let others have the folder; it stays."""
        self._lock.release()


def _lock_file(path: Path) -> int | None:
    """Open and lock a file; None if its last owner removed it in the meantime, so that the lock means nothing."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            _try_lock(file)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            _log.warning("%s cannot be locked on this file system: let one run at a time write here", path.parent)
        if path.exists() and os.path.samestat(os.fstat(file), os.stat(path)):
            return file
    except BaseException:
        os.close(file)
        raise
    os.close(file)
    return None
