"""Ask a running ``geosam serve``: one request, one answer, never blocking QGIS.

Page, notebook and this plugin speak the same protocol (``docs/protocol.md`` of geosam).
"""

import json
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

from qgis.PyQt.QtCore import QByteArray, QObject, QTimer, QUrl
from qgis.PyQt.QtNetwork import QNetworkAccessManager, QNetworkProxy, QNetworkRequest

GONE = {"ok": False, "kind": "gone", "error": "geosam has ended: start it again"}

AGAIN_MS = 200
"""When to ask again where an answer does not say it."""


class Client(QObject):
    """One server's address and token.

    A network manager of its own, not that of QGIS: the server is on this machine, and no proxy of the user's lies
    between.
    """

    def __init__(self, address, parent=None):
        super().__init__(parent)
        parts = urlsplit(address)
        self.token = parse_qs(parts.query).get("token", [""])[0]
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.url = f"{self.origin}{parts.path if parts.path.endswith('/') else parts.path + '/'}api"
        self._manager = QNetworkAccessManager(self)
        self._manager.setProxy(QNetworkProxy(QNetworkProxy.ProxyType.NoProxy))
        self._manager.finished.connect(self._finish)
        self._waiting = {}  # holds the replies too: what only their own signals hold, Python may collect
        self._open = True

    def ask(self, request, done):
        """Send a request; `done` gets the answer and its bytes, later, also if something is wrong."""
        if not self._open:
            QTimer.singleShot(0, lambda: done(dict(GONE), b""))
            return
        asked = QNetworkRequest(QUrl(self.url))
        for name, value in self.headers().items():
            asked.setRawHeader(name.encode(), value.encode())
        self._waiting[self._manager.post(asked, QByteArray(json.dumps(request).encode()))] = done

    def ask_until_done(self, request, done, wanted=lambda: True):
        """Ask again, as long as the answer says so and it is still `wanted`; `done` gets each answer."""

        def answered(answer, buffer):
            if not wanted():
                return
            done(answer, buffer)
            if answer.get("ok") and answer.get("again_ms"):
                QTimer.singleShot(int(answer["again_ms"]), again)

        def again():
            if wanted():
                self.ask(request, answered)

        self.ask(request, answered)

    def headers(self):
        """What every request carries."""
        return {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self.token}",
            "Origin": self.origin,
            "Connection": "close",  # else Qt sends the body when the headers are acknowledged, 40 ms later
        }

    def close(self):
        """Ask nothing any more."""
        self._open = False

    def _finish(self, reply):
        done = self._waiting.pop(reply, None)
        content = bytes(reply.readAll())
        told = bytes(reply.rawHeader(b"X-Geosam-Answer"))
        reply.deleteLater()
        if self._open and done is not None:
            done(*read_answer(told, content, reply.errorString()))


def read_answer(told, content, trouble):
    """An answer and its bytes from what came over the wire.

    >>> read_answer(b"", b'{"ok": true}', "")
    ({'ok': True}, b'')
    >>> read_answer(b"", b"", "Connection refused")[0]["kind"]
    'gone'
    """
    try:
        answer = json.loads((told or content).decode())
        if isinstance(answer, dict) and "ok" in answer:
            return answer, content if told else b""
    except ValueError:
        pass
    return {"ok": False, "kind": "gone", "error": f"geosam does not answer ({trouble or 'no answer'})"}, b""


def ask_blocking(client, request, timeout=60):
    """The same for a thread of a task, where waiting is no harm.

    Raises
    ------
    OSError
        If the server does not answer.
    """
    asked = urllib.request.Request(client.url, json.dumps(request).encode(), client.headers())
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(asked, timeout=timeout) as reply:
            return read_answer((reply.headers.get("X-Geosam-Answer") or "").encode(), reply.read(), "")
    except urllib.error.HTTPError as error:
        return read_answer(b"", error.read(), str(error))
