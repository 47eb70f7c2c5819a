"""The page under attack: wrong tokens, foreign names, large bodies, floods, two at once, and a scene that goes."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from geosam.scene import open_scene
from geosam.serve import Desk, Layer, Session
from geosam.serve.desk import session_path
from geosam.serve.start import start
from geosam.testing import TruthNetwork, blob_labels, label_scene
from tests.front import doors

pytest.importorskip("starlette", reason="needs geosam[serve]")
pytest.importorskip("uvicorn", reason="needs geosam[serve]")

from geosam.serve import web
from geosam.serve.web import Page, address_of, listen, run

HOST = "127.0.0.1:8000"


@pytest.fixture
def scene_path(tmp_path: Path) -> Path:
    return label_scene(tmp_path / "scene.tif", blob_labels((200, 300), count=5, large=0))


@pytest.fixture
def page(scene_path: Path) -> Iterator[Page]:
    desk = Desk(open_scene(scene_path), Layer())
    yield Page(desk, token="right")
    desk.close()


def call(
    page: Page,
    method: str,
    path: str,
    *,
    headers: dict[str, str] | None = None,
    parts: list[bytes] | None = None,
    query: str = "",
) -> tuple[int, dict[str, str], bytes]:
    """Ask the application itself; a body comes in parts."""
    sent: list[dict[str, Any]] = []
    waiting = list(parts or [b""])
    given = {"host": HOST} | (headers or {})

    async def receive() -> dict[str, Any]:
        part = waiting.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()], "root_path": "",
    }  # fmt: skip
    asyncio.run(page(scope, receive, send))
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, b"".join(each.get("body", b"") for each in sent[1:])


def ask(page: Page, request: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    status, _, found = call(page, "POST", "/api", headers={"authorization": "Bearer right"} | headers, parts=[body])
    return status, json.loads(found)


def test_the_page_is_shown_with_its_token_and_nothing_else_is(page: Page):
    status, headers, body = call(page, "GET", "/", query="token=right")
    assert (status, b"geosam.js" in body) == (200, True)
    assert "default-src 'none'" in headers["content-security-policy"]
    assert call(page, "GET", "/static/geosam.js")[1]["content-type"].startswith("text/javascript")
    assert call(page, "GET", "/user/me/proxy/1234/static/geosam.css")[0] == 200
    for query in ("", "token=wrong", "token=", "token=rig%68t%00"):
        assert call(page, "GET", "/", query=query)[0] == 401


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "/static/../../../etc/passwd", "/static/..%2f..%2fetc%2fpasswd", "/static/%2e%2e/desk.py",
     "/static/desk.py", "/static/index.html", "//etc/passwd", "/api/../static/x", "/docs"],
)  # fmt: skip
def test_no_path_of_a_request_is_opened(page: Page, path: str):
    status, _, body = call(page, "GET", path, query="token=right")
    assert status == 404
    assert json.loads(body)["ok"] is False


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic right"},
        {"authorization": ""},
        {"authorization": "Bearer right", "host": "evil.example"},
        {"authorization": "Bearer right", "host": "127.0.0.1.evil.example:8000"},
        {"authorization": "Bearer right", "host": f"{HOST}@evil.example"},
        {"authorization": "Bearer right", "host": ""},
        {"authorization": "Bearer right", "origin": "https://evil.example"},
        {"authorization": "Bearer right", "origin": "null"},
        {"authorization": "Bearer right", "origin": "http://localhost.evil.example"},
        {"authorization": "Bearer right", "sec-fetch-site": "cross-site"},
    ],
    ids=lambda headers: "-".join(headers.values()),
)
def test_strangers_are_refused_before_the_desk_sees_them(page: Page, headers: dict[str, str]):
    page.desk = None  # whoever gets so far fails
    status, _, body = call(page, "POST", "/api", headers=headers, parts=[b'{"verb": "hello"}'])
    assert status in (401, 403)
    assert json.loads(body)["ok"] is False


def test_friends_are_answered_also_behind_a_proxy(scene_path: Path):
    page = Page(Desk(open_scene(scene_path), Layer()), token="right", hosts=["hub.example"])
    for headers in (
        {},
        {"origin": f"http://{HOST}"},
        {"host": "localhost:5"},
        {"host": "[::1]:5"},
        {"host": "hub.example", "origin": "https://hub.example"},
    ):
        assert ask(page, {"verb": "hello"}, **headers)[1]["ok"]
    body = json.dumps({"verb": "tile", "level": 0, "col": 0, "row": 0}).encode()
    status, headers, found = call(page, "POST", "/hub/x/api", headers={"authorization": "Bearer right"}, parts=[body])
    assert (status, json.loads(headers["x-geosam-answer"]), found[:4]) == (200, {"ok": True}, b"\x89PNG")
    page.desk.close()


def test_bodies_have_an_end(page: Page, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(web, "MOST_BODY", 1000)
    small, large = b'{"verb": "hello"}', b" " * 1001
    assert ask(page, small + b" " * 900)[0] == 200
    assert ask(page, small, **{"content-length": str(10**9)})[0] == 413
    assert ask(page, small, **{"content-length": "-5"})[0] == 413
    streamed = [b" " * 300] * 10**6
    status, _, body = call(page, "POST", "/api", headers={"authorization": "Bearer right"}, parts=streamed)
    assert (status, json.loads(body)["kind"]) == (413, "input")
    assert ask(page, large)[0] == 413
    assert ask(page, b"{" * 900)[0] == 400
    assert ask(page, b"[" * 900)[0] == 400
    assert ask(page, b"\xff\xfe")[0] == 400
    assert ask(page, [1, 2])[1]["kind"] == "input"


def test_a_flood_is_turned_away_and_over_with_it(page: Page, monkeypatch: pytest.MonkeyPatch):
    clock = [0.0]
    monkeypatch.setattr(web.time, "monotonic", lambda: clock[0])
    found = [call(page, "GET", "/nothing")[0] for _ in range(web.BURST + 50)]
    assert found.count(429) == 50
    clock[0] += 1
    assert ask(page, {"verb": "status"})[1]["ok"]


@pytest.fixture
def served(scene_path: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a page that is served in this process."""
    desk = start(open_scene(scene_path), model=TruthNetwork(side=128), session=tmp_path / "s.gpkg", store=None)
    page, listening, stop = Page(desk), listen(0), threading.Event()
    thread = threading.Thread(target=run, args=(page, listening), kwargs={"stop": stop})
    thread.start()
    yield address_of(page, listening)
    stop.set()
    thread.join()
    listening.close()
    desk.close()


def fetch(address: str, request: dict[str, Any]) -> dict[str, Any]:
    base, token = address.split("?token=")
    asked = urllib.request.Request(
        f"{base}api", json.dumps(request).encode(), {"Authorization": f"Bearer {token}"}, method="POST"
    )
    try:
        with urllib.request.urlopen(asked, timeout=120) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return json.load(refused)


def test_two_browsers_at_once_see_each_others_objects(served: str):
    errors: list[dict[str, Any]] = []

    def work(x: float) -> None:
        for turn in range(5):
            box = {"type": "Polygon", "coordinates": [[[x, turn], [x + 1, turn], [x, turn + 1], [x, turn]]]}
            found = fetch(served, {"verb": "preview", "points": [[150, 100, 1]], "seq": turn})
            errors.extend([] if found["ok"] and found["seq"] == turn else [found])
            if found.get("key"):
                done = fetch(served, {"verb": "accept", "keys": [found["key"]]})
                moved = {"verb": "reshape", "id": done["changed"][0]["id"], "shape": box}
                errors.extend([] if fetch(served, moved)["ok"] else [moved])

    threads = [threading.Thread(target=work, args=(x,)) for x in (0.0, 50.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    found = fetch(served, {"verb": "objects", "since": 0})
    ids = [one["id"] for one in found["changed"]]
    assert len(set(ids)) == len(ids)


def test_a_browser_that_goes_leaves_the_page_to_others(served: str):
    host, port = served.split("/")[2].split(":")
    for sent in (
        b"GET / HTTP/1.1\r\nHost: x",
        b"POST /api HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n\r\n{",
        b"\0\1",
    ):
        with socket.create_connection((host, int(port))) as gone:
            gone.sendall(sent)
    assert fetch(served, {"verb": "status"})["ok"]


def test_only_loopback_listens():
    with listen(0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


def test_answers_go_out_at_once():
    """Head and body of an answer are two writes: with Nagle's algorithm the second waits 40 ms for the browser."""

    async def accepts(listening: socket.socket) -> int:
        found = asyncio.get_running_loop().create_future()

        class Accepting(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                accepted = transport.get_extra_info("socket")
                found.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

        server = await asyncio.get_running_loop().create_server(Accepting, sock=listening)
        with socket.create_connection(listening.getsockname()):
            nodelay = await asyncio.wait_for(found, 60)
        server.close()
        return nodelay

    assert asyncio.run(accepts(listen(0)))


def test_a_scene_that_goes_is_said_and_the_objects_stay(served: str, scene_path: Path):
    scene_path.write_bytes(b"another")
    found = fetch(served, {"verb": "tile", "level": 0, "col": 0, "row": 0})
    assert (found["ok"], found["kind"]) == (False, "gone")
    assert fetch(served, {"verb": "preview", "points": [[150, 100, 1]]})["kind"] == "gone"
    assert fetch(served, {"verb": "objects"})["ok"]


async def flood(address: str, seconds: float, *, sockets: int = 16, at_once: int = 20) -> tuple[Counter[int], float]:
    """Requests over several sockets, many sent before the first is answered; how many got which answer or none (0),
    and how many were sent a second."""
    host, port = address.split("/")[2].split(":")
    token, body = address.split("?token=")[1], b'{"verb": "status"}'
    head = f"POST /api HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    answered: Counter[int] = Counter()
    begin = time.monotonic()

    async def hammer() -> None:
        while time.monotonic() - begin < seconds:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write((head.encode() + body) * at_once)
            heard = b""
            with suppress(ConnectionError):
                while heard.count(b"HTTP/1.1 ") < at_once and (part := await reader.read(1 << 16)):
                    heard += part
            writer.close()
            found = Counter(int(code) for code in re.findall(rb"HTTP/1.1 (\d+)", heard))
            answered.update(found)
            answered[0] += at_once - found.total()

    await asyncio.gather(*(hammer() for _ in range(sockets)))
    return answered, answered.total() / (time.monotonic() - begin)


@pytest.mark.slow
def test_a_flood_is_refused_and_survived(scene_path: Path, tmp_path: Path):
    """A thousand requests a second and more, for two seconds, by another process than that of the page."""
    with doors.served(scene_path, tmp_path / "s.gpkg") as page:
        assert fetch(page.address, {"verb": "status"})["ok"]
        begin = time.monotonic()
        answered, per_second = asyncio.run(flood(page.address, 2))
        allowed = web.BURST + web.RATE * (time.monotonic() - begin)
        assert answered[200] <= allowed, f"{answered} in {time.monotonic() - begin:.1f} s"
        assert set(answered) <= {0, 200, 429}
        while not fetch(page.address, {"verb": "hello"})["ok"] and time.monotonic() - begin < 60:
            time.sleep(0.1)
        assert fetch(page.address, {"verb": "hello"})["ok"]
        if per_second < 1_000:
            pytest.skip(f"busy with other things, this machine sends {per_second:.0f} requests a second: no flood")
        assert answered[429] >= 16


LOOKS_LONG = """
import time
from geosam.serve import areas

areas.cover_scene = lambda run: time.sleep(1000)
from geosam.cli import main

main()
"""


@pytest.mark.slow
def test_ctrl_c_does_not_wait_for_a_long_look(scene_path: Path, tmp_path: Path):
    """Two seconds on a quiet machine; the look takes a quarter of an hour, and its temporary files go with it."""
    (tmp_path / "temporary").mkdir()
    command = [sys.executable, "-c", LOOKS_LONG, "serve", str(scene_path), "--no-browser", "--store", "none"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(tmp_path / "temporary")}
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    look = {"verb": "coverage", "bounds": [0, 0, 300, 200]}
    assert not fetch(address, look)["done"]
    while fetch(address, {"verb": "status"})["busy"] != "looking at the ground":
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 0
    process.stdout.close()
    assert list((tmp_path / "temporary").iterdir()) == []
    with Session(session_path(open_scene(scene_path)), open_scene(scene_path)):
        pass  # it can be had again


@pytest.mark.slow
def test_the_command_says_where_it_is_and_stops_politely(scene_path: Path, tmp_path: Path):
    """With Ctrl-C, and when its stdin closes."""
    shutil.copy(scene_path, tmp_path / "b.tif")
    code = "from geosam.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        code,
        "serve",
        str(tmp_path / "b.tif"),
        "--no-browser",
        "--store",
        "none",
        "--until-eof",
    ]
    for end in ("signal", "eof"):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdin is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        assert fetch(address, {"verb": "hello"})["scene"]["name"] == "b"
        if end == "signal":
            os.kill(process.pid, signal.SIGINT)
        else:
            process.stdin.close()
        assert process.wait(120) == 0
        process.stdout.close()
        if end == "signal":
            process.stdin.close()
    assert (tmp_path / "b.geosam.gpkg").is_file()
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []
