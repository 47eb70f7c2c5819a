"""Scores, object by object, and what they come to: per source, and the mean over sources."""

import csv
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from geosam.evaluation.measures import calibration_error, correlation
from geosam.sinks.places import check_path
from geosam.sinks.staging import named_errors, staged

NAN = float("nan")

MEAN = "mean over sources"


@dataclass(frozen=True)
class ObjectScore:
    """What one object got; NaN where it was not measured.

    Attributes
    ----------
    source, name
        Where it is from.
    exact
        Whether its mask is known; else all IoUs are those of boxes around the masks.
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
    """What a source comes to, or the mean over sources; the columns of the table.

    Attributes
    ----------
    source
        Its name; ``(boxes)`` behind it says that only boxes are known, and that it is not part of the mean.
    objects
        How many were asked for.
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
    """

    source: str
    objects: int
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

    @property
    def numbers(self) -> dict[str, float]:
        """The scores alone."""
        return {each.name: getattr(self, each.name) for each in fields(self)[2:]}


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
        means = {each.name: _mean(columns.get(each.name, [])) for each in fields(SourceScore)[2:]}
        return SourceScore(MEAN, sum(row.objects for row in rows), **means)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; None where nothing was measured."""
        rows = [asdict(row) for row in (*self.sources, self.mean)]
        plain = [{k: None if isinstance(v, float) and np.isnan(v) else v for k, v in row.items()} for row in rows]
        return {"model": self.model, "set": self.set_name, "sources": plain[:-1], "mean": plain[-1]}

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
                table.writerows([*content["sources"], content["mean"]])
        return target


def _summed(source: str, group: list[ObjectScore]) -> SourceScore:
    flat, nested = [score.everything for score in group], [score.nested for score in group]
    predicted, reached = (np.array(list(_answers(group, prefix))) for prefix in ("predicted_", ""))
    known = ~np.isnan(predicted) & ~np.isnan(reached)
    return SourceScore(
        source,
        len(group),
        *(_mean([getattr(score, name) for score in group]) for name in ("box", "click", "clicks3", "boundary")),
        recall50=_share(flat, 0.5),
        recall75=_share(flat, 0.75),
        nested50=_share(nested, 0.5),
        nested75=_share(nested, 0.75),
        calibration_error=calibration_error(predicted[known], reached[known]),
        correlation=correlation(predicted[known], reached[known]),
    )


def _answers(group: list[ObjectScore], prefix: str) -> Iterator[float]:
    for score in group:
        yield from (getattr(score, prefix + name) for name in ("box", "click", "clicks3"))


def _share(reached: list[float], least: float) -> float:
    """Tell how many of the known values reach a level."""
    return _mean([NAN if np.isnan(value) else float(value >= least) for value in reached])


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else NAN
