"""Land-cover maps of all scenes of a catalog, by a model that was trained on one of them or elsewhere."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from geosam import sinks
from geosam.catalog.execution import Execution, do_missing
from geosam.catalog.folder import check_apart, made, map_path
from geosam.catalog.job import Job, LandcoverSpec, ModelSpec, View
from geosam.catalog.sources import find_items
from geosam.catalog.tasks import Task
from geosam.errors import CatalogError, OptionError
from geosam.execute import Progress
from geosam.landcover import LandcoverModel
from geosam.landcover.outputs import area_table

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
    **where: Any,
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
    mmu
        Minimum mapping unit in m², as for `geosam.pipeline.landcover.map_landcover`.
    model
        Name of a network or path of a weights file; each process loads it once.
    store
        Folder of embeddings and features, ``"auto"`` for the one in the cache folder, None for none.
    progress
        Shows how far the run is.
    where
        ``workers, scheduler, threads, resources, retries`` of `geosam.catalog.Execution`. What is written is the same
        wherever the work is done.

    Returns
    -------
    LandcoverRun
        What was done. A scene that fails does not stop the others.

    Raises
    ------
    CatalogError
        If the source names no scenes.
    LandcoverError
        If the trained model cannot be read.
    OptionError, ModelError, SinkError
        If an option, a network or the folder cannot be used, or another run is at work in the folder.
    ClusterError
        If the workers or the scheduler are lost.
    """
    items = find_items(source)
    if not items:
        raise CatalogError(f"{source}", expected="at least one scene")
    check_apart(folder, items)
    if odd := sorted(set(where) - Execution.names()):
        raise OptionError(f"{odd[0]!r} over a catalog", expected=", ".join(sorted(Execution.names())))
    execution, asked = Execution(**where), LandcoverSpec.of(trained, mmu)
    run = LandcoverRun(made(folder))
    job = Job(
        run.folder,
        ModelSpec.of(model),
        (view or View()).resolved(),
        store=store if store in {None, "auto"} else str(Path(store).absolute()),
        retries=execution.retries,
        landcover=asked,
    )
    tasks = [Task(item, job.key(item.identity), item.identity) for item in items]
    shown = {"name": "landcover", "unit": "scenes", "progress": progress or Progress()}
    settled = do_missing(execution, job, tasks, path_of=map_path, **shown)
    run.earlier, run.done, run.failed = settled.earlier, settled.done, settled.failed
    if mapped := [task.name for task in tasks if task.name not in run.failed]:
        run.areas = _areas(run.folder, mapped, asked.trained)
        sinks.write_text(run.areas.to_csv(lineterminator="\n"), run.folder / AREAS)
    return run


def _areas(folder: Path, names: Sequence[str], trained: LandcoverModel) -> pd.DataFrame:
    """Areas of the classes in some maps, one below the other."""
    tables = (area_table(sinks.read_layer(map_path(folder, name)), trained.legend) for name in names)
    each = [table.reset_index().assign(scene=name) for name, table in zip(names, tables, strict=True)]
    return pd.concat(each, ignore_index=True).set_index(["scene", "class"])
