"""One picture of many: an object of each picture, its true outline, and the answers to its box and to a click.

    python benchmarks/contact_sheet.py [SET] [-o sheet.png] [--model nano] [--count 24]

White: the truth. Orange: the box, and the answer to it. Cyan: the answer to one click, the cross. Below: the two IoUs.
Sources take turns; of each picture the object of the median area is shown, in its surroundings.
"""

import argparse
from collections import defaultdict
from itertools import zip_longest
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from geosam.embeddings import embed
from geosam.evaluation import Look, list_pictures, looks
from geosam.evaluation.asking import first_click, segment_boxes
from geosam.evaluation.crops import Crop, iou
from geosam.evaluation.measures import outline
from geosam.models import load_model

CELL, COLUMNS, LINE = 260, 6, 16
WHITE, ORANGE, CYAN = (255, 255, 255), (255, 140, 0), (0, 230, 255)


def draw(look: Look, model) -> Image.Image:
    """One cell of the sheet."""
    index = sorted(range(len(look.targets)), key=lambda number: look.targets[number].truth.area)[len(look.targets) // 2]
    target = look.targets[index]
    chip = look.chip()
    embedding = embed(chip, model)
    boxed = segment_boxes(look, model)[index]
    (clicked,) = first_click(embedding, model, [target]).answers
    left, top, side = surroundings(target.box, chip.pixels.shape[1:])
    part = np.moveaxis(chip.pixels[:, top : top + side, left : left + side], 0, -1)
    scale = CELL / side
    size = round(part.shape[1] * scale), round(part.shape[0] * scale)
    picture = np.asarray(Image.fromarray(np.ascontiguousarray(part)).resize(size, Image.Resampling.BICUBIC)).copy()
    for crop, colour in ((clicked.mask, CYAN), (boxed.mask, ORANGE), (target.truth, WHITE)):
        picture[edge(crop, (left, top, left + part.shape[1], top + part.shape[0]), size)] = colour
    cell = Image.new("RGB", (CELL, CELL + 2 * LINE), (20, 20, 20))
    cell.paste(Image.fromarray(picture), (0, 0))
    pen = ImageDraw.Draw(cell)
    corners = [(float(v) - (left, top)[axis % 2]) * scale for axis, v in enumerate(target.box)]
    pen.rectangle(corners, outline=ORANGE)
    x, y = (float(v) for v in (target.point - (left, top)) * scale)
    pen.line([x - 5, y, x + 5, y], fill=CYAN)
    pen.line([x, y - 5, x, y + 5], fill=CYAN)
    pen.text((3, CELL + 1), f"{look.source.removeprefix('antillia-')[:34]}", fill=WHITE)
    said = f"box {iou(boxed.mask, target.truth):.2f}  click {iou(clicked.mask, target.truth):.2f}"
    pen.text((3, CELL + LINE), said, fill=WHITE)
    return cell


def surroundings(box: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Left, top and side of a square around a box, three times as large but at least 96 pixels."""
    side = int(min(max(3 * max(box[2] - box[0], box[3] - box[1]), 96), max(shape)))
    left, top = ((box[:2] + box[2:] - side) / 2).astype(int)
    return int(np.clip(left, 0, max(shape[1] - side, 0))), int(np.clip(top, 0, max(shape[0] - side, 0))), side


def edge(crop: Crop, place: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    """The outline of a mask, drawn at the cell's own resolution."""
    shown = Image.fromarray(crop.on(place)).resize(size, Image.Resampling.NEAREST)
    return outline(np.asarray(shown, bool))


def chosen(folder: Path, count: int) -> list[Look]:
    """Windows to show: the sources take turns."""
    by_source: dict[str, list[Look]] = defaultdict(list)
    for look in looks(list_pictures(folder, limit=3)):
        if look.targets and look.targets[0].exact and look.name not in {one.name for one in by_source[look.source]}:
            by_source[look.source].append(look)
    turns = [look for turn in zip_longest(*by_source.values()) for look in turn if look is not None]
    return turns[:count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data/dev"))
    parser.add_argument("--output", "-o", type=Path, default=Path("contact_sheet.png"))
    parser.add_argument("--model", default="nano")
    parser.add_argument("--count", type=int, default=24)
    options = parser.parse_args()
    if not options.folder.is_dir():
        print(f"{options.folder} is not here: nothing is drawn")
        return
    model = load_model(options.model)
    cells = [draw(look, model) for look in chosen(options.folder, options.count)]
    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (CELL + 4), rows * (CELL + 2 * LINE + 4)), (0, 0, 0))
    for number, cell in enumerate(cells):
        row, column = divmod(number, COLUMNS)
        sheet.paste(cell, (column * (CELL + 4), row * (CELL + 2 * LINE + 4)))
    sheet.save(options.output)
    print(f"{len(cells)} pictures with {model.key}: {options.output}")


if __name__ == "__main__":
    main()
