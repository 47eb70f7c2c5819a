"""A STAC API: a server on this machine is asked for what is wanted, page by page."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlparse

import pytest
import shapely

from geosam.catalog import Selection, find_items, segment_catalog, stac
from geosam.catalog.sources import read_footprint
from geosam.errors import CatalogError
from geosam.testing import TruthNetwork, blob_labels, label_scene
from geosam.testing.scenes import TRANSFORM

pytest.importorskip("pystac_client", reason="needs geosam[stac]")

SHAPE = (64, 96)
CORE = [f"https://api.stacspec.org/v1.0.0/{name}" for name in ("core", "item-search")]


@pytest.fixture
def items(tmp_path: Path) -> list[dict[str, Any]]:
    """STAC items of three scenes, one a month."""
    found = []
    for number, name in enumerate("abc"):
        grid = TRANSFORM @ TRANSFORM.translation(number * 128, 0)
        labels = blob_labels(SHAPE, count=4, large=0, seed=number)
        path = label_scene(tmp_path / f"{name}.tif", labels, transform=grid)
        footprint = read_footprint(str(path))
        assert footprint is not None
        found.append(
            {
                "type": "Feature",
                "stac_version": "1.0.0",
                "id": name,
                "collection": "summer",
                "geometry": shapely.geometry.mapping(footprint),
                "bbox": list(footprint.bounds),
                "properties": {"datetime": f"2024-0{6 + number}-15T00:00:00Z", "eo:cloud_cover": 20 * number},
                "assets": {"visual": {"href": f"/files{path}", "type": "image/tiff", "roles": ["data"]}},
                "links": [],
            }
        )
    return found


@contextmanager
def serving(
    items: list[dict[str, Any]], *, method: str = "POST", status: int = 200, failing: int = -1, circles: bool = False
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A STAC API that is searched by a method, with an item on each page: its address, and what it was asked for."""
    asked: list[dict[str, Any]] = []

    class Api(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            if self.path.startswith("/files/"):
                self.serve(Path(self.path.removeprefix("/files")))
                return
            if self.path.startswith("/search"):
                wanted: dict[str, Any] = dict(parse_qsl(urlparse(self.path).query))
                lists = {name: wanted[name].split(",") for name in ("bbox", "collections") if name in wanted}
                self.search(wanted | lists | {"page": int(wanted.get("page", 0))})
                return
            links = [{"rel": rel, "href": address + where, "type": "application/json"} for rel, where in ROOT_LINKS]
            links[-1] |= {"method": "POST"} if method == "POST" else {}
            root = {"type": "Catalog", "id": "api", "description": "", "stac_version": "1.0.0", "conformsTo": CORE}
            self.answer(root | {"links": links})

        def do_POST(self) -> None:
            self.search(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def search(self, wanted: dict[str, Any]) -> None:
            assert self.command == method
            asked.append(wanted)
            page = wanted.get("page", 0)
            if page == failing:
                self.send_error(500)
                return
            found = [item for item in items if meets(item, wanted)]
            following: dict[str, Any] = {"rel": "next", "method": method, "href": f"{address}search"}
            if method == "POST":
                following["body"] = wanted | {"page": page + 1}
            else:
                following["href"] += f"?page={page + 1}"
            links = [following] if page + 1 < len(found) or circles else []
            page %= len(found) or 1
            self.answer({"type": "FeatureCollection", "features": found[page : page + 1], "links": links})

        def serve(self, path: Path) -> None:
            content = path.read_bytes() if path.is_file() else b""
            begin, _, end = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
            part = content[int(begin) : int(end) + 1 if end else None]
            self.send_response(404 if not content else 206 if "Range" in self.headers else 200)
            self.send_header("Content-Range", f"bytes {begin}-{int(begin) + len(part) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(part)

        def answer(self, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/geo+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield address, asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


ROOT_LINKS = (("self", ""), ("root", ""), ("search", "search"))


def meets(item: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether the server's own conditions let an item through."""
    first, _, last = wanted.get("datetime", "../..").partition("/")
    when = item["properties"]["datetime"]
    box = shapely.box(*map(float, wanted["bbox"])) if wanted.get("bbox") else None
    return (
        item["collection"] in wanted.get("collections", [item["collection"]])
        and (first == ".." or when >= first)
        and (last in ("", "..") or when <= last)
        and (box is None or shapely.geometry.shape(item["geometry"]).intersects(box))
    )


def names(found) -> list[str]:
    return [item.name for item in found]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_all_pages_are_read_by_the_method_that_the_server_offers(items, method):
    with serving(items, method=method) as (address, asked):
        found = find_items(address)
    assert names(found) == ["summer_a", "summer_b", "summer_c"]
    assert [Path(item.paths[0]).name for item in found] == ["a.tif", "b.tif", "c.tif"]
    assert len(asked) == 3


def test_the_server_is_told_time_place_and_collection(items):
    area = shapely.geometry.shape(items[1]["geometry"])
    with serving(items) as (address, asked):
        found = find_items(f"{address}collections/summer", Selection(when="2024-06-20/.."), area=area)
        assert names(found) == ["summer_b"]
        assert asked[-1]["collections"] == ["summer"]
        assert asked[-1]["datetime"] == "2024-06-20T00:00:00Z/.."
        assert asked[-1]["bbox"] == pytest.approx(area.bounds)
        assert names(find_items(address, Selection(where=("eo:cloud_cover < 30",)))) == ["summer_a", "summer_b"]
        assert len(find_items(address, Selection(limit=2))) == 2
        with pytest.raises(CatalogError, match="no scene that meets"):
            find_items(f"{address}collections/winter", Selection(when="2024"))


def test_its_scenes_are_segmented(items, tmp_path):
    with serving(items) as (address, _):
        report = segment_catalog(address, tmp_path / "run", model=TruthNetwork(side=48), spacing_px=8, when="2024-07")
    assert (report.scenes, report.done) == (1, 1)
    assert report.objects > 0


def test_a_list_that_breaks_off_is_refused(items):
    with serving(items, failing=2) as (address, _), pytest.raises(CatalogError, match=r"only to item 2.*--limit 2"):
        find_items(address)
    with serving(items, failing=2) as (address, _):
        assert len(find_items(address, Selection(limit=2))) == 2


def test_pages_that_go_in_circles_are_refused(items, monkeypatch):
    monkeypatch.setattr(stac, "MOST_IDLE_PAGES", 5)
    with serving(items, circles=True) as (address, _), pytest.raises(CatalogError, match="circles"):
        find_items(address)


def test_an_unsound_item_of_a_server_is_named(items):
    items[1]["assets"]["visual"]["href"] = "file:///etc/passwd"
    with serving(items) as (address, _):
        found = find_items(address)
    assert [item.name for item in found if item.problem is None] == ["summer_a", "summer_c"]
    assert "behind a network" in str(found[0].problem)


def test_a_server_that_is_none_or_ill_is_one_clear_error(items, monkeypatch):
    with serving(items, status=503) as (address, _), pytest.raises(CatalogError, match="does not answer as a STAC API"):
        find_items(address)
    with pytest.raises(CatalogError, match="does not answer as a STAC API"):
        find_items(address)
    monkeypatch.setitem(sys.modules, "pystac_client", None)
    with pytest.raises(CatalogError, match=r"pip install 'geosam\[stac\]'"):
        find_items(address)
