"""XMP packets: properties of a photo, written by any software, that can be read, removed and added.

The format is RDF in XML as in ISO 16684-1; the names are those of the IPTC Photo Metadata Standard and of the schemas
of Adobe, PLUS and Creative Commons.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from contextlib import suppress
from typing import Literal

LIMIT = 65_502  # bytes: the longest packet that JPEG holds
DEPTH = 16  # structures in structures that a property may have
NAMESPACES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "plus": "http://ns.useplus.org/ldf/xmp/1.0/",
    "cc": "http://creativecommons.org/ns#",
    "ganchain": "urn:ganchain:1.0#",
}
_BEGIN, _END = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n', '\n<?xpacket end="w"?>'

_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"

Properties = dict[str, ET.Element]
List = Literal["Seq", "Bag", "Alt"]

for _prefix, _uri in NAMESPACES.items():
    ET.register_namespace(_prefix, _uri)


def name(qualified: str) -> str:
    """Expand ``dc:rights`` to ElementTree's form of it: ``{http://purl.org/dc/elements/1.1/}rights``."""
    prefix, _, local = qualified.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


def _names(prefix: str, names: str) -> set[str]:
    return {name(f"{prefix}:{local}") for local in names.split()}


# Schemas about authors, rights and content: all of their properties are kept, except those of _LEFT_OUT.
_KEPT_WHOLE = tuple(name(f"{prefix}:") for prefix in ("dc", "xmpRights", "Iptc4xmpCore", "Iptc4xmpExt", "plus", "cc"))
_KEPT_WHOLE += (name("ganchain:"), name("exif:GPS"))
# Properties that are true only of the file itself: its type, its identity, regions of its pixels.
_LEFT_OUT = _names("dc", "format identifier coverage") | _names("Iptc4xmpExt", "DigitalImageGUID ImageRegion")
# Other schemas also hold thumbnails, the history of edits and text of layers: only these properties are kept.
_KEPT = _names("xmp", "CreateDate CreatorTool Label Rating") | _names("exif", "UserComment")
_KEPT |= _names(
    "photoshop",
    "AuthorsPosition CaptionWriter Category City Country Credit DateCreated Headline Instructions Source State "
    "SupplementalCategories TransmissionReference Urgency",
)
_PLACES = (
    _names("photoshop", "City Country State")
    | _names("Iptc4xmpCore", "CountryCode Location")
    | _names("Iptc4xmpExt", "City CountryCode CountryName LocationCreated LocationShown ProvinceState Sublocation")
    | _names("Iptc4xmpExt", "WorldRegion")
)


def read(packet: bytes | str) -> Properties:
    """Read the properties of a packet by their names, the first of each name; none if it is not well-formed.

    A packet with a document type, which could define entities, is not accepted.
    """
    text = packet if isinstance(packet, str) else packet.decode("utf-8", "replace")
    text = text[text.find("<") : text.rfind(">") + 1]  # some software pads with zeros
    properties: Properties = {}
    if "<!DOCTYPE" in text:
        return properties
    with suppress(ET.ParseError, ValueError):
        for rdf in ET.fromstring(text).iter(name("rdf:RDF")):
            for description in rdf.findall(name("rdf:Description")):
                for property_ in _properties(description):
                    properties.setdefault(property_.tag, property_)
    return properties


def _properties(description: ET.Element) -> Iterable[ET.Element]:
    """Yield the properties of a description, written as attributes or as elements, all as elements."""
    for key, value in description.attrib.items():
        if key.startswith("{") and not key.startswith((name("rdf:"), "{http://www.w3.org/XML/1998/namespace}")):
            yield element(key, value)
    for child in description:
        if child.tag.startswith("{") and not child.tag.startswith(name("rdf:")) and _depth(child) <= DEPTH:
            child.tail = None
            yield child


def _depth(root: ET.Element) -> int:
    level, depth = [root], 0
    while level:
        level, depth = [child for parent in level for child in parent], depth + 1
    return depth


def element(key: str, value: str | Iterable[str], kind: List = "Seq") -> ET.Element:
    """Build a property from a text, or from a list: in order, without order, or of one text in several languages."""
    built = ET.Element(key)
    if isinstance(value, str):
        built.text = value
        return built
    items = ET.SubElement(built, name(f"rdf:{kind}"))
    for text in value:
        item = ET.SubElement(items, name("rdf:li"), {_LANGUAGE: "x-default"} if kind == "Alt" else {})
        item.text = text
    return built


def storable(text: str) -> str:
    """Leave out the characters that XML cannot hold."""
    return "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")


def texts(property_: ET.Element | None) -> list[str]:
    """List the texts of a property: the URI that it refers to, its own text, or those of its list."""
    if property_ is None:
        return []
    leaves = [(part.text or "").strip() for part in property_.iter() if not len(part)]
    return [text for text in [property_.get(name("rdf:resource"), ""), *leaves] if text]


def write(properties: Properties) -> bytes:
    """Write a packet of ``properties`` in their order, without those for which ``LIMIT`` leaves no room.

    Equal properties give equal bytes; no properties give b"".
    """
    root = ET.Element(name("x:xmpmeta"))
    description = ET.SubElement(ET.SubElement(root, name("rdf:RDF")), name("rdf:Description"), {name("rdf:about"): ""})
    room = LIMIT - len((_BEGIN + ET.tostring(root, "unicode") + _END).encode())
    for property_ in properties.values():
        if (size := _size(property_)) <= room:
            room -= size
            description.append(property_)
    return (_BEGIN + ET.tostring(root, "unicode") + _END).encode() if len(description) else b""


def _size(property_: ET.Element) -> int:
    return len(ET.tostring(property_, "unicode").encode())


def kept(packet: bytes | str) -> bytes:
    """Keep the properties that also hold for an edited copy: creator, rights, captions, keywords, place, rating.

    Left out are those that are true only of the file itself (type, size, identity, regions), those that EXIF holds,
    and those that may show the photo before the edit or how it was made (thumbnails, history, text of layers).
    The shortest come first, so that a very long caption cannot push out the rights.
    """
    properties = {key: property_ for key, property_ in read(packet).items() if _is_kept(key)}
    return write(dict(sorted(properties.items(), key=lambda item: (_size(item[1]), item[0]))))


def _is_kept(key: str) -> bool:
    return key in _KEPT or (key.startswith(_KEPT_WHOLE) and key not in _LEFT_OUT)


def added(packet: bytes, properties: Properties) -> bytes:
    """Add those ``properties`` that a packet does not have."""
    present = read(packet)
    missing = {key: value for key, value in properties.items() if key not in present}
    return write(present | missing) if missing else packet


def without_location(packet: bytes) -> bytes:
    """Remove coordinates and names of places from a packet."""
    gps = name("exif:GPS")
    properties = read(packet).items()
    return write({key: value for key, value in properties if key not in _PLACES and not key.startswith(gps)})
