"""Texture: how much pixels of a segment differ from those one and three pixels beside and below them."""

import numpy as np

LAGS = (1, 3)
"""Distances in px: neighbouring pixels, and some pattern of rows or crowns."""

_SOFT = 16.0
"""How quickly likeness fades with the difference; at 1/16 of the scene's range it is a half."""


class Texture:
    """Sums over pairs of pixels in the same segment, as strips pass by; exact as in `Statistics`.

    Differences are of the grey value, in units of the scene's range.
    """

    def __init__(self, n: int) -> None:
        shape = (len(LAGS), 2, n)  # lag, direction, segment
        self._pairs, self._edges = np.zeros(shape, np.int64), np.zeros(shape)
        self._squares, self._alike = np.zeros(shape), np.zeros(shape)
        self._held: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, labels: np.ndarray, grey: np.ndarray) -> None:
        """Add a strip: segment of each pixel plus 1, 0 for those that do not count, and its grey value."""
        above = self._held or (labels[:0], grey[:0])
        both = [np.concatenate(pair) for pair in zip(above, (labels, grey), strict=True)]
        first = len(above[0])
        for number, lag in enumerate(LAGS):
            self._pair(number, 0, (labels[:, :-lag], labels[:, lag:]), (grey[:, :-lag], grey[:, lag:]))
            start = max(first - lag, 0)
            upper = [part[start : len(part) - lag] for part in both] if len(both[0]) > lag else None
            if upper is not None:
                lower = [part[start + lag :] for part in both]
                self._pair(number, 1, (upper[0], lower[0]), (upper[1], lower[1]))
        self._held = both[0][-max(LAGS) :].copy(), both[1][-max(LAGS) :].copy()

    def _pair(self, lag: int, way: int, labels: tuple, grey: tuple) -> None:
        same = (labels[0] == labels[1]) & (labels[0] > 0)
        rows, off = labels[0][same] - 1, np.abs(grey[0][same] - grey[1][same])
        np.add.at(self._pairs[lag, way], rows, 1)
        np.add.at(self._edges[lag, way], rows, off)
        np.add.at(self._squares[lag, way], rows, off * off)
        np.add.at(self._alike[lag, way], rows, 1 / (1 + (_SOFT * off) ** 2))

    def columns(self) -> dict[str, np.ndarray]:
        """``edge, contrast, likeness`` at each lag; 0, 0 and 1 for segments too small to have pairs."""
        found = {}
        for number, lag in enumerate(LAGS):
            pairs = self._pairs[number].sum(axis=0)
            some = np.maximum(pairs, 1)
            found[f"edge_{lag}"] = self._edges[number].sum(axis=0) / some
            found[f"contrast_{lag}"] = np.sqrt(self._squares[number].sum(axis=0) / some)
            found[f"likeness_{lag}"] = np.where(pairs > 0, self._alike[number].sum(axis=0) / some, 1.0)
        return found
