"""Whatever names scenes → a list of items."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from glob import glob, has_magic
from itertools import islice
from os import PathLike, fspath
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import shapely
from affine import Affine
from shapely.geometry.base import BaseGeometry

from geosam.catalog.footprints import to_lonlat
from geosam.catalog.items import Item, safe_name, with_unique_names
from geosam.catalog.selection import Selection
from geosam.catalog.stac import item_from_dict, read_linked, read_stac, search_stac
from geosam.catalog.tables import items_from_table, read_table
from geosam.errors import CatalogError, SceneError
from geosam.paths import check_regular, is_address
from geosam.scene.dataset import RAISED, open_dataset
from geosam.scene.frame import Frame
from geosam.scene.place import place_of

RASTERS = (".tif", ".tiff", ".jp2", ".vrt", ".img")
"""Extensions of the files that are scenes in a folder; others can be named by a pattern, such as ``"photos/*.png"``."""

TABLES = (".gpkg", ".parquet", ".geoparquet", ".fgb", ".shp", ".geojson")
STAC_ROOTS = ("catalog.json", "collection.json")


def find_items(source: Any, selection: Selection | None = None, *, area: BaseGeometry | None = None) -> list[Item]:
    """The scenes that a source names, sorted by name.

    Parameters
    ----------
    source
        One of:

        - a folder, all of whose rasters are taken, also those in its folders; or that of a STAC catalog
        - a pattern such as ``"scenes/*.png"``, or a single raster
        - a STAC Item, ItemCollection, Catalog or Collection: a JSON file, or an object of pystac
        - the address of a STAC API, or of one of its collections (needs ``geosam[stac]``)
        - a vector file or GeoDataFrame with the path of a raster in each row, or stac-geoparquet
        - a list of paths
    selection
        Which of them are meant.
    area
        Longitude and latitude; scenes that do not meet it are left out.

    Raises
    ------
    CatalogError
        If the source cannot be read or gives no scene.
    OptionError
        If it has to be said which asset is meant.

    Examples
    --------
    >>> import tempfile
    >>> from geosam.testing import coordinate_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = [coordinate_scene(f"{folder}/{name}.tif", (8, 8)) for name in "ab"]
    ...     [item.name for item in find_items(folder)]
    ['a', 'b']
    """
    chosen = selection or Selection()
    found = (item for item in _read(source, chosen, area) if chosen.takes(item))
    if area is not None:
        found = (item for item in map(with_footprint, found) if _meets(item, area))
    items = with_unique_names(islice(found, chosen.limit))
    if not items:
        asked = " that meets the conditions" if chosen != Selection() or area is not None else ""
        raise CatalogError(f"no scene{asked} in {_told(source)}", expected="at least one")
    if (first := items[0].problem) and all(item.problem for item in items):
        more = f" (and {len(items) - 1} more that cannot be used)" if len(items) > 1 else ""
        raise type(first)(f"{first.problem}{more}", expected=first.expected, hint=first.hint)
    return items


def with_footprint(item: Item) -> Item:
    """The item with the footprint of its raster, if it has none; without where the raster cannot tell."""
    known = item.footprint is not None or not item.paths
    return item if known else replace(item, footprint=read_footprint(item.paths[0]))


def read_footprint(path: str) -> BaseGeometry | None:
    """Outline of a raster's grid in longitude and latitude, from its header; None if that cannot be told."""
    try:
        with open_dataset(path) as dataset:
            place, (h, w) = place_of(path, dataset), dataset.shape
    except (SceneError, *RAISED):
        return None
    frame = Frame((h, w), Affine.identity(), place.mapping, place.wkt)
    return to_lonlat(frame.to_world(shapely.box(0, 0, w, h))[0], place.wkt) if frame.on_earth else None


def _meets(item: Item, area: BaseGeometry) -> bool:
    """Whether an item meets an area; one whose place nobody knows is taken, and its run says why."""
    return item.footprint is None or bool(shapely.intersects(item.footprint, area))


def _read(source: Any, selection: Selection, area: BaseGeometry | None) -> Iterator[Item]:
    if isinstance(source, str | PathLike):
        return _read_path(fspath(source), selection, area)
    if isinstance(source, pd.DataFrame):
        return items_from_table(source, selection)
    if hasattr(source, "to_dict"):
        return _read_pystac(source, selection)
    if isinstance(source, Sequence) and all(isinstance(one, str | PathLike) for one in source):
        return items_from_paths([fspath(one) for one in source])
    if isinstance(source, Iterable):
        return _read_objects(source, selection)
    raise CatalogError(
        f"a {type(source).__name__} as a catalog", expected="a folder, a pattern, STAC, a table or a list of paths"
    )


def _read_path(path: str, selection: Selection, area: BaseGeometry | None) -> Iterator[Item]:
    if is_address(path):
        return _read_address(path, selection, area)
    place = Path(path)
    if has_magic(path) and not _exists(place):
        return items_from_paths(sorted(glob(path, recursive=True)), root=Path(re.split(r"[^/]*[*?[]", path)[0]))
    check_regular(place, CatalogError, "a folder, a pattern, a STAC file, a table or a raster")
    if place.is_dir():
        root = next((place / name for name in STAC_ROOTS if (place / name).is_file()), None)
        return read_stac(root, selection) if root else items_from_paths(_rasters_in(place), root=place)
    suffix = place.suffix.lower()
    if suffix == ".json" or (suffix == ".geojson" and _is_stac(place)):
        return read_stac(place, selection)
    return read_table(path, selection) if suffix in TABLES else items_from_paths([path])


def _read_address(path: str, selection: Selection, area: BaseGeometry | None) -> Iterator[Item]:
    suffix = PurePosixPath(re.split("[?#]", path)[0]).suffix.lower()
    if suffix == ".json":
        return read_stac(path, selection)
    if suffix in TABLES:
        return read_table(path, selection)
    if "://" not in path or suffix in RASTERS:
        return items_from_paths([path])
    return search_stac(path, selection, bounds=area.bounds if area is not None else None)


def _exists(place: Path) -> bool:
    try:
        return place.exists()
    except (OSError, ValueError):  # no name of a file
        return False


def items_from_paths(paths: Sequence[str], *, root: Path | None = None) -> Iterator[Item]:
    """An item for each path, named by the path below `root`."""
    for path in paths:
        if is_address(path):
            yield Item(safe_name(PurePosixPath(re.split("[?#]", path)[0]).stem), (path,))
            continue
        below = Path(path).relative_to(root) if root and Path(path).is_relative_to(root) else Path(Path(path).name)
        yield Item(safe_name(str(below.with_suffix(""))), (str(Path(path).absolute()),))


def _rasters_in(folder: Path) -> list[str]:
    """Rasters in a folder and its folders; hidden ones, which may be half-written, and those of a run are left out."""
    runs = {manifest.parent for manifest in folder.rglob("manifest.jsonl")}
    found = (path for path in folder.rglob("*") if path.suffix.lower() in RASTERS and path.is_file())
    seen = (path for path in found if runs.isdisjoint(path.parents))
    return sorted(str(path) for path in seen if not any(part[0] == "." for part in path.relative_to(folder).parts))


def _read_pystac(source: Any, selection: Selection) -> Iterator[Item]:
    """Items of a pystac Item, ItemCollection, Catalog or Collection in memory."""
    if hasattr(source, "get_item_links"):
        return _read_catalog(source, selection)
    return _read_objects([source] if hasattr(source, "assets") else source, selection)


def _read_catalog(catalog: Any, selection: Selection) -> Iterator[Item]:
    """Items below a Catalog of pystac; what is not in memory is read as `read_stac` does."""
    pending, seen = [catalog], set()
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        for link in [*node.get_item_links(), *node.get_child_links()]:
            if not link.is_resolved():
                yield from read_linked(link.absolute_href, selection)
            elif hasattr(link.target, "assets") and hasattr(link.target, "geometry"):
                yield from _read_objects([link.target], selection)
            else:
                pending.append(link.target)


def _read_objects(items: Iterable[Any], selection: Selection) -> Iterator[Item]:
    for item in items:
        if isinstance(item, Item):
            yield item
        else:
            base = item.get_self_href() or "item.json"
            yield item_from_dict(item.to_dict(transform_hrefs=False), selection, base=base)


def _is_stac(path: Path) -> bool:
    """Whether a GeoJSON file is a STAC Item or ItemCollection; its first few thousand characters tell."""
    try:
        with path.open(encoding="utf-8") as file:
            return '"stac_version"' in file.read(20_000)
    except (OSError, UnicodeDecodeError):
        return False


def _told(source: Any) -> str:
    return fspath(source) if isinstance(source, str | PathLike) else f"the {type(source).__name__}"
