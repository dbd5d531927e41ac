"""Photos in and out: any picture Pillow reads becomes upright sRGB, and goes back with its metadata."""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from ganchain.errors import PhotoError
from ganchain.face import Photo
from ganchain.tensors import Pixels

Format = Literal["png", "jpeg", "webp", "tiff"]
Source = str | os.PathLike[str] | Image.Image | Pixels

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".avif"}
_SAVE: dict[str, dict[str, object]] = {
    "png": {"compress_level": 4},
    "jpeg": {"quality": 95, "subsampling": 0},
    "webp": {"quality": 95},
    "tiff": {"compression": "tiff_deflate"},
}
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_SIXTEEN_BIT_MAXIMUM = 65535
_UPRIGHT = "FLIP_LEFT_RIGHT ROTATE_180 FLIP_TOP_BOTTOM TRANSPOSE ROTATE_270 TRANSVERSE ROTATE_90"
_TURNS = dict(enumerate((Image.Transpose[name] for name in _UPRIGHT.split()), start=2))  # by EXIF orientation
_EXIF_PARTS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_EXIF_KEPT = {
    ExifTags.Base[name]
    for name in "ImageDescription Make Model XResolution YResolution ResolutionUnit Software DateTime Artist "
    "HostComputer Copyright Rating RatingPercent XPTitle XPComment XPAuthor XPKeywords XPSubject".split()
}
_EXIF_LEFT_OUT = {
    ExifTags.Base[name]
    for name in "MakerNote ColorSpace ExifImageWidth ExifImageHeight ExifInteroperabilityOffset".split()
}

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what Pillow says of a file, PhotoError says


def read(source: Source) -> Photo:
    """Read a photo: a path, a PIL image, or an (H, W, 3) uint8 RGB array.

    EXIF orientation is applied, an embedded ICC profile converted to sRGB; greyscale, palette, CMYK, 16-bit
    and float pictures become 8-bit RGB; alpha is kept apart. Of an animation the first frame is read.

    Raises:
        PhotoError: the file is missing, no picture, cut off, damaged, or a decompression bomb.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    name = "image" if isinstance(source, Image.Image) else os.fspath(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd but readable metadata
            if isinstance(source, Image.Image):
                return _decode(source, name)
            with Image.open(name) as image:
                return _decode(image, name)
    except FileNotFoundError:
        raise PhotoError(f"{name}: no such file") from None
    except Image.UnidentifiedImageError:
        raise PhotoError(f"{name}: not a picture that can be read") from None
    except Image.DecompressionBombError:
        raise PhotoError(f"{name}: too many pixels, possibly a decompression bomb") from None
    except Exception as error:  # Pillow's decoders raise anything on damaged files
        raise PhotoError(f"{name}: cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())


def _from_array(array: Pixels) -> Photo:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise PhotoError(f"an array photo must be (H, W, 3) uint8 RGB, not {array.shape} {array.dtype}")
    return Photo(array.copy(), name="array")


def _decode(image: Image.Image, name: str) -> Photo:
    image.load()
    exif, turn = _exif(image)
    profile = image.info.get("icc_profile")
    image = _to_eight_bit(image)
    if turn is not None:
        image = image.transpose(turn)
    alpha = None
    if image.has_transparency_data:
        full = image.convert("RGBA")
        alpha = np.array(full.getchannel("A"))
        if alpha.min() == 255:
            alpha = None
        image = full.convert(Image.getmodebase(image.mode))  # grey stays grey, as its profile expects
    return Photo(np.array(_to_srgb(image, profile)), alpha, exif, name)


def _to_eight_bit(image: Image.Image) -> Image.Image:
    """16-bit and float greyscale scaled down by their format's range, not by their own minimum and maximum."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        grey = Image.fromarray((values.clip(0, _SIXTEEN_BIT_MAXIMUM) >> 8).astype(np.uint8))
        if "transparency" in image.info:
            grey.putalpha(Image.fromarray(values != image.info["transparency"]).convert("L"))
        return grey
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image), posinf=0, neginf=0)
        scale = 255 if values.max() <= 1 else 1
        return Image.fromarray((values * scale).round().clip(0, 255).astype(np.uint8))
    return image.convert("LA") if image.mode == "La" else image


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB in sRGB; a profile that is damaged or of another colour space than the picture is left aside."""
    if image.mode not in ("L", "CMYK", "LAB"):
        image = image.convert("RGB")
    if profile:
        with suppress(ImageCms.PyCMSError, OSError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            image = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB") or image
    return image.convert("RGB")


class _Text(str):
    """EXIF text that goes back byte for byte; Pillow alone writes ? for every letter beyond ASCII."""

    def encode(self, encoding: str = "latin-1", errors: str = "replace") -> bytes:
        return super().encode("latin-1", "replace")


def _texts(tags: Mapping[int, Any]) -> dict[int, Any]:
    return {tag: _Text(value) if isinstance(value, str) else value for tag, value in tags.items()}


def _exif(image: Image.Image) -> tuple[bytes, Image.Transpose | None]:
    """The EXIF block to write back, and the turn that makes the picture upright.

    Left out is what is true only of the file it came in (orientation, size, layout, colour space) and what may
    show the photo as it was (thumbnail, maker's note, layers of a TIFF).
    """
    block, turn = b"", None
    with suppress(Exception):  # a damaged EXIF block must not cost the photo
        found, kept = image.getexif(), Image.Exif()
        turn = _TURNS.get(found.get(ExifTags.Base.Orientation))
        kept.update(_texts({tag: found[tag] for tag in _EXIF_KEPT & found.keys()}))
        for part in _EXIF_PARTS:
            values = found.get_ifd(part)
            if tags := values.keys() - _EXIF_LEFT_OUT:
                kept[part] = _texts({tag: values[tag] for tag in tags})
        block = kept.tobytes() if kept else b""
    return block, turn


def _loaded(exif: bytes) -> Image.Exif:
    block = Image.Exif()
    block.load(exif)
    for part in (block, *(block.get_ifd(tag) for tag in _EXIF_PARTS if tag in block)):
        part.update(_texts(part))
    return block


def without_location(exif: bytes) -> bytes:
    """The EXIF block less its GPS data."""
    block = _loaded(exif)
    block.pop(ExifTags.IFD.GPSInfo, None)
    return block.tobytes() if block else b""


def to_image(photo: Photo) -> Image.Image:
    """The photo as a PIL image, RGB or RGBA."""
    image = Image.fromarray(photo.pixels)
    if photo.alpha is not None:
        image.putalpha(Image.fromarray(photo.alpha))
    return image


def write(photo: Photo, path: Path, *, keep_location: bool = True) -> None:
    """Write ``photo`` in the format of the suffix; the file appears whole or not at all.

    JPEG knows no alpha: transparent photos are laid on white there.

    Raises:
        PhotoError: the suffix is unknown or the file cannot be written.
    """
    format_ = format_of(path)
    image = to_image(photo)
    if format_ == "jpeg" and photo.alpha is not None:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    part = path.with_name(f".{uuid4().hex}.part")
    try:
        exif = _loaded(photo.exif if keep_location else without_location(photo.exif))
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(part, format_, icc_profile=_SRGB.tobytes(), exif=exif or b"", **_SAVE[format_])
        part.replace(path)
    except Exception as error:  # Pillow's encoders raise anything, too
        raise PhotoError(f"{path}: cannot be written: {_reason(error)}") from error
    finally:
        with suppress(OSError):
            part.unlink()


def format_of(path: Path) -> Format:
    """The format that a file name's suffix asks for."""
    suffix = path.suffix.lower().lstrip(".")
    name = {"jpg": "jpeg", "tif": "tiff"}.get(suffix, suffix)
    if name not in _SAVE:
        raise PhotoError(f"{path}: cannot write {path.suffix or 'a file without a suffix'}; use .png .jpg .webp .tiff")
    return name  # type: ignore[return-value]


def suffix_of(format_: Format) -> str:
    return ".jpg" if format_ == "jpeg" else f".{format_}"


def alpha_enlarged(alpha: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Alpha (H, W) for the photo enlarged ``factor`` times."""
    image = Image.fromarray(alpha)
    return np.asarray(image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC))
