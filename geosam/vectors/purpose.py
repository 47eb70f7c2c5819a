"""What features are read for: which error is raised, and how a user says more, where the user stands."""

from dataclasses import dataclass
from pathlib import Path

from geosam.display import shown
from geosam.errors import CatalogError, GeosamError, PromptError, SceneError


@dataclass(frozen=True)
class Purpose:
    """What a source of features is read for.

    Attributes
    ----------
    error
        The error that is raised.
    what
        The features, in words, as in "prompts".
    layer, crs
        How a user names a layer and a CRS, in Python and on the command line.
    together
        Whether the rows count together, so that one that cannot be used is an error, and not just left out.
    """

    error: type[GeosamError]
    what: str
    layer: str
    crs: str
    together: bool = False

    @classmethod
    def bare(cls, error: type[GeosamError], what: str, *, together: bool = False) -> "Purpose":
        """Features for which no command has an option that names a layer or a CRS.

        Examples
        --------
        >>> Purpose.bare(PromptError, "units").layer
        'after the path, as in "file.gpkg|layername=fields"'
        """
        return cls(
            error, what, 'after the path, as in "file.gpkg|layername=fields"', "save the file with its CRS", together
        )

    def unreadable(self, where: str | Path, reason: str) -> GeosamError:
        """The error for a file that cannot be read."""
        return self.error(
            f"{shown(str(where))!r} cannot be read ({' '.join(shown(reason).split())})",
            expected=f"a vector file with {self.what}",
        )


PROMPTS = Purpose(
    PromptError,
    "prompts",
    layer="layer=... (command line: --prompts-layer)",
    crs='crs="EPSG:..." (command line: --prompts-crs)',
)
AREA = Purpose(
    SceneError,
    "the area of interest",
    layer='after the path, as in "plots.gpkg|layername=fields"',
    crs='aoi_crs="EPSG:..." (command line: --aoi-crs)',
    together=True,
)
SCENES = Purpose.bare(CatalogError, "a row for each scene")
