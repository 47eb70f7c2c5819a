"""Fine-tuning: a model taught on a user's own footprints, and the score that says whether it helped.

=======  ==========================================================================
module   responsibility
=======  ==========================================================================
tiles    scenes cut into tiles that share no pixel; some are held out
lessons  what is asked about a tile, and the encoder's features of it, kept
loop     steps, looks at what is held out, the best weights, blended with the start
=======  ==========================================================================
"""

import json
import re
import tempfile
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from geosam import __version__
from geosam.display import printable
from geosam.errors import ModelError, OptionError
from geosam.execute import Progress
from geosam.models import write_sam
from geosam.pipeline.request import to_network
from geosam.sam.model import Predictor, Sam
from geosam.scene import Scene, open_scene
from geosam.sinks import input_files
from geosam.sinks.places import check_path
from geosam.sinks.staging import staged
from geosam.training.finetuning.loop import Course, Part, Score, learn, look
from geosam.training.finetuning.tiles import Tile, cut_tiles, hold_out

__all__ = ["METADATA_KEY", "Finetuned", "Score", "finetune"]

METADATA_KEY = "geosam_finetuning"
"""Entry of the weights' metadata that says how they were made, as JSON."""

SIDE = 512
"""Side of the largest tile in pixels, where the network takes any."""


@dataclass(frozen=True)
class Finetuned:
    """What came of fine-tuning.

    Attributes
    ----------
    path
        The weights; give it wherever a model is asked for.
    model
        Key of the model that it began from.
    trained_on, held_out
        Numbers of footprints.
    before, after
        Scores on the footprints that were held out.
    steps, best_step
        Steps taken, and after which the best weights were found; 0 if none were better than those at the start.
    """

    path: Path
    model: str
    trained_on: int
    held_out: int
    before: Score
    after: Score
    steps: int
    best_step: int


def finetune(
    scenes: Any,
    labels: Any,
    output: str | PathLike[str],
    *,
    model: Any = "nano",
    part: Part | None = None,
    layer: str | None = None,
    steps: int = 400,
    share: float = 0.2,
    seed: int = 0,
    progress: Progress | None = None,
) -> Finetuned:
    """Teach a model on footprints of one's own; minutes on a CPU for some hundred of them.

    The scenes are cut into square tiles that share no pixel. Some tiles are held out; on these the model is scored
    before, on the way and after. The best weights on the way count, those of the start included, and training stops
    when they stay the best for long. What was learned is blended with the start, so that little else is unlearned.
    Where the decoder learns, its predicted IoUs are brought in line with those reached; the sharpener learns its own.

    Parameters
    ----------
    scenes
        One scene or several: `Scene`, or whatever `geosam.open_scene` opens.
    labels
        Polygons of the objects, a vector file or a GeoDataFrame in any CRS; those on each scene are taken.
    output
        The weights, ``.safetensors``; its name without extension becomes the model's. An existing file is replaced.
    model
        What to begin from: name, path, or a `Predictor`.
    part
        What learns: ``"sharpener"`` (only what makes masks sharper), ``"decoder"`` (the image encoder stays, and is
        asked once for each view of a tile) or ``"all"``. None: the sharpener, where the model has one, else the
        decoder.
    layer
        Layer of a file of labels that has several.
    steps
        At most so many; each asks for eight footprints on one tile.
    share
        Share of the footprints that are held out, at least.
    seed
        Decides what is held out and what is asked when.
    progress
        Shows how far it is.

    Returns
    -------
    Finetuned
        The weights' path, and the scores before and after; both are also in the weights' metadata.

    Raises
    ------
    OptionError
        If too few footprints lie on the scenes, or an option makes no sense.
    SceneError, PromptError, ModelError, SinkError
        If a scene, the labels, the model or the output cannot be used.
    """
    if part not in (None, "sharpener", "decoder", "all") or not 0 < share < 1 or steps < 1:
        raise OptionError(
            f"part={part!r}, share={share}, steps={steps}",
            expected="'sharpener', 'decoder' or 'all', a share between 0 and 1, at least one step",
        )
    target = check_path(output, (".safetensors",), inputs=input_files(scenes, labels, model))
    predictor = to_network(model)
    if not isinstance(predictor, Predictor):
        raise ModelError(
            f"a {type(predictor).__name__}",
            expected="a model whose weights geosam trains itself",
            hint="nano, vit_b, vit_l, vit_h, or weights that were fine-tuned from one of them",
        )
    spec, several = predictor.sam.spec, isinstance(scenes, list | tuple)
    refines = predictor.capabilities.refines
    if part == "sharpener" and not refines:
        raise OptionError("part='sharpener' of a model without one", expected="'decoder' or 'all'")
    part = part or ("sharpener" if refines else "decoder")
    opened: list[Scene] = [open_scene(each) for each in (scenes if several else [scenes])]
    side = spec.side if spec.resamples else min(SIDE, spec.side)
    tiles = hold_out(cut_tiles(opened, labels, layer=layer, side=side, resamples=spec.resamples), share, seed)
    sam = predictor.copy_network()
    before = look(sam, tiles)
    with tempfile.TemporaryDirectory(prefix="geosam-") as folder:
        course = learn(sam, tiles, Path(folder), part=part, steps=steps, seed=seed, progress=progress or Progress())
    done = _result(target, predictor.key, tiles, course, before=before, after=look(sam, tiles))
    _write(sam, done, part)
    return done


def _result(target: Path, model: str, tiles: list[Tile], course: Course, *, before: Score, after: Score) -> Finetuned:
    trained, kept = (sum(len(tile.labels) for tile in tiles if tile.held_out == side) for side in (False, True))
    return Finetuned(target, model, trained, kept, before, after, course.history[-1][0], course.best_step)


def _write(sam: Sam, done: Finetuned, part: Part) -> None:
    """Write the weights, with what they are and how they were made inside."""
    base = sam.spec
    name = printable(re.sub(r"\s+", "_", done.path.stem))[:255]
    sam.spec = replace(
        base, name=name, url="", sha256="", bytes=0, source=f"{base.source}; fine-tuned on {done.trained_on} footprints"
    )
    facts = {key: value for key, value in asdict(done).items() if key != "path"}
    story = {**facts, "part": part, "geosam": __version__}
    with staged(done.path) as file:
        write_sam(sam, file, metadata={METADATA_KEY: json.dumps(story)})
