"""What of the log reaches a user's terminal: what geosam says, and each warning of GDAL once."""

import logging
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
        return not known


class Line(logging.Formatter):
    """A record in one line, without secrets and without signs that a terminal would obey."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """The level, who says it, and what."""
        said = " ".join(record.message.split())
        if record.name == GDAL:
            return f"{record.levelname} GDAL: {shown(said.removeprefix('CPLE_AppDefined in '))}"
        return f"{record.levelname} {record.name}: {shown(said)}"


def log_handler(*, verbose: bool) -> logging.Handler:
    """The handler that shows the log on stderr.

    Examples
    --------
    >>> handler = log_handler(verbose=False)
    >>> record = logging.makeLogRecord({"name": GDAL, "levelname": "WARNING", "msg": "CPLE_AppDefined in a.tif: odd"})
    >>> handler.filter(record) and handler.format(record), bool(handler.filter(record))
    ('WARNING GDAL: a.tif: odd', False)
    """
    logging.captureWarnings(capture=True)
    handler = logging.StreamHandler()
    handler.addFilter(Said(verbose=verbose))
    handler.setFormatter(Line())
    return handler
