"""Where a scene's pixels lie in the world: places and shapes from the map to pixels, and back.

The protocol counts in pixels of the scene's full-resolution grid, (x, y) from the corner of the top-left pixel, y down.
QGIS shows rotated scenes warped to a grid of their own, so that only what the server says of the transform counts.
"""

from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsPointXY


class PlaceError(Exception):
    """The scene cannot be clicked in QGIS; the text is one line for the user."""


CELLS = 128
"""Cells across and down of a lattice; its corners are fewer than the 20,000 places that ``locate`` takes at once."""

CLOSE_PX, STEPS = 1e-6, 30
"""When a place in a lattice is found, and how often it is tried."""


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
        a, b, _, d, e, _ = self._line = tuple(transform)
        self._area = a * e - b * d
        if not self._area:
            raise PlaceError("the scene's transform cannot be inverted: repair its georeferencing")
        self.size, self.crs = tuple(size), crs

    @classmethod
    def of(cls, scene, layer, lattice=None):
        """The place of a scene as the server describes it, shown as a layer.

        Parameters
        ----------
        scene
            ``scene`` of the answer to ``hello``.
        layer
            The raster layer.
        lattice
            Where the pixels of `lattice_px` lie, for scenes without a transform, as with ground control points.

        Raises
        ------
        PlaceError
            If it cannot be known where the pixels lie.
        """
        size, crs = (scene["width"], scene["height"]), layer.crs()
        if scene.get("wkt"):
            told = QgsCoordinateReferenceSystem.fromWkt(scene["wkt"])
            crs = told if told.isValid() else crs
        if scene.get("transform"):
            return cls(scene["transform"], size, crs)
        if lattice is not None:
            return BentPlace(lattice, size, crs)
        if (layer.width(), layer.height()) != size or "transform" in scene:
            raise PlaceError(
                f"{layer.name()} is rotated or lies by control points, and this geosam does not say where its pixels "
                "are: warp it to a grid first (Raster > Projections > Warp)"
            )
        box, (width, height) = layer.extent(), size
        across, down = box.width() / width, -box.height() / height
        return cls((across, 0.0, box.xMinimum(), 0.0, down, box.yMaximum()), size, layer.crs())

    def to_px(self, x, y):
        """A place in the scene's CRS as a pixel."""
        a, b, c, d, e, f = self._line
        x, y = x - c, y - f
        return (e * x - b * y) / self._area, (a * y - d * x) / self._area

    def to_world(self, x, y):
        """A pixel as a place in the scene's CRS."""
        a, b, c, d, e, f = self._line
        return a * x + b * y + c, d * x + e * y + f

    def holds(self, x, y):
        """Whether a pixel lies in the scene."""
        width, height = self.size
        return 0 <= x < width and 0 <= y < height

    def clipped(self, xs_ys):
        """The box of some xs and ys as far as it lies in the scene: xmin, ymin, xmax, ymax; None if nothing does."""
        xs, ys = xs_ys
        width, height = self.size
        box = [max(min(xs), 0), max(min(ys), 0), min(max(xs), width), min(max(ys), height)]
        return box if box[0] < box[2] and box[1] < box[3] else None

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
        # from points, not from curves: QGIS 3.22 frees inner rings that Python has made twice
        return QgsGeometry.fromMultiPolygonXY(
            [[[QgsPointXY(*turned(x, y)) for x, y, *_ in ring] for ring in rings] for rings in parts]
        )


class BentPlace(Place):
    """The place of a scene that no affine transform describes: bilinear between the corners of a lattice.

    Control points and their polynomials bend so little within a hundredth of a scene that this is exact to a fraction
    of a pixel.

    Parameters
    ----------
    lattice
        Where the pixels of `lattice_px` lie in the world, row by row.
    size, crs
        See `Place`.

    >>> grid = [(2 * x, 50 - 2 * y) for x, y in lattice_px((10, 10))]
    >>> BentPlace(grid, (10, 10), None).to_px(4.0, 44.0)
    (2.0, 3.0)
    """

    def __init__(self, lattice, size, crs):
        self._nodes, (self._across, self._down) = lattice, size
        (x0, y0), (x1, y1), (x2, y2) = lattice[0], lattice[CELLS], lattice[CELLS * (CELLS + 1)]
        super().__init__(self._guess(x0, y0, x1, y1, x2, y2, size), size, crs)

    def to_px(self, x, y):
        px = super().to_px(x, y)
        for _ in range(STEPS):
            (wx, wy), (ax, ay), (bx, by) = self._at(*px)
            area = ax * by - bx * ay
            if not area:
                break
            dx, dy = ((x - wx) * by - (y - wy) * bx) / area, ((y - wy) * ax - (x - wx) * ay) / area
            px = px[0] + dx, px[1] + dy
            if abs(dx) + abs(dy) < CLOSE_PX:
                break
        return px

    def to_world(self, x, y):
        return self._at(x, y)[0]

    def _at(self, x, y):
        """The place of a pixel, and how it moves with x and with y; the outer cells go on beyond the scene."""
        width, height = self._across / CELLS, self._down / CELLS
        column, row = (min(max(int(value), 0), CELLS - 1) for value in (x / width, y / height))
        u, v, first = x / width - column, y / height - row, row * (CELLS + 1) + column
        a, b = self._nodes[first], self._nodes[first + 1]
        c, d = self._nodes[first + CELLS + 1], self._nodes[first + CELLS + 2]
        found = [(1 - v) * ((1 - u) * a[k] + u * b[k]) + v * ((1 - u) * c[k] + u * d[k]) for k in (0, 1)]
        by_x = [((1 - v) * (b[k] - a[k]) + v * (d[k] - c[k])) / width for k in (0, 1)]
        by_y = [((1 - u) * (c[k] - a[k]) + u * (d[k] - b[k])) / height for k in (0, 1)]
        return tuple(found), tuple(by_x), tuple(by_y)

    @staticmethod
    def _guess(x0, y0, x1, y1, x2, y2, size):
        width, height = size
        return ((x1 - x0) / width, (x2 - x0) / height, x0, (y1 - y0) / width, (y2 - y0) / height, y0)


def lattice_px(size):
    """The pixels whose places make a `BentPlace`, row by row."""
    width, height = size
    return [[width * i / CELLS, height * j / CELLS] for j in range(CELLS + 1) for i in range(CELLS + 1)]
