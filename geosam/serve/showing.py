"""Verbs that show what is there: hello, tiles, objects, what is being done, places, files."""

from typing import Any

import numpy as np
from affine import Affine

import geosam
from geosam.change.schemas import SCHEMAS
from geosam.recognition import load_vocabulary
from geosam.scene import Scene
from geosam.serve.exporting import FORMATS, PLAIN, export
from geosam.serve.layer import class_json, object_json
from geosam.serve.pictures import TILE_PX, Look
from geosam.serve.requests import Fields, ServeError
from geosam.serve.workplace import Answer, Workplace

PROTOCOL = 1

MOST_OBJECTS = 2_000
"""Objects in one answer."""

MOST_PLACES = 20_000

COARSE_AGAIN_MS = 500
"""When to ask again for a tile of a raster without overviews."""


def hello(work: Workplace, fields: Fields) -> dict[str, Any]:
    """All that a front end needs to begin."""
    layer, session, edits = work.layer, work.layer.session, work.editable
    counts = layer.counts
    return {
        "protocol": PROTOCOL,
        "version": geosam.__version__,
        "mode": "edit" if edits else "view",
        "scene": scene_json(work.scene) | {"pictures": list(work.pictures)},
        "tile": {"size": TILE_PX, "levels": next(iter(work.pictures.values())).levels},
        "classes": [class_json(one, counts) for one in layer.classes],
        "legend_open": edits,
        "words": [word.word for word in load_vocabulary().words] if edits else [],
        "can": {
            **dict.fromkeys(("text", "similar", "coverage", "suggest"), edits),
            "locate": True,
            "export": list(FORMATS) if edits else [],
            "schemas": [PLAIN, *SCHEMAS] if edits else [],
        },
        "session": "" if session is None else session.path.name,
        "look": None if session is None else session.content.facts.get("look"),
        **work.state(),
    }


def tile(work: Workplace, fields: Fields) -> Answer:
    """A part of the picture."""
    name = fields.text("picture", next(iter(work.pictures)))
    picture = work.pictures.get(name)
    if picture is None:
        raise ServeError(f"picture {name!r}", expected=f"one of {', '.join(work.pictures)}")
    level, col, row = (fields.whole(part, most=2**31) for part in ("level", "col", "row"))
    found = picture.tile(level, col, row, look_of(fields, work.scene))
    return Answer({"again_ms": COARSE_AGAIN_MS}) if found is None else Answer({}, found)


def objects(work: Workplace, fields: Fields) -> dict[str, Any]:
    """Objects that changed since a revision."""
    bounds = fields.box("bounds")
    with work.changing:
        found = work.layer.since(fields.whole("since", 0), most=MOST_OBJECTS, within=bounds)
        state = work.state()
    changed, removed, revision, more = found
    told = {"changed": list(map(object_json, changed)), "removed": removed, "more": more}
    return told | state | {"revision": revision}


def status(work: Workplace, fields: Fields) -> dict[str, Any]:
    """What is being done."""
    if work.warmth is None or work.proposer is None:
        return {"busy": "", "warm": 0}
    count, looks = work.warmth.busy, work.proposer.background.busy
    parts = [f"encoding {count} window{'s' if count > 1 else ''}"] if count else []
    parts += ["looking at the ground"] if looks else []
    return {"busy": ", ".join(parts), "warm": len(work.warmth)}


def locate(work: Workplace, fields: Fields) -> dict[str, Any]:
    """Places of the scene's CRS in its pixels, or the other way."""
    to = fields.text("to")
    if to not in ("px", "world"):
        raise fields.wrong("to", '"px" or "world"')
    given = np.array(fields.points("xy", most=MOST_PLACES), np.float64).reshape(-1, 2)
    frame = work.scene.frame
    found = frame.px_from_world(given) if to == "px" else frame.world_from_px(given)
    return {"xy": [row.tolist() if np.isfinite(row).all() else None for row in found]}


def look(work: Workplace, fields: Fields) -> dict[str, Any]:
    """Keep where the view is, for the next time."""
    x, y = fields.point("at")
    kept = {"at": [x, y], "zoom": fields.number("zoom", 0, least=-64, most=64)}
    with work.changing:
        work.layer.keep(look=kept)
    return {}


def export_file(work: Workplace, fields: Fields) -> Answer:
    """The objects as a file."""
    with work.changing:
        form, schema = fields.text("format"), fields.text("schema", PLAIN)
        name, content = export(work.layer, work.scene, form, schema, date=work.date)
    return Answer({"name": name, "size": len(content)}, content)


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


def look_of(fields: Fields, scene: Scene) -> Look | None:
    """Bands and percentiles that a tile is asked with; None for the scene's own."""
    if not fields.has("bands") and not fields.has("stretch"):
        return None
    bands, percentiles = scene.bands, None
    if fields.has("bands"):
        given = fields.given["bands"]
        if not isinstance(given, list) or len(given) not in (1, 3) or not all(type(one) is int for one in given):
            raise fields.wrong("bands", "one or three numbers of bands")
        bands = (given[0],) if len(set(given)) == 1 else tuple(given)
    if fields.has("stretch"):
        given = fields.given["stretch"]
        fine = isinstance(given, list) and len(given) == 2 and all(type(one) in (int, float) for one in given)
        if not fine or not 0 <= given[0] < given[1] <= 100:
            raise fields.wrong("stretch", "two percentiles [low, high] from 0 to 100")
        percentiles = round(float(given[0]), 2), round(float(given[1]), 2)
    return bands, percentiles
