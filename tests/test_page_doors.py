"""One front end behind three doors, in a real browser: a page of this machine, behind a path proxy, in a notebook."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import shapely

from tests.front.browser import HUB, ROOT, Hand, chromium
from tests.front.doors import proxied, served, widget

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # of the browser's driver
]

ROOF = (586.0, 475.0)
"""A place on a roof of the village."""


@contextmanager
def on_page(scene: Path, session: Path) -> Iterator[Hand]:
    with served(scene, session) as page, chromium() as browser:
        hand = Hand(browser.new_page())
        hand.page.goto(page.address)
        yield hand.wait_ready()


@contextmanager
def behind_proxy(scene: Path, session: Path) -> Iterator[Hand]:
    with served(scene, session, "--allow-host", HUB) as page, proxied(page.address) as outer, chromium() as browser:
        hand = Hand(browser.new_page())
        hand.page.goto(outer)
        yield hand.wait_ready()


@contextmanager
def in_notebook(scene: Path, session: Path) -> Iterator[Hand]:
    with chromium() as browser, widget(browser, scene, session) as hand:
        yield hand


@pytest.mark.parametrize("door", [on_page, behind_proxy, in_notebook])
def test_what_the_hover_shows_is_what_is_on_disk(door, tmp_path):
    pytest.importorskip("anywidget" if door is in_notebook else "uvicorn")
    scene, session = Path(shutil.copy(ROOT / "sample_data" / "village_before.tif", tmp_path)), tmp_path / "s.gpkg"
    with door(scene, session) as hand:
        hand.move(*ROOF)
        hand.until("app.hovered?.answer.exact")
        shown = shapely.from_geojson(json.dumps(hand.run("app.hovered.answer.shape")))
        assert shown.contains(shapely.Point(ROOF))
        hand.page.wait_for_selector(".leaflet-tile-loaded")
        hand.click(*ROOF)
        hand.press("Enter")
        hand.saved(1)
        with sqlite3.connect(f"file:{session}?mode=ro", uri=True) as database:
            saved = database.execute("SELECT shape_px FROM geosam_objects").fetchall()
        assert saved == [(shapely.to_wkb(shown),)]
        hand.press("Control+z")
        hand.saved(0)
        assert hand.errors == []
