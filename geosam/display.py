"""Text as it may be shown and stored: without secrets, and without signs that a terminal would obey.

Addresses of scenes often hold what opens them (a signature, a token, a password), and names of files may hold anything
but a slash. Whatever geosam prints, logs or writes into a file goes through here first; errors do so by themselves.
"""

import re
from urllib.parse import quote, unquote

HIDDEN = "***"
"""What stands where a secret stood."""

OPEN = frozenset(
    {"asset", "assets", "band", "bands", "bbox", "collection", "collections", "crs", "datetime", "format", "height"}
    | {"id", "ids", "item", "items", "layer", "layers", "level", "limit", "page", "request", "resolution", "service"}
    | {"srs", "style", "styles", "tilematrix", "time", "url", "version", "width"}
)
"""Parameters of an address whose values are shown; those of all others may be secrets."""

_ADDRESS = re.compile(r"""(?:[A-Za-z][A-Za-z0-9+.\-]*://|/vsi[a-z0-9]+[/?])[^\s"'<>]*""")
_USER = re.compile(r"(?<=://)[^/?#\s]*@")
_ASSIGNED = re.compile(
    r"""\b(password|passwd|pwd|token|access_token|secret|api_?key|apikey|signature|sig|authorization)\s*[=:]\s*
    (?:(?:Bearer|Basic)\s+)?(?:'[^']*'|"[^"]*"|[^\s,;&"'<>)]+)""",
    re.IGNORECASE | re.VERBOSE,
)

_OBEYED = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufff9-\ufffb]"
)
"""Control characters, marks that turn the direction of text or have no width, and halves of characters."""


def without_secrets(text: str) -> str:
    """Text whose addresses hold no passwords, signatures or tokens.

    Of the parameters of an address only those in `OPEN` keep their values.

    Parameters
    ----------
    text
        An address, or any text that holds some.

    Examples
    --------
    >>> without_secrets("https://me:pw@host/a.tif?sig=5f%2B&layers=roads cannot be opened")
    'https://***@host/a.tif?sig=***&layers=roads cannot be opened'
    >>> without_secrets("/vsicurl?header.Authorization=Bearer%20x&url=https%3A%2F%2Fhost%2Fa.tif%3Fsig%3D5f")
    '/vsicurl?header.Authorization=***&url=https%3A%2F%2Fhost%2Fa.tif%3Fsig%3D***'
    """
    shown = _ADDRESS.sub(lambda found: _address(found[0]), text)
    return _ASSIGNED.sub(lambda found: f"{found[1]}={HIDDEN}", shown)


def printable(text: str) -> str:
    r"""Text in which every sign that a terminal would obey is spelled out.

    Examples
    --------
    >>> printable("a\x1b[31mred.tif"), printable("Zürich\u202e.tif")
    ('a\\x1b[31mred.tif', 'Zürich\\u202e.tif')
    """
    return _OBEYED.sub(lambda found: _spelled(found[0]), text)


def shown(value: object) -> str:
    """Anything as text that may be printed, logged and stored: `without_secrets` and `printable`."""
    return printable(without_secrets(str(value)))


def _address(address: str) -> str:
    path, mark, query = _USER.sub(f"{HIDDEN}@", address).partition("?")
    path, _, anchor = path.partition("#")
    query, _, fragment = query.partition("#")
    path, *inside = path.split(";")
    kept = ";".join([path, *map(_parameter, inside)])
    parts = re.split("([&;])", query)
    parts[::2] = map(_parameter, parts[::2])
    return f"{kept}{mark}{''.join(parts)}{f'#{HIDDEN}' if anchor or fragment else ''}"


def _parameter(part: str) -> str:
    """A parameter with its value, if it may be shown; an address as a value is treated as one."""
    name, mark, value = part.partition("=")
    if not mark:
        return part if part.lower() in OPEN or not part else HIDDEN
    if name.lower() not in OPEN:
        return f"{name}={HIDDEN}"
    inner = unquote(value)
    if not _ADDRESS.match(inner):
        return part
    cleaned = _address(inner)
    return f"{name}={cleaned if inner == value else quote(cleaned, safe='*')}"


def _spelled(sign: str) -> str:
    code = ord(sign)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
