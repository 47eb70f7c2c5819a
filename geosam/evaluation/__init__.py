"""What a model reaches on labelled pictures, measured in one way for every model.

=============  ==============================================================
module         responsibility
=============  ==============================================================
sets           the pictures of a folder, and where their truth lies
label_rasters  rasters that say which object each pixel belongs to
truth          which pixels each object covers
looks          windows of pictures, and the objects that are asked for in each
crops          masks cut to their boxes
asking         the model asked with boxes, with clicks, with nothing
measures       boundary F1, calibration
ground         what the segments of a window cover, mix and follow
table          scores, per source and mean
words          how well words are read: ground at one half and at the best threshold
=============  ==============================================================
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from geosam.embeddings import embed
from geosam.evaluation.asking import Answer, ask_clicks, find_everything, segment_boxes
from geosam.evaluation.crops import iou
from geosam.evaluation.looks import SMALLEST_PX, Look, Target, looks
from geosam.evaluation.measures import boundary_f1
from geosam.evaluation.sets import LabelledPicture, list_pictures
from geosam.evaluation.table import Evaluation, ObjectScore, SourceScore
from geosam.execute import Progress
from geosam.pipeline.request import to_network

__all__ = ["Evaluation", "Look", "ObjectScore", "SourceScore", "evaluate", "list_pictures", "looks", "score_pictures"]

WINDOWS = 4
"""Windows of each source in which everything mode is measured, unless more are asked for."""


def evaluate(
    folder: str | PathLike[str],
    *,
    model: Any = "nano",
    sources: Iterable[str] = (),
    limit: int = 0,
    objects: int = 0,
    everything: int | None = WINDOWS,
    hierarchy: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Evaluation:
    """Score a model on a folder of labelled pictures.

    Counted are objects of at least 256 pixels that the picture's edge does not cut, on pictures from before a disaster,
    each looked at in a window of at most 1,024 pixels.

    Parameters
    ----------
    folder
        The set; see `geosam.evaluation.sets` for what it may hold.
    model
        Name of a model, path of a weights file, or a network.
    sources
        Only these; none for all.
    limit, objects
        At most so many pictures, and objects, of each source; 0 for all.
    everything
        Windows of each source in which everything mode is measured; None for all, 0 for none: it takes far longer than
        the prompts.
    hierarchy
        Whether it is measured once more with wholes beside their parts, which takes six to eight times as long again.
    progress
        Shows how far it is.
    options
        Of everything mode, as `geosam.segment` takes them.

    Raises
    ------
    OptionError
        If the folder holds no labelled picture.
    SceneError, SceneReadError, ModelError
        If a picture, its truth or the model cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> from geosam.testing import TruthNetwork, blob_labels, labels_to_pixels
    >>> labels = blob_labels((60, 60), count=4, large=0).repeat(3, 0).repeat(3, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.fromarray(labels_to_pixels(labels).transpose(1, 2, 0)).save(f"{folder}/a.png")
    ...     Image.fromarray(labels.astype("uint16")).save(f"{folder}/a_ids.png")
    ...     found = evaluate(folder, model=TruthNetwork(side=256), spacing_px=8)
    >>> found.mean.box, found.mean.click, found.mean.recall50
    (1.0, 1.0, 1.0)
    """
    network = to_network(model)
    result = Evaluation(network.key, Path(folder).resolve().name)
    pictures = list_pictures(Path(folder), sources=sources, limit=limit)
    asked = {"objects": objects, "everything": everything, "hierarchy": hierarchy, "progress": progress or Progress()}
    result.scores.extend(score_pictures(network, pictures, **asked, **options))
    return result


def score_pictures(
    network: Any,
    pictures: list[LabelledPicture],
    *,
    objects: int = 0,
    everything: int | None = WINDOWS,
    hierarchy: bool = False,
    smallest_px: float | int = SMALLEST_PX,
    progress: Progress | None = None,
    **options: Any,
) -> Iterator[ObjectScore]:
    """Score a network object by object; whoever stops asking keeps what is there."""
    seen = Counter[str]()
    shown = (progress or Progress()).track(pictures, "evaluate", unit="pictures")
    for look in looks(shown, smallest_px=smallest_px, objects=objects):
        scores = score_prompts(look, network)
        if everything is None or seen[look.source] < everything:
            seen[look.source] += 1
            found, window = find_everything(look, network, **options)
            scores = [replace(score, everything=best, window=window) for score, best in zip(scores, found, strict=True)]
            if hierarchy:
                found, _ = find_everything(look, network, hierarchy=True, **options)
                scores = [replace(score, nested=best) for score, best in zip(scores, found, strict=True)]
        yield from scores


def score_prompts(look: Look, network: Any) -> list[ObjectScore]:
    """Score the answers to boxes and clicks in one window."""
    embedding = embed(look.chip(), network)
    boxed = segment_boxes(look, network)
    first, *_, last = ask_clicks(embedding, network, look.targets)
    rows = zip(look.targets, boxed, first, last, strict=True)
    return [_score(look, target, *answers) for target, *answers in rows]


def _score(look: Look, target: Target, boxed: Answer, first: Answer, last: Answer) -> ObjectScore:
    length = float((target.box[2:] - target.box[:2]).max())
    if not target.exact:  # a box would be compared with itself, and a corrective click needs a mask
        click = iou(first.mask.filled(), target.truth)
        return ObjectScore(
            look.source, look.name, exact=False, length=length, click=click, predicted_click=first.predicted
        )
    return ObjectScore(
        look.source,
        look.name,
        exact=True,
        length=length,
        box=iou(boxed.mask, target.truth),
        click=iou(first.mask, target.truth),
        clicks3=iou(last.mask, target.truth),
        boundary=boundary_f1(boxed.mask, target.truth),
        predicted_box=boxed.predicted,
        predicted_click=first.predicted,
        predicted_clicks3=last.predicted,
    )
