"""How much a run may be asked to do: its windows are counted before any is laid out."""

from geosam.errors import OptionError
from geosam.pipeline.options import SegmentOptions
from geosam.scene import Scene

MOST_WINDOWS = 250_000
"""Windows of a run: at the usual size those of a scene of 450,000 px a side, which take days."""

MOST_LOOKS = 64
"""Windows that may see a pixel: neighbours then share seven eighths of their sides."""

MOST_FINER = 64
"""How many times as fine as the raster a working grid may be."""


def check_size(scene: Scene, options: SegmentOptions, *, side: int, asks_everything: bool) -> None:
    """Refuse a run that nobody can mean, with its size.

    Parameters
    ----------
    scene, options
        What is asked for.
    side
        Side in px of the windows that suit the network.
    asks_everything
        Whether all windows are looked at, not only those that prompts fall into.

    Raises
    ------
    OptionError
        If the working grid is senselessly fine, windows overlap almost wholly, or are more than `MOST_WINDOWS`.
    """
    finer = scene.whole[0] / scene.raster.info.shape[0]
    if finer > MOST_FINER:
        raise OptionError(
            f"a resolution {finer:,.0f} times as fine as the pixels of {scene.name}",
            expected=f"at most {MOST_FINER} times as fine",
            hint="a resolution is the size of a pixel in units of the CRS, or as in '0.5 m'",
        )
    plan = options.plan(scene.shape, side=side)
    looks = (plan.size / (plan.size - plan.overlap)) ** 2
    if looks > MOST_LOOKS and plan.count > 1:
        raise OptionError(
            f"overlap={plan.overlap} with window={plan.size}, {plan.count:,} windows that each look at {looks:,.0f} "
            "times what is new",
            expected=f"an overlap of at most {plan.size * 7 // 8}",
            hint="an eighth of the window is a good overlap",
        )
    views = 5 if options.hierarchy else 1  # twice the resolution has four times the windows
    if asks_everything and plan.count * views > MOST_WINDOWS:
        h, w = scene.shape
        raise OptionError(
            f"{scene.name} has {w:,} x {h:,} px, {plan.count * views:,} windows, "
            f"{plan.count * views / 3600:,.0f} hours at one a second",
            expected=f"at most {MOST_WINDOWS:,} windows in a run",
            hint="choose an area of interest, a coarser resolution or larger windows, or give prompts",
        )
