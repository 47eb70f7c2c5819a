"""What a case is: files of its own, and the words of the commands that get to see them."""

import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from numpy.random import Generator


@dataclass
class Case:
    """One trial.

    Attributes
    ----------
    base
        Folder of the sound inputs, which nobody writes to.
    inputs, out, cache
        The case's own folders: what it damages, where it may write, and its cache folder.
    commands
        The words of the commands, which are run one after the other.
    scene
        The scene whose CRS a layer must have; None where that is not known.
    layers, rasters, tables
        Outputs that must be valid if all went well: layers, rasters and pictures, and other files.
    same
        A layer that the first layer must equal: what was damaged must be made again, whatever it was.
    """

    kind: str
    base: Path
    inputs: Path
    out: Path
    cache: Path
    commands: list[list[str]] = field(default_factory=list)
    scene: Path | None = None
    layers: list[Path] = field(default_factory=list)
    rasters: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    same: Path | None = None

    @classmethod
    def begin(cls, kind: str, base: Path, folder: Path) -> "Case":
        """An empty case in a new folder."""
        case = cls(kind, base, folder / "in", folder / "out", folder / "cache")
        for place in (case.inputs, case.out, case.cache):
            place.mkdir(parents=True)
        return case

    def take(self, name: str, *, whole_stem: bool = False) -> Path:
        """Copy a sound file or folder into the case; with ``whole_stem`` all files of that name but the extension."""
        source = self.base / name
        target = self.inputs / source.name
        if source.is_dir():
            shutil.copytree(source, target)
            return target
        for each in source.parent.glob(f"{source.stem}.*") if whole_stem else [source]:
            shutil.copy(each, self.inputs / each.name)
        return target

    def run(self, *words: object) -> None:
        """Append a command."""
        self.commands.append([str(word) for word in words])

    def segment(self, scene: Path, *words: object, suffix: str = ".gpkg") -> None:
        """Append the command that segments a scene into a layer."""
        layer = self.out / f"layer{suffix}"
        self.layers.append(layer)
        self.scene = scene
        self.run("segment", scene, "-o", layer, "-q", "--store", "none", "--spacing", 16, *words)

    def segment_often(self, rng: Generator, scene: Path, *words: object) -> None:
        """As `segment`, into a layer of any format, sometimes with a label raster and a picture."""
        more: list[object] = []
        for option, name in (("--labels", "labels.tif"), ("--picture", "look.png")):
            if rng.random() < 0.25:
                self.rasters.append(self.out / name)
                more += [option, self.out / name]
        suffix = str(rng.choice([".gpkg", ".parquet", ".fgb", ".geojson"]))
        self.segment(scene, *more, *words, suffix=suffix)


def contents(folder: Path) -> dict[str, str]:
    """The digest of every file of a folder, by its place in it."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
