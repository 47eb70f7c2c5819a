"""The doors of the front end: the page of `geosam serve`, the same behind a path proxy, the widget in a notebook."""

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.front.browser import HUB, ROOT, Hand, files_route

KERNEL = Path(__file__).with_name("kernel.py")
PREFIX = "/user/x/proxy/1234"

NOTEBOOK = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><body><div id="cell"></div>"""
RENDER = """async ([esm, css, state]) => {
  document.head.append(Object.assign(document.createElement("style"), { textContent: css }));
  const module = await import(URL.createObjectURL(new Blob([esm], { type: "text/javascript" })));
  const heard = new Set();
  const bytes = (text) => new DataView(Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0)).buffer);
  const model = {
    get: (name) => state[name],
    on: (name, listener) => name === "msg:custom" && heard.add(listener),
    off: (name, listener) => heard.delete(listener),
    send: async (content) => {
      const { content: answer, buffers } = JSON.parse(await window.toKernel(JSON.stringify(content)));
      for (const listener of heard) listener(answer, buffers.map(bytes));
    },
  };
  window.gone = module.default.render({ model, el: document.getElementById("cell") });
}"""


class Served(NamedTuple):
    """A running `geosam serve`: the address of its page, and its process."""

    address: str
    pid: int


@contextmanager
def served(scene: Path, session: Path, *options: str) -> Iterator[Served]:
    """The page of `geosam serve`."""
    program = "from geosam.cli import main; main()"
    command = [sys.executable, "-c", program, "serve", str(scene), "--session", str(session), *options]
    command += ["--no-browser", "--until-eof", "--store", "none"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), address
        yield Served(address, process.pid)
    finally:
        process.stdin.close()
        process.wait(120)
        process.stdout.close()


@contextmanager
def proxied(address: str) -> Iterator[str]:
    """The address of a page below the path of a proxy that hands requests on, as hubs do; under the name `HUB`."""
    target = urlsplit(address)

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def hand_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if not self.path.startswith(f"{PREFIX}/"):
                self.send_error(404)
                return
            onward = http.client.HTTPConnection(target.netloc, timeout=120)
            onward.request(self.command, self.path.removeprefix(PREFIX), body, dict(self.headers))
            answer = onward.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            onward.close()

        do_GET = do_POST = hand_on  # noqa: N815  # http.server's names

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{HUB}:{server.server_address[1]}{PREFIX}/?{target.query}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Kernel:
    """A Python process with a widget in it and no sockets; messages go through pipes."""

    def __init__(self, scene: Path, session: Path):
        command = [sys.executable, str(KERNEL), str(scene), str(session)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self.asked = 0
        self.start = self.read()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self, content: str) -> str:
        """One message of the page, and the widget's answer to it."""
        assert self.process.stdin is not None
        self.asked += 1
        self.process.stdin.write(content + "\n")
        self.process.stdin.flush()
        return json.dumps(self.read())

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(120)
        self.process.stdout.close()


@contextmanager
def widget(browser: Any, scene: Path, session: Path, **options: Any) -> Iterator[Hand]:
    """A user at the widget of `geosam.click` in a page that stands for a notebook."""
    kernel = Kernel(scene, session)
    try:
        context = browser.new_context(**options)
        context.route("**/*", files_route({"": NOTEBOOK}))
        hand = Hand(context.new_page())
        hand.page.expose_function("toKernel", kernel.ask)
        hand.page.goto("http://notebook.test/")
        hand.page.evaluate(RENDER, [kernel.start["esm"], kernel.start["css"], kernel.start["state"]])
        yield hand.wait_ready()
        context.close()
    finally:
        kernel.close()
