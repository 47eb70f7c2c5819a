"""The desk: requests of a front end in, answers out, whatever carries them.

Each verb is one method. An answer is a plain value and at most one buffer; an error is an answer too. Reading and
looking may happen on several threads at once, changes are made one at a time.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from affine import Affine
from shapely.geometry.base import BaseGeometry

import geosam
from geosam.change.schemas import SCHEMAS
from geosam.display import shown
from geosam.errors import GeosamError, SceneReadError
from geosam.scene import Scene
from geosam.serve import editing
from geosam.serve.exporting import FORMATS, PLAIN, export
from geosam.serve.layer import Change, Layer, class_json, object_json
from geosam.serve.objects import MapClass, MapObject, Step
from geosam.serve.pictures import TILE_PX, Look, Picture
from geosam.serve.preview import Answerer, Asked
from geosam.serve.requests import Fields, GoneError, OutsideError, ServeError
from geosam.serve.shapes import canonical, checked, from_json, to_json, united
from geosam.serve.warm import Warmth

_log = logging.getLogger(__name__)

PROTOCOL = 1

KEPT_SHAPES = 64
"""Previews whose shape can be accepted: the hand accepts what it sees, and perhaps what it saw a moment ago."""

MOST_OBJECTS = 2_000
"""Objects in one answer."""

AGAIN_MS, ENCODE_AGAIN_MS = 200, 150
"""When to ask again."""

VIEW_VERBS = ("hello", "tile", "objects", "status", "locate")
"""What can be asked where nothing can be changed."""


class Answer(NamedTuple):
    """An answer.

    Attributes
    ----------
    value
        A JSON object.
    buffer, kind
        Bytes that come with it, and their media type; None for none.
    """

    value: dict[str, Any]
    buffer: bytes | None = None
    kind: str = "application/octet-stream"


@dataclass(frozen=True)
class Kept:
    """A shape that was shown and may be accepted."""

    shape: BaseGeometry
    score: float
    origin: str
    prompts: Mapping[str, Any] | None = None


class Desk:
    """What a front end talks to.

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

    Examples
    --------
    >>> import tempfile
    >>> from geosam.scene import open_scene
    >>> from geosam.testing import coordinate_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     desk = Desk(open_scene(coordinate_scene(folder + "/xy.tif", (300, 500))), Layer())
    ...     desk.answer({"verb": "hello"}).value["scene"]["width"]
    ...     desk.answer({"verb": "delete", "ids": [1]}).value["error"]
    500
    'delete: expected a view that can be changed, this one shows only'
    """

    def __init__(
        self,
        scene: Scene,
        layer: Layer,
        warmth: Warmth | None = None,
        *,
        pictures: Mapping[str, Picture] | None = None,
    ) -> None:
        self.scene, self.layer, self.warmth = scene, layer, warmth
        self.pictures = dict(pictures) if pictures else {"scene": Picture(scene)}
        self.answerer = None if warmth is None else Answerer(warmth)
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._count = 0
        self._changing = threading.Lock()
        self._keeping = threading.Lock()

    def close(self) -> None:
        """Let go of the thread and the session."""
        if self.warmth is not None:
            self.warmth.close()
        if self.layer.session is not None:
            self.layer.session.close()

    def answer(self, request: Any) -> Answer:
        """Answer a request; what goes wrong is an answer as well."""
        fields = Fields(request if isinstance(request, dict) else {})
        try:
            return self._verb(fields)
        except ServeError as error:
            return _refusal(error, error.kind)
        except SceneReadError as error:
            return _refusal(error, "gone")
        except GeosamError as error:
            return _refusal(error, "input")
        except Exception as error:  # the desk stays open, whatever one request provokes
            _log.exception("%s failed", shown(fields.verb[:40]))
            return _refusal(GeosamError(f"{type(error).__name__}", hint="see the log; report it"), "internal")

    def _verb(self, fields: Fields) -> Answer:
        verbs: dict[str, Callable[[Fields], dict[str, Any] | Answer]] = {
            name.removeprefix("do_"): getattr(self, name) for name in dir(self) if name.startswith("do_")
        }
        if fields.verb not in verbs:
            given = shown(fields.verb[:40]) or "a request without a verb"
            raise ServeError(given, expected=f"one of {', '.join(sorted(verbs))}")
        if self.warmth is None and fields.verb not in VIEW_VERBS:
            raise ServeError(fields.verb, expected="a view that can be changed, this one shows only")
        found = verbs[fields.verb](fields)
        if isinstance(found, Answer):
            return found._replace(value={"ok": True} | found.value)
        return Answer({"ok": True} | found)

    # --- what is there ------------------------------------------------------------------------------------------------

    def do_hello(self, fields: Fields) -> dict[str, Any]:
        """All that a front end needs to begin."""
        scene, layer = self.scene, self.layer
        counts, session = layer.counts, layer.session
        return {
            "protocol": PROTOCOL,
            "version": geosam.__version__,
            "mode": "view" if self.warmth is None else "edit",
            "scene": scene_json(scene) | {"pictures": list(self.pictures)},
            "tile": {"size": TILE_PX, "levels": next(iter(self.pictures.values())).levels},
            "classes": [class_json(one, counts) for one in layer.classes],
            "legend_open": self.warmth is not None,
            "words": [],
            "can": {
                "text": False,
                "similar": False,
                "coverage": False,
                "suggest": False,
                "locate": True,
                "export": list(FORMATS) if self.warmth is not None else [],
                "schemas": [PLAIN, *SCHEMAS] if self.warmth is not None else [],
            },
            "session": "" if session is None else session.path.name,
            "look": None if session is None else session.content.facts.get("look"),
            **self._state(),
        }

    def do_tile(self, fields: Fields) -> Answer:
        """A part of the picture."""
        name = fields.text("picture", next(iter(self.pictures)))
        picture = self.pictures.get(name)
        if picture is None:
            raise ServeError(f"picture {name!r}", expected=f"one of {', '.join(self.pictures)}")
        level, col, row = (fields.whole(part, most=2**31) for part in ("level", "col", "row"))
        return Answer({}, picture.tile(level, col, row, _look(fields, self.scene)), "image/png")

    def do_objects(self, fields: Fields) -> dict[str, Any]:
        """Objects that changed since a revision."""
        bounds = fields.box("bounds")
        with self._changing:
            found = self.layer.since(fields.whole("since", 0), most=MOST_OBJECTS, within=bounds)
        changed, removed, revision, more = found
        return {
            "changed": list(map(object_json, changed)), "removed": removed, "revision": revision, "more": more
        }  # fmt: skip

    def do_status(self, fields: Fields) -> dict[str, Any]:
        """What is being done."""
        if self.warmth is None:
            return {"busy": "", "warm": 0}
        count = self.warmth.busy
        busy = f"encoding {count} window{'s' if count > 1 else ''}" if count else ""
        return {"busy": busy, "warm": len(self.warmth)}

    def do_locate(self, fields: Fields) -> dict[str, Any]:
        """Places of the scene's CRS in its pixels, or the other way."""
        to = fields.text("to")
        if to not in ("px", "world"):
            raise fields.wrong("to", '"px" or "world"')
        given = np.array(fields.points("xy", most=20_000), np.float64).reshape(-1, 2)
        frame = self.scene.frame
        found = frame.px_from_world(given) if to == "px" else frame.world_from_px(given)
        return {"xy": [row if np.isfinite(row).all() else None for row in found.tolist()]}

    def do_look(self, fields: Fields) -> dict[str, Any]:
        """Keep where the view is, for the next time."""
        x, y = fields.point("at")
        look = {"at": [x, y], "zoom": fields.number("zoom", 0, least=-64, most=64)}
        with self._changing:
            self.layer.keep(look=look)
        return {}

    def do_export(self, fields: Fields) -> Answer:
        """The objects as a file."""
        with self._changing:
            name, content = export(self.layer, self.scene, fields.text("format"), fields.text("schema", PLAIN))
        return Answer({"name": name, "size": len(content)}, content)

    # --- from a click to an object ------------------------------------------------------------------------------------

    def do_warm(self, fields: Fields) -> dict[str, Any]:
        """Encode the window at a place, and those beside it ahead."""
        warmth, answerer = self._edit()
        h, w = self.scene.shape
        x, y = fields.number("x", 0, least=-1e9, most=1e9), fields.number("y", 0, least=-1e9, most=1e9)
        if not (0 <= x < w and 0 <= y < h):
            raise OutsideError(f"a place at {x:g}, {y:g}, outside the scene", expected=f"one within {w} x {h} px")
        spot = answerer.spot_of(x, y)
        seen = warmth.get(spot)
        if seen is None:
            warmth.want([spot])
        warmth.ahead(warmth.around(spot))
        state = warmth.state(spot)
        return {"state": state} | ({} if state == "warm" else {"again_ms": ENCODE_AGAIN_MS})

    def do_preview(self, fields: Fields) -> dict[str, Any]:
        """The shape that some prompts ask for."""
        _, answerer = self._edit()
        seq, asked = fields.whole("seq", 0), self._asked(fields)
        found = answerer.answer(asked)
        key = None
        if found.shape is not None:
            key = self._keep(Kept(found.shape, found.score, asked.origin, _prompts_json(fields)))
        value = {
            "seq": seq,
            "key": key,
            "shape": None if found.shape is None else to_json(found.shape),
            "score": round(found.score, 4),
            "exact": found.exact,
        }
        return value if found.exact else value | {"again_ms": AGAIN_MS}

    def do_accept(self, fields: Fields) -> dict[str, Any]:
        """Make an object of shapes that were shown."""
        kept = [self._shape_of(key) for key in fields.keys("keys")]
        shape = kept[0].shape if len(kept) == 1 else united([each.shape for each in kept])
        origin = kept[0].origin
        score = min(each.score for each in kept)
        with self._changing:
            layer = self.layer
            number = fields.whole("object", least=1) if fields.has("object") else None
            old = None if number is None else layer.get(number)
            code = self._class(fields, None if old is None else old.class_code)
            prompts = kept[0].prompts if len(kept) == 1 else None
            one = MapObject(layer.next_id() if old is None else old.id, shape, code, score, origin, prompts)
            did = f"accepted 1 {layer.name_of(code)}" if old is None else f"changed {layer.name_of(code)} {old.id}"
            return self._done(layer.do(layer.adding([one], did)))

    def do_reopen(self, fields: Fields) -> dict[str, Any]:
        """The prompts of an object, to go on with them."""
        one = self.layer.get(fields.whole("id", least=1))
        return {"prompts": one.prompts, "shape": to_json(one.shape), "class": one.class_code}

    # --- changes by hand ----------------------------------------------------------------------------------------------

    def do_delete(self, fields: Fields) -> dict[str, Any]:
        """Remove objects."""
        return self._edited(fields, lambda some: (dict.fromkeys([one.id for one in some]), "removed"))

    def do_classify(self, fields: Fields) -> dict[str, Any]:
        """Give objects a class."""
        code = self._class(fields, None)
        name = "class taken off" if code is None else f"classified as {self.layer.name_of(code)}"
        return self._edited(fields, lambda some: ({one.id: replace(one, class_code=code) for one in some}, name))

    def do_merge(self, fields: Fields) -> dict[str, Any]:
        """Make one object of several."""
        return self._edited(fields, lambda some: (editing.merged(some), "merged"))

    def do_split(self, fields: Fields) -> dict[str, Any]:
        """Cut an object along a line."""
        line = fields.points("line", least=2, most=1000)

        def change(layer: Layer) -> tuple[editing.Edited, str]:
            one = layer.get(fields.whole("id", least=1))
            edited, count = editing.divided(one, line, layer.near(one.shape), layer.next_id)
            return edited, f"split {layer.name_of(one.class_code)} {one.id} into {count}"

        return self._change(change)

    def do_reshape(self, fields: Fields) -> dict[str, Any]:
        """Give an object another outline."""
        shape = self._in_scene(from_json(fields, "shape"))

        def change(layer: Layer) -> tuple[editing.Edited, str]:
            one = layer.get(fields.whole("id", least=1))
            return {one.id: replace(one, shape=shape, origin="edit")}, f"reshaped object {one.id}"

        return self._change(change)

    def do_move_vertex(self, fields: Fields) -> dict[str, Any]:
        """Move a vertex in every object that has it."""
        start, end = fields.point("from"), self._place(fields, "to")
        return self._change(lambda layer: (editing.moved_vertex(_at(layer, start), start, end), "moved a vertex"))

    def do_add_vertex(self, fields: Fields) -> dict[str, Any]:
        """Add a vertex in every object that has an edge."""
        at, ends = self._place(fields, "at"), fields.points("between", least=2, most=2)
        between = ends[0], ends[1]
        return self._change(lambda layer: (editing.added_vertex(_at(layer, *ends), at, between), "added a vertex"))

    def do_remove_vertex(self, fields: Fields) -> dict[str, Any]:
        """Remove a vertex from every object that has it."""
        at = fields.point("at")
        return self._change(lambda layer: (editing.removed_vertex(_at(layer, at), at), "removed a vertex"))

    def do_undo(self, fields: Fields) -> dict[str, Any]:
        """Undo the last step."""
        with self._changing:
            return self._done(self.layer.undo())

    def do_redo(self, fields: Fields) -> dict[str, Any]:
        """Do again what was undone last."""
        with self._changing:
            return self._done(self.layer.redo())

    def do_classes(self, fields: Fields) -> dict[str, Any]:
        """Add, rename or remove classes."""
        given = fields.given.get("classes")
        if not isinstance(given, list) or not 0 < len(given) <= 1000 or not all(isinstance(one, dict) for one in given):
            raise fields.wrong("classes", "a list of classes {code, name, color}")
        each = [Fields({"verb": "classes", **one}) for one in given]
        wanted = tuple(MapClass(one.whole("code"), one.text("name").strip(), one.text("color").lower()) for one in each)
        twice = len({one.code for one in wanted}) < len(wanted) or len({one.name for one in wanted}) < len(wanted)
        if twice:
            raise ServeError("classes with one code or one name twice", expected="each code and each name once")
        with self._changing:
            layer = self.layer
            used = {one.class_code for one in layer.objects.values()}
            kept = tuple(one for one in layer.classes if one.code in used - {other.code for other in wanted})
            after = (*wanted, *kept)
            change = layer.do(Step("changed the classes", classes=(layer.classes, after)))
            return self._done(change)

    # --- what they share ----------------------------------------------------------------------------------------------

    def _edit(self) -> tuple[Warmth, Answerer]:
        if self.warmth is None or self.answerer is None:
            raise ServeError("a view that shows only", expected="one that can be changed")
        return self.warmth, self.answerer

    def _asked(self, fields: Fields) -> Asked:
        """The prompts of a request; of an object without prompts its own outline is one."""
        clicks = tuple(fields.clicks("points"))
        box, corners = fields.box("box"), fields.points("outline", most=10_000)
        outline = None
        if corners:
            if len(corners) < 3:
                raise fields.wrong("outline", "at least three places [x, y]")
            drawn = {"type": "Polygon", "coordinates": [[list(xy) for xy in corners]]}
            outline = from_json(Fields({"verb": "an outline", "shape": drawn}), "shape")
        if fields.has("object") and box is None and outline is None:
            one = self.layer.get(fields.whole("object", least=1))
            if one.prompts is None:
                outline = one.shape
        return Asked(clicks, box, outline)

    def _edited(
        self, fields: Fields, change: Callable[[list[MapObject]], tuple[editing.Edited, str]]
    ) -> dict[str, Any]:
        """Change some objects that are named by their ids."""
        ids = fields.ids("ids")

        def work(layer: Layer) -> tuple[editing.Edited, str]:
            edited, how = change([layer.get(number) for number in ids])
            return edited, f"{how}: {len(ids)} object{'s' if len(ids) > 1 else ''}"

        return self._change(work)

    def _change(self, change: Callable[[Layer], tuple[editing.Edited, str]]) -> dict[str, Any]:
        with self._changing:
            edited, did = change(self.layer)
            return self._done(self.layer.do(self.layer.changing(edited, did)))

    def _class(self, fields: Fields, default: int | None) -> int | None:
        if "class" not in fields.given:
            return default
        return self.layer.check_class(fields.whole("class") if fields.has("class") else None)

    def _place(self, fields: Fields, name: str) -> tuple[float, float]:
        """A place of the scene, its edge included."""
        x, y = fields.point(name)
        h, w = self.scene.shape
        if not (0 <= x <= w and 0 <= y <= h):
            raise OutsideError(f"{fields.verb} to {x:g}, {y:g}, outside the scene", expected=f"within {w} x {h} px")
        return x, y

    def _in_scene(self, shape: BaseGeometry) -> BaseGeometry:
        h, w = self.scene.shape
        x0, y0, x1, y1 = shape.bounds
        if x0 < 0 or y0 < 0 or x1 > w or y1 > h:
            raise OutsideError("a shape that reaches beyond the scene", expected=f"a shape within {w} x {h} px")
        return checked(canonical(shape), "a shape")

    def _keep(self, kept: Kept) -> str:
        with self._keeping:
            self._count += 1
            key = f"p{self._count}"
            self._kept[key] = kept
            while len(self._kept) > KEPT_SHAPES:
                self._kept.popitem(last=False)
            return key

    def _shape_of(self, key: str) -> Kept:
        with self._keeping:
            found = self._kept.get(key)
        if found is None:
            raise GoneError(
                f"shape {shown(key)!r}", expected="one that was shown a moment ago", hint="ask for it again"
            )
        return found

    def _state(self) -> dict[str, Any]:
        layer = self.layer
        return {
            "counts": layer.counts,
            "revision": layer.revision,
            "can_undo": layer.can_undo and self.warmth is not None,
            "can_redo": layer.can_redo and self.warmth is not None,
        }

    def _done(self, change: Change) -> dict[str, Any]:
        """The answer to a change."""
        value = {
            "changed": list(map(object_json, change.changed)),
            "removed": list(change.removed),
            "did": change.did,
            **self._state(),
        }
        if change.classes is not None:
            counts = self.layer.counts
            value["classes"] = [class_json(one, counts) for one in change.classes]
        return value


def scene_json(scene: Scene) -> dict[str, Any]:
    """What a front end is told of a scene."""
    h, w = scene.shape
    info, frame = scene.raster.info, scene.frame
    bands = enumerate(zip(info.descriptions, info.colours, strict=True), 1)
    metres = scene.resolution_m
    placed = isinstance(frame.mapping, Affine) and (bool(frame.wkt) or frame.mapping != Affine.identity())
    return {
        "name": scene.name,
        "width": w,
        "height": h,
        "crs": "" if scene.crs is None else scene.crs.name,
        "wkt": None if scene.crs is None else scene.crs.to_wkt(),
        "transform": list(frame.affine[:6]) if placed else None,
        "pixel_size_m": metres if np.isfinite(metres) else None,
        "bands": [{"index": n, "name": name or f"band {n}", "colour": colour} for n, (name, colour) in bands],
        "shown": list(scene.bands) * (3 // len(scene.bands)),
    }


def _look(fields: Fields, scene: Scene) -> Look | None:
    """Bands and percentiles that a tile is asked with; None for the scene's own."""
    if not fields.has("bands") and not fields.has("stretch"):
        return None
    bands = scene.bands
    if fields.has("bands"):
        given = fields.given["bands"]
        if not isinstance(given, list) or len(given) not in (1, 3) or not all(type(one) is int for one in given):
            raise fields.wrong("bands", "one or three numbers of bands")
        bands = tuple(given)
    percentiles = None
    if fields.has("stretch"):
        given = fields.given["stretch"]
        fine = isinstance(given, list) and len(given) == 2 and all(isinstance(one, int | float) for one in given)
        if not fine or not 0 <= given[0] < given[1] <= 100:
            raise fields.wrong("stretch", "two percentiles [low, high] from 0 to 100")
        percentiles = round(float(given[0]), 2), round(float(given[1]), 2)
    return bands, percentiles


def _prompts_json(fields: Fields) -> dict[str, Any]:
    """The prompts of a request as they were given."""
    return {name: fields.given.get(name) or ([] if name == "points" else None) for name in ("points", "box", "outline")}


def _at(layer: Layer, *places: tuple[float, float]) -> list[MapObject]:
    """Objects whose bounds hold some places, or touch them."""
    xy = np.array(places)
    low, high = xy.min(axis=0) - editing.ON_LINE, xy.max(axis=0) + editing.ON_LINE
    return layer.near_bounds((*low.tolist(), *high.tolist()))


def _refusal(error: GeosamError, kind: str) -> Answer:
    return Answer({"ok": False, "error": str(error), "kind": kind})


def session_path(scene: Scene) -> Path:
    """Where the session of a scene lies unless another place is named: beside it, or here if it is nowhere near."""
    source = Path(scene.source)
    folder = source.absolute().parent if source.is_file() else Path.cwd()
    return folder / f"{Path(scene.name).name}.geosam.gpkg"
