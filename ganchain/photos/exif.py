"""EXIF blocks: the data of the camera, without those that are wrong for an edited copy."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from PIL import ExifTags, Image

log = logging.getLogger(__name__)

_TURNS = dict(enumerate((Image.Transpose(n) for n in (0, 3, 1, 5, 4, 6, 2)), start=2))  # by EXIF orientation
# Description, make, model, resolution, software, date, artist, computer, rating, copyright, Windows' texts.
_KEPT = {270, 271, 272, 282, 283, 296, 305, 306, 315, 316, 18246, 18249, 33432, *range(40091, 40096)}
_LEFT_OUT = {37500, 40961, 40962, 40963, 40965}  # maker's note, colour space, width, height, its index


class Exif(NamedTuple):
    """The EXIF block to write back, and the turn that makes the picture upright; None if it is upright."""

    block: bytes
    turn: Image.Transpose | None


def read(image: Image.Image) -> Exif:
    """Read the EXIF data that also hold for an edited copy of ``image``, and the turn that makes it upright.

    Left out are tags that are true only of the file itself (orientation, size, layout, colour space), and those that
    may show the photo before the edit (thumbnail, maker's note, layers of a TIFF).
    """
    block, turn = b"", None
    try:
        original, copy = image.getexif(), Image.Exif()
        if image.format != "JXL":  # its decoder turns it; the format's standard says not to look at EXIF
            turn = _TURNS.get(original.get(ExifTags.Base.Orientation, 1))
        copy.update((tag, _verbatim(original[tag])) for tag in _KEPT & original.keys())
        for part in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            if tags := {t: v for t, v in original.get_ifd(part).items() if t not in _LEFT_OUT}:
                copy[part] = tags
        block = copy.tobytes() if copy else b""
    except Exception:  # a damaged EXIF block must not cost the photo
        log.debug("an EXIF block is damaged and was left out", exc_info=True)
    return Exif(block if len(block) < 2**16 - 8 else b"", turn)  # JPEG takes no more


def _verbatim(value: Any) -> Any:
    """Turn text back into the bytes in the file, for Pillow writes ? for every letter of a str beyond ASCII."""
    return value.encode("latin-1") if isinstance(value, str) else value


def parse(exif: bytes) -> Image.Exif:
    """Turn a block into the object that Pillow's writers take."""
    block = Image.Exif()
    block.load(exif)
    block.update((tag, _verbatim(value)) for tag, value in block.items())
    return block


def without_location(exif: bytes) -> bytes:
    """Remove the GPS data from an EXIF block."""
    block = parse(exif)
    block.pop(ExifTags.IFD.GPSInfo, None)
    return block.tobytes() if block else b""


def has_resolution(image: Image.Image) -> bool:
    """Say whether EXIF holds a resolution with its unit."""
    return {ExifTags.Base.XResolution, ExifTags.Base.ResolutionUnit} <= image.getexif().keys()


def with_resolution(block: Image.Exif, dpi: tuple[float, float]) -> Image.Exif:
    """Add the resolution of both axes in px per inch, unless the block has one."""
    base = ExifTags.Base
    if base.XResolution not in block:
        block.update({base.XResolution: dpi[0], base.YResolution: dpi[1], base.ResolutionUnit: 2})
    return block
