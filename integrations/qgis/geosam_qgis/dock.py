"""The panel: which scene, which class, how many of what, and what geosam is doing."""

from qgis.core import QgsMapLayerProxyModel
from qgis.gui import QgsDockWidget, QgsMapLayerComboBox
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor, QIcon, QPixmap
from qgis.PyQt.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

SCHEMAS = {"plain": "geosam", "ems": "Copernicus EMS", "unosat": "UNOSAT", "osm": "OpenStreetMap"}
"""Schemas of the protocol, as users know them."""


class Dock(QgsDockWidget):
    """What the user sees of a session; it decides nothing.

    Signals
    -------
    started, stopped
        The button was pressed.
    asked
        Name of a button, as keys have them.
    chosen
        Place of a class in the list; 0 is none.
    word
        A word to look for.
    exported
        Format and schema.
    class_added
        Name of a new class.
    """

    started, stopped = pyqtSignal(), pyqtSignal()
    asked = pyqtSignal(str)
    chosen = pyqtSignal(int)
    word = pyqtSignal(str)
    exported = pyqtSignal(str, str)
    class_added = pyqtSignal(str)

    def __init__(self, parent=None):
        super().__init__("geosam", parent)
        self.setObjectName("geosam")
        held = QWidget(self)
        layout = QVBoxLayout(held)
        self.scenes = QgsMapLayerComboBox(held)
        self.scenes.setFilters(QgsMapLayerProxyModel.RasterLayer)
        self.start = _button("Start", self._start_or_stop)
        self.start.setToolTip("Start geosam for this scene, and take the map tool")
        layout.addLayout(_row(self.scenes, self.start))
        self.status = QLabel("Choose a scene and start.", held)
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        layout.addWidget(self.status)
        self._build_classes(layout)
        self._build_tools(layout)
        options = _button("Options…", lambda: self.asked.emit("options"))
        layout.addLayout(_row(options, _button("Keys", lambda: self.asked.emit("help"))))
        self.setWidget(held)
        self.show_session(None)

    def _build_classes(self, layout):
        self.classes = QTreeWidget()
        self.classes.setColumnCount(3)
        self.classes.setHeaderLabels(["Key", "Class", "Objects"])
        self.classes.setRootIsDecorated(False)
        self.classes.setColumnWidth(0, 60)
        self.classes.itemClicked.connect(lambda item, _: self.chosen.emit(self.classes.indexOfTopLevelItem(item)))
        layout.addWidget(self.classes, 1)
        self.new_class = QLineEdit()
        self.new_class.setPlaceholderText("New class: type its name, press Enter")
        self.new_class.returnPressed.connect(self._add_class)
        layout.addWidget(self.new_class)

    def _build_tools(self, layout):
        self.tools = [
            self._tool("Accept", "accept", "Save what is shown (Enter, S)"),
            self._tool("Undo", "undo", "Undo the last change (Ctrl+Z)"),
            self._tool("Redo", "redo", "Redo (Ctrl+Y)"),
            self._tool("Next", "suggest", "Next suggestion (N)"),
            self._tool("Encode", "encode", "Encode the whole scene ahead, so that every click is quick"),
        ]
        layout.addLayout(_row(*self.tools))
        self.words = QLineEdit()
        self.words.setPlaceholderText("Find a word, as building: press Enter")
        self.words.returnPressed.connect(lambda: self.word.emit(self.words.text().strip()))
        layout.addWidget(self.words)
        self.formats, self.schemas = QComboBox(), QComboBox()
        self.export = _button("Export…", self._export)
        layout.addLayout(_row(self.formats, self.schemas, self.export))

    def say(self, text, bad=False):
        """Say a line."""
        self.status.setText(text)
        self.status.setStyleSheet("color: #b00020;" if bad else "")

    def show_session(self, clicking, running=False):
        """Show the classes, counts and abilities of a session; None: there is none."""
        self.start.setText("Stop" if running or clicking is not None else "Start")
        self.scenes.setEnabled(not running and clicking is None)
        hello = clicking.hello if clicking is not None else {}
        can = hello.get("can", {})
        for widget in (*self.tools, self.formats, self.schemas, self.export):
            widget.setEnabled(clicking is not None)
        self.new_class.setVisible(bool(hello.get("legend_open")))
        self.words.setVisible(bool(can.get("text")))
        if [self.formats.itemText(at) for at in range(self.formats.count())] != list(can.get("export", ())):
            self.formats.clear()
            self.formats.addItems(can.get("export", ()))
            self.schemas.clear()
            for name in can.get("schemas", ()):
                self.schemas.addItem(SCHEMAS.get(name, name), name)
        self.show_classes(clicking)

    def show_classes(self, clicking):
        """Show the classes with their counts."""
        self.classes.clear()
        if clicking is None:
            return
        rows = [{"code": None, "name": "no class", "color": "#9a9a9a"}, *clicking.classes]
        for digit, row in enumerate(rows):
            code = "" if row["code"] is None else str(row["code"])
            count = clicking.counts.get(code, 0)
            item = QTreeWidgetItem([str(digit) if digit < 10 else "", str(row["name"]), f"{count:,}"])
            item.setIcon(1, _swatch(row.get("color") or "#9a9a9a"))
            self.classes.addTopLevelItem(item)
            if row["code"] == clicking.current:
                self.classes.setCurrentItem(item)
        self.tools[1].setEnabled(clicking.can_undo)
        self.tools[2].setEnabled(clicking.can_redo)

    def _start_or_stop(self):
        (self.started if self.start.text() == "Start" else self.stopped).emit()

    def _add_class(self):
        name = self.new_class.text().strip()
        if name:
            self.new_class.clear()
            self.class_added.emit(name)

    def _export(self):
        self.exported.emit(self.formats.currentText(), self.schemas.currentData() or "plain")

    def _tool(self, text, name, tip):
        button = QToolButton(self)
        button.setText(text)
        button.setToolTip(tip)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(lambda: self.asked.emit(name))
        return button


def _button(text, pressed):
    button = QPushButton(text)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the keys to the map
    button.clicked.connect(lambda *_: pressed())  # Qt says whether it is checked
    return button


def _row(*widgets):
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row


def _swatch(color):
    picture = QPixmap(14, 14)
    picture.fill(QColor(color))
    return QIcon(picture)
