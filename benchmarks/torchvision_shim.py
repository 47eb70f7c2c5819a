"""The four functions of torchvision that `segment_anything` calls, where torchvision cannot be had.

Its build on the package registry does not load beside PyTorch for processors (it misses ``torchvision::nms``). The
benchmarks need no more of it than this, and geosam needs nothing of it.
"""

import importlib.util
import sys
from types import ModuleType

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Keep the best box of those that overlap by more than the threshold, best first."""
    left = scores.argsort(descending=True)
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        corner = torch.maximum(boxes[best, :2], boxes[left, :2])
        sides = (torch.minimum(boxes[best, 2:], boxes[left, 2:]) - corner).clamp(min=0)
        shared = sides.prod(1)
        left = left[shared <= iou_threshold * (box_area(boxes[best][None]) + box_area(boxes[left]) - shared)]
    return torch.stack(kept) if kept else scores.new_zeros(0, dtype=torch.long)


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """Suppress within each category."""
    if not len(boxes):
        return torch.zeros(0, dtype=torch.long)
    return nms(boxes + (idxs.to(boxes) * (boxes.max() + 1))[:, None], scores, iou_threshold)


def box_area(boxes: Tensor) -> Tensor:
    """Areas of ``xyxy`` boxes."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def to_pil_image(pixels: np.ndarray) -> Image.Image:
    """An image of Pillow's."""
    return Image.fromarray(pixels)


def resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize to ``(h, w)``, averaging where it shrinks."""
    return image.resize(size[::-1], Image.Resampling.BILINEAR)


def install() -> None:
    """Put the stand-in where `import torchvision` finds it, unless the real one is there and loads."""
    if "torchvision" in sys.modules:
        return
    if importlib.util.find_spec("torchvision") is not None:
        try:
            import torchvision  # noqa: F401
        except RuntimeError:
            sys.modules.pop("torchvision", None)
        else:
            return
    for name, content in {
        "torchvision": {},
        "torchvision.ops": {"nms": nms},
        "torchvision.ops.boxes": {"batched_nms": batched_nms, "box_area": box_area, "nms": nms},
        "torchvision.transforms": {},
        "torchvision.transforms.functional": {"resize": resize, "to_pil_image": to_pil_image},
    }.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        sys.modules[name] = module
