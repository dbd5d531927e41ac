"""Pictures that say what was done: their mark, what stays of the photo's own words, and what reads it."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import xml.etree.ElementTree as ET
import zlib
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, PngImagePlugin

from ganchain import Pipeline
from ganchain._version import VERSION
from ganchain.batch import run as batch_run
from ganchain.batch.options import Options
from ganchain.batch.run import batch
from ganchain.cli.main import main
from ganchain.errors import GanchainError, PhotoError
from ganchain.photos import credentials, images, marks, xmp
from ganchain.photos.marks import Provenance
from ganchain.photos.photo import Photo
from ganchain.stages.makeup import Makeup
from ganchain.tensors import Pixels
from tests.pools import Here

FORMATS = ("png", "jpg", "webp", "tiff")
TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
EDITED = f"{TYPES}compositeWithTrainedAlgorithmicMedia"
MARK = Provenance(("makeup", "webtoon"), "my chain", "ab" * 32)
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
SPACES = (
    'xmlns:x="adobe:ns:meta/" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    'xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" xmlns:exif="http://ns.adobe.com/exif/1.0/" '
    'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" '
    'xmlns:xmpGImg="http://ns.adobe.com/xap/1.0/g/img/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    'xmlns:Ext="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:MP="http://ns.microsoft.com/photo/1.2/" '
    'xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/"'
)
EDITOR = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta {SPACES}><rdf:RDF><rdf:Description rdf:about="" xmp:Rating="4" xmp:CreatorTool="An editor 7"
 tiff:Orientation="1" photoshop:City="Sevilla" crs:CropTop="0.1" xmpMM:InstanceID="xmp.iid:an-id"
 exif:GPSLatitude="37,23.1N">
<dc:rights><rdf:Alt>
<rdf:li xml:lang="x-default">© 2024 Jörg &amp; Ana</rdf:li><rdf:li xml:lang="de">Alle Rechte</rdf:li>
</rdf:Alt></dc:rights><dc:creator><rdf:Seq><rdf:li>Jörg</rdf:li></rdf:Seq></dc:creator>
<plus:DataMining rdf:resource="http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED"/>
<Ext:DigitalSourceType>{TYPES}digitalCapture</Ext:DigitalSourceType>
<Ext:LocationCreated><rdf:Bag>
<rdf:li rdf:parseType="Resource"><Ext:City>Triana</Ext:City></rdf:li></rdf:Bag></Ext:LocationCreated>
<xmp:Thumbnails><rdf:Alt>
<rdf:li rdf:parseType="Resource"><xmpGImg:image>dGh1bWI=</xmpGImg:image></rdf:li></rdf:Alt></xmp:Thumbnails>
<xmpMM:History><rdf:Seq><rdf:li>removed a person</rdf:li></rdf:Seq></xmpMM:History>
<MP:RegionInfo rdf:parseType="Resource"><MP:Regions>who is where</MP:Regions></MP:RegionInfo>
</rdf:Description></rdf:RDF></x:xmpmeta>{" " * 200}
<?xpacket end="w"?>""".encode()
STAYS = ("© 2024 Jörg &amp; Ana", "Alle Rechte", "<rdf:li>Jörg</rdf:li>", "DMI-PROHIBITED", ">4<")
PLACES = ("37,23.1N", "Sevilla", "Triana")
GOES = (
    "CropTop",
    "an-id",
    "dGh1bWI=",
    "removed a person",
    "who is where",
    "Orientation",
    "An editor",
    "digitalCapture",
)


def raw(path: Path) -> bytes:
    """The XMP packet of a file, found by what its format's specification says; b"" of none."""
    data = path.read_bytes()
    if data[:4] == b"\x89PNG":
        place = 8
        while data[place + 4 : place + 8] != b"IEND":
            (length,) = struct.unpack_from(">I", data, place)
            head = b"iTXtXML:com.adobe.xmp\0\0\0\0\0"
            if data[place + 4 :].startswith(head):
                return data[place + 4 + len(head) : place + 8 + length]
            place += length + 12
    elif data[:2] == b"\xff\xd8":
        place, head = 2, b"http://ns.adobe.com/xap/1.0/\0"
        while data[place + 1] != 0xDA:
            (length,) = struct.unpack_from(">H", data, place + 2)
            if data[place + 1] == 0xE1 and data[place + 4 :].startswith(head):
                return data[place + 4 + len(head) : place + 2 + length]
            place += length + 2
    elif data[8:12] == b"WEBP":
        place = 12
        while place < len(data):
            kind, length = data[place : place + 4], struct.unpack_from("<I", data, place + 4)[0]
            if kind == b"XMP ":
                return data[place + 8 : place + 8 + length]
            place += 8 + length + length % 2
    else:
        assert data[:4] == b"II*\0"
        (start,) = struct.unpack_from("<I", data, 4)
        for entry in range(struct.unpack_from("<H", data, start)[0]):
            tag, kind, count, value = struct.unpack_from("<HHII", data, start + 2 + 12 * entry)
            if tag == 700:
                assert kind in (1, 7)
                return data[value : value + count]
    return b""


def said(path: Path) -> dict[str, Any]:
    """What a reader of XMP that knows nothing of ganchain finds: local names, and texts or lists."""
    packet = raw(path)
    if not packet:
        return {}
    (description,) = ET.fromstring(packet.decode()).iter(f"{RDF}Description")
    return {
        child.tag.rpartition("}")[2]: [item.text for item in child.iter(f"{RDF}li")] or child.text
        for child in description
    }


def show(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["show", *map(str, arguments)], catch_exceptions=False)
    return done.exit_code, done.output


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    path = tmp_path / "rose.yaml"
    path.write_text("stages:\n  - makeup: {look: rose}\n")
    return path


@pytest.fixture
def photo(small_head: Pixels, tmp_path: Path) -> Path:
    """A photo with an editor's XMP."""
    path = tmp_path / "photo.jpg"
    Image.fromarray(small_head).save(path, quality=95, xmp=EDITOR)
    return path


# The mark


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_carries_the_mark(suffix: str, chain: Path, photo: Path, tmp_path: Path) -> None:
    pipeline = Pipeline.from_yaml(chain)
    pipeline(photo).save(tmp_path / f"a.{suffix}")
    found = said(tmp_path / f"a.{suffix}")
    assert found["DigitalSourceType"] == EDITED
    assert found["CreatorTool"] == f"ganchain {VERSION}"
    assert (found["chain"], found["stages"]) == ("rose", ["makeup"])
    assert re.fullmatch("[0-9a-f]{64}", found["chainHash"])
    packet = raw(tmp_path / f"a.{suffix}")
    assert b"http://iptc.org/std/Iptc4xmpExt/2008-02-29/" in packet and b"http://ns.adobe.com/xap/1.0/" in packet
    assert Provenance.of(packet) == pipeline.mark


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_mark_changes_no_pixel_and_equal_photos_give_equal_files(
    suffix: str, small_head: Pixels, tmp_path: Path
) -> None:
    for name, packet in (("plain", b""), ("one", MARK.onto(EDITOR)), ("two", MARK.onto(EDITOR))):
        images.write(Photo(small_head, xmp=packet), tmp_path / f"{name}.{suffix}")
    plain, one, two = (tmp_path / f"{name}.{suffix}" for name in ("plain", "one", "two"))
    assert one.read_bytes() == two.read_bytes() and raw(one) == MARK.onto(EDITOR) and raw(plain) == b""
    assert np.array_equal(np.asarray(Image.open(plain)), np.asarray(Image.open(one)))


def test_the_mark_can_be_switched_off(chain: Path, photo: Path, tmp_path: Path) -> None:
    chain.write_text(chain.read_text() + "output: {mark: false, write: both}\n")
    result = Pipeline.from_yaml(chain)(photo)
    result.save(tmp_path / "a.png")
    found = said(tmp_path / "a.png")
    assert "chain" not in found and "stages" not in found and found["CreatorTool"] == "An editor 7"
    assert "DigitalSourceType" not in found  # a camera did not take it so
    assert found["creator"] == ["Jörg"]


def test_a_photo_without_a_face_is_not_marked(chain: Path, landscape: Pixels, tmp_path: Path) -> None:
    Image.fromarray(landscape).save(tmp_path / "hill.jpg", xmp=EDITOR)
    result = Pipeline.from_yaml(chain)(tmp_path / "hill.jpg")
    assert result.status == "no_face"
    result.save(tmp_path / "a.png")
    found = said(tmp_path / "a.png")
    assert found["DigitalSourceType"] == f"{TYPES}digitalCapture" and "chain" not in found
    assert show(tmp_path / "a.png")[0] == 1


def test_a_chain_that_does_nothing_does_not_mark(small_head: Pixels) -> None:
    result = Pipeline([Makeup(look="rose", strength=0)])(small_head)
    assert result.status == "ok" and result.photo is not None and result.photo.xmp == b""


def test_stage_objects_have_neither_name_nor_hash(small_head: Pixels) -> None:
    result = Pipeline([Makeup(look="rose"), Makeup(lips="red")], keep_steps=True)(small_head)
    assert result.photo is not None
    assert Provenance.of(result.photo.xmp) == Provenance(("makeup", "makeup-2"))
    assert [Provenance.of(step.xmp).stages for _, step in result.steps] == [("makeup",), ("makeup", "makeup-2")]


@pytest.mark.slow
def test_run_and_batch_mark_photos_and_faces_alike(
    chain: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_run, "Pool", Here)
    chain.write_text(chain.read_text() + "output: {write: both, location: strip}\n")
    for out in ("a", "b"):
        summary = batch(chain, [photo], tmp_path / out, Options(workers=1, engine="torch"))
        assert dict(summary.counts) == {"ok": 1}
    done = CliRunner().invoke(main, ["run", str(chain), str(photo), "-o", str(tmp_path / "c")])
    assert done.exit_code == 0, done.output
    for name in ("photo-rose.png", "photo-rose-face0.png"):
        found = [(tmp_path / out / name) for out in "abc"]
        assert len({path.read_bytes() for path in found}) == 1
        text = raw(found[0]).decode()
        assert EDITED in text and "Jörg" in text and not any(place in text for place in PLACES)


def test_equal_hashes_mean_equal_edits(chain: Path, small_head: Pixels, tmp_path: Path) -> None:
    def hashed(text: str) -> str:
        chain.write_text(text)
        mark = Pipeline.from_yaml(chain).mark
        assert mark is not None
        return mark.chain_hash

    first = hashed("stages:\n  - makeup: {look: rose}\n")
    assert hashed("# said otherwise\nfaces: all\nstages: [{makeup: {strength: 1.0, look: rose}}]\n") == first
    others = {hashed("stages:\n  - makeup: {look: evening}\n")}
    for pixels in (small_head, small_head[:, ::-1]):
        Image.fromarray(pixels).save(tmp_path / "look.png")
        others.add(hashed("stages:\n  - makeup: {reference: look.png}\n"))
    assert len(others | {first}) == 4


def test_names_that_xml_cannot_hold(tmp_path: Path) -> None:
    mark = replace(MARK, chain="a\x00\x1b[31m<b>&\udcff\ud800\n")
    read = Provenance.of(mark.xmp())
    assert read.chain == "a??[31m<b>&???" and read == replace(mark, chain=read.chain)


def test_what_was_generated_stays_generated() -> None:
    for kind, kept in (("trainedAlgorithmicMedia", "trainedAlgorithmicMedia"), ("digitalCapture", marks.EDITED)):
        packet = EDITOR.replace(b"digitalCapture", kind.encode())
        assert Provenance.of(MARK.onto(packet)).source_type == kept
        unmarked = Provenance.of(marks.after(packet, None))
        assert unmarked.source_type == (kind if kind == kept else "")


# The photo's own words


@pytest.mark.parametrize("source", [*FORMATS, "avif"])
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("keep", [True, False])
def test_words_stay_and_what_is_stale_goes(
    source: str, target: str, keep: bool, small_head: Pixels, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"xmp": EDITOR}
    if source == "png":
        options = {"pnginfo": PngImagePlugin.PngInfo()}
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", EDITOR.decode(), zip=True)
    elif source == "tiff":
        options = {"tiffinfo": {700: EDITOR}}
    Image.fromarray(small_head).save(tmp_path / f"a.{source}", **options)
    read = images.read(tmp_path / f"a.{source}")
    assert read.size == (240, 220)
    path = tmp_path / f"b.{target}"
    images.write(replace(read, xmp=MARK.onto(read.xmp)), path, keep_location=keep)
    text, whole = raw(path).decode(), path.read_bytes()
    assert all(one in text for one in STAYS)
    assert 'xml:lang="de"' in text and "plus:DataMining" in text
    assert all((one.encode() in whole) == keep for one in PLACES)
    assert not any(one.encode() in whole for one in GOES)
    again = images.read(path)
    assert xmp.read(again.xmp).keys() == xmp.read(raw(path)).keys()


def test_a_photo_marked_twice_says_the_last_edit_once() -> None:
    second = replace(MARK, chain="second", stages=("upscale",))
    packet = second.onto(MARK.onto(EDITOR))
    assert Provenance.of(packet) == second
    assert packet == second.onto(EDITOR) and packet.count(b"ganchain:chain>") == 2


def test_too_much_for_jpeg(small_head: Pixels, tmp_path: Path) -> None:
    long = EDITOR.replace(b"<dc:creator>", b"<dc:description>" + b"long " * 20_000 + b"</dc:description><dc:creator>")
    Image.fromarray(small_head).save(tmp_path / "a.webp", xmp=long)
    photo = images.read(tmp_path / "a.webp")
    images.write(replace(photo, xmp=MARK.onto(photo.xmp)), tmp_path / "b.jpg")
    found = said(tmp_path / "b.jpg")
    assert "description" not in found and found["creator"] == ["Jörg"] and found["DigitalSourceType"] == EDITED
    for length in range(64_000, 66_000, 100):  # whatever the length, it fits
        packet = MARK.onto(EDITOR.replace(b"<dc:creator>", b"<dc:title>" + b"x" * length + b"</dc:title><dc:creator>"))
        assert len(packet) <= 65_502 and Provenance.of(packet) == MARK
    many = "".join(
        f'<dc:n{number} xmlns:dc="http://purl.org/dc/elements/1.1/">x</dc:n{number}>' for number in range(9999)
    )
    packet = MARK.onto(EDITOR.replace(b"<dc:creator>", many.encode() + b"<dc:creator>"))
    assert 20_000 < len(packet) <= 65_502 and Provenance.of(packet) == MARK


# Readers and hostile packets


BOMB = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>' + EDITOR.replace(b"Alle", b"&b;")
DEEP = EDITOR.replace(
    b"<dc:creator>", b"<dc:title>" + b"<dc:a>" * 50_000 + b"</dc:a>" * 50_000 + b"</dc:title><dc:creator>"
)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\0" * 99,
        b"<",
        b"no xml at all",
        b"<x>not RDF</x>",
        EDITOR[: len(EDITOR) // 2],
        EDITOR.replace(b"</dc:rights>", b""),
        EDITOR.replace(b"xmlns:dc", b"xmlns:cd"),
        EDITOR.replace("Jörg".encode(), b"\x00\x01"),
        BOMB,
        BOMB.decode().encode("utf-16"),
    ],
)
def test_what_cannot_be_read_says_nothing(packet: bytes, small_head: Pixels, tmp_path: Path) -> None:
    assert xmp.read(packet) == {} and xmp.kept(packet) == b""
    assert Provenance.of(packet) == Provenance((), "", "", "", "")
    assert MARK.onto(packet) == MARK.xmp()
    if packet:
        Image.fromarray(small_head).save(tmp_path / "a.webp", xmp=packet)
        assert images.read(tmp_path / "a.webp").xmp == b""
        assert show(tmp_path / "a.webp")[0] == 1


@pytest.mark.parametrize(
    "packet",
    [
        EDITOR + b"\0\0\0",
        b"\xef\xbb\xbf" + EDITOR,
        EDITOR.replace(b"<rdf:li>J", b"<rdf:li>\xff J"),
        pytest.param(DEEP, marks=pytest.mark.slow),
        b"<?xml version='1.0' encoding='UTF-7'?>" + EDITOR.partition(b"?>")[2],
    ],
    ids=["padded", "with a mark of order", "not quite UTF-8", "deep", "said to be UTF-7"],
)
def test_what_is_odd_is_read(packet: bytes) -> None:
    assert "digitalCapture" in Provenance.of(packet).source_type
    assert Provenance.of(MARK.onto(packet)) == MARK and b"<dc:a>" not in MARK.onto(packet)


@pytest.mark.parametrize(
    "words",
    [
        f'Ext:DigitalSourceType="{EDITED}"',
        f'><Ext:DigitalSourceType rdf:resource="{EDITED}"/></rdf:Description><rdf:Description',
        f"><Ext:DigitalSourceType> {EDITED}/ </Ext:DigitalSourceType></rdf:Description><rdf:Description",
    ],
)
def test_marks_of_other_software_are_understood(words: str, small_head: Pixels, tmp_path: Path) -> None:
    packet = f'<rdf:RDF {SPACES}><rdf:Description xmp:CreatorTool="Other 1" {words}/></rdf:RDF>'
    assert Provenance.of(packet) == Provenance((), "", "", "Other 1", marks.EDITED)
    assert Provenance.of(packet).marked and not Provenance.of(packet).own


def test_a_packet_in_a_pil_image_need_not_be_one(small_head: Pixels) -> None:
    image = Image.fromarray(small_head)
    for packet in (None, 7, ("a", "b"), "\ud800", EDITOR.decode()):
        image.info["xmp"] = packet
        assert bool(images.read(image).xmp) == (packet == EDITOR.decode())


# ganchain show


def test_show_says_what_is_known(small_head: Pixels, tmp_path: Path) -> None:
    images.write(Photo(small_head, xmp=MARK.xmp()), tmp_path / "a.png")
    images.write(Photo(small_head), tmp_path / "b.jpg")
    status, text = show(tmp_path / "a.png")
    assert status == 0
    words = ("PNG, 240 x 220 px", f"ganchain {VERSION}", "my chain", "ab" * 32, "makeup → webtoon", "Credentials: none")
    assert all(word in text for word in ("edited with a trained network", *words))
    status, text = show(tmp_path / "a.png", tmp_path / "b.jpg")
    assert status == 1 and "b.jpg: JPEG, 240 x 220 px\n  not marked" in text
    status, text = show("--json", tmp_path / "a.png", tmp_path / "b.jpg")
    one, other = map(json.loads, text.splitlines())
    assert status == 1 and one["marked"] and not other["marked"] and one["stages"] == ["makeup", "webtoon"]
    assert one["chain_hash"] == "ab" * 32 and one["size"] == [240, 220] and one["c2pa"] is None


def test_show_names_what_it_cannot_read(tmp_path: Path, small_head: Pixels) -> None:
    images.write(Photo(small_head, xmp=MARK.xmp()), tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no picture")
    status, text = show(tmp_path / "gone.png", tmp_path / "b.png", tmp_path / "a.png")
    assert status == 2 and "gone.png: no such file" in text and "b.png: not a picture" in text and "my chain" in text
    assert show()[0] == 2


def test_show_finds_a_mark_behind_the_pixels(small_head: Pixels, tmp_path: Path) -> None:
    images.write(Photo(small_head, xmp=MARK.xmp()), tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    start = data.index(b"iTXt") - 4
    end = start + 12 + struct.unpack_from(">I", data, start)[0]
    (tmp_path / "b.png").write_bytes(data[:start] + data[end:-12] + data[start:end] + data[-12:])
    assert show(tmp_path / "b.png")[0] == 0
    assert Provenance.of(images.read(tmp_path / "b.png").xmp) == MARK


# Signatures


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate chain and its key, made here and trusted by nobody."""
    if find_spec("c2pa") is None or which("openssl") is None:
        pytest.skip("c2pa-python (pip install 'ganchain[c2pa]') or openssl is not installed")
    folder = tmp_path_factory.mktemp("signer")
    (folder / "extensions").write_text(
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=emailProtection\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )
    new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256"
    for command in (
        f"req -x509 {new} -subj /O=Test/CN=root -keyout root.key -out root.pem -days 2 "
        "-addext keyUsage=critical,keyCertSign,cRLSign",
        f"req {new} -subj /O=Test/CN=signer -keyout key.pem -out request",
        "x509 -req -in request -CA root.pem -CAkey root.key -CAcreateserial -days 2 -sha256 -extfile extensions "
        "-out signer.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    (folder / "chain.pem").write_bytes((folder / "signer.pem").read_bytes() + (folder / "root.pem").read_bytes())
    return folder / "chain.pem", folder / "key.pem"


def signed(path: Path, original: Path, signer: tuple[Path, Path]) -> Path:
    options = ["--original", original, "--certificate", signer[0], "--key", signer[1]]
    done = CliRunner().invoke(main, ["sign", str(path), *map(str, options)])
    assert done.exit_code == 0, done.output
    return path.with_name(f"{path.stem}-signed{path.suffix}")


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.slow
def test_a_signed_picture(suffix: str, photo: Path, signer: tuple[Path, Path], tmp_path: Path) -> None:
    pixels = images.read(photo).pixels
    images.write(Photo(pixels, xmp=MARK.onto(EDITOR)), tmp_path / f"a.{suffix}")
    out = signed(tmp_path / f"a.{suffix}", photo, signer)
    assert np.array_equal(np.asarray(Image.open(out)), np.asarray(Image.open(tmp_path / f"a.{suffix}")))
    assert Provenance.of(images.header(out).xmp) == MARK
    found = credentials.read(out)
    assert found == credentials.Credentials("Valid", "signer", ("c2pa.opened", "c2pa.edited"))
    status, text = show(out)
    assert status == 0 and "signed by 'signer'" in text
    (tmp_path / f"c.{suffix}").write_bytes(altered(out.read_bytes()))
    changed = credentials.read(tmp_path / f"c.{suffix}")
    assert changed is not None and changed.state == "Invalid" and changed.reasons == ("assertion.dataHash.mismatch",)
    assert "NOT valid" in show(tmp_path / f"c.{suffix}")[1]


def altered(data: bytes) -> bytes:
    """The file with another name of the chain in its mark."""
    start = data.index(b">my chain<")
    found = bytearray(data[:start] + b">no chain<" + data[start + 10 :])
    if found[:4] == b"\x89PNG":
        head = data.rindex(b"iTXt", 0, start)
        (length,) = struct.unpack_from(">I", data, head - 4)
        struct.pack_into(">I", found, head + 4 + length, zlib.crc32(found[head : head + 4 + length]))
    return bytes(found)


@pytest.mark.slow
def test_what_cannot_be_signed(photo: Path, signer: tuple[Path, Path], tmp_path: Path) -> None:
    images.write(Photo(images.read(photo).pixels, xmp=MARK.xmp()), tmp_path / "a.jpg")
    certificate, key = signer
    with pytest.raises(PhotoError, match="no mark"):
        credentials.sign(photo, photo, tmp_path / "b.jpg", certificate=certificate, key=key)
    with pytest.raises(PhotoError, match="keeps the format"):
        credentials.sign(tmp_path / "a.jpg", photo, tmp_path / "b.png", certificate=certificate, key=key)
    with pytest.raises(PhotoError, match="overwritten"):
        credentials.sign(tmp_path / "a.jpg", photo, photo, certificate=certificate, key=key)
    with pytest.raises(GanchainError, match="cannot be signed"):
        credentials.sign(tmp_path / "a.jpg", photo, tmp_path / "b.jpg", certificate=key, key=key)
    assert not (tmp_path / "b.jpg").exists()


def test_without_the_extra(small_head: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(credentials, "import_module", missing)
    images.write(Photo(small_head, xmp=MARK.xmp()), tmp_path / "a.png")
    assert credentials.read(tmp_path / "a.png") is None
    with (tmp_path / "a.png").open("ab") as file:  # where some store begins
        file.write(b"....jumb....jumdc2pa\0\x11\0\x10\x80\0\0\xaa\x008\x9bq")
    assert "there, not checked; for that: pip install" in show(tmp_path / "a.png")[1]
    with pytest.raises(GanchainError, match="pip install"):
        credentials.sign(*[tmp_path / "a.png"] * 3, certificate=tmp_path, key=tmp_path)
