"""Each prompt to the one window that shows its object best."""

from collections.abc import Iterable, Mapping, Sequence

from rasterio.windows import Window

from geosam.errors import PromptError
from geosam.prompts.prompt import Prompt
from geosam.windows import WindowPlan

CONTEXT = 0.1
"""What a window should show around an object, as a fraction of the object's longer side."""


def assign(
    prompts: Iterable[Prompt], plans: Sequence[WindowPlan], *, first: int = 0
) -> dict[tuple[int, int], list[Prompt]]:
    """Give each prompt to exactly one window: the best one of the finest level that shows the whole object.

    An object counts as shown if a tenth of its longer side is visible around it, as far as the scene goes. What no
    level shows whole goes to the coarsest one. Each window then needs to be encoded once, however many prompts it has.

    Parameters
    ----------
    prompts
        Prompts in pixels of the working grid.
    plans
        The plan of level ``l`` covers the grid coarsened by ``2**l``: a prompt's coordinates there are its own divided
        by ``2**l``.
    first
        The finest level to consider.

    Returns
    -------
    ``(level, window index)`` to its prompts: keys ascending, prompts by row.

    Raises
    ------
    PromptError
        If there is no plan for level `first`.

    Examples
    --------
    >>> import numpy as np
    >>> field = Prompt(0, "field", box_px=np.array([100.0, 100.0, 1900.0, 600.0]))
    >>> list(assign([field], [WindowPlan((2048, 2048)), WindowPlan((1024, 1024))]))
    [(1, 0)]
    """
    levels = dict(enumerate(plans))
    if first not in levels:
        raise PromptError(f"no window plan for level {first}", expected=f"one of {len(plans)} levels")
    placed: dict[tuple[int, int], list[Prompt]] = {}
    for prompt in prompts:
        placed.setdefault(_place(prompt, levels, first), []).append(prompt)
    return {place: sorted(placed[place], key=lambda prompt: prompt.row) for place in sorted(placed)}


def _place(prompt: Prompt, levels: Mapping[int, WindowPlan], first: int) -> tuple[int, int]:
    """Level and window index for one prompt."""
    x0, y0, x1, y1 = prompt.extent_px
    context = CONTEXT * max(x1 - x0, y1 - y0)
    for level, plan in levels.items():
        if level < first:
            continue
        step, (height, width) = 2.0**level, plan.shape
        left, right = max((x0 - context) / step, 0.0), min((x1 + context) / step, float(width))
        top, bottom = max((y0 - context) / step, 0.0), min((y1 + context) / step, float(height))
        if max(right - left, bottom - top) > plan.size:
            continue
        index = plan.best((left, top, right, bottom))
        if _shows(plan[index].window, left, top) and _shows(plan[index].window, right, bottom):
            return level, index
    coarsest = max(levels)
    return coarsest, _best_part(prompt, levels[coarsest], 2.0**coarsest)


def _best_part(prompt: Prompt, plan: WindowPlan, step: float) -> int:
    """The window that shows most of an object larger than a window, and its anchor."""
    x0, y0, x1, y1 = (value / step for value in prompt.extent_px)
    x, y = (value / step for value in prompt.anchor_px)
    index = plan.best((x0, y0, x1, y1))
    return index if _shows(plan[index].window, x, y) else plan.best((x, y, x, y))


def _shows(window: Window, x: float, y: float) -> bool:
    """Whether a point lies in a window or on its edge."""
    return 0 <= x - window.col_off <= window.width and 0 <= y - window.row_off <= window.height
