"""Points and boxes as they are typed on a command line."""

from math import isfinite

from geosam.errors import PromptError
from geosam.prompts.source import label_from


def parse_point(text: str) -> tuple[float, float, int]:
    """A point ``x,y`` or ``x,y,label`` as ``(x, y, label)``.

    Raises
    ------
    PromptError
        If the text is anything else.

    Examples
    --------
    >>> parse_point("10,20"), parse_point("10, 20, neg")
    ((10.0, 20.0, 1), (10.0, 20.0, 0))
    """
    parts = [part.strip() for part in text.split(",")]
    numbers = _numbers(parts[:2])
    if len(parts) not in (2, 3) or len(numbers) != 2:
        raise PromptError(
            f"point {text!r}", expected="x,y or x,y,label", hint="such as 500020.5,4999870 or 8.53,47.37,0"
        )
    x, y = numbers
    if len(parts) == 2:
        return x, y, 1
    try:
        return x, y, label_from(parts[2], 0)
    except PromptError:
        raise PromptError(f"point {text!r}", expected="a label 1 (inside) or 0 (outside)") from None


def parse_box(text: str) -> tuple[float, float, float, float]:
    """A box ``xmin,ymin,xmax,ymax``, with its corners in order.

    Raises
    ------
    PromptError
        If the text is anything else, or the box has no area.

    Examples
    --------
    >>> parse_box("10,40,30,20")
    (10.0, 20.0, 30.0, 40.0)
    """
    parts = text.split(",")
    numbers = _numbers(parts)
    if len(parts) != 4 or len(numbers) != 4:
        raise PromptError(f"box {text!r}", expected="xmin,ymin,xmax,ymax", hint="such as 500020,4999870,500120,4999970")
    x0, y0, x1, y1 = numbers
    if x0 == x1 or y0 == y1:
        raise PromptError(f"box {text!r} without area", expected="xmin,ymin,xmax,ymax")
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _numbers(parts: list[str]) -> list[float]:
    """The parts that are finite numbers."""
    numbers = []
    for part in parts:
        try:
            numbers.append(float(part))
        except ValueError:
            continue
    return [number for number in numbers if isfinite(number)]
