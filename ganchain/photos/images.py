"""Reading and writing of photos: a picture that Pillow reads becomes upright sRGB, and keeps its metadata."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError

from ganchain import files
from ganchain.errors import PhotoError
from ganchain.photos import captions, damage, exif, metadata, png, quality, xmp
from ganchain.photos.opening import open_picture
from ganchain.photos.photo import Photo
from ganchain.tensors import Pixels

Format = Literal["png", "jpeg", "webp", "tiff", "svg"]
Source = str | os.PathLike[str] | Image.Image | Pixels

SUFFIXES = {
    *(".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".tga"),
    *(".avif", ".jp2", ".heic", ".heif", ".hif", ".jxl"),
}
_SAVE: dict[str, dict[str, object]] = {
    "jpeg": {"quality": 95, "subsampling": 0},
    "webp": {"quality": 95},
    "tiff": {},  # compressed, Pillow cannot write the EXIF of a camera
}
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_ICC = _SRGB.tobytes()[:24] + bytes(12) + _SRGB.tobytes()[36:]  # undated: equal photos give equal files


def read(source: Source, *, accept_damaged: bool = False) -> Photo:
    """Read a photo: a path, a PIL image, or an (H, W, 3) uint8 RGB array.

    EXIF orientation is applied, an embedded ICC profile converted to sRGB; greyscale, palette, CMYK, 16-bit
    and float pictures become 8-bit RGB; alpha is kept apart. Of an animation the first frame is read. EXIF, XMP,
    captions and resolution are kept, without data that are true only of the file or may show the photo before the edit.

    Args:
        accept_damaged: read a file whose pixels are damaged as far as its decoder can.

    Raises:
        PhotoError: the file is missing, no picture, cut off, damaged, or has more pixels than ``most_pixels``.
    """
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or 0 in source.shape:
            raise PhotoError(f"an array photo must be (H, W, 3) uint8 RGB, not {source.shape} {source.dtype}")
        return Photo(source.copy(), name="array")
    if not isinstance(source, str | os.PathLike | Image.Image):
        raise PhotoError(f"a photo is a path, a PIL image or an array, not {type(source).__name__}")
    name = "image" if isinstance(source, Image.Image) else os.fspath(source)
    with _explained(name):
        if isinstance(source, Image.Image):
            return _decode(source, name)
        content = files.read_regular(Path(name))
        with open_picture(io.BytesIO(damage.completed(content)), name) as image:
            if not accept_damaged and (reason := damage.problem(content)):
                raise PhotoError(f"the file is damaged: {reason} (run and batch: --accept-damaged)", path=name)
            return _decode(image, name)


def size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Read width and height in px from a file's header, before any orientation; no pixel is decoded.

    Raises:
        PhotoError: as ``read``, as far as the header shows it.
    """
    with _explained(os.fspath(path)), open_picture(path, os.fspath(path)) as image:
        return image.size


class Header(NamedTuple):
    """The header of a photo file: Pillow's name of the format, width and height in px, and XMP or b""."""

    format: str
    size: tuple[int, int]
    xmp: bytes


def header(path: str | os.PathLike[str], *, to_end: bool = True) -> Header:
    """Read the header of a photo file; only a PNG is decoded, because its texts may follow the pixels.

    Args:
        to_end: False leaves out what follows the pixels; ganchain writes its mark before them.

    Raises:
        PhotoError: as ``read``.
    """
    with _explained(os.fspath(path)), open_picture(path, os.fspath(path)) as image:
        if image.format == "PNG" and to_end:
            image.load()
        packet = image.info.get("xmp")
        return Header(image.format or "", image.size, packet if isinstance(packet, bytes) else b"")


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn any error about the photo ``name`` into a PhotoError with the reason."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd but readable metadata
            yield
    except FileNotFoundError:
        raise PhotoError("no such file", path=name) from None
    except UnidentifiedImageError:
        raise PhotoError("not a picture that can be read", path=name) from None
    except PhotoError:
        raise
    except Exception as error:  # Pillow's decoders raise anything on damaged files
        raise PhotoError(f"cannot be read: {_reason(error)}", path=name) from error


def _reason(error: Exception) -> str:
    return " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())


def _decode(image: Image.Image, name: str) -> Photo:
    image.load()
    if 0 in image.size:
        raise ValueError("it has no pixels")
    profile = image.info.get("icc_profile")
    block, turn = exif.read(image)
    packet = image.info.get("xmp")
    words, dpi, saved = captions.read(image), metadata.resolution(image), quality.of(image)
    packet = xmp.added(xmp.kept(packet) if isinstance(packet, bytes | str) else b"", words.properties())
    image = _to_eight_bit(image if turn is None else image.transpose(turn))
    alpha = None
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        alpha = np.array(rgba.getchannel("A"))
        image = rgba.convert("L" if image.mode in ("1", "L", "LA") else "RGB")  # as its profile expects
    pixels = np.asarray(_to_srgb(image, profile))  # a copy of a large photo costs as much as its decoding
    alpha = None if alpha is None or alpha.min() == 255 else alpha
    return Photo(pixels, alpha, block, name, packet, words, dpi, saved)


def _to_eight_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit and float greyscale down by the range of the format, not by the picture's minimum and maximum."""
    if image.mode.startswith("I"):
        values, bits = np.asarray(image).astype(np.int64), _bits(image)
        if bits == 32:  # Pillow reads unsigned numbers as signed ones
            values %= 1 << 32
        grey = Image.fromarray((values.clip(0, (1 << bits) - 1) >> (bits - 8)).astype(np.uint8))
        if "transparency" in image.info:
            grey.putalpha(Image.fromarray(values != image.info["transparency"]).convert("L"))
        return grey
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image), posinf=0, neginf=0)
        values = values * 255 if values.max() <= 1 else values
        return Image.fromarray(values.round().clip(0, 255).astype(np.uint8))
    return image


def _bits(image: Image.Image) -> int:
    """Read how many bits a grey value of the file has: 32 in TIFFs that say so, else 16."""
    tags = getattr(image, "tag_v2", {})
    return 32 if tuple(tags.get(258, ())) == (32,) and 2 not in tuple(tags.get(339, ())) else 16


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert to RGB in sRGB; a profile that is damaged or of another colour space than the picture is ignored."""
    if image.mode not in ("RGB", "L", "CMYK", "LAB"):  # `convert` would copy a picture that is RGB
        image = image.convert("RGB")
    if profile:
        with suppress(ImageCms.PyCMSError, OSError):
            image = ImageCms.profileToProfile(image, io.BytesIO(profile), _SRGB, outputMode="RGB") or image
    return image if image.mode == "RGB" else image.convert("RGB")


def to_image(photo: Photo) -> Image.Image:
    """Convert a photo to a PIL image, RGB or RGBA."""
    image = Image.fromarray(photo.pixels)
    if photo.alpha is not None:
        image.putalpha(Image.fromarray(photo.alpha))
    return image


def write(
    photo: Photo,
    path: Path,
    *,
    keep_location: bool = True,
    part: str = "",
    permit: Callable[[Path, Path], None] | None = None,
) -> None:
    """Write ``photo`` in the format of the suffix; the file is written completely or not at all.

    JPEG has no alpha, so a transparent photo is laid on white. ``part`` and ``permit`` are those of ``files.replaced``.

    Raises:
        PhotoError: the suffix is unknown, the file cannot be written, or ``permit`` refuses that.
    """
    format_ = format_of(path)
    photo = photo if keep_location else metadata.without_location(photo)
    image = to_image(photo)
    if format_ == "jpeg" and photo.alpha is not None:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if format_ == "svg" and photo.svg is None:
        raise PhotoError("cannot be written as SVG: it is no drawing (webtoon with scope: photo, of faces)", path=path)
    try:
        with files.replaced(path, part, permit) as file:
            if photo.svg is not None and format_ == "svg":
                file.write(photo.svg(photo.xmp.decode()).encode())
                return
            said = {"icc_profile": _ICC, **metadata.options(format_, photo)}
            if format_ == "png":
                png.save(image, file, **said)
            else:
                image.save(file, format_, **said, **_SAVE[format_])
    except PhotoError:
        raise
    except Exception as error:  # Pillow's encoders raise anything, too
        raise PhotoError(f"cannot be written: {_reason(error)}", path=path) from error


def format_of(path: Path) -> Format:
    """Find the format for a file name's suffix.

    Raises:
        PhotoError: no format that is written has this suffix.
    """
    name = {".jpg": "jpeg", ".tif": "tiff"}.get(path.suffix.lower(), path.suffix.lower()[1:])
    if name not in get_args(Format):
        raise PhotoError("cannot be written: the name must end in .png, .jpg, .webp or .tiff", path=path)
    return name  # type: ignore[return-value]


def suffix_of(format_: Format) -> str:
    return ".jpg" if format_ == "jpeg" else f".{format_}"


def alpha_enlarged(alpha: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Enlarge alpha (H, W) ``factor`` times, as its photo was."""
    image = Image.fromarray(alpha)
    return np.asarray(image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC))
