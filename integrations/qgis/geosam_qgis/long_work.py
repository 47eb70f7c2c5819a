"""What takes longer than a click: encoding the scene, and searches; in QGIS's task manager."""

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QPoint

from .program import ProgramError, find_program
from .tasks import CommandTask, SearchTask

SIMILAR = 50
"""How many candidates a search for more of the same gives."""


class LongWork:
    """Begins tasks, and shows what they have found.

    Parameters
    ----------
    canvas
        The map canvas, which gets the focus back.
    say
        Called with a line for the user, and whether it is bad news.
    """

    def __init__(self, canvas, say):
        self._canvas, self._say, self._tasks = canvas, say, []

    def cancel(self):
        """Cancel all that is not done."""
        for task in filter(_is_active, self._tasks):
            task.cancel()

    def encode(self, scene):
        """Encode all of a scene, so that every click is quick."""

        def done(said, error):
            self._say("the whole scene is encoded" if said is not None else error, said is None)

        try:
            program = find_program()
        except ProgramError as error:
            self._say(str(error), True)
            return
        self._begin(CommandTask("geosam: encode the scene", program, ["encode", scene], done))

    def similar(self, clicking):
        """Find more like the object under the pointer, or like those that are selected."""
        ids = sorted(clicking.objects.selected)
        here = clicking.objects.at(*clicking.pointer) if clicking.pointer else None
        ids = ids or ([] if here is None else [here])
        if ids:
            self._search(clicking, "more like this", {"verb": "similar", "ids": ids, "limit": SIMILAR})
        else:
            self._say("no saved object under the pointer", False)

    def word(self, clicking, text):
        """Find what a word names."""
        self._search(clicking, f"find {text}", {"verb": "word", "text": text})

    def coverage(self, clicking, tool):
        """Find the segments of what is in view."""
        corners = [QPoint(x, y) for x in (0, self._canvas.width()) for y in (0, self._canvas.height())]
        seen = [at for at in map(tool.to_px, corners) if at is not None]
        bounds = clicking.place.clipped(zip(*seen)) if seen else None
        if bounds is None:
            self._say("the scene is not in view (F shows it)", False)
        else:
            self._search(clicking, "segments of the view", {"verb": "coverage", "bounds": bounds})

    def _search(self, clicking, title, request):
        def done(answer):
            if clicking.ended:
                return
            if not answer.get("ok"):
                clicking.failed(answer)
                return
            segments = answer.get("segments")
            found = answer.get("candidates", ()) if segments is None else segments
            clicking.show_candidates(found, answer.get("note") or "", together=segments is not None)
            self._canvas.setFocus()

        self._say("searching …", False)
        self._begin(SearchTask(f"geosam: {title}", clicking.client, request, done))

    def _begin(self, task):
        self._tasks = [*filter(_is_active, self._tasks), task]
        QgsApplication.taskManager().addTask(task)


def _is_active(task):
    try:
        return task.isActive()
    except RuntimeError:  # QGIS has deleted it
        return False
