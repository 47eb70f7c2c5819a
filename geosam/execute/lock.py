"""One process at a time: a lock file that the operating system frees when its process ends, however it ends."""

import os
import sys
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


class Lock:
    """An exclusive lock on a file; a second file beside it names the process that has it.

    Parameters
    ----------
    path
        The lock file; made if absent.
    what
        What is locked, for the error message.

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

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        owner = path.with_name(f"{path.name}.pid")
        file: int | None = None
        while file is None:
            try:
                file = _lock_file(path)
            except _BUSY as error:
                pid = owner.read_text() if owner.exists() else "?"
                hint = "wait for it, or choose another output"
                raise SinkError(f"{what} is being written by process {pid}", hint=hint) from error
        self._file: int | None = file
        owner.write_text(str(os.getpid()))

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let others have the lock; the files stay."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _lock_file(path: Path) -> int | None:
    """Open and lock a file; None if its last owner removed it in the meantime, so that the lock means nothing."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _try_lock(file)
        if path.exists() and os.path.samestat(os.fstat(file), os.stat(path)):
            return file
    except BaseException:
        os.close(file)
        raise
    os.close(file)
    return None
