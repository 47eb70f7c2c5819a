"""A scene too large for one process at a time: its windows are shared out, and stitched by the same rule.

A piece is a run of windows of the scene's plan. Whoever does it keeps each window's instances in a journal of the
piece's own; when all are there, the journals become one, and the ordinary run finds every window done. So the result is
that of the whole scene, byte for byte.
"""

from pathlib import Path

import numpy as np

from geosam.catalog.station import Station
from geosam.execute import Journal
from geosam.pipeline.everything import entry, segment_each
from geosam.pipeline.request import Request
from geosam.pipeline.run import Run
from geosam.scene import Scene


def pieces_of(station: Station, scene: Scene, part: Path) -> int:
    """In how many pieces the windows of a scene that are still to be done are best shared out; 0 or 1 for none.

    A region tree is one of the whole scene, and grows in one place.
    """
    job = station.job
    if not job.split or job.prompts is not None or job.encode or job.options.grows_tree:
        return 0
    plan = job.options.plan(scene.shape, side=station.network.side)
    if len(plan) <= job.split:
        return 0
    done = len(list(_journal_folder(part).glob("window-*.npz")))
    return -(-(len(plan) - done) // job.split)


def fill_piece(station: Station, scene: Scene, part: Path, *, piece: int, pieces: int) -> None:
    """Segment the windows of a piece into its journal; those that are done already are left out.

    Parameters
    ----------
    station, scene
        Where the work is done, and on what.
    part
        The output of the whole scene, which names the journal.
    piece, pieces
        Number of this piece, and of all.
    """
    request = _request(station, scene)
    with Journal(_piece_folder(part, piece), request.key) as journal:
        run = Run(request, journal, station.store)
        plan = run.plan()
        bounds = np.linspace(0, len(plan), pieces + 1).astype(int).tolist()
        done = {*journal.names(), *(path.stem for path in _journal_folder(part).glob("window-*.npz"))}
        windows = [plan[index] for index in range(bounds[piece], bounds[piece + 1])]
        todo = [each for each in windows if entry(each.index) not in done and scene.has_data(each.window)]
        for index, found in segment_each(run, todo):
            journal.put(entry(index), found.to_arrays())


def gather_pieces(station: Station, scene: Scene, part: Path) -> None:
    """Move what the pieces' journals hold into that of the whole scene, which forgets what it has of another run."""
    folders = sorted(part.parent.glob(f"{_piece_folder(part, None).name}*"))
    if not folders and not _journal_folder(part).is_dir():
        return
    key = _request(station, scene).key
    with Journal.beside(part, key) as whole:
        for folder in folders:
            with Journal(folder, key) as piece:
                whole.adopt(piece)
                piece.remove()


def _request(station: Station, scene: Scene) -> Request:
    return Request.of(scene, None, model=station.network, options=station.job.options, changes={})


def _journal_folder(part: Path) -> Path:
    """Where `Journal.beside` keeps the windows of an output."""
    return part.with_name(f".{part.name}.geosam-journal")


def _piece_folder(part: Path, piece: int | None) -> Path:
    return part.with_name(f".{part.name}.geosam-piece-{'' if piece is None else f'{piece:05d}'}")
