"""The state of a run on disk: whole or not at all, and enough to go on as if nothing had happened."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from geosam.errors import WeightsError

NAME = "checkpoint.pt"


@dataclass
class Progress:
    """How far a run is.

    Attributes
    ----------
    step
        Steps done.
    minutes
        Time spent on them, over all sittings.
    """

    step: int = 0
    minutes: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


def save(path: Path, *, parts: Mapping[str, Any], progress: Progress, digest: str) -> None:
    """Write the state of everything in ``parts`` beside ``path``, then move it there."""
    states = {name: part.state_dict() for name, part in parts.items()}
    whole = {"states": states, "progress": vars(progress), "digest": digest}
    temporary = path.with_name(path.name + ".part")
    torch.save(whole, temporary)
    os.replace(temporary, path)


def load(path: Path, *, parts: Mapping[str, Any], digest: str | None) -> Progress:
    """Bring everything in ``parts`` to the state in a file; ``digest`` None accepts another configuration's.

    Raises
    ------
    WeightsError
        If the file cannot be read or belongs to another configuration.
    """
    try:
        whole = torch.load(path, map_location="cpu", weights_only=True)
        found, states = whole["digest"], whole["states"]
    except Exception as error:  # a damaged file raises almost anything
        raise WeightsError(
            f"checkpoint {str(path)!r}: {error}", expected="a whole checkpoint", hint="remove it"
        ) from error
    if digest is not None and found != digest:
        hint = "take another output folder, or --fresh (resume=False) to begin anew"
        raise WeightsError(f"{str(path)!r} is of configuration {found}", expected=digest, hint=hint)
    for name, part in parts.items():
        part.load_state_dict(states[name])
    return Progress(**whole["progress"])


class Average:
    """A running average of a network's parameters, which answers better than the last (Polyak and Juditsky 1992)."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: p.detach().clone() for name, p in network.named_parameters()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network; early in a run faster, so that the random start is soon forgotten."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, parameter in network.named_parameters():
            self.values[name].lerp_(parameter, 1 - decay)

    @torch.no_grad()
    def apply(self, network: nn.Module) -> None:
        """Write the average into a network."""
        for name, parameter in network.named_parameters():
            parameter.copy_(self.values[name])

    def state_dict(self) -> dict[str, Tensor]:
        """Hand over the average."""
        return self.values

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over an average."""
        self.values = {name: state[name].clone() for name in self.values}
