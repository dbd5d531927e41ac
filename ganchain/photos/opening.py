"""Picture files opened by their header: in a format of photos, and with no more pixels than memory has room for."""

from __future__ import annotations

import os
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import IO, NamedTuple

import psutil
from PIL import Image

from ganchain.errors import PhotoError
from ganchain.files import open_regular

# Formats of photos; not those for which Pillow starts another program (EPS: Ghostscript).
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "PPM", "AVIF", "JPEG2000", "TGA", "ICO", "PCX", "PSD")
_RAW = {".dng", ".nef", ".nrw", ".cr2", ".arw", ".orf", ".rw2", ".pef", ".srw", ".3fr"}  # read, they give a thumbnail
_PILLOW_LIMIT = Lock()
BYTES_PER_PIXEL = 24  # of a photo that is read, edited and written


def most_pixels() -> int:
    """Return how many pixels a photo may have: those that memory has room for, or ``GANCHAIN_MAX_PIXELS``."""
    if (limit := os.environ.get("GANCHAIN_MAX_PIXELS", "")).isdigit():
        return int(limit)
    return int(psutil.virtual_memory().available // BYTES_PER_PIXEL)


class _Plugin(NamedTuple):
    """A format that Pillow reads only with another package.

    Attributes:
        name: Pillow's name of the format.
        start: the first bytes of such files.
        module: the package's module, and ``register`` its function that adds the format; "" where the import does.
        extra: the extra that installs it.
    """

    name: str
    start: re.Pattern[bytes]
    module: str
    register: str
    extra: str


_PLUGINS = (
    _Plugin(
        "HEIF", re.compile(rb".{4}ftyp(?:hei|hev|mif1|msf1)", re.DOTALL), "pillow_heif", "register_heif_opener", "heif"
    ),
    _Plugin("JXL", re.compile(rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"), "pillow_jxl", "", "jxl"),
)


@cache
def _registered(plugin: _Plugin) -> bool:
    """Add a format to Pillow; False where its package is not installed."""
    try:
        module = import_module(plugin.module)
    except ImportError:
        return False
    if plugin.register:
        getattr(module, plugin.register)(thumbnails=False)
    return True


def _formats(start: bytes, name: str) -> tuple[str, ...]:
    """Choose the formats in which a file may be opened that begins with the bytes ``start``.

    Raises:
        PhotoError: its format needs a package that is not installed.
    """
    for plugin in _PLUGINS:
        if plugin.start.match(start):
            if _registered(plugin):
                return (plugin.name, "AVIF")  # whose files may begin in the same way
            if plugin.name == "HEIF" and b"avif" in start:
                break
            cure = f"pip install 'ganchain[{plugin.extra}]'"
            raise PhotoError(f"{plugin.extra.upper()} pictures need another package: {cure}", path=name)
    return _FORMATS


def _start(file: str | os.PathLike[str] | IO[bytes]) -> bytes:
    """Read the first bytes of a file; one that is no regular file would keep the reader waiting for ever."""
    if isinstance(file, str | os.PathLike):
        with open_regular(Path(file)) as opened:
            return opened.read(64)
    start = file.read(64)
    file.seek(0)
    return start


def open_picture(file: str | os.PathLike[str] | IO[bytes], name: str) -> Image.Image:
    """Open a picture by its header, whatever its size, if memory has room for its pixels.

    Pillow refuses pictures by a limit of its own, which holds for the whole process; here memory decides.

    Raises:
        PhotoError: it is too large, its format needs a package that is not installed, or it is a camera's raw file.
    """
    if Path(name).suffix.lower() in _RAW:
        raise PhotoError("a camera's raw file: develop it, and save it as TIFF or JPEG", path=name)
    formats = _formats(_start(file), name)
    with _PILLOW_LIMIT:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(file, formats=formats)
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
