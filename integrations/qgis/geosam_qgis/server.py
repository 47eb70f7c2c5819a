"""Start ``geosam serve`` beside QGIS, and end it."""

import os
import re

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QObject, QProcess, QProcessEnvironment, QTimer, pyqtSignal

from .client import Client
from .program import surroundings

_ADDRESS = re.compile(r"https?://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?/\S*token=\S+")
"""The line with which the server says where it listens: this machine alone."""

START_MS = 120_000
"""How long the server may take until it listens: a cold disk, and loading the model."""

LEAVE_MS = 3_000
"""How long it may take to leave before it is killed."""

_KEPT = 4_000
"""Characters of what it said that are kept to explain a failure."""


class Server(QObject):
    """The server of one scene.

    Signals
    -------
    ready
        It listens: a `Client`.
    failed
        It did not start, or ended by itself: one line.
    """

    ready = pyqtSignal(object)
    failed = pyqtSignal(str)

    def __init__(self, parent=None):
        super().__init__(parent)
        self.client = None
        self._process = self._leaving = self._next = None
        self._said = ""
        self._late = QTimer(self)
        self._late.setSingleShot(True)
        self._late.timeout.connect(self._give_up)

    def start(self, program, scene, session, labels=None):
        """Start the server; `ready` or `failed` comes later."""
        self.stop()
        arguments = [*program[1:], "serve", scene, "--no-browser", "--until-eof", "--session", session]
        self._next = program[0], [*arguments, *(["--labels", labels] if labels else [])]
        if self._leaving is None:  # else once it has let go of its session
            self._launch()

    def _launch(self):
        (program, arguments), self._next = self._next, None
        process = QProcess(self)
        variables = QProcessEnvironment()
        for name, value in surroundings().items():
            variables.insert(name, value)
        process.setProcessEnvironment(variables)
        process.readyReadStandardOutput.connect(lambda: self._read(process, bytes(process.readAllStandardOutput())))
        process.readyReadStandardError.connect(lambda: self._read(process, bytes(process.readAllStandardError())))
        process.finished.connect(lambda code, *_: self._ended(process, f"geosam ended with code {code}"))
        process.errorOccurred.connect(lambda error: self._refused(process, error))
        self._process, self._said = process, ""
        self._late.start(START_MS)
        process.start(program, arguments)

    @property
    def running(self):
        """Whether there is a server, listening or on its way."""
        return self._process is not None or self._next is not None

    def stop(self, wait=False):
        """End the server, if there is one: politely, then by force; `wait` until it has ended."""
        process, self._process, self._next = self._process, None, None
        self._late.stop()
        if self.client is not None:
            self.client.close()
            self.client.deleteLater()
            self.client = None
        if process is not None and process.state() != QProcess.ProcessState.NotRunning:
            self._leaving = process
            process.closeWriteChannel()  # which --until-eof waits for
            process.terminate()
            QTimer.singleShot(LEAVE_MS, self._end)
        if wait and self._leaving is not None and not self._leaving.waitForFinished(LEAVE_MS):
            self._end()

    def _end(self):
        """Kill the server that is leaving; all that was accepted is on disk."""
        if self._leaving is not None:
            self._leaving.kill()
            self._leaving.waitForFinished(LEAVE_MS)

    def _read(self, process, content):
        if process is not self._process:
            return
        self._said = (self._said + content.decode("utf-8", "replace"))[-_KEPT:]
        found = _ADDRESS.search(self._said)
        if found and self.client is None:
            self._late.stop()
            self.client = Client(found[0], self)
            self.ready.emit(self.client)

    def _ended(self, process, why):
        if process is self._leaving:
            self._leaving = None
            process.deleteLater()
            if self._next is not None:
                self._launch()
        if process is not self._process:
            return
        lines = [line.strip() for line in self._said.splitlines() if line.strip() and not _ADDRESS.search(line)]
        error = next((line for line in reversed(lines) if line.startswith("error: ")), None)
        self.stop()
        self.failed.emit(error[len("error: ") :] if error else f"{why}: {lines[-1]}" if lines else why)

    def _refused(self, process, error):
        if error == QProcess.ProcessError.FailedToStart:
            self._ended(process, f"{process.program()} cannot be started ({process.errorString()})")

    def _give_up(self):
        self._process.kill()
        self._ended(self._process, f"geosam did not listen within {START_MS // 1000} s")


def session_path(scene):
    """Where the session of a scene lies: beside it, or among QGIS's own files where nothing can be written there."""
    name = os.path.splitext(os.path.basename(scene.rstrip("/")))[0] or "scene"
    folder = os.path.dirname(scene)
    if not (os.path.isfile(scene) and os.access(folder or ".", os.W_OK)):
        folder = os.path.join(QgsApplication.qgisSettingsDirPath(), "geosam")
        os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, f"{name}.geosam.gpkg")
