"""``geosam plan`` and ``geosam encode``: what comes before segmenting."""

from typing import Annotated

import typer

from geosam.cli.groups import flat
from geosam.cli.machine import Machine, Model
from geosam.cli.options import Kinds, PromptsFile, Search, Spoken
from geosam.cli.scenes import Quiet, SceneArgument, Seen, Store, Tiles
from geosam.cli.segment import joined, read_prompts, suited_to


@flat
def plan(
    scene: SceneArgument,
    *,
    model: Model = "nano",
    prompts: Annotated[
        str | None, typer.Option(help="Vector file of prompts, or raster of masks; none: every object.")
    ] = None,
    file: PromptsFile,
    spoken: Spoken,
    seen: Seen,
    tiles: Tiles,
    search: Search,
    kinds: Kinds = False,
    machine: Machine,
) -> None:
    """Say what segmenting a scene will cost, before starting; the first time one window is measured."""
    from rich.console import Console

    import geosam
    from geosam.cli.show import show_forecast

    said = spoken.named()
    opened = seen.open(scene)
    if said and seen.pixel is None:
        opened = suited_to(opened, said)
    asked = joined(read_prompts(opened, prompts, crs=file.prompts_crs, how=file.named()))
    network = machine.load(model)
    how = {**tiles.named(), **search.named(), **said}
    forecast = geosam.plan(opened, asked, model=network, kinds=kinds, **how)
    show_forecast(forecast, Console(soft_wrap=True))


@flat
def encode(
    scene: SceneArgument,
    *,
    model: Model = "nano",
    seen: Seen,
    tiles: Tiles,
    store: Store = "auto",
    machine: Machine,
    quiet: Quiet = False,
) -> None:
    """Encode all windows of a scene into the embedding store, so that later prompts need no encoder."""
    from rich.console import Console

    from geosam.cli.show import show_passes
    from geosam.errors import OptionError
    from geosam.execute import progress_bar
    from geosam.pipeline import encode as run

    if store == "none":
        raise OptionError("--store none", expected="a folder, or auto", hint="encoding without a store keeps nothing")
    opened = seen.open(scene)
    network = machine.load(model)
    with progress_bar(quiet=quiet) as progress:
        report = run(opened, model=network, store=store, progress=progress, **tiles.named())
    show_passes(report, Console(soft_wrap=True))
