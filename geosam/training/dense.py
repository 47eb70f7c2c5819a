"""Losses at every pixel, for training only: they teach the encoder what belongs together where compute is short.

The encoder's finest features become an embedding whose distance says whether two pixels lie on the same object (De
Brabandere et al. 2017, "Semantic instance segmentation with a discriminative loss function", here as a classification
by distance to the clicked pixel); beside it, a map of the borders between objects.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from geosam.nano.likeness import distances
from geosam.sam.blocks import FeatureMaps
from geosam.training.losses import cross_entropy, dice

STRIDE = 4


class DenseHead(nn.Module):
    """Borders from the finest features, logits from distances between them; thrown away after training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.border = nn.Conv2d(channels, 1, 1)
        self.sharpness = nn.Parameter(torch.tensor(1.0))
        self.reach = nn.Parameter(torch.tensor(2.0))

    def borders(self, features: FeatureMaps) -> Float[Tensor, "b q q"]:
        """Logits that a pixel lies on a border."""
        return self.border(features.fine[-1])[:, 0].float()

    def affinity(self, features: FeatureMaps, clicks: Float[Tensor, "b k 2"]) -> Float[Tensor, "b k q q"]:
        """Logits that a pixel lies on the object that was clicked, from the distance between their features."""
        embedding = features.fine[-1].float()  # b e q q
        _, e, q, _ = embedding.shape
        column, row = (clicks / STRIDE).long().clamp(0, q - 1).unbind(-1)  # b k, b k
        anchors = embedding.flatten(2).gather(2, (row * q + column)[:, None].expand(-1, e, -1))  # b e k
        with torch.autocast(embedding.device.type, enabled=False):  # small differences of large numbers
            squares = distances(embedding, anchors.transpose(1, 2))  # b k qq
            return (self.reach - functional.softplus(self.sharpness) * squares).unflatten(2, (q, q))


def dense_loss(
    head: DenseHead,
    features: FeatureMaps,
    *,
    clicks: Float[Tensor, "b k 2"],
    targets: Float[Tensor, "b k q q"],
    weights: Float[Tensor, "b k q q"],
    edges: Float[Tensor, "b q q"],
    known: Bool[Tensor, "b"],
) -> Float[Tensor, ""]:
    """Affinity of every pixel to each clicked object, and borders where they are known."""
    border = head.borders(features)
    logits = head.affinity(features, clicks).flatten(0, 1)[:, None]  # b*k 1 q q
    truth, weights = targets.flatten(0, 1), weights.flatten(0, 1)  # b*k q q
    something = truth.amax((1, 2)) > 0
    affinity = 2 * cross_entropy(logits, truth, weights) + 2 * dice(logits, truth)  # b*k 1
    affinity = (affinity[:, 0] * something).sum() / something.sum().clamp(min=1)
    emphasis = 1 + 4 * edges
    borders = functional.binary_cross_entropy_with_logits(border, edges, weight=emphasis, reduction="none").mean(
        (1, 2)
    )  # b
    return affinity + (borders * known).sum() / known.sum().clamp(min=1)
