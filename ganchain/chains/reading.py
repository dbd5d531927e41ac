"""The text of YAML files, in the encoding in which an editor or a shell left it."""

from __future__ import annotations

import codecs
from pathlib import Path

from ganchain.errors import ChainError, GanchainError
from ganchain.photos import images

LONGEST = 1 << 20  # bytes
MARKS = {  # those of UTF-32 first: they begin like those of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}


def read(path: Path) -> str:
    """Read a YAML file as text: UTF-8, or UTF-16 or UTF-32 with a byte order mark.

    Raises:
        ChainError: the file cannot be read, is longer than ``LONGEST``, or is no text; a photo is named as such.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST + 1)
    except OSError as error:
        raise ChainError(f"cannot be read: {error.strerror or error}", file=str(path)) from error
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(content, final=len(content) <= LONGEST)
    except UnicodeDecodeError as error:
        raise ChainError(_kind(path) or _undecodable(content, error), file=str(path)) from error
    if "\0" in text:
        raise ChainError(_kind(path) or "not YAML: no text in UTF-8", file=str(path))
    if len(content) > LONGEST:
        raise ChainError("not read: more than 1 MB", file=str(path))
    return text


def _kind(path: Path) -> str:
    """Say of a photo that it is one; return "" for anything else."""
    try:
        images.size(path)
    except GanchainError:
        return ""
    return "this is a photo, not YAML; the YAML file, or a name, comes first, then the photos"


def _undecodable(content: bytes, error: UnicodeDecodeError) -> str:
    """Say where a text is not in UTF-8; of something that is no text, that it is none."""
    if b"\0" in content[:1000] or error.encoding != "utf-8":
        return "not YAML: no text in UTF-8"
    line = content.count(b"\n", 0, error.start) + 1
    return f"not UTF-8 text (byte 0x{content[error.start]:02x} in line {line}): save it as UTF-8"
