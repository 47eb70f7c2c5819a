"""The error tree: every error that geosam raises on purpose.

::

    GeosamError
    ├── OptionError      (ValueError)   an argument or a combination of arguments
    ├── SceneError       (ValueError)   a raster that cannot serve as a scene
    │   └── SceneReadError (OSError)    a scene whose pixels cannot be read
    ├── PromptError      (ValueError)   points, boxes, polygons or masks
    ├── ModelError       (ValueError)   a model that is not known or does not fit
    │   └── WeightsError (OSError)      a weights file: absent, damaged, of another model
    ├── StoreError       (OSError)      the embedding store
    ├── SinkError        (OSError)      an output that cannot be written
    ├── CatalogError     (ValueError)   a catalog without usable scenes, or a run folder that is none
    ├── LandcoverError   (ValueError)   legends, samples, references or areas that make no map of classes
    └── ClusterError     (OSError)      workers or a scheduler that cannot be reached

Every message says what was given, what was expected and what to do next, without secrets and without signs that a
terminal would obey.
"""

from geosam.display import shown


class GeosamError(Exception):
    """Root of all errors that geosam raises on purpose.

    Parameters
    ----------
    problem
        What was given or what happened, in one sentence without its full stop.
    expected
        What would have been right.
    hint
        What to do next.

    Examples
    --------
    >>> print(GeosamError("bands=(9,)", expected="bands between 1 and 4", hint="see `geosam plan SCENE`"))
    bands=(9,): expected bands between 1 and 4; see `geosam plan SCENE`
    """

    def __init__(self, problem: str, *, expected: str = "", hint: str = "") -> None:
        self.problem, self.expected, self.hint = map(shown, (problem, expected, hint))
        detail = "; ".join(part for part in (f"expected {self.expected}" if expected else "", self.hint) if part)
        super().__init__(f"{self.problem}: {detail}" if detail else self.problem)

    def __reduce__(self):
        """Rebuild the error with its keywords, so that it survives the way between processes."""
        return _rebuild, (type(self), self.problem, self.expected, self.hint)


def _rebuild(kind: type[GeosamError], problem: str, expected: str, hint: str) -> GeosamError:
    return kind(problem, expected=expected, hint=hint)


class OptionError(GeosamError, ValueError):
    """An argument, or a combination of arguments, that makes no sense."""


class SceneError(GeosamError, ValueError):
    """A raster that cannot serve as a scene."""


class SceneReadError(SceneError, OSError):
    """A scene whose pixels cannot be read, such as a damaged block in the middle of a file."""


class PromptError(GeosamError, ValueError):
    """Points, boxes, polygons or masks that cannot serve as prompts."""


class ModelError(GeosamError, ValueError):
    """A model that is not known, or does not fit what is asked of it."""


class WeightsError(ModelError, OSError):
    """A weights file that is absent, damaged or belongs to another model."""


class StoreError(GeosamError, OSError):
    """An embedding store that cannot be opened or written."""


class SinkError(GeosamError, OSError):
    """An output that cannot be written."""


class CatalogError(GeosamError, ValueError):
    """A source that names no usable scenes, or a folder that holds no finished run."""


class LandcoverError(GeosamError, ValueError):
    """A legend, samples, a reference or areas that cannot serve for a map of classes."""


class ClusterError(GeosamError, OSError):
    """Workers that cannot be started, or a scheduler that cannot be reached or was lost."""
