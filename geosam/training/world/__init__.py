"""A procedural world of overhead imagery with exact instance masks.

A seed becomes a layout (what stands where, in metres), the layout is painted on a canvas (reflectance, height, labels),
the sun casts shadows, and a sensor takes the picture.

>>> from geosam.training.world import render
>>> render(1, 64).labels.shape
(64, 64)
"""

from geosam.training.world.rendering import EVENTS, THEMES, Pair, World, photograph, render, render_pair

__all__ = ["EVENTS", "THEMES", "Pair", "World", "photograph", "render", "render_pair"]
