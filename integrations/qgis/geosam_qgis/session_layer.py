"""The session file as a layer: what was accepted, as it lies on disk. What QGIS's own tools save there counts too."""

import os

from qgis.core import QgsProject, QgsProviderRegistry, QgsVectorLayer, QgsWkbTypes
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

SOON_MS = 150
"""How long changes are gathered before the layer is read again."""


class SessionLayer(QObject):
    """The layer of a session's objects in the project; it appears with the first object.

    Signals
    -------
    edited
        QGIS has saved edits to the layer.
    """

    edited = pyqtSignal()

    def __init__(self):
        super().__init__()
        self.path, self.name = "", ""
        self._id, self._legend = None, []
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.show)

    @property
    def layer(self):
        """The layer, None if it is not in the project."""
        return QgsProject.instance().mapLayer(self._id) if self._id else None

    def show(self):
        """Add the layer to the project, or read it again."""
        layer = self.layer
        if layer is not None and layer.source().split("|")[0] == self.path:
            if not layer.isEditable():  # else what is being edited would be read anew
                layer.dataProvider().reloadData()
                layer.updateExtents()
            layer.triggerRepaint()
            return
        name = self._layer_name()
        if name is None:
            return
        layer = QgsVectorLayer(f"{self.path}|layername={name}", self.name or os.path.basename(self.path), "ogr")
        if layer.isValid():
            layer.afterCommitChanges.connect(self.edited)
            self._id = layer.id()
            QgsProject.instance().addMapLayer(layer)

    def refresh(self, legend=()):
        """Read the layer again soon, and its style as well where the legend has changed."""
        legend = [(one["code"], one["name"], one["color"]) for one in legend]
        if self.layer is not None and legend != self._legend:
            self.layer.loadDefaultStyle()
            self.layer.emitStyleChanged()
        self._legend = legend
        self._timer.start(SOON_MS)

    def close(self):
        """The session has ended: the layer stays as it is, and is read again no more."""
        if self._timer.isActive():
            self._timer.stop()
            self.show()
        self._legend = []

    def forget(self, ids):
        """The user has removed layers."""
        if self._id in ids:
            self._id = None

    def _layer_name(self):
        if not os.path.isfile(self.path):
            return None
        parts = QgsProviderRegistry.instance().querySublayers(self.path)
        shaped = [one.name() for one in parts if QgsWkbTypes.geometryType(one.wkbType()) == QgsWkbTypes.PolygonGeometry]
        return "objects" if "objects" in shaped else shaped[0] if shaped else None
