"""EXIF blocks: what a camera says of a photo, less what does not hold for an edited copy."""

from __future__ import annotations

import logging
from typing import Any

from PIL import ExifTags, Image

log = logging.getLogger(__name__)

_TURNS = dict(enumerate((Image.Transpose(n) for n in (0, 3, 1, 5, 4, 6, 2)), start=2))  # by EXIF orientation
# Description, make, model, resolution, software, date, artist, computer, rating, copyright, Windows' texts.
_KEPT = {270, 271, 272, 282, 283, 296, 305, 306, 315, 316, 18246, 18249, 33432, *range(40091, 40096)}
_LEFT_OUT = {37500, 40961, 40962, 40963, 40965}  # maker's note, colour space, width, height, its index


def kept(image: Image.Image) -> tuple[bytes, Image.Transpose | None]:
    """The EXIF block to write back, and the turn that makes the picture upright.

    Left out is what holds only for the file it came in (orientation, size, layout, colour space) and what may
    show the photo as it was (thumbnail, maker's note, layers of a TIFF).
    """
    block, turn = b"", None
    try:
        found, chosen = image.getexif(), Image.Exif()
        turn = _TURNS.get(found.get(ExifTags.Base.Orientation, 1))
        chosen.update((tag, _verbatim(found[tag])) for tag in _KEPT & found.keys())
        for part in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            if tags := {t: v for t, v in found.get_ifd(part).items() if t not in _LEFT_OUT}:
                chosen[part] = tags
        block = chosen.tobytes() if chosen else b""
    except Exception:  # a damaged EXIF block must not cost the photo
        log.debug("an EXIF block is damaged and was left out", exc_info=True)
    return block if len(block) < 2**16 - 8 else b"", turn  # JPEG takes no more


def _verbatim(value: Any) -> Any:
    """Text as the bytes it came in; of a str, Pillow writes ? for every letter beyond ASCII."""
    return value.encode("latin-1") if isinstance(value, str) else value


def loaded(exif: bytes) -> Image.Exif:
    """A block as Pillow's writers take it."""
    block = Image.Exif()
    block.load(exif)
    block.update((tag, _verbatim(value)) for tag, value in block.items())
    return block


def without_location(exif: bytes) -> bytes:
    """The EXIF block less its GPS data."""
    block = loaded(exif)
    block.pop(ExifTags.IFD.GPSInfo, None)
    return block.tobytes() if block else b""
