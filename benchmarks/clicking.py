"""How well and how quickly objects are clicked, by a scripted user in a real browser, on the page and in the widget.

    python benchmarks/clicking.py [--objects 20] [--clicks 200] [--out benchmarks/clicking.csv]

The user points at the middle of an object and looks at the outline that the hover shows; where it is poor he points at
other places inside. He clicks where the outline is good, else he drags a box, as a hand does to a pixel or two of the
screen; he corrects by a click in the largest error while the outline is poor (three actions at most), and saves. Clicks
and boxes are counted, moves of the mouse are not; the seconds are the clock's, of everything. Truth: objects of the
bundled village, drawn with a fixed seed by class from those that are compact (not the rest of a field between trees),
and, where the development data lie beside the repository, buildings of two pictures of OpenStreetMap's mappers.

The delay of a hover runs from the mouse event in the browser to the frame after the outline of that place was drawn.
Times depend on the machine and on what else it does: the load stands beside them.
"""

import argparse
import csv
import json
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from shapely.geometry.base import BaseGeometry

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.front.browser import CHROMIUM, FLAGS, HUB, NOT_HERE, Hand, files_route  # noqa: E402  # lies beside, not in the package
from tests.front.doors import proxied, served, widget  # noqa: E402
from tests.test_page import FILES  # noqa: E402

VILLAGE = ROOT / "sample_data" / "village_before.tif"
DEV = ROOT.parent / "shared" / "data" / "dev" / "hotosm-fair-utilities"
BY_CLASS = {"building": 11, "pool": 3, "field": 3, "tank": 2, "pitch": 1}
LEAST_M2, COMPACT = 20, 0.85
SHAKE_PX = 1.5
"""How far from where they should be the corners of a box may be, in pixels of the screen."""
GOOD = 0.8
MOST_CLICKS = 3
LOOKS = 4
"""Places inside an object that the user points at before he clicks."""
VIEW = {"width": 1280, "height": 860}
HOVERED = """(app.hovered?.answer.exact && !app.previews.flying && !app.previews.wanted.hover
  && [0, 1].every((i) => Math.abs(app.hovered.request.points.at(-1)[i] - app.state.pointer[i]) < 0.01))
  || document.querySelector(".gs-say").dataset.kind === 'error'"""
DELAY = """new Promise((resolve) => {
  let begin = 0;
  const { hoverOutline } = app, draw = hoverOutline.draw;
  hoverOutline.draw = function (shape, ...rest) {
    draw.call(this, shape, ...rest);
    if (!begin || !shape) return;
    hoverOutline.draw = draw;
    requestAnimationFrame(() => resolve(performance.now() - begin));
  };
  const moved = (event) => (begin ||= event.timeStamp);
  for (const name of ["pointerrawupdate", "pointermove"]) addEventListener(name, moved, { once: true, capture: true });
})"""


@dataclass(frozen=True)
class Target:
    """An object of known truth, in pixels."""

    name: str
    truth: BaseGeometry

    def iou(self, shape: dict[str, Any] | None) -> float:
        """Of a shape as the page has it; 0 for none."""
        if not shape:
            return 0.0
        drawn = shapely.make_valid(shapely.from_geojson(json.dumps(shape)))
        return drawn.intersection(self.truth).area / drawn.union(self.truth).area

    def places(self) -> list[tuple[float, float]]:
        """Its middle, and other places well inside."""
        middle = shapely.maximum_inscribed_circle(self.truth).coords[0]
        inner = self.truth.buffer(-0.25 * np.sqrt(self.truth.area))
        others = [middle]
        if not inner.is_empty:
            corners = shapely.segmentize(inner.boundary, np.sqrt(self.truth.area) / 2)
            coordinates = shapely.get_coordinates(corners)
            others += [tuple(coordinates[i]) for i in np.linspace(0, len(coordinates) - 1, LOOKS, dtype=int)[:-1]]
        return [(float(x), float(y)) for x, y in others[:LOOKS]]

    def error(self, shape: dict[str, Any]) -> tuple[tuple[float, float], bool]:
        """Where the largest error is, and whether something is missing there."""
        drawn = shapely.make_valid(shapely.from_geojson(json.dumps(shape)))
        parts = [
            (part.area, part, missing)
            for found, missing in ((self.truth - drawn, True), (drawn - self.truth, False))
            for part in shapely.get_parts(found)
        ]
        _, part, missing = max(parts, key=lambda each: each[0])
        x, y = shapely.maximum_inscribed_circle(part).coords[0]
        return (float(x), float(y)), missing


def village() -> list[Target]:
    """Objects of the bundled scene, drawn by class."""
    with rasterio.open(VILLAGE) as raster:
        to_px = ~raster.transform
    truth = gpd.read_file(ROOT / "sample_data" / "village_truth.gpkg", layer="before")
    rng = np.random.default_rng(27)
    found = []
    for name, count in BY_CLASS.items():
        compact = truth.area / truth.convex_hull.area >= COMPACT
        rows = truth[(truth["class"] == name) & (truth.area >= LEAST_M2) & compact].sort_values("id")
        chosen = rows.iloc[np.sort(rng.permutation(len(rows))[:count])]
        found += [
            Target(name, shapely.affinity.affine_transform(shape, to_px.to_shapely())) for shape in chosen.geometry
        ]
    return found


def mapped(path: Path, count: int) -> list[Target]:
    """Buildings of a picture that mappers drew, of those that lie whole in it."""
    with rasterio.open(path) as raster:
        to_px, crs, (h, w) = ~raster.transform, raster.crs, raster.shape
    rows = gpd.read_file(path.with_suffix(".geojson")).to_crs(crs)
    shapes = [shapely.affinity.affine_transform(shape, to_px.to_shapely()) for shape in rows.geometry if shape.is_valid]
    whole = [shape for shape in shapes if shapely.box(2, 2, w - 2, h - 2).contains(shape) and shape.area >= 100]
    order = np.random.default_rng(27).permutation(len(whole))[:count]
    return [Target("building", whole[i]) for i in np.sort(order)]


# --- the user ---------------------------------------------------------------------------------------------------------


def look(hand: Hand, place: tuple[float, float]) -> dict[str, Any] | None:
    """Points at a place and waits for the exact outline."""
    hand.move(*place)
    hand.until(HOVERED)
    return hand.run("app.hovered?.answer.shape ?? null")


def show(hand: Hand, target: Target) -> None:
    """Brings an object into view, as large as a user would look at it; does not count as a click."""
    x0, y0, x1, y1 = target.truth.bounds
    margin = 0.6 * max(x1 - x0, y1 - y0) + 20
    box = [[y0 - margin, x0 - margin], [y1 + margin, x1 + margin]]
    hand.run("app.map.leaflet.fitBounds(value, { animate: false, maxZoom: 2 }) && null", box)


def drag_box(hand: Hand, target: Target) -> None:
    """Drags a box around an object, as well as a hand can."""
    x0, y0, x1, y1 = target.truth.bounds
    shake = np.random.default_rng(int(target.truth.area)).uniform(-SHAKE_PX, SHAKE_PX, 4)
    (left, top), (right, bottom) = hand.on_screen(x0, y0), hand.on_screen(x1, y1)
    mouse, keys = hand.page.mouse, hand.page.keyboard
    keys.down("Shift")
    mouse.move(left + shake[0], top + shake[1])
    mouse.down()
    mouse.move((left + right) / 2, (top + bottom) / 2)
    mouse.move(right + shake[2], bottom + shake[3])
    mouse.up()
    keys.up("Shift")
    hand.until("app.hand.prompts.box")


def take(hand: Hand, target: Target) -> dict[str, float]:
    """One object, from the first look to the file."""
    begin = time.perf_counter()
    show(hand, target)
    before = hand.run("app.state.objects.size")
    best, place = -1.0, (0.0, 0.0)
    for each in target.places():
        iou = target.iou(look(hand, each))
        if iou > best:
            best, place = iou, each
        if best >= GOOD:
            break
    if best >= GOOD:
        hand.click(*place)
    else:
        drag_box(hand, target)
    clicks = 1
    hand.until("app.hand.answer?.exact")
    shape = hand.run("app.hand.answer.shape")
    while shape and target.iou(shape) < GOOD and clicks < MOST_CLICKS:
        where, missing = target.error(shape)
        hand.click(*where, button="left" if missing else "right")
        clicks += 1
        hand.until("app.hand.answer?.exact")
        after = hand.run("app.hand.answer.shape")
        if target.iou(after) < target.iou(shape):
            hand.press("z")  # worse: taken back, and left at that
            break
        shape = after
    hand.press("Enter")
    saved = hand.saved(before + 1)[-1]["shape"]
    return {"clicks": clicks, "seconds": time.perf_counter() - begin, "iou": target.iou(saved)}


# --- measures ---------------------------------------------------------------------------------------------------------


class Table:
    """Rows of the CSV, printed as they come."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(self, door: str, measure: str, value: float | int, bar: str, note: str = "") -> None:
        """One measure."""
        row = {
            "door": door,
            "measure": measure,
            "value": round(value, 3),
            "bar": bar,
            "load": round(os.getloadavg()[0], 1),
        }
        self.rows.append(row | {"note": note})
        print(*row.values(), note, sep="\t", flush=True)

    def write(self, path: Path) -> None:
        """All rows as CSV; those of measures that were not taken this time stay."""
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                rows = {(row["door"], row["measure"]): row for row in csv.DictReader(file)}
        rows |= {(row["door"], row["measure"]): row for row in self.rows}
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows.values())


def measure_objects(table: Table, door: str, hand: Hand, targets: list[Target]) -> None:
    results = [take(hand, target) for target in targets]
    mean = {name: statistics.mean(result[name] for result in results) for name in results[0]}
    good = sum(result["iou"] >= GOOD for result in results)
    what = f"{len(results)} objects"
    table.add(door, "mean clicks", mean["clicks"], "<= 1.5", what)
    table.add(door, "mean seconds", mean["seconds"], "<= 3", what)
    table.add(door, "mean IoU", mean["iou"], ">= 0.8", f"{good} of {len(results)} reach {GOOD}")
    for target, result in zip(targets, results, strict=True):
        print(
            "  ", target.name, f"{target.truth.area:.0f} px", {name: round(value, 2) for name, value in result.items()}
        )


def measure_equality(table: Table, door: str, hand: Hand, session: Path, clicks: int) -> None:
    """Clicks anywhere: the outline that was shown before the click, and the bytes that are on disk after it."""
    rng = np.random.default_rng(5)
    equal = tried = nothing = 0
    hand.press("Escape", "f")
    while tried < clicks and nothing < clicks:
        place = tuple(rng.uniform(20, 1000, 2))
        before = hand.run("[...app.state.objects.keys()]")
        shown = look(hand, place)
        hand.click(*place)
        hand.until("app.hand.answer?.exact")
        if not shown:
            nothing += 1
            hand.press("Escape")
            continue
        hand.press("Enter")
        hand.until("app.state.objects.size === value", len(before) + 1)
        (number,) = set(hand.run("[...app.state.objects.keys()]")) - set(before)
        drawn = shapely.to_wkb(shapely.from_geojson(json.dumps(shown)))
        with sqlite3.connect(f"file:{session}?mode=ro", uri=True) as database:
            (saved,) = database.execute("SELECT shape_px FROM geosam_objects WHERE fid = ?", (number,)).fetchone()
        equal += drawn == saved
        tried += 1
    table.add(
        door, "preview equals saved bytes", equal, f"{clicks} of {clicks}", f"of {tried}; {nothing} places hold nothing"
    )


def delay_of(hand: Hand, place: tuple[float, float]) -> float:
    """Milliseconds from a mouse event at a place to the frame after its outline was drawn; -1 if none was."""
    hand.page.evaluate(f"() => {{ const app = document.querySelector('.geosam').geosam; window.delay = {DELAY}; }}")
    hand.move(*place)
    return hand.page.evaluate("() => Promise.race([window.delay, new Promise((r) => setTimeout(r, 2000, -1))])")


def measure_own(table: Table, browser: Any, count: int) -> None:
    """The page's own part of a hover: answers come at once, from the page itself."""
    context = browser.new_context(viewport=VIEW)
    context.route("**/*", files_route(FILES))
    hand = Hand(context.new_page())
    hand.page.goto("http://localhost/?delay=0")
    hand.wait_ready()
    delays = [delay_of(hand, (50 + 100 * (i % 8), 50 + 100 * (i // 8 % 7))) for i in range(count)]
    table.add("page", "hover, the page's own part, median ms", statistics.median(delays), "", f"{count} hovers")
    table.add("page", "hover, the page's own part, p95 ms", float(np.percentile(delays, 95)), "", "a frame is 16.7 ms")
    context.close()


def busy_s(pid: int) -> float:
    """Processor time of a process and its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_delay(table: Table, hand: Hand, pid: int, count: int) -> None:
    """From the mouse event to the frame after the outline was drawn, on windows that are encoded."""
    door = "page"
    hand.press("Escape", "f")
    targets = village()
    places = [targets[i % len(targets)].places()[0] for i in range(count)]
    rng = np.random.default_rng(9)
    for x, y in places[: len(targets)]:
        look(hand, (x, y))
    hand.page.wait_for_timeout(3000)  # windows beside those are encoded ahead
    delays, begin = [], busy_s(pid)
    for x, y in places:
        dx, dy = rng.uniform(-2, 2, 2)
        delays.append(delay_of(hand, (x + dx, y + dy)))
        hand.page.wait_for_timeout(20)
    busy = 1000 * (busy_s(pid) - begin) / count
    table.add(door, "hover, processor time of geosam, ms", busy, "", "mean")
    known = [delay for delay in delays if delay >= 0]
    table.add(door, "hover, median ms", statistics.median(known), "", f"{len(known)} hovers")
    table.add(
        door, "hover, p95 ms", float(np.percentile(known, 95)), "<= 60", f"{len(delays) - len(known)} drew nothing"
    )


def measure_cold(table: Table, browser: Any, folder: Path, count: int) -> None:
    """The first outline after the program started, of which nothing is encoded; and the exact one."""
    first, exact = [], []
    for number in range(count):
        with served(copied(VILLAGE, folder), folder / f"cold{number}.gpkg") as page:
            hand = opened(browser, page.address)
            place = village()[number].places()[0]
            hand.run(
                "(window.begin = 0, window.marks = [], app.state.addEventListener('hand', () => "
                "app.hand.answer && window.marks.push([performance.now(), app.hand.answer.exact])), null)"
            )
            hand.run(
                "(app.map.leaflet.getContainer().addEventListener('click', "
                "(event) => (window.begin = event.timeStamp), true), app.hovers = false, null)"
            )
            hand.click(*place)
            hand.until("app.hand.answer?.exact")
            begin, marks = hand.page.evaluate("() => [window.begin, window.marks]")
            first.append((marks[0][0] - begin) / 1000)
            exact.append((next(at for at, done in marks if done) - begin) / 1000)
            hand.page.context.close()
    table.add(
        "page",
        "cold, first outline, median s",
        statistics.median(first),
        "<= 0.5",
        f"{count} starts, worst {max(first):.2f}",
    )
    table.add("page", "cold, exact outline, median s", statistics.median(exact), "<= 1", f"worst {max(exact):.2f}")


# --- doors ------------------------------------------------------------------------------------------------------------


def copied(scene: Path, folder: Path) -> Path:
    return Path(shutil.copy(scene, folder))


def opened(browser: Any, address: str) -> Hand:
    hand = Hand(browser.new_context(viewport=VIEW).new_page())
    hand.page.set_default_timeout(60_000)
    hand.page.goto(address)
    return hand.wait_ready()


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def measure_page(table: Table, browser: Any, folder: Path, arguments: argparse.Namespace) -> None:
    session = folder / "page.gpkg"
    with served(copied(VILLAGE, folder), session) as page:
        hand = opened(browser, page.address)
        measure_objects(table, "page", hand, village()[: arguments.objects])
        measure_delay(table, hand, page.pid, arguments.clicks)
        measure_equality(table, "page", hand, session, arguments.clicks)
        table.add("page", "errors in the browser", len(hand.errors), "0", "; ".join(hand.errors)[:200])
        hand.page.context.close()


def measure_widget(table: Table, browser: Any, folder: Path, arguments: argparse.Namespace) -> None:
    session = folder / "widget.gpkg"
    with widget(browser, copied(VILLAGE, folder), session, viewport=VIEW) as hand:
        hand.page.set_default_timeout(60_000)
        measure_objects(table, "widget, no sockets", hand, village()[: arguments.objects])
        measure_equality(table, "widget, no sockets", hand, session, arguments.clicks // 4)
        table.add("widget, no sockets", "errors in the browser", len(hand.errors), "0", "; ".join(hand.errors)[:200])


def measure_proxy(table: Table, browser: Any, folder: Path, arguments: argparse.Namespace) -> None:
    session = folder / "proxy.gpkg"
    with ExitStack() as stack:
        page = stack.enter_context(served(copied(VILLAGE, folder), session, "--allow-host", HUB))
        hand = opened(browser, stack.enter_context(proxied(page.address)))
        measure_objects(table, "path proxy", hand, village()[: arguments.objects])
        table.add("path proxy", "errors in the browser", len(hand.errors), "0", "; ".join(hand.errors)[:200])
        hand.page.context.close()


def measure_dev(table: Table, browser: Any, folder: Path, arguments: argparse.Namespace) -> None:
    for path in sorted(DEV.glob("*.tif")):
        with served(copied(path, folder), folder / f"{path.stem}.gpkg") as page:
            hand = opened(browser, page.address)
            measure_objects(table, f"page, {path.stem}", hand, mapped(path, arguments.objects // 2))
            hand.page.context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=20)
    parser.add_argument("--clicks", type=int, default=200)
    parser.add_argument("--only", nargs="*", default=["own", "page", "cold", "widget", "proxy", "dev"])
    parser.add_argument("--out", type=Path, help="CSV to write")
    arguments = parser.parse_args()
    if CHROMIUM is None:
        print(NOT_HERE)
        return
    table = Table()
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        folder = Path(name)
        if "own" in arguments.only:
            measure_own(table, browser, arguments.clicks)
        if "page" in arguments.only:
            measure_page(table, browser, folder, arguments)
        if "cold" in arguments.only:
            measure_cold(table, browser, folder, 5)
        if "widget" in arguments.only:
            measure_widget(table, browser, folder, arguments)
        if "proxy" in arguments.only:
            measure_proxy(table, browser, folder, arguments)
        if "dev" in arguments.only and DEV.is_dir():
            measure_dev(table, browser, folder, arguments)
    if arguments.out:
        table.write(arguments.out)


if __name__ == "__main__":
    main()
