"""Damage in photo files that decoders pass over in silence: cut, overwritten or flipped bytes in the pixels' own data.

Pillow hides the warnings of its decoders, and what they could not decode comes out grey, shifted or black. Here the
compressed data is checked itself: JPEG by libjpeg's own warnings, PNG by how many bytes its rows unpack to, WebP by
runs of one byte that its arithmetic coder never writes. Metadata is not looked at: a photo with odd metadata is sound.
"""

from __future__ import annotations

import re
import zlib

import simplejpeg

from ganchain.photos import png

RUN, RUN_PER_PIXEL = 1024, 1 / 4096  # equal bytes in a WebP that are suspicious; a flat picture has fewer
HEADER_SEGMENTS = {0xC4, 0xDB, 0xDD, 0xEE}  # of a JPEG: tables, restart interval, Adobe's colour transform
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the colour type of a PNG
LONGEST_TEXT = 1 << 18  # bytes of a text in a PNG
BLOCK = 1 << 20  # bytes that are unpacked at once


def problem(content: bytes) -> str | None:
    """Say what is damaged in the pixels of a JPEG, PNG or WebP file; None for a sound one and for other formats."""
    try:
        if content.startswith(b"\xff\xd8"):
            return _jpeg(content)
        if content.startswith(png.SIGNATURE):
            return _png(content)
        if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            return _webp(content)
    except (IndexError, KeyError, ValueError, zlib.error):  # a header that its decoder will refuse in its own words
        return None
    return None


def completed(content: bytes) -> bytes:
    """Mend what keeps a decoder from sound pixels: the end that a JPEG lacks, texts of a PNG that are too long."""
    if content.startswith(b"\xff\xd8") and b"\xff\xd9" not in content[-64:]:
        return content + b"\xff\xd9"
    if content.startswith(png.SIGNATURE):
        return _without_long_texts(content)
    return content


def _without_long_texts(content: bytes) -> bytes:
    """Leave out texts of a PNG that are longer than Pillow takes; node editors write megabytes."""
    texts = (b"tEXt", b"zTXt", b"iTXt")
    kept = (chunk.whole for chunk in png.chunks(content) if chunk.kind not in texts or not _is_long(chunk))
    return png.SIGNATURE + b"".join(kept)


def _is_long(text: png.Chunk) -> bool:
    kind, body = text.kind, text.body
    if len(body) > LONGEST_TEXT or kind == b"tEXt":
        return len(body) > LONGEST_TEXT
    packed = body[body.find(b"\0") + 2 :] if kind == b"zTXt" else _packed_text(body)
    try:
        return len(zlib.decompressobj().decompress(packed, LONGEST_TEXT + 1)) > LONGEST_TEXT
    except zlib.error:
        return False


def _packed_text(body: bytes) -> bytes:
    """Cut the packed text out of an iTXt chunk; empty if it is not packed."""
    keyword = body.find(b"\0")
    if body[keyword + 1 : keyword + 2] != b"\1":
        return b""
    language = body.find(b"\0", keyword + 3)
    return body[body.find(b"\0", language + 1) + 1 :]


def _jpeg(content: bytes) -> str | None:
    """Decode at an eighth of the size, which reads all of the entropy-coded data, with warnings as errors."""
    if (bare := _without_metadata(content)) is None:
        return None
    try:
        simplejpeg.decode_jpeg(bare, "GRAY", min_height=1, min_width=1, min_factor=8, strict=True)
    except ValueError as error:
        reason = re.sub(r"^Corrupt JPEG data: ", "", str(error))
        return reason if _about_data(reason) else None
    return None


def _about_data(reason: str) -> bool:
    """Tell libjpeg's words about the coded pixels from those about a kind of JPEG that it does not know."""
    return bool(re.search(r"premature end|extraneous bytes|bad Huffman code|Premature end|Unsupported marker", reason))


def _without_metadata(content: bytes) -> bytes | None:
    """Keep of the first picture of a JPEG file what its pixels need, and end it where a camera forgot to.

    None where its header is so odd that metadata and pixels cannot be told apart.
    """
    kept, at = [b"\xff\xd8"], 2
    while True:
        while content[at : at + 2] == b"\xff\xff":  # padding
            at += 1
        if content[at] != 0xFF or content[at + 1] in (0x00, 0x01, *range(0xD0, 0xDA)):
            return None
        marker = content[at + 1]
        length = 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        if marker == 0xDA:
            break
        if marker in HEADER_SEGMENTS or 0xC0 <= marker <= 0xCF:
            kept.append(content[at : at + length])
        at += length
    data = content[at:]
    end = data.rfind(b"\xff\xd9")
    if (first := data.find(b"\xff\xd8\xff")) >= 0:  # another picture behind the first: a preview, an HDR gain map
        end = data.rfind(b"\xff\xd9", 0, first)
    return b"".join(kept) + (data[:end] if end >= 0 else data) + b"\xff\xd9"


def _png(content: bytes) -> str | None:
    """Count the bytes that the picture's rows unpack to."""
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    depth, colour, interlaced = content[24], content[25], content[28]
    bits = depth * CHANNELS[colour]
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes]
    wanted = sum((1 + (w * bits + 7) // 8) * h for w, h in sizes if w > 0 and h > 0)
    unpacked, unpacker = 0, zlib.decompressobj()
    for part in (chunk.body for chunk in png.chunks(content) if chunk.kind == b"IDAT"):
        while part and not unpacker.eof and unpacked < wanted:
            unpacked += len(unpacker.decompress(part, BLOCK))
            part = unpacker.unconsumed_tail
    if unpacked >= wanted:
        return None
    return f"its PNG data ends after {max(0, unpacked) / wanted:.0%} of the rows"


def _webp(content: bytes) -> str | None:
    """Look for a run of one byte in the coded pixels of a WebP."""
    at, width, height = 12, 0, 0
    while at + 8 <= len(content):
        kind, length = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        body = content[at + 8 : at + 8 + length]
        if kind == b"VP8X":
            width, height = (1 + int.from_bytes(body[at : at + 3], "little") for at in (4, 7))
        elif kind == b"VP8 ":
            width, height = (int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        elif kind == b"VP8L":
            bits = int.from_bytes(body[1:5], "little")
            width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        if kind in (b"VP8 ", b"VP8L"):
            longest = RUN + round(width * height * RUN_PER_PIXEL)
            if run := re.search(rb"(.)\1{%d,}" % longest, body, re.DOTALL):
                return f"its WebP data is overwritten with {run.end() - run.start()} equal bytes"
        at += 8 + length + length % 2
    return None
