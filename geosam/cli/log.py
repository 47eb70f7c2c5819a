"""What of the log reaches a user's terminal: what geosam says, and each warning of GDAL once."""

import logging
import os
import re

from geosam.display import shown

GDAL, WARNED = "rasterio._env", "py.warnings"
"""Loggers of what GDAL warns of, by rasterio, and by Python's warnings."""

_PYOGRIO = re.compile(r"[\\/]pyogrio[\\/][^:]+:\d+: RuntimeWarning: ([^\n]*)")


class Said(logging.Filter):
    """Lets through what a user can make something of; with ``verbose`` everything.

    Errors of GDAL are said by geosam's own, and other libraries talk about themselves. What prompts were skipped is in
    the report at the end.
    """

    def __init__(self, *, verbose: bool) -> None:
        super().__init__()
        self.verbose, self.seen = verbose, set[str]()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is shown."""
        if self.verbose:
            return True
        if record.name == WARNED and (found := _PYOGRIO.search(record.getMessage())):
            record.name, record.msg, record.args = GDAL, found[1], ()
        if record.name != GDAL:
            return record.name.partition(".")[0] == "geosam" and record.name != "geosam.prompts"
        message = record.getMessage()
        known = message in self.seen
        self.seen.add(message)
        return not known and record.levelno == logging.WARNING


class Line(logging.Formatter):
    """A record in one line, without secrets and without signs that a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        """The level, who says it, and what; a trace only with ``GEOSAM_DEBUG``."""
        who, said = record.name, " ".join(record.getMessage().split())
        if record.name == GDAL:
            who, said = "GDAL", said.removeprefix("CPLE_AppDefined in ")
        line = f"{record.levelname} {who}: {shown(said)}"
        if record.exc_info and os.environ.get("GEOSAM_DEBUG"):
            return f"{line}\n{self.formatException(record.exc_info)}"
        return line


def log_handler(*, verbose: bool) -> logging.Handler:
    """The handler that shows the log on stderr.

    Examples
    --------
    >>> handler = log_handler(verbose=False)
    >>> record = logging.LogRecord(GDAL, logging.WARNING, "", 1, "CPLE_AppDefined in a.tif: odd", None, None)
    >>> handler.filter(record) and handler.format(record), bool(handler.filter(record))
    ('WARNING GDAL: a.tif: odd', False)
    """
    handler = logging.StreamHandler()
    handler.addFilter(Said(verbose=verbose))
    handler.setFormatter(Line())
    return handler
