"""``geosam evaluate``: what a model reaches on labelled pictures."""

from math import isnan
from pathlib import Path
from typing import Annotated, Any

import typer

from geosam.cli.failures import INTERRUPTED
from geosam.cli.groups import flat
from geosam.cli.machine import Machine, Model
from geosam.cli.options import EVERYTHING, OUTPUT, WORDS, Search, TextModel, WordFiles
from geosam.cli.scenes import Quiet

HEADINGS = {
    "box": "box",
    "click": "click",
    "clicks3": "3 clicks",
    "boundary": "outline",
    "recall50": "found@.5",
    "recall75": "found@.75",
    "nested50": "nested@.5",
    "nested75": "nested@.75",
    "calibration_error": "cal. err.",
    "correlation": "corr.",
}
"""Columns of the printed table; those of which nothing was measured are left out."""

SEGMENTS = {
    "recall50": "found@.5",
    "low50": "from",
    "high50": "to",
    "recall75": "found@.75",
    "covered": "covered",
    "accuracy": "accuracy",
    "edges": "edges",
    "seconds": "s CPU",
}
"""Columns of the second table, about everything mode."""

WIDTH = 130
"""Characters of a line that goes to a file or another program."""


@flat
def evaluate(
    labelled: Annotated[
        Path,
        typer.Argument(
            metavar="SET",
            help="Folder of pictures with truth beside them (`X_ids.png`, `X_mask.png`, `X.geojson`, `X.gpkg`, boxes "
            "`X.csv`, COCO `.json`), or with a `manifest.csv`.",
        ),
    ],
    *,
    model: Model = "nano",
    sources: Annotated[str, typer.Option(help="Only these sources, as `a,b`; a source is a folder of the set.")] = "",
    limit: Annotated[int, typer.Option(help="Pictures of each source at most; 0: all.", min=0)] = 0,
    objects: Annotated[int, typer.Option(help="Objects of each source at most; 0: all.", min=0)] = 0,
    everything: Annotated[
        bool, typer.Option("--everything/--no-everything", help="Score everything mode.", rich_help_panel=EVERYTHING)
    ] = True,
    windows: Annotated[
        int,
        typer.Option(help="Windows of each source in which it is scored; 0: all.", min=0, rich_help_panel=EVERYTHING),
    ] = 4,
    hierarchy: Annotated[
        bool,
        typer.Option(
            "--hierarchy", help="Score it with wholes beside parts as well; far longer.", rich_help_panel=EVERYTHING
        ),
    ] = False,
    search: Search,
    text: Annotated[
        str | None,
        typer.Option(help="Score this word instead, which names all objects of the set.", rich_help_panel=WORDS),
    ] = None,
    absent: Annotated[
        str | None, typer.Option(help="Words that name nothing in these pictures.", rich_help_panel=WORDS)
    ] = None,
    text_model: TextModel = None,
    words: WordFiles = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="Also write the table as JSON here.", rich_help_panel=OUTPUT)
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Also write the table as CSV here.", rich_help_panel=OUTPUT)
    ] = None,
    machine: Machine,
    quiet: Quiet = False,
) -> None:
    """Score a model on labelled pictures: IoU from a box, one click, three clicks; outlines; everything mode.

    Counted are objects of at least 256 px that the picture's edge does not cut. Interrupted, it shows what it has so
    far.
    """
    asked = [name for name in sources.split(",") if name]
    if text is not None:
        told = {"text_model": text_model, "words": tuple(words or ())}
        evaluate_text(labelled, text, absent, sources=asked, limit=limit, model=model, csv=csv, quiet=quiet, **told)
        return
    from geosam.evaluation import Evaluation, list_pictures, score_pictures
    from geosam.execute import progress_bar
    from geosam.sinks.places import check_path

    read = [*labelled.rglob("*"), model]
    targets = [check_path(path, (suffix,), inputs=read) for path, suffix in ((json, ".json"), (csv, ".csv")) if path]
    pictures = list_pictures(labelled, sources=asked, limit=limit)
    network = machine.load(model)
    result = Evaluation(network.key, labelled.resolve().name)
    how = {"objects": objects, "everything": (windows or None) if everything else 0, "hierarchy": hierarchy}
    try:
        with progress_bar(quiet=quiet) as progress:
            scores = score_pictures(network, pictures, **how, progress=progress, **search.named())
            result.scores.extend(scores)
    except KeyboardInterrupt:
        show(result)
        typer.echo("interrupted: the table shows what was scored until then; nothing was written", err=True)
        raise typer.Exit(INTERRUPTED) from None
    show(result)
    for target in targets:
        result.write(target)


def evaluate_text(labelled: Path, text: str, absent: str | None, *, csv: Path | None, quiet: bool, **how: Any) -> None:
    """Score a word, and print its table: a row per word and source, then the means."""
    from rich.console import Console
    from rich.table import Table

    from geosam.evaluation.words import evaluate_words, write_scores
    from geosam.execute import progress_bar
    from geosam.sinks.places import check_path

    target = check_path(csv, (".csv",), inputs=labelled.rglob("*")) if csv else None
    with progress_bar(quiet=quiet) as progress:
        rows = evaluate_words(labelled, text, absent=absent, progress=progress, **how)
    console = Console()
    console = console if console.is_terminal else Console(width=WIDTH)
    table = Table("word", "source", box=None, pad_edge=False)
    for heading in ("pictures", "precision", "recall", "F1", "best F1", "at", "false area"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        numbers = (row.precision, row.recall, row.f1, row.best_f1, row.best_threshold, row.false_area)
        table.add_row(row.word, row.source, str(row.pictures), *map(_number, numbers))
    console.print(table)
    console.print("found with the default threshold, .5; at: the threshold of the best F1", highlight=False)
    if target is not None:
        write_scores(rows, target)


def show(result: Any) -> None:
    """Print the tables: a row per source, the mean over sources, all objects; everything mode; objects by length."""
    from rich.console import Console

    console = Console()
    console = console if console.is_terminal else Console(width=WIDTH)
    if not result.scores:
        console.print("no object of at least 256 px that the picture's edge does not cut")
        return
    rows = [*result.sources, result.mean, result.pooled]
    console.print(_table(rows, HEADINGS, "objects"))
    console.print(
        f"{result.model} on {result.set_name}: mean IoU; outline: boundary F1 within 2 px of the answers to boxes; "
        "found: share of objects that everything mode finds at that IoU, nested: with wholes beside parts; cal. err., "
        "corr.: predicted and reached IoU\n",
        highlight=False,
        markup=False,
    )
    if result.pooled.windows:
        console.print(_table([row for row in rows if row.windows], SEGMENTS, "windows"))
        console.print(
            "everything mode; from, to: 9 of 10 bootstrap samples of windows; covered: share of the ground; accuracy: "
            "of segments given to the object that they share most with; edges: share of true borders within 2 px of a "
            "segment's; s CPU: processor time per 1,024² px, with encoding\n",
            highlight=False,
            markup=False,
        )
    console.print(_table(result.lengths, HEADINGS, "objects"))


def _table(rows: list[Any], headings: dict[str, str], counted: str) -> Any:
    """Rows with a count and the columns of which something was measured."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("", min_width=24, overflow="fold")
    shown = [name for name in headings if not all(isnan(row.numbers[name]) for row in rows)]
    for heading in (counted, *(headings[name] for name in shown)):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(row.source, str(getattr(row, counted)), *(_number(row.numbers[name]) for name in shown))
    return table


def _number(value: float) -> str:
    """Three digits, or a dash where nothing was measured.

    Examples
    --------
    >>> _number(0.25), _number(float("nan"))
    ('0.250', '-')
    """
    return "-" if isnan(value) else f"{value:.3f}"
