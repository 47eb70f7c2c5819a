"""Windows of a scene as its region tree sees them, in features that agree from window to window."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from geosam.pipeline.run import Run
from geosam.regions import FineFeatures, Margin, Patch, Spot, TileGrid, agree


class Look(NamedTuple):
    """One window."""

    pixels: np.ndarray
    fine: FineFeatures
    valid: np.ndarray


@dataclass
class Looks:
    """Windows of the scene as the tree sees them: pixels, validity and fine features.

    Attributes
    ----------
    run, grid
        What is looked at.
    full
        The blocks with data.
    held
        What was seen for the scale and is wanted again.
    """

    run: Run
    grid: TileGrid
    full: set[Spot]
    held: dict[Spot, Look] = field(default_factory=dict)

    def each(self, spots: Sequence[Spot]) -> Iterator[Look]:
        """The windows of some blocks, in order, read ahead; each as its encoder sees it."""
        windows = [self.grid.planned(spot).window for spot in spots if spot not in self.held]
        fresh = self.run.embed_each(self.run.scene, windows)
        for spot in spots:
            if spot in self.held:
                yield self.held.pop(spot)
            else:
                chip, seen = next(fresh)
                yield Look(chip.pixels, FineFeatures.of(seen, self.run.network), chip.valid)

    def agreed(self, spots: Sequence[Spot]) -> Iterator[Look]:
        """The same in features that agree with those of the blocks before them in the order of `TileGrid.blocks`.

        What later blocks are to agree with is kept in the journal.
        """
        for spot, look in zip(spots, self.each(spots), strict=True):
            yield look._replace(fine=self._agree(spot, look.fine))

    def _agree(self, spot: Spot, fine: FineFeatures) -> FineFeatures:
        window, margin, near = self.grid.planned(spot).window, self._margin(spot), self._near(spot)
        before = [(margin, self._patch(other, spot)) for other, margin in near if self._turn[other] < self._turn[spot]]
        fine = agree(fine, window, margin, before)
        made = Patch.of(fine, window)
        for other, there in near:
            if self._turn[other] > self._turn[spot]:
                part = made.cut(margin.shared(there))
                self.run.journal.put(patch_name(spot, other), part.to_arrays(), packed=False)
        return fine

    def _patch(self, spot: Spot, later: Spot) -> Patch:
        """What a window made of the ground that it shares with a later one; looked at again if it was lost."""
        name = patch_name(spot, later)
        if (arrays := self.run.journal.get(name)) is None:
            (look,) = self.each([spot])
            self._agree(spot, look.fine)
            arrays = self.run.once(name, dict)
        return Patch.from_arrays(arrays)

    def owned(self, spot: Spot) -> np.ndarray:
        """``h w``: which pixels of a block's window are the block's."""
        window, place = self.grid.planned(spot).window, self.grid.place(spot)
        owned = np.zeros((round(window.height), round(window.width)), bool)
        owned[place.top : place.top + place.shape[0], place.left : place.left + place.shape[1]] = True
        return owned

    def _margin(self, spot: Spot) -> Margin:
        return Margin.of(self.grid.planned(spot), self.run.scene.shape)

    def _near(self, spot: Spot) -> list[tuple[Spot, Margin]]:
        """The other blocks with data whose windows have a say on some of the same ground, in the order of the plan."""
        plan, margin = self.grid.plan, self._margin(spot)
        others = ((other.row, other.col) for other in plan.meeting(self.grid.planned(spot).asked))
        near = [(other, self._margin(other)) for other in others if other != spot and other in self.full]
        return [(other, there) for other, there in near if margin.meets(there)]

    @cached_property
    def _turn(self) -> dict[Spot, int]:
        return {spot: turn for turn, spot in enumerate(self.grid.blocks())}


def patch_name(spot: Spot, later: Spot) -> str:
    """The name under which it is kept what a block's window made of the ground that it shares with a later one."""
    return "fine-" + "-".join(f"{number:04d}" for number in (*spot, *later))
