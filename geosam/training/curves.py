"""The course of a run: a CSV with a row per report, and a picture of it."""

import csv
from pathlib import Path

from PIL import Image, ImageDraw

COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b")
WIDTH, HEIGHT, EDGE = 900, 420, 45

Rows = list[dict[str, float]]


def write_csv(path: Path, rows: Rows) -> None:
    """Write all rows; columns in the order in which they first appear."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)


def draw_curves(path: Path, rows: Rows, names: list[str], *, across: str = "minutes") -> None:
    """Draw the named columns, which lie between 0 and 1, against another one."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(picture)
    last = max((row[across] for row in rows), default=1.0) or 1.0
    for tenth in range(0, 11, 2):
        y = _place(0.0, tenth / 10)[1]
        pen.line([(EDGE, y), (WIDTH - EDGE, y)], fill="#dddddd")
        pen.text((8, y - 6), f"{tenth / 10:.1f}", fill="black")
    pen.text((WIDTH - 2 * EDGE, HEIGHT - 18), f"{last:.0f} {across}", fill="black")
    for index, name in enumerate(names):
        colour = COLOURS[index % len(COLOURS)]
        line = [_place(row[across] / last, row[name]) for row in rows if name in row and row[name] == row[name]]
        if len(line) > 1:
            pen.line(line, fill=colour, width=2)
        pen.text((EDGE + 10 + 140 * index, 8), name, fill=colour)
    picture.save(path)


def _place(x: float, y: float) -> tuple[float, float]:
    """Where a point of the unit square lies on the picture."""
    inner = (WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE)
    return EDGE + x * inner[0], HEIGHT - EDGE - min(max(y, 0.0), 1.0) * inner[1]
