"""Contact sheets: pictures of one size in rows and columns, with captions."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from ganchain.sheets.text import Font, fitted
from ganchain.tensors import Pixels

PAPER, WRITING = (250, 250, 248), (40, 40, 40)
# Shares of a cell's side; the height of a line is a multiple of the size of its letters.
GAP = 0.03  # between cells
APART = 0.12  # between sources and results
LABEL = 0.75  # the widest label of a row
TEXT, LINE = 1 / 13, 1.25

Caption = tuple[list[str], Font]


def sheet(
    rows: Sequence[Sequence[Pixels | None]],
    columns: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
    side: int = 256,
    apart: tuple[int, int] = (0, 0),
    labels: Sequence[str] = (),
) -> Image.Image:
    """Draw pictures in square cells; no picture is stretched or cut.

    Args:
        rows: (H, W, 3) uint8 pictures, of any sizes; None leaves a cell empty.
        columns: captions above the columns.
        captions: captions below the pictures, row by row; a row may have fewer captions than pictures. Long captions
            go over several lines; two that differ never look the same.
        side: the side of a cell in px.
        apart: the number of first rows and of first columns that get a wider gap after them, as between sources and
            results.
        labels: captions at the left of the rows.
    """
    gap, size = max(2, round(GAP * side)), TEXT * side
    line = round(LINE * size)
    above = fitted(columns, size, side)
    below = _by_row(fitted([text for row in captions for text in row], size, side), [len(row) for row in captions])
    below += [[]] * (len(rows) - len(below))
    beside = fitted(labels, size, LABEL * side)
    start = 3 * gap + _width(beside) if any(labels) else 0
    lefts = _edges([side] * max([len(columns), *map(len, rows)]), gap, apart[1], round(APART * side), start)
    tallest = max((_height(row, line) for row in below), default=0)
    heights = [side + (tallest if number >= apart[0] else _height(row, line)) for number, row in enumerate(below)]
    tops = _edges(heights, gap, apart[0], round(APART * side), _height(above, line) + gap)
    image = Image.new("RGB", (lefts[-1], tops[-1]), PAPER)
    draw = ImageDraw.Draw(image)
    for left, caption in zip(lefts, above, strict=False):
        _write(draw, caption, left + side / 2, tops[0] - line * len(caption[0]) - gap / 2, line)
    for top, caption in zip(tops, beside, strict=False):
        _write(draw, caption, (start + gap) / 2 - gap, top + (side - line * len(caption[0])) / 2, line)
    for top, pictures, row in zip(tops, rows, below, strict=False):
        for left, pixels in zip(lefts, pictures, strict=False):
            if pixels is not None:
                cell = _cell(pixels, side)
                image.paste(cell, (left + (side - cell.width) // 2, top + (side - cell.height) // 2))
        for left, caption in zip(lefts, row, strict=False):
            _write(draw, caption, left + side / 2, top + side, line)
    return image


def _edges(sizes: Sequence[int], gap: int, apart: int, wide_gap: int, start: int = 0) -> list[int]:
    """Compute where cells of ``sizes`` begin, and as the last number where the sheet ends."""
    edges = [max(start, gap)]
    for number, size in enumerate(sizes, start=1):
        edges.append(edges[-1] + size + (wide_gap if number == apart and number < len(sizes) else gap))
    return edges


def _height(captions: Sequence[Caption], line: int) -> int:
    return round(line * (max((len(lines) for lines, _ in captions), default=0) + 0.3 * bool(captions)))


def _width(captions: Sequence[Caption]) -> int:
    return round(max(letters.getlength(line) for lines, letters in captions for line in lines or [""]))


def _write(draw: ImageDraw.ImageDraw, caption: Caption, middle: float, top: float, line: int) -> None:
    lines, letters = caption
    for number, text in enumerate(lines):
        draw.text((middle, top + line * (number + 0.65)), text, WRITING, letters, anchor="mm")


def _by_row(captions: Sequence[Caption], counts: Sequence[int]) -> list[list[Caption]]:
    rest = iter(captions)
    return [[next(rest) for _ in range(count)] for count in counts]


def _cell(pixels: Pixels, side: int) -> Image.Image:
    cell = Image.fromarray(pixels)
    factor = side / max(cell.size)
    size = (max(1, round(cell.width * factor)), max(1, round(cell.height * factor)))
    return cell.resize(size, Image.Resampling.LANCZOS)
