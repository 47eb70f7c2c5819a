"""The widget: the desk in a notebook, over the connection that the notebook has anyway; no port is opened.

The same front end as on the page, as an anywidget: it sends requests as custom messages and gets answers the same way,
so that it works in JupyterLab, VS Code and on hubs.
"""

from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any

import geopandas as gpd

from geosam.errors import OptionError
from geosam.scene import open_scene
from geosam.serve.desk import Desk
from geosam.serve.exporting import objects_frame
from geosam.serve.layer import Layer
from geosam.serve.pairs import pictures_of
from geosam.serve.start import needs, read_objects, session_of, start

needs("notebook", "anywidget")

import anywidget  # noqa: E402 - what is absent is said before
import traitlets  # noqa: E402 - comes with it

HEIGHT_PX = 560
"""Height of the widget unless another is asked for."""

PATIENCE_S = 1
"""How long work that nobody waits for any more may keep a widget from closing."""


_editing: dict[Path, "SceneWidget"] = {}
"""The widgets of this process that have a session, by its file."""


class SceneWidget(anywidget.AnyWidget):
    """A scene in a notebook; made by `geosam.click` and `geosam.view`.

    Parameters
    ----------
    desk
        What answers.
    height
        In pixels of the screen.

    Attributes
    ----------
    objects
        What has been accepted so far, as a table in the scene's CRS.
    """

    _esm = files("geosam.serve").joinpath("static", "geosam.js").read_text(encoding="utf-8")
    _css = files("geosam.serve").joinpath("static", "geosam.css").read_text(encoding="utf-8")

    height = traitlets.Int(HEIGHT_PX).tag(sync=True)
    start = traitlets.Dict().tag(sync=True)

    def __init__(self, desk: Desk, *, height: int = HEIGHT_PX) -> None:
        super().__init__(height=height, start=desk.answer({"verb": "hello"}).value)
        self.desk = desk
        self.on_msg(self._take)

    @property
    def objects(self) -> gpd.GeoDataFrame:
        """What has been accepted so far, as a table in the scene's CRS."""
        return objects_frame(self.desk.layer, self.desk.scene)

    def close(self) -> None:
        """Take the widget away, and let go of its session."""
        for path in [path for path, widget in _editing.items() if widget is self]:
            del _editing[path]
        self.desk.close(PATIENCE_S)
        super().close()

    def _take(self, _: Any, content: Any, buffers: Any) -> None:
        """Answer a message."""
        if not isinstance(content, dict) or "id" not in content:
            return
        answer = self.desk.answer(content)
        told = {**answer.value, "id": content["id"]}
        self.send(told, buffers=None if answer.buffer is None else [answer.buffer])


def click(
    scene: Any,
    *,
    model: Any = "nano",
    session: str | PathLike[str] | None = None,
    labels: Any = None,
    classes: Any = None,
    date: str = "",
    memory: int = 1 << 30,
    store: Any = "auto",
    height: int = HEIGHT_PX,
) -> SceneWidget:
    """Click on a scene in a notebook; every accepted object is on disk at once.

    Parameters
    ----------
    scene
        A `Scene` from `geosam.open_scene`, or whatever that function opens.
    model
        Name of a model, path of a weights file, or a network.
    session
        GeoPackage of the session; None for ``SCENE.geosam.gpkg`` beside the scene. One that is there goes on.
    labels
        Polygons to begin with: a file (only read), a GeoDataFrame, or a session, which goes on.
    classes
        A legend: a name such as ``"worldcover"``, a file (``.csv`` with code, name, colour, or ``.qml``).
    date
        When the scene was taken, ISO 8601; exports in a schema of responders say it.
    memory
        Bytes of encoded windows that are kept.
    store
        Folder or `EmbeddingStore` of embeddings; ``"auto"`` for the cache folder, None to keep nothing.
    height
        In pixels of the screen.

    Returns
    -------
    SceneWidget
        Shown by the notebook; ``.objects`` is a GeoDataFrame of what has been accepted. An earlier one of the same
        session is closed, so that a cell can be run again.

    Raises
    ------
    OptionError
        If anywidget is not installed.
    SceneError, ModelError, SinkError, LandcoverError
        If the scene, the model, the session or the classes cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> from geosam.testing import TruthNetwork, blob_labels, label_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = label_scene(f"{folder}/scene.tif", blob_labels((200, 300), count=5, large=0))
    ...     widget = click(path, model=TruthNetwork(side=128), store=None)
    ...     len(widget.objects), widget.start["scene"]["width"]
    ...     widget.close()
    (0, 300)
    """
    opened = open_scene(scene)
    path = session_of(opened, session, labels).absolute()
    if path in _editing:
        _editing[path].close()
    desk = start(
        opened, model=model, session=session, labels=labels, classes=classes, date=date, memory=memory, store=store
    )  # fmt: skip
    _editing[path] = SceneWidget(desk, height=height)
    return _editing[path]


def view(scene: Any, layer: Any = None, *, after: Any = None, height: int = HEIGHT_PX) -> SceneWidget:
    """Show a scene and polygons in a notebook, or two dates with a swipe between them.

    Parameters
    ----------
    scene
        A `Scene`, or whatever `geosam.open_scene` opens.
    layer
        Polygons as `geosam.segment` and its like give them: a GeoDataFrame or a file, in any CRS.
    after
        A later date of the place, on any grid.
    height
        In pixels of the screen.

    Raises
    ------
    OptionError
        If anywidget is not installed, or the layer has no polygon on the scene.
    SceneError
        If a scene cannot be opened, or the two do not meet.

    Examples
    --------
    >>> import tempfile
    >>> from geosam.testing import coordinate_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     widget = view(coordinate_scene(folder + "/xy.tif", (300, 500)))
    ...     widget.start["mode"]
    ...     widget.close()
    'view'
    """
    opened = open_scene(scene)
    pictures = None
    if after is not None:
        opened, pictures = pictures_of(opened, open_scene(after))
    objects, classes = ([], ()) if layer is None else read_objects(layer, opened)
    if layer is not None and not objects:
        raise OptionError("a layer without a polygon on the scene", expected="polygons that meet it")
    return SceneWidget(Desk(opened, Layer(None, objects, classes), pictures=pictures), height=height)
