"""A radar's picture of the ground: brightness by roughness and moisture instead of colour, and speckle."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from geosam.training.world.noise import smooth_noise
from geosam.training.world.sensor import Light, blurred

Field = Float32[np.ndarray, "h w"]

SMOOTH = 0.004
"""Backscatter of the smoothest surface, still water or oil, as a share of full scale."""


@dataclass(frozen=True)
class Radar:
    """How a synthetic-aperture radar sees a place.

    Parameters
    ----------
    looks
        Independent looks that are averaged: the speckle's standard deviation is ``1 / looks ** 0.5`` of the signal.
    speckle_px
        How far the speckle is smeared.
    polarised
        Whether two polarisations and their ratio are shown as a picture in colour; one in grey otherwise.
    low, high
        Shares of the pixels that the display takes for black and for white.
    """

    looks: float = 4.0
    speckle_px: float = 0.5
    polarised: bool = False
    low: float = 0.02
    high: float = 0.99


def draw_radar(rng: np.random.Generator) -> Radar:
    """A plausible radar, from a single look to a filtered, many-looked product."""
    return Radar(
        looks=float(np.exp(rng.uniform(0.0, np.log(24.0)))),
        speckle_px=float(rng.uniform(0.3, 0.9)),
        polarised=bool(rng.random() < 0.3),
        low=float(rng.uniform(0.002, 0.05)),
        high=float(rng.uniform(0.97, 0.999)),
    )


def backscatter(light: Light, height: Field) -> Float32[np.ndarray, "2 h w"]:
    """What comes back, in like and cross polarisation: much from walls and crowns, little from smooth ground and water.

    Near infrared stands for vegetation's volume, brightness for rough dry ground; what stands up returns more.
    """
    red, infrared = light[0], light[3]
    leaves = np.clip(infrared - red, 0.0, None)
    ground = SMOOTH + 0.5 * np.clip(infrared, 0.0, 1.0) ** 1.5
    body = 1 + np.clip(height / 4, 0.0, 2.5) * (leaves < 0.1)
    like = ground * body + 0.3 * leaves
    cross = 0.25 * ground * np.sqrt(body) + 0.5 * leaves
    return np.stack([like, cross]).astype(np.float32)


def develop_radar(light: Light, height: Field, radar: Radar, rng: np.random.Generator) -> UInt8[np.ndarray, "3 h w"]:
    """Display-ready pixels: speckle multiplies, decibels are stretched.

    Speckle of ``n`` looks is gamma distributed with a mean of 1 (Goodman 1976, "Some fundamental properties of
    speckle").
    """
    signal = backscatter(light, height)
    swell = 1 + 0.12 * smooth_noise(rng, signal.shape[1:], signal.shape[1] / 6)
    speckle = rng.gamma(radar.looks, 1 / radar.looks, signal.shape).astype(np.float32)
    seen = blurred(signal * np.clip(swell, 0.4, 1.6) * speckle, radar.speckle_px)
    decibels = 10 * np.log10(np.maximum(seen, 1e-5))
    bands = [*decibels, decibels[0] - decibels[1]] if radar.polarised else [decibels[0]] * 3
    return np.stack([_stretched(band, radar) for band in bands])


def _stretched(band: Field, radar: Radar) -> UInt8[np.ndarray, "h w"]:
    low, high = np.quantile(band[::2, ::2], [radar.low, radar.high])
    share = np.clip((band - low) / max(float(high - low), 1e-3), 0.0, 1.0)
    return (share * 255 + 0.5).astype(np.uint8)
