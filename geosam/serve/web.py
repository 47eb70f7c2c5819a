"""The page: the desk behind a loopback socket, for one browser on this machine.

Whoever can open a web page could reach a local port, so nothing is answered without the token that stands in the
address which was printed, nor under a name that is not this machine's (DNS rebinding), nor for a page from elsewhere
(`Origin`). Bodies and rates are bounded. What is sent is the package's own three files and the desk's answers; no path
of a request is ever opened.
"""

import json
import re
import secrets
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import anyio
from starlette.requests import Request
from starlette.responses import Response

from geosam.errors import OptionError
from geosam.serve.desk import Desk
from geosam.serve.requests import ServeError
from geosam.serve.workplace import Answer

LOOPBACK = "127.0.0.1"

LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
"""Names under which a browser on this machine knows the page."""

MOST_BODY = 8 << 20
"""Bytes of a request: the largest is an outline of 200,000 vertices."""

RATE, BURST = 200.0, 600
"""Requests a second, and how many at once: a browser that zooms asks for some hundred tiles."""

AT_ONCE = 64
"""Requests that are read or worked on at a time."""

THREADS = 4
"""Requests that are worked on at a time."""

BODY_S = 15.0
"""Seconds in which a request has to be here."""

STATIC = {
    "index.html": "text/html; charset=utf-8",
    "geosam.js": "text/javascript; charset=utf-8",
    "geosam.css": "text/css; charset=utf-8",
}
"""The files of the page; there are no others."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "SAMEORIGIN",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
}

Scope = dict[str, Any]
Send = Callable[..., Awaitable[None]]


@dataclass
class Rate:
    """A bucket of requests that fills again with time.

    Examples
    --------
    >>> rate = Rate(per_second=10, burst=2)
    >>> [rate.take(0.0), rate.take(0.0), rate.take(0.0), rate.take(0.1)]
    [True, True, False, True]
    """

    per_second: float | int
    burst: int
    _left: float | None = None
    _last: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, now: float) -> bool:
        """Whether there is one left."""
        with self._lock:
            left = self.burst if self._left is None else self._left + (now - self._last) * self.per_second
            self._left, self._last = min(left, float(self.burst)), now
            if self._left < 1:
                return False
            self._left -= 1
            return True


class Page:
    """An ASGI application for one desk.

    Parameters
    ----------
    desk
        What answers.
    token
        What a request has to know; a new one if none is given.
    hosts
        Names, without port, under which the page may be asked for beside this machine's own: those of a proxy.

    Examples
    --------
    >>> Page(desk=None, hosts=["hub.example.org"]).knows("hub.example.org:8000")
    True
    >>> Page(desk=None).knows("evil.example.org")
    False
    """

    def __init__(self, desk: Desk | None, *, token: str | None = None, hosts: Iterable[str] = ()) -> None:
        self.desk, self.token = desk, token or secrets.token_urlsafe(24)
        self.hosts = {*LOCAL_NAMES, *(host.lower() for host in hosts)}
        self.rate = Rate(RATE, BURST)
        self._open = 0
        self._limiter: anyio.CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> None:
        """Answer one request; web sockets and the like are refused."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except RefusedError as refused:
            response = _json({"ok": False, "error": refused.why, "kind": refused.kind}, status=refused.status)
            response.headers["Connection"] = "close"  # nothing more of it is read
        for name, value in HEADERS.items():
            response.headers[name] = value
        await response(scope, receive, send)

    def knows(self, host: str) -> bool:
        """Whether a `Host` header names this machine, or a proxy that was named."""
        name = re.fullmatch(r"(\[[0-9a-f:]+\]|[^:/@?#\s]+)(:[0-9]{1,5})?", host.lower())
        return name is not None and name[1] in self.hosts

    async def _respond(self, request: Request) -> Response:
        if not self.rate.take(time.monotonic()):
            raise RefusedError(429, "busy", f"more than {RATE:g} requests a second: expected fewer; wait a moment")
        self._check_names(request)
        path = request.url.path.rsplit("/", 1)[-1]
        if request.method == "GET":
            if path == "":
                self._check_token(request.query_params.get("token", ""))
                return _static("index.html")
            if path in STATIC and path != "index.html":
                return _static(path)
        elif request.method == "POST" and path == "api":
            self._check_token(_bearer(request))
            return await self._ask(request)
        raise RefusedError(404, "input", "nothing is here: expected the address that `geosam serve` printed")

    def _check_names(self, request: Request) -> None:
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not self.knows(hosts[0]):
            raise RefusedError(403, "input", "the page was asked for under another name: expected that of this machine")
        origins = request.headers.getlist("origin")
        if any(not self.knows(urlsplit(origin).netloc) for origin in origins):
            raise RefusedError(403, "input", "a page from elsewhere asks: expected the page that `geosam serve` shows")
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin", "same-site"):
            raise RefusedError(403, "input", "a page from elsewhere asks: expected the page that `geosam serve` shows")

    def _check_token(self, given: str) -> None:
        if not secrets.compare_digest(given.encode(), self.token.encode()):
            raise RefusedError(401, "input", "a wrong token: expected the address that `geosam serve` printed")

    async def _ask(self, request: Request) -> Response:
        if self._open >= AT_ONCE:
            raise RefusedError(429, "busy", f"more than {AT_ONCE} requests at once: expected fewer; wait a moment")
        self._open += 1
        try:
            body = await _body(request)
            try:
                asked = json.loads(body)
            except (ValueError, RecursionError):
                raise RefusedError(400, "input", "a body that is no JSON: expected an object with a verb") from None
            answer = await self._work(asked)
        finally:
            self._open -= 1
        return _answer(answer)

    async def _work(self, asked: Any) -> Answer:
        if self.desk is None:
            raise ServeError("no desk")
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(THREADS)
        return await anyio.to_thread.run_sync(self.desk.answer, asked, limiter=self._limiter)


class RefusedError(Exception):
    """A request that is refused before the desk sees it."""

    def __init__(self, status: int, kind: str, why: str) -> None:
        super().__init__(why)
        self.status, self.kind, self.why = status, kind, why


async def _body(request: Request) -> bytes:
    """The body, if it is not too large and comes in time."""
    given = request.headers.get("content-length", "0")
    if not given.isdigit() or int(given) > MOST_BODY:
        raise _too_large()
    found = bytearray()
    try:
        with anyio.fail_after(BODY_S):
            async for part in request.stream():
                found += part
                if len(found) > MOST_BODY:
                    raise _too_large()
    except TimeoutError:
        raise RefusedError(408, "input", f"a body that takes longer than {BODY_S:g} s: expected all of it") from None
    return bytes(found)


def _too_large() -> RefusedError:
    return RefusedError(413, "input", f"a body of more than {MOST_BODY >> 20} MB: expected a smaller one")


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _static(name: str) -> Response:
    found = files("geosam.serve").joinpath("static", name)
    return Response(found.read_bytes(), media_type=STATIC[name])


def _json(value: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(value, separators=(",", ":")), status, media_type="application/json")


def _answer(answer: Answer) -> Response:
    if answer.buffer is None:
        return _json(answer.value)
    told = json.dumps(answer.value, separators=(",", ":"))
    return Response(answer.buffer, headers={"X-Geosam-Answer": told}, media_type="application/octet-stream")


async def _live(receive: Any, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def listen(port: int) -> socket.socket:
    """A socket that listens on the loopback address alone; port 0 takes a free one.

    Raises
    ------
    OptionError
        If the port is taken or not allowed.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sends at once only if named
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((LOOPBACK, port))
        found.listen(128)
    except (OSError, OverflowError) as error:
        found.close()
        hint = "choose another, or leave it out"
        raise OptionError(f"port {port} ({error})", expected="one that is free", hint=hint) from None
    return found


def address_of(page: Page, listening: socket.socket) -> str:
    """The address of a page, with its token."""
    host, port = listening.getsockname()[:2]
    return f"http://{host}:{port}/?token={page.token}"


def run(page: Page, listening: socket.socket, *, stop: threading.Event | None = None) -> None:
    """Serve a page until Ctrl-C, a polite kill, or `stop`."""
    import uvicorn

    config = uvicorn.Config(
        page,
        log_level="critical",
        access_log=False,
        lifespan="off",
        http="h11",
        ws="none",
        h11_max_incomplete_event_size=32 << 10,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=1,
        backlog=128,
        server_header=False,
        date_header=False,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    if stop is not None:

        def watch() -> None:
            stop.wait()
            server.should_exit = True

        threading.Thread(target=watch, name="geosam-stop", daemon=True).start()
    server.run(sockets=[listening])
