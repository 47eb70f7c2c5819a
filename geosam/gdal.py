"""Options of GDAL for as long as they are wanted: they hold for the whole process, and threads share them."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyogrio

_lock = threading.Lock()
_wanted: Counter[str] = Counter()
_before: dict[str, Any] = {}


@contextmanager
def gdal_options(values: Mapping[str, str]) -> Iterator[None]:
    """Set options of GDAL; what they were before is put back when nobody wants them any longer, in whatever thread.

    Parameters
    ----------
    values
        By the options' names; for each name there is one value that anybody wants.

    Examples
    --------
    >>> with gdal_options({"GML_DOWNLOAD_SCHEMA": "NO"}):
    ...     pyogrio.get_gdal_config_option("GML_DOWNLOAD_SCHEMA")
    'NO'
    """
    with _lock:
        for name, value in values.items():
            if not _wanted[name]:
                _before[name] = pyogrio.get_gdal_config_option(name)
                pyogrio.set_gdal_config_options({name: value})
            _wanted[name] += 1
    try:
        yield
    finally:
        with _lock:
            for name in values:
                _wanted[name] -= 1
                if not _wanted[name]:
                    pyogrio.set_gdal_config_options({name: _before.pop(name)})
