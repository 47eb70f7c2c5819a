"""xarray: ``array.geosam.segment()`` on a DataArray or a Dataset, also over time, numpy or dask backed.

``import geosam.accessor`` makes the accessor known; then::

    import rioxarray, geosam.accessor

    array = rioxarray.open_rasterio("scene.tif", chunks=1024)
    fields = array.geosam.segment(min_area=20)     # a GeoDataFrame
    labels = array.geosam.labels(min_area=20)      # a lazy DataArray of object ids

The variables of a Dataset are bands. Where there is a dimension of time, each of its steps is a scene of its own.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

from geosam.arrays import Labels
from geosam.catalog.job import ModelSpec, View, check_names, chosen
from geosam.embeddings import embed
from geosam.errors import OptionError
from geosam.instances import InstanceSet, WindowInstances, assemble_core, flatten, stitch
from geosam.masks import segment_everything
from geosam.pipeline import Report, SegmentOptions, encode, segment
from geosam.pipeline.everything import within_limits
from geosam.pipeline.request import Request
from geosam.scene import Scene
from geosam.scene.array import SPATIAL
from geosam.windows import WindowPlan

TIMES = ("time", "t", "date")
"""Names of a dimension whose steps are scenes of their own."""


@xarray.register_dataarray_accessor("geosam")
@xarray.register_dataset_accessor("geosam")
class GeosamAccessor:
    """What geosam does with an array; options are fields of `geosam.SegmentOptions` and `geosam.catalog.View`.

    Parameters
    ----------
    array
        Two spatial dimensions, and at most bands and a time beside them.

    Examples
    --------
    >>> import tempfile, rioxarray
    >>> from geosam.testing import TruthNetwork, blob_labels, label_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = label_scene(f"{folder}/scene.tif", blob_labels((96, 96), count=4, large=0))
    ...     array = rioxarray.open_rasterio(path).load()
    >>> found = array.geosam.segment(model=TruthNetwork(side=96), spacing_px=8)
    >>> labels = array.geosam.labels(model=TruthNetwork(side=96), spacing_px=8)
    >>> int(labels.max()) == len(found) > 0
    True
    """

    def __init__(self, array: Any) -> None:
        self._array = array

    def scene(self, **view: Any) -> Scene:
        """The array as a scene.

        Parameters
        ----------
        view
            As for `geosam.open_scene`.

        Raises
        ------
        SceneError
            If its dimensions are not those of an image.
        """
        check_names(view, View)
        return open_array(self._array, chosen(View, view))

    def segment(
        self, prompts: Any = None, *, model: Any = "nano", store: Any = None, **options: Any
    ) -> gpd.GeoDataFrame:
        """Polygons of every object, or of those that prompts point at; see `geosam.segment`.

        Over time the column ``time`` says in which step an object was found.
        """
        check_names(options, View, SegmentOptions)
        view, how = chosen(View, options), chosen(SegmentOptions, options)
        tables = []
        for when, step in self._steps():
            found = segment(open_array(step, view), prompts, model=model, options=how, store=store)
            if when is not None:
                found.insert(2, "time", pd.Series([when] * len(found), dtype="datetime64[ns]"))
            tables.append(found)
        if len(tables) == 1:
            return tables[0]
        full = [table for table in tables if len(table)] or tables[:1]
        return gpd.GeoDataFrame(pd.concat(full, ignore_index=True), geometry="geometry", crs=tables[0].crs)

    def prompt(self, prompts: Any, *, model: Any = "nano", store: Any = None, **options: Any) -> gpd.GeoDataFrame:
        """One polygon for each prompt; see `segment`.

        Raises
        ------
        OptionError
            If there are no prompts.
        """
        if prompts is None:
            raise OptionError("no prompts", expected="features, masks or Prompts", hint="segment() finds every object")
        return self.segment(prompts, model=model, store=store, **options)

    def encode(self, *, model: Any = "nano", store: Any = "auto", **options: Any) -> list[Report]:
        """Fill a store with the embeddings of all windows; see `geosam.encode`. A report for each step of time."""
        check_names(options, View, SegmentOptions)
        view, how = chosen(View, options), chosen(SegmentOptions, options)
        return [encode(open_array(step, view), model=model, options=how, store=store) for _, step in self._steps()]

    def labels(self, *, model: Any = "nano", **options: Any) -> xarray.DataArray:
        """Object ids of every pixel, int32, 0 for none; no window is segmented before they are asked for.

        The array is chunked by the cores of the windows that `geosam.segment` would use, and holds the same ids. All
        windows are segmented before the first pixel is known, since an object may reach through all of them. The array
        itself is read once at the beginning, for its stretch and its identity.

        Needs dask (``geosam[dask]``).
        """
        check_names(options, View, SegmentOptions)
        view, how = chosen(View, options), chosen(SegmentOptions, options)
        spec = ModelSpec.of(model)
        steps = [(when, lazy_labels(LazyScene(step, view, spec, options=how), step)) for when, step in self._steps()]
        if len(steps) == 1 and steps[0][0] is None:
            return steps[0][1]
        times = pd.Index([when for when, _ in steps], name=self._time)
        return xarray.concat([one for _, one in steps], dim=times)

    @property
    def _time(self) -> str | None:
        return next((name for name in TIMES if name in self._array.dims), None)

    def _steps(self) -> Iterator[tuple[Any, Any]]:
        """Each moment with its array; None with the whole where there is no time."""
        if self._time is None:
            yield None, self._array
            return
        for number in range(self._array.sizes[self._time]):
            step = self._array.isel({self._time: number})
            yield pd.Timestamp(step[self._time].values) if self._time in step.coords else pd.Timestamp(number), step


def open_array(array: Any, view: View) -> Scene:
    """An array as a scene in a view."""
    resolved = view.resolved()
    scene = resolved.open(array)
    return scene if resolved.aoi is None else scene.within(resolved.aoi, resolved.aoi_crs)


class LazyScene:
    """A scene that is opened, and a model that is loaded, where they are needed first."""

    def __init__(self, array: Any, view: View, spec: ModelSpec, *, options: SegmentOptions) -> None:
        self.array, self.view, self.spec, self.options = array, view, spec, options
        self._request: Request | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_request": None}

    @property
    def request(self) -> Request:
        """The scene, the model and the options, resolved."""
        if self._request is None:
            scene = open_array(self.array, self.view)
            self._request = Request.of(scene, None, model=self.spec.load(), options=self.options, changes={})
        return self._request

    @property
    def plan(self) -> WindowPlan:
        """The windows."""
        return self.options.plan(self.request.scene.shape, side=self.request.network.side)

    def see(self, index: int) -> WindowInstances | None:
        """The instances of a window, None where it has no data."""
        scene, network = self.request.scene, self.request.network
        window = self.plan[index].window
        if not scene.has_data(window):
            return None
        chip = scene.read(window)
        masks = segment_everything(embed(chip, network), network, chip.valid, self.options.recipe(network))
        return flatten(masks, index)

    def stitch(self, seen: list[WindowInstances | None]) -> InstanceSet:
        """The objects of all windows that are of the size that was asked for."""
        return within_limits(self.request, self.plan, stitch(self.plan, seen.__getitem__), seen.__getitem__)

    def paint(self, index: int, instances: InstanceSet, seen: dict[int, WindowInstances | None]) -> Labels:
        """Object ids in the core of a window."""
        return assemble_core(self.plan, instances, seen.__getitem__, index)


def lazy_labels(lazy: LazyScene, array: Any) -> xarray.DataArray:
    """The label array of a scene: a task for each window, one that stitches, and one for each core."""
    import dask.array
    from dask.delayed import delayed

    geobox, plan = lazy.request.scene.geobox, lazy.plan
    rows, cols = plan.grid
    see, join, paint = (delayed(task, pure=False) for task in (lazy.see, lazy.stitch, lazy.paint))
    seen = [see(index) for index in range(len(plan))]
    instances = join(seen)

    def core(index: int) -> Any:
        area = plan[index].core
        block = paint(index, instances, {planned.index: seen[planned.index] for planned in plan.meeting(area)})
        return dask.array.from_delayed(block, (area.height, area.width), np.int32)

    blocks = [[core(row * cols + col) for col in range(cols)] for row in range(rows)]
    coords, dims = _coordinates(geobox, array)
    return xarray.DataArray(dask.array.block(blocks), coords, dims, name="labels", attrs={"nodata": 0})


def _coordinates(geobox: Any, array: Any) -> tuple[dict[Any, Any], tuple[str, str]]:
    """Coordinates and dimensions of the labels: those of the working grid, by the names that the array uses."""
    own = next((pair for pair in SPATIAL if set(pair) <= set(array.dims)), ("y", "x"))
    if not isinstance(geobox, GeoBox):
        return {}, own
    coords = xr_coords(geobox, dims=own)
    return {name: coords[name] for name in chain(own, ("spatial_ref",)) if name in coords}, own
