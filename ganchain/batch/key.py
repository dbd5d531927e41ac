"""What an output depends on, as one SHA-256: the same key, the same output."""

from __future__ import annotations

from collections.abc import Iterable

from ganchain.batch.journal import combined
from ganchain.chains import Chain
from ganchain.photos.marks import chain_hash


def chain_key(chain: Chain, weights: Iterable[str], template: str) -> str:
    """The key of a chain: its hash, and the ``template`` of the outputs' names; ``weights`` as in ``chain_hash``."""
    return combined([chain_hash(chain, weights), template])


def photo_key(sha256: str, chain: str) -> str:
    """The key of the photo with content ``sha256`` in the chain with key ``chain``."""
    return combined([sha256, chain])
