"""Points and boxes drawn as a map over the image embedding, for a model that must learn quickly.

The published model tells its mask decoder about points and boxes through tokens only, and learns during days of
training to attend to the place that a token names. A small model trained from scratch gets, beside the tokens, the
geometry of the prompt in every cell: how far the sides of the box and the nearest clicks are. Interactive segmentation
networks have done so since Xu et al. 2016, "Deep Interactive Object Selection"; here it costs two 1 × 1 convolutions
at stride 16.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

REACHES = (8.0, 64.0)
"""Distances in pixels of the input over which the map tells near from far."""

CHANNELS = 1 + 4 * len(REACHES) + 2 * len(REACHES) + 2
"""Is there a box; sides of the box; nearness of inside and outside clicks; direction of the nearest inside click."""


class PromptMap(nn.Module):
    """Draw prompts and embed the drawing.

    Parameters
    ----------
    width
        Channels of the image embedding.
    stride
        Input pixels to a side of one cell of the image embedding.
    hidden
        Channels between the two convolutions.

    Examples
    --------
    >>> drawn = PromptMap(8)(torch.rand(5, 2, 2), torch.ones(5, 2, dtype=torch.long), grid=(4, 6))
    >>> tuple(drawn.shape)
    (5, 8, 4, 6)
    """

    def __init__(self, width: int, *, stride: int = 16, hidden: int = 64) -> None:
        super().__init__()
        self.stride = stride
        self.embed = nn.Sequential(nn.Conv2d(CHANNELS, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, width, 1))

    def forward(
        self,
        points: Float[Tensor, "n p 2"],
        labels: Int[Tensor, "n p"],
        *,
        grid: tuple[int, int],
        boxes: Float[Tensor, "n 4"] | None = None,
    ) -> Float[Tensor, "n c gh gw"]:
        """Draw ``n`` prompts, given in pixels of the padded input, over ``grid`` rows and columns of cells."""
        x, y = self._centres(grid, points)  # gw, gh
        box = points.new_zeros(len(points), 1 + 4 * len(REACHES), *grid) if boxes is None else draw_boxes(boxes, x, y)
        return self.embed(torch.cat([box, draw_points(points, labels, x, y)], 1))  # n c gh gw

    def _centres(self, grid: tuple[int, int], like: Tensor) -> tuple[Tensor, Tensor]:
        y, x = (torch.arange(cells, device=like.device, dtype=like.dtype) for cells in grid)
        return (x + 0.5) * self.stride, (y + 0.5) * self.stride


def draw_boxes(
    boxes: Float[Tensor, "n 4"], x: Float[Tensor, "gw"], y: Float[Tensor, "gh"]
) -> Float[Tensor, "n k gh gw"]:
    """Draw a channel of ones, then how far inside each side of its box every cell lies, squashed at each reach."""
    n, gh, gw = len(boxes), len(y), len(x)
    left, top = x - boxes[:, 0:1], y - boxes[:, 1:2]  # n gw, n gh
    right, bottom = boxes[:, 2:3] - x, boxes[:, 3:4] - y  # n gw, n gh
    columns = torch.stack([left, right], 1)[:, :, None].expand(n, 2, gh, gw)  # n 2 gh gw
    rows = torch.stack([top, bottom], 1)[..., None].expand(n, 2, gh, gw)  # n 2 gh gw
    inside = torch.cat([columns, rows], 1)  # n 4 gh gw
    squashed = [torch.tanh(inside / reach) for reach in REACHES]
    return torch.cat([torch.ones_like(inside[:, :1]), *squashed], 1)  # n 9 gh gw


def draw_points(
    points: Float[Tensor, "n p 2"],
    labels: Int[Tensor, "n p"],
    x: Float[Tensor, "gw"],
    y: Float[Tensor, "gh"],
) -> Float[Tensor, "n k gh gw"]:
    """Draw how near the clicks are, inside and outside apart, then which way the nearest inside click lies."""
    n, gh, gw = len(points), len(y), len(x)
    if not points.shape[1]:
        return points.new_zeros(n, 2 * len(REACHES) + 2, gh, gw)
    dx = (points[:, :, 0:1] - x)[:, :, None].expand(-1, -1, gh, -1)  # n p gh gw
    dy = (points[:, :, 1:2] - y)[..., None].expand(-1, -1, -1, gw)  # n p gh gw
    squared = dx.square() + dy.square()  # n p gh gw
    channels = []
    for label in (1, 0):
        far = squared.masked_fill((labels != label)[..., None, None], float("inf")).amin(1)  # n gh gw
        channels += [torch.exp(far / (-2 * reach * reach)) for reach in REACHES]
    near = squared.masked_fill((labels != 1)[..., None, None], float("inf"))  # n p gh gw
    nearest = near.argmin(1, keepdim=True)  # n 1 gh gw
    some = (labels == 1).any(1)[:, None, None]  # n 1 1
    channels += [torch.tanh(d.gather(1, nearest)[:, 0] / REACHES[0]) * some for d in (dx, dy)]
    return torch.stack(channels, 1)  # n 6 gh gw
