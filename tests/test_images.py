"""Photos in and out; every file is drawn here."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms, ImageFile, PngImagePlugin
from PIL.TiffImagePlugin import IFDRational

from ganchain.errors import PhotoError
from ganchain.photos import exif, images
from ganchain.photos.photo import Photo
from ganchain.tensors import Pixels

TORTURE = Path(__file__).parents[2] / "shared" / "data" / "torture"
FORMATS = ("png", "jpg", "webp", "tiff")
EXACT = {".png": {}, ".jpg": {"quality": 95, "subsampling": 0}, ".webp": {"lossless": True}, ".tif": {}}
ORANGE = (220, 120, 40)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SWAPPED = SRGB.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")  # red is blue
TURNED = {  # how a camera that writes this orientation lays the picture down
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.fixture
def picture() -> Pixels:
    """(48, 64, 3): smooth, and unlike itself however it is turned."""
    y, x = np.mgrid[0:48, 0:64]
    return np.stack([x * 4, y * 5, x + y], axis=-1).astype(np.uint8)


@pytest.fixture
def alpha() -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.linspace(0, 255, 48 * 64).reshape(48, 64).astype(np.uint8)


def camera(orientation: int | None = None) -> Image.Exif:
    """What a camera writes."""
    exif, texts = Image.Exif(), {ExifTags.Base.Artist: "Jörg".encode(), ExifTags.Base.Copyright: b"\xa9 2024"}
    exif[ExifTags.Base.Model] = "Kamera"
    exif[ExifTags.Base.XResolution] = IFDRational(300, 1)
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.IFD.Exif] = {
        ExifTags.Base.DateTimeOriginal: "2024:05:06 07:08:09",
        ExifTags.Base.ExposureTime: IFDRational(1, 125),
        ExifTags.Base.UserComment: b"ASCII\0\0\0at home",
        ExifTags.Base.MakerNote: b"a preview in a maker's note",
        ExifTags.Base.ExifImageWidth: 64,
        ExifTags.Base.ColorSpace: 65535,
    }
    exif[ExifTags.IFD.GPSInfo] = {
        ExifTags.GPS.GPSLatitudeRef: "N",
        ExifTags.GPS.GPSLatitude: (IFDRational(52, 1), IFDRational(30, 1), IFDRational(1, 2)),
        ExifTags.GPS.GPSDateStamp: "1999:12:31",
    }
    loaded = Image.Exif()  # only so does Pillow write it to TIFF
    loaded.load(exif.tobytes())
    for tag, text in texts.items():
        loaded[tag] = text
    return loaded


def with_thumbnail(exif: Image.Exif, thumbnail: bytes) -> bytes:
    """The EXIF block with a second directory that holds a thumbnail."""
    block = bytearray(exif.tobytes())
    tiff, entries = 6, struct.unpack_from(">H", block, 14)[0]
    offset = len(block) - tiff
    struct.pack_into(">I", block, 16 + 12 * entries, offset)
    directory = struct.pack(">HHHIIHHIII", 2, 513, 4, 1, offset + 30, 514, 4, 1, len(thumbnail), 0)
    return bytes(block + directory + thumbnail)


def linear_grey() -> bytes:
    """An ICC profile of greys in linear light."""
    white = struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)
    tags = struct.pack(">I4sII4sII", 2, b"wtpt", 156, 20, b"kTRC", 176, 12)
    data = b"XYZ \0\0\0\0" + white + b"curv\0\0\0\0\0\0\0\0"
    header = struct.pack(">I4xI4s4s4s12x4s", 188, 0x02100000, b"mntr", b"GRAY", b"XYZ ", b"acsp")
    return header.ljust(68, b"\0") + white + bytes(48) + tags + data


def png(width: int, height: int, data: bytes) -> bytes:
    """A PNG file whose header need not be true."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", data), (b"IEND", b""))
    parts = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def plain(colour: tuple[int, int, int], mode: str) -> Image.Image:
    """16 by 8 px of one colour."""
    image = Image.new("RGB", (16, 8), colour)
    if mode in ("P", "PA"):
        image = image.convert("P", palette=Image.Palette.ADAPTIVE)
    return image.convert(mode)


def difference(one: Pixels, other: Pixels) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other).max())


def refusal(source: Any) -> str:
    """The message with which ``source`` is refused: one line."""
    with pytest.raises(PhotoError) as caught:
        images.read(source)
    message = str(caught.value)
    assert "\n" not in message and "<" not in message and not message.rstrip().endswith(":")
    return message


def written(photo: Photo, path: Path, **options: Any) -> Photo:
    images.write(photo, path, **options)
    return images.read(path)


# Upright


@pytest.mark.parametrize("suffix", EXACT)
@pytest.mark.parametrize("orientation", [0, 1, *TURNED, 9])
def test_photo_stands_upright(suffix: str, orientation: int, picture: Pixels, tmp_path: Path) -> None:
    upright = Image.fromarray(picture)
    stored = upright.transpose(TURNED[orientation]) if orientation in TURNED else upright
    stored.save(tmp_path / f"a{suffix}", exif=camera(orientation), **EXACT[suffix])
    photo = images.read(tmp_path / f"a{suffix}")
    assert difference(photo.pixels, picture) <= (12 if suffix == ".jpg" else 0)
    again = written(photo, tmp_path / "b.png")  # not turned a second time
    assert difference(again.pixels, photo.pixels) == 0


def test_alpha_turns_with_the_photo(picture: Pixels, alpha: Any, tmp_path: Path) -> None:
    image = images.to_image(Photo(picture, alpha)).transpose(TURNED[6])
    image.save(tmp_path / "a.png", exif=camera(6))
    photo = images.read(tmp_path / "a.png")
    assert photo.alpha is not None and np.array_equal(photo.alpha, alpha)


@pytest.mark.parametrize("kind", ['tiff:Orientation="6"', "<tiff:Orientation>6</tiff:Orientation>"])
def test_orientation_in_xmp(kind: str, picture: Pixels, tmp_path: Path) -> None:
    Image.fromarray(picture).transpose(TURNED[6]).save(tmp_path / "a.jpg", xmp=f"<x {kind}>".encode())
    assert images.read(tmp_path / "a.jpg").size == (64, 48)


def test_pil_image_is_left_as_it_was(picture: Pixels, tmp_path: Path) -> None:
    Image.fromarray(picture).transpose(TURNED[6]).save(tmp_path / "a.png", exif=camera(6))
    with Image.open(tmp_path / "a.png") as image:
        first, second = images.read(image), images.read(image)
        assert image.size == (48, 64) and image.getexif()[ExifTags.Base.Orientation] == 6
        assert image.getexif()[ExifTags.Base.Model] == "Kamera"
    assert difference(first.pixels, picture) == 0 == difference(second.pixels, picture)
    assert first.exif == second.exif


# Colours


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *(("RGB", suffix) for suffix in (".png", ".jpg", ".webp", ".tif", ".bmp", ".ppm", ".avif", ".gif")),
        *(("RGBA", suffix) for suffix in (".png", ".webp", ".tif", ".avif")),
        *(("P", suffix) for suffix in (".png", ".gif", ".tif", ".bmp")),
        *(("CMYK", suffix) for suffix in (".jpg", ".tif")),
        ("LAB", ".tif"),
        ("YCbCr", ".tif"),
        *((mode, "") for mode in ("RGB", "RGBA", "RGBX", "RGBa", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB")),
    ],
)
def test_colour_of_every_mode(mode: str, suffix: str, tmp_path: Path) -> None:
    image = plain(ORANGE, mode)
    if suffix:
        image.save(tmp_path / f"a{suffix}", quality=100)
    photo = images.read(tmp_path / f"a{suffix}" if suffix else image)
    assert photo.size == (16, 8) and photo.alpha is None and photo.pixels.dtype == np.uint8
    assert difference(photo.pixels, np.full((8, 16, 3), ORANGE, np.uint8)) <= 4


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_greys(mode: str, suffix: str, picture: Pixels, tmp_path: Path) -> None:
    grey = Image.fromarray(picture).convert(mode)
    grey.save(tmp_path / f"a{suffix}")
    expected = np.asarray(grey.convert("RGB"))
    assert difference(images.read(tmp_path / f"a{suffix}").pixels, expected) == 0


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
@pytest.mark.parametrize("top", [500, 65535])
def test_sixteen_bits_keep_their_range(suffix: str, top: int, tmp_path: Path) -> None:
    values = np.linspace(0, top, 256).round().astype(np.uint16).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / f"a{suffix}")
    pixels = images.read(tmp_path / f"a{suffix}").pixels
    assert difference(pixels, np.stack([values >> 8] * 3, axis=-1).astype(np.uint8)) == 0


def test_sixteen_bits_with_a_transparent_grey(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "a.png", transparency=int(values[3, 5]))
    photo = images.read(tmp_path / "a.png")
    assert photo.alpha is not None
    assert np.array_equal(photo.alpha == 0, values == values[3, 5])
    assert difference(photo.pixels[..., 0], (values >> 8).astype(np.uint8)) == 0


@pytest.mark.parametrize("top", [1, 255])
def test_float_greys(top: int, tmp_path: Path) -> None:
    values = np.linspace(0, top, 256, dtype=np.float32).reshape(16, 16)
    values[0, 1:4] = np.nan, -1, np.inf
    Image.fromarray(values).save(tmp_path / "a.tif")
    grey = images.read(tmp_path / "a.tif").pixels[..., 0]
    assert np.array_equal(grey.ravel()[4:], np.arange(4, 256)) and not grey[0, :4].any()


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".gif"])
def test_first_frame_of_an_animation(suffix: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 8), colour) for colour in ("red", "lime")]
    options: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:], **options)
    assert images.read(tmp_path / f"a{suffix}").pixels[4, 8].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *(("RGB", suffix) for suffix in EXACT),
        *(("RGBA", suffix) for suffix in (".png", ".webp", ".tif")),
        *(("P", suffix) for suffix in (".png", ".tif")),
    ],
)
def test_profile_becomes_srgb(mode: str, suffix: str, tmp_path: Path) -> None:
    plain((255, 0, 0), mode).save(tmp_path / f"a{suffix}", icc_profile=SWAPPED, **EXACT[suffix])
    photo = images.read(tmp_path / f"a{suffix}")
    assert difference(photo.pixels, np.full((8, 16, 3), (0, 0, 255), np.uint8)) <= 3
    assert difference(written(photo, tmp_path / "b.png").pixels, photo.pixels) == 0  # converted only once


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_profile_of_greys(mode: str, tmp_path: Path) -> None:
    image = Image.new("L", (16, 8), 128)
    if mode == "LA":
        image.putalpha(77)
    image.save(tmp_path / "a.png", icc_profile=linear_grey())
    photo = images.read(tmp_path / "a.png")
    assert difference(photo.pixels, np.full((8, 16, 3), 188, np.uint8)) <= 1  # 128 in linear light
    assert (photo.alpha is not None and (photo.alpha == 77).all()) == (mode == "LA")


@pytest.mark.parametrize(
    ("mode", "profile"),
    [
        *((mode, profile) for mode in ("L", "RGB", "CMYK") for profile in (b"no profile at all", SRGB[:200])),
        *(("L", SRGB), ("CMYK", SRGB), ("RGB", linear_grey()), ("CMYK", linear_grey())),
    ],
)
def test_profile_that_does_not_fit_is_left_aside(mode: str, profile: bytes, tmp_path: Path) -> None:
    plain((90, 90, 90), mode).save(tmp_path / "a.tif", icc_profile=profile)
    assert difference(images.read(tmp_path / "a.tif").pixels, np.full((8, 16, 3), 90, np.uint8)) == 0


# Alpha


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_alpha_is_kept_and_jpeg_is_laid_on_white(suffix: str, picture: Pixels, alpha: Any, tmp_path: Path) -> None:
    photo = written(Photo(picture, alpha), tmp_path / f"a{suffix}")
    assert photo.alpha is not None and np.array_equal(photo.alpha, alpha)
    laid = written(Photo(picture, alpha), tmp_path / "a.jpg")
    share = alpha[..., None] / 255
    assert laid.alpha is None
    assert difference(laid.pixels, (picture * share + 255 * (1 - share)).astype(np.uint8)) <= 12


def test_transparent_colour_of_a_palette(tmp_path: Path) -> None:
    image = Image.new("P", (16, 8), 1)
    image.putpalette([0, 0, 0, *ORANGE])
    image.paste(0, (0, 0, 8, 8))
    image.save(tmp_path / "a.gif", transparency=0)
    photo = images.read(tmp_path / "a.gif")
    assert photo.alpha is not None
    assert (photo.alpha[:, :8] == 0).all() and (photo.alpha[:, 8:] == 255).all()
    assert photo.pixels[4, 12].tolist() == list(ORANGE)


def test_opaque_alpha_is_none(picture: Pixels, tmp_path: Path) -> None:
    Image.fromarray(picture).convert("RGBA").save(tmp_path / "a.png")
    assert images.read(tmp_path / "a.png").alpha is None


def test_alpha_enlarged(alpha: Any) -> None:
    large = images.alpha_enlarged(alpha, 4)
    assert large.shape == (192, 256) and large.dtype == np.uint8
    assert abs(int(large.mean()) - int(alpha.mean())) <= 1


# EXIF


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_exif_goes_back(source: str, target: str, picture: Pixels, tmp_path: Path) -> None:
    Image.fromarray(picture).save(tmp_path / f"a.{source}", exif=camera(6))
    photo = images.read(tmp_path / f"a.{source}")
    images.write(photo, tmp_path / f"b.{target}")
    with Image.open(tmp_path / f"b.{target}") as image:
        exif = image.getexif()
        details, place = exif.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.GPSInfo)
    assert exif[ExifTags.Base.Model] == "Kamera" and exif[ExifTags.Base.XResolution] == 300
    assert ExifTags.Base.Orientation not in exif
    assert details == {
        ExifTags.Base.DateTimeOriginal: "2024:05:06 07:08:09",
        ExifTags.Base.ExposureTime: 0.008,
        ExifTags.Base.UserComment: b"ASCII\0\0\0at home",
    }
    assert place[ExifTags.GPS.GPSLatitude] == (52, 30, 0.5) and place[ExifTags.GPS.GPSLatitudeRef] == "N"
    data = (tmp_path / f"b.{target}").read_bytes()
    assert "Jörg".encode() in data and b"\xa9 2024" in data
    assert images.read(tmp_path / f"b.{target}").exif == photo.exif


@pytest.mark.parametrize("target", FORMATS)
def test_location_is_stripped_on_request(target: str, picture: Pixels, tmp_path: Path) -> None:
    photo = replace(images.read(picture), exif=camera().tobytes())
    for keep in (True, False):
        path = tmp_path / f"a.{target}"
        images.write(photo, path, keep_location=keep)
        with Image.open(path) as image:
            assert bool(image.getexif().get_ifd(ExifTags.IFD.GPSInfo)) == keep
            assert image.getexif()[ExifTags.Base.Model] == "Kamera"
        assert (b"1999:12:31" in path.read_bytes()) == keep
        assert "Jörg".encode() in path.read_bytes()
    assert b"1999:12:31" not in exif.without_location(photo.exif)


def test_nothing_to_strip() -> None:
    only_place = Image.Exif()
    only_place[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N"}
    assert exif.without_location(b"") == exif.without_location(only_place.tobytes()) == b""


@pytest.mark.parametrize("target", FORMATS)
def test_nothing_shows_the_photo_as_it_was(target: str, picture: Pixels, tmp_path: Path) -> None:
    block = with_thumbnail(camera(), b"the photo in small")
    Image.fromarray(picture).save(tmp_path / "a.jpg", exif=block, xmp=b"<x>small in xmp</x>")
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.getexif().get_ifd(ExifTags.IFD.IFD1)  # the thumbnail is there to be found
    layers = {37724: b"the layers", 34377: b"the preview", 33723: b"the caption", 700: b"<x>small in xmp</x>"}
    Image.fromarray(picture).save(tmp_path / "a.tif", tiffinfo={**layers, 305: "Editor"})
    for source in ("a.jpg", "a.tif"):
        photo = images.read(tmp_path / source)
        images.write(photo, tmp_path / f"b.{target}")
        data = (tmp_path / f"b.{target}").read_bytes()
        assert (b"Kamera" if source == "a.jpg" else b"Editor") in data
        for secret in (b"the photo in small", b"maker's note", b"small in xmp", *layers.values()):
            assert secret not in data


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_damaged_exif_does_not_cost_the_photo(suffix: str, picture: Pixels, tmp_path: Path) -> None:
    whole = camera().tobytes()
    damaged = [whole[:length] for length in range(6, len(whole), 5)]
    damaged += [
        b"Exif\0\0",
        b"Exif\0\0nonsense",
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
        whole.replace(b"\x87\x69", b"\x01\x1b"),
    ]
    path = tmp_path / f"a{suffix}"
    for block in damaged:
        Image.fromarray(picture).save(path, exif=block, **EXACT[suffix])
        photo = images.read(path)
        assert difference(photo.pixels, picture) <= (12 if suffix == ".jpg" else 0)
        images.write(photo, tmp_path / "b.tif")


def test_damage_elsewhere_in_exif_does_not_cost_the_orientation(picture: Pixels, tmp_path: Path) -> None:
    exif = camera(6)
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.UserComment: b"0123456789"}
    block = exif.tobytes().replace(b"\x92\x86\0\1\0\0\0\n", b"\x92\x86\0\1\xff\0\0\n")
    assert block != exif.tobytes()
    Image.fromarray(picture).transpose(TURNED[6]).save(tmp_path / "a.png", exif=block)
    assert difference(images.read(tmp_path / "a.png").pixels, picture) == 0


def test_exif_too_long_for_jpeg(picture: Pixels, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "long " * 20_000
    Image.fromarray(picture).save(tmp_path / "a.png", exif=exif)
    assert written(images.read(tmp_path / "a.png"), tmp_path / "b.jpg").size == (64, 48)


def test_written_profile_is_srgb_without_a_date(picture: Pixels, tmp_path: Path) -> None:
    images.write(Photo(picture), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        profile = image.info["icc_profile"]
    assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile)))
    assert profile[24:36] == bytes(12)  # else no two runs write the same file


# Refused


def test_array_photo_is_copied(picture: Pixels) -> None:
    photo = images.read(picture)
    picture[:] = 0
    assert photo.pixels.any()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
    ],
    ids=lambda array: f"{array.shape} {array.dtype}",
)
def test_array_that_is_no_photo(array: Any) -> None:
    assert "(H, W, 3) uint8" in refusal(array)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("gone.jpg", None, "no such file"),
        ("empty.jpg", b"", "not a picture"),
        ("text.jpg", b"Dear diary, today I took a photo.\n" * 99, "not a picture"),
        ("page.png", b"<!DOCTYPE html><html><body>404</body></html>", "not a picture"),
        ("fake.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(500), ""),
        ("fake.png", b"\x89PNG\r\n\x1a\n" + bytes(500), ""),
        ("fake.webp", b"RIFF\0\1\0\0WEBPVP8 " + bytes(500), ""),
        ("fake.gif", b"GIF89a" + bytes(500), ""),
        ("fake.tif", b"II*\0" + bytes(500), ""),
        ("page.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) print\n", "not a picture"),
        ("noise.bin", np.random.default_rng(0).bytes(5000), "not a picture"),
        ("zero\0.png", None, "null byte"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_file_that_is_no_photo(name: str, content: bytes | None, reason: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    message = refusal(tmp_path / name)
    shown = name.replace("\0", "?")  # what terminals obey is not printed
    assert message.startswith(f"{tmp_path / shown}: ") and reason in message
    assert message.count(str(tmp_path)) == 1


def test_folder_is_no_photo(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".gif", ".bmp", ".ppm", ".avif"])
@pytest.mark.parametrize("exif", [True, False])
def test_cut_off(suffix: str, exif: bool, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    block: dict[str, Any] = {"exif": camera(6)} if exif and suffix in (".png", ".jpg", ".webp") else {}
    path = tmp_path / f"a{suffix}"
    Image.fromarray(noise).save(path, **block)
    whole = path.read_bytes()
    images.read(path)
    for part in (0.1, 0.5, 0.9, 0.99):
        path.write_bytes(whole[: int(len(whole) * part)])
        assert refusal(path).startswith(f"{path}: ")


def test_damaged_pil_image(picture: Pixels, tmp_path: Path) -> None:
    Image.fromarray(picture).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-40])
    with Image.open(tmp_path / "a.jpg") as image:
        assert "truncated" in refusal(image)
    assert "no pixels" in refusal(Image.new("RGB", (0, 5)))


def test_error_without_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", fail)
    (tmp_path / "a.png").touch()
    assert refusal(tmp_path / "a.png").endswith("a.png: cannot be read: MemoryError")


def test_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(60_000, 60_000, zlib.compress(bytes(1000))))
    path = tmp_path / "a.png"
    assert refusal(path).startswith(f"{path}: 60000 x 60000 px: there is memory for ")


def test_large_photo_is_no_bomb(picture: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 48 * 64 // 2 - 1)  # Pillow's own limit is not asked
    assert images.read(tmp_path / "a.png").size == (64, 48)
    monkeypatch.setenv("GANCHAIN_MAX_PIXELS", str(48 * 64))
    assert images.read(tmp_path / "a.png").size == (64, 48)
    monkeypatch.setenv("GANCHAIN_MAX_PIXELS", str(48 * 64 - 1))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))
    assert "64 x 48 px: there is memory for 0 megapixels; make it smaller, or set GANCHAIN_MAX_PIXELS" in refusal(
        tmp_path / "a.png"
    )


def jpeg(pixels: Pixels, **options: Any) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_a_jpeg_cut_in_its_pixels_is_damaged(
    astronaut: Pixels, tmp_path: Path, share: float, progressive: bool
) -> None:
    whole = jpeg(astronaut, quality=90, progressive=progressive)
    start = whole.index(b"\xff\xda")
    cut = whole[: start + round((len(whole) - start) * share)]
    for name, content in {"with an end.jpg": cut + b"\xff\xd9", "without.jpg": cut}.items():
        (tmp_path / name).write_bytes(content)
        assert "the file is damaged: " in refusal(tmp_path / name)
        assert images.read(tmp_path / name, accept_damaged=True).size == (512, 512)


def test_bytes_overwritten_in_a_jpeg_are_damage(astronaut: Pixels, tmp_path: Path) -> None:
    whole = jpeg(astronaut, quality=90)
    middle = len(whole) // 2
    (tmp_path / "a.jpg").write_bytes(whole[:middle] + bytes(4096) + whole[middle + 4096 :])
    assert "the file is damaged: " in refusal(tmp_path / "a.jpg")


def test_a_jpeg_that_lacks_its_end_is_sound(astronaut: Pixels, tmp_path: Path) -> None:
    whole = jpeg(astronaut, quality=90)
    (tmp_path / "whole.jpg").write_bytes(whole)
    (tmp_path / "a.jpg").write_bytes(whole[:-2])
    assert (images.read(tmp_path / "a.jpg").pixels == images.read(tmp_path / "whole.jpg").pixels).all()


def test_a_png_of_half_its_rows_is_damaged(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + bytes(120) for _ in range(40))
    (tmp_path / "a.png").write_bytes(png(40, 40, zlib.compress(rows[: len(rows) // 2])))
    assert "its PNG data ends after 50% of the rows" in refusal(tmp_path / "a.png")


def test_a_webp_overwritten_with_zeros_is_damaged(astronaut: Pixels, tmp_path: Path) -> None:
    kinds: tuple[dict[str, Any], ...] = ({"quality": 90}, {"lossless": True})
    for number, options in enumerate(kinds):
        file = BytesIO()
        Image.fromarray(astronaut).save(file, "WEBP", **options)
        whole = file.getvalue()
        path = tmp_path / f"{number}.webp"
        path.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
        assert "its WebP data is overwritten with " in refusal(path)
        Image.new("RGB", (3000, 2000), (10, 200, 30)).save(path, **options)  # flat: the longest runs of sound files
        assert images.read(path).size == (3000, 2000)


def test_pixels_need_no_text(picture: Pixels, tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("workflow", "x" * 3_000_000)
    texts.add_text("packed", "y" * 3_000_000, zip=True)
    texts.add_itxt("international", "z" * 3_000_000, zip=True)
    Image.fromarray(picture).save(tmp_path / "a.png", pnginfo=texts)
    assert (images.read(tmp_path / "a.png").pixels == picture).all()


def test_grey_of_32_bits_keeps_its_tones(astronaut: Pixels, tmp_path: Path) -> None:
    grey = astronaut[..., 0]
    tifffile.imwrite(tmp_path / "a.tif", grey.astype(np.uint32) << 24)
    assert (images.read(tmp_path / "a.tif").pixels[..., 1] == grey).all()


def test_a_pipe_is_no_photo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    assert refusal(tmp_path / "a.png").endswith("cannot be read: not a regular file")


# Written


@pytest.mark.parametrize("target", ["png", "tif", "tiff", "PNG"])
@pytest.mark.parametrize("transparent", [True, False])
def test_round_trip_is_exact(target: str, transparent: bool, picture: Pixels, alpha: Any, tmp_path: Path) -> None:
    photo = Photo(picture, alpha if transparent else None, camera().tobytes())
    again = written(photo, tmp_path / f"a.{target}")
    assert np.array_equal(again.pixels, picture)
    assert (again.alpha is None) == (not transparent)
    assert again.alpha is None or np.array_equal(again.alpha, alpha)


def test_folders_are_made_and_files_replaced(picture: Pixels, tmp_path: Path) -> None:
    path = tmp_path / "new" / "newer" / "a.png"
    for pixels in (np.zeros_like(picture), picture):
        assert difference(written(Photo(pixels), path).pixels, pixels) == 0
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_permissions_follow_the_umask(picture: Pixels, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        images.write(Photo(picture), tmp_path / "a.jpg")
    finally:
        os.umask(before)
    assert (tmp_path / "a.jpg").stat().st_mode & 0o777 == 0o640


def unwritten(photo: Photo, path: Path) -> str:
    """The message with which ``photo`` is not written; the file is as before and nothing lies beside it."""
    folder = path.parent if path.parent.is_dir() else path.parent.parent
    before = {file: file.is_file() and file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(PhotoError) as caught:
        images.write(photo, path)
    assert {file: file.is_file() and file.read_bytes() for file in folder.iterdir()} == before
    message = str(caught.value)
    assert message.startswith(f"{path}: cannot be written: ")
    assert "\n" not in message and ".part" not in message and "[Errno" not in message
    return message


def test_target_that_cannot_be(picture: Pixels, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_bytes(b"something")
    assert "Is a directory" in unwritten(Photo(picture), tmp_path / "folder.png")
    assert "exists" in unwritten(Photo(picture), tmp_path / "file" / "a.png")
    assert "too long" in unwritten(Photo(picture), tmp_path / f"{'a' * 300}.png")
    images.write(Photo(picture), tmp_path / f"{'a' * 251}.png")  # the longest name there can be


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(picture: Pixels, tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        assert "Permission denied" in unwritten(Photo(picture), tmp_path / "a.png")
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.parametrize("target", FORMATS)
def test_full_disk(target: str, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    path = tmp_path / f"a.{target}"
    path.write_bytes(b"the result of yesterday")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        assert "too large" in unwritten(Photo(noise), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_interrupted(picture: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(_: Path, __: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", half)
    with pytest.raises(KeyboardInterrupt):
        images.write(Photo(picture), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_size_that_a_format_does_not_hold(tmp_path: Path) -> None:
    assert "16383" in unwritten(Photo(np.zeros((1, 16384, 3), np.uint8)), tmp_path / "a.webp")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.JPG", "jpeg"),
        ("a.jpeg", "jpeg"),
        ("a.b.png", "png"),
        ("a.tif", "tiff"),
        ("a.Tiff", "tiff"),
        ("a.webp", "webp"),
    ],
)
def test_format_by_suffix(name: str, expected: images.Format) -> None:
    assert images.format_of(Path(name)) == expected
    assert images.format_of(Path("a").with_suffix(images.suffix_of(expected))) == expected
    assert Path(name).suffix.lower() in images.SUFFIXES


@pytest.mark.parametrize("name", ["a.gif", "a", "a.xyz", ".png"])
def test_unknown_suffix(name: str, picture: Pixels, tmp_path: Path) -> None:
    assert ".png, .jpg, .webp" in unwritten(Photo(picture), tmp_path / name)


# What breaks decoders


def is_read(path: Path) -> bool:
    """Whether a file is read, and gives a photo; else the refusal is one short line that begins with its path."""
    try:
        photo = images.read(path)
    except PhotoError as error:
        message = str(error)
        assert message.startswith(f"{path}: ") and "\n" not in message and len(message) < len(str(path)) + 120
        return False
    assert photo.pixels.dtype == np.uint8 and photo.pixels.shape[2:] == (3,) and photo.pixels.size
    assert photo.alpha is None or photo.alpha.shape == photo.pixels.shape[:2]
    return True


def test_torture(broken: dict[str, list[Path]]) -> None:
    outcomes = {kind: {path.name: is_read(path) for path in paths} for kind, paths in broken.items()}
    assert [name for name, read in outcomes["sound"].items() if not read] == []
    assert [name for name, read in outcomes["refused"].items() if read] == []
    assert set(outcomes["damaged"].values()) == {True, False}


@pytest.mark.skipif(not TORTURE.is_dir(), reason="Pillow's and libpng's own broken files are not here")
def test_torture_by_the_files_of_others() -> None:
    files = sorted(path for path in TORTURE.rglob("*") if path.is_file())
    read = sum(is_read(path) and path.suffix.lower() in images.SUFFIXES for path in files)
    assert read > 0.8 * sum(path.suffix.lower() in images.SUFFIXES for path in files) > 0
