"""The geosam program: where it is, and the surroundings that it runs in.

The plugin never installs anything. It takes the program that the settings name, else the first that the search path or
the usual places have.
"""

import glob
import os
import re
import shutil
import subprocess
import sys

from qgis.core import QgsSettings

SETTING = "geosam/program"
"""Key of the setting that names the program."""

HOW_TO = (
    'install it in a Python of its own (pip install "geosam[serve]"), or name it in the options of the geosam panel'
)

_WINDOWS = sys.platform == "win32"

_PLACES = (
    (
        r"~\.local\bin\geosam.exe",
        r"~\geosam\.venv\Scripts\geosam.exe",
        r"~\*\.venv\Scripts\geosam.exe",
        r"~\AppData\Roaming\Python\Python3*\Scripts\geosam.exe",
        r"~\AppData\Local\Programs\Python\Python3*\Scripts\geosam.exe",
        r"~\*conda3\envs\*\Scripts\geosam.exe",
        r"~\*forge3\envs\*\Scripts\geosam.exe",
    )
    if _WINDOWS
    else (
        "~/.local/bin/geosam",
        "~/geosam/.venv/bin/geosam",
        "~/.venv/bin/geosam",
        "~/*/.venv/bin/geosam",
        "~/.virtualenvs/*/bin/geosam",
        "~/*conda3/envs/*/bin/geosam",
        "~/*forge3/envs/*/bin/geosam",
        "/opt/geosam/bin/geosam",
        "/usr/local/bin/geosam",
        "/opt/homebrew/bin/geosam",
    )
)
"""Where people have programs of Python: user installs, pipx, uv, environments beside a checkout, conda."""

_FOREIGN = re.compile(
    r"PYTHON(HOME|PATH|STARTUP|EXECUTABLE|USERBASE)|GDAL_(DATA|DRIVER_PATH|FILENAME_IS_UTF8)|PROJ_(LIB|DATA)|VSI_CACHE.*"
    r"|GEOTIFF_CSV|OSGEO4W_ROOT|O4W_.*|QT_PLUGIN_PATH|QT_QPA_PLATFORM_PLUGIN_PATH|QGIS_PREFIX_PATH|SSL_CERT_(FILE|DIR)"
)
"""What QGIS sets for its own Python, GDAL and PROJ, and what breaks those of another program."""

ANSWER_S = 60
"""Seconds that the program has to say its version: a cold disk is slow."""


class ProgramError(Exception):
    """The program is absent or does not answer; the text is one line for the user."""


def find_program():
    """The command that runs geosam.

    Returns
    -------
    list of str
        The program, or a Python with ``-m geosam``.

    Raises
    ------
    ProgramError
        If the setting names nothing that runs, or there is none.
    """
    told = str(QgsSettings().value(SETTING, "") or "").strip()
    if told:
        path = shutil.which(os.path.expanduser(told))
        if path is None:
            raise ProgramError(f"the geosam program of the options, {told}, is not there or cannot be run: {HOW_TO}")
        return command_of(path)
    found = shutil.which("geosam")
    if found is None:
        places = [path for place in _PLACES for path in sorted(glob.glob(os.path.expanduser(place)))]
        found = next((path for path in places if os.access(path, os.X_OK)), None)
    if found is None:
        raise ProgramError(f"the geosam program was not found (PATH and {len(_PLACES)} usual places): {HOW_TO}")
    return command_of(found)


def command_of(path):
    """The command that a path stands for: a Python runs the module."""
    name = os.path.basename(path).lower()
    return [path, "-m", "geosam"] if re.fullmatch(r"(python|pypy)[\d.]*w?(\.exe)?", name) else [path]


def version_of(command):
    """What ``geosam --version`` says; blocks for up to a second or two, so call it off the main thread.

    Raises
    ------
    ProgramError
        If the program is something else.
    """
    try:
        done = subprocess.run(
            [*command, "--version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=ANSWER_S,
            env=surroundings(),
            **hidden(),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ProgramError(f"{command[0]} does not run ({error}): {HOW_TO}") from None
    said = re.fullmatch(r"geosam (\S+)", done.stdout.strip())
    if said is None:
        shown = (done.stdout + done.stderr).strip().splitlines()[-1:] or ["nothing"]
        raise ProgramError(f"{command[0]} --version says {shown[0]!r}, expected 'geosam' and a number: {HOW_TO}")
    return said[1]


def surroundings(**added):
    """The environment for the program: this process's own, without what QGIS set for itself."""
    kept = {name: value for name, value in os.environ.items() if not _FOREIGN.fullmatch(name)}
    return {**kept, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", **added}


def hidden():
    """Arguments of `subprocess` with which Windows opens no console window."""
    return {"creationflags": subprocess.CREATE_NO_WINDOW} if _WINDOWS else {}
