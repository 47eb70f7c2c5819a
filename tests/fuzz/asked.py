"""Random options of a command, from the parameters that the command line itself declares."""

from collections.abc import Callable
from typing import Any, get_args, get_type_hints

from numpy.random import Generator
from typer.models import OptionInfo

from geosam.cli import app
from tests.fuzz.cases import Case
from tests.fuzz.mutate import pick

WHOLE = (-1, 0, 1, 2, 3, 16, 31, 32, 33, 64, 65, 128, 1000, 2**31, 10**18)
NUMBERS = (-1, 0, 1e-300, 1e-9, 0.001, 0.3, 0.5, 0.9, 0.999, 1, 1.5, 8, 100, 1e9, 1e300, "nan", "inf", "-inf", "x", "")
TEXTS = ("", " ", "x", "-", "1", "1,2,3", "é", "a b", "\x1b[31m", "none", "auto", "null", "../..", "9" * 400)

KNOWN: dict[str, tuple[Any, ...]] = {
    "model": ("nano", "nano", "nano", "vit_x", "nanoo", "absent.safetensors", "", "/", ".", "a/b"),
    "bands": ("1", "1,2,3", "3,2,1", "1,1,1", "0", "4", "-1", "1,2", "red,green,blue", "nir", "x", "", ",",
              "1;2", "1.5"),
    "resolution": ("0.5", "1", "1 m", "0.25", "2m", "0", "-1", "nan", "inf", "1e-9", "1e9", "x", "0.5 ft", "", "1 1"),
    "scale": ("buildings", "fields", "vehicles", "landscape", "x", ""),
    "stretch": ("auto", "percentile", "minmax", "0,255", "255,0", "1,1", "nan,1", "0,inf", "x", "1,2,3", ",", ""),
    "nodata": ("0", "255", "none", "nan", "-9999", "1e40", "x", "", "inf"),
    "point": (
        "500010,5299990", "500010,5299990,0", "10,10", "1e300,0", "nan,nan", "x", "1", "1,2,3,4", "", ",",
        "1,2,2", "1,2,-1",
    ),
    "box": ("500010,5299980,500020,5299990", "1,1,0,0", "5,5,5,5", "nan,0,1,1", "x", "1,2,3", "0,0,1e300,1e300", ""),
    "prompts_crs": ("EPSG:32633", "EPSG:4326", "px", "x", "", "EPSG:0", "4326", "LOCAL_CS"),
    "aoi": (
        "POLYGON ((500000 5300000, 500030 5300000, 500030 5299970, 500000 5299970, 500000 5300000))",
        "POLYGON ((0 0, 1 1, 1 0, 0 1, 0 0))", "POLYGON EMPTY", "POLYGON ((nan 0, 1 1, 1 0, nan 0))", "POLYGON ((",
        "POINT (1 1)", "absent.gpkg",
        "", "x", "MULTIPOLYGON EMPTY", "GEOMETRYCOLLECTION (POINT (0 0))",
    ),
    "aoi_crs": ("EPSG:32633", "EPSG:4326", "x", "", "0"),
    "crs": ("EPSG:4326", "EPSG:32633", "x", "", "EPSG:0", "EPSG:3413"),
    "outline": ("regular", "smooth", "x", ""),
    "device": ("cpu", "auto", "cuda:99", "x", "", "meta"),
    "dtype": ("auto", "float32", "bfloat16", "float16", ""),
    "threads": (1, 1, 0, -1, 10**9, "x"),
    "scheduler": ("x", "", "tcp://127.0.0.1:9", "http://x"),
    "workers": (0, -1, "x"),
    "gpus": (0, 1, -1),
    "store": ("none", "none", "auto", "", "x\x01y"),
    "layer": ("layer", "", "é", "layer_styles", "gpkg_contents", "sqlite_x", "a" * 300, 'a"b', "rtree_x", "a!b",
              "\x1b[31m"),
    "when": ("2024", "2024-06/2024-08", "..", "../..", "x", "", "2024-13", "2025/2024"),
    "where": ("a<1", "eo:cloud_cover<20", "x", "", "<", "a==b", "a<<1"),
    "asset": ("a", "red,green,blue", "", ","),
    "sources": ("labelled", "x", ",", ""),
    "users": ("0.8", "*=0.7", "water=0.9,*=0.7", "80", "nan", "x", "", "=0.5", "*=0.7,*=0.6"),
    "allocation": ("balanced", "proportional", "equal", "neyman", "x", ""),
    "design": ("stratified", "simple", "poststratified", "x", ""),
    "column": ("class", "right", "code", "x", ""),
    "reference_column": ("class", "x", ""),
    "legend": ("worldcover", "nlcd", "absent.csv", "x", ""),
    "label": ("class", "x", ""),
    "samples_crs": ("EPSG:32633", "EPSG:4326", "x", "", "EPSG:0"),
    "bands_as": ("red,green,blue", "red,red,blue", "nir", "-,-,-", "x", ""),
    "date_before": ("2024-06-01", "2024", "x", "", "2024-13-01"),
    "date_after": ("2024-06-02", "2023", "x", "", "tomorrow"),
    "extent": ("ndwi", "sar", "outlines", "x"),
    "extent_word": ("water", "unicorn", ""),
    "extent_bands": ("green,nir", "nir,swir,red", "x", ""),
    "units": ("20", "0", "-1", "nan", "1e-9", "1e300", "absent.gpkg", ""),
    "schema": ("ems", "unosat", "osm", "x"),
    "right": ("500010,5299990", "1,1", "nan,0", "x", ""),
    "wrong": ("500010,5299990", "1,1", "nan,0", "x", ""),
    "text": ("building", "water, tree", "yard", "unicorn", "", ",", "a" * 300),
}  # fmt: skip
"""Values of options that take text, by the parameter's name."""

APART = {"help", "output", "scene", "source", "run", "labelled", "verbose", "version", "quiet"}
"""Parameters that the case gives itself, or that change nothing."""

FILES = {"prompts": "points.gpkg", "labels": "labels.tif", "picture": "look.png", "json": "s.json", "csv": "s.csv"}
"""Files that options name, by the parameter's name."""


def commands() -> dict[str, Callable[..., Any]]:
    """The functions behind the commands, those of the catalog among them."""
    groups = [app, *(group.typer_instance for group in app.registered_groups)]
    found = [each for group in groups for each in group.registered_commands if each.callback]
    return {each.name or each.callback.__name__: each.callback for each in found}


def options_of(command: str) -> dict[str, tuple[list[str], set[type]]]:
    """The options of a command by the parameter's name: what they are called, and the types of their values."""
    found = {}
    for name, hint in get_type_hints(commands()[command], include_extras=True).items():
        kind, info = (get_args(hint) or (hint,))[0], next(iter(getattr(hint, "__metadata__", ())), None)
        if isinstance(info, OptionInfo):
            plain = f"--{name.replace('_', '-')}"
            told = [text for text in (info.default, *(info.param_decls or ())) if isinstance(text, str)]
            words = [each for text in told for each in text.split("/") if each.startswith("-")] or [plain]
            types = {each for each in (get_args(kind) or (kind,)) if each is not type(None)}
            found[name] = [word for word in words if word.startswith("--")] or words, types
    return found


def random_words(rng: Generator, command: str, case: Case) -> list[object]:
    """Some options with their values."""
    there = {name: told for name, told in options_of(command).items() if name not in APART}
    words: list[object] = []
    for name in rng.choice(sorted(there), min(int(rng.integers(1, 5)), len(there)), replace=False).tolist():
        called, types = there[name]
        words += [pick(rng, called)] if bool in types else [called[0], _value(rng, name, types, case)]
    if "spacing" in there and "--spacing" not in words:
        words += ["--spacing", 16]
    return words


def _value(rng: Generator, name: str, types: set[type], case: Case) -> object:
    if name in FILES and rng.random() < 0.8:
        target = case.base / "vectors" / FILES[name] if name == "prompts" else case.out / FILES[name]
        case.rasters += [target] if name in ("labels", "picture") else []
        return target
    if name in KNOWN:
        return pick(rng, KNOWN[name])
    if int in types:
        return pick(rng, WHOLE if rng.random() < 0.9 else ("x", "1.5", ""))
    return pick(rng, NUMBERS if float in types else TEXTS)
