"""``python -m geosam``: the command line where only the interpreter is known, as to the QGIS plugin."""

from geosam.cli import main

if __name__ == "__main__":
    main()
