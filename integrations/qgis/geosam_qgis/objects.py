"""The objects of a session as the server tells them, and which of them lies under the pointer."""

from qgis.core import QgsFeature, QgsGeometry, QgsPointXY, QgsRectangle, QgsSpatialIndex


class Objects:
    """Objects by id, in pixels.

    Attributes
    ----------
    rows
        Id → object, as the server tells it.
    selected
        Ids of those that are selected.
    revision
        Of the session, when it was last told.
    """

    def __init__(self, place):
        self._place = place
        self.rows, self.selected, self.revision = {}, set(), 0
        self._shapes, self._index = {}, QgsSpatialIndex()

    def take(self, change):
        """Take over what has changed: new and altered objects, removed ones."""
        for number in [*change.get("removed", ()), *(row["id"] for row in change.get("changed", ()))]:
            self._forget(number)
        for row in change.get("changed", ()):
            shape = self._place.shape_to_px(row["shape"])
            feature = QgsFeature(row["id"])
            feature.setGeometry(shape)
            self._index.addFeature(feature)
            self.rows[row["id"]], self._shapes[row["id"]] = row, shape
        self.selected &= set(self.rows)
        self.revision = change.get("revision", self.revision)

    def at(self, x, y):
        """Id of the smallest object at a pixel; None if there is none."""
        here = QgsGeometry.fromPointXY(QgsPointXY(x, y))
        near = self._index.intersects(QgsRectangle(x, y, x, y))
        found = [number for number in near if self._shapes[number].intersects(here)]
        return min(found, key=lambda number: (self._shapes[number].area(), number), default=None)

    def world(self, number):
        """An object's geometry in the scene's CRS; an empty one if it is gone."""
        row = self.rows.get(number)
        return self._place.shape_to_world(row["shape"] if row else None)

    def _forget(self, number):
        shape = self._shapes.pop(number, None)
        if shape is not None:
            feature = QgsFeature(number)
            feature.setGeometry(shape)
            self._index.deleteFeature(feature)
            del self.rows[number]
