"""STAC items → catalog items: from files on disk, from an API, and the asset of each that is the scene."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import fspath
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urljoin, urlparse

import shapely

from geosam.catalog.items import Item, moment, safe_name
from geosam.catalog.selection import Selection
from geosam.errors import CatalogError, OptionError

_RASTER_TYPES = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff", "image/png", "image/jpeg")
_RASTER_ENDINGS = (".tif", ".tiff", ".jp2", ".vrt", ".img", ".png", ".jpg", ".jpeg")
_USUAL = ("visual", "image", "data")
_SIDE_ROLES = {"thumbnail", "overview", "metadata", "labels"}


def read_stac(path: str | Path, selection: Selection) -> Iterator[Item]:
    """Items of a STAC Item, ItemCollection, Catalog or Collection.

    Parameters
    ----------
    path
        The JSON file, local or remote; links are followed to all items below it.
    selection
        Says which asset is the scene.

    Raises
    ------
    CatalogError
        If the file, or one that it links to, is absent or no STAC.
    OptionError
        If an item's asset is to be named.
    """
    import pystac

    where = fspath(path)
    try:
        if _is_item_collection(where):
            found: Iterable[Any] = pystac.ItemCollection.from_file(where)
        else:
            known = pystac.read_file(where)
            found = [known] if isinstance(known, pystac.Item) else known.get_items(recursive=True)  # pyright: ignore[reportAttributeAccessIssue]  # a Catalog
        for item in found:
            yield item_from_dict(item.to_dict(transform_hrefs=False), selection, base=item.get_self_href() or where)
    except (CatalogError, OptionError):
        raise
    except Exception as error:  # pystac raises several kinds, whatever the JSON provokes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CatalogError(
            f"{where} cannot be read ({reason})", expected="a STAC Item, ItemCollection, Catalog or Collection"
        ) from error


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
        If pystac-client is not installed, or the API does not answer.
    """
    try:
        import pystac_client
    except ModuleNotFoundError as error:
        raise CatalogError(f"{url} needs pystac-client", hint="pip install 'geosam[stac]'") from error
    root, _, collection = url.partition("/collections/")
    asked: dict[str, Any] = {"datetime": selection.when, "bbox": bounds, "collections": None}
    asked["collections"] = [collection.strip("/")] if collection else None
    try:
        api = pystac_client.Client.open(root)
        methods = {link.extra_fields.get("method", "GET") for link in api.get_links("search")}
        found = api.search(**asked, max_items=None, method="POST" if "POST" in methods else "GET")
        for item in found.items_as_dicts():
            yield item_from_dict(item, selection, base=root)
    except (CatalogError, OptionError):
        raise
    except Exception as error:  # whatever the network or the server provokes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CatalogError(f"{url} does not answer as a STAC API ({reason})") from error


def item_from_dict(item: Mapping[str, Any], selection: Selection, *, base: str) -> Item:
    """A catalog item from the JSON of a STAC item.

    Parameters
    ----------
    item
        The JSON.
    selection
        Says which asset is the scene.
    base
        Where the item lies; what its assets' relative addresses count from.
    """
    properties, geometry = dict(item.get("properties") or {}), item.get("geometry")
    first, last = (properties.get(name) or properties.get("datetime") for name in ("start_datetime", "end_datetime"))
    begin, end = moment(first), moment(last)
    collection = f"{item['collection']}_" if item.get("collection") else ""
    return Item(
        safe_name(f"{collection}{item['id']}"),
        tuple(resolve(href, base) for href in choose_assets(item, selection)),
        when=(begin, end) if begin and end else None,
        footprint=shapely.geometry.shape(geometry) if geometry else None,
        properties=properties,
    )


def choose_assets(item: Mapping[str, Any], selection: Selection) -> list[str]:
    """Addresses of the assets that are asked for, else of the one that is the scene.

    An asset that the item lacks gives an address that says so when it is opened, so that one item without it does not
    stop the others.

    Raises
    ------
    OptionError
        If none is asked for, and several could be meant or none is a raster.
    """
    assets = {name: asset for name, asset in (item.get("assets") or {}).items() if asset}
    if selection.assets:
        return [assets[name]["href"] if name in assets else missing(item, name) for name in selection.assets]
    rasters = [name for name, asset in assets.items() if _is_raster(asset)]
    chosen = rasters if len(rasters) == 1 else [name for name in _USUAL if name in rasters][:1]
    if not chosen:
        raise OptionError(
            f"item {item.get('id')!r} with the rasters {', '.join(rasters) or 'none'}",
            expected="the asset that is the scene",
            hint="name it: asset=... (command line: --asset); three names with commas give three bands",
        )
    return [assets[chosen[0]]["href"]]


def missing(item: Mapping[str, Any], name: str) -> str:
    """An address that cannot be opened and says why."""
    return f"asset {name} of item {item.get('id')}"


def resolve(href: str, base: str) -> str:
    """An address as rasterio opens it: relative ones count from the item, ``file:`` becomes a path.

    Examples
    --------
    >>> resolve("./b4.tif", "/data/items/one.json"), resolve("b4.tif", "https://host/items/one.json")
    ('/data/items/b4.tif', 'https://host/items/b4.tif')
    """
    if href.startswith("asset "):
        return href
    if href.startswith("file:"):
        return unquote(urlparse(href).path)
    if "://" in href or href.startswith("/vsi") or Path(href).is_absolute():
        return href
    if "://" in base:
        return urljoin(base, href)
    return str((Path(base).absolute().parent / href).resolve())


def _is_item_collection(path: str) -> bool:
    import pystac

    if not ("://" in path or Path(path).is_file()):
        raise CatalogError(f"{path} does not exist", expected="a STAC file")
    return pystac.StacIO.default().read_json(path).get("type") == "FeatureCollection"


def _is_raster(asset: Mapping[str, Any]) -> bool:
    if _SIDE_ROLES & set(asset.get("roles") or ()):
        return False
    kind = (asset.get("type") or "").split(";")[0].strip().lower()
    ending = PurePosixPath(urlparse(asset["href"]).path).suffix.lower()
    return kind in _RASTER_TYPES or (not kind and ending in _RASTER_ENDINGS)
