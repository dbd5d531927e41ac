"""What was done to a picture, as it says so itself: the mark in its XMP.

The words are those of the IPTC Photo Metadata Standard and of IPTC's vocabulary of digital source types.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ganchain._version import VERSION
from ganchain.photos import xmp

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
EDITED, GENERATED = "compositeWithTrainedAlgorithmicMedia", "trainedAlgorithmicMedia"
SAYS_SO = (EDITED, GENERATED, "compositeSynthetic")  # source types that say that a trained network took part
_SOURCE_TYPE, _TOOL, _CHAIN, _HASH, _STAGES = map(
    xmp.name,
    ("Iptc4xmpExt:DigitalSourceType", "xmp:CreatorTool", "ganchain:chain", "ganchain:chainHash", "ganchain:stages"),
)

_SINGLE = (_CHAIN, _HASH, _TOOL, _SOURCE_TYPE)


@dataclass(frozen=True)
class Provenance:
    """What is known of a picture's making; texts are empty where nothing is said.

    Attributes:
        stages: names of the stages that edited it, in order.
        chain: the chain's name.
        chain_hash: of ``ganchain.chains.digest``: equal hashes, equal edits.
        software: name and version.
        source_type: IPTC's, without the vocabulary's address.
    """

    stages: tuple[str, ...] = ()
    chain: str = ""
    chain_hash: str = ""
    software: str = f"ganchain {VERSION}"
    source_type: str = EDITED

    @classmethod
    def of(cls, packet: bytes | str) -> Provenance:
        """What an XMP packet of any software says; one that is damaged says nothing."""
        found = xmp.read(packet)
        said = {key: [plain(one) for one in xmp.texts(found.get(key))] for key in (_STAGES, *_SINGLE)}
        chain, hash_, tool, source_type = (next(iter(said[key]), "") for key in _SINGLE)
        return cls(tuple(said[_STAGES]), chain, hash_, tool, source_type.rstrip("/").rpartition("/")[2])

    @property
    def marked(self) -> bool:
        """Whether it is said that a trained network made or edited the picture."""
        return self.source_type in SAYS_SO

    @property
    def own(self) -> bool:
        """Whether ganchain says so."""
        return self.marked and bool(self.stages)

    def xmp(self) -> bytes:
        """The mark as an XMP packet of its own."""
        return self.onto(b"")

    def onto(self, packet: bytes) -> bytes:
        """``packet`` with this mark; it replaces that of an earlier edit, and what was said of tool and source.

        A picture that was wholly generated stays so.
        """
        found = _still_true(packet)
        generated = Provenance.of(packet).source_type == GENERATED
        mark: dict[str, str | Iterable[str]] = {
            _SOURCE_TYPE: SOURCE_TYPES + (GENERATED if generated else self.source_type),
            _TOOL: plain(self.software),
            _CHAIN: plain(self.chain),
            _HASH: self.chain_hash,
            _STAGES: [plain(stage) for stage in self.stages],
        }
        others = {key: one for key, one in found.items() if key not in mark}
        return xmp.written({key: xmp.of(key, value) for key, value in mark.items() if value} | others)


def after(packet: bytes, mark: Provenance | None) -> bytes:
    """The packet of a picture that was edited: with ``mark``, or without one where none is wanted."""
    return xmp.written(_still_true(packet)) if mark is None else mark.onto(packet)


def _still_true(packet: bytes) -> xmp.Properties:
    """What is said of a picture, less that a camera took it so."""
    found = xmp.read(packet)
    if not Provenance.of(packet).marked:
        found.pop(_SOURCE_TYPE, None)
    return found


def plain(text: str) -> str:
    """Without what XML cannot hold, which names of files can, and what terminals obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
