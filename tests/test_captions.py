"""Captions, comments, texts and resolution come back with the photo, as far as its new format can hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, IptcImagePlugin, PngImagePlugin

from ganchain.photos import images, metadata, xmp
from ganchain.photos.captions import Captions, Dataset
from ganchain.photos.marks import Provenance
from ganchain.tensors import Pixels

FORMATS = ("jpg", "png", "webp", "tiff")
IIM = Captions(
    (
        Dataset(1, 90, b"\x1b%G"),
        Dataset(2, 5, "Straße".encode()),
        Dataset(2, 25, b"face"),
        Dataset(2, 25, b"street"),
        Dataset(2, 80, "Jörg".encode()),
        Dataset(2, 90, b"Berlin"),
        Dataset(2, 116, "© 2024 Jörg".encode()),
        Dataset(2, 120, b"A man in a street"),
    )
)


@pytest.fixture
def picture() -> Image.Image:
    return Image.fromarray(np.arange(48 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(48, 64, 3))


def with_iim(picture: Image.Image, path: Path) -> Path:
    preview = Dataset(2, 202, b"the photo in small")
    captions = Captions((*IIM.iim, preview))
    if path.suffix == ".jpg":
        picture.save(path, extra=captions.segment())
    elif path.suffix == ".tiff":
        picture.save(path, tiffinfo={33723: captions.block()})
    else:
        words = PngImagePlugin.PngInfo()
        block = captions.block().hex()
        words.add_text("Raw profile type iptc", f"\niptc\n{len(captions.block()):8}\n{block[:72]}\n{block[72:]}\n")
        picture.save(path, pnginfo=words)
    return path


@pytest.mark.parametrize("source", ["jpg", "tiff", "png"])
@pytest.mark.parametrize("target", FORMATS)
def test_captions_and_copyright_stay(source: str, target: str, picture: Image.Image, tmp_path: Path) -> None:
    photo = images.read(with_iim(picture, tmp_path / f"a.{source}"))
    assert photo.captions.iim == IIM.iim
    path = tmp_path / f"b.{target}"
    images.write(photo, path)
    assert b"the photo in small" not in path.read_bytes()
    if target in ("jpg", "tiff"):
        with Image.open(path) as image:
            iim = IptcImagePlugin.getiptcinfo(image)
        assert iim is not None and iim[2, 116] == "© 2024 Jörg".encode() and iim[2, 25] == [b"face", b"street"]
    words = xmp.read(images.header(path).xmp)
    texts = {key: xmp.texts(words[xmp.name(key)]) for key in ("dc:rights", "dc:creator", "dc:subject", "dc:title")}
    assert list(texts.values()) == [["© 2024 Jörg"], ["Jörg"], ["face", "street"], ["Straße"]]


@pytest.mark.parametrize("target", FORMATS)
def test_places_go_with_the_location(target: str, picture: Image.Image, tmp_path: Path) -> None:
    photo = images.read(with_iim(picture, tmp_path / "a.jpg"))
    images.write(photo, tmp_path / f"b.{target}", keep_location=False)
    content = (tmp_path / f"b.{target}").read_bytes()
    assert b"Berlin" not in content and "© 2024 Jörg".encode() in content
    words = PngImagePlugin.PngInfo()
    words.add_text("exif:GPSLatitude", "52/1, 30/1")
    words.add_text("Title", "home")
    picture.save(tmp_path / "c.png", pnginfo=words)
    assert metadata.without_location(images.read(tmp_path / "c.png")).captions.texts == (("Title", "home"),)


def test_xmp_goes_before_what_iim_says(picture: Image.Image, tmp_path: Path) -> None:
    written = xmp.write({xmp.name("dc:rights"): xmp.element(xmp.name("dc:rights"), "newer")})
    picture.save(tmp_path / "a.jpg", extra=IIM.segment(), xmp=written)
    words = xmp.read(images.read(tmp_path / "a.jpg").xmp)
    assert xmp.texts(words[xmp.name("dc:rights")]) == ["newer"] and xmp.name("dc:title") in words


@pytest.mark.parametrize("source", ["jpg", "png", "gif"])
@pytest.mark.parametrize("target", FORMATS)
def test_a_comment_stays(source: str, target: str, picture: Image.Image, tmp_path: Path) -> None:
    options: dict[str, Any] = {"comment": "drawn by Jörg"}
    if source == "png":
        options = {"pnginfo": PngImagePlugin.PngInfo()}
        options["pnginfo"].add_text("Comment", "drawn by Jörg")
    picture.save(tmp_path / f"a.{source}", **options)
    path = tmp_path / f"b.{target}"
    images.write(images.read(tmp_path / f"a.{source}"), path)
    if target == "png":
        with Image.open(path) as image:
            assert image.info["Comment"] == "drawn by Jörg"
    else:
        assert "drawn by Jörg".encode() in path.read_bytes()
    if target == "jpg":
        with Image.open(path) as image:
            assert image.info["comment"] == "drawn by Jörg".encode()


@pytest.mark.parametrize("target", FORMATS)
def test_texts_of_a_png_stay(target: str, picture: Image.Image, tmp_path: Path) -> None:
    words = PngImagePlugin.PngInfo()
    words.add_text("Title", "Straße")
    words.add_itxt("Copyright", "© 山田")
    words.add_text("parameters", "a face, 20 steps")
    words.add_text("Raw profile type exif", "\nexif\n  8\n4578696600000000\n")
    words.add_text("Thumb::URI", "file:///home/me/a.png")
    picture.save(tmp_path / "a.png", pnginfo=words)
    path = tmp_path / f"b.{target}"
    images.write(images.read(tmp_path / "a.png"), path)
    said = xmp.read(images.header(path).xmp)
    assert xmp.texts(said[xmp.name("dc:rights")]) == ["© 山田"] and xmp.texts(said[xmp.name("dc:title")]) == ["Straße"]
    if target == "png":
        with Image.open(path) as image:
            texts = {key: text for key, text in image.info.items() if isinstance(text, str)}
        assert texts.pop("XML:com.adobe.xmp", None)
        assert texts == {"Title": "Straße", "Copyright": "© 山田", "parameters": "a face, 20 steps"}


@pytest.mark.parametrize("source", ["jpg", "png", "tiff"])
@pytest.mark.parametrize("target", FORMATS)
def test_resolution_stays(source: str, target: str, picture: Image.Image, tmp_path: Path) -> None:
    picture.save(tmp_path / f"a.{source}", dpi=(300, 150))
    images.write(images.read(tmp_path / f"a.{source}"), tmp_path / f"b.{target}")
    with Image.open(tmp_path / f"b.{target}") as image:
        if target == "webp":
            dpi = tuple(image.getexif()[tag] for tag in (ExifTags.Base.XResolution, ExifTags.Base.YResolution))
        else:
            dpi = image.info["dpi"]
    assert tuple(round(float(value)) for value in dpi) == (300, 150)


@pytest.mark.parametrize("dpi", [(0, 0), (1e9, 1e9), (float("nan"), 1)])
def test_a_resolution_that_makes_no_sense_is_none(dpi: tuple[float, float], picture: Image.Image) -> None:
    picture.info["dpi"] = dpi
    assert images.read(picture).dpi is None


def test_no_resolution_is_invented(small_head: Pixels, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "camera"
    Image.fromarray(small_head).save(tmp_path / "a.jpg", exif=exif)
    assert images.read(tmp_path / "a.jpg").dpi is None


@pytest.mark.parametrize(
    "block",
    [b"", b"\x1c", b"\x1c\x02\x78\x00\x10short", b"\x1c\x02\x78\x80\x04\0\0\0\x01a", bytes(99), b"\x1c\x02\x78\0\0"],
)
def test_damaged_captions_do_not_cost_the_photo(block: bytes, picture: Image.Image, tmp_path: Path) -> None:
    resource = b"8BIM\x04\x04\0\0" + len(block).to_bytes(4, "big") + block + b"\0" * (len(block) % 2)
    content = b"Photoshop 3.0\0" + resource
    picture.save(tmp_path / "a.jpg", extra=b"\xff\xed" + (len(content) + 2).to_bytes(2, "big") + content)
    photo = images.read(tmp_path / "a.jpg")
    images.write(photo, tmp_path / "b.jpg")
    assert images.read(tmp_path / "b.jpg").captions == photo.captions


def test_more_words_than_a_jpeg_holds(picture: Image.Image, tmp_path: Path) -> None:
    words = PngImagePlugin.PngInfo()
    words.add_text("Comment", "x" * 70_000)
    words.add_text("Title", "kept")
    picture.save(tmp_path / "a.png", pnginfo=words)
    images.write(images.read(tmp_path / "a.png"), tmp_path / "b.jpg")
    picture.save(tmp_path / "c.tiff", tiffinfo={33723: Captions((Dataset(2, 120, b"x" * 32_000),) * 3).block()})
    images.write(images.read(tmp_path / "c.tiff"), tmp_path / "d.jpg")
    assert images.read(tmp_path / "b.jpg").size == images.read(tmp_path / "d.jpg").size == (64, 48)


def test_the_mark_stands_beside_captions(picture: Image.Image, tmp_path: Path) -> None:
    photo = images.read(with_iim(picture, tmp_path / "a.jpg"))
    marked = Provenance(("makeup",), "rose").onto(photo.xmp)
    assert Provenance.of(marked).chain == "rose" and "Jörg".encode() in marked
