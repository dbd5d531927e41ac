"""XMP packets: what is said of a photo, by whichever software, as properties that can be kept, removed and added.

RDF in XML as ISO 16684-1 describes it; the names are those of the IPTC Photo Metadata Standard and of the schemas of
Adobe, PLUS and Creative Commons.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from contextlib import suppress

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

Properties = dict[str, ET.Element]

for _prefix, _uri in NAMESPACES.items():
    ET.register_namespace(_prefix, _uri)


def name(qualified: str) -> str:
    """``dc:rights`` as ElementTree writes it: ``{http://purl.org/dc/elements/1.1/}rights``."""
    prefix, _, local = qualified.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


def _names(prefix: str, names: str) -> set[str]:
    return {name(f"{prefix}:{one}") for one in names.split()}


# Who made it, whose it is, what it shows; of these schemas everything but the second list.
_KEPT_WHOLE = tuple(name(f"{prefix}:") for prefix in ("dc", "xmpRights", "Iptc4xmpCore", "Iptc4xmpExt", "plus", "cc"))
_KEPT_WHOLE += (name("ganchain:"), name("exif:GPS"))
# What holds only for the file it came in: its type, its identity, places in its pixels.
_LEFT_OUT = _names("dc", "format identifier coverage") | _names("Iptc4xmpExt", "DigitalImageGUID ImageRegion")
# Of schemas that also hold thumbnails, the history of edits and text of layers, these alone.
_KEPT = _names("xmp", "CreateDate CreatorTool Label Rating") | _names(
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
    """The properties of a packet by their names, the first of each; none where it is not well-formed.

    A document type, and with it entities, is not accepted.
    """
    text = packet if isinstance(packet, str) else packet.decode("utf-8", "replace")
    text = text[text.find("<") : text.rfind(">") + 1]  # some software pads with zeros
    found: Properties = {}
    if "<!DOCTYPE" in text:
        return found
    with suppress(ET.ParseError, ValueError):
        for rdf in ET.fromstring(text).iter(name("rdf:RDF")):
            for description in rdf.findall(name("rdf:Description")):
                for one in _of(description):
                    found.setdefault(one.tag, one)
    return found


def _of(description: ET.Element) -> Iterable[ET.Element]:
    """Properties stand as attributes or as elements; both come as elements."""
    for key, value in description.attrib.items():
        if key.startswith("{") and not key.startswith((name("rdf:"), "{http://www.w3.org/XML/1998/namespace}")):
            yield of(key, value)
    for child in description:
        if child.tag.startswith("{") and not child.tag.startswith(name("rdf:")) and _depth(child) <= DEPTH:
            child.tail = None
            yield child


def _depth(element: ET.Element) -> int:
    level, depth = [element], 0
    while level:
        level, depth = [child for one in level for child in one], depth + 1
    return depth


def of(key: str, value: str | Iterable[str]) -> ET.Element:
    """A property: a text, or texts in their order."""
    element = ET.Element(key)
    if isinstance(value, str):
        element.text = value
        return element
    items = ET.SubElement(element, name("rdf:Seq"))
    for one in value:
        ET.SubElement(items, name("rdf:li")).text = one
    return element


def texts(element: ET.Element | None) -> list[str]:
    """The texts of a property: its own, of its list, or the URI that it refers to."""
    if element is None:
        return []
    found = [(one.text or "").strip() for one in element.iter() if not len(one)]
    return [one for one in [element.get(name("rdf:resource"), ""), *found] if one]


def written(properties: Properties) -> bytes:
    """The packet of ``properties``, b"" of none: as many of them, in their order, as ``LIMIT`` allows.

    Equal properties give equal bytes.
    """
    root = ET.Element(name("x:xmpmeta"))
    description = ET.SubElement(ET.SubElement(root, name("rdf:RDF")), name("rdf:Description"), {name("rdf:about"): ""})
    room = LIMIT - len((_BEGIN + ET.tostring(root, "unicode") + _END).encode())
    for one in properties.values():
        if (size := _size(one)) <= room:
            room -= size
            description.append(one)
    return (_BEGIN + ET.tostring(root, "unicode") + _END).encode() if len(description) else b""


def _size(element: ET.Element) -> int:
    return len(ET.tostring(element, "unicode").encode())


def kept(packet: bytes | str) -> bytes:
    """A packet of what goes along with a photo that is edited: creator, rights, captions, keywords, place, rating.

    Left out is what holds only for the file it came in (type, size, identity, regions), what EXIF says already, and
    what may show the photo as it was or tell how it was made (thumbnails, history of edits, text of layers).
    The shortest stand first, so that an endless caption costs nobody's rights their place.
    """
    found = {key: one for key, one in read(packet).items() if _goes_along(key)}
    return written(dict(sorted(found.items(), key=lambda item: (_size(item[1]), item[0]))))


def _goes_along(key: str) -> bool:
    return key in _KEPT or (key.startswith(_KEPT_WHOLE) and key not in _LEFT_OUT)


def without_location(packet: bytes) -> bytes:
    """The packet less coordinates and names of places."""
    gps = name("exif:GPS")
    found = read(packet)
    return written({key: one for key, one in found.items() if key not in _PLACES and not key.startswith(gps)})
