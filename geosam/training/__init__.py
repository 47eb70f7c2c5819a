"""Training: the procedural world, prompts sampled from its masks, and the loop that turns both into weights.

`config`: one file says everything about a run. `real`: pictures with truth that may be learned from. `samples`: crops,
augmentation, objects, first prompts. `batches`: the same batch for the same seed and step, made in other processes.
`answers`: prompts asked and corrected. `corrections`: clicks where an answer is wrong. `losses`, `dense`: what is
minimised. `checkpoints`: save, resume. `peek`: held-out quality. `calibration`: predicted IoUs set
right on held-out pictures. `judging`: the judge of everything mode's masks. `sharpening`: the sharpener of masks.
`layout`: kernels in memory. `curves`: CSV and PNG. `trainer`: `train`. `finetuning`:
`finetune`, on a user's own footprints. What a model reaches is measured by `geosam.evaluation`.
"""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geosam.training.config import TrainConfig, read_config
    from geosam.training.finetuning import finetune
    from geosam.training.trainer import train

__all__ = ["TrainConfig", "finetune", "read_config", "train"]

_HOMES = {
    "TrainConfig": "config",
    "finetune": "finetuning",
    "read_config": "config",
    "train": "trainer",
}


def __getattr__(name: str) -> object:
    """Import on demand, so that the world can be rendered without loading torch."""
    if name == "evaluate":
        warnings.warn("use geosam.evaluation.evaluate", DeprecationWarning, stacklevel=2)
        return import_module("geosam.evaluation").evaluate
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
