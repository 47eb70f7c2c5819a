"""Land-cover maps of all scenes of a catalog, by a model that was trained on one of them or elsewhere."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from geosam import sinks
from geosam.catalog.folder import check_apart, key_of, made
from geosam.catalog.items import Item
from geosam.catalog.job import View
from geosam.catalog.sources import find_items
from geosam.catalog.stack import open_item
from geosam.errors import CatalogError, GeosamError
from geosam.execute import Progress
from geosam.landcover import LandcoverModel
from geosam.landcover.outputs import area_table
from geosam.pipeline.landcover import LandcoverFiles, map_landcover

AREAS = "areas.csv"


@dataclass
class LandcoverRun:
    """What became of the scenes.

    Attributes
    ----------
    done, earlier
        Maps that were made now, and before.
    failed
        Name of each scene that could not be mapped → why.
    areas
        Area of each class in each scene that has a map.
    folder
        Where the maps lie: ``NAME.gpkg`` for each scene, and ``areas.csv``.
    """

    folder: Path
    done: list[str] = field(default_factory=list)
    earlier: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    areas: pd.DataFrame = field(default_factory=pd.DataFrame)


def landcover_catalog(
    source: Any,
    folder: str | os.PathLike[str],
    trained: LandcoverModel | str | os.PathLike[str],
    *,
    view: View | None = None,
    mmu: float | int = 0.0,
    model: Any = "nano",
    store: Any = None,
    progress: Progress | None = None,
) -> LandcoverRun:
    """Make a land-cover map of every scene; the same call again does what is missing.

    Parameters
    ----------
    source
        Whatever names scenes, as for `find_items`.
    folder
        Where the maps are written; it is made if it is not there.
    trained
        A model, or the file of one.
    view
        How scenes are seen.
    mmu, model, store, progress
        As for `geosam.pipeline.landcover.map_landcover`.

    Returns
    -------
    LandcoverRun
        What was done. A scene that fails does not stop the others.

    Raises
    ------
    CatalogError
        If the source names no scenes.
    LandcoverError
        If the model cannot be read.
    SinkError
        If the folder cannot be written.
    """
    items = find_items(source)
    if not items:
        raise CatalogError(f"{source}", expected="at least one scene")
    check_apart(folder, items)
    seen = (view or View()).resolved()
    learned = trained if isinstance(trained, LandcoverModel) else LandcoverModel.load(trained)
    run = LandcoverRun(made(folder))
    what = hashlib.sha256(learned.to_bytes() + json.dumps([seen.to_dict(), float(mmu)]).encode()).hexdigest()
    tables: list[pd.DataFrame] = []
    how = {"trained": learned, "mmu": mmu, "model": model, "store": store}
    for item in (progress or Progress()).track(items, "landcover", total=len(items)):
        target = run.folder / f"{item.name}.gpkg"
        key = hashlib.sha256(f"{what} {item.identity}".encode()).hexdigest()[:32]
        try:
            if key_of(target) == key:
                run.earlier.append(item.name)
                areas = area_table(sinks.read_layer(target), learned.legend)
            else:
                areas = _mapped(item, LandcoverFiles(target, overwrite=True, metadata={"key": key}), seen, how)
                run.done.append(item.name)
        except GeosamError as error:
            run.failed[item.name] = str(error)
            continue
        tables.append(areas.reset_index().assign(scene=item.name))
    if tables:
        run.areas = pd.concat(tables, ignore_index=True).set_index(["scene", "class"])
        sinks.write_text(run.areas.to_csv(lineterminator="\n"), run.folder / AREAS)
    return run


def _mapped(item: Item, files: LandcoverFiles, view: View, how: dict[str, Any]) -> pd.DataFrame:
    """Map one scene; its areas."""
    scene = open_item(item, view, Path(files.output).parent)
    return map_landcover(scene, files, **how).areas
