"""Fetch a weights file: with progress, resumed where it stopped, verified, and moved into place whole."""

import hashlib
import http.client
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from geosam.errors import WeightsError
from geosam.sam.model import SamSpec

BLOCK = 1 << 20
"""Bytes read at a time."""

ATTEMPTS = 5
"""How often a broken connection is taken up again."""

PAUSE_S = 1.0
"""Seconds before the next attempt, longer each time."""

TIMEOUT_S = 30.0
"""Seconds without an answer after which a connection counts as broken."""

log = logging.getLogger(__name__)


def download(spec: SamSpec, target: Path) -> None:
    """Fetch the weights of a spec to ``target``; one fetches, others that want the same file wait for it.

    What has arrived lies beside it under ``.part`` until all is there and its SHA-256 is right, so that an interrupted
    download goes on where it stopped, in this process or a later one.

    Raises
    ------
    WeightsError
        If the server cannot be reached or sends something else, or the folder cannot be written to.
    """
    part, lock = (target.with_name(target.name + ending) for ending in (".part", ".lock"))
    with _alone(lock):
        if not target.exists():
            log.info("downloading %s from %s", spec.name, spec.url)
            _fetch_all(spec, part, target)
            _settle(spec, part, target)
    with suppress(OSError):  # another may still hold it; whoever locks it from now on finds the target
        lock.unlink()


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock file, made if absent, once no other holds it."""
    held = FileLock(lock)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held.acquire()
    except OSError as error:
        raise WeightsError(
            f"cannot write to {str(lock.parent)!r}: {error.strerror}",
            expected="a folder for downloaded weights",
            hint="set GEOSAM_CACHE to one, use the built-in model 'nano', or give a weights file's path as the model",
        ) from error
    try:
        yield
    finally:
        held.release()


def _settle(spec: SamSpec, part: Path, target: Path) -> None:
    """Move what has arrived into place if it is what it should be."""
    found = hash_file(part)
    if found != spec.sha256:
        part.unlink()
        raise WeightsError(
            f"{spec.url} has SHA-256 {found[:12]}…",
            expected=f"{spec.sha256[:12]}…",
            hint="what arrived was deleted; try again, or get the file elsewhere and give its path as the model",
        )
    os.replace(part, target)


def hash_file(path: Path) -> str:
    """Compute the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch_all(spec: SamSpec, part: Path, target: Path) -> None:
    """Try until all bytes are there, or it is hopeless."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"weights of {spec.name}", total=spec.bytes or None)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                _fetch(spec, part, lambda done: progress.update(task, completed=done))
                return
            except (OSError, http.client.HTTPException) as error:
                refused = isinstance(error, HTTPError) and error.code < 500
                if refused or attempt == ATTEMPTS:
                    raise _unreachable(spec, part, target, error) from error
                log.warning("download of %s broken off (%s), trying again", spec.name, error)
                time.sleep(PAUSE_S * attempt)


def _fetch(spec: SamSpec, part: Path, report: Callable[[int], None]) -> None:
    """Ask for the bytes that are not there yet and write them to their place."""
    done = part.stat().st_size if part.exists() else 0
    if spec.bytes and done >= spec.bytes:
        return
    request = Request(spec.url, headers={"Range": f"bytes={done}-"} if done else {})
    with urlopen(request, timeout=TIMEOUT_S) as response, part.open("ab") as file:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:  # the server sends all of it again
            done = file.truncate(0)
        total = spec.bytes or done + int(response.headers.get("Content-Length") or 0)
        while block := response.read(BLOCK):
            file.write(block)
            done += len(block)
            report(done)
    if done < total:
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")


def _unreachable(spec: SamSpec, part: Path, target: Path, error: Exception) -> WeightsError:
    kept = f" ({part.stat().st_size} bytes are kept and will not be asked for again)" if part.exists() else ""
    return WeightsError(
        f"cannot download {spec.url}: {error}{kept}",
        expected=f"a connection, or the file at {target}",
        hint="try again, use the built-in model 'nano', or give the path of a weights file as the model",
    )
