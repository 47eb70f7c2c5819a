"""`train`: a configuration in, weights out."""

import logging
import math
import os
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from geosam.models import write_sam
from geosam.nano.network import NanoSam, build_nano
from geosam.training.answers import Truth, ask, batch_to_truth, judge
from geosam.training.batches import Batch, iterate
from geosam.training.beginning import read_weights, take_over, with_backbone
from geosam.training.calibration import calibrated
from geosam.training.checkpoints import NAME, Average, Progress, load, save
from geosam.training.config import TrainConfig, read_config, spec_of
from geosam.training.curves import draw_curves, write_csv
from geosam.training.dense import DenseHead, dense_loss
from geosam.training.judging import with_judge
from geosam.training.layout import lay_out
from geosam.training.peek import held_out, peek
from geosam.training.sharpening import with_sharpener
from geosam.training.team import ALONE, Team, run_together

log = logging.getLogger(__name__)

START = "start"
"""Folder, in a run's own, of the run that it starts from."""

REPORT_STEPS = 20
"""Steps between rows of the CSV."""


@dataclass
class Run:
    """Everything that moves during training."""

    config: TrainConfig
    network: NanoSam
    head: DenseHead
    optimiser: torch.optim.AdamW
    average: Average
    progress: Progress
    device: torch.device
    team: Team

    @property
    def parts(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {"network": self.network, "head": self.head, "optimiser": self.optimiser, "average": self.average}

    @property
    def share(self) -> float:
        """How much of the schedule is done, 0 to 1."""
        return min(self.progress.step / self.config.optimiser.steps, 1.0)

    @property
    def rounds(self) -> int:
        """How many corrective clicks follow the first answer in this step."""
        losses = self.config.losses
        step = self.progress.step
        return losses.corrections[step % len(losses.corrections)] if step >= losses.corrections_after else 0


def train(
    config: TrainConfig | str | os.PathLike[str] | None,
    out: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    resume: bool = True,
    processes: int = 1,
    workers: int = 1,
    save_minutes: float = 4.0,
    peek_minutes: float = 8.0,
    start_from: str | os.PathLike[str] | None = None,
) -> Path:
    """Train a model and export its weights.

    Parameters
    ----------
    config
        A `TrainConfig`, a TOML file, or None for the configuration of the built-in model.
    out
        Folder for the checkpoint, the curves and the weights; made if absent.
    data
        Folder of real pictures with a ``train/manifest.csv``, of which only ``open`` rows of the training split are
        read; None trains on the procedural world alone.
    resume
        Whether to go on from a checkpoint in ``out``.
    processes
        Processes that share the work of each step; on a CPU as many as cores may be used.
    workers
        Processes that make batches for each of these; 0 makes them there.
    save_minutes, peek_minutes
        Time between checkpoints, and between looks at held-out quality.
    start_from
        A weights file with which the run begins, as far as names and shapes agree; by default that of the run which
        the configuration names as its ``start``, carried out first, in ``out/start``, if it is not there.

    Returns
    -------
    Path
        The exported weights, ``out/<name>.safetensors``.

    Raises
    ------
    OptionError
        If the configuration or the data folder is wrong.
    WeightsError
        If a checkpoint is damaged or belongs to another configuration.
    """
    config = config if isinstance(config, TrainConfig) else read_config(config)
    folder, pictures = Path(out), None if data is None else Path(data)
    folder.mkdir(parents=True, exist_ok=True)
    beginning = None if start_from is None else Path(start_from)
    if beginning is None and config.start is not None:
        beginning = folder / START / f"{config.start.name}.safetensors"
        if not beginning.is_file():
            how = {"resume": resume, "processes": processes, "workers": workers}
            train(
                config.start, beginning.parent, data=data, save_minutes=save_minutes, peek_minutes=peek_minutes, **how
            )
    goes_on = resume and (folder / NAME).is_file()
    sitting = Sitting(folder, pictures, beginning, goes_on, workers, save_minutes, peek_minutes)
    run_together(_sit, processes, config, sitting)
    return folder / f"{config.name}.safetensors"


@dataclass(frozen=True)
class Sitting:
    """Where a run writes, what it reads and begins with, and how often it looks up."""

    folder: Path
    data: Path | None
    beginning: Path | None
    goes_on: bool
    workers: int
    save_minutes: float
    peek_minutes: float

    @property
    def checkpoint(self) -> Path:
        """The file that it saves its state to, and goes on from."""
        return self.folder / NAME

    def weights_before(self) -> Mapping[str, Tensor]:
        """The weights that it begins with; none of a run that begins with random ones."""
        return {} if self.beginning is None else read_weights(self.beginning)


def _sit(team: Team, config: TrainConfig, sitting: Sitting) -> None:
    if not logging.getLogger().handlers and team.size > 1:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run, before = start(config, team), sitting.weights_before()
    if sitting.goes_on:
        run.progress = load(sitting.checkpoint, parts=run.parts, digest=config.digest)
        log.info("resumed at step %d", run.progress.step)
    elif before:
        left = take_over(before, run.network)
        run.average = Average(run.network, config.optimiser.ema)
        log.info("begins with %s, but for %d parameters", sitting.beginning, len(left))
    _loop(run, sitting)
    if team.leads:
        _save(run, sitting)
        export(run, sitting.folder, sitting.data, before=before, workers=sitting.workers)


def start(config: TrainConfig, team: Team = ALONE, *, device: torch.device | None = None) -> Run:
    """Build the network with random weights and what it takes to train it; the seed decides all of it.

    ``device`` is where it computes; None for the graphics card where there is one.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = build_nano(spec_of(config))
        with_backbone(network, config.optimiser)
        head = DenseHead(config.model.encoder_sizes["fine_channels"][-1])
    lay_out(network, torch.channels_last).to(device).train()
    head.to(device)
    optimiser = torch.optim.AdamW(
        _groups(network, head, config), lr=config.optimiser.rate, betas=(0.9, 0.98), fused=True
    )
    return Run(config, network, head, optimiser, Average(network, config.optimiser.ema), Progress(), device, team)


def _groups(network: NanoSam, head: DenseHead, config: TrainConfig) -> list[dict[str, Any]]:
    """Decay matrices and kernels, but not biases, scales and embeddings; move the backbone at a rate of its own."""
    options = config.optimiser
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in (*network.named_parameters(), *head.named_parameters()):
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and not any(word in name for word in ("embed", "token", "scale"))
            share = options.backbone_rate if ".backbone." in name else 1.0
            groups.setdefault((share, options.weight_decay if decays else 0.0), []).append(parameter)
    return [{"params": some, "share": share, "weight_decay": decay} for (share, decay), some in groups.items()]


def rate_at(config: TrainConfig, step: int) -> float:
    """Give the learning rate of a step: a short ascent, a plateau, then half a cosine down to nothing.

    The plateau, after Hägele et al. 2024 ("Scaling Laws and Compute-Optimal Training Beyond Fixed Training
    Durations"), does as well as one long cosine and leaves the length of the run open.

    >>> rate_at(read_config(), 0) < rate_at(read_config(), 500)
    True
    """
    options = config.optimiser
    left = (options.steps - step) / (options.steps * options.decay)
    descent = 0.5 * (1 - math.cos(math.pi * min(max(left, 0.0), 1.0)))
    return options.rate * min(1.0, (step + 1) / options.warm_up) * descent


def _loop(run: Run, sitting: Sitting) -> None:
    config, progress, team = run.config, run.progress, run.team
    looks = held_out(config, sitting.data) if sitting.peek_minutes > 0 and team.leads else {}
    last = config.optimiser.steps
    batches = iterate(config, sitting.data, first=progress.step, last=last, workers=sitting.workers, team=team)
    saved = peeked = clock = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, disable=not (team.leads and sys.stderr.isatty())) as bar:
        task = bar.add_task(config.name, total=last, completed=progress.step)
        for batch in batches:
            row = run_step(run, batch)
            now = time.monotonic()
            progress.minutes += team.mean((now - clock) / 60)
            progress.step, clock = progress.step + 1, now
            bar.update(task, completed=progress.step)
            if progress.step % REPORT_STEPS == 0 and team.leads:
                progress.history.append({"step": progress.step, "minutes": progress.minutes, **row})
                log.info("%s", {k: round(v, 4) for k, v in progress.history[-1].items()})
            if looks and now - peeked > sitting.peek_minutes * 60:
                _look(run, looks)
                peeked = time.monotonic()
            if now - saved > sitting.save_minutes * 60 and team.leads:
                _save(run, sitting)
                saved = time.monotonic()
    if looks:
        _look(run, looks)


def _save(run: Run, sitting: Sitting) -> None:
    history = run.progress.history
    save(sitting.checkpoint, parts=run.parts, progress=run.progress, digest=run.config.digest)
    write_csv(sitting.folder / "curves.csv", history)
    shown = ["box world", "click world", "box real", "click real", "iou_first", "iou_corrected"]
    draw_curves(sitting.folder / "curves.png", history, shown)


def _look(run: Run, looks: dict[str, Batch]) -> None:
    network = deepcopy(run.network).to("cpu")
    run.average.apply(network)
    scores = peek(network, looks)
    run.progress.history.append({"step": run.progress.step, "minutes": run.progress.minutes, **scores})
    log.info("held out: %s", {k: round(v, 3) for k, v in scores.items()})


def run_step(run: Run, batch: Batch) -> dict[str, float]:
    """Take one step: forwards, backwards, move; give back what is worth reporting."""
    config, step = run.config, run.progress.step
    generator = torch.Generator().manual_seed((config.seed * 1_000_003 + step) * 64 + run.team.rank)
    truth = batch_to_truth(batch, run.device)
    for group in run.optimiser.param_groups:
        group["lr"] = rate_at(config, step) * group["share"]
    run.network.prompt_encoder.pe_layer.origin.copy_(3 * torch.rand(2, generator=generator))
    with _precision(run.device), _attention(run.device):
        loss, row = losses_of(run, truth, generator)
    run.optimiser.zero_grad()
    loss.backward()
    run.network.prompt_encoder.pe_layer.origin.zero_()
    parameters = [p for group in run.optimiser.param_groups for p in group["params"]]
    run.team.average_gradients(parameters)
    norm = torch.nn.utils.clip_grad_norm_(parameters, config.optimiser.clip)
    if bool(norm.isfinite()):
        run.optimiser.step()
        run.average.update(run.network, step)
    return {**row, "gradient": float(norm), "rate": rate_at(config, step)}


def losses_of(run: Run, truth: Truth, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
    """Give the loss of a batch and its parts."""
    config = run.config
    features = run.network.encode_images(
        run.network.normalise(truth.images).contiguous(memory_format=torch.channels_last)
    )
    shape = (len(truth.images), truth.each)
    dense = dense_loss(
        run.head,
        features,
        clicks=truth.clicks.unflatten(0, shape),
        targets=truth.targets.unflatten(0, shape),
        weights=truth.weights.unflatten(0, shape),
        edges=truth.edges,
        known=truth.known,
    )
    row = {"dense": float(dense.detach())}
    if run.progress.step < config.optimiser.dense_steps:
        return dense, row
    late = run.share >= config.losses.focal_from
    judged = [
        judge(
            run.network,
            asked,
            truth,
            rounds=run.rounds,
            late=late,
            generator=generator,
            choice=config.losses.choice,
            chosen=config.losses.chosen if run.progress.step >= config.losses.chosen_after else 0.0,
            any_shown=config.losses.any_shown,
        )
        for asked in ask(features, truth)
    ]
    count = len(truth.targets) * (run.rounds + 1)
    masks = torch.stack([masks for masks, _, _ in judged]).sum() / count
    ious = torch.stack([ious for _, ious, _ in judged]).sum() / count
    first, last = (torch.cat([reached[i] for _, _, reached in judged]).mean() for i in (0, -1))
    row |= {
        "masks": float(masks.detach()),
        "iou": float(ious.detach()),
        "iou_first": float(first),
        "iou_corrected": float(last),
    }
    return config.losses.dense * dense + masks + config.losses.iou * ious, row


def _attention(device: torch.device) -> Any:
    """Leave the kernel of attention to PyTorch, but on a processor, where this one's backward is the quickest."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def _precision(device: torch.device) -> Any:
    """Compute in bfloat16 where the processor does so quickly."""
    if device.type == "cpu":
        capable = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        if not capable:
            return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def export(
    run: Run,
    folder: Path,
    data: Path | None = None,
    *,
    before: Mapping[str, Tensor] | None = None,
    workers: int = 0,
) -> Path:
    """Write the averaged weights in half precision, with the specification inside.

    Where there are data, predicted IoUs are calibrated and a judge of masks is fitted; where the configuration asks for
    it, a sharpener of masks is trained with ``workers`` processes that make its batches.

    Where the configuration asks for it, they are blended with the weights ``before`` the run: what it unlearned comes
    back, and little of what it learned goes (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
    """
    before = before or {}
    network = lay_out(deepcopy(run.network).to("cpu"), torch.contiguous_format)
    run.average.apply(network)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name in before and before[name].shape == parameter.shape:
                parameter.lerp_(before[name].float(), 1 - run.config.optimiser.blend)
    if data is not None:
        network = with_judge(calibrated(network, data), data)
    if run.config.sharpener is not None:
        where = {"folder": folder, "data": data, "workers": workers, "device": run.device}
        network = with_sharpener(network, run.config, run.config.sharpener, before=before, **where)
    path = folder / f"{run.config.name}.safetensors"
    write_sam(network, path)
    return path
