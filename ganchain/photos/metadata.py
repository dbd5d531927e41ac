"""Metadata of a photo on its way out: what is written of it in which format, and what is taken out on request."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from math import isfinite
from typing import Any

from PIL import Image, PngImagePlugin

from ganchain.photos import exif, xmp
from ganchain.photos.captions import IIM_TAG, Captions
from ganchain.photos.photo import Photo

_XMP_TAG = 700  # of a TIFF
_DPI = (1, 65_535)  # the range that JPEG holds


def resolution(image: Image.Image) -> tuple[float, float] | None:
    """Read the resolution of both axes in px per inch; None where the file has none that makes sense."""
    with suppress(Exception):  # damaged EXIF, odd numbers
        if image.format in ("JPEG", "MPO") and not image.info.get("jfif_unit") and not exif.has_resolution(image):
            return None  # Pillow guesses 72
        x, y = (float(value) for value in image.info.get("dpi", ()))
        if all(isfinite(value) and _DPI[0] < value < _DPI[1] for value in (x, y)):
            return x, y
    return None


def without_location(photo: Photo) -> Photo:
    """Remove coordinates and names of places from all that a photo's file says."""
    return replace(
        photo,
        exif=exif.without_location(photo.exif),
        xmp=xmp.without_location(photo.xmp),
        captions=photo.captions.without_location(),
    )


def options(format_: str, photo: Photo) -> dict[str, Any]:
    """Write EXIF, XMP, captions and resolution as arguments of Pillow's writer for the format."""
    block, words = exif.parse(photo.exif), photo.captions
    packet = photo.xmp if format_ in ("png", "jpeg") else xmp.added(photo.xmp, words.comment_property())
    arguments: dict[str, Any] = {}
    if photo.dpi and format_ in ("webp", "tiff"):
        block = exif.with_resolution(block, photo.dpi)
    elif photo.dpi:
        arguments["dpi"] = photo.dpi
    if format_ == "tiff":
        block.update({_XMP_TAG: packet} if packet else {})
        block.update({IIM_TAG: words.block()} if words.iim else {})
    elif format_ == "png":
        arguments["pnginfo"] = _texts(packet, words)
    elif packet:
        arguments["xmp"] = packet
    if format_ == "jpeg":
        arguments |= {"comment": words.comment} if words.comment else {}
        arguments |= {"extra": words.segment()} if words.iim else {}
    return {"exif": block or b"", **arguments}


def _texts(packet: bytes, words: Captions) -> PngImagePlugin.PngInfo:
    """Write XMP, comment and texts as chunks of a PNG."""
    chunks = PngImagePlugin.PngInfo()
    if packet:
        chunks.add_itxt("XML:com.adobe.xmp", packet.decode())
    for keyword, text in (*words.texts, *([("Comment", words.comment)] if words.comment else [])):
        chunks.add_text(keyword, text)
    return chunks
