"""Fakes for tests: scenes whose truth is known to the pixel, and networks that need no weights.

- `coordinate_scene` writes rasters whose pixel values are their own coordinates: any slip of windowing or stitching is
  measured in pixels. (The idea is odc-geo's ``xy_from_geobox``.)
- `blob_labels` and `parcel_labels` draw a known truth; `label_scene` writes a scene whose colours spell it.
- `TruthNetwork` is the perfect model for such a scene: what comes out of the pipeline must be the truth, and whatever
  is not is the pipeline's fault.
- `WatchedNetwork` is the same, keeps what it is given, and may be interrupted.
- `TruthFinder` finds by words what such a scene shows, as boxes or masks.
- `StubNetwork` answers at constant cost, for measurements of memory and time.
- `geosam.testing.device`, imported by itself, stands in for a graphics card: it shows what one would complain of.

Examples
--------
>>> import numpy as np
>>> from geosam.segmenter import PromptBatch
>>> labels = parcel_labels((64, 64), count=5, seed=1)
>>> network = TruthNetwork()
>>> features = network.encode(labels_to_pixels(labels))
>>> click = PromptBatch.of_clicks(np.array([[32.0, 32.0]], np.float32))
>>> logits, iou = network.decode(features, click)
>>> bool(((logits[0, 0] > 0) == (labels == labels[32, 32])).all())
True
"""

from geosam.testing.finders import TruthFinder
from geosam.testing.networks import StubNetwork, TruthNetwork, WatchedNetwork
from geosam.testing.scenes import (
    blob_labels,
    coordinate_scene,
    label_scene,
    labels_to_pixels,
    parcel_labels,
    pixels_to_labels,
)

__all__ = [
    "StubNetwork",
    "TruthFinder",
    "TruthNetwork",
    "WatchedNetwork",
    "blob_labels",
    "coordinate_scene",
    "label_scene",
    "labels_to_pixels",
    "parcel_labels",
    "pixels_to_labels",
]
