"""Models that understand words, by name or path: `WordReader` or `WordFinder`, over the library."""

import os
from dataclasses import dataclass

import torch

from geosam.adapters.clip import ClipReader
from geosam.adapters.family import Family, Published
from geosam.adapters.grounding_dino import GroundingDinoFinder, MmGroundingDinoFinder
from geosam.adapters.library import is_installed
from geosam.adapters.loading import open_source
from geosam.adapters.owlv2 import Owlv2Finder
from geosam.adapters.sam3_concepts import Sam3Finder
from geosam.adapters.sources import find_source, where
from geosam.errors import ModelError, WeightsError
from geosam.segmenter import WordFinder, WordReader

TEXT_FAMILIES: tuple[type[Family], ...] = (
    ClipReader,
    GroundingDinoFinder,
    MmGroundingDinoFinder,
    Owlv2Finder,
    Sam3Finder,
)
"""Every family, a line each."""


@dataclass(frozen=True)
class TextRow:
    """One line of what is at hand for text.

    Attributes
    ----------
    name
        What users call it.
    does
        ``scores regions``, ``finds boxes`` or ``finds masks``.
    parameters
        How many numbers it has learned; 0 if not known.
    licence, source
        Terms of the weights, and who made them.
    where
        The path of its weights, or ``not here``.
    needs
        What must be installed or agreed to; ``(installed)`` where the library is there.
    """

    name: str
    does: str
    parameters: int
    licence: str
    source: str
    where: str
    needs: str


def load_text(
    name_or_path: str | os.PathLike[str], *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> WordReader | WordFinder:
    """Load a model that understands words, once per process as long as its files do not change.

    Parameters
    ----------
    name_or_path
        A name that `text_models` lists, a folder as Hugging Face lays it out, or the authors' own file.
    device
        Where it computes.
    dtype
        Precision of the image tower, ``torch.float32`` or ``torch.bfloat16``.

    Raises
    ------
    WeightsError
        If the weights or their vocabulary cannot be had, are damaged or another model's.
    ModelError
        If no model has that name, or the library, or what it needs for this family, is not installed.

    Examples
    --------
    >>> load_text("clap")
    Traceback (most recent call last):
    geosam.errors.ModelError: text model 'clap': expected one of clip_vit_b32, ..., a folder of Hugging Face's, or ...
    """
    source = find_source(name_or_path, TEXT_FAMILIES)
    if source is None and os.path.isfile(name_or_path):
        raise WeightsError(
            f"{str(name_or_path)!r} holds no parameters of a model that reads words",
            expected="a file of open_clip's, as RemoteCLIP's and GeoRSCLIP's are",
            hint="a pickle that holds code is refused; download it again, or give a folder of Hugging Face's",
        )
    if source is None:
        names = ", ".join(each.name for family in TEXT_FAMILIES for each in family.published)
        raise ModelError(
            f"text model {str(name_or_path)!r}",
            expected=f"one of {names}, a folder of Hugging Face's, or their authors' file",
            hint="`geosam models` tells which are at hand; without one, the built-in vocabulary is asked",
        )
    return open_source(source, device=device, dtype=dtype)


def text_models() -> list[TextRow]:
    """List the models for words that can be asked for by name, and where their weights are.

    Examples
    --------
    >>> [row.does for row in text_models() if row.name == "clip_vit_b32"]
    ['scores regions']
    """
    return [_row(family, each) for family in TEXT_FAMILIES for each in family.published]


def _row(family: type[Family], known: Published) -> TextRow:
    here = where(known)
    return TextRow(
        known.name,
        family.does,
        known.parameters,
        known.licence,
        known.source,
        where=str(here) if here else "not here",
        needs=f"{known.needs} (installed)" if is_installed() else known.needs,
    )
