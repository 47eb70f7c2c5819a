"""The strip of pictures in docs/click.md and in the README: pointing, correcting, classes, segments, in a real browser.

python benchmarks/click_strip.py [docs/click.png]
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from clicking import VILLAGE, chromium, copied, look, village  # noqa: E402  # lies beside

from tests.front.browser import Hand  # noqa: E402
from tests.front.doors import served  # noqa: E402

CLASSES = "code,name,colour\n1,building,#ff5a3c\n2,pool,#00b4d8\n3,pitch,#b5e550\n"
VIEW = {"width": 800, "height": 560}
HEIGHT, GAP, COLOURS = 400, 8, 256
"""Of a picture, and between two, in pixels; colours of the palette."""
STAGE = ".gs-stage"
HOUSE = 1
"""Number of the building that the story is about: one that is seen whole."""
VIEWED = (600.0, 560.0, 0.0)


def frame(hand: Hand, selector: str = ".geosam", wait_ms: int = 800) -> Image.Image:
    """What the screen, or a part of it, shows now."""
    hand.page.wait_for_timeout(wait_ms)
    picture = Image.open(io.BytesIO(hand.page.locator(selector).screenshot())).convert("RGB")
    return picture.resize((picture.width * HEIGHT // picture.height, HEIGHT), Image.Resampling.LANCZOS)


def center(hand: Hand, x: float, y: float, zoom: float) -> None:
    """Looks at a place."""
    hand.run("app.map.leaflet.setView(value.slice(0, 2), value[2], { animate: false }) && null", [y, x, zoom])


def accept(hand: Hand, code: int, place: tuple[float, float]) -> None:
    """One object, by one click."""
    count = hand.run("app.state.objects.size")
    hand.press(str(code))
    hand.click(*place)
    hand.until("app.hand.answer?.exact")
    hand.press("Enter")
    hand.until("app.state.objects.size > value", count)


def frames(hand: Hand) -> list[Image.Image]:
    """The story."""
    targets = [
        (target.name, target.places()[0]) for target in village() if target.name in ("building", "pitch", "pool")
    ]
    place = next(place for name, place in targets[HOUSE:] if name == "building")
    center(hand, *place, 1.5)
    hand.press("1")
    look(hand, place)
    found = [frame(hand, STAGE)]
    hand.click(*place)
    hand.until("app.hand.answer?.exact")
    found.append(frame(hand, STAGE))
    hand.press("Enter")
    hand.saved(1)
    for name, other in targets:
        if other != place:
            center(hand, *other, 1.0)
            accept(hand, {"building": 1, "pool": 2, "pitch": 3}[name], other)
    center(hand, *VIEWED)
    hand.press("c")
    hand.until("app.search.found?.done && app.search.found.items.size > 0")
    found.append(frame(hand, STAGE))
    hand.press("Escape")
    center(hand, *VIEWED)
    found.append(frame(hand, wait_ms=2000))
    return found


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "click.png"
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        folder = Path(name)
        (folder / "classes.csv").write_text(CLASSES)
        options = ("--classes", str(folder / "classes.csv"))
        with served(copied(VILLAGE, folder), folder / "strip.gpkg", *options) as page:
            hand = Hand(browser.new_context(viewport=VIEW).new_page())
            hand.page.set_default_timeout(180_000)
            hand.page.goto(page.address)
            pictures = frames(hand.wait_ready())
    strip = Image.new("RGB", (sum(picture.width + GAP for picture in pictures) - GAP, HEIGHT), "white")
    left = 0
    for picture in pictures:
        strip.paste(picture, (left, 0))
        left += picture.width + GAP
    strip.quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(out, optimize=True)
    print(out, out.stat().st_size // 1000, "kB")


if __name__ == "__main__":
    main()
