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
    ("right or Alt+left click", "take away from it"),
    ("drag", "look for the object in a box"),
    ("Enter, S", "accept: saved at once"),
    ("Esc", "let go; again: leave the tool"),
    ("Z, Ctrl+Z, Backspace", "take back the last click; with none, the last change"),
    ("Ctrl+Y, Ctrl+Shift+Z", "redo"),
    ("1 … 9, 0", "class of what comes next; 0: none"),
    ("C", "give the object under the pointer that class"),
    ("E", "reopen the object under the pointer"),
    ("Del", "delete the object under the pointer"),
    ("N", "next suggestion"),
    ("X", "reject it, or the candidate under the pointer"),
    ("M", "more like the object under the pointer"),
    ("F, /", "find a word"),
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
    _KEY.Key_C: "classify",
    _KEY.Key_E: "reopen",
    _KEY.Key_Delete: "delete",
    _KEY.Key_N: "suggest",
    _KEY.Key_X: "reject",
    _KEY.Key_M: "similar",
    _KEY.Key_F: "find",
    _KEY.Key_Slash: "find",
    _KEY.Key_Question: "help",
}
_WITH_CTRL = {(_KEY.Key_Z, False): "take_back", (_KEY.Key_Y, False): "redo", (_KEY.Key_Z, True): "redo"}
_SIGNS = (_KEY.Key_Question, _KEY.Key_Slash)  # on some keyboards they come with Shift
_ONCE = ("accept", "delete", "leave", "classify", "reopen", "suggest", "reject", "similar", "find", "help")
"""What a key that is held down does once."""

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
        if kind == QEvent.Type.KeyPress and not (event.isAutoRepeat() and meant[0] in _ONCE):
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
