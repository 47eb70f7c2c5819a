"""The desk: requests of a front end in, answers out, whatever carries them.

Each verb of the protocol (docs/protocol.md) is one function. An answer is a plain value and at most one buffer; an
error is an answer too. Reading and looking may happen on several threads at once, changes are made one at a time.
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from geosam.display import shown
from geosam.errors import GeosamError, SceneReadError
from geosam.scene import Scene
from geosam.serve import changing, making, proposing, showing
from geosam.serve.layer import Layer
from geosam.serve.pictures import Picture
from geosam.serve.requests import Fields, ServeError
from geosam.serve.warm import Warmth
from geosam.serve.workplace import Answer, Workplace

_log = logging.getLogger(__name__)

Verb = Callable[[Workplace, Fields], dict[str, Any] | Answer]

VIEWING: Mapping[str, Verb] = {
    "hello": showing.hello,
    "tile": showing.tile,
    "objects": showing.objects,
    "status": showing.status,
    "locate": showing.locate,
}
"""What can be asked anywhere."""

EDITING: Mapping[str, Verb] = {
    "look": showing.look,
    "export": showing.export_file,
    "warm": making.warm,
    "preview": making.preview,
    "accept": making.accept,
    "reopen": making.reopen,
    "delete": changing.delete,
    "classify": changing.classify,
    "merge": changing.merge,
    "split": changing.split,
    "reshape": changing.reshape,
    "move_vertex": changing.move_vertex,
    "add_vertex": changing.add_vertex,
    "remove_vertex": changing.remove_vertex,
    "undo": changing.undo,
    "redo": changing.redo,
    "classes": changing.classes,
    "suggest": proposing.suggest,
    "reject": proposing.reject,
    "similar": proposing.similar,
    "word": proposing.word,
    "coverage": proposing.coverage,
}
"""What can be asked where objects can be made."""


class Desk:
    """What a front end talks to.

    Parameters
    ----------
    scene
        What is looked at.
    layer
        The objects on it.
    warmth
        Windows and model; None where nothing can be changed.
    pictures
        What is shown, by name, on the scene's grid; None for the scene itself.
    date
        When the scene was taken, ISO 8601, for what is exported.

    Examples
    --------
    >>> import tempfile
    >>> from geosam.scene import open_scene
    >>> from geosam.testing import coordinate_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     desk = Desk(open_scene(coordinate_scene(folder + "/xy.tif", (300, 500))), Layer())
    ...     desk.answer({"verb": "hello"}).value["scene"]["width"]
    ...     desk.answer({"verb": "delete", "ids": [1]}).value["error"]
    500
    'delete: expected hello, tile, objects, status, locate: this view shows only'
    """

    def __init__(
        self,
        scene: Scene,
        layer: Layer,
        warmth: Warmth | None = None,
        *,
        pictures: Mapping[str, Picture] | None = None,
        date: str = "",
    ) -> None:
        self.work = Workplace(scene, layer, warmth, pictures, date=date)
        self._preparing: threading.Thread | None = None

    @property
    def scene(self) -> Scene:
        """What is looked at."""
        return self.work.scene

    @property
    def layer(self) -> Layer:
        """The objects."""
        return self.work.layer

    def prepare(self) -> None:
        """Begin where the hand will probably be: where the view was left, else in the middle."""
        answerer, session = self.work.answerer, self.layer.session
        if answerer is None:
            return
        h, w = self.scene.shape
        look = None if session is None else session.content.facts.get("look")
        x, y = look["at"] if look else (w / 2, h / 2)
        place = min(max(x, 0), w - 1), min(max(y, 0), h - 1)
        self._preparing = threading.Thread(target=answerer.prepare, args=place, name="geosam-prepare", daemon=True)
        self._preparing.start()

    def close(self, patience: float | int | None = None) -> bool:
        """Let go of threads and the session.

        Parameters
        ----------
        patience
            Seconds to wait for each thread's work at most; None waits for its end.

        Returns
        -------
        Whether all threads have ended. The session is closed in any case.
        """
        if self._preparing is not None:
            self._preparing.join(patience)
        prepared = self._preparing is None or not self._preparing.is_alive()
        return self.work.close(patience) and prepared

    def answer(self, request: Any) -> Answer:
        """Answer a request; what goes wrong is an answer as well."""
        fields = Fields(request if isinstance(request, dict) else {})
        try:
            found = self._verb(fields)(self.work, fields)
        except ServeError as error:
            return _refusal(error, error.kind)
        except SceneReadError as error:
            return _refusal(error, "gone")
        except GeosamError as error:
            return _refusal(error, "input")
        except Exception as error:  # the desk stays open, whatever one request provokes
            _log.exception("%s failed", shown(fields.verb[:40]))
            return _refusal(GeosamError(f"{type(error).__name__}", hint="see the log; report it"), "internal")
        value, buffer = found if isinstance(found, Answer) else (found, None)
        return Answer({"ok": True} | value, buffer)

    def _verb(self, fields: Fields) -> Verb:
        name = fields.verb
        verb = VIEWING.get(name) or (EDITING.get(name) if self.work.editable else None)
        if verb is not None:
            return verb
        given = shown(name[:40]) or "a request without a verb"
        if name in EDITING:
            raise ServeError(given, expected=f"{', '.join(VIEWING)}: this view shows only")
        raise ServeError(given, expected=f"one of {', '.join((*VIEWING, *EDITING))}")


def session_path(scene: Scene) -> Path:
    """Where the session of a scene lies unless another place is named: beside it, or here where that cannot be."""
    source = Path(scene.source)
    beside = source.absolute().parent
    folder = beside if source.is_file() and os.access(beside, os.W_OK) else Path.cwd()
    return folder / f"{Path(scene.name).name}.geosam.gpkg"


def _refusal(error: GeosamError, kind: str) -> Answer:
    return Answer({"ok": False, "error": str(error), "kind": kind})
