"""What the commands say at their end."""

from pathlib import Path

from rich.console import Console

from geosam import display
from geosam.pipeline import Forecast, Report

SHOWN = 5
"""Skipped prompts that are named; the others are counted."""


def show_report(report: Report, console: Console) -> None:
    """Say what was found, what was skipped and why, and where the outputs are."""
    earlier = ", done before by a run that was killed at its end" if report.earlier else ""
    console.print(counted(report.objects, "object") + earlier)
    show_passes(report, console)
    for name, reason in report.skipped[:SHOWN]:
        console.print(display.shown(f"skipped prompt {name}: {reason}"), style="yellow", markup=False)
    if len(report.skipped) > SHOWN:
        console.print(f"… and {len(report.skipped) - SHOWN} more prompts skipped", style="yellow")
    for path in report.outputs:
        console.print(f"  {shown(path)}", highlight=False, markup=False)


def show_passes(report: Report, console: Console) -> None:
    """Say how many windows were encoded, how many needed no encoder, and how long it took."""
    named = {"encoded": "encoded", "recalled": "from the store", "resumed": "from an interrupted run"}
    passes = [f"{count} {words}" for name, words in named.items() if (count := getattr(report, name))]
    if report.empty:
        passes.append(f"{report.empty} without data")
    told = ": " + ", ".join(passes) if passes else ""
    console.print(f"{counted(report.windows, 'window')}{told}; {seconds(report.seconds)}")


def show_forecast(forecast: Forecast, console: Console) -> None:
    """Say what a run will cost."""
    h, w = forecast.shape
    empty = f", {forecast.empty} without data" if forecast.empty else ""
    console.print(f"{w} x {h} px; window {forecast.window}, overlap {forecast.overlap} or more")
    by_points = counted(forecast.points, "grid point") if forecast.points else "no grid points"
    asked = counted(forecast.prompts, "prompt") if forecast.prompts else by_points
    console.print(f"{counted(forecast.windows, 'window')}{empty}; {counted(forecast.passes, 'encoder pass')}, {asked}")
    console.print(f"about {seconds(forecast.seconds)} and {forecast.peak_bytes / 1e9:.1f} GB of memory on this machine")


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    Examples
    --------
    >>> counted(1, "window"), counted(0, "object"), counted(2, "encoder pass")
    ('1 window', '0 objects', '2 encoder passes')
    """
    plural = "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{plural * (number != 1)}"


def seconds(value: float | int) -> str:
    """A duration as people say it.

    Examples
    --------
    >>> seconds(4.21), seconds(75), seconds(8000)
    ('4.2 s', '1 min 15 s', '2 h 13 min')
    """
    if value < 60:
        return f"{value:.1f} s"
    if value < 3600:
        return f"{value // 60:.0f} min {value % 60:.0f} s"
    return f"{value // 3600:.0f} h {value % 3600 // 60:.0f} min"


def shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    here = Path.cwd()
    return display.shown(path.relative_to(here) if path.is_relative_to(here) else path)
