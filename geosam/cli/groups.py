"""Groups of options: a command takes a group as one argument, its user gives every option by itself.

A group is a dataclass whose fields are annotated as options are. What several commands share is so written once, where
its options are: `geosam.cli.scenes.Seen`, `geosam.cli.machine.Machine`, `geosam.cli.options.Objects` and others.
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, get_type_hints


def flat(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose groups are spread into their options, in their place among its own.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Place:
    ...     row: int = 0
    ...     col: int = 0
    >>> @flat
    ... def show(name: str, place: Place, *, loud: bool = False) -> None:
    ...     print(name, place)
    >>> signature(show)
    <Signature (*, name: str, row: int = 0, col: int = 0, loud: bool = False) -> None>
    >>> show(name="here", col=3, loud=True)
    here Place(row=0, col=3)
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}
    spread: list[Parameter] = []
    for name, own in signature(command).parameters.items():
        given = [as_parameter(each) for each in fields(groups[name])] if name in groups else [own]
        spread += [each.replace(kind=Parameter.KEYWORD_ONLY) for each in given]

    @wraps(command)
    def run(**told: Any) -> None:
        for name, group in groups.items():
            told[name] = group(**{each.name: told.pop(each.name) for each in fields(group) if each.name in told})
        command(**told)

    run.__signature__ = Signature(spread, return_annotation=None)  # pyright: ignore[reportAttributeAccessIssue]  # as inspect documents it
    run.__annotations__ = {each.name: each.annotation for each in spread} | {"return": None}
    return run


def as_parameter(field: Field[Any]) -> Parameter:
    """A field of a group as a parameter of a command."""
    default = Parameter.empty if field.default is MISSING else field.default
    return Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=field.type)
