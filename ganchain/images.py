"""Photos in and out: any picture Pillow reads becomes upright sRGB, and goes back with its metadata."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Literal
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps

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


def read(source: Source) -> Photo:
    """Read a photo: a path, a PIL image, or an (H, W, 3) uint8 RGB array.

    EXIF orientation is applied, an embedded ICC profile converted to sRGB; greyscale, palette, CMYK, 16-bit
    and float pictures become 8-bit RGB; alpha is kept apart. Of an animation the first frame is read.

    Raises:
        PhotoError: the file is missing, no picture, cut off, damaged, or a decompression bomb.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        return _decode(source, "image")
    name = os.fspath(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd but readable metadata
            with Image.open(name) as image:
                return _decode(image, name)
    except PhotoError:
        raise
    except FileNotFoundError:
        raise PhotoError(f"{name}: no such file") from None
    except Image.UnidentifiedImageError:
        raise PhotoError(f"{name}: not a picture that can be read") from None
    except Image.DecompressionBombError as error:
        raise PhotoError(f"{name}: too many pixels, possibly a decompression bomb ({error})") from None
    except Exception as error:  # Pillow's decoders raise anything on damaged files
        raise PhotoError(f"{name}: cannot be read: {error or type(error).__name__}") from error


def _from_array(array: Pixels) -> Photo:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise PhotoError(f"an array photo must be (H, W, 3) uint8 RGB, not {array.shape} {array.dtype}")
    return Photo(array.copy(), name="array")


def _decode(image: Image.Image, name: str) -> Photo:
    profile = image.info.get("icc_profile")
    exif = _exif_without_orientation(image)
    image = ImageOps.exif_transpose(image)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = np.asarray(image.getchannel("A"))
        if alpha.min() == 255:
            alpha = None
    image = _to_srgb(_to_eight_bit(image), profile)
    return Photo(np.array(image), alpha, exif, name)


def _to_eight_bit(image: Image.Image) -> Image.Image:
    """16-bit and float greyscale scaled down by their format's range, not by their own minimum and maximum."""
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray((values.clip(0, _SIXTEEN_BIT_MAXIMUM) >> 8).astype(np.uint8))
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image), posinf=0, neginf=0)
        scale = 255 if values.max() <= 1 else 1
        return Image.fromarray((values * scale).round().clip(0, 255).astype(np.uint8))
    return image


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB in sRGB; a profile that is damaged or of another colour space than the picture is left aside."""
    if image.mode in ("P", "PA", "RGBA", "RGBX"):
        image = image.convert("RGB")
    elif image.mode in ("1", "LA", "La"):
        image = image.convert("L")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError):
            pass
    return image.convert("RGB")


def _exif_without_orientation(image: Image.Image) -> bytes:
    try:
        exif = image.getexif()
        exif.pop(ExifTags.Base.Orientation, None)
        return exif.tobytes() if exif else b""
    except Exception:  # a damaged EXIF block must not cost the photo
        return b""


def without_location(exif: bytes) -> bytes:
    """The EXIF block less its GPS data."""
    if not exif:
        return exif
    block = Image.Exif()
    block.load(exif)
    block.pop(ExifTags.IFD.GPSInfo, None)
    return block.tobytes()


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
    exif = photo.exif if keep_location else without_location(photo.exif)
    part = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(part, format_, icc_profile=_SRGB.tobytes(), exif=exif, **_SAVE[format_])
        os.replace(part, path)
    except (OSError, ValueError) as error:
        part.unlink(missing_ok=True)
        raise PhotoError(f"{path}: cannot be written: {error}") from error


def format_of(path: Path) -> Format:
    """The format that a file name's suffix asks for."""
    suffix = path.suffix.lower().lstrip(".")
    name = {"jpg": "jpeg", "tif": "tiff"}.get(suffix, suffix)
    if name not in _SAVE:
        raise PhotoError(
            f"{path}: cannot write {path.suffix or 'a file without a suffix'}; use .png .jpg .webp .tiff"
        )
    return name  # type: ignore[return-value]


def suffix_of(format_: Format) -> str:
    return ".jpg" if format_ == "jpeg" else f".{format_}"


def alpha_enlarged(alpha: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Alpha (H, W) for the photo enlarged ``factor`` times."""
    image = Image.fromarray(alpha)
    return np.asarray(image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC))
