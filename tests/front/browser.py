"""A real headless Chromium for tests of the page, and pages that are made of files without any server."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "geosam" / "serve" / "static"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HUB = "hub.example.org"
"""A name under which the browser, and nobody else, knows this machine."""
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {HUB} 127.0.0.1",
]

NOT_HERE = "no Chromium on this machine: apt-get install chromium"


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'geosam[dev]'")
    if CHROMIUM is None:
        pytest.skip(NOT_HERE)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Hand:
    """A user at a page of geosam: looks at pixels of the scene, clicks on them, presses keys."""

    def __init__(self, page: Any):
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda line: line.type == "error" and self.errors.append(line.text))
        page.set_default_timeout(60_000)

    def wait_ready(self) -> "Hand":
        self.page.wait_for_selector(".geosam[data-ready]")
        return self

    def run(self, script: str, value: object = None) -> Any:
        """The value of a JavaScript expression of `app`, the session on the page, and `value`."""
        return self.page.evaluate(
            f"(value) => {{ const app = document.querySelector('.geosam').geosam; return ({script}); }}", value
        )

    def on_screen(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the scene is on the screen."""
        found = self.run(
            "((p, r) => [p.x + r.left, p.y + r.top])"
            "(app.map.pointOf(value), app.map.leaflet.getContainer().getBoundingClientRect())",
            [x, y],
        )
        return found[0], found[1]

    def move(self, x: float, y: float) -> None:
        self.page.mouse.move(*self.on_screen(x, y))

    def click(self, x: float, y: float, button: str = "left", held: str | None = None) -> None:
        if held:
            self.page.keyboard.down(held)
        self.page.mouse.click(*self.on_screen(x, y), button=button)
        if held:
            self.page.keyboard.up(held)

    def drag(self, *places: tuple[float, float]) -> None:
        self.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.move(*place)
        self.page.mouse.up()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def until(self, script: str, value: object = None) -> Any:
        """Waits until an expression of `app` is true."""
        return self.page.wait_for_function(
            f"(value) => {{ const app = document.querySelector('.geosam').geosam; return ({script}); }}", arg=value
        ).json_value()

    @property
    def says(self) -> str:
        return self.page.inner_text(".gs-say")

    def saved(self, count: int) -> list[dict[str, Any]]:
        """The saved objects, as soon as there are so many."""
        self.until("app.state.objects.size === value", count)
        return self.run("[...app.state.objects.values()]")


def files_route(pages: dict[str, str | Path]) -> Callable[[Any], None]:
    """Answers each name with a text, or a file, so that a page needs no server."""

    def answer(route: Any) -> None:
        name = route.request.url.split("?")[0].rsplit("/", 1)[1]
        found = pages.get(name)
        if found is None:
            route.fulfill(status=404, body="not there")
        elif isinstance(found, Path):
            route.fulfill(path=found)
        else:
            route.fulfill(body=found, content_type="text/html")

    return answer
