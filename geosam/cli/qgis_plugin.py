"""``geosam qgis-plugin``: the plugin of QGIS as a file to install from."""

import io
import zipfile
from pathlib import Path
from typing import Annotated

import typer

NAME = "geosam_qgis"
"""Folder of the plugin, and the name that QGIS knows it by."""

_KEPT = (".py", ".txt", ".svg", "")
"""Extensions of the plugin's files; ``""`` is that of LICENSE."""

_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest date that a zip file can hold: equal files give equal bytes."""


def qgis_plugin(
    output: Annotated[Path, typer.Option("--output", "-o", help=".zip to write.", metavar="PATH")] = Path("geosam.zip"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Write the QGIS plugin; install it with *Plugins → Manage and Install Plugins → Install from ZIP*."""
    from rich.console import Console

    from geosam.cli.show import shown
    from geosam.sinks import check_writable, named_errors, placed

    target = check_writable(output, formats=(".zip",), overwrite=overwrite)
    content = packed(plugin_folder())
    with placed(target, None, overwrite=overwrite) as place, named_errors(target):
        place.part.write_bytes(content)
    console = Console(soft_wrap=True)
    console.print("in QGIS: Plugins > Manage and Install Plugins > Install from ZIP", highlight=False)
    console.print(f"  {shown(target)}", highlight=False, markup=False)


def plugin_folder() -> Path:
    """Folder of the plugin's files, in an installed package or in a checkout.

    Raises
    ------
    SinkError
        If this copy of geosam came without it.

    Examples
    --------
    >>> (plugin_folder() / "metadata.txt").is_file()
    True
    """
    from geosam.errors import SinkError

    package = Path(__file__).resolve().parent.parent
    inside, beside = package / "qgis" / NAME, package.parent / "integrations" / "qgis" / NAME
    found = next((folder for folder in (inside, beside) if (folder / "metadata.txt").is_file()), None)
    if found is None:
        raise SinkError("this copy of geosam has no QGIS plugin", hint="install geosam from its wheel or a checkout")
    return found


def packed(folder: Path) -> bytes:
    """The files of a plugin as a zip file, the same bytes wherever it is made.

    The files are stored, not deflated, since different builds of zlib deflate differently; they are small.

    Parameters
    ----------
    folder
        What the zip file holds, under the folder's own name.

    Examples
    --------
    >>> packed(plugin_folder()) == packed(plugin_folder())
    True
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in _KEPT)
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_STORED) as archive:
        for path in files:
            entry = zipfile.ZipInfo((Path(folder.name) / path.relative_to(folder)).as_posix(), _DATE)
            entry.external_attr, entry.create_system = 0o644 << 16, 3  # plain files that everybody may read
            archive.writestr(entry, path.read_bytes().replace(b"\r\n", b"\n"))
    return held.getvalue()
