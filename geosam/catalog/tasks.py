"""Work on one scene: from opening it to its part, and what became of it."""

import errno
import logging
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from rasterio.errors import RasterioError

from geosam.catalog.folder import RunFolder, digest_of
from geosam.catalog.footprints import footprint_of
from geosam.catalog.items import Item
from geosam.catalog.job import View
from geosam.catalog.manifest import DONE, FAILED, OUTSIDE, Row
from geosam.catalog.pieces import fill_piece, gather_pieces, pieces_of
from geosam.catalog.stack import stack_bands
from geosam.catalog.station import Station
from geosam.display import shown
from geosam.errors import GeosamError, SceneError, SceneReadError
from geosam.paths import is_remote
from geosam.pipeline import Report, encode, segment_to_file
from geosam.scene import Scene

_log = logging.getLogger(__name__)

PAUSE_S = 0.5
"""Pause before a scene is begun again; it doubles each time."""

_PASSING = {
    errno.EIO,
    errno.EAGAIN,
    errno.EBUSY,
    errno.EINTR,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ECONNRESET,
    errno.ECONNREFUSED,
    errno.ECONNABORTED,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
}


@dataclass(frozen=True)
class Task:
    """A scene to be worked on, or a part of that work.

    Attributes
    ----------
    item
        The scene.
    key, identity
        Of its result, and of the scene as it was when the run began.
    piece, pieces
        Which of how many pieces of its windows; without a piece but with pieces, these are to be put together.
    alone
        Whether nothing else is under way beside it, so that a worker that dies has died of it.
    """

    item: Item
    key: str
    identity: str = ""
    piece: int | None = None
    pieces: int = 0
    alone: bool = False

    def __repr__(self) -> str:
        return f"Task({self.item.name}{'' if self.piece is None else f', piece {self.piece + 1} of {self.pieces}'})"


@dataclass(frozen=True)
class Split:
    """A scene too large for one process at a time: it is to be done in that many pieces."""

    pieces: int


@dataclass(frozen=True)
class Filled:
    """A piece of a scene is done."""


@dataclass(frozen=True)
class Suspect:
    """The workers that had a task died, of it or of another that they had beside it: it is to be tried alone."""


Outcome = Row | Split | Filled | Suspect


def do(station: Station, task: Task) -> Outcome:
    """Work on a scene; an error becomes a row that says so.

    A passing fault of input or output (a connection lost, a file server that does not answer) is tried again; a scene
    that is damaged, absent or of the wrong kind is not.
    """
    begin, attempts, job = time.perf_counter(), 0, station.job
    while True:
        attempts += 1
        try:
            outcome = _carry_out(station, task)
            break
        except Exception as error:
            if attempts > job.retries or not is_passing(error, task.item.paths):
                outcome = failed(task, error)
                break
            _log.info("%s is tried again after: %s", task.item.name, shown(error))
            time.sleep(PAUSE_S * 2 ** (attempts - 1))
    if not isinstance(outcome, Row):
        return outcome
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    seconds, worker = round(time.perf_counter() - begin, 3), f"{socket.gethostname()}:{os.getpid()}"
    return replace(outcome, seconds=seconds, attempts=attempts, worker=worker, finished=finished)


def is_passing(error: BaseException, paths: tuple[str, ...]) -> bool:
    """Whether an error may be gone the next time: of the network or a file server, not of the data.

    Examples
    --------
    >>> is_passing(OSError(errno.EIO, "input/output error"), ("a.tif",)), is_passing(SceneError("bad"), ("a.tif",))
    (True, False)
    >>> is_passing(SceneError("https://host/a.tif cannot be opened (HTTP 503)"), ("https://host/a.tif",))
    True
    """
    chain = list(_causes(error))
    if any(isinstance(one, OSError) and one.errno in _PASSING for one in chain):
        return True
    remote = any(map(is_remote, paths))
    gone = any(code in str(error) for code in (" 404", " 403", " 401"))
    return remote and not gone and any(isinstance(one, SceneError | RasterioError) for one in chain)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def failed(task: Task, error: Exception) -> Row:
    """The row of a scene that an error ended."""
    if isinstance(error, GeosamError | OSError | MemoryError):
        reason = str(error) or type(error).__name__
    else:  # one scene that meets a fault of geosam does not end the others
        _log.debug("unexpected error in %s", task.item.name, exc_info=error)
        reason = f"unexpected {type(error).__name__}: {error}"
    return row_of(task, FAILED, reason=shown(" ".join(reason.split())))


def row_of(task: Task, status: str, **values: Any) -> Row:
    """A row about a scene."""
    return Row(task.item.name, task.item.place, task.key, status, **values)


def _carry_out(station: Station, task: Task) -> Outcome:
    job = station.job
    folder = RunFolder(job.folder)
    whole = job.seen(named(job.view.open(_path_of(task.item, folder.stacks)), task.item.name))
    place = {"footprint": footprint_of(whole, job.view.area), "crs": _told_crs(whole)}
    try:
        scene = whole if job.view.aoi is None else whole.within(job.view.aoi, job.view.aoi_crs)
    except SceneError:  # the view's area of interest is one, since the client has read it
        return row_of(task, OUTSIDE, **place)
    part = folder.part(task.item.name)
    if task.piece is not None:
        fill_piece(station, scene, part, piece=task.piece, pieces=task.pieces)
        return Filled()
    gather_pieces(station, scene, part)
    pieces = 0 if task.pieces else pieces_of(station, scene, part)
    if pieces > 1:
        return Split(pieces)
    done = row_of(task, DONE, **place, **_result(station, scene, part))
    if task.identity not in ("", task.item.identity):
        raise SceneReadError(f"{task.item.place} changed while it was read", hint="run the catalog again")
    return done


def _result(station: Station, scene: Scene, part: Path) -> dict[str, Any]:
    """Write the outputs of a scene; the manifest's columns about them."""
    job = station.job
    how = {"model": station.network, "options": job.options, "store": station.store, "progress": station.progress}
    if job.encode:
        return _counts(encode(scene, **how))
    labels = RunFolder(job.folder).label(part.stem) if job.labels else None
    report = segment_to_file(scene, part, station.prompts_on(scene), labels=labels, **how)
    areas = pq.read_table(part, columns=["area_m2"])["area_m2"].to_numpy()
    known = {"part": digest_of(part), "label": digest_of(labels) if labels else ""}
    return {**_counts(report), **known, "area_m2": round(float(np.nansum(areas)), 3)}


def _counts(report: Report) -> dict[str, Any]:
    names = ("objects", "windows", "empty", "encoded", "recalled", "resumed")
    return {**{name: getattr(report, name) for name in names}, "skipped": len(report.skipped)}


def named(scene: Scene, name: str) -> Scene:
    """The scene under another name, which the column ``scene`` then holds; what it is does not change."""
    info = replace(scene.raster.info, name=name)
    return replace(scene, raster=replace(scene.raster, info=info))  # pyright: ignore[reportArgumentType]  # a raster is a dataclass


def open_item(item: Item, view: View, folder: Path) -> Scene:
    """The scene of an item under its name, cropped to the area of interest.

    Parameters
    ----------
    item, view
        The item, and how it is seen.
    folder
        Of the results; rasters that are bands of one scene are stacked there.

    Raises
    ------
    GeosamError
        What is wrong with the item, or with its raster.
    """
    if item.problem is not None:
        raise item.problem
    whole = named(view.open(_path_of(item, RunFolder(folder).stacks)), item.name)
    return whole if view.aoi is None else whole.within(view.aoi, view.aoi_crs)


def _path_of(item: Item, stacks: Path) -> str:
    """The item's raster; of several, the one that stacks them."""
    return item.paths[0] if len(item.paths) == 1 else stack_bands(item.paths, stacks / f"{item.name}.vrt")


def _told_crs(scene: Scene) -> str | None:
    if scene.crs is None:
        return None
    authority = scene.crs.to_authority()
    return ":".join(authority) if authority else scene.crs.name
