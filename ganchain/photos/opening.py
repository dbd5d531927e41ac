"""Picture files opened by their header: in a format of photos, and with no more pixels than memory has room for."""

from __future__ import annotations

import os
from threading import Lock
from typing import IO

import psutil
from PIL import Image

from ganchain.errors import PhotoError

# Formats of photos; not those for which Pillow starts another program (EPS: Ghostscript).
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "PPM", "AVIF", "JPEG2000", "TGA", "ICO", "PCX", "PSD")
_PILLOW_LIMIT = Lock()
BYTES_PER_PIXEL = 24  # of a photo that is read, edited and written


def most_pixels() -> int:
    """Return how many pixels a photo may have: those that memory has room for, or ``GANCHAIN_MAX_PIXELS``."""
    if (limit := os.environ.get("GANCHAIN_MAX_PIXELS", "")).isdigit():
        return int(limit)
    return int(psutil.virtual_memory().available // BYTES_PER_PIXEL)


def open_picture(file: str | os.PathLike[str] | IO[bytes], name: str) -> Image.Image:
    """Open a picture by its header, whatever its size, if memory has room for its pixels.

    Pillow refuses pictures by a limit of its own, which holds for the whole process; here memory decides.
    """
    with _PILLOW_LIMIT:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(file, formats=_FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = before
    width, height = image.size
    if width * height > (most := most_pixels()):
        image.close()
        raise PhotoError(
            f"{width} x {height} px: there is memory for {most / 1e6:.0f} megapixels; make it smaller, or set "
            "GANCHAIN_MAX_PIXELS",
            path=name,
        )
    return image
