"""The widget's messages: requests in, answers and buffers out, without a port."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import shapely

import geosam
from geosam.errors import OptionError
from geosam.testing import TruthNetwork, blob_labels, label_scene

pytest.importorskip("anywidget", reason="needs geosam[notebook]")


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a socket in a notebook")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return label_scene(tmp_path / "scene.tif", blob_labels((200, 300), count=5, large=0))


@pytest.fixture
def widget(path: Path) -> Iterator[Any]:
    widget = geosam.click(path, model=TruthNetwork(side=128), store=None, classes="worldcover", height=400)
    yield widget
    widget.close()


def ask(widget: Any, **request: Any) -> tuple[dict[str, Any], list[bytes] | None]:
    sent: list[tuple[dict[str, Any], list[bytes] | None]] = []
    widget.send = lambda content, buffers=None: sent.append((content, buffers))
    widget._handle_custom_msg({"id": 7, **request}, [])
    ((content, buffers),) = sent
    assert content["id"] == 7
    return content, buffers


def test_a_click_becomes_a_row_of_the_table(widget: Any, path: Path):
    assert (widget.start["scene"]["width"], widget.start["mode"], widget.height) == (300, "edit", 400)
    x, y = next(
        (x, y) for x in range(5, 300, 5) for y in range(5, 200, 5) if blob_labels((200, 300), count=5, large=0)[y, x]
    )
    for _ in range(3000):
        found, _ = ask(widget, verb="preview", points=[[x + 0.5, y + 0.5, 1]])
        if found["exact"]:
            break
        time.sleep(0.02)
    done, _ = ask(widget, verb="accept", keys=[found["key"]], **{"class": 50})
    assert done["ok"]
    table = widget.objects
    assert (table["class"].tolist(), table["origin"].tolist()) == (["Built-up"], ["click"])
    drawn, saved = geosam.open_scene(path).to_px(table)[0], shapely.geometry.shape(done["changed"][0]["shape"])
    assert shapely.equals_exact(drawn, shapely.MultiPolygon([saved]), 1e-6, normalize=True)


def test_a_cell_that_runs_again_goes_on_with_the_session(widget: Any, path: Path):
    for _ in range(2):
        again = geosam.click(path, model=TruthNetwork(side=128), store=None)
    assert again.start["classes"] == widget.start["classes"]
    assert again.comm is not None
    assert widget.comm is None, "the earlier one is closed"
    again.close()
    again.close()
    geosam.click(path, model=TruthNetwork(side=128), store=None).close()


def test_tiles_come_as_buffers_and_other_messages_are_left_alone(widget: Any):
    content, buffers = ask(widget, verb="tile", level=0, col=0, row=0)
    assert content["ok"]
    assert buffers is not None
    assert buffers[0][:4] == b"\x89PNG"  # with alpha, for the scene ends in it
    sent: list[Any] = []
    widget.send = lambda *given, **_: sent.append(given)
    for odd in ("text", {"verb": "hello"}, None, [1]):
        widget._handle_custom_msg(odd, [])
    assert sent == []


def test_a_view_shows_and_changes_nothing(path: Path, widget: Any):
    table = widget.objects
    with pytest.raises(OptionError, match="without a polygon"):
        geosam.view(path, table)
    table = geosam.segment(path, model=TruthNetwork(side=128), spacing_px=4)
    shown = geosam.view(path, table, after=path)
    try:
        assert (shown.start["mode"], shown.start["scene"]["pictures"]) == ("view", ["before", "after"])
        assert len(ask(shown, verb="objects")[0]["changed"]) == len(table)
        for verb in ("preview", "accept", "undo", "export", "look", "coverage"):
            assert ask(shown, verb=verb)[0]["kind"] == "input"
        assert ask(shown, verb="tile", picture="after", level=1, col=0, row=0)[0]["ok"]
    finally:
        shown.close()
