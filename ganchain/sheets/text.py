"""Text of captions: a font that has the letters, and lines that fit a width."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

LINES = 3  # of a caption that is shortened
# Fonts of common systems, for the many letters that Pillow's own font lacks.
FALLBACKS = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "segoeui.ttf", "arial.ttf", "Arial.ttf"),
    *("NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "wqy-zenhei.ttc", "msyh.ttc", "Arial Unicode.ttf"),
)
_NO_LETTER = "\U0010ffff"
_BREAKS = tuple(map(re.compile, (r"[^,]+,*\s*|,+\s*", r"[^\s\-_./]*[\s\-_./]+|[^\s\-_./]+", r".")))  # the best first


def font(size: float) -> Font:
    """Load Pillow's own font, the same on every machine."""
    return ImageFont.load_default(size=size)


@lru_cache
def _fallback(name: str, size: float) -> Font | None:
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


@lru_cache(maxsize=4096)
def _has(name: str, letter: str) -> bool:
    letters = _fallback(name, 16) if name else font(16)
    return letters is not None and _pixels(letters, letter) != _pixels(letters, _NO_LETTER)


def _pixels(letters: Font, letter: str) -> bytes:
    image = Image.new("L", (32, 32))
    ImageDraw.Draw(image).text((4, 4), letter, 255, letters)
    return image.tobytes()


def writable(text: str, size: float) -> tuple[str, Font]:
    """Find a font that has all letters of ``text``, and return the text to draw with it.

    If no font has them, letters lose their accents, and those that still cannot be drawn are written as ``\\u5c71``,
    so that two texts that differ only by such letters still look different.
    """
    text = "".join(map(_visible, unicodedata.normalize("NFC", text)))
    for name in ("", *FALLBACKS):
        if all(letter == " " or _has(name, letter) for letter in text):
            return text, (_fallback(name, size) if name else None) or font(size)
    return "".join(letter if letter == " " or _has("", letter) else _plain(letter) for letter in text), font(size)


def _visible(letter: str) -> str:
    if unicodedata.category(letter) == "Zs":  # any kind of space, as the narrow one in names of screenshots
        return " "
    return letter if letter.isprintable() else _escaped(letter)


def _plain(letter: str) -> str:
    bare = "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
    return bare if bare and all(_has("", part) for part in bare) else _escaped(letter)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def fitted(texts: Sequence[str], size: float, width: float) -> list[tuple[list[str], Font]]:
    """Break each text into lines of at most ``width`` px, and find its font.

    Long texts lose their middle, unless two different texts would then look the same: those keep all of their lines.
    """
    writables = [writable(text, size) for text in texts]
    full = [lines(text, letters, width) for text, letters in writables]
    short = [_shortened(text, letters, width) for text, letters in writables]
    sources: dict[tuple[str, ...], set[str]] = {}
    for text, short_lines in zip(texts, short, strict=True):
        sources.setdefault(tuple(short_lines), set()).add(text)
    return [
        (short_lines if len(sources[tuple(short_lines)]) == 1 else full_lines, letters)
        for short_lines, full_lines, (_, letters) in zip(short, full, writables, strict=True)
    ]


def lines(text: str, letters: Font, width: float, breaks: Sequence[re.Pattern[str]] = _BREAKS) -> list[str]:
    """Break ``text`` into lines of at most ``width`` px: after commas, else at spaces or punctuation, else anywhere."""
    broken: list[str] = []
    for piece in breaks[0].findall(text):
        if broken and letters.getlength((broken[-1] + piece).rstrip()) <= width:
            broken[-1] += piece
        elif len(breaks) > 1 and letters.getlength(piece.rstrip()) > width:
            broken += lines(piece, letters, width, breaks[1:])
        else:
            broken.append(piece)
    return [line.rstrip() for line in broken] if breaks is _BREAKS else broken


def _shortened(text: str, letters: Font, width: float) -> list[str]:
    length, broken = len(text), lines(text, letters, width)
    while len(broken) > LINES and length > 4:
        length -= 1
        broken = lines(f"{text[: length // 2]}…{text[-(length - length // 2) :]}", letters, width)
    return broken
