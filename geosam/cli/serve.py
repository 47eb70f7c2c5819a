"""``geosam serve``: click on a scene, on a page of this machine."""

import atexit
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from geosam.cli.groups import flat
from geosam.cli.scenes import SceneArgument, Seen, Store

_OBJECTS, _PAGE = "What is there already", "The page"

MEGABYTE = 1 << 20

PATIENCE_S = 0.3
"""How long each thread's work may keep the command from ending."""


@flat
def serve(
    scene: SceneArgument,
    *,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Polygons to begin with, in any CRS; the file is only read. A session goes on.",
            rich_help_panel=_OBJECTS,
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Legend: .csv (code, name, colour), .qml, or a name.", rich_help_panel=_OBJECTS),
    ] = None,
    session: Annotated[
        Path | None,
        typer.Option(help="GeoPackage of the session; default: SCENE.geosam.gpkg beside it.", rich_help_panel=_OBJECTS),
    ] = None,
    date: Annotated[
        str, typer.Option(help="When the scene was taken, ISO 8601; schemas tell it.", rich_help_panel=_OBJECTS)
    ] = "",
    model: Annotated[str, typer.Option("--model", "-m", help="Name of a model, or path of a weights file.")] = "nano",
    port: Annotated[int, typer.Option(help="Port; 0: a free one.", min=0, max=65535, rich_help_panel=_PAGE)] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page.", rich_help_panel=_PAGE)
    ] = True,
    memory: Annotated[
        int, typer.Option(help="Encoded windows kept in memory, MB.", min=16, rich_help_panel=_PAGE)
    ] = 1024,
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host", help="Name of a proxy that the page is behind; repeatable.", rich_help_panel=_PAGE
        ),
    ] = None,
    until_eof: Annotated[
        bool, typer.Option("--until-eof", help="Stop when stdin closes.", rich_help_panel=_PAGE)
    ] = False,
    seen: Seen,
    store: Store = "auto",
) -> None:
    """Click on a scene in a browser; every accepted object is on disk at once. Ctrl-C stops it."""
    from geosam.serve.start import needs, start

    needs("serve", "starlette", "uvicorn")
    from geosam.serve.web import Page, address_of, listen, run

    opened = seen.open(scene)
    listening = listen(port)
    desk = start(
        opened,
        model=model,
        session=session,
        labels=labels,
        classes=classes,
        date=date,
        memory=memory * MEGABYTE,
        store=None if store == "none" else store,
    )
    try:
        page = Page(desk, hosts=host or ())
        address = address_of(page, listening)
        typer.echo(address)
        sys.stdout.flush()
        if desk.layer.session is not None and sys.stderr.isatty():  # programs that start this read the address alone
            typer.echo(f"objects are saved one by one in {desk.layer.session.path}; Ctrl-C stops this", err=True)
        if browser:
            open_browser(address)
        with suppress(KeyboardInterrupt):  # that is how it ends
            run(page, listening, stop=when_closed() if until_eof else None)
    finally:
        listening.close()
        ended = desk.close(PATIENCE_S)
    if not ended:
        leave()


def leave() -> NoReturn:
    """End the process while its threads still work on what nobody waits for; temporary files go."""
    sys.stdout.flush()
    atexit._run_exitfuncs()  # pyright: ignore[reportAttributeAccessIssue]  # which an orderly end calls after all threads
    os._exit(0)


def open_browser(address: str) -> None:
    """Show an address, if there is something to show it with."""
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def when_closed() -> threading.Event:
    """An event that is set when stdin has come to its end."""
    closed = threading.Event()

    def read() -> None:
        with suppress(OSError, ValueError, AttributeError):  # there is none
            number = sys.stdin.fileno()
            while os.read(number, 4096):  # not by the buffer, whose lock would outlive the interpreter
                pass
        closed.set()

    threading.Thread(target=read, name="geosam-stdin", daemon=True).start()
    return closed
