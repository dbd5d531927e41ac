"""Draw the files that break decoders: odd ones that must be read, broken ones that must be refused, damaged ones.

    python -m tests.torture FOLDER

Three folders come to lie in FOLDER. ``sound``: whole, but seldom seen. ``refused``: no picture, cut off, or a bomb.
``damaged``: bits flipped and parts left out at random places, the same in every run; these may be read or refused.
The kinds are those of Pillow's and libpng's own collections of broken files.
"""

from __future__ import annotations

import random
import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

Files = Iterator[tuple[str, bytes]]
SIDES = 24, 16  # px of every picture: width, height
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
BOMB = 60_000  # px a side: 3.6 billion in all


def torture(folder: Path, flips: int = 2) -> dict[str, list[Path]]:
    """Write all files and return their paths by ``sound``, ``refused`` and ``damaged``.

    ``flips`` versions of every file of ``sound`` come to lie in ``damaged``.
    """
    sound = {name: content for part in (jpegs, pngs, gifs, bitmaps, tiffs, others) for name, content in part()}
    refused = dict(cut(sound)) | {name: content for part in (bombs, liars, strangers) for name, content in part()}
    damaged = dict(oddities()) | dict(flipped(sound, flips))
    written: dict[str, list[Path]] = {}
    for kind, files in (("sound", sound), ("refused", refused), ("damaged", damaged)):
        (folder / kind).mkdir(parents=True)
        written[kind] = [folder / kind / name for name in files]
        for name, content in files.items():
            (folder / kind / name).write_bytes(content)
    return written


def picture(mode: str = "RGB") -> Image.Image:
    """Draw a smooth picture that is unlike itself however it is turned."""
    y, x = np.mgrid[0 : SIDES[1], 0 : SIDES[0]]
    image = Image.fromarray(np.stack([x * 10, y * 15, x + y], axis=-1).astype(np.uint8))
    if mode in ("I;16", "I;16B"):
        return Image.fromarray((x * 2700).astype(np.uint16))
    if mode == "F":
        return Image.fromarray((x / 24).astype(np.float32))
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray((x * 10).astype(np.uint8)))
    return image.convert(mode)


def saved(format_: str, mode: str = "RGB", **options: Any) -> bytes:
    file = BytesIO()
    picture(mode).save(file, format_, **options)
    return file.getvalue()


def animated(format_: str, **options: Any) -> bytes:
    frames = [picture().rotate(90 * turn) for turn in range(3)]
    return saved(format_, save_all=True, append_images=frames, **options)


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


# --- sound: whole, but seldom seen


def jpegs() -> Files:
    whole = saved("JPEG")
    for mode in ("L", "CMYK", "YCbCr"):
        yield f"{mode}.jpg", saved("JPEG", mode)
    for name, options in {
        "progressive": {"progressive": True},
        "4-2-0": {"subsampling": 2},
        "worst": {"quality": 1},
        "restarts": {"restart_marker_blocks": 1},
        "comment": {"comment": b"\0" * 60_000},
        "kept in RGB": {"keep_rgb": True},
        "16-bit tables": {"qtables": [[1000] * 64, [1000] * 64]},
        "profile in many parts": {"icc_profile": SRGB + bytes(150_000)},
        "no profile": {"icc_profile": b"no profile at all"},
        "xmp": {"xmp": b"<x tiff:Orientation='6'>" + bytes(2000)},
        "strange dpi": {"dpi": (0, 65535)},
    }.items():
        yield f"{name}.jpg", saved("JPEG", **options)
    for orientation in range(10):
        yield f"turned {orientation}.jpg", saved("JPEG", exif=turned(orientation))
    for name, block in {
        "empty": b"Exif\0\0",
        "nonsense": b"Exif\0\0nonsense",
        "outside": b"Exif\0\0MM\0*\xff\xff\xff\xff",
        "of itself": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x08\0\0\0\x08",
        "zero division": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x1a\0\x05\0\0\0\x01\0\0\0\x1a\0\0\0\0" + bytes(8),
    }.items():
        yield f"exif {name}.jpg", saved("JPEG", exif=block)
    yield "exif twice.jpg", saved("JPEG", exif=turned(6))[:2] + segment(0xE1, turned(8).tobytes()) + whole[2:]
    yield "app13 twice.jpg", whole[:2] + segment(0xED, b"Photoshop 3.0\0" + bytes(9)) * 2 + whole[2:]
    yield "fill bytes.jpg", whole[:2] + b"\xff" * 40 + whole[2:]
    yield "something behind.jpg", whole + b"PK\3\4 something else" * 50
    yield "several pictures.jpg", animated("MPO")
    yield "a jpeg called.png", whole


def segment(marker: int, content: bytes) -> bytes:
    """A segment of a JPEG file."""
    return struct.pack(">BBH", 255, marker, len(content) + 2) + content


def pngs() -> Files:
    whole = saved("PNG")
    for kind, depths in ((0, (1, 2, 4, 8, 16)), (2, (8, 16)), (3, (1, 2, 4, 8)), (4, (8, 16)), (6, (8, 16))):
        for depth in depths:
            yield f"kind {kind} of {depth} bits.png", png(*raw(kind, depth))
            yield f"kind {kind} of {depth} bits on a ground.png", png(*raw(kind, depth), extra=[ground(kind)])
        yield f"kind {kind} in seven passes.png", png(*raw(kind, depths[-1], passes=True))
    yield "grey with a transparent one.png", png(*raw(0, 8), extra=[(b"tRNS", b"\0\x50")])
    yield "16-bit grey with a transparent one.png", png(*raw(0, 16), extra=[(b"tRNS", b"\x50\x50")])
    yield "rgb with a transparent one.png", png(*raw(2, 8), extra=[(b"tRNS", bytes(6))])
    yield "palette with alphas.png", png(*raw(3, 8), extra=[(b"tRNS", bytes(range(0, 250, 50)))])
    for name, chunks in {
        "linear": [(b"gAMA", struct.pack(">I", 100_000))],
        "no gamma": [(b"gAMA", bytes(4))],
        "srgb": [(b"sRGB", b"\0")],
        "physical size 0": [(b"pHYs", bytes(9))],
        "unknown chunk": [(b"quUx", b"something private")],
        "bad profile": [(b"iCCP", b"name\0\0" + zlib.compress(b"no profile at all"))],
        "exif": [(b"eXIf", turned(5).tobytes()[6:])],
        "exif nonsense": [(b"eXIf", b"nonsense")],
        "text": [(b"tEXt", b"Title\0" + bytes(range(1, 256)))],
        "animation of none": [(b"acTL", bytes(8))],
    }.items():
        yield f"{name}.png", png(*raw(2, 8), extra=chunks)
    header, pixels = raw(2, 8)
    split = [(b"IDAT", pixels[at : at + 7]) for at in range(0, len(pixels), 7)]
    yield "pixels in many parts.png", PNG + b"".join(chunk(*part) for part in (header, *split, END))
    empty = (b"IDAT", b"")
    yield (
        "parts of nothing.png",
        PNG + b"".join(chunk(*part) for part in (header, empty, (b"IDAT", pixels), empty, END)),
    )
    yield "more pixels than needed.png", png(header, pixels + b"padding")
    yield "something behind.png", whole + b"something else" * 50
    text = (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**21)))  # 2 MB in 2 KB; pixels need no text
    yield "bomb of text.png", png(*raw(2, 8), extra=[text])
    yield "bomb of texts.png", png(*raw(2, 8), extra=[(b"zTXt", b"C\0\0" + zlib.compress(bytes(2**20 - 1)))] * 70)
    for mode in ("1", "L", "LA", "P", "RGBA", "I;16"):
        yield f"{mode.replace(';', ' ')}.png", saved("PNG", mode)
    for orientation in range(1, 9):
        yield f"turned {orientation}.png", saved("PNG", exif=turned(orientation))
    for disposal in range(3):
        yield f"animated {disposal}.png", animated("PNG", disposal=disposal, blend=disposal % 2)
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", "<x tiff:Orientation='3'/>" + " " * 2000, zip=True)
    yield "packed xmp.png", saved("PNG", pnginfo=texts)


PNG, END = b"\x89PNG\r\n\x1a\n", (b"IEND", b"")
Chunk = tuple[bytes, bytes]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(header: Chunk, pixels: bytes, extra: Sequence[Chunk] = ()) -> bytes:
    """A PNG file of these chunks, with a palette where there could be one."""
    palette = [(b"PLTE", bytes(range(48)) * 16)] if header[1][9] == 3 else []
    if palette:  # no longer than the depth allows
        palette = [(b"PLTE", palette[0][1][: 3 << header[1][8]])]
    return PNG + b"".join(chunk(*part) for part in (header, *palette, *extra, (b"IDAT", pixels), END))


def raw(kind: int, depth: int, *, passes: bool = False, sides: tuple[int, int] = SIDES) -> tuple[Chunk, bytes]:
    """The header of a PNG file and its packed pixels; with ``passes``, interlaced."""
    width, height = SIDES
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    steps = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = bytearray()
    for x, y, across, down in steps if passes else [(0, 0, 1, 1)]:
        columns = len(range(x, width, across))
        for row in range(y, height, down):
            length = (columns * bits + 7) // 8
            rows += bytes([row % 5]) + bytes((row * 16 + n * 5) % 256 for n in range(length))
    header = struct.pack(">IIBBBBB", *sides, depth, kind, 0, 0, passes)
    return (b"IHDR", header), zlib.compress(bytes(rows))


def ground(kind: int) -> Chunk:
    return b"bKGD", {0: bytes(2), 3: b"\0", 4: bytes(2)}.get(kind, bytes(6))


def gifs() -> Files:
    whole = saved("GIF")
    for mode in ("1", "L", "P", "RGBA"):
        yield f"{mode}.gif", saved("GIF", mode)
    for disposal in range(4):
        yield f"animated {disposal}.gif", animated("GIF", disposal=disposal, loop=0, duration=0)
    yield "interlaced.gif", saved("GIF", interlace=True)
    yield "comment.gif", saved("GIF", comment=b"again and again " * 100)
    yield "transparent.gif", saved("GIF", "P", transparency=3)
    yield "ground outside the palette.gif", whole[:11] + b"\xff" + whole[12:]
    yield "screen of another size.gif", whole[:6] + struct.pack("<HH", 7, 90) + whole[10:]
    yield "something behind.gif", whole + b"something else"


def bitmaps() -> Files:
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        whole = saved("BMP", mode)
        yield f"{mode}.bmp", whole
        yield f"{mode} with a wrong length.bmp", whole[:2] + bytes(4) + whole[6:]
    width, height = SIDES
    yield "top first.bmp", bmp(height=-height)
    yield (
        "core header.bmp",
        b"BM" + bytes(8) + struct.pack("<IIHHHH", 26, 12, width, height, 1, 24) + bytes(width * height * 3),
    )
    yield "16 bits.bmp", bmp(bits=16)
    yield "16 bits of 5, 6, 5.bmp", bmp(bits=16, packing=3, masks=(0xF800, 0x7E0, 0x1F))
    yield "32 bits.bmp", bmp(bits=32)
    yield "run lengths.bmp", bmp(bits=8, packing=1, pixels=(bytes([width, 9]) + b"\0\0") * height + b"\0\1")
    for mode in ("1", "L", "RGB"):
        yield f"{mode}.ppm", saved("PPM", mode)
    yield "16-bit.pgm", saved("PPM", "I;16")
    yield "as text.pgm", b"P2\n# a comment\n3 2\n255\n0 50 100\n150 200 255\n"
    yield "as text.ppm", b"P3 1 1 7 1 2 3 "
    yield "as text.pbm", b"P1\n4 1\n1 0 1 0\n"


def bmp(
    height: int = SIDES[1],
    bits: int = 24,
    packing: int = 0,
    masks: Sequence[int] = (),
    pixels: bytes | None = None,
    sides: tuple[int, int] | None = None,
    planes: int = 1,
) -> bytes:
    """A BMP file whose header need not be true."""
    width = SIDES[0]
    colours = bytes(1024) if bits <= 8 else b"".join(struct.pack("<I", mask) for mask in masks)
    pixels = bytes((width * bits // 8 + 3) // 4 * 4 * abs(height)) if pixels is None else pixels
    start = 54 + len(colours)
    head = struct.pack("<2sIII", b"BM", start + len(pixels), 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, *(sides or (width, height)), planes, bits, packing, len(pixels), 0, 0, 0, 0)
    return head + info + colours + pixels


def tiffs() -> Files:
    for mode in ("1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "F"):
        yield f"{mode.replace(';', ' ')}.tif", saved("TIFF", mode)
    for packing in ("raw", "packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "jpeg", "lzma", "zstd"):
        try:
            yield f"{packing}.tif", saved("TIFF", compression=packing)
        except (OSError, RuntimeError):  # this libtiff was built without it
            continue
    for packing in ("group3", "group4", "tiff_ccitt"):
        yield f"{packing}.tif", saved("TIFF", "1", compression=packing)
    for orientation in range(1, 9):
        yield f"turned {orientation}.tif", saved("TIFF", exif=turned(orientation))
    yield "pages.tif", animated("TIFF")
    yield "large kind.tif", saved("TIFF", big_tiff=True)
    yield "bad profile.tif", saved("TIFF", icc_profile=b"no profile at all")
    for order in "<>":
        yield f"{'Intel' if order == '<' else 'Motorola'}.tif", tiff(order=order)
        yield f"white is 0, {order == '<'}.tif", tiff({262: 0}, order=order)
    yield "pages in a circle.tif", tiff(following=8)
    yield "unknown tags.tif", tiff({50000: 7, 65000: 9})
    yield "next page outside.tif", tiff(following=10**9)


def tiff(
    tags: dict[int, int] | None = None, *, order: str = "<", following: int = 0, rest: bytes | None = None
) -> bytes:
    """An 8-bit grey TIFF file whose tags need not be true."""
    width, height = SIDES
    entries = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: height, 279: width * height}
    entries |= tags or {}
    start = 8 + 2 + 12 * len(entries) + 4
    entries[273] = entries[273] or start
    rows = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    pixels = bytes(n % 256 for n in range(width * height)) if rest is None else rest
    return head + rows + struct.pack(f"{order}I", following) + pixels


def others() -> Files:
    for mode in ("RGB", "RGBA", "L"):
        yield f"{mode}.webp", saved("WEBP", mode)
        yield f"{mode} lossless.webp", saved("WEBP", mode, lossless=True)
    yield "animated.webp", animated("WEBP")
    for orientation in range(1, 9):
        yield f"turned {orientation}.webp", saved("WEBP", exif=turned(orientation))
    yield "xmp.webp", saved("WEBP", xmp=b"<x>" + bytes(999))
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        yield f"{mode}.tga", saved("TGA", mode)
        if mode != "1":
            yield f"{mode} packed.tga", saved("TGA", mode, compression="tga_rle")
    for mode in ("1", "L", "P", "RGB"):
        yield f"{mode}.pcx", saved("PCX", mode)
    yield "icon.ico", saved("ICO", sizes=[(16, 16), (8, 8)])
    yield "grey.dib", saved("DIB", "L")
    rare: list[tuple[str, str, dict[str, Any]]] = [
        ("picture.jp2", "JPEG2000", {}),
        ("bare.j2k", "JPEG2000", {"no_jp2": True}),
        ("picture.avif", "AVIF", {}),
        ("turned.avif", "AVIF", {"exif": turned(6)}),
    ]
    for name, format_, options in rare:
        if format_ in Image.SAVE:  # not every Pillow has them
            yield name, saved(format_, **options)
    yield "five channels.psd", psd(channels=5)
    yield "grey.psd", psd(channels=1, mode=1)


def psd(channels: int, mode: int = 3, sides: tuple[int, int] = SIDES) -> bytes:
    """A Photoshop file without layers."""
    width, height = sides
    head = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", channels, height, width, 8, mode)
    return head + bytes(12) + b"\0\0" + bytes(SIDES[0] * SIDES[1] * channels)


# --- refused: no picture, cut off, or a bomb


def cut(sound: dict[str, bytes]) -> Files:
    """The files of the usual formats without their second half."""
    for name in (
        "4-2-0.jpg",
        "CMYK.jpg",
        "RGBA.png",
        "kind 3 of 8 bits.png",
        "RGBA.bmp",
        "L.tif",
        "RGB.webp",
        "RGB.ppm",
    ):
        yield f"half of {name}", sound[name][: len(sound[name]) // 2]
    yield "half of RGB.gif", saved("GIF")[:-60]
    for name, content in {"jpg": sound["L.jpg"], "png": sound["L.png"], "webp": sound["L.webp"]}.items():
        for length in (0, 1, 4, 12, 30):
            yield f"{length} bytes.{name}", content[:length]
    yield "pixels of another picture.png", png(raw(2, 8)[0], raw(0, 1)[1])
    whole = bytearray(saved("PNG"))
    whole[whole.index(b"IDAT") + 9] ^= 255
    yield "wrong checksum.png", bytes(whole)


def bombs() -> Files:
    sides = BOMB, BOMB
    yield "bomb.png", png(*raw(2, 8, sides=sides))
    yield "bomb of most pixels.png", png(*raw(0, 1, sides=(2**31 - 1, 2**31 - 1)))
    yield "bomb.bmp", bmp(sides=sides)
    yield "bomb.tif", tiff({256: BOMB, 257: BOMB, 278: BOMB})
    yield "bomb.ppm", b"P6 60000 60000 255 " + bytes(99)
    yield "bomb.psd", psd(3, sides=sides)
    whole = saved("GIF")
    yield "bomb.gif", whole[:6] + struct.pack("<HH", BOMB, BOMB) + whole[10:]
    jpeg = saved("JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    yield "bomb.jpg", jpeg[:at] + struct.pack(">HH", BOMB, BOMB) + jpeg[at + 4 :]
    tga = saved("TGA")
    yield "bomb.tga", tga[:12] + struct.pack("<HH", BOMB, BOMB) + tga[16:]


def liars() -> Files:
    """Right first bytes, and nothing right after them."""
    for name, start in {
        "jpg": b"\xff\xd8\xff\xe0\0\x10JFIF\0",
        "png": PNG,
        "webp": b"RIFF\0\1\0\0WEBPVP8 ",
        "gif": b"GIF89a",
        "tif": b"II*\0",
        "bmp": b"BM",
        "psd": b"8BPS\0\1",
        "avif": b"\0\0\0\x20ftypavif",
        "jp2": b"\0\0\0\x0cjP  \r\n\x87\n",
    }.items():
        yield f"zeros.{name}", start + bytes(500)
        yield f"noise.{name}", start + random.Random(name).randbytes(500)
    for name, header in {
        "no width": struct.pack(">IIBBBBB", 0, 9, 8, 2, 0, 0, 0),
        "kind 9": struct.pack(">IIBBBBB", *SIDES, 8, 9, 0, 0, 0),
        "3 bits": struct.pack(">IIBBBBB", *SIDES, 3, 0, 0, 0, 0),
    }.items():
        yield f"{name}.png", png((b"IHDR", header), raw(2, 8)[1])
    yield "no header.png", PNG + chunk(b"IDAT", raw(2, 8)[1]) + chunk(*END)
    yield "no pixels.png", PNG + chunk(*raw(2, 8)[0]) + chunk(*END)
    yield "7 bits.bmp", bmp(bits=7)
    yield "packing 77.bmp", bmp(packing=77)
    yield "strange header.bmp", b"BM" + bytes(12) + struct.pack("<I", 77) + bytes(99)
    yield "no pages.tif", b"II*\0" + struct.pack("<IH", 8, 0) + bytes(4)
    yield "page outside.tif", b"II*\0" + struct.pack("<I", 10**9)
    yield "9 samples.tif", tiff({277: 9})
    yield "no such bits.tif", tiff({258: 77})
    yield "no such packing.tif", tiff({259: 4242})
    yield "pixels outside.tif", tiff({273: 10**9})
    yield "negative.ppm", b"P6 -5 5 255 " + bytes(75)
    yield "no number.ppm", b"P6 five 5 255 " + bytes(75)
    yield "too large a value.pgm", b"P2 1 1 255 300 "


def strangers() -> Files:
    """What is no photo, or a picture of a kind that is not read."""
    yield "empty.jpg", b""
    yield "zeros.bin", bytes(5000)
    yield "noise.bin", random.Random(0).randbytes(5000)
    yield "text.jpg", b"Dear diary, today I took a photo.\n" * 99
    yield "page.png", b"<!DOCTYPE html><html><body>404</body></html>"
    yield "drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><rect/></svg>"
    yield "script.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) print\n"
    yield "archive.zip", b"PK\3\4" + bytes(500)
    yield "weights.pkl", b"\x80\x04\x95\x12\0\0\0\0\0\0\0\x8c\5posix\x94\x8c\4true\x94\x93\x94)R\x94."
    yield "table.h5", b"\x89HDF\r\n\x1a\n" + bytes(500)
    for format_ in ("PDF", "EPS", "SGI", "DDS", "ICNS", "SPIDER", "BLP", "XBM", "MSP"):
        mode = {"XBM": "1", "MSP": "1", "SPIDER": "F", "BLP": "P"}.get(format_, "RGB")
        yield f"picture.{format_.lower()}", saved(format_, mode)


# --- damaged


def oddities() -> Files:
    """Broken in ways that one Pillow forgives and another does not."""
    whole, jpeg, gif = saved("PNG"), saved("JPEG"), saved("GIF")
    yield "without its end.png", whole[: whole.index(b"IEND") - 4]
    yield "without its end.jpg", jpeg[:-2]
    yield "end cut.png", whole[:-6]
    yield "profile behind the frame.jpg", jpeg.replace(b"\xff\xda", segment(0xE2, b"ICC_PROFILE\0\1\1") + b"\xff\xda")
    yield "short app14.jpg", jpeg[:2] + segment(0xEE, b"Adobe") + jpeg[2:]
    yield "pixels behind the end.png", whole + chunk(b"IDAT", raw(2, 8)[1])
    yield "two headers.png", whole[:33] + whole[8:]
    yield "no palette.gif", gif[:10] + bytes([gif[10] & 0x7F]) + gif[11:13] + gif[13 + 3 * (2 << (gif[10] & 7)) :]
    yield "no width.gif", gif[:6] + bytes(2) + gif[8:]
    yield "no palette.png", png(*raw(3, 8)).replace(b"PLTE", b"pLTe")
    yield "filter 9.png", png(raw(2, 8)[0], zlib.compress(bytes([9]) * 2000))
    yield "animation of many.png", png(*raw(2, 8), extra=[(b"acTL", struct.pack(">II", 2**31 - 1, 0))])
    yield (
        "frame outside.png",
        png(
            *raw(2, 8),
            extra=[
                (b"acTL", struct.pack(">II", 2, 0)),
                (b"fcTL", struct.pack(">IIIIIHHBB", 0, 99, 99, 9, 9, 0, 0, 0, 0)),
            ],
        ),
    )
    yield "runs over the row.bmp", bmp(bits=8, packing=1, pixels=bytes([255, 9]) * 99 + b"\0\1")
    yield "jumps outside.bmp", bmp(bits=8, packing=1, pixels=b"\0\2\xff\xff" * 9 + b"\0\1")
    yield "many planes.bmp", bmp(planes=4242)
    yield "negative width.bmp", bmp(sides=(-24, 16))
    yield "rows of none.tif", tiff({278: 0})
    yield "more rows than there are.tif", tiff({278: 2**32 - 1})
    yield "more bytes than there are.tif", tiff({279: 2**32 - 1})
    yield "dots for a width.tif", tiff().replace(b"\0\1\4\0\1\0\0\0", b"\0\1\2\0\4\0\0\0", 1)
    yield "a billion entries.tif", tiff().replace(b"\x06\1\4\0\1\0\0\0", b"\x06\1\4\0\xff\xff\xff\x3f", 1)
    yield "planes apart.tif", tiff({284: 2, 277: 3, 262: 2})
    for layers in (-1, 2**15 - 1):
        yield f"{layers} layers.psd", psd(3)[:34] + struct.pack(">IIh", 8, 4, layers) + bytes(3000)


def flipped(sound: dict[str, bytes], times: int) -> Files:
    """Each file with bits flipped, and with a part left out or repeated."""
    for name, content in sound.items():
        for number in range(times):
            dice, spoilt = random.Random(f"{name} {number}"), bytearray(content)
            for _ in range(1 + number * 4):
                spoilt[dice.randrange(len(spoilt))] ^= 1 << dice.randrange(8)
            if number % 2:
                start, length = dice.randrange(len(spoilt)), dice.randrange(1, 40)
                spoilt[start : start + length] = bytes(spoilt[start : start + length]) * dice.choice((0, 2))
            yield f"{number} of {name}", bytes(spoilt)


if __name__ == "__main__":
    print({kind: len(files) for kind, files in torture(Path(sys.argv[1])).items()})
