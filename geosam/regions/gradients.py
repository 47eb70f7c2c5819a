"""Boundary strength: how fast the picture and the encoder's finest features change at each pixel.

Both are gradient magnitudes (square root of the squares summed over channels and directions). That of the picture is
taken after a binomial filter of five taps (a Gaussian of one pixel), in whole numbers, and so does not depend on the
window it was read with. That of the features is taken on their own grid and interpolated. Each is divided by its 95 %
quantile over the **scene** (`Scale`), never over a window: what is faint in one window stays faint beside its strong
neighbour.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from geosam.arrays import AnyPixels, Pixels
from geosam.errors import ModelError
from geosam.regions.features import FineFeatures

AnyValid = Bool[np.ndarray, "_ _"]
"""Validity of one of several windows, which need not have one shape."""

QUANTILE = 0.95
"""Where the gradients of a scene are called strong: 1 in units of `Scale`."""

FEATURE_SHARE = 0.5
"""Weight of the features' gradient beside the picture's; both alone were worse on held-out pictures."""

COMPONENTS = 8
"""Principal components of the features that regions are compared by."""

STEP = 4
"""Every so manyth row and column is measured for the scale."""

FAINT, NEAR = 0.5, 5
"""Grey levels per pixel at which half of the features' say is taken from them, and cells around that are looked at."""

FLAT = 1e-3
"""Least scale, in grey levels or feature units, so that an even scene has gradients of 0 and not of noise."""


@dataclass(frozen=True)
class Scale:
    """What a scene's gradients and features are measured in.

    Attributes
    ----------
    picture, features
        The `QUANTILE` of either gradient's magnitude, in grey levels and in feature units per pixel of its grid.
    mean, basis
        Mean of the finest features (``c``) and their principal components (``c k``), divided by the root of the
        total variance kept: projected features have variance 1 in total.
    colour
        Root of the mean variance of the picture's three bands, in grey levels.

    Raises
    ------
    ModelError
        If the components do not fit the mean, or a scale is not positive.
    """

    picture: float
    features: float
    mean: Float32[np.ndarray, "c"]
    basis: Float32[np.ndarray, "c k"]
    colour: float

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.basis) or not min(self.picture, self.features, self.colour) > 0:
            raise ModelError(
                f"a scale of {self.picture}, {self.features}, {self.colour} with {self.basis.shape}",
                expected="positive scales, and a row of the basis for each feature",
            )

    @classmethod
    def of_nothing(cls) -> "Scale":
        """The scale of a scene without data."""
        return cls(1.0, 1.0, np.zeros(1, np.float32), np.zeros((1, 1), np.float32), 1.0)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain arrays for a journal."""
        numbers = np.array([self.picture, self.features, self.colour])
        return {"numbers": numbers, "mean": self.mean, "basis": self.basis}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Scale":
        """The inverse of `to_arrays`."""
        picture, features, colour = arrays["numbers"].tolist()
        return cls(picture, features, arrays["mean"], arrays["basis"], colour)

    def project(
        self, values: Float32[np.ndarray, "c gh gw"], seen: Float32[np.ndarray, "gh gw"]
    ) -> Float32[np.ndarray, "gh gw k"]:
        """The features by their components, as regions are compared by; the mean where there is nothing to be seen."""
        c, h, w = values.shape
        parts = self.basis.T @ values.reshape(c, h * w) - (self.mean @ self.basis)[:, None]
        return np.ascontiguousarray(parts.T).reshape(h, w, -1) * seen[..., None]


def measure_scale(windows: Sequence[tuple[AnyPixels, FineFeatures, AnyValid]]) -> Scale:
    """Measure a scene on some of its windows.

    Parameters
    ----------
    windows
        Pixels, finest features and validity (``h w``) of each window.

    Returns
    -------
    Scale
        The same for the same windows; windows without valid pixels count for nothing.
    """
    picture, features, colours, samples = [], [], [], []
    for pixels, fine, valid in windows:
        gradient, values = picture_gradient(pixels), fine.values.astype(np.float32)
        known = valid[np.ix_(*fine.middles(valid.shape))]
        picture.append(gradient[::STEP, ::STEP][valid[::STEP, ::STEP]])
        features.append((feature_gradient(values) * visible(gradient, fine))[known])
        colours.append(pixels[:, ::STEP, ::STEP][:, valid[::STEP, ::STEP]])
        samples.append(values[:, known].T[::STEP])
    vectors = np.concatenate(samples).astype(np.float64)
    mean = vectors.mean(0) if len(vectors) else np.zeros(len(windows[0][1].values))
    return Scale(
        picture=_quantile(picture),
        features=_quantile(features),
        mean=mean.astype(np.float32),
        basis=_components(vectors - mean),
        colour=_spread(colours),
    )


def strength(
    gradient: Float32[np.ndarray, "h w"],
    values: Float32[np.ndarray, "c gh gw"],
    fine: FineFeatures,
    scale: Scale,
    seen: Float32[np.ndarray, "gh gw"],
) -> Float32[np.ndarray, "h w"]:
    """Boundary strength of a window; around 0 inside even ground, 1 and more on strong borders.

    Parameters
    ----------
    gradient
        `picture_gradient` of the window.
    fine
        The encoder's finest features over the window.
    scale
        The scene's.
    seen
        `visible` in the window.
    """
    h, w = gradient.shape
    total = fine.enlarge(feature_gradient(values) * seen, (h, w))
    total *= np.float32(FEATURE_SHARE / scale.features)
    total += gradient * np.float32((1 - FEATURE_SHARE) / scale.picture)
    return total


def visible(gradient: Float32[np.ndarray, "h w"], fine: FineFeatures) -> Float32[np.ndarray, "gh gw"]:
    """How far there is something to be seen around each cell of the features, in [0, 1).

    Over ground of one even value, such as an unmarked collar, features vary all the same: with the distance to the
    window's edge. That is no border.
    """
    h, w = gradient.shape
    rows, cols = fine.starts((h, w))
    most = np.maximum.reduceat(np.maximum.reduceat(gradient, rows, axis=0), cols, axis=1)
    most = ndimage.maximum_filter(most, NEAR, mode="nearest")
    return most / (most + np.float32(FAINT))


def picture_gradient(pixels: Pixels) -> Float32[np.ndarray, "h w"]:
    """Gradient magnitude over three bands, in grey levels per pixel.

    Examples
    --------
    >>> step = np.zeros((3, 5, 8), np.uint8)
    >>> step[:, :, 4:] = 160
    >>> picture_gradient(step)[2].round().astype(int).tolist()
    [0, 9, 43, 87, 87, 43, 9, 0]
    """
    wide = np.pad(pixels, ((0, 0), (3, 3), (3, 3)), mode="edge").astype(np.uint16)
    for _ in range(4):  # [1 1] four times is [1 4 6 4 1]
        wide = wide[:, 1:] + wide[:, :-1]
    for _ in range(4):
        wide = wide[:, :, 1:] + wide[:, :, :-1]
    smooth = wide.astype(np.float32)
    total = np.zeros(pixels.shape[1:], np.float32)
    for band in smooth:
        for difference in (band[2:, 1:-1] - band[:-2, 1:-1], band[1:-1, 2:] - band[1:-1, :-2]):
            total += difference * difference
    return np.sqrt(total, out=total) / np.float32(512)


def feature_gradient(fine: Float32[np.ndarray, "c h w"]) -> Float32[np.ndarray, "h w"]:
    """Gradient magnitude of features on their own grid, after a binomial filter of three taps."""
    wide = np.pad(fine, ((0, 0), (2, 2), (2, 2)), mode="edge")
    wide = wide[:, 2:] + wide[:, :-2] + 2 * wide[:, 1:-1]
    wide = wide[:, :, 2:] + wide[:, :, :-2] + 2 * wide[:, :, 1:-1]
    down, right = wide[:, 2:, 1:-1] - wide[:, :-2, 1:-1], wide[:, 1:-1, 2:] - wide[:, 1:-1, :-2]
    return np.sqrt(np.einsum("chw,chw->hw", down, down) + np.einsum("chw,chw->hw", right, right)) / np.float32(32)


def _spread(colours: list[np.ndarray]) -> float:
    """Root of the mean variance of three bands over all pixels."""
    values = np.concatenate(colours, axis=1).astype(np.float64)
    return float(np.sqrt(values.var(1).mean())) + FLAT if values.size else 1.0


def _quantile(parts: list[np.ndarray]) -> float:
    values = np.concatenate(parts)
    return max(float(np.quantile(values, QUANTILE)), FLAT) if len(values) else 1.0


def _components(centred: np.ndarray) -> Float32[np.ndarray, "c k"]:
    """Principal components, scaled to a total variance of 1, each with its largest weight positive."""
    channels = centred.shape[1]
    covariance = centred.T @ centred / max(len(centred), 1)
    variance, vectors = np.linalg.eigh(covariance)
    basis = vectors[:, ::-1][:, : min(COMPONENTS, channels)]
    kept = variance[::-1][: basis.shape[1]].clip(0).sum()
    peak = basis[np.abs(basis).argmax(0), np.arange(basis.shape[1])]
    return (basis * np.where(peak < 0, -1, 1) / np.sqrt(kept + FLAT**2)).astype(np.float32)
