"""The page in a real browser, against a geosam that answers from the page itself (`front/fake.js`)."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.front.browser import ROOT, STATIC, Hand, chromium, files_route

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # of the browser's driver
]

FRONT = ROOT / "integrations" / "front"
PAGE = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><link rel="stylesheet" href="geosam.css">
<body class="geosam-page"><main id="here"></main>
<script type="module">
import { mount } from "./geosam.js";
import { fakeTransport } from "./fake.js";
window.fake = fakeTransport(Object.fromEntries(new URLSearchParams(location.search)));
window.close_ = await mount(document.getElementById("here"), window.fake);
</script>"""
FILES = {
    "": PAGE,
    "geosam.js": STATIC / "geosam.js",
    "geosam.css": STATIC / "geosam.css",
    "fake.js": ROOT / "tests" / "front" / "fake.js",
}


@contextmanager
def opened(query: str = "", **options: Any) -> Iterator[Hand]:
    with chromium() as browser:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 760}, **options})
        context.route("**/*", files_route(FILES))
        hand = Hand(context.new_page())
        hand.page.goto(f"http://geosam.test/?{query}")
        yield hand.wait_ready()
        assert hand.errors == []


def asked(hand: Hand, verb: str) -> list[dict[str, Any]]:
    return hand.page.evaluate("(verb) => window.fake.asked.filter((request) => request.verb === verb)", verb)


def box_of(thing: dict[str, Any]) -> list[float]:
    places = [place for ring in thing["shape"]["coordinates"] for place in ring]
    xs, ys = [place[0] for place in places], [place[1] for place in places]
    return [min(xs), min(ys), max(xs), max(ys)]


@pytest.mark.parametrize("name", ["geosam.js", "geosam.css", "index.html", "LICENSES.txt"])
def test_the_bundle_is_small_and_names_what_is_in_it(name):
    text = (STATIC / name).read_text(encoding="utf-8")
    assert len(text) < 400_000
    if name == "LICENSES.txt":
        assert "leaflet 1.9.4 (BSD-2-Clause)" in text
        assert "Redistribution and use" in text


def test_the_bundle_was_built_from_the_sources_that_are_there():
    if not FRONT.is_dir():
        pytest.skip("needs the sources of the front end, which a source distribution leaves out")
    digest = hashlib.sha256()
    for path in [*sorted((FRONT / "src").iterdir()), FRONT / "package-lock.json"]:
        digest.update(path.relative_to(FRONT).as_posix().encode())
        digest.update(path.read_bytes())
    head = (STATIC / "geosam.js").read_text(encoding="utf-8").splitlines()[0]
    assert digest.hexdigest() in head, "cd integrations/front && npm ci && npm run build"


def test_the_page_asks_no_other_host():
    for name in ("geosam.js", "geosam.css", "index.html"):
        text = (STATIC / name).read_text(encoding="utf-8")
        assert set(re.findall(r"https?://[\w.]+", text)) <= {"http://www.w3.org", "https://leafletjs.com"}


def test_a_mouse_clicks_corrects_saves_and_undoes():
    with opened() as hand:
        hand.move(50, 50)
        hand.until("app.hovered?.answer.exact")
        hovered = hand.run("app.hovered.answer.shape")
        hand.click(50, 50)
        hand.until("app.hand.answer?.exact")
        assert hand.run("app.hand.answer.shape") == hovered
        assert len({str(request["points"]) for request in asked(hand, "preview")}) == 1, "the hover's answer was kept"
        hand.click(60, 40, button="right")  # takes away all right of it
        hand.until("app.hand.answer?.shape.coordinates[0][2][0] === 60")
        hand.press("z", "1", "Enter")
        (first,) = hand.saved(1)
        assert (first["shape"], first["class"]) == (hovered, 1)
        assert hand.page.get_attribute("[data-code='1']", "aria-label") == "building, 1 objects (1)"
        hand.click(250, 150, held="Alt")
        assert "Nothing in hand" in hand.says
        hand.click(250, 150)
        hand.press("Escape")
        assert hand.run("app.hand.isEmpty")
        hand.press("b")
        hand.drag((210, 120), (290, 180))
        hand.until("app.hand.answer?.exact")
        hand.press("s")
        assert box_of(hand.saved(2)[1]) == pytest.approx([210, 120, 290, 180], abs=1.5)
        hand.press("o")
        for place in [(310, 310), (390, 320), (350, 380)]:
            hand.click(*place)
        hand.press("Enter")
        hand.until("app.hand.answer?.exact")
        hand.press("Enter")
        hand.saved(3)
        hand.press("Control+z")
        hand.saved(2)
        hand.press("Control+Shift+z")
        hand.saved(3)


def test_the_pointer_goes_on_before_the_exact_outline_of_where_it_rested_is_there():
    with opened() as hand:
        hand.page.evaluate("() => (window.release = window.fake.hold(({ hover }) => hover === 'rests'))")
        hand.move(50, 50)
        hand.until("app.previews.flying?.hover === 'rests'")
        assert hand.run("app.hovered.answer.exact") is False
        hand.move(150, 50)
        hand.until("window.fake.asked.filter(({ verb }) => verb === 'preview').length >= 3")
        ways = [(round(one["points"][0][0], -1), one["hover"]) for one in asked(hand, "preview")]
        assert ways[:3] == [(50, "moves"), (50, "rests"), (150, "moves")]
        hand.page.evaluate("() => window.release()")
        hand.until("app.hovered?.answer.exact")
        assert box_of(hand.run("app.hovered.answer")) == [120, 30, 180, 70]


def test_a_cold_window_answers_coarsely_first_and_saves_the_exact_outline():
    with opened() as hand:
        hand.click(1050, 250)
        hand.until("app.hand.answer && !app.hand.answer.exact")
        assert hand.page.locator("path.gs-held.gs-coarse").count() == 2
        hand.press("Enter")
        assert "as soon as" in hand.says
        assert not asked(hand, "accept")
        hand.page.evaluate("() => window.fake.warmUp()")
        hand.saved(1)
        (accepted,) = asked(hand, "accept")
        assert len(asked(hand, "preview")) > 1
        assert accepted["prompts"]["points"][0] == pytest.approx([1050, 250, 1], abs=1)
        hand.click(450, 450)
        hand.until("app.hand.answer?.exact")
        for x in range(20):  # so many outlines that the first one's name is forgotten
            hand.move(500 + 10 * x, 550)
            hand.until("app.hovered?.request.points.at(-1)[0] > value", 495 + 10 * x)
        hand.press("Enter")
        assert box_of(hand.saved(2)[1]) == [420, 430, 480, 470]
        hand.until("!app.status.waits.size")
        hand.click(1250, 250)
        hand.until("document.querySelector('.gs-say').dataset.kind === 'error'")
        assert "no data" in hand.says


def test_a_border_that_objects_share_stays_shared():
    with opened() as hand:
        hand.press("c")
        hand.until("app.search.found?.done")
        for count, place in enumerate([(25, 25), (75, 25)], 1):  # segments of 50 px
            hand.click(*place)
            hand.press("Enter")
            hand.saved(count)
            hand.until("app.search.found?.done")
        hand.press("Escape", "v")
        hand.click(25, 25)
        hand.click(75, 25, held="Shift")
        assert hand.run("app.state.selection.size") == 2
        hand.press("2")
        hand.until("[...app.state.objects.values()].every((object) => object.class === 2)")
        hand.press("Escape")
        hand.click(25, 25)
        hand.press("d")
        hand.run("app.map.leaflet.setView([40, 60], 2, { animate: false }) && null")
        hand.drag((50, 50), (55, 52), (60, 45))
        hand.until("[...app.state.objects.values()].every(({ shape }) => JSON.stringify(shape).includes('[60,45]'))")
        hand.drag((55, 22.5), (50, 20), (45, 20))  # their edge: one more vertex in both
        hand.until("[...app.state.objects.values()].every(({ shape }) => shape.coordinates[0].length === 6)")
        hand.click(60, 45, button="right")
        hand.until("[...app.state.objects.values()].every(({ shape }) => shape.coordinates[0].length === 5)")
        hand.press("Control+z", "Control+z", "Control+z")
        hand.until("[...app.state.objects.values()].every(({ shape }) => JSON.stringify(shape).includes('[50,50]'))")


def test_saved_objects_are_cut_joined_opened_again_and_deleted():
    with opened() as hand:
        hand.click(50, 50)
        hand.press("Enter")
        hand.saved(1)
        hand.click(150, 50)
        hand.press("Enter")
        hand.saved(2)
        hand.press("k")
        hand.click(150, 20)
        hand.click(150, 90)
        hand.press("Enter")
        hand.saved(3)
        hand.press("v")
        hand.click(130, 50)
        hand.click(170, 50, held="Shift")
        hand.press("j")
        hand.saved(2)
        hand.press("v")
        hand.move(50, 50)
        hand.press("e")
        hand.until("app.hand.object === 1 && app.hand.answer?.exact")
        hand.click(60, 60, button="right")
        hand.until("app.hand.answer?.exact")
        hand.press("Enter")
        hand.until("app.state.objects.get(1).shape.coordinates[0][2][0] === 60")
        hand.move(50, 50)
        hand.press("Delete")
        hand.saved(1)


def test_geosam_finds_and_the_user_picks():
    with opened() as hand:
        hand.press("n")
        hand.until("app.hand.suggested")
        hand.press("Escape")  # rejected: the next one comes
        hand.until("app.hand.suggested && app.hand.answer.shape.coordinates[0][0][0] === 220")
        assert len(asked(hand, "reject")) == 1
        hand.press("Enter")
        hand.saved(1)
        hand.until("app.hand.suggested")
        hand.press("Escape")
        hand.until("document.querySelector('.gs-say').textContent.includes('Every object')")
        hand.press("/")
        hand.page.keyboard.type("solar snb")  # letters that are keys elsewhere
        hand.press("Enter")
        hand.until("app.search.found?.done")
        assert asked(hand, "word")[0]["text"] == "solar snb"
        hand.run("app.search.setLeast(0.6)")
        hand.press("Enter")
        hand.saved(3)
        assert asked(hand, "accept")[-1]["each"] is True
        hand.press("Escape", "f", "c")
        hand.until("app.search.found?.isCoverage && app.search.found.done")
        hand.click(410, 410)
        hand.click(460, 410)
        hand.press("Enter")
        assert len(hand.saved(4)[-1]["shape"]["coordinates"]) == 2
        hand.press("Escape")
        with hand.page.expect_download() as download:
            hand.page.get_by_text("Export", exact=True).first.click()
            hand.page.get_by_role("button", name="Export all objects, styled").click()
        assert download.value.suggested_filename == "roofs.gpkg"


def test_keys_alone_are_enough_and_fields_keep_theirs():
    with opened() as hand:
        hand.press("Tab")
        hand.press("ArrowLeft", "Shift+ArrowUp", "ArrowUp")
        x, y = hand.run("app.crosshair.at")
        hand.press("Space")
        hand.until("app.hand.answer?.exact")
        assert hand.run("app.hand.prompts.points")[0][:2] == pytest.approx([round(x, 2), round(y, 2)])
        hand.press("ArrowRight", "x", "Backspace", "Enter")
        hand.saved(1)
        hand.press("b", "Space", "Shift+ArrowRight", "Shift+ArrowDown", "Space")
        hand.until("app.hand.prompts.box && app.hand.answer?.exact")
        hand.press("Enter")
        hand.saved(2)
        hand.press("?")
        assert hand.page.get_by_role("dialog").is_visible()
        hand.press("n")  # no command while the list is open
        hand.press("Escape")
        assert not asked(hand, "suggest")
        name = hand.page.get_by_label("Name of a new class")
        name.fill("")
        name.press("n")
        name.press("e")
        name.press("Enter")
        hand.until("app.state.classes.length === 4")
        assert not asked(hand, "suggest")
        assert hand.run("app.state.current") == 4


def test_a_finger_on_a_small_screen():
    with opened(viewport={"width": 390, "height": 700}, has_touch=True, is_mobile=True) as hand:
        hand.page.touchscreen.tap(*hand.on_screen(350, 350))
        hand.until("app.hand.answer?.exact")
        hand.page.get_by_role("button", name="What a tap does").tap()
        hand.page.touchscreen.tap(*hand.on_screen(370, 350))
        hand.until("app.hand.prompts.points.length === 2")
        assert hand.run("app.hand.prompts.points[1][2]") == 0
        hand.page.get_by_role("button", name="Save the object in hand").tap()
        hand.saved(1)
        panel = hand.page.locator(".gs-panel")
        assert not panel.is_visible()
        hand.page.get_by_role("button", name="Show or hide the panel").tap()
        assert panel.is_visible()
        assert hand.run("document.documentElement.scrollWidth <= innerWidth")


def test_a_viewer_swipes_and_cannot_edit():
    with opened("mode=view&pair=1") as hand:
        before = hand.run("app.map.leaflet.getPane('picture-1').style.clip")
        hand.page.get_by_label("Before and after").focus()
        hand.press("ArrowRight", "ArrowRight")
        assert hand.run("app.map.leaflet.getPane('picture-1').style.clip") != before
        hand.page.locator(".geosam").focus()
        hand.move(50, 50)
        hand.click(50, 50)
        hand.press("Enter", "n", "c", "Delete", "Control+z")
        hand.page.wait_for_timeout(100)
        verbs = set(hand.page.evaluate("() => window.fake.asked.map((request) => request.verb)"))
        assert verbs == {"hello", "tile", "objects"}
        hand.page.get_by_text("Picture").click()
        hand.page.get_by_label("Band shown as red").select_option("4")
        hand.page.get_by_label("Stretch").select_option("1,99")
        hand.page.wait_for_timeout(100)
        assert asked(hand, "tile")[-1]["bands"] == [4, 2, 3]
        assert asked(hand, "tile")[-1]["stretch"] == [1, 99]
        hand.page.evaluate("() => window.close_()")
        assert hand.page.locator(".geosam").count() == 0
