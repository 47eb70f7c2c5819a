"""Options that say where the model computes and how precisely, and the model that they describe."""

import logging
import os
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

log = logging.getLogger(__name__)

_MACHINE = "Model and machine"

Model = Annotated[
    str,
    typer.Option(help="Name of a model (see `geosam models`) or path of its weights.", rich_help_panel=_MACHINE),
]
Device = Annotated[
    str,
    typer.Option(
        help="`cpu`, `cuda`, `cuda:1`, …; `auto`: the graphics card where there is one.", rich_help_panel=_MACHINE
    ),
]
Dtype = Annotated[
    Literal["auto", "float32", "bfloat16"],
    typer.Option(
        help="Precision of the arithmetic; `auto`: what suits the model and the machine.", rich_help_panel=_MACHINE
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(help="Processor cores that the model may use; default: all.", min=1, rich_help_panel=_MACHINE),
]


def open_model(
    name: str,
    *,
    device: str = "auto",
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
    threads: int | None = None,
) -> Any:
    """The model that the options describe, with so many of the processor's cores.

    Raises
    ------
    ModelError, WeightsError
        If it cannot be had so.
    """
    import torch

    from geosam.pipeline.request import to_network

    if threads is not None:
        cores = os.cpu_count() or 1
        if threads > cores:
            log.warning("--threads %d: this machine has %d, which are used", threads, cores)
        torch.set_num_threads(min(threads, cores))
    return to_network(name, device=device, dtype=dtype)


@dataclass(frozen=True)
class Machine:
    """Where the model computes, and how precisely."""

    device: Device = "auto"
    dtype: Dtype = "auto"
    threads: Threads = None

    def load(self, name: str) -> Any:
        """The model of a name or path, so; see `open_model`."""
        return open_model(name, device=self.device, dtype=self.dtype, threads=self.threads)
