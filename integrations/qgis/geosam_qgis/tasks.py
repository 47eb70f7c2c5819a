"""Long work in QGIS's task manager: seen there, and cancelled there."""

from qgis.core import QgsTask
from qgis.PyQt.QtCore import QThread

from .client import AGAIN_MS, ask_blocking
from .program import ProgramError
from .running import Cancelled, RunError, run


class _Feedback:
    """What `run` tells, passed on to a task."""

    def __init__(self, task):
        self._task = task

    def isCanceled(self):
        return self._task.isCanceled()

    def setProgress(self, value):
        self._task.setProgress(value)

    def setProgressText(self, text):
        pass

    def pushInfo(self, text):
        pass

    def pushWarning(self, text):
        pass


class CommandTask(QgsTask):
    """One geosam command; `done` gets what it wrote, or None, and what went wrong, on the main thread."""

    def __init__(self, title, program, arguments, done):
        super().__init__(title, QgsTask.Flag.CanCancel)
        self._program, self._arguments, self._done = program, arguments, done
        self._said, self._error = None, ""

    def run(self):
        try:
            self._said = run(self._program, self._arguments, _Feedback(self))
        except (ProgramError, RunError) as error:
            self._error = str(error)
        except Cancelled:
            self._error = "cancelled"
        return self._said is not None

    def finished(self, result):
        self._done(self._said, self._error)


class SearchTask(QgsTask):
    """A search that the server goes on with: ``similar``, ``word`` or ``coverage``; asked until it is done.

    `done` gets the last answer, on the main thread; a cancelled search gives what it has found until then.
    """

    def __init__(self, title, client, request, done):
        super().__init__(title, QgsTask.Flag.CanCancel)
        self._client, self._request, self._done = client, request, done
        self._answer = {"ok": False, "kind": "gone", "error": "geosam does not answer"}

    def run(self):
        while not self.isCanceled():
            try:
                self._answer, _ = ask_blocking(self._client, self._request)
            except OSError as error:
                self._answer = {"ok": False, "kind": "gone", "error": f"geosam does not answer ({error})"}
            if not self._answer.get("ok") or self._answer.get("done", True):
                break
            QThread.msleep(int(self._answer.get("again_ms") or AGAIN_MS))
        return bool(self._answer.get("ok"))

    def finished(self, result):
        self._done(self._answer)
