"""Captions: a font that has the letters, and lines that fit a width."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

LINES = 3  # of a caption, where that says enough
# What systems have for letters beyond those of Pillow's own font, which is quite short of them.
FALLBACKS = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "segoeui.ttf", "arial.ttf", "Arial.ttf"),
    *("NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "wqy-zenhei.ttc", "msyh.ttc", "Arial Unicode.ttf"),
)
_NO_LETTER = "\U0010ffff"
_BREAKS = tuple(map(re.compile, (r"[^,]+,*\s*|,+\s*", r"[^\s\-_./]*[\s\-_./]+|[^\s\-_./]+", r".")))  # the best first


def font(size: float) -> Font:
    """Pillow's own font, the same on every machine."""
    return ImageFont.load_default(size=size)


@lru_cache
def _fallback(name: str, size: float) -> Font | None:
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


@lru_cache(maxsize=4096)
def _has(name: str, letter: str) -> bool:
    found = _fallback(name, 16) if name else font(16)
    return found is not None and _drawn(found, letter) != _drawn(found, _NO_LETTER)


def _drawn(letters: Font, letter: str) -> bytes:
    image = Image.new("L", (32, 32))
    ImageDraw.Draw(image).text((4, 4), letter, 255, letters)
    return image.tobytes()


def writable(text: str, size: float) -> tuple[str, Font]:
    """``text`` and a font that has all of its letters.

    Where none has, accents go first, and what is left is written as ``\\u5c71``: two texts that differ by letters
    that cannot be drawn still look different.
    """
    text = "".join(map(_visible, unicodedata.normalize("NFC", text)))
    for name in ("", *FALLBACKS):
        if all(letter == " " or _has(name, letter) for letter in text):
            return text, (_fallback(name, size) if name else None) or font(size)
    return "".join(letter if letter == " " or _has("", letter) else _plain(letter) for letter in text), font(size)


def _visible(letter: str) -> str:
    if unicodedata.category(letter) == "Zs":  # the narrow one in names of screenshots, say
        return " "
    return letter if letter.isprintable() else _escaped(letter)


def _plain(letter: str) -> str:
    bare = "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
    return bare if bare and all(_has("", part) for part in bare) else _escaped(letter)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def fitted(texts: Sequence[str], size: float, width: float) -> list[tuple[list[str], Font]]:
    """Each text in lines of at most ``width`` px, with its font; long ones lose their middle.

    Never so that two different texts look the same: then those keep all of their lines.
    """
    drawn = [writable(text, size) for text in texts]
    whole = [lines(text, letters, width) for text, letters in drawn]
    short = [_shortened(text, letters, width) for text, letters in drawn]
    meanings: dict[tuple[str, ...], set[str]] = {}
    for text, cut in zip(texts, short, strict=True):
        meanings.setdefault(tuple(cut), set()).add(text)
    chosen = [cut if len(meanings[tuple(cut)]) == 1 else full for cut, full in zip(short, whole, strict=True)]
    return [(each, letters) for each, (_, letters) in zip(chosen, drawn, strict=True)]


def lines(text: str, letters: Font, width: float, breaks: Sequence[re.Pattern[str]] = _BREAKS) -> list[str]:
    """``text`` broken after commas; what is wider than ``width`` px then at spaces and punctuation, else anywhere."""
    found: list[str] = []
    for piece in breaks[0].findall(text):
        if found and letters.getlength((found[-1] + piece).rstrip()) <= width:
            found[-1] += piece
        elif len(breaks) > 1 and letters.getlength(piece.rstrip()) > width:
            found += lines(piece, letters, width, breaks[1:])
        else:
            found.append(piece)
    return [line.rstrip() for line in found] if breaks is _BREAKS else found


def _shortened(text: str, letters: Font, width: float) -> list[str]:
    kept, cut = len(text), lines(text, letters, width)
    while len(cut) > LINES and kept > 4:
        kept -= 1
        cut = lines(f"{text[: kept // 2]}…{text[-(kept - kept // 2) :]}", letters, width)
    return cut
