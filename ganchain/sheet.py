"""Contact sheets: pictures in rows and columns, as large as each other, with captions."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from ganchain.tensors import Pixels

PAPER, WRITING = (250, 250, 248), (40, 40, 40)
GAP = 0.03  # of a cell's side


def sheet(
    rows: Sequence[Sequence[Pixels]],
    columns: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
    side: int = 256,
) -> Image.Image:
    """Pictures in square cells, nothing stretched or cut.

    Args:
        rows: (H, W, 3) uint8 pictures, of any sizes.
        columns: what stands above the columns.
        captions: what stands below the pictures, row by row; a row may have fewer than pictures.
        side: of a cell in px.
    """
    gap, font = max(2, round(GAP * side)), ImageFont.load_default(size=side / 12)
    line = round(side / 8)
    head, step = gap + line * bool(columns), side + gap + line * bool(captions)
    width = max([len(columns), *map(len, rows)])
    image = Image.new("RGB", (gap + (side + gap) * width, head + step * len(rows)), PAPER)
    draw = ImageDraw.Draw(image)
    for column, text in enumerate(columns):
        place = (gap + (side + gap) * column + side / 2, gap + line / 2)
        draw.text(place, _fitted(text, font, side), WRITING, font, anchor="mm")
    for row, pictures in enumerate(rows):
        top = head + step * row
        for column, pixels in enumerate(pictures):
            cell, left = _cell(pixels, side), gap + (side + gap) * column
            image.paste(cell, (left + (side - cell.width) // 2, top + (side - cell.height) // 2))
        for column, text in enumerate(captions[row] if captions else ()):
            place = (gap + (side + gap) * column + side / 2, top + side + line / 2)
            draw.text(place, _fitted(text, font, side), WRITING, font, anchor="mm")
    return image


def _cell(pixels: Pixels, side: int) -> Image.Image:
    cell = Image.fromarray(pixels)
    factor = side / max(cell.size)
    size = (max(1, round(cell.width * factor)), max(1, round(cell.height * factor)))
    return cell.resize(size, Image.Resampling.LANCZOS)


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """``text`` cut in its middle until it is no wider than ``width`` px."""
    kept = len(text)
    while kept > 4 and font.getlength(text if kept == len(text) else _cut(text, kept)) > width:
        kept -= 1
    return text if kept == len(text) else _cut(text, kept)


def _cut(text: str, kept: int) -> str:
    return f"{text[: kept // 2]}…{text[-(kept - kept // 2) :]}"
