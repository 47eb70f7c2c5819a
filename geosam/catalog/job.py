"""What is asked of every scene of a catalog, as plain values that travel to other processes."""

import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from hashlib import sha256
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import shapely
import torch
from shapely.geometry.base import BaseGeometry

from geosam import __version__
from geosam.adapters import find_source
from geosam.catalog.footprints import to_lonlat
from geosam.change.options import CompareOptions
from geosam.display import shown
from geosam.errors import ModelError, OptionError
from geosam.landcover import LandcoverModel
from geosam.models import SPECS, load_model, weights_path
from geosam.models.downloads import hash_file
from geosam.pipeline import SegmentOptions
from geosam.pipeline.reading import read_words, suited
from geosam.pipeline.request import to_network
from geosam.prompts.source import AUTO
from geosam.sam.prepared.precision import quick_dtype
from geosam.scene import Scene, open_scene
from geosam.scene.area import load_area
from geosam.scene.reproject import as_shapes, parse_crs
from geosam.segmenter import Segmenter

MOST_PICKLED = 1 << 20
"""Bytes of the largest network that travels to workers; a real one goes as a name or a path."""


@dataclass(frozen=True)
class View:
    """How scenes are seen; see `geosam.open_scene`.

    Attributes
    ----------
    bands, resolution, stretch, nodata
        As for `geosam.open_scene`.
    aoi, aoi_crs
        Area of interest: scenes that do not meet it are left out, the others are cropped to it. A vector file, or
        geometries; longitude and latitude if nothing says what their CRS is.
    """

    bands: Any = None
    resolution: Any = None
    aoi: Any = None
    aoi_crs: Any = None
    stretch: Any = "auto"
    nodata: Any = None

    def resolved(self) -> "View":
        """The same view with the area of interest as one geometry and the text of its CRS."""
        if self.aoi is None:
            return self
        given = load_area(self.aoi, self.aoi_crs)
        crs = parse_crs(self.aoi_crs or getattr(given, "crs", None) or 4326)
        area = shapely.union_all(shapely.make_valid(as_shapes(given)))
        return View(self.bands, self.resolution, area, crs.to_wkt(), stretch=self.stretch, nodata=self.nodata)

    @property
    def area(self) -> BaseGeometry | None:
        """The area of interest of a resolved view in longitude and latitude."""
        if self.aoi is None:
            return None
        return to_lonlat(self.aoi, self.aoi_crs)

    def open(self, source: Any) -> Scene:
        """A scene as it is seen, before it is cropped to the area of interest."""
        seen = {"bands": self.bands, "resolution": self.resolution, "stretch": self.stretch, "nodata": self.nodata}
        return open_scene(source, **seen)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        plain["aoi"] = None if self.aoi is None else shapely.to_wkt(shapely.normalize(self.aoi), rounding_precision=-1)
        return {name: repr(value) for name, value in plain.items() if value is not None}


@dataclass(frozen=True)
class ModelSpec:
    """A model as a name or a path, from which each process loads its own.

    Attributes
    ----------
    source
        A name, the path of weights, or a small network such as the fakes of `geosam.testing`.
    key
        That of the network: changes with the weights and with the precision of the arithmetic.
    dtype
        That precision, as this machine chooses it. All processes use it, whatever their own machines would choose, so
        that a catalog is of one kind.
    """

    source: str | Segmenter
    key: str
    dtype: str = "auto"

    @classmethod
    def of(cls, model: Any) -> "ModelSpec":
        """The spec of a model.

        Raises
        ------
        ModelError
            If there is no such model, or it is a loaded network too large to travel.
        """
        if not isinstance(model, str | PathLike):
            if not _travels(model):
                raise ModelError(
                    "a loaded network",
                    expected="its name or the path of its weights",
                    hint="each process loads its own",
                )
            return cls(model, model.key)
        name = fspath(model)
        known = SPECS.get(name)
        if known is None and (other := find_source(name)):
            return cls(name if other.published else str(other.path), other.key, "float32")
        if known is None or not weights_path(known).is_file():
            network = load_model(name)  # fetches a published one, once for all processes; or says what is wrong
            source = name if known else str(Path(name).expanduser().absolute())
            return cls(source, network.key, _name_of(network.dtype))
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dtype = quick_dtype(device) if known.resamples else torch.float32
        key = f"{known.name}-{hash_file(weights_path(known))[:12]}"
        return cls(name, key if dtype == torch.float32 else f"{key}-{_name_of(dtype)}", _name_of(dtype))

    def load(self, device: str = "auto") -> Segmenter:
        """The network, on a device."""
        return to_network(self.source, device=device, dtype=self.dtype)


def _travels(model: Any) -> bool:
    """Whether a network is small enough to be sent to other processes, and can be."""
    try:
        return len(pickle.dumps(model)) <= MOST_PICKLED
    except Exception:  # whatever its parts raise, such as weights that were laid out for this machine
        return False


def _name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


@dataclass(frozen=True)
class PromptFile:
    """Prompts for all scenes, in a file that every process can read.

    Attributes
    ----------
    path
        A vector file in any CRS, or a raster of masks.
    layer, id_column, group_column, label_column, crs
        As for `geosam.Prompts.from_features`.
    digest
        Changes with the file.
    """

    path: str
    layer: str | None = None
    id_column: str | None = None
    group_column: str | None = None
    label_column: str | None = AUTO
    crs: Any = None
    digest: str = ""

    @property
    def how(self) -> dict[str, Any]:
        """What the features mean, as arguments of `geosam.Prompts.from_features`."""
        names = ("id_column", "group_column", "label_column", "crs")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, eq=False)
class LandcoverSpec:
    """Land-cover maps by a trained model.

    Attributes
    ----------
    trained
        What was learned elsewhere.
    mmu
        Minimum mapping unit in m².
    digest
        Changes with the trained model.
    """

    trained: LandcoverModel
    mmu: float
    digest: str

    @classmethod
    def of(cls, trained: LandcoverModel | str | PathLike[str], mmu: float | int = 0.0) -> "LandcoverSpec":
        """The spec of a trained model, or of the file of one.

        Raises
        ------
        LandcoverError
            If the model cannot be read.
        """
        learned = trained if isinstance(trained, LandcoverModel) else LandcoverModel.load(trained)
        return cls(learned, float(mmu), sha256(learned.to_bytes()).hexdigest()[:32])


@dataclass(frozen=True)
class Job:
    """What is done with every scene.

    Attributes
    ----------
    folder
        Of the run; every process sees it under this path.
    model, view, options, prompts
        What to look for, and how.
    labels
        Whether label rasters are written.
    encode
        Whether embeddings are made and nothing else.
    store
        Folder of embeddings, or None.
    retries
        How often a scene is begun again after a passing fault of input or output.
    split
        Windows above which a scene is shared out among processes; 0 for never.
    change
        How pairs of dates are compared; None where single scenes are worked on.
    landcover
        By what model land cover is mapped; None where it is not.
    """

    folder: Path
    model: ModelSpec
    view: View = field(default_factory=View)
    options: SegmentOptions = field(default_factory=SegmentOptions)
    prompts: PromptFile | None = None
    labels: bool = False
    encode: bool = False
    store: str | None = None
    retries: int = 2
    split: int = 0
    change: CompareOptions | None = None
    landcover: LandcoverSpec | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What a scene's result depends on, beside the scene."""
        return {
            "geosam": __version__,
            "model": self.model.key,
            "view": self.view.to_dict(),
            "options": self.options.to_dict(),
            "prompts": {**asdict(self.prompts), "path": shown(self.prompts.path)} if self.prompts else None,
            "task": self._task,
            **({"words": reader_key(self.options)} if self.options.text is not None else {}),
        }

    @property
    def _task(self) -> str:
        if self.landcover is not None:
            return f"landcover {self.landcover.digest} {self.landcover.mmu}"
        return "encode" if self.encode else "segment" if self.change is None else repr(self.change)

    def seen(self, scene: Scene) -> Scene:
        """A scene at the working pixel that suits the words, unless the view says which one."""
        if self.options.text is None or self.view.resolution is not None:
            return scene
        return suited(scene, read_words(self.options, has_prompts=False)[0])

    @property
    def digest(self) -> str:
        """Identity of `facts`, 32 hex digits."""
        return sha256(repr(self.facts).encode()).hexdigest()[:32]

    def key(self, identity: str) -> str:
        """The key of the result of a scene of that identity."""
        return sha256(f"{self.digest} {identity}".encode()).hexdigest()[:32]


def reader_key(options: SegmentOptions) -> str:
    """Identity of who reads the words: of the built-in reader all that it knows, of a larger model its name."""
    reader = read_words(options, has_prompts=False)[1] if options.text_model is None else None
    return str(options.text_model) if reader is None else reader.key


def with_words(options: SegmentOptions) -> SegmentOptions:
    """The options with what they name in words where every process finds it.

    Raises
    ------
    OptionError, ModelError
        If a word is not known, or the larger model is no name or path.
    """
    if options.text is None:
        return options
    if options.text_model is not None and not isinstance(options.text_model, str | PathLike):
        raise ModelError("a loaded text_model", expected="its name or path", hint="each process loads its own")
    found = replace(options, words=tuple(str(Path(file).expanduser().absolute()) for file in options.words))
    if options.text_model is None:
        read_words(found, has_prompts=False)
    return found


def check_words(options: SegmentOptions, prompts: Any) -> None:
    """Refuse words together with prompts, before any scene is read."""
    if prompts is not None:
        read_words(options, has_prompts=True)


def chosen(kind: type, given: Mapping[str, Any]) -> Any:
    """A value of a dataclass from those of the given names that are its fields."""
    return kind(**{each.name: given[each.name] for each in fields(kind) if each.name in given})


def check_names(given: Mapping[str, Any], *kinds: type) -> None:
    """Refuse a name that is no field of any of the dataclasses."""
    known = [each.name for kind in kinds for each in fields(kind)]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise OptionError(f"unknown option {', '.join(unknown)}", expected=f"any of {', '.join(known)}")
