"""A chip: what a network sees of one window of a scene."""

from dataclasses import dataclass

from odc.geo.gcp import GCPGeoBox
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from geosam.arrays import Pixels, Valid


@dataclass(frozen=True)
class Chip:
    """What a network sees of one window.

    Attributes
    ----------
    pixels
        Stretched to 8 bits. Where there is no data each band holds the mean of its data, so that no hard edge
        appears. Outside an area of interest the scene stays visible, as context.
    valid
        True where there is data, inside the area of interest if there is one.
    window
        Where it lies in the working grid.
    geobox
        Its place in the world.
    """

    pixels: Pixels
    valid: Valid
    window: Window
    geobox: GeoBox | GCPGeoBox
