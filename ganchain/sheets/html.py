"""A contact sheet as one HTML page with the pictures inside and a slider for each row."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from importlib import resources

from PIL import Image

from ganchain.photos.marks import page_mark
from ganchain.tensors import Pixels

QUALITY, SMALL = 88, 96  # of the pictures' JPEG; px of a reference's picture beside its name

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
{mark}
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<h1>{title}</h1>
<p>Drag the line; choose another picture to see it beside the photo.</p>
"""


def page(
    title: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str, Sequence[Pixels | None]]],
    rim: Sequence[Pixels] = (),
) -> str:
    """Write the page, with a section for each row: a slider between two pictures, and all pictures to choose from.

    The slider begins with the first and the last picture of the row.

    Args:
        title: the heading.
        columns: captions of the pictures in each row, the source first.
        rows: name and (H, W, 3) uint8 pictures of each row, the source first; None leaves a picture out.
        rim: small pictures for the captions of all columns but the first, for example references.
    """
    insets = ["", *(f'<img src="{_embedded(pixels, SMALL)}" alt="">' for pixels in rim)]
    insets += [""] * (len(columns) - len(insets))
    body = "".join(_section(name, pictures, columns, insets) for name, pictures in rows)
    head = _HEAD.format(mark=page_mark(title).decode(), title=_text(title), style=_resource("sheet_page.css"))
    scripts = _resource("slider.js") + _resource("sheet_page.js")
    return f'{head}{body}<script type="module">\n{scripts}</script>\n</body>\n</html>\n'


def _resource(name: str) -> str:
    return (resources.files("ganchain.sheets") / name).read_text(encoding="utf-8")


def _section(name: str, pictures: Sequence[Pixels | None], columns: Sequence[str], insets: Sequence[str]) -> str:
    cells = [
        (_embedded(pixels), column, inset)
        for pixels, column, inset in zip(pictures, columns, insets, strict=False)
        if pixels is not None
    ]
    (first, source, _), *edited = cells
    if not edited:
        return f"<section>\n<h2>{_text(name)}</h2>\n{_image(first, source)}\n</section>\n"
    figures = [f"<li><figure>{_image(first, source)}{_caption(source)}</figure></li>"]
    for number, (picture, column, inset) in enumerate(edited, start=1):
        pressed = "true" if number == len(edited) else "false"
        content = f"{_image(picture, column)}{_caption(column, inset)}"
        figures.append(f'<li><button type="button" aria-pressed="{pressed}">{content}</button></li>')
    last, column, _ = edited[-1]
    return (
        f"<section>\n<h2>{_text(name)}</h2>\n"
        f'<before-after at="50">{_image(first, source, "before")}{_image(last, column, "after")}</before-after>\n<ol>\n'
        + "\n".join(figures)
        + "\n</ol>\n</section>\n"
    )


def _image(source: str, alt: str, slot: str = "") -> str:
    return f'<img src="{source}" alt="{_text(alt)}"{f" slot={slot}" if slot else ""}>'


def _caption(text: str, inset: str = "") -> str:
    return f'<span class="caption">{inset}<span>{_text(text)}</span></span>'


def _text(text: str) -> str:
    """Escape ``text`` for HTML; bytes of a file's name that are no Unicode become ``\\udcff``."""
    return escape(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def _embedded(pixels: Pixels, side: int | None = None) -> str:
    """Write the picture as a data URI, reduced to ``side`` px."""
    image, file = Image.fromarray(pixels), io.BytesIO()
    if side is not None:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    image.save(file, "jpeg", quality=QUALITY, subsampling=0, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
