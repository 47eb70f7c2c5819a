"""Are the tuned constants seen by a test? Change a field of the built-in model's recipe, and ask the golden net.

    python benchmarks/mutations.py

Writes `mutations.csv` beside itself: field, value, change, where the golden net noticed, seconds. A constant that
nobody notices is either idle or has no test.
"""

import copy
import csv
import importlib.util
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import geopandas as gpd

import geosam
from geosam.segmenter import Segmenter

HERE = Path(__file__).resolve().parent


def golden_net() -> ModuleType:
    """The module of the golden net, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("test_golden", HERE.parent / "tests" / "test_golden.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


golden = golden_net()

MUTATIONS = {
    "clicks.in_turn": False,
    "clicks.ambiguity": 0.5,
    "clicks.refined_weight": 0.0,
    "clicks.central_weight": 0.0,
    "clicks.reach": 4.0,
    "boxes.bias": 1.0,
    "boxes.loose": 15.0,
    "boxes.pull": 5.0,
    "boxes.outside": 3.0,
    "refinement.passes": 1,
    "refinement.margin": 0.5,
    "refinement.edge": -4.0,
    "refinement.cut": 1 / 3,
    "refinement.nms_iou": 0.5,
    "refinement.hidden": 0.9,
    "refinement.batch": 8,
    "refinement.sure": 1.0,
    "second_pass.clicks": False,
    "second_pass.everything": False,
    "second_pass.expand": 0.2,
    "second_pass.bias": 1.0,
    "second_pass.spill": 0.4,
    "second_pass.iou_weights": (0.55, 0.41, 0.2, 0.11),
    "everything.spacing_px": 24,
    "everything.whole_every": 4,
    "everything.pred_iou_threshold": 0.4,
    "suppression.overlap": 0.35,
    "suppression.consensus": False,
    "quality.enabled": False,
    "quality.weight": 1 / 3,
}
"""Field of the recipe, and what is put in its place."""

EVERYTHING = ("everything",)

KINDS = {
    "clicks": ("click", "click aside", "three clicks"),
    "boxes": ("box", "polygon"),
    **dict.fromkeys(("everything", "suppression", "quality"), EVERYTHING),
    **dict.fromkeys(("nms_iou", "hidden", "batch", "sure", "spill"), EVERYTHING),
}
"""What a step, or a field of another step, has a say in; all kinds of prompts where it stands not here."""


def changed(model: Segmenter, field: str, value: Any) -> Segmenter:
    """The same model with one field of its recipe changed."""
    step, name = field.split(".")
    other = copy.copy(model)
    other.recipe = replace(model.recipe, **{step: replace(getattr(model.recipe, step), **{name: value})})
    return other


def noticed(model: Segmenter, kinds: tuple[str, ...], dev: Path | None) -> str:
    """Where the golden net fails first: crop and kind; empty if nowhere."""
    for crop, (file, *_) in golden.CROPS.items():
        if file is not None and dev is None:
            continue
        array, boxes = golden.crop_of(crop, dev)
        scene, stored = geosam.open_scene(array), gpd.read_parquet(golden.GOLDEN / f"{crop}.parquet")
        for kind in kinds:
            prompts = None if kind == "everything" else golden.prompts_of(kind, boxes, scene)
            now = geosam.segment(scene, prompts, model=model, window=golden.SIDE).reset_index(drop=True)
            then = stored[stored.kind == kind].reset_index(drop=True)
            try:
                golden.same_objects(now, then) if prompts is None else golden.same_answers(now, then, kind)
            except AssertionError:
                return f"{crop}, {kind}"
    return ""


def main() -> None:
    """Change each field in turn; a line for each."""
    model = geosam.load_model("nano", device="cpu", dtype="float32")
    dev = HERE.parent.parent / "shared" / "data" / "dev"
    with open(HERE / "mutations.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["field", "value", "changed to", "noticed", "seconds"])
        for field, value in MUTATIONS.items():
            begin = time.perf_counter()
            step, name = field.split(".")
            kinds = KINDS.get(step) or KINDS.get(name) or golden.KINDS
            seen = noticed(changed(model, field, value), kinds, dev if dev.is_dir() else None)
            row = [field, getattr(getattr(model.recipe, step), name), value, seen, round(time.perf_counter() - begin)]
            table.writerow(row)
            file.flush()
            print(*row, flush=True)


if __name__ == "__main__":
    main()
