"""Maps, their samples and accuracy, changes, likeness and taught words: damaged files, and random options."""

from collections.abc import Callable

from numpy.random import Generator

from tests.fuzz.asked import random_words
from tests.fuzz.cases import Case
from tests.fuzz.mutate import damage_file, pick

READ: dict[str, tuple[str, ...]] = {
    "sample": ("map.gpkg", "classes.tif", "legend.csv"),
    "accuracy": ("map.gpkg", "classes.tif", "legend.csv", "places.gpkg", "places.csv"),
    "landcover": ("segments.parquet", "places.gpkg", "places.csv", "legend.csv", "model.geosam"),
    "change": ("after.tif", "footprints.gpkg", "cloud.gpkg"),
    "similar": ("segments.parquet",),
    "add": ("footprints.gpkg",),
    "segment": ("word.safetensors",),
}
"""The files that a command reads, beside the scene."""


def maps(rng: Generator, case: Case) -> None:
    """One of the commands that make maps and say what they are worth."""
    command = str(pick(rng, tuple(READ)))
    case.take("maps")
    damaged = rng.random() < 0.6
    if damaged:
        damage_file(rng, case.inputs / "maps" / str(pick(rng, READ[command])))
    words = COMMANDS[command](rng, case)
    if not damaged and command not in ("segment",):
        words += random_words(rng, command, case)
    case.run(*words)


def _sample(rng: Generator, case: Case) -> list[object]:
    mapped = case.inputs / "maps" / pick(rng, ("map.gpkg", "classes.tif"))
    legend = pick(rng, ((), ("--legend", case.inputs / "maps" / "legend.csv")))
    output = case.out / pick(rng, ("p.gpkg", "p.csv", "p.geojson"))
    return ["sample", mapped, "-o", output, "--total", 20, *legend]


def _accuracy(rng: Generator, case: Case) -> list[object]:
    mapped = case.inputs / "maps" / pick(rng, ("map.gpkg", "classes.tif"))
    places = case.inputs / "maps" / pick(rng, ("places.gpkg", "places.csv"))
    legend = pick(rng, ((), ("--legend", case.inputs / "maps" / "legend.csv")))
    return [
        "accuracy",
        mapped,
        places,
        "--reference",
        "class",
        *pick(rng, ((), ("--table", case.out / "t.csv"))),
        *legend,
    ]


def _landcover(rng: Generator, case: Case) -> list[object]:
    folder, layer = case.inputs / "maps", case.out / "cover.gpkg"
    case.layers = [layer]
    known = ("--samples", folder / pick(rng, ("places.gpkg", "places.csv")))
    known += pick(rng, ((), ("--legend", folder / "legend.csv")))
    taught = pick(rng, (known, known, ("--use-model", folder / "model.geosam")))
    return ["landcover", case.base / "scene.tif", "-o", layer, "--segments", folder / "segments.parquet", "-q", *taught]


def _change(rng: Generator, case: Case) -> list[object]:
    folder = case.inputs / "maps"
    words = ["change", case.base / "scene.tif", folder / "after.tif", "-o", case.out / "change.gpkg", "-q", "--no-new"]
    words += ["--prompts", folder / "footprints.gpkg", "--store", "none", "--no-decode"]
    return [
        *words,
        *pick(rng, ((), ("--mask-after", folder / "cloud.gpkg"), ("--extent-before", folder / "cloud.gpkg"))),
    ]


def _similar(rng: Generator, case: Case) -> list[object]:
    segments, layer = case.inputs / "maps" / "segments.parquet", case.out / "similar.gpkg"
    case.layers = [layer]
    return ["similar", segments, case.base / "scene.tif", "-o", layer, "-q", "--column", "right", "--store", "none"]


def _add(rng: Generator, case: Case) -> list[object]:
    examples = case.inputs / "maps" / "footprints.gpkg"
    words = ["words", "add", "yard", "--examples", examples, "--scene", case.base / "scene.tif", "--store", "none"]
    return [*words, "--to", case.out / "yard.safetensors"]


def _segment(rng: Generator, case: Case) -> list[object]:
    case.layers = [case.out / "yards.gpkg"]
    words = ["segment", case.base / "scene.tif", "-o", case.layers[0], "-q", "--store", "none", "--text", "yard"]
    return [*words, "--words", case.inputs / "maps" / "word.safetensors"]


COMMANDS: dict[str, Callable[[Generator, Case], list[object]]] = {
    "sample": _sample,
    "accuracy": _accuracy,
    "landcover": _landcover,
    "change": _change,
    "similar": _similar,
    "add": _add,
    "segment": _segment,
}
