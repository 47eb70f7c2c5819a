"""Losses at every pixel, for training only: they teach the encoder what belongs together where compute is short.

An embedding at stride 4 whose distance says whether two pixels lie on the same object (De Brabandere et al. 2017,
"Semantic instance segmentation with a discriminative loss function", here as a classification by distance to the clicked
pixel), and a map of the borders between objects. The head is thrown away after training.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from geosam.sam.blocks import Features
from geosam.training.losses import cross_entropy, dice

STRIDE = 4


class DenseHead(nn.Module):
    """Bring all features of the encoder to stride 4, then embed every pixel and tell borders."""

    def __init__(self, coarse: int, fine: tuple[int, ...], *, embedding: int = 24, hidden: int = 48) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Conv2d(channels, hidden, 1) for channels in (coarse, *fine))
        self.out = nn.Conv2d(hidden, embedding + 1, 1)
        self.sharpness = nn.Parameter(torch.tensor(1.0))
        self.reach = nn.Parameter(torch.tensor(2.0))

    def forward(self, features: Features) -> tuple[Float[Tensor, "b e q q"], Float[Tensor, "b q q"]]:
        """Give the embedding and the border logits of each pixel."""
        levels = [level(x) for level, x in zip(self.levels, (features.coarse, *features.fine), strict=True)]
        merged = levels[0]
        for finer in levels[1:]:
            merged = finer + F.interpolate(merged, scale_factor=2.0, mode="bilinear")
        out = self.out(F.relu(merged)).float()
        return out[:, :-1], out[:, -1]

    def affinity(self, embedding: Float[Tensor, "b e q q"], clicks: Float[Tensor, "b k 2"]) -> Float[Tensor, "b k q q"]:
        """Logits that a pixel lies on the object that was clicked, from the distance between their embeddings."""
        b, e, q, _ = embedding.shape
        column, row = (clicks / STRIDE).long().clamp(0, q - 1).unbind(-1)  # b k, b k
        flat = embedding.flatten(2)  # b e qq
        anchors = flat.gather(2, (row * q + column)[:, None].expand(-1, e, -1))  # b e k
        squares = flat.square().sum(1)[:, None] + anchors.square().sum(1)[..., None]  # b k qq
        distances = squares - 2 * anchors.transpose(1, 2) @ flat  # b k qq
        return (self.reach - F.softplus(self.sharpness) * distances).unflatten(2, (q, q))


def dense_loss(
    head: DenseHead,
    features: Features,
    *,
    clicks: Float[Tensor, "b k 2"],
    targets: Float[Tensor, "b k q q"],
    weights: Float[Tensor, "b k q q"],
    edges: Float[Tensor, "b q q"],
    known: Bool[Tensor, "b"],
) -> Float[Tensor, ""]:
    """Affinity of every pixel to each clicked object, and borders where they are known."""
    embedding, border = head(features)
    logits = head.affinity(embedding, clicks).flatten(0, 1)[:, None]  # b*k 1 q q
    truth, weights = targets.flatten(0, 1), weights.flatten(0, 1)  # b*k q q
    something = truth.amax((1, 2)) > 0
    affinity = 2 * cross_entropy(logits, truth, weights) + 2 * dice(logits, truth)  # b*k 1
    affinity = (affinity[:, 0] * something).sum() / something.sum().clamp(min=1)
    emphasis = 1 + 4 * edges
    borders = F.binary_cross_entropy_with_logits(border, edges, weight=emphasis, reduction="none").mean((1, 2))  # b
    return affinity + (borders * known).sum() / known.sum().clamp(min=1)
