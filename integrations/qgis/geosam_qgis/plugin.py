"""The plugin: puts the panel, the map tool and the Processing provider into QGIS, and takes them out again."""

import os

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsCoordinateTransform,
    QgsProject,
    QgsRasterLayer,
    QgsSettings,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import QFileDialog, QInputDialog, QMessageBox

from .algorithms.base import ICON, scene_of
from .clicking import Clicking
from .dock import Dock
from .keys import HELP
from .long_work import LongWork
from .place import Place, PlaceError, lattice_px
from .program import SETTING, ProgramError, find_program
from .provider import GeosamProvider
from .server import Server, session_path
from .session_layer import SessionLayer
from .tool import ClickTool
from .widgets import QAction

PROTOCOL = 1
"""Version of the protocol that this plugin speaks."""

MENU = "&geosam"

COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#42d4f4", "#f032e6", "#bfef45", "#9a6324")
"""Colours of classes that the user adds, in turn: nine that differ on imagery."""


class GeosamPlugin:
    """What QGIS loads."""

    def __init__(self, iface):
        self.iface = iface
        self.provider = self.action = self.dock = self.tool = self.server = None
        self.clicking = self.layer = self.scene = None
        self.session = SessionLayer()
        self.work = None

    def initProcessing(self):
        """Add the provider; `qgis_process` asks for this alone."""
        self.provider = GeosamProvider()
        QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self):
        """Add everything."""
        self.initProcessing()
        window = self.iface.mainWindow()
        self.action = QAction(QIcon(ICON), "Click objects (geosam)", window)
        self.action.setCheckable(True)
        self.action.triggered.connect(self._toggle)
        self.iface.addToolBarIcon(self.action)
        self.iface.addPluginToRasterMenu(MENU, self.action)
        self.dock = Dock(window)
        self.iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self.dock)
        self.dock.hide()
        self.tool = ClickTool(self.iface.mapCanvas())
        self.tool.setAction(self.action)
        self.server = Server(window)
        self.work = LongWork(self.iface.mapCanvas(), self._say)
        self._connect()

    def unload(self):
        """Take everything out, and end the server."""
        self.stop(wait=True)
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
            self.provider = None
        if self.dock is None:
            return
        self.work.cancel()
        self.iface.mapCanvas().unsetMapTool(self.tool)
        self.tool.remove()
        self.iface.removeToolBarIcon(self.action)
        self.iface.removePluginRasterMenu(MENU, self.action)
        self.iface.removeDockWidget(self.dock)
        self.dock.deleteLater()
        self.dock = None

    def start(self, layer):
        """Start geosam for a raster layer."""
        if not isinstance(layer, QgsRasterLayer):
            self._say("choose a raster layer first", bad=True)
            return
        try:
            self.scene = scene_of(layer)
            program = find_program()
            session = session_path(self.scene)
        except (ValueError, ProgramError, OSError) as error:
            self._say(str(error), bad=True)
            return
        self.layer = layer
        self.session.path = session
        self._say(f"starting geosam for {layer.name()} …")
        self.server.start(program, self.scene, session)
        self.dock.show_session(None, running=True)

    def stop(self, wait=False):
        """End the session; all that was accepted is on disk."""
        self.session.close()
        if self.tool is not None:
            self.iface.mapCanvas().unsetMapTool(self.tool)
            self.tool.use(None)
        if self.clicking is not None:
            self.clicking.ended = True
            self.clicking.deleteLater()
        self.clicking = self.layer = None
        if self.server is not None:
            self.server.stop(wait)
        if self.dock is not None:
            self.dock.show_session(None)

    # what the panel and the keys ask for

    def do(self, name):
        """Do what a button or a key stands for."""
        alone = {"help": self._show_keys, "options": self._options, "leave": self._leave, "find": self._find}
        if name in alone:
            alone[name]()
        elif self.clicking is None:
            self._say("choose a scene and start", bad=True)
        elif name in ("undo", "redo"):
            self.clicking.change({"verb": name})
        elif name == "encode":
            self.work.encode(self.scene)
        elif name == "similar":
            self.work.similar(self.clicking)
        elif name == "coverage":
            self.work.coverage(self.clicking, self.tool)
        elif name == "whole":
            self._show_whole()
        elif name == "choose":
            self.dock.show_classes(self.clicking)
        else:
            getattr(self.clicking, name)()

    def _connect(self):
        self.dock.started.connect(lambda: self.start(self.dock.scenes.currentLayer()))
        self.dock.stopped.connect(self._stop)
        self.dock.asked.connect(self.do)
        self.dock.chosen.connect(self._choose)
        self.dock.word.connect(self._search_word)
        self.dock.exported.connect(self._export)
        self.dock.class_added.connect(self._add_class)
        self.tool.acted.connect(self.do)
        self.server.ready.connect(self._listening)
        self.server.failed.connect(self._failed)
        self.session.edited.connect(self._edited)
        QgsProject.instance().layersWillBeRemoved.connect(self._layers_removed)

    def _toggle(self, checked):
        if not checked:
            self._leave()
            return
        self.dock.show()
        if self.clicking is not None:
            self.iface.mapCanvas().setMapTool(self.tool)
            return
        layer = self.iface.activeLayer()
        if isinstance(layer, QgsRasterLayer):
            self.dock.scenes.setLayer(layer)
        self.action.setChecked(False)
        if not self.server.running and self.dock.scenes.currentLayer() is not None:
            self.start(self.dock.scenes.currentLayer())

    def _leave(self):
        self.iface.mapCanvas().unsetMapTool(self.tool)
        self.iface.actionPan().trigger()

    def _stop(self):
        self._leave()
        self.stop()
        self._say("stopped; what was accepted is saved")

    def _listening(self, client):
        client.ask({"verb": "hello"}, self._greeted)

    def _greeted(self, answer, _):
        if not answer.get("ok"):
            self._failed(answer.get("error", ""))
            return
        if answer.get("protocol") != PROTOCOL:
            told = f"geosam {answer.get('version')} speaks protocol {answer.get('protocol')}, this plugin {PROTOCOL}"
            self._failed(f"{told}: write the plugin anew with geosam qgis-plugin")
            return
        scene = answer["scene"]
        if scene.get("transform") or not answer.get("can", {}).get("locate"):
            self._begin_clicking(answer)
            return
        size = scene["width"], scene["height"]
        asked = {"verb": "locate", "to": "world", "xy": lattice_px(size)}
        self.server.client.ask(asked, lambda told, _: self._begin_clicking(answer, told.get("xy")))

    def _begin_clicking(self, answer, lattice=None):
        try:
            place = Place.of(answer["scene"], self.layer, lattice)
        except PlaceError as error:
            self._failed(str(error))
            return
        self.clicking = Clicking(self.server.client, answer, place, self.server)
        self.clicking.said.connect(self._say)
        self.clicking.saved.connect(self._saved)
        self.tool.use(self.clicking)
        self.session.name = f"{self.layer.name()}: accepted"
        self.session.show()
        self.iface.setActiveLayer(self.layer)
        self.dock.show_session(self.clicking)
        self._say("ready: move over the scene and click; ? shows the keys")
        self.iface.mapCanvas().setMapTool(self.tool)

    def _failed(self, why):
        self.stop()
        self._say(why, bad=True)
        self.iface.messageBar().pushMessage("geosam", why, level=Qgis.MessageLevel.Warning, duration=10)

    def _saved(self):
        self.session.refresh(self.clicking.classes)
        self.dock.show_classes(self.clicking)

    def _edited(self):
        if self.clicking is not None:
            self.clicking.fetch_objects()

    def _layers_removed(self, ids):
        if self.layer is not None and self.layer.id() in ids:
            self._stop()
        self.session.forget(ids)

    def _choose(self, place):
        if self.clicking is not None:
            self.clicking.choose(place)

    def _add_class(self, name):
        if self.clicking is not None:
            self.clicking.add_class(name, COLOURS[len(self.clicking.classes) % len(COLOURS)])

    def _search_word(self, text):
        if text and self.clicking is not None:
            self.work.word(self.clicking, text)

    def _show_whole(self):
        canvas = self.iface.mapCanvas()
        crs = canvas.mapSettings().destinationCrs()
        turn = QgsCoordinateTransform(self.layer.crs(), crs, QgsProject.instance())
        canvas.setExtent(turn.transformBoundingBox(self.layer.extent()))
        canvas.refresh()

    def _find(self):
        if self.dock.words.isVisible():
            self.dock.words.setFocus()
        else:
            self._say("this geosam does not find words")

    def _export(self, kind, schema):
        if self.clicking is None:
            return
        start = os.path.splitext(self.session.path)[0] + f"_{schema}.{kind}"
        path, _ = QFileDialog.getSaveFileName(self.dock, "Export", start, f"{kind} (*.{kind})")
        if path:
            self.export(kind, schema, path)

    def export(self, kind, schema, path):
        """Write what was accepted to a file, and show it."""

        def done(answer, content):
            if not answer.get("ok"):
                self._say(answer.get("error", ""), bad=True)
                return
            try:
                write_whole(path, content)
            except OSError as error:
                self._say(f"{path} cannot be written ({error.strerror})", bad=True)
                return
            self._say(f"wrote {path}")
            QgsProject.instance().addMapLayer(QgsVectorLayer(path, os.path.basename(path), "ogr"))

        self.server.client.ask({"verb": "export", "format": kind, "schema": schema}, done)

    # windows

    def _show_keys(self):
        rows = "".join(f"<tr><td><b>{keys}</b>&nbsp;&nbsp;</td><td>{what}</td></tr>" for keys, what in HELP)
        box = QMessageBox(self.iface.mainWindow())
        box.setWindowTitle("geosam: keys while the tool is in use")
        box.setText(f"<table>{rows}</table>")
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.open()

    def _options(self):
        settings = QgsSettings()
        text = "Path of the geosam program, or of the Python that has it (empty: search for it):"
        told = str(settings.value(SETTING, "") or "")
        path, agreed = QInputDialog.getText(self.iface.mainWindow(), "geosam", text, text=told)
        if not agreed:
            return
        settings.setValue(SETTING, path.strip())
        try:
            self._say(f"geosam: {' '.join(find_program())}")
        except ProgramError as error:
            self._say(str(error), bad=True)

    def _say(self, text, bad=False):
        if self.dock is not None:
            self.dock.say(text, bad)


def write_whole(path, content):
    """Write a file whole or not at all."""
    part = f"{path}.part"
    with open(part, "wb") as file:
        file.write(content)
    os.replace(part, path)
