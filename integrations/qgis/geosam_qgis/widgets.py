"""Names that lie in other modules of Qt 6 than of Qt 5."""

try:
    from qgis.PyQt.QtGui import QAction
except ImportError:  # Qt 5
    from qgis.PyQt.QtWidgets import QAction

__all__ = ["QAction"]
