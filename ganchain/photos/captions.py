"""Captions: the words of a photo that stand neither in EXIF nor in XMP: IPTC-IIM, comments, texts of a PNG.

JPEG and TIFF hold IPTC-IIM, JPEG and PNG comments, only PNG its texts. XMP, which all formats hold, gets what it has a
property for, so that a caption or a copyright survives a change of format.
"""

from __future__ import annotations

import logging
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from PIL import Image

from ganchain.photos import xmp

log = logging.getLogger(__name__)

LONGEST = 60_000  # bytes of a comment, and of all of IPTC-IIM: a segment of a JPEG holds no more
IIM_TAG, _IIM_RESOURCE = 33723, 0x0404  # in a TIFF, and among Photoshop's resources in a JPEG
_CHARACTER_SET = (1, 90)
_PREVIEWS = range(200, 203)  # datasets that may show the photo before the edit
_PLACES = {26, 27, 90, 92, 95, 100, 101}
_RAW = "Raw profile type "  # texts of a PNG in which ImageMagick keeps EXIF, IPTC-IIM and others
_NOT_OF_COPIES = re.compile(rf"{_RAW}|XML:|Thumb::|exif:thumbnail|png:|date:", re.IGNORECASE)
_LOCATION = re.compile("gps|location|latitude|longitude|sublocation", re.IGNORECASE)
_PROPERTIES = {  # of XMP, by dataset as in the IPTC Photo Metadata Standard
    5: "dc:title",
    25: "dc:subject",
    40: "photoshop:Instructions",
    80: "dc:creator",
    85: "photoshop:AuthorsPosition",
    90: "photoshop:City",
    92: "Iptc4xmpCore:Location",
    95: "photoshop:State",
    100: "Iptc4xmpCore:CountryCode",
    101: "photoshop:Country",
    103: "photoshop:TransmissionReference",
    105: "photoshop:Headline",
    110: "photoshop:Credit",
    115: "photoshop:Source",
    116: "dc:rights",
    120: "dc:description",
    122: "photoshop:CaptionWriter",
}
_LISTS: dict[str, xmp.List] = {
    "dc:title": "Alt",
    "dc:description": "Alt",
    "dc:rights": "Alt",
    "exif:UserComment": "Alt",
    "dc:subject": "Bag",
    "dc:creator": "Seq",
}
_TEXTS = {"Title": "dc:title", "Author": "dc:creator", "Description": "dc:description", "Copyright": "dc:rights"}


class Dataset(NamedTuple):
    """A dataset of IPTC-IIM: its record, its number in it, and its content."""

    record: int
    number: int
    content: bytes


@dataclass(frozen=True)
class Captions:
    """The captions of a photo.

    Attributes:
        iim: datasets of IPTC-IIM in their order.
        comment: of a JPEG, a GIF or a PNG.
        texts: keywords and texts of a PNG.
    """

    iim: tuple[Dataset, ...] = ()
    comment: str = ""
    texts: tuple[tuple[str, str], ...] = ()

    def without_location(self) -> Captions:
        """Leave out names of places and coordinates."""
        iim = tuple(part for part in self.iim if part.record != 2 or part.number not in _PLACES)
        return replace(self, iim=iim, texts=tuple(text for text in self.texts if not _LOCATION.search(text[0])))

    def properties(self) -> xmp.Properties:
        """Express the captions as properties of XMP, as far as it has such."""
        texts: dict[str, list[str]] = {}
        for record, number, content in self.iim:
            if record == 2 and number in _PROPERTIES:
                texts.setdefault(_PROPERTIES[number], []).append(_text(content))
        for keyword, text in self.texts:
            if (name := _TEXTS.get(keyword.capitalize())) is not None:
                texts.setdefault(name, [text])
        return {xmp.name(name): _property(name, parts) for name, parts in texts.items()}

    def comment_property(self) -> xmp.Properties:
        """Express the comment as a property of XMP, for formats that have no comments."""
        name = "exif:UserComment"
        return {xmp.name(name): _property(name, [self.comment])} if self.comment else {}

    def block(self) -> bytes:
        """Encode the datasets as IPTC-IIM."""
        return b"".join(
            bytes([0x1C, part.record, part.number]) + len(part.content).to_bytes(2, "big") + part.content
            for part in self.iim
        )

    def segment(self) -> bytes:
        """Encode the datasets as a segment of a JPEG; b"" without any."""
        if not (block := self.block()):
            return b""
        resource = b"8BIM" + _IIM_RESOURCE.to_bytes(2, "big") + b"\0\0" + len(block).to_bytes(4, "big") + block
        content = b"Photoshop 3.0\0" + resource + b"\0" * (len(block) % 2)
        return b"\xff\xed" + (len(content) + 2).to_bytes(2, "big") + content


def read(image: Image.Image) -> Captions:
    """Read the captions that also hold for an edited copy of ``image``, which is loaded.

    Left out are previews, and what is true only of the file itself.
    """
    texts = {key: text for key, text in getattr(image, "text", {}).items() if isinstance(text, str)}
    iim: tuple[Dataset, ...] = ()
    try:
        iim = tuple(_kept(_iim(image, texts)))
    except Exception:  # damaged words must not cost the photo
        log.debug("IPTC-IIM is damaged and was left out", exc_info=True)
    kept = {key: str(text) for key, text in texts.items() if _is_kept(key, text)}
    comment = image.info.get("comment", b"")
    comment = _text(comment) if isinstance(comment, bytes) else str(comment)
    comment = kept.pop("Comment", comment).replace("\0", "").strip()
    return Captions(iim, comment if len(comment.encode("utf-8", "replace")) <= LONGEST else "", tuple(kept.items()))


def _is_kept(key: str, text: str) -> bool:
    return 0 < len(key) < 80 and key.isascii() and "\0" not in text and not _NOT_OF_COPIES.match(key)


def _iim(image: Image.Image, texts: dict[str, str]) -> bytes:
    """Find the IPTC-IIM block of a JPEG, a TIFF or a PNG; b"" if there is none."""
    if isinstance(resources := image.info.get("photoshop"), dict):
        return bytes(resources.get(_IIM_RESOURCE, b""))
    if (tags := getattr(image, "tag_v2", None)) is not None:
        return bytes(tags._tagdata.get(IIM_TAG, b""))  # as it stands there: as a tag it may be of 32-bit numbers
    if (profile := texts.get(f"{_RAW}iptc")) is not None:
        content = bytes.fromhex("".join(profile.split("\n")[3:]))
        return content[content.find(b"\x1c") :]  # some wrap it as in a JPEG
    return b""


def _kept(block: bytes) -> Iterator[Dataset]:
    """Yield the datasets about the photo, without previews, and without those for which a JPEG has no room."""
    room = LONGEST
    for dataset in _datasets(block):
        is_kept = dataset[:2] == _CHARACTER_SET or (dataset.record == 2 and dataset.number not in _PREVIEWS)
        if is_kept and len(dataset.content) + 5 <= room:
            room -= len(dataset.content) + 5
            yield dataset


def _datasets(block: bytes) -> Iterator[Dataset]:
    at = 0
    while block[at : at + 1] == b"\x1c" and at + 5 <= len(block):
        size = int.from_bytes(block[at + 3 : at + 5], "big")
        if size & 0x8000 or at + 5 + size > len(block):  # longer than any caption, or cut off
            return
        yield Dataset(block[at + 1], block[at + 2], block[at + 5 : at + 5 + size])
        at += 5 + size


def _text(content: bytes) -> str:
    """Decode a text as UTF-8, which is written by most even where they do not say so, else as Latin-1."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _property(name: str, texts: list[str]) -> ET.Element:
    """Give texts the form that the property has in XMP."""
    key, kind = xmp.name(name), _LISTS.get(name)
    texts = [xmp.storable(text) for text in texts]
    if kind is None:
        return xmp.element(key, texts[0])
    return xmp.element(key, texts[:1] if kind == "Alt" else texts, kind)
