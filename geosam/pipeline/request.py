"""What a run is asked for, with every name and path resolved."""

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from shapely import to_wkb

from geosam import __version__
from geosam.display import shown
from geosam.errors import ModelError, OptionError
from geosam.models import load_model
from geosam.pipeline.limits import check_size
from geosam.pipeline.options import SegmentOptions
from geosam.pipeline.reading import read_words, suited
from geosam.prompts import Prompts
from geosam.recognition import Prompt
from geosam.scene import Scene, bounded_cache, open_scene
from geosam.segmenter import Segmenter, check_recipe

_log = logging.getLogger(__name__)

RASTERS = {".tif", ".tiff", ".vrt", ".jp2", ".png"}
"""Extensions of prompt files that hold masks, not features."""


@dataclass(frozen=True)
class Request:
    """A scene, a network, options, and the prompts or words if there are any, with who reads the words.

    Raises
    ------
    SceneError, PromptError, ModelError, OptionError
        If one of them cannot be used.
    """

    scene: Scene
    network: Segmenter
    options: SegmentOptions
    prompts: Prompts | None = None
    asked: tuple[Prompt, ...] = ()
    reader: Any = None

    @classmethod
    def of(
        cls, scene: Any, prompts: Any, *, model: Any, options: SegmentOptions | None, changes: Mapping[str, Any]
    ) -> "Request":
        """Open the scene, read the prompts, load the model and check the options; see `geosam.segment`."""
        chosen = changed(options or SegmentOptions(), changes)
        asked, reader = read_words(chosen, has_prompts=prompts is not None)
        opened = open_scene(scene)
        if asked and not isinstance(scene, Scene):
            opened = suited(opened, asked)
        for note in opened.notes:
            _log.warning("%s: %s", shown(opened.name), shown(note))
        network = to_network(model)
        check_recipe(network.recipe, network)
        check_size(opened, chosen, side=network.side, asks_everything=prompts is None)
        found = None if prompts is None else to_prompts(prompts, opened)
        return cls(opened, network, chosen, found, asked, reader)

    def read_by(self, reader: Any) -> "Request":
        """The same request with another reader of its words."""
        return replace(self, reader=reader)

    @property
    def m2_per_px(self) -> float:
        """Ground area of a pixel in m²; 1 for a scene without metres, whose areas are in pixels."""
        return self.scene.resolution_m**2 if np.isfinite(self.scene.resolution_m) else 1.0

    def bounded_cache(self) -> AbstractContextManager[None]:
        """Bound what GDAL keeps of the scene while its windows are read; see `geosam.scene.bounded_cache`."""
        return bounded_cache(self.scene, self.options.window or self.network.side)

    @property
    def metadata(self) -> dict[str, Any]:
        """What the output's metadata says of how it was made."""
        return {
            "geosam": __version__,
            "scene": self.scene.source,
            "fingerprint": self.scene.fingerprint,
            "bands": list(self.scene.bands),
            "stretch": self.scene.stretch.to_dict(),
            "resolution_m": self.scene.resolution_m if np.isfinite(self.scene.resolution_m) else None,
            "model": self.network.name,
            "model_key": self.network.key,
            "options": self.options.to_dict(),
            "prompts": None if self.prompts is None else len(self.prompts),
            **({"words": [each.word.word for each in self.asked], "reader": self.reader.key} if self.asked else {}),
        }

    @property
    def key(self) -> dict[str, Any]:
        """Everything that the result of a window depends on; a run with another key starts anew."""
        plan = self.options.plan(self.scene.shape, side=self.network.side)
        return {
            **self.metadata,
            "scene": self.scene.key,
            "windows": [plan.size, plan.overlap],
            "recipe": self.options.recipe(self.network).to_dict(),
            "prompts": None if self.prompts is None else digest(self.prompts),
        }


def changed(options: SegmentOptions, changes: Mapping[str, Any]) -> SegmentOptions:
    """The options with some fields changed by name."""
    names = [field.name for field in fields(SegmentOptions)]
    unknown = sorted(set(changes) - set(names))
    if unknown:
        raise OptionError(f"unknown option {', '.join(unknown)}", expected=f"any of {', '.join(names)}")
    return replace(options, **changes)


def to_network(model: Any, **how: Any) -> Segmenter:
    """The network itself, or the one that a name or a path stands for, loaded as `geosam.load_model` is told to.

    Raises
    ------
    ModelError
        If it is none.
    """
    if isinstance(model, str | PathLike):
        return load_model(model, **how)
    if not isinstance(model, Segmenter):
        hint = "derive a model of your own from it: `encode`, `decode` and `logits_shape` make one"
        raise ModelError(f"a {type(model).__name__} as model", expected="a name, a path or a Segmenter", hint=hint)
    return model


def to_prompts(prompts: Any, scene: Scene) -> Prompts:
    """Prompts from whatever names them: features, a file of features or masks, an array of masks."""
    if isinstance(prompts, Prompts):
        return prompts
    is_raster = isinstance(prompts, str | PathLike) and Path(fspath(prompts)).suffix.lower() in RASTERS
    if is_raster or isinstance(prompts, np.ndarray):
        return Prompts.from_masks(prompts, scene)
    return Prompts.from_features(prompts, scene)


def digest(prompts: Prompts) -> str:
    """Identity of the prompts' rows and geometry, 64 hex digits."""
    found = sha256()
    for prompt in prompts:
        found.update(repr((prompt.row, prompt.id)).encode())
        for array in (prompt.points_px, prompt.labels, prompt.box_px):
            found.update(b"-" if array is None else array.tobytes())
        found.update(b"-" if prompt.polygon_px is None else to_wkb(prompt.polygon_px))
    return found.hexdigest()
