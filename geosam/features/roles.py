"""Which band is which: by the user's word, the band's description or its colour interpretation."""

from geosam.errors import OptionError
from geosam.scene import Scene

ROLES = ("coastal", "blue", "green", "red", "rededge", "nir", "swir1", "swir2")
"""What bands can be. Indices are computed of those that are known."""

_SENTINEL_2 = {
    "b01": "coastal",
    "b02": "blue",
    "b03": "green",
    "b04": "red",
    "b08": "nir",
    "b11": "swir1",
    "b12": "swir2",
}
_WORDS = {"near infrared": "nir", "near-infrared": "nir", "nir1": "nir", "red edge": "rededge", "swir": "swir1"}
_OTHER = ("", "-", "other")


def band_roles(scene: Scene, bands_as: str | None = None) -> dict[int, str]:
    """A name for each band that is measured: its role if that is known, else ``band_3``.

    Parameters
    ----------
    scene
        The scene; bands of alpha are left out.
    bands_as
        Roles in the order of the bands, with commas; ``-`` for a band that has none.

    Returns
    -------
    dict
        1-based number of each band → name.

    Raises
    ------
    OptionError
        If a role is not known or named twice, or there are more or fewer than bands.
    """
    info = scene.raster.info
    numbers = [number for number, colour in enumerate(info.colours, 1) if colour != "alpha"] or [1]
    if bands_as is not None:
        given = parse_roles(bands_as)
        if len(given) != len(numbers):
            raise OptionError(
                f"bands_as={bands_as!r} for a scene of {len(numbers)} bands",
                expected="a role for each of them, or - for a band without one",
            )
        return {number: role or f"band_{number}" for number, role in zip(numbers, given, strict=True)}
    found: dict[int, str] = {}
    for number in numbers:
        words = (info.descriptions[number - 1].strip().lower(), info.colours[number - 1].strip().lower())
        roles = [_SENTINEL_2.get(word) or _WORDS.get(word) or (word if word in ROLES else None) for word in words]
        role = next((role for role in roles if role), None)
        found[number] = role if role and role not in found.values() else f"band_{number}"
    return found


def parse_roles(text: str) -> tuple[str | None, ...]:
    """Roles as a user lists them.

    Raises
    ------
    OptionError
        If one is not known or named twice.

    Examples
    --------
    >>> parse_roles("blue, green, red, nir, -")
    ('blue', 'green', 'red', 'nir', None)
    """
    words = [word.strip().lower() for word in text.split(",")]
    roles = [None if word in _OTHER else _WORDS.get(word, word) for word in words]
    odd = next((role for role in roles if role is not None and role not in ROLES), None)
    if odd is not None:
        raise OptionError(f"bands_as={text!r} with {odd!r}", expected=f"some of {', '.join(ROLES)}, or -")
    named = [role for role in roles if role]
    if len(set(named)) < len(named):
        raise OptionError(f"bands_as={text!r}", expected="each role once")
    return tuple(roles)
