"""Scores, object by object, and what they come to: per source, and the mean over sources."""

import csv
import json
import math
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from geosam.evaluation.ground import WindowScore
from geosam.evaluation.measures import calibration_error, correlation
from geosam.sinks.places import check_path
from geosam.sinks.staging import named_errors, staged

NAN = float("nan")

MEAN, POOLED = "mean over sources", "all objects"

LENGTHS_PX = (15, 30, 60, 120, 240)
"""Between these the classes of objects by length end."""

GROUND = ("covered", "accuracy", "edges", "seconds")
"""Scores of windows."""

DRAWS = 1000
"""Of a bootstrap."""


@dataclass(frozen=True)
class ObjectScore:
    """What one object got; NaN where it was not measured.

    Attributes
    ----------
    source, name
        Where it is from.
    exact
        Whether its mask is known; else all IoUs are those of boxes around the masks.
    length
        Longer side of its box in px.
    window
        What everything mode made of its window; None if that was not measured.
    box, click, clicks3
        IoU from its box, one click, three clicks.
    everything, nested
        Best IoU of any mask of everything mode: laid out without overlap, and with wholes beside their parts.
    boundary
        Boundary F1 of the answer to its box.
    predicted_box, predicted_click, predicted_clicks3
        The IoU that the model predicted for these answers.
    """

    source: str
    name: str
    exact: bool
    length: float = NAN
    window: WindowScore | None = None
    box: float = NAN
    click: float = NAN
    clicks3: float = NAN
    everything: float = NAN
    nested: float = NAN
    boundary: float = NAN
    predicted_box: float = NAN
    predicted_click: float = NAN
    predicted_clicks3: float = NAN


@dataclass(frozen=True)
class SourceScore:
    """What a source comes to, the mean over sources, or all objects together; the columns of the table.

    Attributes
    ----------
    source
        Its name; ``(boxes)`` behind it says that only boxes are known, and that it is not part of the mean.
    objects
        How many were asked for.
    windows
        In how many windows everything mode was measured.
    box, click, clicks3
        Mean IoU.
    boundary
        Mean boundary F1 of the answers to boxes.
    recall50, recall75
        Share of objects that everything mode finds with an IoU of at least 0.5, or 0.75.
    nested50, nested75
        The same with wholes beside their parts (`geosam.SegmentOptions.hierarchy`).
    calibration_error, correlation
        Of predicted and reached IoU, over all answers to prompts.
    low50, high50
        Between these `recall50` lies nine times out of ten if windows are drawn anew (bootstrap).
    covered, accuracy, edges, seconds
        Mean over windows, see `geosam.evaluation.ground.WindowScore`.
    """

    source: str
    objects: int
    windows: int
    box: float
    click: float
    clicks3: float
    boundary: float
    recall50: float
    recall75: float
    nested50: float
    nested75: float
    calibration_error: float
    correlation: float
    low50: float
    high50: float
    covered: float
    accuracy: float
    edges: float
    seconds: float

    @property
    def numbers(self) -> dict[str, float]:
        """The scores alone."""
        return {each.name: getattr(self, each.name) for each in SCORES}


SCORES = fields(SourceScore)[3:]
"""Fields of a `SourceScore` that are scores."""


@dataclass(frozen=True)
class Evaluation:
    """What a model reaches on a labelled set.

    Attributes
    ----------
    model
        The model's key.
    set_name
        The folder's name.
    scores
        Object by object.
    """

    model: str
    set_name: str
    scores: list[ObjectScore] = field(default_factory=list)

    @property
    def sources(self) -> list[SourceScore]:
        """The table's rows, by name; those of which only boxes are known last."""
        groups: dict[tuple[bool, str], list[ObjectScore]] = defaultdict(list)
        for score in self.scores:
            groups[not score.exact, score.source].append(score)
        return [
            _summed(f"{source} (boxes)" if boxes else source, group)
            for (boxes, source), group in sorted(groups.items(), key=lambda item: item[0])
        ]

    @property
    def mean(self) -> SourceScore:
        """The mean over the sources whose masks are known, each counted once."""
        exact = {score.source for score in self.scores if score.exact}
        rows = [row for row in self.sources if row.source in exact]
        columns = {name: [row.numbers[name] for row in rows] for name in (rows[0].numbers if rows else {})}
        means = {each.name: _mean(columns.get(each.name, [])) for each in SCORES}
        by_source = [[score for score in self.scores if score.exact and score.source == row.source] for row in rows]
        means["low50"], means["high50"] = interval50(by_source)
        return SourceScore(MEAN, sum(row.objects for row in rows), sum(row.windows for row in rows), **means)

    @property
    def pooled(self) -> SourceScore:
        """All objects whose masks are known, each counted once, whatever its source."""
        return _summed(POOLED, [score for score in self.scores if score.exact])

    @property
    def lengths(self) -> list[SourceScore]:
        """The same by the objects' length; classes without an object are left out."""
        exact = [score for score in self.scores if score.exact]
        rows = []
        for low, high in pairwise((0, *LENGTHS_PX, math.inf)):
            if some := [score for score in exact if low <= score.length < high]:
                between = f"below {high}" if not low else f"from {low}" if high == math.inf else f"{low} to {high}"
                rows.append(_summed(f"objects {between} px long", some))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Plain values; None where nothing was measured."""
        return {
            "model": self.model,
            "set": self.set_name,
            "sources": [_plain(row) for row in self.sources],
            "mean": _plain(self.mean),
            "pooled": _plain(self.pooled),
            "lengths": [_plain(row) for row in self.lengths],
        }

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the table as ``.json`` or ``.csv``; an existing file is replaced.

        Raises
        ------
        SinkError
            If it cannot be written, or has another extension.
        """
        target = check_path(path, (".json", ".csv"), overwrite=True)
        content = self.to_dict()
        with staged(target) as file, named_errors(target), file.open("w", newline="", encoding="utf-8") as out:
            if target.suffix == ".json":
                json.dump(content, out, indent=1)
            else:
                table = csv.DictWriter(out, [each.name for each in fields(SourceScore)])
                table.writeheader()
                table.writerows([*content["sources"], content["mean"], content["pooled"], *content["lengths"]])
        return target


def _plain(row: SourceScore) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in asdict(row).items()}


def _summed(source: str, group: list[ObjectScore]) -> SourceScore:
    windows = list(dict.fromkeys(score.window for score in group if score.window is not None))
    low50, high50 = interval50([group])
    flat, nested = [score.everything for score in group], [score.nested for score in group]
    predicted, reached = (np.array(list(_answers(group, prefix))) for prefix in ("predicted_", ""))
    known = ~np.isnan(predicted) & ~np.isnan(reached)
    return SourceScore(
        source,
        len(group),
        len(windows),
        *(_mean([getattr(score, name) for score in group]) for name in ("box", "click", "clicks3", "boundary")),
        recall50=_share(flat, 0.5),
        recall75=_share(flat, 0.75),
        nested50=_share(nested, 0.5),
        nested75=_share(nested, 0.75),
        calibration_error=calibration_error(predicted[known], reached[known]),
        correlation=correlation(predicted[known], reached[known]),
        low50=low50,
        high50=high50,
        **{name: _mean([getattr(each, name) for each in windows]) for name in GROUND},
    )


def interval50(groups: list[list[ObjectScore]]) -> tuple[float, float]:
    """5 % and 95 % of the mean over groups of the share of objects that everything mode finds, windows drawn anew.

    NaN where no group has two windows, so that nothing is known of how they differ.
    """
    rng, shares, several = np.random.default_rng(0), [], False
    for group in groups:
        by_window: dict[WindowScore, list[bool]] = defaultdict(list)
        for score in group:
            if score.window is not None and not np.isnan(score.everything):
                by_window[score.window].append(score.everything >= 0.5)
        if not by_window:
            continue
        several |= len(by_window) > 1
        found, count = (np.array([measure(each) for each in by_window.values()]) for measure in (sum, len))
        drawn = rng.integers(0, len(count), (DRAWS, len(count)))
        shares.append(found[drawn].sum(1) / count[drawn].sum(1))
    if not several:
        return NAN, NAN
    low, high = np.quantile(np.mean(shares, axis=0), [0.05, 0.95])
    return float(low), float(high)


def _answers(group: list[ObjectScore], prefix: str) -> Iterator[float]:
    for score in group:
        yield from (getattr(score, prefix + name) for name in ("box", "click", "clicks3"))


def _share(reached: list[float], least: float) -> float:
    """Tell how many of the known values reach a level."""
    return _mean([NAN if np.isnan(value) else float(value >= least) for value in reached])


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else NAN
