"""Previews: the shapes that the server has for prompts, asked one at a time, the newest next.

What is drawn is the server's shape for exactly these prompts, and what is saved is that shape's key: the preview is
what the click saves.
"""

from collections import OrderedDict
from dataclasses import dataclass

from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from .client import AGAIN_MS

REMEMBERED = 32
"""Previews that are kept; the server keeps the keys of the last 64."""


@dataclass(frozen=True)
class Asked:
    """Prompts of one object: clicks (x, y, 1 or 0), a box, an outline, and the saved object that is reopened."""

    points: tuple = ()
    box: "tuple | None" = None
    outline: "tuple | None" = None
    object: "int | None" = None

    @property
    def empty(self):
        """Whether nothing points at anything."""
        return not self.points and self.box is None and self.outline is None

    def request(self, seq, hover=""):
        """The request of their preview; ``hover`` is ``"moves"`` or ``"rests"`` where the pointer only hovers."""
        return {
            "verb": "preview",
            "points": [list(point) for point in self.points],
            "box": None if self.box is None else list(self.box),
            "outline": None if self.outline is None else [list(place) for place in self.outline],
            "object": self.object,
            "seq": seq,
            "hover": hover,
        }


class Previews(QObject):
    """What is known of the shapes of prompts, and the one request that is on its way.

    Where the pointer hovers, a rough shape is asked for first, and the exact one if it rests: the server gives that up
    if something else is asked, so that nothing waits for it.

    Parameters
    ----------
    client
        Whom to ask.
    wanted
        Gives the prompts whose shapes are to be known now, the most urgent ones first, each with whether it hovers.

    Signals
    -------
    came
        Prompts and the answer to them, right or wrong.
    """

    came = pyqtSignal(object, dict)

    def __init__(self, client, wanted, parent=None):
        super().__init__(parent)
        self._client, self._wanted = client, wanted
        self._known = OrderedDict()
        self._seq, self._waiting = 0, None

    def known(self, asked):
        """The answer to prompts, None if it is not there yet."""
        return self._known.get(asked)

    def shape(self, asked):
        """The shape of prompts, None if there is none or it is not known yet."""
        return (self._known.get(asked) or {}).get("shape")

    def ask_next(self):
        """Ask for the most urgent shape that is not known exactly, unless a request is on its way."""
        wanted = ((asked, hovers) for asked, hovers in self._wanted() if not (self.known(asked) or {}).get("exact"))
        asked, hovers = next(wanted, (None, False))
        hover = "" if not hovers else "rests" if self.known(asked) else "moves"
        waits = self._waiting is not None and self._waiting[1] != "rests"
        if waits or asked is None or self._waiting == (asked, hover):
            return
        self._waiting, self._seq = (asked, hover), self._seq + 1
        self._client.ask(asked.request(self._seq, hover), lambda answer, _: self._take(asked, hover, answer))

    def _take(self, asked, hover, answer):
        if self._waiting == (asked, hover):
            self._waiting = None
        kind = "" if answer.get("ok") else answer.get("kind")
        if kind in ("busy", "gone"):
            if hover != "rests" or kind == "gone":
                self.came.emit(asked, answer)
            if kind == "busy":
                self._later(answer)
            return
        self._known[asked] = answer if answer.get("ok") else {"shape": None, "key": None, "score": 0.0, "exact": True}
        self._known.move_to_end(asked)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        self.came.emit(asked, answer)
        if answer.get("ok") and not answer.get("exact", True):
            self._later(answer)
        else:
            self.ask_next()

    def _later(self, answer):
        QTimer.singleShot(int(answer.get("again_ms") or AGAIN_MS), self.ask_next)
