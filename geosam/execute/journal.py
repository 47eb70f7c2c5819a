"""Results of windows on disk, so that an interrupted run goes on where it stopped."""

import hashlib
import json
import logging
import os
import re
import shutil
import threading
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from geosam.disks import reason
from geosam.errors import OptionError, SinkError
from geosam.locks import LockedFolder
from geosam.paths import beside

_log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Journal:
    """Named arrays in a folder; an entry is there whole or not at all, also after ``kill -9``.

    A journal belongs to one run: it is locked while it is open, and it knows the parameters of its run. If it is opened
    with other parameters, it starts anew.

    Parameters
    ----------
    folder
        Where the entries lie; made if absent.
    key
        Everything that the entries depend on (scene fingerprint, model key, options, version), as JSON holds it.

    Raises
    ------
    SinkError
        If another run has the folder open, or it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Journal(f"{folder}/journal", {"model": "nano"}) as journal:
    ...         journal.put("window-7", {"labels": np.eye(2, dtype=np.int32)})
    ...     with Journal(f"{folder}/journal", {"model": "nano"}) as journal:
    ...         journal.names(), journal.get("window-7")["labels"].sum(), journal.get("window-8")
    (['window-7'], np.int64(2), None)
    """

    def __init__(self, folder: str | os.PathLike[str], key: object) -> None:
        self.folder = Path(folder).absolute()
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        try:
            self._locked = LockedFolder(self.folder, str(self.folder))
            self._start(digest)
        except SinkError:
            raise
        except OSError as error:
            raise SinkError(
                f"{self.folder} cannot be written ({reason(error)})", hint="choose another folder"
            ) from error

    @classmethod
    def beside(cls, output: str | os.PathLike[str], key: object) -> "Journal":
        """Open the journal of an output: a hidden folder beside it, one for each output file.

        Parameters
        ----------
        output
            The file that the run will write.
        key
            See `Journal`.
        """
        return cls(beside(output, "geosam-journal"), key)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, name: str, arrays: Mapping[str, np.ndarray], *, packed: bool = True) -> None:
        """Keep arrays under a name; an entry of that name is replaced. May be called from several threads.

        Parameters
        ----------
        name
            Letters, digits, ``.``, ``_`` and ``-``.
        arrays
            Any number of arrays, none as well; not of objects.
        packed
            Whether they are compressed: worth the time for labels, not for measurements.

        Raises
        ------
        OptionError
            If the name has other characters.
        SinkError
            If the entry cannot be written.
        """
        path = self._path(name)
        part = path.with_name(f".{path.name}.{threading.get_ident()}")
        try:
            with zipfile.ZipFile(
                part, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED, compresslevel=1
            ) as archive:
                archive.comment = name.encode()  # so that no entry is taken for another
                for key, array in arrays.items():
                    with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
            os.replace(part, path)
        except OSError as error:
            raise SinkError(
                f"{path} cannot be written ({reason(error)})", hint="make room; the same run then goes on from here"
            ) from error
        finally:
            part.unlink(missing_ok=True)

    def get(self, name: str) -> dict[str, np.ndarray] | None:
        """Give back the arrays of a name.

        Parameters
        ----------
        name
            As given to `put`.

        Returns
        -------
        dict of ndarray, or None
            None if there is no such entry. A damaged entry counts as none and is removed.

        Raises
        ------
        OptionError
            If the name has characters that no name has.
        """
        path = self._path(name)
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
                if archive.zip.comment != name.encode():
                    raise ValueError("it is another entry")
                return {key: archive[key] for key in archive.files}
        except FileNotFoundError:
            return None
        except Exception as error:  # a damaged byte can raise anything: zlib, zip, header, shape
            _log.warning("%s is damaged and is computed again (%s)", path, error)
            _discard(path)
            return None

    def names(self) -> list[str]:
        """Names of all entries, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.npz") if _NAME.fullmatch(path.stem))

    def adopt(self, other: "Journal") -> None:
        """Take over all entries of another journal of the same run on the same file system; it is empty afterwards."""
        for name in other.names():
            os.replace(other._path(name), self._path(name))

    def close(self) -> None:
        """Let another run open the journal; the entries stay."""
        self._locked.release()

    def remove(self) -> None:
        """Remove the journal and its folder, when the run is complete."""
        self._locked.remove()

    def _start(self, digest: str) -> None:
        """Remove what half-written entries a killed process left, and all entries of a run with other parameters."""
        for path in self.folder.glob(".*.npz.*"):
            _discard(path)
        run = self.folder / "run"
        with suppress(OSError, UnicodeDecodeError):
            if run.read_text() == digest:
                return
        names = self.names()
        if names:
            _log.info("%s is of a run with other parameters: %d windows are computed anew", self.folder, len(names))
        part = self.folder / ".run"
        for path in (*map(self._path, names), part, run):
            _discard(path)
        part.write_text(digest)
        os.replace(part, run)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise OptionError(f"the journal entry {name!r}", expected="letters, digits, '.', '_' and '-'")
        return self.folder / f"{name}.npz"


def _discard(path: Path) -> None:
    """Remove what lies there, whatever it is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
