"""Damage to safetensors files: their header, the specification in it, their tensors."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from tests.fuzz.mutate import damage_bytes, damage_tree, pick

KEY = "geosam_spec"

FIELDS: dict[str, tuple[Any, ...]] = {
    "name": ("", "nano", "vit_b", "a\x1b[31mb", "../x", "x" * 10_000, 1, None),
    "encoder": ("vit", "conv", "x", None, 1, ["vit"]),
    "side": (0, -1, 1, 31, 63, 10**9, "64", 64.5, None, True, float("nan")),
    "width": (0, 1, 7, 10**9, "32", None, -32, float("inf")),
    "drawn": ("yes", 1, None, False),
    "sharpened": (True, "yes", None),
    "position_side": (-1, 10**30, "x", None),
    "object_px": (-1, "x", float("nan"), 1e300, None),
    "focus_px": ([], [0], [-16], "x", [1e300], [16] * 999, None, [[16]]),
    "recipe": (None, "x", [], {"everything": {"passes": 0}}, {"clicks": {"reach": "x"}}, {"x": {}},
               {"everything": {"spacing_px": 1e-9}}, {"clicks": {"reach": [[1]]}}),
    "thresholds": (None, "x", [], {"passes": 10**9}, {"passes": 0}, {"x": 1}, {"spacing_px": "x"}, {"judged": True},
                   {"pred_iou_threshold": float("nan")}, {"spacing_px": 1e-9}, {"batch": 0}, {"overlap": 2}),
    "encoder_sizes": (None, {}, [], {"depths": [10**9] * 4}, {"widths": [0, 0, 0, 0]}, {"widths": [10**9] * 4},
                      {"x": 1}),
    "decoder_sizes": (None, {"heads": 3}, {"heads": 0}, {"activation": "x"}, {"activation": []}, {"mlp": 10**9},
                      {"depth": 10**9},
                      {"iou_hidden": "x"}, {"multimask": 10**9}, {"multimask": -1}, {"hint_channels": 5}),
    "licence": (None, 1, "x" * 10_000), "url": ("http://127.0.0.1:9/x", 1), "bytes": (-1, "x"),
}  # fmt: skip
"""Odd values of the specification's fields."""


TENSORS = ({"dtype": "I64"}, {"dtype": "F64"}, {"dtype": "x"}, {"shape": [1]}, {"data_offsets": [0, 2**60]})
"""Odd values of a tensor's entry in the header."""


def damage_weights(rng: Generator, path: Path) -> None:
    """Damage a file of weights in one way."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    how = rng.random()
    if how < 0.45:
        spec = json.loads(header["__metadata__"][KEY])
        field = pick(rng, [*FIELDS, "missing"])
        if field == "missing":
            spec.pop(pick(rng, list(spec)))
        elif isinstance(spec.get(field), dict) and rng.random() < 0.5:
            extra = pick(rng, FIELDS[field])
            spec[field] = {**spec[field], **extra} if isinstance(extra, dict) else extra
        else:
            spec[field] = pick(rng, FIELDS[field])
        header["__metadata__"][KEY] = json.dumps(spec)
    elif how < 0.55:
        spec = json.loads(header["__metadata__"][KEY])
        header["__metadata__"][KEY] = json.dumps(damage_tree(rng, spec))
    elif how < 0.6:
        header["__metadata__"][KEY] = pick(rng, ("", "null", "1", "[" * 100_000, '{"name": ' * 50_000, "NaN", "\x00"))
    elif how < 0.75:
        name = pick(rng, [each for each in header if each != "__metadata__"])
        header[name] |= pick(rng, TENSORS)
    elif how < 0.85:
        header = damage_tree(rng, header)
    elif how < 0.95:
        whole = np.frombuffer(body, np.float16).copy()
        at = int(rng.integers(len(whole)))
        whole[at : at + int(pick(rng, (1, 100, 10**6)))] = pick(rng, (np.nan, np.inf, 65_504))
        body = whole.tobytes()
    text = json.dumps(header).encode()
    size = pick(rng, (2**63, 10**12, 0, len(text) + 1)) if how > 0.98 else len(text)
    data = struct.pack("<Q", size) + text + body
    path.write_bytes(damage_bytes(rng, data) if how >= 0.95 else data)
