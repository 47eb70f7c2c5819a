"""The manifest: a line for each attempt at a scene, appended by one process alone."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from geosam.catalog.folder import read_lines, to_line
from geosam.disks import reason
from geosam.errors import SinkError

DONE, FAILED, OUTSIDE = "done", "failed", "outside"
"""Status of a scene: its part is whole; it gave none, with a reason; the area of interest does not meet it."""


@dataclass(frozen=True)
class Row:
    """What became of a scene.

    Attributes
    ----------
    name, path
        Of the scene.
    key
        Changes with the scene, the model and the parameters.
    status
        ``done``, ``failed`` or ``outside`` (of the area of interest).
    reason
        Why it failed.
    objects, area_m2
        Polygons, and the sum of their areas.
    windows, empty, encoded, recalled, resumed
        As in `geosam.pipeline.Report`.
    skipped
        Prompts on the scene that gave no polygon.
    seconds
        From opening the scene to its part.
    attempts
        How often it was begun; more than once after a passing fault of input or output.
    crs
        Of the part.
    part, label
        Size and hash of the part and of the label raster, by which they are known again; see `digest_of`.
    footprint
        GeoJSON of the area with data, longitude and latitude; None without a CRS.
    worker, finished
        Who did it, and when (UTC).
    """

    name: str
    path: str
    key: str
    status: str
    reason: str = ""
    objects: int = 0
    area_m2: float = 0.0
    windows: int = 0
    empty: int = 0
    encoded: int = 0
    recalled: int = 0
    resumed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    attempts: int = 1
    crs: str | None = None
    part: str = ""
    label: str = ""
    footprint: dict[str, Any] | None = None
    worker: str = ""
    finished: str = ""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Row":
        """A row from a line of the manifest; columns of other versions are left out."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


_NEEDED = {"name", "path", "key", "status", "footprint"}


class Manifest:
    """The last row of each scene, without its footprint, kept in a file to which lines are only ever appended.

    Lines that are damaged, or of another file, count as not written: their scenes are done again.

    Parameters
    ----------
    path
        The file; made at the first row.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Manifest(Path(folder, "m.jsonl")).append(Row("a", "a.tif", "k1", FAILED, reason="no file"))
    ...     Manifest(Path(folder, "m.jsonl")).append(Row("a", "a.tif", "k1", DONE))
    ...     Manifest(Path(folder, "m.jsonl")).rows["a"].status
    'done'
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, Row] = {}
        for line in self._lines():
            row = Row.from_dict(line)
            self.rows[row.name] = replace(row, footprint=None)

    def footprints(self) -> dict[str, dict[str, Any] | None]:
        """GeoJSON of the scenes' footprints; read when asked for, since they are most of what a manifest holds."""
        return {line["name"]: line["footprint"] for line in self._lines()}

    def _lines(self) -> Iterator[dict[str, Any]]:
        return (line for line in read_lines(self.path) if line.keys() >= _NEEDED)

    def append(self, row: Row) -> None:
        """Write a row down for good; it takes the place of the scene's last one.

        Raises
        ------
        SinkError
            If the file cannot be written; it is then as it was before.
        """
        self.rows[row.name] = replace(row, footprint=None)
        data = to_line(asdict(row)).encode(errors="surrogatepass")
        try:
            with self.path.open("ab") as file:
                end = file.tell()
                try:
                    file.write(data if self._is_whole(end) else b"\n" + data)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    os.truncate(self.path, end)
                    raise
        except OSError as error:
            raise SinkError(
                f"{self.path} cannot be written ({reason(error)})",
                hint="make room; the same command goes on",
            ) from error

    def _is_whole(self, end: int) -> bool:
        """Whether the file ends with a line's end, as it does unless a process was killed while it wrote."""
        if end == 0:
            return True
        with self.path.open("rb") as file:
            file.seek(end - 1)
            return file.read(1) == b"\n"
