"""Two dates of a place as pictures on one pixel grid, for a swipe between them."""

import numpy as np
from rasterio.windows import Window

from geosam.change.pair import Pair, open_pair
from geosam.scene import Scene
from geosam.serve.pictures import TILE_PX, Look, Picture


class AfterPicture(Picture):
    """Tiles of the scene after, resampled to the grid of the scene before.

    Parameters
    ----------
    pair
        Both scenes.
    """

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair.before)
        self.pair = pair

    def pixels(self, level: int, col: int, row: int, look: Look | None = None) -> np.ndarray:
        """A tile as red, green, blue and alpha, in the scene's own bands and stretch whatever is asked for."""
        self.check(level, col, row)
        factor = 2.0**level
        both = self.pair
        if level:
            both = Pair(self.pair.before.coarsened(factor), self.pair.after.coarsened(factor))
        window = Window(col * TILE_PX, row * TILE_PX, TILE_PX, TILE_PX)  # pyright: ignore[reportCallIssue]  # attrs class without stubs
        rgba = np.zeros((TILE_PX, TILE_PX, 4), np.uint8)
        h, w = both.shape
        if window.row_off >= h or window.col_off >= w:  # a rest of less than half a coarse pixel
            return rgba
        seen = both.read(window)
        height, width = seen.seen.shape
        rgba[:height, :width, :3] = np.moveaxis(seen.after, 0, -1) * seen.seen[..., None]
        rgba[:height, :width, 3] = np.where(seen.seen, 255, 0)
        return rgba


def pictures_of(before: Scene, after: Scene) -> tuple[Scene, dict[str, Picture]]:
    """The scene before, cropped to where both lie, and the pictures of both.

    Raises
    ------
    SceneError
        If they do not meet.
    """
    pair = open_pair(before, after)
    return pair.before, {"before": Picture(pair.before), "after": AfterPicture(pair)}
