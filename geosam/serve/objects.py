"""What a session holds: objects, classes, and the steps that made them, each of which can be undone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from geosam.errors import OptionError

ORIGINS = ("click", "box", "outline", "suggestion", "similar", "word", "coverage", "edit", "file")
"""Where the shape of an object may come from."""

LARGEST_CODE = 2**16 - 2
"""Codes of classes go into 16 bits, with one left for no data, as in `geosam.landcover.Legend`."""


@dataclass(frozen=True)
class MapObject:
    """One object on the map.

    Attributes
    ----------
    id
        A positive number, never that of another object of the session.
    shape
        Polygon or multipolygon in pixels of the scene, canonical (`geosam.serve.shapes`).
    class_code
        Code of its class; None for none.
    score
        How sure the model was of the shape, in [0, 1].
    origin
        Where the shape comes from, one of `ORIGINS`.
    prompts
        Clicks, box and outline that it answers; None where there were none.
    """

    id: int
    shape: BaseGeometry
    class_code: int | None = None
    score: float = 1.0
    origin: str = "edit"
    prompts: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, of which `from_dict` makes the same object."""
        return {
            "id": self.id,
            "shape": shapely.to_wkb(self.shape, hex=True),
            "class": self.class_code,
            "score": self.score,
            "origin": self.origin,
            "prompts": self.prompts,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "MapObject":
        """The object that `to_dict` took apart."""
        shape = shapely.from_wkb(record["shape"])
        return cls(record["id"], shape, record["class"], record["score"], record["origin"], record["prompts"])


@dataclass(frozen=True)
class MapClass:
    """A class that objects may have.

    Raises
    ------
    OptionError
        If the code is no whole number of 16 bits, the name is empty or long, or the colour is none.

    Examples
    --------
    >>> MapClass(1, "building", "#dc2814").name
    'building'
    """

    code: int
    name: str
    color: str

    def __post_init__(self) -> None:
        if not 0 <= self.code <= LARGEST_CODE:
            raise OptionError(f"a class with code {self.code}", expected=f"a whole number from 0 to {LARGEST_CODE}")
        if not 1 <= len(self.name.strip()) <= 100:
            raise OptionError(f"a class named {self.name[:100]!r}", expected="a name of 1 to 100 characters")
        if not re.fullmatch("#[0-9a-f]{6}", self.color):
            raise OptionError(f"class {self.name!r} with colour {self.color[:20]!r}", expected="#rrggbb, as in #dc2814")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as the protocol has them."""
        return {"code": self.code, "name": self.name, "color": self.color}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "MapClass":
        """The class that `to_dict` took apart."""
        return cls(record["code"], record["name"], record["color"])


Classes = tuple[MapClass, ...]
Objects = Mapping[int, MapObject | None]
"""Objects by id; None for one that is not there."""


@dataclass(frozen=True)
class Step:
    """What one request changed, with what was there before: doing it backwards undoes it.

    Attributes
    ----------
    did
        What was done, for people.
    before, after
        The objects that were changed, made or removed, as they were and as they are then.
    classes
        The classes before and after; None where they stay.
    rejected
        Shapes that are not to be suggested from then on.

    Examples
    --------
    >>> house = MapObject(1, shapely.box(0, 0, 4, 4))
    >>> step = Step("accepted 1 object", {1: None}, {1: house})
    >>> Step.from_dict(step.to_dict()) == step, step.reverse().after
    (True, {1: None})
    """

    did: str
    before: Objects = field(default_factory=dict)
    after: Objects = field(default_factory=dict)
    classes: tuple[Classes, Classes] | None = None
    rejected: tuple[BaseGeometry, ...] = ()

    def __post_init__(self) -> None:
        if self.before.keys() != self.after.keys():
            raise OptionError(f"a step from {sorted(self.before)} to {sorted(self.after)}", expected="the same ids")

    def reverse(self) -> "Step":
        """The objects and classes of the step backwards; what it rejected is left to the caller."""
        classes = None if self.classes is None else (self.classes[1], self.classes[0])
        return Step(self.did, self.after, self.before, classes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, of which `from_dict` makes the same step."""
        sides = [
            {str(number): one and one.to_dict() for number, one in side.items()} for side in (self.before, self.after)
        ]
        classes = self.classes and [[one.to_dict() for one in side] for side in self.classes]
        rejected = [shapely.to_wkb(shape, hex=True) for shape in self.rejected]
        return {"did": self.did, "before": sides[0], "after": sides[1], "classes": classes, "rejected": rejected}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Step":
        """The step that `to_dict` took apart."""
        before, after = (
            {int(number): one and MapObject.from_dict(one) for number, one in record[side].items()}
            for side in ("before", "after")
        )
        classes = None
        if record["classes"]:
            first, second = (tuple(map(MapClass.from_dict, side)) for side in record["classes"])
            classes = (first, second)
        return cls(record["did"], before, after, classes, tuple(map(shapely.from_wkb, record["rejected"])))
