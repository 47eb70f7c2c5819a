"""The map tool: pointer and buttons become clicks on pixels, and what the server answers is drawn over the map."""

from qgis.core import QgsCoordinateTransform, QgsCsException, QgsGeometry, QgsPointXY, QgsProject, QgsWkbTypes
from qgis.gui import QgsMapTool, QgsRubberBand, QgsVertexMarker
from qgis.PyQt.QtCore import QPoint, Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor

from .keys import Keys

DRAG_PX = 6
"""Screen pixels that the pointer moves before a click becomes a box."""

_SHAPES = {
    "segments": (QColor(210, 60, 220), QColor(0, 0, 0, 0), 1),
    "candidates": (QColor(210, 60, 220), QColor(210, 60, 220, 40), 2),
    "picked": (QColor(210, 60, 220), QColor(210, 60, 220, 130), 2),
    "selected": (QColor(255, 255, 255), QColor(255, 255, 255, 110), 2),
    "review": (QColor(30, 110, 255), QColor(30, 110, 255, 70), 2),
    "hover": (QColor(0, 200, 255), QColor(0, 200, 255, 40), 2),
}
"""How shapes are drawn, the lowest first: edge, fill, width."""

_LINES = {
    "box": (QColor(255, 255, 255), QColor(255, 255, 255, 20), 2),
    "line": (QColor(255, 140, 0), QColor(255, 140, 0, 40), 2),
}
_ADDED, _TAKEN = QColor(20, 150, 60), QColor(215, 35, 35)


class ClickTool(QgsMapTool):
    """Click objects of a scene.

    Signals
    -------
    acted
        Name of what a key does beyond the object in hand, such as ``help``, ``find``, ``leave``.
    """

    acted = pyqtSignal(str)

    def __init__(self, canvas):
        super().__init__(canvas)
        self.clicking = None
        self.keys = Keys(self._act, canvas)
        self._pressed, self._dragged = None, False
        self._bands = {name: self._band(*colours) for name, colours in {**_SHAPES, **_LINES}.items()}
        self._painted, self._held, self._markers = {}, {}, []
        canvas.destinationCrsChanged.connect(self.draw_anew)
        self.setCursor(Qt.CursorShape.CrossCursor)

    def use(self, clicking):
        """Click in this session from now on; None: in none."""
        if self.clicking is not None:
            self.clicking.drawn.disconnect(self.draw)
        self.clicking = clicking
        if clicking is not None:
            clicking.drawn.connect(self.draw)
        self.draw()

    def activate(self):
        super().activate()
        self.keys.arm()
        self.canvas().setFocus()

    def deactivate(self):
        self.keys.disarm()
        if self.clicking is not None:
            self.clicking.leave()
        super().deactivate()

    def remove(self):
        """Take everything off the map, for good."""
        self.keys.disarm()
        self.use(None)
        for item in [*self._bands.values(), *self._markers]:
            self.canvas().scene().removeItem(item)
        self._bands, self._markers = {}, []

    # pointer and buttons

    def canvasMoveEvent(self, event):
        if self.clicking is None:
            return
        if self._pressed is not None and (event.pos() - self._pressed).manhattanLength() > DRAG_PX:
            self._dragged = True
            self._show_box(event.pos())
            return
        place = self.to_px(event.pos())
        if place is None:
            self.clicking.leave()
        else:
            self.clicking.hover(*place)

    def canvasPressEvent(self, event):
        if event.button() == Qt.MouseButton.LeftButton:
            self._pressed, self._dragged = QPoint(event.pos()), False

    def canvasReleaseEvent(self, event):
        pressed, dragged = self._pressed, self._dragged
        self._pressed, self._dragged = None, False
        self._bands["box"].reset(QgsWkbTypes.PolygonGeometry)
        if self.clicking is None or event.button() not in (Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton):
            return
        here = self.to_px(event.pos())
        if here is None:
            self.clicking.click(-1.0, -1.0)  # which says that it is outside
        elif dragged and event.button() == Qt.MouseButton.LeftButton:
            corners = [
                self.to_px(QPoint(x, y)) for x in (pressed.x(), event.pos().x()) for y in (pressed.y(), event.pos().y())
            ]
            xs, ys = zip(*[corner for corner in corners if corner is not None] or [here])
            self.clicking.drag(min(xs), min(ys), max(xs), max(ys))
        else:
            taken = event.button() == Qt.MouseButton.RightButton or event.modifiers() & Qt.KeyboardModifier.AltModifier
            self.clicking.click(*here, 0 if taken else 1)

    def to_px(self, place):
        """A place on the screen as a pixel of the scene; None where the map cannot say."""
        try:
            found = self._transform().transform(self.toMapCoordinates(place))
        except QgsCsException:
            return None
        return self.clicking.place.to_px(found.x(), found.y())

    # what is drawn

    def draw(self):
        """Draw the object in hand, the hover preview, what was found and clicks; what is the same as before stays."""
        clicking, shapes = self.clicking, dict.fromkeys(_SHAPES, ())
        if clicking is not None:
            finds, objects = clicking.finds, clicking.objects
            shapes["hover"], shapes["review"] = [clicking.hovered], [clicking.shape]
            shapes["segments" if finds.together else "candidates"] = [one["shape"] for one in finds.candidates]
            shapes["picked"] = [one["shape"] for one in finds.picked]
            shapes["selected"] = [objects.rows[number]["shape"] for number in sorted(objects.selected)]
        for name, parts in shapes.items():
            self._paint(name, [part for part in parts if part])
        self._mark(clicking.prompts.points if clicking is not None else ())
        self._show_line()

    def draw_anew(self):
        """Draw everything, as for another CRS of the map."""
        self._painted = {}
        self.draw()

    def drawn(self, name):
        """What is drawn under a name: ``hover``, ``review``, ``candidates``, ``picked``, ``selected``, ``box``."""
        return self._bands[name].asGeometry()

    # inside

    def _paint(self, name, parts):
        """Draw shapes, unless they are those that are drawn."""
        now = [id(part) for part in parts]
        if name not in self._bands or self._painted.get(name) == now:
            return
        self._painted[name], self._held[name] = now, parts  # held, so that no other shape gets its identity
        self._bands[name].reset(QgsWkbTypes.PolygonGeometry)
        if parts:
            self._bands[name].setToGeometry(
                self.clicking.place.shape_to_world(_together(parts)), self.clicking.place.crs
            )

    def _act(self, name, digit):
        clicking = self.clicking
        beyond = ("help", "find", "similar", "coverage", "whole")
        if name in beyond or clicking is None or (name == "leave" and not clicking.clear()):
            self.acted.emit(name)
        elif name == "choose":
            clicking.choose(digit)
            self.acted.emit(name)
        elif name in ("outline", "cut"):
            clicking.draw(name)
        elif name in ("hovers", "quick"):
            setattr(clicking, name, not getattr(clicking, name))
            what = {"hovers": "hover preview", "quick": "every click saves:"}[name]
            clicking.said.emit(f"{what} {'on' if getattr(clicking, name) else 'off'}", False)
            self.draw()
        elif name == "redo":
            clicking.change({"verb": "redo"})
        elif name in ("select", "reopen", "join", "delete"):
            getattr(clicking.edit, name)()
        elif name != "leave":
            getattr(clicking, name)()

    def _transform(self):
        crs = self.clicking.place.crs
        return QgsCoordinateTransform(self.canvas().mapSettings().destinationCrs(), crs, QgsProject.instance())

    def _show_box(self, here):
        corners = [
            QPoint(self._pressed),
            QPoint(here.x(), self._pressed.y()),
            QPoint(here),
            QPoint(self._pressed.x(), here.y()),
        ]
        ring = [QgsPointXY(self.toMapCoordinates(corner)) for corner in corners]
        self._bands["box"].setToGeometry(QgsGeometry.fromPolygonXY([ring]), None)

    def _show_line(self):
        band = self._bands.get("line")
        if band is None:
            return
        band.reset(QgsWkbTypes.LineGeometry)
        line = self.clicking.line if self.clicking is not None else []
        if line:
            ends = [self.clicking.place.point(x, y) for x, y in (*line, self.clicking.pointer or line[-1])]
            band.setToGeometry(QgsGeometry.fromPolylineXY(ends), self.clicking.place.crs)

    def _mark(self, points):
        for marker in self._markers:
            self.canvas().scene().removeItem(marker)
        self._markers = []
        if not points:
            return
        back = QgsCoordinateTransform(
            self.clicking.place.crs, self.canvas().mapSettings().destinationCrs(), QgsProject.instance()
        )
        for x, y, label in points:
            marker = QgsVertexMarker(self.canvas())
            marker.setCenter(back.transform(self.clicking.place.point(x, y)))
            marker.setIconType(QgsVertexMarker.IconType.ICON_CIRCLE if label else QgsVertexMarker.IconType.ICON_X)
            marker.setColor(_ADDED if label else _TAKEN)
            marker.setPenWidth(3)
            self._markers.append(marker)

    def _band(self, edge, fill, width):
        band = QgsRubberBand(self.canvas(), QgsWkbTypes.PolygonGeometry)
        band.setColor(edge)
        band.setFillColor(fill)
        band.setWidth(width)
        return band


def _together(shapes):
    """Several shapes as one, None for none."""
    parts = []
    for shape in shapes:
        parts += shape["coordinates"] if shape["type"] == "MultiPolygon" else [shape["coordinates"]]
    return {"type": "MultiPolygon", "coordinates": parts} if parts else None
