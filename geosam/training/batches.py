"""The same batch for the same seed and step, made in other processes while the network works on the one before."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, fields
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from geosam.errors import OptionError
from geosam.training.config import DataOptions, TrainConfig
from geosam.training.real import RealImage, open_rows, read_images
from geosam.training.samples import STRIDE, Sample, draw_sample
from geosam.training.team import ALONE, Team
from geosam.training.world import World, render

AHEAD = 3
"""Batches made ahead by each process."""

TRIES = 20
"""Crops tried for one sample, before the data are said to hold no objects."""

WIDER = ((None, True), ("sea", True), ("sea", False), ("snow", False))
"""Theme and whether a radar looks: what `DataOptions.wider` is a share of."""


@dataclass(frozen=True)
class Batch:
    """Samples stacked; the fields of `geosam.training.samples.Sample` with an axis ``b`` before."""

    pixels: UInt8[np.ndarray, "b 3 s s"]
    targets: UInt8[np.ndarray, "b k q q"]
    boxes: Float32[np.ndarray, "b k 4"]
    prompts: Float32[np.ndarray, "b k 4"]
    clicks: Float32[np.ndarray, "b k 2"]
    real_object: Bool[np.ndarray, "b k"]
    edges: UInt8[np.ndarray, "b q q"]
    edges_known: Bool[np.ndarray, "b"]
    kinds: Int64[np.ndarray, "b"]


def make_batch(config: TrainConfig, data: Path | None, step: int, team: Team = ALONE, cell: int = STRIDE) -> Batch:
    """Make one process's share of the batch of a step.

    Nothing but the configuration, the data folder and the step decides what is in the batch; image by image the
    processes of a team take turns.
    """
    options = config.data
    rng = np.random.default_rng([config.seed, step])
    side = int(options.sides[rng.integers(len(options.sides))])
    count = options.images(side)
    real = rng.random(count) < (options.real if data is not None else 0.0)
    kinds = np.sort(rng.choice(len(options.kinds), count, p=np.array(options.kinds) / sum(options.kinds)))
    own = range(team.rank % count, count, team.size)
    samples = []
    for slot in own:
        pictures = _real_pictures(data, held_out=False) if real[slot] and data is not None else None
        dice = np.random.default_rng([config.seed, step, slot])
        samples.append(_sample(dice, config, pictures, side=side, place=(step, slot), cell=cell))
    return stack(samples, kinds[own].astype(np.int64))


def stack(samples: list[Sample], kinds: Int64[np.ndarray, "b"]) -> Batch:
    """Stack samples of one size."""
    columns = {each.name: np.stack([getattr(s, each.name) for s in samples]) for each in fields(Sample)}
    return Batch(**columns, kinds=kinds)


def _sample(
    rng: np.random.Generator, config: TrainConfig, pictures: dict[str, list[RealImage]] | None, *, side: int,
    place: tuple[int, int], cell: int,
) -> Sample:  # fmt: skip
    for attempt in range(TRIES):
        if pictures is not None:
            picture = _draw_picture(rng, pictures)
            pixels, labels, parts = picture.pixels, picture.labels, None
        else:
            world = _rendered(config, place, attempt)
            pixels, labels, parts = world.pixels, world.labels, world.parts
        sample = draw_sample(rng, pixels, labels, parts=parts, side=side, options=config.data, cell=cell)
        if sample is not None:
            return sample
    raise OptionError(f"{TRIES} crops without an object", expected="labelled objects", hint="lower data.minimum_px")


def _draw_picture(rng: np.random.Generator, pictures: dict[str, list[RealImage]]) -> RealImage:
    """Draw a source, a larger one more often, though not in proportion; then one of its pictures."""
    names = sorted(pictures)
    weights = np.sqrt([len(pictures[name]) for name in names])
    source = pictures[names[rng.choice(len(names), p=weights / weights.sum())]]
    return source[rng.integers(len(source))]


def _rendered(config: TrainConfig, place: tuple[int, int], attempt: int) -> World:
    """Render the world of a slot, which serves a few steps; the slots change theirs in turn."""
    step, slot = place
    options: DataOptions = config.data
    generation = (step + slot) // options.render_uses
    key = (config.seed, slot, generation, attempt)
    wider = options.wider > 0 and generation * options.render_uses >= options.wider_after + slot
    dice = np.random.default_rng([*key, 1])
    if wider and dice.random() < options.wider:
        theme, seen_by_radar = WIDER[dice.integers(len(WIDER))]
        return _render(key, options.render_side, theme=theme, radar=seen_by_radar)
    return _render(key, options.render_side, hard=dice.random() < options.hard)


@lru_cache(maxsize=32)
def _render(key: tuple[int, ...], side: int, **how: Any) -> World:
    seed = int(np.random.SeedSequence(key).generate_state(1)[0])
    return render(seed, side, **how)


@lru_cache(maxsize=4)
def _real_pictures(data: Path, *, held_out: bool) -> dict[str, list[RealImage]]:
    rows = [row for row in open_rows(data) if row.held_out == held_out]
    pictures: dict[str, list[RealImage]] = {}
    for image in read_images(rows):
        pictures.setdefault(image.source, []).append(image)
    return pictures


def held_out_pictures(data: Path) -> list[RealImage]:
    """Read the real pictures that training never sees."""
    return [image for images in _real_pictures(data, held_out=True).values() for image in images]


def iterate(
    config: TrainConfig,
    data: Path | None,
    *,
    first: int,
    last: int,
    workers: int,
    team: Team = ALONE,
    cell: int = STRIDE,
) -> Iterator[Batch]:
    """Give the batches of steps ``first`` to ``last``, in order, made by so many processes; 0 makes them right here."""
    if not workers:
        yield from (make_batch(config, data, step, team, cell) for step in range(first, last))
        return
    pools = [ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_lower) for _ in range(workers)]
    pending: deque[Future[Batch]] = deque()
    try:
        for step in range(first, last + AHEAD * workers):
            if step < last:  # steps that share renderings go to the same process
                pool = pools[(step // config.data.render_uses) % workers]
                pending.append(pool.submit(make_batch, config, data, step, team, cell))
            if step >= first + AHEAD * workers and pending:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)


def _lower() -> None:
    """Keep a worker to one thread: the network needs the others."""
    import torch

    torch.set_num_threads(1)
