"""Which code makes and runs a specification: a line for each family that geosam itself has code for."""

from collections.abc import Mapping
from typing import Any

from geosam.nano.network import NanoSam, build_nano
from geosam.nano.predictor import NanoPredictor
from geosam.nano.spec import NanoSpec
from geosam.sam.model import Predictor, Sam
from geosam.sam.model import build as build_sam
from geosam.sam.spec import SamSpec


def spec_from_dict(values: object) -> SamSpec:
    """Make a specification of named values, as a weights file holds them.

    Raises
    ------
    OptionError
        If they are none.

    Examples
    --------
    >>> sizes = {"widths": (8, 8, 16, 16), "depths": (1, 1, 1, 1), "fine_channels": (8, 4)}
    >>> type(spec_from_dict({"name": "mine", "encoder": "conv", "encoder_sizes": sizes})).__name__
    'NanoSpec'
    """
    kind = NanoSpec if isinstance(values, Mapping) and values.get("encoder") in NanoSpec.kinds else SamSpec
    return kind.from_dict(values)


def build(spec: SamSpec) -> Sam:
    """Make the network of a specification, with random weights."""
    return build_nano(spec) if isinstance(spec, NanoSpec) else build_sam(spec)


def to_predictor(sam: Sam, key: str, **how: Any) -> Predictor:
    """Put a network behind the port; parameters are those of its predictor."""
    return NanoPredictor(sam, key, **how) if isinstance(sam, NanoSam) else Predictor(sam, key, **how)
