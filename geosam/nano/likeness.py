"""How much every pixel looks like what was clicked, and like what a box holds or leaves out.

The encoder's finest features are trained so that pixels of one object lie near each other (see
`geosam.training.dense`). Distances in that space, from the clicked pixels and from the mean of a box's inside and of
its surroundings, say at once what a mask decoder would otherwise have to find out by attention. The idea is that of
prototypes in few-shot segmentation (Wang et al. 2019, "PANet"); the mask decoder remains free to overrule it.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

STRIDE = 4
"""Input pixels to a side of one cell of the finest features."""

SHARPNESS = (0.3, 1.0)
"""Likeness is ``exp(-sharpness · distance²)``, once for each of these."""

CHANNELS = 4 * len(SHARPNESS)
"""Like inside clicks, outside clicks, the box's inside, the box's surroundings."""

CORE, RING = 0.3, 0.4
"""The inside of a box is its middle, to this share of its size; its surroundings reach this share beyond it."""


class Likeness(nn.Module):
    """Maps of likeness for each prompt, at the sampling of the finest features.

    It has nothing to learn itself; the convolutions that use its maps have.

    Examples
    --------
    >>> maps = Likeness()(torch.rand(1, 6, 8, 12), torch.rand(5, 2, 2) * 32, torch.ones(5, 2, dtype=torch.long))
    >>> tuple(maps.shape)
    (5, 8, 8, 12)
    """

    def forward(
        self,
        embedding: Float[Tensor, "b e q r"],
        points: Float[Tensor, "n p 2"],
        labels: Int[Tensor, "n p"],
        *,
        boxes: Float[Tensor, "n 4"] | None = None,
    ) -> Float[Tensor, "n c q r"]:
        """Compare ``n`` prompts, in pixels of the padded input, equally many on each of ``b`` images."""
        with torch.autocast(embedding.device.type, enabled=False):  # small differences of large numbers
            embedding = embedding.float()
            clicks = self._clicks(embedding, points, labels)  # n 2·s q r
            boxed = torch.zeros_like(clicks) if boxes is None else self._boxes(embedding, boxes)  # n 2·s q r
            return torch.cat([clicks, boxed], 1)  # n c q r

    def _clicks(self, embedding: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        b, e, q, r = embedding.shape
        n, p = labels.shape
        if not p:
            return embedding.new_zeros(n, 2 * len(SHARPNESS), q, r)
        x, y = (points / STRIDE).long().unbind(-1)  # n p, n p
        cell = y.clamp(0, q - 1) * r + x.clamp(0, r - 1)  # n p
        cell = cell.reshape(b, 1, -1).expand(-1, e, -1)  # b e n/b·p
        anchors = embedding.flatten(2).gather(2, cell).transpose(1, 2)  # b n/b·p e
        squares = distances(embedding, anchors).reshape(n, p, q, r)  # n p q r
        channels = []
        for label in (1, 0):
            nearest = squares.masked_fill((labels != label)[..., None, None], float("inf")).amin(1)  # n q r
            channels += [torch.exp(-sharpness * nearest) for sharpness in SHARPNESS]
        return torch.stack(channels, 1)  # n 2·s q r

    def _boxes(self, embedding: Tensor, boxes: Tensor) -> Tensor:
        b, _, q, r = embedding.shape
        inside, core, around = box_cells(boxes / STRIDE, q, r)  # n q r, three times
        prototypes = []
        for cells in (core, around & ~inside):
            weights = cells.flatten(1).float()  # n qr
            weights = (weights / weights.sum(1, keepdim=True).clamp(min=1)).unflatten(0, (b, -1))  # b n/b qr
            prototypes.append(weights @ embedding.flatten(2).transpose(1, 2))  # b n/b e
        squares = [distances(embedding, each).reshape(len(boxes), q, r) for each in prototypes]  # n q r
        return torch.stack([torch.exp(-s * each) for each in squares for s in SHARPNESS], 1)  # n 2·s q r


def distances(embedding: Float[Tensor, "b e q r"], anchors: Float[Tensor, "b k e"]) -> Float[Tensor, "b k qr"]:
    """Squared distance of every pixel to every anchor."""
    flat = embedding.flatten(2)  # b e qr
    squares = flat.square().sum(1)[:, None] + anchors.square().sum(2)[..., None]  # b k qr
    return (squares - 2 * anchors @ flat).clamp(min=0)  # b k qr


def box_cells(
    boxes: Float[Tensor, "n 4"], q: int, r: int
) -> tuple[Bool[Tensor, "n q r"], Bool[Tensor, "n q r"], Bool[Tensor, "n q r"]]:
    """Cells whose centres lie in each box, in its middle, and within its surroundings; the middle has one at least."""
    x = torch.arange(r, device=boxes.device) + 0.5  # r
    y = torch.arange(q, device=boxes.device) + 0.5  # q
    middle, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]  # n 2, n 2
    found = []
    for half in (size / 2, (size * CORE).clamp(min=0.75), size / 2 + (size * RING).clamp(min=2.0)):
        columns = (x - middle[:, 0:1]).abs() <= half[:, 0:1]  # n r
        rows = (y - middle[:, 1:2]).abs() <= half[:, 1:2]  # n q
        found.append(rows[:, :, None] & columns[:, None])  # n q r
    return found[0], found[1], found[2]
