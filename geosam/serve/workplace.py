"""What all verbs work with: the scene, the objects, the model, and the shapes that were shown and may be accepted."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from shapely.geometry.base import BaseGeometry

from geosam.display import shown
from geosam.scene import Scene
from geosam.serve.editing import Edited
from geosam.serve.layer import Change, Layer, class_json, object_json
from geosam.serve.pictures import Picture
from geosam.serve.preview import Answerer
from geosam.serve.proposals import Proposal, Proposer
from geosam.serve.requests import Fields, GoneError, OutsideError, ServeError
from geosam.serve.warm import Warmth

KEPT_SHAPES = 64
"""Previews whose shape can be accepted: the hand accepts what it sees, and perhaps what it saw a moment ago."""

KEPT_PROPOSALS = 20_000
"""Proposals that can be accepted: those of some areas."""


class Answer(NamedTuple):
    """An answer.

    Attributes
    ----------
    value
        A JSON object.
    buffer
        Bytes that come with it, or None.
    """

    value: dict[str, Any]
    buffer: bytes | None = None


@dataclass(frozen=True)
class Kept:
    """A shape that was shown and may be accepted.

    Attributes
    ----------
    shape, score
        The shape in pixels of the scene, and how sure the model is of it.
    origin
        Where it comes from, one of `geosam.serve.objects.ORIGINS`.
    prompts
        What it answers, or None.
    """

    shape: BaseGeometry
    score: float
    origin: str
    prompts: Mapping[str, Any] | None = None


class Shelf:
    """Shapes by key, the latest of them.

    Parameters
    ----------
    letter
        What keys begin with.
    most
        How many are kept.

    Examples
    --------
    >>> import shapely
    >>> shelf = Shelf("p", 1)
    >>> first, second = (shelf.put(Kept(shapely.box(0, 0, 1, 1), 1.0, "click")) for _ in range(2))
    >>> second, shelf.get(first), shelf.get(second).origin
    ('p2', None, 'click')
    """

    def __init__(self, letter: str, most: int) -> None:
        self.letter, self.most = letter, most
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._count = 0
        self._lock = threading.Lock()

    def put(self, kept: Kept) -> str:
        """Keep a shape; its key."""
        with self._lock:
            self._count += 1
            key = f"{self.letter}{self._count}"
            self._kept[key] = kept
            while len(self._kept) > self.most:
                self._kept.popitem(last=False)
            return key

    def put_once(self, kept: Kept, names: dict[bytes, str]) -> str:
        """Keep a shape under the key that it had in `names`, by its bytes, or under a new one, which is noted there."""
        name = kept.shape.wkb
        with self._lock:
            known = names.get(name)
            if known is not None and known in self._kept:
                self._kept.move_to_end(known)
                return known
        if len(names) > 2 * self.most:  # those of shapes that are long gone
            names.clear()
        names[name] = self.put(kept)
        return names[name]

    def get(self, key: str) -> Kept | None:
        """The shape of a key, if it is still there."""
        with self._lock:
            return self._kept.get(key)


class Workplace:
    """The scene, the objects, the model, and what was shown.

    Parameters
    ----------
    scene
        What is looked at.
    layer
        The objects on it.
    warmth
        Windows and model; None where nothing can be changed.
    pictures
        What is shown, by name, on the scene's grid; None for the scene itself.
    date
        When the scene was taken, ISO 8601; empty if nobody has said it.
    """

    def __init__(
        self,
        scene: Scene,
        layer: Layer,
        warmth: Warmth | None,
        pictures: Mapping[str, Picture] | None,
        *,
        date: str = "",
    ) -> None:
        self.date = date
        self.scene, self.layer, self.warmth = scene, layer, warmth
        self.pictures = dict(pictures) if pictures else {"scene": Picture(scene)}
        self.answerer = None if warmth is None else Answerer(warmth)
        self.proposer = None if warmth is None else Proposer(scene, warmth.network, warmth.store)
        self.previews, self.proposals = Shelf("p", KEPT_SHAPES), Shelf("s", KEPT_PROPOSALS)
        self.names: dict[bytes, str] = {}
        self.suggested: set[str] = set()
        self._turn = threading.Lock()

    def close(self, patience: float | int | None = None) -> bool:
        """Let go of the session, and of threads, waiting for each so many seconds at most; tells whether all ended."""
        ended = [each.close(patience) for each in (self.warmth, self.proposer) if each is not None]
        if self.layer.session is not None:
            self.layer.session.close()
        return all(ended)

    @property
    def editable(self) -> bool:
        """Whether objects can be made and changed."""
        return self.warmth is not None

    @property
    @contextmanager
    def changing(self) -> Iterator[None]:
        """For whoever reads or changes objects, one at a time; what another program changed in the file comes first."""
        with self._turn:
            self.layer.catch_up()
            yield

    def model(self) -> tuple[Warmth, Answerer, Proposer]:
        """Who answers.

        Raises
        ------
        ServeError
            If nothing can be changed here.
        """
        if self.warmth is None or self.answerer is None or self.proposer is None:
            raise ServeError("a view that shows only", expected="one that can be changed")
        return self.warmth, self.answerer, self.proposer

    def shape_of(self, key: str) -> Kept:
        """A shape that was shown.

        Raises
        ------
        GoneError
            If it was shown too long ago, or never.
        """
        found = self.previews.get(key) or self.proposals.get(key)
        if found is None:
            hint = "ask for it again"
            raise GoneError(f"shape {shown(key)!r}", expected="one that was shown a moment ago", hint=hint)
        return found

    def propose(self, proposal: Proposal, origin: str) -> str:
        """Keep a proposal; the same shape has the same key."""
        return self.proposals.put_once(Kept(proposal.shape, proposal.score, origin), self.names)

    def change(self, change: Callable[[Layer], tuple[Edited, str]]) -> dict[str, Any]:
        """Change objects, all at once or not at all; the answer to that."""
        with self.changing:
            edited, did = change(self.layer)
            return self.done(self.layer.do(self.layer.changing(edited, did)))

    def class_in(self, fields: Fields, default: int | None) -> int | None:
        """The class that a request names; null is none."""
        if "class" not in fields.given:
            return default
        return self.layer.check_class(fields.whole("class") if fields.has("class") else None)

    def place(self, fields: Fields, name: str) -> tuple[float, float]:
        """A place of the scene that a request names, its edge included.

        Raises
        ------
        OutsideError
            If it lies outside.
        """
        x, y = fields.point(name)
        h, w = self.scene.shape
        if not (0 <= x <= w and 0 <= y <= h):
            raise OutsideError(f"{fields.verb} to {x:g}, {y:g}, outside the scene", expected=f"within {w} x {h} px")
        return x, y

    def state(self) -> dict[str, Any]:
        """What every change is answered with."""
        layer = self.layer
        return {
            "counts": layer.counts,
            "revision": layer.revision,
            "can_undo": layer.can_undo and self.editable,
            "can_redo": layer.can_redo and self.editable,
        }

    def done(self, change: Change) -> dict[str, Any]:
        """The answer to a change."""
        value = {
            "changed": list(map(object_json, change.changed)),
            "removed": list(change.removed),
            "did": change.did,
            **self.state(),
        }
        if change.classes is not None:
            counts = self.layer.counts
            value["classes"] = [class_json(one, counts) for one in change.classes]
        return value
