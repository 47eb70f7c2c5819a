"""What a disk says when it cannot take more, in words that do not depend on which library heard it."""

import errno
from collections.abc import Iterator

_SAID = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your share of the disk is full",
    errno.EFBIG: "the file is larger than files may be here",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "you may not write there",
    errno.EPERM: "you may not write there",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EIO: "the disk is full or fails",
}

_WORDS = {
    "disk is full": errno.ENOSPC,
    "no space left": errno.ENOSPC,
    "cannot rollback": errno.ENOSPC,
    "disk quota exceeded": errno.EDQUOT,
    "file too large": errno.EFBIG,
    "read-only file system": errno.EROFS,
    "permission denied": errno.EACCES,
    "file name too long": errno.ENAMETOOLONG,
    "disk i/o error": errno.EIO,
    "i/o failure": errno.EIO,
    "write failed": errno.EIO,
    "write error": errno.EIO,
    "seek error": errno.EIO,
    "commit) failed": errno.EIO,
    "no such table: gpkg_": errno.EIO,
}
"""What libraries say instead of giving the number of the error, the more telling first."""


def reason(error: BaseException) -> str:
    """Why something could not be written, in a few words.

    Parameters
    ----------
    error
        As the operating system, SQLite, GDAL or Arrow raise it, or with such a one as its cause.

    Examples
    --------
    >>> reason(OSError(28, "No space left on device")), reason(RuntimeError("database or disk is full"))
    ('the disk is full', 'the disk is full')
    >>> reason(ValueError("something else"))
    'something else'
    """
    found = number(error)
    if found in _SAID:
        return _SAID[found]
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__


def number(error: BaseException) -> int | None:
    """The operating system's number of an error, also where only words are left of it; None for others."""
    causes = list(_causes(error))
    known = (one.errno for one in causes if isinstance(one, OSError) and one.errno in _SAID)
    said = "\n".join(text for one in causes for text in (str(one), *getattr(one, "__notes__", ()))).lower()
    return next(known, None) or next((which for words, which in _WORDS.items() if words in said), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
