"""STAC items → catalog items: from files, from an API; those that are not sound are named, and stop no other."""

import re
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import fspath
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urljoin

from geosam.catalog.items import Item, safe_name
from geosam.catalog.selection import Selection
from geosam.catalog.soundness import check_kind, choose_assets, placed, properties_of, timed
from geosam.errors import CatalogError, GeosamError
from geosam.paths import check_regular, is_remote

PATIENCE_S = 60.0
"""Seconds in which a server has to answer."""

MOST_IDLE_PAGES = 100
"""Pages of an API, one after another, that bring no further item; beyond them it is taken to go in circles."""

_TOLD = "a STAC Item, ItemCollection, Catalog or Collection"
_FETCHED = re.compile(
    r"(?:https?|ftp|s3|gs|az|azure|abfss?|adl|oss|swift)://"
    r"|(?:/vsi(?:zip|tar|gzip|7z|rar)/?\{?(?=/vsi))*/vsi(?:(?:s3|gs|az|adls|oss|swift)(?:_streaming)?/"
    r"|curl(?:_streaming)?(?:/(?:https?|ftp)://|\?(?:[^&]*&)*url=https?(?:://|%3A%2F%2F)))",
    re.IGNORECASE,
)
"""Addresses of rasters that reach a network and no local file."""


def read_stac(path: str | Path, selection: Selection) -> Iterator[Item]:
    """Items of a STAC Item, ItemCollection, Catalog or Collection.

    Parameters
    ----------
    path
        The JSON file, local or remote; links are followed to all items below it, each once. One that cannot be followed
        is an item of its own, with its problem.
    selection
        Says which asset is the scene.

    Raises
    ------
    CatalogError
        If the file is absent or no STAC.
    """
    yield from _walk(fspath(path), _read(fspath(path)), selection)


def read_linked(where: str, selection: Selection) -> Iterator[Item]:
    """Items of what a link leads to, as `read_stac`; an item with its problem if it leads nowhere."""
    yield from _walk(where, _follow(where), selection)


def _walk(where: str, first: dict[str, Any] | Item, selection: Selection) -> Iterator[Item]:
    pending: list[str | Item] = [where]
    seen = {where}
    while pending:
        place = pending.pop()
        found = first if place == where else place if isinstance(place, Item) else _follow(place)
        if isinstance(found, Item):
            yield found
        elif found.get("type") == "FeatureCollection":
            yield from _items_in(found.get("features"), selection, str(place))
        elif found.get("type") == "Feature":
            yield item_from_dict(found, selection, base=str(place), name=_stem(str(place)))
        else:
            below = [link for link in _links(found, str(place)) if link not in seen]
            pending += reversed(dict.fromkeys(below))
            seen.update(link for link in below if isinstance(link, str))


def search_stac(url: str, selection: Selection, *, bounds: Sequence[float] | None = None) -> Iterator[Item]:
    """Items of a STAC API, narrowed by the server to the box and the time that are asked for.

    Parameters
    ----------
    url
        Address of the API, or of one of its collections (``…/collections/NAME``).
    selection
        Its interval is put to the server, its other conditions are for the caller.
    bounds
        ``west, south, east, north``, or None for everywhere.

    Raises
    ------
    CatalogError
        If pystac-client is not installed, or the API does not answer, or not to the last page: a list that lacks some
        scenes without a word would be worse than none.
    """
    try:
        import pystac_client
    except ModuleNotFoundError as error:
        raise CatalogError(f"{url} needs pystac-client", hint="pip install 'geosam[stac]'") from error
    root, _, collection = url.partition("/collections/")
    asked: dict[str, Any] = {"datetime": selection.when, "bbox": bounds, "collections": None}
    asked["collections"] = [collection.strip("/")] if collection else None
    count = 0
    try:
        api = pystac_client.Client.open(root, timeout=PATIENCE_S)
        methods = {link.extra_fields.get("method", "GET") for link in api.get_links("search")}
        found = api.search(**asked, max_items=None, method="POST" if "POST" in methods else "GET")
        for features in _new(found.pages_as_dicts()):
            for item in _items_in(features, selection, root):
                count += 1
                yield item
    except GeosamError:
        raise
    except Exception as error:  # whatever the network or the server provokes
        after = f" to its last page, only to item {count}" if count else ""
        hint = f"try again, or take what comes first (limit={count}; command line: --limit {count})" if count else ""
        raise CatalogError(f"{url} does not answer as a STAC API{after} ({_reason(error)})", hint=hint) from error


def _new(pages: Iterable[Any]) -> Iterator[list[Any]]:
    """What each page of an API brings beside what those before it brought."""
    seen: set[tuple[str, str]] = set()
    idle = 0
    for page in pages:
        named = {(str(each.get("collection")), str(each.get("id"))): each for each in page["features"]}
        fresh = [each for name, each in named.items() if name not in seen]
        idle = 0 if fresh else idle + 1
        if idle > MOST_IDLE_PAGES:
            raise ValueError("its pages go in circles")
        seen.update(named)
        yield fresh


def item_from_dict(item: Any, selection: Selection, *, base: str, name: str = "item") -> Item:
    """A catalog item from the JSON of a STAC item; with a problem, if it is not sound.

    Parameters
    ----------
    item
        The JSON.
    selection
        Says which asset is the scene.
    base
        Where the item lies; what its assets' relative addresses count from.
    name
        Of an item that has no id.
    """
    properties = properties_of(item)
    try:
        check_kind(item)
        collection = f"{item['collection']}_" if item.get("collection") else ""
        name = safe_name(f"{collection}{item['id']}")
        when = timed(item)
        footprint = placed(item)
        paths = tuple(resolve(href, base) for href in choose_assets(item, selection))
        return Item(name, paths, when, footprint, properties)
    except GeosamError as error:
        given = item.get("id") if isinstance(item, Mapping) else None
        return Item(safe_name(given if given and isinstance(given, str) else name), (), None, None, properties, error)


def resolve(href: Any, base: str) -> str:
    """An address as rasterio opens it: relative ones count from the item, ``file:`` becomes a path.

    The name of a local file may be written as in a URL, ``a%20b.tif``; a file that is called just so goes first.

    Raises
    ------
    CatalogError
        If it is none, or an item that came over a network names a local file.

    Examples
    --------
    >>> resolve("./b4.tif", "/data/items/one.json"), resolve("b4.tif", "https://host/items/one.json")
    ('/data/items/b4.tif', 'https://host/items/b4.tif')
    """
    if not isinstance(href, str) or not href.strip() or "\0" in unquote(href):
        raise CatalogError(f"the address {href!r}", expected="that of a file")
    if is_remote(base):
        address = href if href.startswith("/vsi") else urljoin(base, href)
        if not _FETCHED.match(address):
            hint = "if you trust it, download what lists the items and give its path"
            raise CatalogError(f"{href} in what lies at {base}", expected="an address behind a network", hint=hint)
        return address
    if href.lower().startswith("file:"):
        return unquote(re.sub(r"^file:(//(localhost)?(?=/))?", "", href, flags=re.IGNORECASE))
    if "://" in href or href.startswith("/vsi") or Path(href).is_absolute():
        return href
    folder = Path(base).absolute().parent
    written, meant = folder / href, folder / unquote(href)
    return str((meant if meant.exists() and not written.exists() else written).resolve())


def _items_in(features: Any, selection: Selection, place: str) -> Iterator[Item]:
    """The items of an ItemCollection, or of a page of one."""
    if not isinstance(features, list):
        raise CatalogError(f"{place} has {type(features).__name__} as features", expected="a list of STAC items")
    for number, feature in enumerate(features, 1):
        yield item_from_dict(feature, selection, base=place, name=f"item-{number}")


def _links(catalog: Mapping[str, Any], place: str) -> Iterator[str | Item]:
    """Where the links of a Catalog or Collection lead, down to items; an item with its problem for one that cannot."""
    links = catalog.get("links")
    if not isinstance(links, list):
        yield Item.broken(_stem(place), CatalogError(f"{place} has no list of links", expected=_TOLD))
        return
    for link in links:
        if isinstance(link, Mapping) and link.get("rel") in ("item", "child"):
            try:
                yield resolve(link.get("href"), place)
            except CatalogError as error:
                yield Item.broken(_stem(place), error)


def _follow(place: str) -> dict[str, Any] | Item:
    """What a link leads to; an item with its problem if it leads nowhere."""
    try:
        return _read(place)
    except CatalogError as error:
        return Item.broken(_stem(place), error)


def _stem(place: str) -> str:
    return PurePosixPath(place.partition("?")[0]).stem


def _read(place: str) -> dict[str, Any]:
    """The JSON of a STAC file."""
    import pystac

    try:
        if not is_remote(place):
            check_regular(place, CatalogError, "a STAC file")
        with _patience():
            found = pystac.StacIO.default().read_json(place)
        if not isinstance(found, Mapping) or not (found.get("type") in _KINDS or "links" in found):
            raise ValueError("no STAC")
    except CatalogError:
        raise
    except Exception as error:  # whatever the file, the network or what pystac makes of it provokes
        raise CatalogError(f"{place} cannot be read ({_reason(error)})", expected=_TOLD) from error
    return dict(found)


_KINDS = ("Feature", "FeatureCollection", "Catalog", "Collection")


@contextmanager
def _patience() -> Iterator[None]:
    """Wait for a server only so long; pystac itself would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(before or PATIENCE_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
