"""Which bands of a raster a network sees."""

from collections.abc import Sequence

from geosam.errors import OptionError
from geosam.scene.raster import RasterInfo

RGB = ("red", "green", "blue")
SHORT = {"rgb": RGB, "cir": ("nir", "red", "green"), "nrg": ("nir", "red", "green")}

MEANT = {"b02": "blue", "b03": "green", "b04": "red"}
"""What Sentinel-2 calls its bands; tags of colours often do not follow."""

BandsLike = str | int | Sequence[int | str]


def choose_bands(info: RasterInfo, bands: BandsLike | None = None) -> tuple[int, ...]:
    """One or three 1-based band numbers.

    Parameters
    ----------
    info
        The raster.
    bands
        Numbers or names, as a sequence or as text with commas: ``(4, 3, 2)``, ``"4,3,2"``, ``"nir,red,green"``,
        ``"rgb"``, ``1``. Names are descriptions or colour interpretations of bands. None: red, green and blue if the
        raster says which these are, else its first three bands, else its first; never the alpha band.

    Raises
    ------
    OptionError
        If a band does not exist, or their number is not one or three.
    """
    if bands is None:
        return _default(info)
    asked = _split(bands)
    chosen = tuple(_number(info, band) for band in asked)
    if len(chosen) not in (1, 3):
        raise OptionError(f"bands={bands!r}", expected="one band or three", hint=_choice(info))
    return chosen


def _default(info: RasterInfo) -> tuple[int, ...]:
    named = [_find(info, colour) for colour in RGB]
    found = tuple(band for band in named if band is not None)
    if len(found) == 3:
        return found
    colours = [band for band, colour in enumerate(info.colours, 1) if colour != "alpha"] or [1]
    return tuple(colours[:3] if len(colours) >= 3 else colours[:1])


def band_notes(info: RasterInfo, bands: tuple[int, ...]) -> tuple[str, ...]:
    """What is assumed where a raster does not say, or not in one voice, which bands are red, green and blue."""
    names = [info.descriptions[band - 1].strip() for band in bands]
    meant = [MEANT.get(name.lower()) for name in names]
    if (
        len(bands) == 3
        and bands == _default(info)
        and any(known not in (None, is_) for known, is_ in zip(meant, RGB, strict=True))
    ):
        return (
            f"its bands {', '.join(names)} are seen as red, green and blue, as their colour tags or their order say, "
            "and those names mean others: choose with bands= (--bands)",
        )
    seen = sum(colour != "alpha" for colour in info.colours)
    if len(bands) >= seen or bands != _default(info) or all(_find(info, colour) for colour in RGB):
        return ()
    which = "the first three are seen as red, green and blue" if len(bands) == 3 else "the first is seen as grey"
    return (f"of its {seen} bands, which do not say their colours, {which}: choose others with bands= (--bands)",)


def _split(bands: BandsLike) -> list[int | str]:
    if isinstance(bands, str):
        return list(SHORT.get(bands.strip().lower(), [part.strip() for part in bands.split(",")]))
    return [bands] if isinstance(bands, int) else list(bands)


def _number(info: RasterInfo, band: int | str) -> int:
    """The number of a band given by number or name."""
    if isinstance(band, str) and not band.lstrip("-").isdigit():
        found = _find(info, band)
        if found is None:
            raise OptionError(f"band {band!r}", expected="the name or number of a band", hint=_choice(info))
        return found
    if not 1 <= int(band) <= len(info.dtypes):
        raise OptionError(f"band {band}", expected=f"1 to {len(info.dtypes)}", hint=_choice(info))
    return int(band)


def _find(info: RasterInfo, name: str) -> int | None:
    """The first band whose description, else whose colour interpretation, is `name`."""
    name = name.strip().lower()
    for labels in (info.descriptions, info.colours):
        for number, label in enumerate(labels, 1):
            if label.strip().lower() == name:
                return number
    return None


def _choice(info: RasterInfo) -> str:
    """The bands of a raster as one line of help."""
    labels = [description or colour for description, colour in zip(info.descriptions, info.colours, strict=True)]
    return "it has " + ", ".join(f"{number} ({label})" for number, label in enumerate(labels, 1))
