"""Work on one scene, or on a pair of them: from opening it to its result, and what became of it."""

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

from geosam.catalog.folder import RunFolder, digest_of, map_path
from geosam.catalog.footprints import footprint_of
from geosam.catalog.items import Item
from geosam.catalog.job import LandcoverSpec
from geosam.catalog.manifest import DONE, FAILED, OUTSIDE, Row
from geosam.catalog.pairs import pair_name, pair_path, taken
from geosam.catalog.pieces import fill_piece, gather_pieces, pieces_of
from geosam.catalog.stack import open_item, open_whole
from geosam.catalog.station import Station
from geosam.display import shown
from geosam.errors import GeosamError, SceneError, SceneReadError
from geosam.paths import is_remote
from geosam.pipeline import Report, encode, segment_to_file
from geosam.pipeline.compare import compare
from geosam.pipeline.landcover import LandcoverFiles, map_landcover
from geosam.pipeline.publish import check_outputs, publish
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
    """A scene or a pair of scenes to be worked on, or a part of that work.

    Attributes
    ----------
    item
        The scene; of a pair the one from after the event.
    key, identity
        Of its result, and of the scenes as they were when the run began.
    before
        Of a pair the scene from before the event.
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
    before: Item | None = None

    @property
    def items(self) -> tuple[Item, ...]:
        """The scenes."""
        return (self.item,) if self.before is None else (self.before, self.item)

    @property
    def name(self) -> str:
        """Names the results."""
        return self.item.name if self.before is None else pair_name(self.before, self.item)

    @property
    def paths(self) -> tuple[str, ...]:
        """The rasters that are read."""
        return tuple(path for item in self.items for path in item.paths)

    @property
    def problem(self) -> GeosamError | None:
        """What the catalog itself says is wrong with a scene."""
        return next((item.problem for item in self.items if item.problem is not None), None)

    def check_same(self) -> None:
        """Check that the scenes are as they were when the run began.

        Raises
        ------
        SceneReadError
            If one is another now.
        """
        if self.identity not in ("", " ".join(item.identity for item in self.items)):
            places = " or ".join(item.place for item in self.items)
            raise SceneReadError(f"{places} changed while it was read", hint="run the catalog again")

    def __repr__(self) -> str:
        return f"Task({self.name}{'' if self.piece is None else f', piece {self.piece + 1} of {self.pieces}'})"


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
            if attempts > job.retries or not is_passing(error, task.paths):
                outcome = failed(task, error)
                break
            _log.info("%s is tried again after: %s", task.name, shown(error))
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
        _log.debug("unexpected error in %s", task.name, exc_info=error)
        reason = f"unexpected {type(error).__name__}: {error}"
    return row_of(task, FAILED, reason=shown(" ".join(reason.split())))


def row_of(task: Task, status: str, **values: Any) -> Row:
    """A row about a scene."""
    return Row(task.name, task.item.place, task.key, status, **values)


def _carry_out(station: Station, task: Task) -> Outcome:
    job = station.job
    if task.before is not None:
        return _compare(station, task, task.before)
    if job.landcover is not None:
        return _map(station, task, job.landcover)
    folder = RunFolder(job.folder)
    whole = job.seen(open_whole(task.item, job.view, folder.stacks))
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
    task.check_same()
    return done


def _compare(station: Station, task: Task, before: Item) -> Row:
    """Compare a pair of dates, and write it."""
    job, folder = station.job, station.job.folder
    first, second = (open_item(item, job.view, folder) for item in (before, task.item))
    moments = [taken(item)[0].isoformat() for item in (before, task.item)]
    assert job.change  # a job over pairs has both
    assert job.prompts
    dated = replace(job.change, date_before=moments[0], date_after=moments[1])
    how = {"model": station.network, "store": job.store, "progress": station.progress}
    result = compare(first, second, job.prompts.path, options=dated, **how)
    task.check_same()
    target = pair_path(folder, task.name)
    publish(replace(result, facts={**result.facts, "key": task.key}), check_outputs(target))
    return row_of(task, DONE, objects=len(result.change))


def _map(station: Station, task: Task, asked: LandcoverSpec) -> Row:
    """Map the land cover of a scene, and write it."""
    job = station.job
    scene = open_item(task.item, job.view, job.folder)
    files = LandcoverFiles(map_path(job.folder, task.name), overwrite=True, metadata={"key": task.key})
    how = {"model": station.network, "store": job.store, "progress": station.progress}
    found = map_landcover(scene, files, trained=asked.trained, mmu=asked.mmu, **how)
    task.check_same()
    return row_of(task, DONE, objects=len(found.segments))


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


def _told_crs(scene: Scene) -> str | None:
    if scene.crs is None:
        return None
    authority = scene.crs.to_authority()
    return ":".join(authority) if authority else scene.crs.name
