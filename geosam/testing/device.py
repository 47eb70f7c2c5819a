"""A device that is none: what a graphics card would complain of, and what it would wait for, seen on a processor.

Code for graphics cards fails in two ways that need no card to be seen: it mixes tensors of two memories, and it makes
the host wait for one value after the other. `AWAY` is registered with PyTorch as any other device. Its tensors compute
on the processor, but what meets tensors of another device fails, sums whose order a card leaves open fail, and each
time that the host needs a value is counted. It knows what geosam uses, and says nothing about speed.

It leans on parts of PyTorch that are private or experimental, and is imported where it is wanted only.

Examples
--------
>>> with counting() as seen:
...     there = torch.ones(3).to(AWAY)
...     total = float((there + there).sum())
>>> total, seen["sends"], seen["waits"]
(6.0, 1, 1)
>>> with on_device():
...     there + torch.ones(3)
Traceback (most recent call last):
RuntimeError: aten.add.Tensor of tensors on two devices
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

aten = torch.ops.aten

WHOLE = {"linear", "matmul"}
"""Operators made of others that may stay whole."""

SHUFFLED = {"scatter_add", "scatter_add_", "index_add", "index_add_"}
"""Operators that add in any order, so that sums of fractions differ from run to run."""


class Backend(_DummyBackendModule):
    """What PyTorch asks of a device."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        """Precisions that autocast may ask for."""
        return [torch.bfloat16]


_setup_privateuseone_for_python_backend("away", backend_module=Backend())
AWAY = torch.device("away", 0)
AUTOCAST = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")  # lasts as long as this name
AUTOCAST.fallback(torch.library.fallthrough_kernel)  # autocast changes nothing there; what is cast by hand is


class Away(torch.Tensor):
    """A tensor of the device; ``here`` is what it really holds."""

    here: torch.Tensor

    @staticmethod
    def __new__(cls, here: torch.Tensor) -> "Away":
        """Lay out a tensor of the same form, which holds nothing."""
        form = {"strides": here.stride(), "storage_offset": here.storage_offset(), "dtype": here.dtype}
        return torch.Tensor._make_wrapper_subclass(cls, here.shape, device=AWAY, **form)

    def __init__(self, here: torch.Tensor) -> None:
        self.here = here

    def tolist(self) -> Any:
        """Wait for all values."""
        counted["waits"] += 1
        return self.here.tolist()

    @classmethod
    def __torch_dispatch__(cls, operator: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute what is asked of such tensors."""
        return _compute(operator, args, kwargs or {})


class Device(TorchDispatchMode):
    """While it lasts, tensors can be made away."""

    def __torch_dispatch__(self, operator: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute what is asked for, such as new tensors on the device."""
        return _compute(operator, args, kwargs or {})


counted: Counter[str] = Counter()
"""``waits``: values of the device that the host needed; ``sends``: tensors that it was given."""


def _compute(operator: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Compute where the tensors are; count what goes over."""
    name = operator.overloadpacket.__name__
    composite = torch._C._dispatch_has_kernel_for_dispatch_key(operator.name(), "CompositeImplicitAutograd")
    if composite and name not in WHOLE:
        with Device():
            result = operator.decompose(*args, **kwargs)
        if result is not NotImplemented:
            return result
    tensors = [each for each in pytree.tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
    away = [isinstance(each, Away) for each in tensors]
    to_away = torch.device(kwargs["device"]).type == "away" if kwargs.get("device") is not None else any(away)
    if operator in (aten._to_copy.default, aten.copy_.default):
        goes, comes = (to_away, away[0]) if operator is aten._to_copy.default else away
        counted["sends"] += goes and not comes
        counted["waits"] += comes and not goes
    elif operator is aten._local_scalar_dense.default or operator is aten.nonzero.default:
        counted["waits"] += any(away)
    elif any(away) and any(each.ndim and not there for each, there in zip(tensors, away, strict=True)):
        if operator not in (aten.index.Tensor, aten.index_put_.default):  # of an index PyTorch brings what it needs
            raise RuntimeError(f"{operator} of tensors on two devices")
        counted["sends"] += 1
    if any(away) and name in SHUFFLED and tensors[0].is_floating_point():
        raise RuntimeError(f"{operator} of fractions: a graphics card adds them in any order")
    if "device" in kwargs:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    given = pytree.tree_map_only(Away, lambda each: each.here, (args, kwargs))
    result = operator(*given[0], **given[1])
    if operator._schema.is_mutable and any(away) and isinstance(result, torch.Tensor):
        return args[0]
    if not to_away:
        return result
    with torch.inference_mode(mode=False):  # else a view of what is no inference tensor could not be one
        return pytree.tree_map_only(torch.Tensor, Away, result)


@contextmanager
def on_device() -> Iterator[None]:
    """Have the device for a while, on this thread."""
    before = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # `torch.tensor(…, device=…)` is a copy like others
    try:
        with Device():
            yield
    finally:
        torch._C._set_only_lift_cpu_tensors(before)


@contextmanager
def counting() -> Iterator[Counter[str]]:
    """Have the device for a while, and count from nought."""
    counted.clear()
    with on_device():
        yield counted
