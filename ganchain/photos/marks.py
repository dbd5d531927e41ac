"""Marks: the record in a picture's XMP of how it was made.

The terms are those of the IPTC Photo Metadata Standard and of IPTC's vocabulary of digital source types.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from ganchain._version import VERSION
from ganchain.errors import plain
from ganchain.photos import xmp

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
EDITED, GENERATED = "compositeWithTrainedAlgorithmicMedia", "trainedAlgorithmicMedia"
MARKS = (EDITED, GENERATED, "compositeSynthetic")  # source types of pictures that a trained network took part in
_SOURCE_TYPE, _TOOL, _CHAIN, _HASH, _STAGES = map(
    xmp.name,
    ("Iptc4xmpExt:DigitalSourceType", "xmp:CreatorTool", "ganchain:chain", "ganchain:chainHash", "ganchain:stages"),
)

_SINGLE = (_CHAIN, _HASH, _TOOL, _SOURCE_TYPE)


@dataclass(frozen=True)
class Provenance:
    """The record of how a picture was made; a text is empty if the picture does not say.

    Attributes:
        stages: names of the stages that edited it, in order.
        chain: the chain's name.
        chain_hash: the hash by ``ganchain.chains.digest``; equal hashes mean equal edits.
        software: name and version.
        source_type: IPTC's digital source type, without the vocabulary's address.
    """

    stages: tuple[str, ...] = ()
    chain: str = ""
    chain_hash: str = ""
    software: str = f"ganchain {VERSION}"
    source_type: str = EDITED

    @classmethod
    def of(cls, packet: bytes | str) -> Provenance:
        """Read the record from an XMP packet of any software; that of a damaged packet is empty."""
        properties = xmp.read(packet)
        texts = {key: [plain(text) for text in xmp.texts(properties.get(key))] for key in (_STAGES, *_SINGLE)}
        chain, hash_, tool, source_type = (next(iter(texts[key]), "") for key in _SINGLE)
        return cls(tuple(texts[_STAGES]), chain, hash_, tool, source_type.rstrip("/").rpartition("/")[2])

    @property
    def marked(self) -> bool:
        """True if the record says that a trained network made or edited the picture."""
        return self.source_type in MARKS

    @property
    def own(self) -> bool:
        """True if the record is a mark that ganchain wrote."""
        return self.marked and bool(self.stages)

    @property
    def sheet(self) -> bool:
        """True if ganchain wrote it into a sheet of pictures, which no stage has edited."""
        return bool(self.chain) and not self.stages

    def xmp(self) -> bytes:
        """Write the mark as an XMP packet that holds nothing else."""
        return self.onto(b"")

    def onto(self, packet: bytes) -> bytes:
        """Add this mark to ``packet``, in place of the mark of an earlier edit, the tool and the source type.

        The source type of a picture that was generated as a whole stays the same.
        """
        properties = _without_camera(packet)
        generated = Provenance.of(packet).source_type == GENERATED
        mark: dict[str, str | Iterable[str]] = {
            _SOURCE_TYPE: SOURCE_TYPES + (GENERATED if generated else self.source_type),
            _TOOL: plain(self.software),
            _CHAIN: plain(self.chain),
            _HASH: self.chain_hash,
            _STAGES: [plain(stage) for stage in self.stages],
        }
        rest = {key: element for key, element in properties.items() if key not in mark}
        return xmp.write({key: xmp.element(key, value) for key, value in mark.items() if value} | rest)


def page_mark(chain: str) -> bytes:
    """Write the element of an HTML page that says that ganchain made it with this chain, as UTF-8."""
    return f'<meta name="generator" content="ganchain: {escape(plain(chain))}">'.encode()


def after(packet: bytes, mark: Provenance | None) -> bytes:
    """Update the packet of a picture that was edited: add ``mark``, or with None no mark."""
    return xmp.write(_without_camera(packet)) if mark is None else mark.onto(packet)


def _without_camera(packet: bytes) -> xmp.Properties:
    """Read the properties of a picture, without a source type that says that a camera took it as it is."""
    properties = xmp.read(packet)
    if not Provenance.of(packet).marked:
        properties.pop(_SOURCE_TYPE, None)
    return properties
