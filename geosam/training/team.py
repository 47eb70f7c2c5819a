"""Processes that train one network together, each on its share of every batch.

On a busy machine two threads that meet after every operation wait for each other most of the time; two processes of one
thread each meet once per step, to average their gradients, and lose nothing.
"""

import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, multiprocessing


@dataclass(frozen=True)
class Team:
    """Who of how many this process is."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process saves and reports."""
        return self.rank == 0

    def mean(self, value: float) -> float:
        """Average a number over the team."""
        if self.size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64)
        distributed.all_reduce(total)
        return float(total) / self.size

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Average the gradients over the team; one that is missing counts as zero."""
        if self.size == 1:
            return
        gradients = []
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            gradients.append(parameter.grad)
        flat = torch.cat([each.flatten() for each in gradients])
        distributed.all_reduce(flat)
        for each, part in zip(gradients, flat.split([each.numel() for each in gradients]), strict=True):
            each.copy_(part.view_as(each) / self.size)


ALONE = Team()
"""A process that trains by itself."""


def run_together(work: Callable[..., None], size: int, *arguments: Any) -> None:
    """Run ``work(team, *arguments)`` in so many processes of one thread each; with one, right here."""
    if size == 1:
        work(ALONE, *arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder) / "meeting"
        multiprocessing.spawn(_join, (size, str(meeting), work, arguments), nprocs=size)  # pyright: ignore[reportPrivateImportUsage] - documented


def _join(rank: int, size: int, meeting: str, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // size))
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size)
    try:
        work(Team(rank, size), *arguments)
    finally:
        distributed.destroy_process_group()
