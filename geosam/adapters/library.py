"""The `transformers` library: imported when it is needed, and kept from writing to the terminal."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from geosam.errors import ModelError

EXTRA = "transformers"
"""The extra that brings the library."""


def install(extra: str = EXTRA) -> str:
    """How an extra is installed.

    Examples
    --------
    >>> install()
    'pip install "geosam[transformers]"'
    """
    return f'pip install "geosam[{extra}]"'


def library(extra: str = EXTRA) -> Any:
    """Import the library; ``extra`` is the one that its user should install.

    Raises
    ------
    ModelError
        If it is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise _not_installed(error, extra) from error
    return transformers


def model_class(name: str, extra: str = EXTRA) -> Any:
    """Find a model's class by its name in the library, or by its path below it.

    Raises
    ------
    ModelError
        If the library is not installed, or too old to have it.
    """
    module, _, last = name.rpartition(".")
    try:
        found = importlib.import_module(f"transformers.{module}") if module else library(extra)
        kind = getattr(found, last, None)
    except ModuleNotFoundError as error:
        library(extra)
        raise ModelError(f"this `transformers` has no {last}", expected="a newer one", hint=install(extra)) from error
    if kind is None:
        raise ModelError(f"this `transformers` has no {last}", expected="a newer one", hint=install(extra))
    return kind


def is_installed() -> bool:
    """Whether the library is there, without importing it."""
    return importlib.util.find_spec("transformers") is not None


def hub(extra: str = EXTRA) -> Any:
    """Import what fetches files for the library, if the library itself is there to read them."""
    library(extra)  # weights that nothing can load need not be fetched
    import huggingface_hub

    return huggingface_hub


def _not_installed(error: ImportError, extra: str) -> ModelError:
    return ModelError(
        f"this model needs the library `transformers` ({first_line(error)})",
        expected="it to be installed",
        hint=install(extra),
    )


def first_line(error: Exception) -> str:
    """The first line of a message that says something."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the library from writing to the terminal, but for the progress of a download that somebody watches."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    words = library().utils.logging
    level, bars, hub_bars = words.get_verbosity(), words.is_progress_bar_enabled(), not are_progress_bars_disabled()
    words.set_verbosity_error()
    words.disable_progress_bar()
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        yield
    finally:
        words.set_verbosity(level)
        if bars:
            words.enable_progress_bar()
        if hub_bars:
            enable_progress_bars()
