"""How QGIS draws a layer: by word, by kind, or all objects alike."""

from geosam.landcover import UNKNOWN, Legend
from geosam.pipeline.request import Request
from geosam.recognition import KINDS
from geosam.sinks import Category, categorized


def style_of(request: Request) -> bool | str:
    """The style of a run's layer, as `geosam.sinks.write` takes it.

    Parameters
    ----------
    request
        What is asked for: with words the layer is drawn by the column ``label``, with kinds by ``kind``.
    """
    if request.asked:
        return by_name("label", [asked.word.word for asked in request.asked])
    return by_name("kind", list(KINDS)) if request.options.kinds else True


def by_name(column: str, names: list[str]) -> str:
    """A style with a colour for each name, through whose fill the scene is seen; what has another name is grey.

    Examples
    --------
    >>> by_name("label", ["water", "my shed"]).count("<category ")
    3
    """
    legend = Legend.of_names(name for name in names if name != UNKNOWN)
    rows = [*zip(legend.names, legend.names, legend.colours, strict=True), ("", "other", "#9e9e9e")]
    return categorized(column, [Category(*row, opacity=0.45, outlined=True) for row in rows])
