"""Labelled sets: the pictures of a folder, and where their truth lies.

A folder with a ``manifest.csv`` says both by itself (columns ``file, labels, label_format``; beside it perhaps an
``objects.csv`` of boxes and ready clicks). In any other folder, at any depth, the truth of ``X.tif`` or ``X.png`` lies
beside it, as ``X_ids.png``, ``X_mask.png``, ``X.geojson``, ``X.gpkg``, ``X.csv`` of boxes, or in a COCO ``.json``.
"""

import csv
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from geosam.errors import OptionError

log = logging.getLogger(__name__)

MANIFEST, OBJECTS = "manifest.csv", "objects.csv"

PICTURES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2", ".vrt")
"""Extensions of pictures."""

ENDINGS = {
    "_ids.png": "ids",
    "_ids.tif": "ids",
    "_mask.png": "mask",
    "_mask.tif": "mask",
    ".geojson": "vector",
    ".gpkg": "vector",
    ".fgb": "vector",
    ".csv": "boxes",
}
"""What the truth beside ``X.tif`` may be called after its ``X``, the first that is there, and how it is read."""

FORMATS = {"geojson": "vector", "ids": "ids", "mask": "mask", "coco": "coco", "boxes_csv": "boxes"}
"""The words of a manifest for formats that give objects."""

AFTER = "_post_"
"""In the name of a picture from after a disaster, whose outlines are those from before: not scored."""

Row = dict[str, str]


@dataclass(frozen=True)
class LabelledPicture:
    """A picture and its truth.

    Attributes
    ----------
    file, labels
        Where they lie.
    label_format
        ``ids`` (an object a value), ``mask`` (an object a connected piece), ``vector``, ``coco`` or ``boxes``.
    source
        What it is counted under: the first folder of its path.
    name
        Its path within the set.
    objects
        Rows of an ``objects.csv``: boxes and clicks to ask with. None: they are found from the truth.
    """

    file: Path
    labels: Path
    label_format: str
    source: str
    name: str
    objects: tuple[Row, ...] | None = None


def list_pictures(folder: Path, *, sources: Iterable[str] = (), limit: int = 0) -> list[LabelledPicture]:
    """List the labelled pictures of a set, by source and name.

    Parameters
    ----------
    folder
        The set.
    sources
        Only these; none for all.
    limit
        At most so many of each source; 0 for all.

    Raises
    ------
    OptionError
        If the folder holds no labelled picture, or has no source of a name that was given.
    """
    if not folder.is_dir():
        raise OptionError(f"set {str(folder)!r}", expected="a folder of labelled pictures", hint="check the path")
    manifest = folder / MANIFEST
    listed = _from_manifest(folder) if manifest.is_file() else _from_neighbours(folder)
    found = sorted((each for each in listed if AFTER not in each.name), key=lambda each: (each.source, each.name))
    if not found:
        expected = f"pictures with truth beside them ({', '.join(ENDINGS)}, a COCO .json) or a {MANIFEST}"
        raise OptionError(f"no labelled picture in {str(folder)!r}", expected=expected)
    wanted, there = set(sources), {each.source for each in found}
    if wanted - there:
        raise OptionError(f"sources {sorted(wanted - there)}", expected=f"some of {', '.join(sorted(there))}")
    chosen, seen = [], Counter[str]()
    for each in found:
        if (not wanted or each.source in wanted) and (not limit or seen[each.source] < limit):
            seen[each.source] += 1
            chosen.append(each)
    return chosen


def _from_manifest(folder: Path) -> Iterator[LabelledPicture]:
    by_file: dict[str, list[Row]] = defaultdict(list)
    has_objects = (folder / OBJECTS).is_file()
    for row in read_table(folder / OBJECTS, "file", "xmin", "point_x") if has_objects else []:
        by_file[row["file"]].append(row)
    for row in read_table(folder / MANIFEST, "file", "labels", "label_format"):
        kind = FORMATS.get(row["label_format"])
        if kind is None:
            log.info("%s: no objects in labels of format %r", row["file"], row["label_format"])
            continue
        objects = tuple(by_file[row["file"]]) if has_objects else None
        if objects != ():
            yield LabelledPicture(
                folder / row["file"], folder / row["labels"], kind, _source(row["file"], folder), row["file"], objects
            )


def read_table(path: Path, *columns: str) -> list[Row]:
    """Read a CSV file whose rows have a value in each of some columns.

    Raises
    ------
    OptionError
        If it cannot be read, or has no such column, or a row is too short.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OptionError(f"{str(path)!r}: {error}", expected="a CSV file") from error
    absent = [name for name in columns if rows and name not in rows[0]]
    if absent:
        raise OptionError(f"{str(path)!r} has no column {', '.join(absent)}", expected=f"columns {', '.join(columns)}")
    short = next((number for number, row in enumerate(rows, start=2) if None in (row[name] for name in columns)), 0)
    if short:
        raise OptionError(f"{str(path)!r}, line {short}: too few values", expected=f"columns {', '.join(columns)}")
    return rows


def _from_neighbours(folder: Path) -> Iterator[LabelledPicture]:
    files = {path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")}
    truths = {path for path in files if any(path.name.endswith(end) for end in ENDINGS if end.startswith("_"))}
    listed = {picture: path for path in sorted(files) if path.suffix == ".json" for picture in _in_coco(path)}
    for file in sorted(files - truths):
        if file.suffix.lower() not in PICTURES:
            continue
        beside = ((file.with_name(file.stem + ending), kind) for ending, kind in ENDINGS.items())
        labels, kind = next(((path, kind) for path, kind in beside if path in files), (listed.get(file), "coco"))
        if labels is not None:
            name = file.relative_to(folder).as_posix()
            yield LabelledPicture(file, labels, kind, _source(name, folder), name)


def _in_coco(path: Path) -> list[Path]:
    """Pictures that a COCO file speaks of; none if it is another kind of JSON."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [path.parent / image["file_name"] for image in content["images"]] if content["annotations"] else []
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return []


def _source(name: str, folder: Path) -> str:
    return name.split("/", 1)[0] if "/" in name else folder.resolve().name
