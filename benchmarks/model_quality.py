"""Score a model on a labelled set and set it beside simple methods, source by source.

    python benchmarks/model_quality.py SET [--model nano] [--limit 0] [--objects 0] [--windows 2] [--hierarchy]
        [--write]

The scoring is `geosam.evaluation.evaluate`, as of ``geosam evaluate``. The simple methods' numbers are those that
``benchmarks/simple_methods.py`` has left in ``benchmarks/simple_methods.csv`` for the same objects; each is set beside
the model's answer to the same prompt: a box, one click, three clicks. ``--write`` puts the tables into
``benchmarks/model_quality.md``.
"""

import argparse
import csv
import math
import time
from pathlib import Path

from geosam.evaluation import Evaluation, SourceScore, evaluate
from geosam.execute import progress_bar

HERE = Path(__file__).parent
KEPT, PAGE = HERE / "simple_methods.csv", HERE / "model_quality.md"
BESIDE = {"box": ("box_itself", "grabcut"), "click": ("felzenszwalb", "slic"), "clicks3": ("forest",)}
"""Scores of a model, and the simple methods that get the same prompt."""

NAMES = {
    "box": "box",
    "click": "1 click",
    "clicks3": "3 clicks",
    "box_itself": "the box itself",
    "grabcut": "GrabCut",
    "felzenszwalb": "Felzenszwalb",
    "slic": "SLIC",
    "forest": "forest",
    "boundary": "outline F1",
    "recall50": "found at 0.5",
    "recall75": "found at 0.75",
    "nested50": "nested at 0.5",
    "nested75": "nested at 0.75",
    "calibration_error": "calibration error",
    "correlation": "correlation",
}
ENOUGH = 20
"""Objects from which a source is enough to compare on."""

TEXT = """# Model quality

`{command}`: {model} on `{folder}`, {objects} objects. Counted are objects of at least 256 pixels that the picture's
edge does not cut, on pictures from before a disaster, each looked at in a window of at most 1,024 pixels. IoU is the
mean over a source's objects; the last row is the mean over sources, each counted once. The prompt is the object's true
box, or a click at its deepest point; each further click is at the deepest point of the largest region that was wrong,
and corrects the answer before it.

## Beside simple methods

Each method stands beside the model's answer to the same prompt (`benchmarks/simple_methods.py` says how each was run).
The last column names the methods that are ahead of the model on a source, or says "none".

{beside}

Sources with at least {enough} objects: {sure}. The model is ahead of every simple method on {won} of them{lost}.

## Outlines, everything mode, calibration

Outline F1: of the answers to boxes, within 2 px. Found: share of objects that everything mode finds at that IoU, in at
most {windows} windows of each source, with its default options, which lay the ground out once as on a map; nested: with
`hierarchy`, which keeps wholes beside their parts. Calibration: of predicted and reached IoU over all
answers to prompts, the expected error (10 bins) and Pearson's correlation. A dash: not measured.

{rest}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data/dev"))
    parser.add_argument("--model", default="nano")
    parser.add_argument("--limit", type=int, default=0, help="pictures of each source; 0 for all")
    parser.add_argument("--objects", type=int, default=0, help="objects of each source; 0 for all")
    parser.add_argument("--sources", default="", help="comma-separated; all by default")
    parser.add_argument("--windows", type=int, default=2, help="windows of each source for everything mode; 0 for none")
    parser.add_argument("--hierarchy", action="store_true", help="score wholes beside parts as well; far longer")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    options = parser.parse_args()
    if not options.folder.is_dir():
        print(f"{options.folder} is not here: nothing is measured")
        return
    begin = time.monotonic()
    with progress_bar() as progress:
        result = evaluate(
            options.folder,
            model=options.model,
            sources=[name for name in options.sources.split(",") if name],
            limit=options.limit,
            objects=options.objects,
            everything=options.windows,
            hierarchy=options.hierarchy,
            progress=progress,
        )
    page = describe(result, options, read_kept())
    print(f"{page}\n{time.monotonic() - begin:.0f} s")
    if options.write:
        PAGE.write_text(page, encoding="utf-8")


def read_kept() -> dict[str, dict[str, float]]:
    """The simple methods' numbers by source."""
    if not KEPT.is_file():
        return {}
    with KEPT.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {row.pop("source"): {name: float(value) for name, value in row.items()} for row in rows}
    methods = [method for group in BESIDE.values() for method in group]
    found["mean over sources"] = {name: sum(row[name] for row in found.values()) / len(found) for name in methods}
    return found


def describe(result: Evaluation, options: argparse.Namespace, kept: dict[str, dict[str, float]]) -> str:
    """The whole page."""
    exact = [row for row in result.sources if not row.source.endswith("(boxes)")]
    columns = [name for score, methods in BESIDE.items() for name in (score, *methods)]
    ahead = {row.source: better(row, kept.get(row.source, {})) for row in (*exact, result.mean)}
    beside = [
        [row.source, str(row.objects), *(cell(row, name, kept) for name in columns), ahead[row.source] or "none"]
        for row in (*exact, result.mean)
    ]
    others = ("boundary", "recall50", "recall75", "nested50", "nested75", "calibration_error", "correlation")
    rest = [[row.source, *(cell(row, name, {}) for name in others)] for row in (*exact, result.mean)]
    sure = [row.source for row in exact if row.objects >= ENOUGH]
    lost = [f"{source} ({ahead[source]})" for source in sure if ahead[source]]
    return TEXT.format(
        command=f"python benchmarks/model_quality.py DATA/{result.set_name} --windows {options.windows}"
        f"{' --hierarchy' if options.hierarchy else ''}",
        model=result.model,
        folder=result.set_name,
        objects=result.mean.objects,
        beside=table(["source", "objects", *(NAMES[name] for name in columns), "ahead of the model"], beside),
        enough=ENOUGH,
        sure=len(sure),
        won=len(sure) - len(lost),
        lost=f", behind on {'; '.join(lost)}" if lost else "",
        windows=options.windows or "no",
        rest=table(["source", *(NAMES[name] for name in others)], rest),
    )


def better(row: SourceScore, simple: dict[str, float]) -> str:
    """The simple methods that do better than the model with the same prompt."""
    mine = row.numbers
    found = [name for score, methods in BESIDE.items() for name in methods if simple.get(name, 0) > mine[score]]
    return ", ".join(NAMES[name] for name in found)


def cell(row: SourceScore, name: str, kept: dict[str, dict[str, float]]) -> str:
    value = row.numbers[name] if name in row.numbers else kept.get(row.source, {}).get(name, math.nan)
    return "–" if math.isnan(value) else f"{value:.3f}"  # noqa: RUF001 - a dash


def table(headings: list[str], rows: list[list[str]]) -> str:
    """Rows as a table of Markdown."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (headings, ["---"] * len(headings), *rows)]
    lines[-1] = "| " + " | ".join(f"**{cell}**" for cell in rows[-1]) + " |"
    return "\n".join(lines)


if __name__ == "__main__":
    main()
