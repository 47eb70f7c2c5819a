"""A family of models: a class of the library, its checkpoints, how names become the library's; and one model of it."""

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from geosam.adapters.library import EXTRA

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of red, green and blue over ImageNet, of pixels of 0 to 1."""

Norm = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and deviation of red, green and blue, of pixels of 0 to 1."""


@dataclass(frozen=True)
class Published:
    """One published checkpoint, as `geosam models` lists it.

    Attributes
    ----------
    name
        What users call it.
    repository
        Where it lies on Hugging Face.
    parameters
        How many numbers it has learned, of those that an image needs; 0 if not known.
    licence, source
        Terms of the weights, and who made them.
    side
        Pixels to a side of its input.
    needs
        What must be installed or agreed to.
    gated
        Whether the licence must be accepted on its page before it can be downloaded.
    file
        The authors' own file in the repository; empty where the repository is a folder as Hugging Face lays it out.
    vocabulary
        The repository that holds its vocabulary, where its own does not.
    """

    name: str
    repository: str
    parameters: int
    licence: str
    source: str
    side: int = 1024
    needs: str = "geosam[transformers]"
    gated: bool = False
    file: str = ""
    vocabulary: str = ""


@dataclass(frozen=True)
class Opened:
    """What a family makes an adapter of, beside the library's model.

    Attributes
    ----------
    name
        What users call it.
    key
        Identifies the weights, and all settings and vocabularies beside them.
    path
        The folder or file that they were read from.
    dtype
        Precision of the image encoder's arithmetic.
    norm
        Mean and deviation of red, green and blue as the folder gives them; None for those of the family.
    size
        Sides of the input as the folder gives them, such as ``shortest_edge`` and ``longest_edge``; else empty.
    """

    name: str
    key: str
    path: Path
    dtype: torch.dtype = torch.float32
    norm: Norm | None = None
    size: tuple[tuple[str, int], ...] = ()


class Family(ABC):
    """A family of models, and one of them; what it can do is said by the port that its class also derives from.

    Parameters
    ----------
    model
        A model of the class that `library` names, with its weights, on its device.
    name
        What users call it.
    key
        Identifies the weights; part of every stored embedding's key.
    dtype
        Precision of the image encoder's arithmetic.
    norm
        Mean and deviation of red, green and blue, of pixels of 0 to 1; None for those of the family.
    """

    library: ClassVar[str]
    """Name of the model's class in `transformers`, or its path below it where the library hides the class."""

    kinds: ClassVar[tuple[str, ...]]
    """What ``model_type`` may be in a folder's ``config.json``."""

    does: ClassVar[str] = "answers prompts"
    """What it is for, in two words."""

    extra: ClassVar[str] = EXTRA
    """The extra of geosam that brings what it needs."""

    norm: ClassVar[Norm] = IMAGENET
    """Mean and deviation of red, green and blue that the weights were trained with."""

    published: ClassVar[tuple[Published, ...]] = ()
    """The checkpoints that can be asked for by name."""

    original: ClassVar[str] = ""
    """How a parameter's name begins in the authors' own files and in no other family's; empty if nobody has those."""

    vocabulary: ClassVar[tuple[str, ...]] = ()
    """Files that hold the vocabulary of a model that reads words; none for one that does not."""

    side: int
    """Pixels to a side of the windows that suit it."""

    def __init__(
        self, model: Any, *, name: str, key: str, dtype: torch.dtype = torch.float32, norm: Norm | None = None
    ) -> None:
        self.model, self.name, self.dtype = model.eval().requires_grad_(requires_grad=False), name, dtype
        self.key = key if dtype == torch.float32 else f"{key}-{str(dtype).removeprefix('torch.')}"
        self.device = next(model.parameters()).device
        self._norm = norm or self.norm

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.key!r}, side={self.side}, device={str(self.device)!r})"

    def precision(self) -> torch.autocast:
        """The context in which an image is encoded."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    @classmethod
    def convert(cls, state: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Bring the authors' own parameters to the library's configuration and names; None if there is no way."""
        return None

    @classmethod
    def adjusted(cls, settings: dict[str, Any], path: Path) -> dict[str, Any]:
        """What `convert` read off the parameters, with what only the name of their file or its neighbours tell."""
        return settings

    @classmethod
    def of(cls, model: Any, opened: Opened) -> Any:
        """The adapter of a model of the library, which is on its device."""
        raise NotImplementedError
