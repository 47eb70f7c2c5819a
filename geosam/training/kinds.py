"""Fit the head that tells kinds apart.

    python -m geosam.training.kinds DATA [--worlds 208] [--seed 0] [--rows KEPT.npz] [-o OUTPUT]

Multinomial logistic regression on the features of `geosam.training.kind_rows`. A region of which only is known what it
is not gives the probability of all other kinds (Ishida et al. 2017, "Learning from complementary labels"). Kinds weigh
about as often as maps show them, and within a kind every source the same. The temperature is fitted on pictures that
the head has not seen (Guo et al. 2017, "On calibration of modern neural networks"), by folds over pictures.
"""

import argparse
from dataclasses import dataclass, fields, replace
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from jaxtyping import Float64, Int64
from safetensors import safe_open
from safetensors.numpy import save_file
from torch.nn import functional

from geosam.recognition.kinds import HEAD_FILE, KINDS, LIMIT, KindHead, levelled
from geosam.recognition.loading import load_backbone
from geosam.training.kind_rows import WORLD, Rows, real_rows, world_rows

MOST = 1200
"""Most pieces that a source gives of each kind, and of what is of none that is known; whole objects are all taken."""

SHARES = {"solar panel": 0.5, "vehicle": 0.5, "landslide": 0.5, "pool": 0.2, "shadow": 0.3, "snow": 0.3, "other": 0.3}
"""Weight of kinds beside the common ones, which have 1: about how often maps show them. With all kinds alike every
tenth blue roof is a pool."""

FOLDS = 4
"""Parts into which pictures fall, to see each by a head that has not."""


@dataclass(frozen=True)
class FitOptions:
    """How the head is fitted.

    Attributes
    ----------
    ridge
        Strength of the pull of all weights to nought, per row of weight one.
    world
        Weight of the procedural world beside a real source, in each kind that has any.
    complement
        Weight of what regions are not, beside what regions are.
    pieces
        Weight of a piece or another look, beside a whole object as it is.
    iterations
        Of L-BFGS.
    """

    ridge: float = 2e-2
    world: float = 0.5
    complement: float = 0.5
    pieces: float = 0.5
    iterations: int = 60


def fit(rows: Rows, options: FitOptions, backbone: str) -> KindHead:
    """Fit a head whose temperature is one."""
    weight = weights(rows, options)
    values = levelled(rows.values)
    middle = np.average(values, axis=0, weights=weight + 1e-12)
    spread = np.sqrt(np.average((values - middle) ** 2, axis=0, weights=weight + 1e-12))
    scale = np.where(spread > 1e-6, spread, np.inf)
    x = torch.from_numpy(np.clip((values - middle) / scale, -LIMIT, LIMIT)).float()  # n d
    kind, not_kind = torch.from_numpy(rows.kind), torch.from_numpy(rows.not_kind)
    share = torch.from_numpy(weight).float()
    w = torch.zeros(len(KINDS), x.shape[1], requires_grad=True)
    b = torch.zeros(len(KINDS), requires_grad=True)
    known, excluded = kind >= 0, (kind < 0) & (not_kind >= 0)
    optimiser = torch.optim.LBFGS([w, b], max_iter=options.iterations, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        logs = functional.log_softmax(x @ w.T + b, dim=1)  # n k
        right = -logs[known].gather(1, kind[known, None])[:, 0]
        wrong = logs[excluded].gather(1, not_kind[excluded, None])[:, 0].exp().clamp(max=1 - 1e-6)
        value = (share[known] * right).sum() - (share[excluded] * torch.log1p(-wrong)).sum()
        value = value + options.ridge * w.square().sum() / 2
        value.backward()
        return value

    optimiser.step(loss)
    found = (middle, scale, w.detach().numpy(), b.detach().numpy())
    return KindHead(*(each.astype(np.float32) for each in found), backbone=backbone)


def weights(rows: Rows, options: FitOptions) -> Float64[np.ndarray, "n"]:
    """Weight of each row: kinds by `SHARES`, within a kind all sources the same, the world aside.

    Pictures of a source share its weight by the roots of their rows.
    """
    base = np.where(rows.whole, 1.0, options.pieces)
    found = np.zeros(len(rows))
    for numbers, total in ((rows.kind, 1.0), (rows.not_kind, options.complement)):
        present = [kind for kind in range(len(KINDS)) if (numbers == kind).any()]
        for kind in present:
            of_kind = numbers == kind
            sources = np.unique(rows.source[of_kind].astype(str))
            share = {source: options.world if source == WORLD else 1.0 for source in sources}
            part_of_kind = total * SHARES.get(KINDS[kind], 1.0) / len(present)
            for source in sources:
                here = of_kind & (rows.source == source)
                _, picture, count = np.unique(rows.picture[here].astype(str), return_inverse=True, return_counts=True)
                of_row = base[here] / np.sqrt(count[picture])
                part = part_of_kind * share[source] / sum(share.values())
                found[here] += part * of_row / of_row.sum()
    return found


def best_temperature(logits: Float64[np.ndarray, "n k"], kind: Int64[np.ndarray, "n"]) -> float:
    """Find the temperature by which held-out logits are most likely."""
    temperatures = np.exp(np.linspace(np.log(0.3), np.log(5), 200))
    costs = [nll(logits / each, kind) for each in temperatures]
    return float(temperatures[int(np.argmin(costs))])


def temperature_in(path: Path) -> float:
    """Temperature that is in a head that `write_head` wrote."""
    with safe_open(path, "np") as file:
        return float((file.metadata() or {})["temperature"])


def cooled(head: KindHead, temperature: float) -> KindHead:
    """The head with a temperature in it."""
    return replace(head, weight=head.weight / np.float32(temperature), bias=head.bias / np.float32(temperature))


def nll(logits: Float64[np.ndarray, "n k"], kind: Int64[np.ndarray, "n"]) -> float:
    """Mean negative logarithm of the probability of what is right."""
    top = logits.max(1, keepdims=True)
    logs = logits - top - np.log(np.exp(logits - top).sum(1, keepdims=True))
    return float(-logs[np.arange(len(kind)), kind].mean())


def fit_calibrated(rows: Rows, options: FitOptions, backbone: str) -> tuple[KindHead, float]:
    """Fit a head on all rows, with the temperature that suits heads which have not seen a picture; and that."""
    fold = folds(rows.picture)
    logits, kinds = [], []
    for number in range(FOLDS):
        head, held = (
            fit(rows[fold != number], options, backbone),
            rows[(fold == number) & rows.whole & (rows.kind >= 0)],
        )
        logits.append(head.logits(held.values))
        kinds.append(held.kind)
    temperature = best_temperature(np.concatenate(logits), np.concatenate(kinds))
    return cooled(fit(rows, options, backbone), temperature), temperature


def thinned(rows: Rows, seed: int) -> Rows:
    """Fewer pieces of sources that have very many."""
    rng = np.random.default_rng(seed)
    kept = [np.flatnonzero(rows.whole)]
    for source in np.unique(rows.source.astype(str)):
        here = (rows.source == source) & ~rows.whole
        for kind in np.unique(rows.kind[here]):
            found = np.flatnonzero(here & (rows.kind == kind))
            kept.append(found if len(found) <= MOST else rng.choice(found, MOST, replace=False))
    return rows[np.unique(np.concatenate(kept))]


def folds(pictures: np.ndarray) -> Int64[np.ndarray, "n"]:
    """Part that each row's picture falls into; told by its name, so that it never changes.

    Examples
    --------
    >>> folds(np.array(["a", "b", "a"])).tolist()
    [3, 1, 3]
    """
    return np.array([crc32(str(each).encode()) % FOLDS for each in pictures], np.int64)


def write_head(head: KindHead, output: Path, said: dict[str, str]) -> None:
    """Write a head as arrays; what else is to be known of it goes into the metadata."""
    arrays = {name: getattr(head, name) for name in ("centre", "scale", "weight", "bias")}
    output.parent.mkdir(parents=True, exist_ok=True)
    save_file(arrays, output, metadata={**said, "kinds": ",".join(KINDS), "backbone": head.backbone})


def collect(data: Path, worlds: int, seed: int, kept: Path | None) -> Rows:
    """Collect the rows to learn from, or take those that were kept before."""
    if kept is not None and kept.is_file():
        with np.load(kept, allow_pickle=False) as file:
            return Rows(*(file[field.name] for field in fields(Rows)))
    encoder = load_backbone("float32")
    rows = Rows.join([*real_rows(data, encoder), *world_rows(worlds, encoder, seed=seed)])
    if kept is not None:
        np.savez(kept, **{field.name: getattr(rows, field.name) for field in fields(Rows)})
    return rows


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with train/manifest.csv")
    parser.add_argument("--worlds", type=int, default=208, help="renderings; sixteen of each theme")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=Path, help="keep the rows here, or take them from here")
    parser.add_argument("-o", "--output", type=Path, default=HEAD_FILE)
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    rows, options = collect(given.data, given.worlds, given.seed, given.rows), FitOptions()
    key = load_backbone("float32").key
    head, temperature = fit_calibrated(thinned(rows, given.seed), options, key.split("-float32")[0])
    sources = ", ".join(sorted(set(rows.source.astype(str).tolist())))
    said = {"licence": "Apache-2.0", "seed": str(given.seed), "sources": sources, "options": repr(options)}
    said["temperature"] = repr(temperature)
    write_head(head, given.output, said)


if __name__ == "__main__":
    main()
