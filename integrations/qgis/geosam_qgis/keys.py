"""The keys of the map tool: taken only while it is armed, and never from somebody who types.

QGIS has shortcuts of its own on the same keys (S is snapping). Qt asks the widget with the focus first whether it wants
a key for itself (`ShortcutOverride`), then those around it; the map canvas and the window answer that question here,
after all widgets inside. A filter on the whole application would see more, but Python would have to wrap every object
of QGIS that gets an event, also those that are being destroyed, which crashes.
"""

from qgis.PyQt.QtCore import QEvent, QObject, Qt
from qgis.PyQt.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
)

_KEY, _CTRL, _SHIFT = Qt.Key, Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier

HELP = (
    ("move", "shows what a click would give"),
    ("left click", "add to the object"),
    ("right or Alt+left click, X", "take away from it; X also a suggestion or candidate"),
    ("drag", "look for the object in a box"),
    ("O", "draw its outline: click along it, then Enter"),
    ("Enter, S", "accept: saved at once"),
    ("Esc", "let go, one thing at a time; at last the tool"),
    ("Z, Ctrl+Z, Backspace", "take back the last click; with none, the last change"),
    ("Ctrl+Y, Ctrl+Shift+Z", "redo"),
    ("P, Q", "hover preview on or off; every click saves"),
    ("1 … 9, 0", "class of what comes next and of the selection; 0: none"),
    ("V", "select the object under the pointer as well"),
    ("E", "reopen the object under the pointer"),
    ("K, J", "cut along a line, then Enter; join the selected"),
    ("Del", "delete the selected, or the object under the pointer"),
    ("N", "next suggestion"),
    ("M", "more like the object under the pointer"),
    ("/", "find a word"),
    ("C", "segments of the view, to click together"),
    ("F", "the whole scene"),
    ("?", "these keys"),
)
"""Keys and what they do, in the order in which they are shown."""

_PLAIN = {
    _KEY.Key_Return: "accept",
    _KEY.Key_Enter: "accept",
    _KEY.Key_S: "accept",
    _KEY.Key_Escape: "leave",
    _KEY.Key_Z: "take_back",
    _KEY.Key_Backspace: "take_back",
    _KEY.Key_X: "take_away",
    _KEY.Key_O: "outline",
    _KEY.Key_P: "hovers",
    _KEY.Key_Q: "quick",
    _KEY.Key_V: "select",
    _KEY.Key_E: "reopen",
    _KEY.Key_K: "cut",
    _KEY.Key_J: "join",
    _KEY.Key_Delete: "delete",
    _KEY.Key_N: "suggest",
    _KEY.Key_M: "similar",
    _KEY.Key_Slash: "find",
    _KEY.Key_C: "coverage",
    _KEY.Key_F: "whole",
    _KEY.Key_Question: "help",
}
_WITH_CTRL = {(_KEY.Key_Z, False): "take_back", (_KEY.Key_Y, False): "redo", (_KEY.Key_Z, True): "redo"}
_SIGNS = (_KEY.Key_Question, _KEY.Key_Slash)  # on some keyboards they come with Shift
_OFTEN = ("take_back", "redo", "choose")
"""What a key that is held down does again and again; all else once."""

_WRITERS = (QLineEdit, QTextEdit, QPlainTextEdit, QAbstractSpinBox)
_WRITERS_BY_NAME = ("QsciScintillaBase", "QKeySequenceEdit", "QWebView", "QWebEngineView")
"""Widgets in which one types; those that not every build of PyQt has, by name."""


class Keys(QObject):
    """Takes the keys of the tool from QGIS while it is armed.

    Parameters
    ----------
    act
        Called with the name of what a key does, and a digit or None.
    canvas
        The map canvas; keys are left to dialogs and other windows.
    """

    def __init__(self, act, canvas):
        super().__init__(canvas)
        self._act, self._canvas, self._watched = act, canvas, []

    def arm(self):
        """Take keys from now on."""
        if not self._watched:
            self._watched = [self._canvas, self._canvas.window()]
            for one in self._watched:
                one.installEventFilter(self)

    def disarm(self):
        """Leave all keys to QGIS."""
        for one in self._watched:
            one.removeEventFilter(self)
        self._watched = []

    def eventFilter(self, watched, event):
        kind = event.type()
        if kind not in (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress):
            return False
        meant = meaning(event.key(), event.modifiers())
        if meant is None or not self._mine(meant[0]):
            return False
        event.accept()
        if kind == QEvent.Type.KeyPress and not (event.isAutoRepeat() and meant[0] not in _OFTEN):
            self._act(*meant)
        return True

    def _mine(self, name):
        if QApplication.activeModalWidget() is not None or QApplication.activePopupWidget() is not None:
            return False
        focus = QApplication.focusWidget()
        if focus is None:
            return True
        if isinstance(focus.window(), QDialog) or is_written_in(focus):
            return False
        if name == "accept" and isinstance(focus, QAbstractButton):
            return False  # Enter presses it
        on_map = focus is self._canvas or self._canvas.isAncestorOf(focus)
        return on_map or name != "delete"  # elsewhere Del removes layers, rows, files


def meaning(key, modifiers):
    """What a key does: its name, and a digit or None; None for a key that is not the tool's.

    >>> meaning(Qt.Key.Key_S, Qt.KeyboardModifier.NoModifier)
    ('accept', None)
    """
    ctrl, shift = bool(modifiers & _CTRL), bool(modifiers & _SHIFT)
    if modifiers & (Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.MetaModifier):
        return None
    if ctrl:
        name = _WITH_CTRL.get((key, shift))
        return (name, None) if name else None
    if shift and key not in _SIGNS:
        return None
    digits = [_KEY.Key_0, _KEY.Key_1, _KEY.Key_2, _KEY.Key_3, _KEY.Key_4]
    digits += [_KEY.Key_5, _KEY.Key_6, _KEY.Key_7, _KEY.Key_8, _KEY.Key_9]
    if key in digits:
        return "choose", digits.index(key)
    name = _PLAIN.get(key)
    return (name, None) if name else None


def is_written_in(widget):
    """Whether one types in a widget."""
    if isinstance(widget, QComboBox):
        return widget.isEditable()
    return isinstance(widget, _WRITERS) or any(widget.inherits(name) for name in _WRITERS_BY_NAME)
