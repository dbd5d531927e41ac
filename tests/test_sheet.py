"""Contact sheets: captions tell cells apart, nothing is stretched, pages stand alone, `run --sheet` shows its steps."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from ganchain.cli.main import main
from ganchain.errors import PhotoError
from ganchain.faces.detect import DlibDetector
from ganchain.photos import images
from ganchain.photos.marks import Provenance
from ganchain.photos.photo import Photo
from ganchain.sheets import html, people, sheet, text
from ganchain.sheets.people import Pages, Row, Window
from ganchain.tensors import Pixels

VOID = {"img", "meta", "br", "link"}


class Read(HTMLParser):
    """Elements with their attributes; complains of what is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def self_contained(text: str) -> None:
    """Nothing is read from anywhere: no address, no other file, no import."""
    for tag, attributes in Read(text).found:
        assert tag not in ("link", "iframe", "object", "base"), tag
        for name in ("src", "href", "srcset", "data", "poster", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith("data:"), (tag, name, value)
    assert not re.search(
        r"https?://|file:|url\(|@import|\bimport\b\s*[({\"']|fetch\(", re.sub(r"data:[^\"]*", "", text)
    )


def embedded(attributes: dict[str, str | None]) -> Image.Image:
    source = attributes["src"]
    assert source is not None
    kind, data = source.split(",", 1)
    assert kind == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data, validate=True)))


def drawn(caption: str) -> list[str]:
    ((lines, _),) = text.fitted([caption], 20, 240)
    return lines


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("attributes: hair black, strength 0.25, weights x", "attributes: hair black, strength 0.75, weights x"),
        ("a" * 80 + "1" + "a" * 80, "a" * 80 + "2" + "a" * 80),
        ("/photos/2024/family/holidays/first/IMG_1.jpg", "/photos/2023/family/holidays/first/IMG_1.jpg"),
        ("\u4e2d\u6587 \U0001f9ff.png", "\u4e2d\u6587 \U0001f9fe.png"),
        ("a\udcffb.png", "a\udcfeb.png"),
    ],
)
@pytest.mark.slow
def test_captions_that_differ_look_different(one: str, other: str, astronaut: Pixels) -> None:
    (first, _), (second, _) = text.fitted([one, other], 20, 240)
    assert first != second
    cells = np.asarray(sheet.sheet([[astronaut, astronaut]], captions=[[one, other]], side=128))
    left, right = cells[140:, 4:132], cells[140:, 136:264]
    assert left.shape == right.shape
    assert (left != right).any()


def test_long_captions_go_over_lines_and_then_lose_their_middle() -> None:
    assert drawn("attributes: hair blond, young, strength 0.8") == ["attributes: hair blond,", "young, strength 0.8"]
    cut = drawn("x" * 200)
    assert len(cut) == text.LINES
    assert "…" in "".join(cut)
    for line in [*cut, *drawn("IMG_20240101_123456_portrait of somebody-final-2.jpg")]:
        assert text.font(20).getlength(line) <= 240


def test_letters_without_a_font_are_written_in_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "FALLBACKS", ())
    assert text.writable("né à 山.png\u202f", 20)[0] == "ne a \\u5c71.png "
    assert text.writable("a\nb", 20)[0] == "a\\nb"


def test_rows_are_evenly_spaced_and_pictures_keep_their_shape(astronaut: Pixels) -> None:
    red = np.zeros((60, 120, 3), np.uint8)
    red[:] = (255, 0, 0)
    image = np.asarray(sheet.sheet([[red, None], [red, red], [red]], ["a", "b" * 60], [["c" * 60], ["d"], ["e"]], 100))
    marked = (image == (255, 0, 0)).all(axis=2)
    rows = np.flatnonzero(np.diff(marked[:, 20].astype(int)))
    assert np.diff(rows)[::2].tolist() == [50, 50, 50]  # half as high as wide
    starts = rows[::2]
    assert starts[1] - starts[0] == starts[2] - starts[1]
    assert int(marked[rows[0] + 5].sum()) == 100
    assert int(marked[starts[1] + 5].sum()) == 200


def test_rims_and_labels_stand_apart(astronaut: Pixels) -> None:
    plain = sheet.sheet([[astronaut] * 3] * 3, side=64)
    apart = sheet.sheet([[astronaut] * 3] * 3, side=64, apart=(1, 1))
    labelled = sheet.sheet([[astronaut] * 3] * 3, side=64, labels=["one", "two", "three"])
    assert apart.width - plain.width == apart.height - plain.height > 0
    assert (labelled.width > plain.width) and labelled.height == plain.height


def test_a_window_lies_in_its_photo_and_shows_the_same_when_it_is_enlarged(astronaut: Pixels) -> None:
    face = DlibDetector()(astronaut)[0]
    window = Window.head(face, (512, 512))
    left, top, right, bottom = face.box
    assert window.left < left < right < window.left + window.width
    assert window.top < top < bottom < window.top + window.height
    assert window.width == window.height
    small = window.shown(Photo(astronaut), 200)
    assert small.shape == (200, 200, 3)
    large = Photo(np.asarray(Image.fromarray(astronaut).resize((2048, 2048), Image.Resampling.NEAREST)))
    assert np.abs(window.shown(large, 200).astype(int) - small).mean() < 2.5


def test_a_face_at_the_edge_is_neither_stretched_nor_mirrored(astronaut: Pixels) -> None:
    cut = np.ascontiguousarray(astronaut[:, 190:])
    face = DlibDetector()(astronaut)[0]
    moved = replace(face, landmarks=face.landmarks - [190, 0], box=(0.0, 0.0, 1.0, 1.0))
    window = Window.head(moved, (322, 512))
    assert window.left == 0
    assert window.left + window.width <= 322
    narrow = replace(moved, landmarks=moved.landmarks * 3)
    tall = Window.head(narrow, (322, 512))
    assert (tall.width, tall.height) == (322, 512)
    assert tall.shown(Photo(cut), 256).shape == (256, 161, 3)


def test_transparent_parts_are_paper(astronaut: Pixels) -> None:
    alpha = np.full((512, 512), 255, np.uint8)
    alpha[:, :256] = 0
    shown = Window.whole((512, 512)).shown(Photo(astronaut, alpha), 64)
    assert (shown[:, :28] == sheet.PAPER).all()


def test_a_page_stands_alone(astronaut: Pixels) -> None:
    small = np.ascontiguousarray(astronaut[:256, :128])
    rows: list[tuple[str, list[Pixels | None]]] = [
        ("a <b> & \udcff.png", [small, small[::-1], small[:, ::-1]]),
        ("none.png: no face", [small, None, None]),
    ]
    text = html.page('<t> "1"', ["photo", "makeup: <rose>", "upscale"], rows, [small, small])
    text.encode("utf-8")
    self_contained(text)
    page = Read(text)
    assert len(page.all("before-after")) == 1
    slots = {found["slot"]: found for found in page.all("img") if "slot" in found}
    assert [embedded(slots[name]).size for name in ("before", "after")] == [(128, 256)] * 2
    assert slots["after"]["alt"] == "upscale"
    assert slots["after"]["src"] != slots["before"]["src"]
    assert [button["aria-pressed"] for button in page.all("button")] == ["false", "true"]
    assert "&lt;rose&gt;" in text and "<rose>" not in text and "a &lt;b&gt; &amp; \\udcff.png" in text
    assert "customElements.define" in text and "prefers-color-scheme: dark" in text
    assert all(found["alt"] is not None for found in page.all("img"))


def test_the_slider_needs_no_inline_styles() -> None:
    text = (Path(html.__file__).parent / "slider.js").read_text(encoding="utf-8")
    assert "adoptedStyleSheets" in text and 'role: "slider"' in text
    assert "<style" not in text and "innerHTML" not in text and 'setAttribute("style"' not in text
    assert "</script" not in text.lower()


@pytest.mark.parametrize("suffix", [".png", ".html"])
def test_many_rows_go_over_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.setattr(people, "PAGE_ROWS" if suffix == ".html" else "ROWS", 2)
    pages = Pages(tmp_path / f"s{suffix}", ["photo", "b"], title="t")
    cell = np.zeros((8, 8, 3), np.uint8)
    for number in range(5):
        pages.add([Row(f"row {number}", [cell, cell])])
    written = pages.close()
    assert [path.name for path in written] == [f"s{suffix}", f"s-2{suffix}", f"s-3{suffix}"]
    if suffix == ".html":
        assert [path.read_text().count("<section>") for path in written] == [2, 2, 1]
    else:
        heights = [images.read(path).size[1] for path in written]
        assert heights[0] == heights[1] > heights[2]


def test_a_sheet_says_what_it_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"sheet.gif: .*must end in .png, .jpg, .webp, .tiff or .html"):
        Pages(tmp_path / "sheet.gif", ["photo"], title="t")
    with pytest.raises(PhotoError, match="would overwrite a photo"):
        Pages(tmp_path / "a.png", ["photo"], title="t", sources=[tmp_path / "b.png", tmp_path / "x" / ".." / "a.png"])
    assert Pages(tmp_path / "s.png", ["photo"], title="t").close() == []


def test_photos_of_one_name_are_called_by_their_paths(tmp_path: Path) -> None:
    sources = [tmp_path / "a" / "1.jpg", tmp_path / "b" / "1.jpg", tmp_path / "2.jpg"]
    names = Pages(tmp_path / "s.png", ["photo"], title="t", sources=sources).names
    assert list(names.values()) == [str(sources[0]), str(sources[1]), "2.jpg"]


def folder(tmp_path: Path, astronaut: Pixels, landscape: Pixels) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(np.concatenate([astronaut, astronaut[:, ::-1]], axis=1)).save(photos / "a-two.png")
    Image.fromarray(landscape).save(photos / "b-none.png")
    (photos / "c-broken.png").write_bytes(b"no picture")
    return photos


@pytest.mark.slow
def test_run_draws_a_row_a_face(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, astronaut: Pixels, landscape: Pixels
) -> None:
    monkeypatch.chdir(tmp_path)
    photos = folder(tmp_path, astronaut, landscape)
    chain = tmp_path / "two.yaml"
    chain.write_text(
        "stages:\n- makeup: {look: rose, strength: 0}\n- attributes: {hair: black}\n- upscale: {factor: 2}\n"
    )
    asked = ["run", str(chain), str(photos), "-o", "out", "--sheet", "sheet.html", "--save-stages", "steps"]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 1, done.output
    assert "-> sheet.html" in done.output
    text = Path("sheet.html").read_text(encoding="utf-8")
    self_contained(text)
    heads = re.findall("<h2>(.*?)</h2>", text)
    assert heads == ["a-two.png, face 0", "a-two.png, face 1", "b-none.png: no face"]
    pictures = [found for found in Read(text).all("img") if "slot" not in found]
    captions = [found["alt"] for found in pictures]
    assert captions == ["photo", "attributes: hair black", "upscale: factor 2"] * 2 + ["photo"]

    photo = images.read(photos / "a-two.png")
    window = Window.head(DlibDetector()(photo.pixels)[0], photo.size)
    files = ("photos/a-two.png", "steps/a-two-1-attributes.png", "out/a-two-two.png")
    for picture, file in zip(pictures[:3], files, strict=True):
        expected = window.shown(images.read(file), people.PAGE_SIDE).astype(int)
        assert np.abs(np.asarray(embedded(picture)) - expected).mean() < 2.5  # JPEG


@pytest.mark.slow
def test_run_draws_pictures_by_their_suffix(photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rose.yaml").write_text("stages: [{makeup: {look: rose}}, {attributes: {hair: black}}]")
    for name, kind in (("sheet.png", "PNG"), ("sheet.jpg", "JPEG")):
        done = CliRunner().invoke(main, ["run", "rose.yaml", str(photo_file), "--sheet", name])
        assert done.exit_code == 0, done.output
        with Image.open(name) as image:
            assert image.format == kind
            assert image.width > 3 * people.SIDE > image.height
        said = Provenance.of(images.header(Path(name)).xmp)
        assert said.marked and said.chain == "rose"
    done = CliRunner().invoke(main, ["run", "rose.yaml", str(photo_file), "--sheet", str(photo_file)])
    assert done.exit_code == 2
    assert "would overwrite a photo" in done.output
    assert photo_file.stat().st_size > 100_000
