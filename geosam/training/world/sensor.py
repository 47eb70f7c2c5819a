"""From reflectances to the pixels of a picture: air, optics, detector, processing, file."""

import io
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from geosam.arrays import Bands
from geosam.training.world.noise import fractal_noise

Light = Float32[np.ndarray, "4 h w"]


@dataclass(frozen=True)
class Sensor:
    """How a picture was taken.

    Parameters
    ----------
    haze
        Share of light that comes from the air, per band.
    cloud, cloud_shadow
        Strength of thin cloud and of the shadow of a cloud, 0 to 1.
    blur_px
        Standard deviation of the optics' blur.
    noise, noise_px
        Standard deviation of the detector's noise, as a share of white, and how far it is smeared.
    brightness
        Mean of the picture after exposure, 0 to 1.
    black
        Share of the darkest reflectance that the display takes for black.
    saturation
        Strength of colours, 1 as they are.
    cast, gamma
        Per-band gain and exponent of the display.
    bands
        Which of red, green, blue, near infrared are shown as red, green, blue.
    quality
        JPEG quality; 0 for none.
    """

    haze: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    cloud: float = 0.0
    cloud_shadow: float = 0.0
    blur_px: float = 0.5
    noise: float = 0.01
    noise_px: float = 0.0
    brightness: float = 0.4
    black: float = 0.3
    saturation: float = 0.9
    cast: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    gamma: float = 2.2
    bands: tuple[int, int, int] = (0, 1, 2)
    grey: bool = False
    sharpen: float = 0.0
    quality: int = 0


def draw_sensor(rng: np.random.Generator, resolution_m: float) -> Sensor:
    """A plausible sensor for a resolution: drones at 0.1 m are sharp and vivid, satellites at 10 m hazy and soft."""
    far = resolution_m > 0.35
    haze = rng.gamma(1.5, 0.012 if far else 0.003)
    cast = np.exp(rng.normal(0.0, 0.06, 4))
    false_colour = rng.random() < 0.05
    return Sensor(
        haze=(haze * 0.6, haze * 0.8, haze * 1.1, haze * 0.3),
        cloud=float(rng.uniform(0.2, 0.8)) if far and rng.random() < 0.06 else 0.0,
        cloud_shadow=float(rng.uniform(0.3, 0.6)) if far and rng.random() < 0.06 else 0.0,
        blur_px=rng.uniform(0.3, 0.75) if rng.random() < 0.8 else rng.uniform(0.75, 1.7),
        noise=float(rng.gamma(1.5, 0.0045)),
        noise_px=float(rng.uniform(0.4, 0.9)) if rng.random() < 0.4 else 0.0,
        brightness=float(np.clip(rng.normal(0.43, 0.08), 0.2, 0.65)),
        black=rng.uniform(0.2, 1.0),
        saturation=float(np.clip(rng.normal(0.8, 0.2), 0.35, 1.3)),
        cast=tuple(cast.tolist()),
        gamma=float(rng.uniform(1.8, 2.5)),
        bands=(3, 0, 1) if false_colour else (0, 1, 2),
        grey=bool(rng.random() < 0.04),
        sharpen=rng.uniform(0.3, 1.2) if rng.random() < 0.5 else 0.0,
        quality=int(rng.integers(45, 96)) if rng.random() < 0.6 else 0,
    )


def through_air(light: Light, sensor: Sensor, rng: np.random.Generator) -> Light:
    """Add haze, thin cloud, cloud shadow and the blur of the optics."""
    shape = light.shape[1:]
    if sensor.cloud_shadow:
        veil = np.clip(fractal_noise(rng, shape, shape[0] / 1.5, 3) * 3, 0, 1)
        light = light * (1 - np.float32(sensor.cloud_shadow) * veil)
    if sensor.cloud:
        veil = np.clip(fractal_noise(rng, shape, shape[0] / 2, 5) * 1.2, 0, 1) * np.float32(sensor.cloud)
        light = light + (0.85 - light) * veil
    light = light + np.array(sensor.haze, np.float32)[:, None, None]
    return blurred(light, sensor.blur_px)


def blurred(light: Bands, sigma_px: float) -> Bands:
    """Each band blurred by about a Gaussian of a standard deviation: passes of three taps, whose variances add up.

    Examples
    --------
    >>> dot = np.zeros((1, 1, 3), np.float32)
    >>> dot[0, 0, 1] = 8.0
    >>> blurred(dot, 0.5)[0, 0].tolist()
    [1.0, 6.0, 1.0]
    """
    if sigma_px < 0.25:
        return light
    passes = math.ceil(sigma_px**2 / 0.5)
    share = np.float32(sigma_px**2 / passes / 2)
    for _ in range(passes):
        light = _three_taps(_three_taps(light, share).swapaxes(1, 2), share).swapaxes(1, 2)
    return light


def _three_taps(light: Bands, share: np.float32) -> Bands:
    """Each row mixed with a share of the rows above and below; the outermost rows stand in for those beyond."""
    mixed = light * (1 - 2 * share)
    part = light * share
    mixed[:, 1:] += part[:, :-1]
    mixed[:, :-1] += part[:, 1:]
    mixed[:, 0] += part[:, 0]
    mixed[:, -1] += part[:, -1]
    return mixed


def develop(light: Light, sensor: Sensor, rng: np.random.Generator) -> UInt8[np.ndarray, "3 h w"]:
    """Display-ready pixels: exposure, gamma, band order, noise, sharpening, compression."""
    values = _exposed(light, sensor)
    if sensor.grey:
        values[:] = values.mean(axis=0)
    elif sensor.saturation != 1.0:
        grey = values.mean(axis=0)
        values = grey + (values - grey) * np.float32(sensor.saturation)
    if sensor.sharpen:
        values = values + np.float32(sensor.sharpen) * (values - blurred(values, 1.0))
    noise = rng.standard_normal(values.shape, np.float32)
    if sensor.noise_px:
        noise = blurred(noise, sensor.noise_px) * np.float32(1 + 2.5 * sensor.noise_px)
    values = values + noise * np.float32(sensor.noise)
    pixels = (np.clip(values, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)
    return compressed(pixels, sensor.quality) if sensor.quality else pixels


def _exposed(light: Light, sensor: Sensor) -> Float32[np.ndarray, "3 h w"]:
    """Three bands scaled so that their mean on the screen is the sensor's brightness."""
    bands = list(sensor.bands)
    gain = np.array(sensor.cast, np.float32)[bands]
    if sensor.bands[0] == 3:
        means = light[bands, ::4, ::4].mean(axis=(1, 2))
        gain[0] *= 0.65 * (means[1] + means[2]) / means[0]
    shown = light[bands] * gain[:, None, None]
    sample = shown[:, ::4, ::4]
    shown = np.clip(shown - np.float32(sensor.black * np.quantile(sample, 0.01)), 1e-4, None)
    gain = sensor.brightness / max(float((shown[:, ::4, ::4] ** (1 / sensor.gamma)).mean()), 1e-3)
    return np.exp(np.log(shown) * np.float32(1 / sensor.gamma)) * np.float32(gain)


def compressed(pixels: UInt8[np.ndarray, "3 h w"], quality: int) -> UInt8[np.ndarray, "3 h w"]:
    """The pixels after a round trip through JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(buffer, "JPEG", quality=quality)
    return np.ascontiguousarray(np.asarray(Image.open(buffer)).transpose(2, 0, 1))
