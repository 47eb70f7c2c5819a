"""Where a scene's pixels lie in the world: places and shapes from the map to pixels, and back.

The protocol counts in pixels of the scene's full-resolution grid, (x, y) from the corner of the top-left pixel, y down.
QGIS shows rotated scenes warped to a grid of their own, so that only what the server says of the transform counts.
"""

from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsLineString, QgsMultiPolygon, QgsPointXY, QgsPolygon


class PlaceError(Exception):
    """The scene cannot be clicked in QGIS; the text is one line for the user."""


class Place:
    """The affine transform and the CRS of a scene.

    Parameters
    ----------
    transform
        a, b, c, d, e, f: x_world = a x + b y + c, y_world = d x + e y + f, from pixel corners.
    size
        Width and height, pixels.
    crs
        CRS of the scene; it may be invalid, then the map's coordinates are the scene's.

    >>> Place((2, 0, 100, 0, -2, 50), (10, 10), None).to_px(104.0, 44.0)
    (2.0, 3.0)
    """

    def __init__(self, transform, size, crs):
        a, b, _, d, e, _ = transform
        self._area = a * e - b * d
        if not self._area:
            raise PlaceError("the scene's transform cannot be inverted: repair its georeferencing")
        self.transform, self.size, self.crs = tuple(transform), tuple(size), crs

    @classmethod
    def of(cls, scene, layer):
        """The place of a scene as the server describes it, shown as a layer.

        Raises
        ------
        PlaceError
            If there is no transform, as with ground control points, or the layer shows another grid.
        """
        size = scene["width"], scene["height"]
        crs = layer.crs()
        if scene.get("wkt"):
            told = QgsCoordinateReferenceSystem.fromWkt(scene["wkt"])
            crs = told if told.isValid() else crs
        if scene.get("transform"):
            return cls(scene["transform"], size, crs)
        if (layer.width(), layer.height()) != size or "transform" in scene:
            why = "lies by control points" if "transform" in scene else "is rotated or has control points"
            raise PlaceError(
                f"{layer.name()} {why}, so that QGIS shows it warped: warp it to a grid first "
                "(Raster > Projections > Warp), or click it on geosam's own page (geosam serve)"
            )
        box, (width, height) = layer.extent(), size
        across, down = box.width() / width, -box.height() / height
        return cls((across, 0.0, box.xMinimum(), 0.0, down, box.yMaximum()), size, layer.crs())

    def to_px(self, x, y):
        """A place in the scene's CRS as a pixel."""
        a, b, c, d, e, f = self.transform
        x, y = x - c, y - f
        return (e * x - b * y) / self._area, (a * y - d * x) / self._area

    def to_world(self, x, y):
        """A pixel as a place in the scene's CRS."""
        a, b, c, d, e, f = self.transform
        return a * x + b * y + c, d * x + e * y + f

    def holds(self, x, y):
        """Whether a pixel lies in the scene."""
        width, height = self.size
        return 0 <= x < width and 0 <= y < height

    def shape_to_world(self, shape):
        """A shape of the protocol as a geometry in the scene's CRS; an empty one for none."""
        return self._geometry(shape, self.to_world)

    def shape_to_px(self, shape):
        """A shape of the protocol as a geometry in pixels."""
        return self._geometry(shape, lambda x, y: (x, y))

    def point(self, x, y):
        """A pixel as a `QgsPointXY` in the scene's CRS."""
        return QgsPointXY(*self.to_world(x, y))

    @staticmethod
    def _geometry(shape, turned):
        if not shape:
            return QgsGeometry()
        parts = shape["coordinates"] if shape["type"] == "MultiPolygon" else [shape["coordinates"]]
        found = QgsMultiPolygon()
        for rings in parts:
            lines = []
            for ring in rings:
                xs, ys = zip(*(turned(x, y) for x, y, *_ in ring))
                lines.append(QgsLineString(list(xs), list(ys)))
            found.addGeometry(QgsPolygon(lines[0], lines[1:]))
        return QgsGeometry(found)
