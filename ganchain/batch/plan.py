"""Plan of a batch: which photos there are, what their outputs are called, and which of them are finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ganchain import chains, files
from ganchain.batch.journal import Journal
from ganchain.batch.options import Options
from ganchain.chains import Chain
from ganchain.chains.digest import chain_key, photo_key
from ganchain.errors import PhotoError
from ganchain.photos import images
from ganchain.photos.find import Globs, Inputs, Item, find
from ganchain.photos.protect import is_own
from ganchain.pipeline.names import Names
from ganchain.pipeline.outputs import names_of

READERS = 8  # threads that hash photos which may be finished
OnFound = Callable[[], object]


def _nothing() -> None: ...


@dataclass(frozen=True)
class Plan:
    """Plan of a batch.

    Attributes:
        inputs: the photos that were found; the items have their targets.
        key: the chain's digest, of ``chain_key``.
    """

    chain: Chain
    names: Names
    inputs: Inputs
    key: str

    @property
    def total(self) -> int:
        """Photos that the inputs name, repeated and unreadable ones included."""
        return len(self.inputs.items) + len(self.inputs.twice) + len(self.inputs.unreadable)


@dataclass(frozen=True)
class _Watched(Globs):
    """A filter that also says that it was asked about a path."""

    on_found: OnFound = _nothing

    def __call__(self, path: str) -> bool:
        self.on_found()
        return super().__call__(path)


def plan(
    chain: str | Path | Chain,
    inputs: Sequence[Path],
    out: Path,
    record: Journal,
    options: Options,
    on_found: OnFound = _nothing,
) -> Plan:
    """Find the photos and name their outputs.

    Args:
        on_found: called for each photo that was found.

    Raises:
        GanchainError: the chain, an input, a glob or the name is wrong, or there are no photos.
    """
    described = chain if isinstance(chain, Chain) else chains.load(chain)
    names = names_of(Path(described.source).stem, described.output, options.name)
    entries = record.entries.values()
    earlier_outputs = (out / path for entry in entries for path, _ in entry.outputs)
    photos = find(inputs, out, _Watched(options.include, options.exclude, on_found), earlier_outputs)
    if not (photos.items or photos.unreadable):
        chosen = " that the globs choose" if options.include or options.exclude else ""
        kinds = " ".join(sorted(images.SUFFIXES))
        raise PhotoError(f"no photos in {', '.join(map(str, inputs))}{chosen}; they end in {kinds}")
    photos.items = names.assign(photos.items, entries, _digest, out.absolute())
    weights = [ref for stage in described.stages for ref in stage.build().resolved().all_weights]
    return Plan(described, names, photos, chain_key(described, weights, options.name, options.engine))


def finished(planned: Plan, record: Journal, out: Path, *, redo: bool = False) -> Iterator[tuple[Item, bool]]:
    """Yield each item, and whether it needs nothing: an earlier batch has finished it, or the chain itself made it."""

    def done(item: Item) -> bool:
        if not item.named and is_own(item.source, planned.names.chain):
            return True
        if redo:
            return False
        entry = record.entry(planned.names.chain, item.target)
        if entry is None or entry.sha256 is None or not entry.done(out, photo_key(entry.sha256, planned.key)):
            return False
        return _digest(item.source) == entry.sha256

    readers = ThreadPoolExecutor(READERS)
    try:
        yield from zip(planned.inputs.items, readers.map(done, planned.inputs.items), strict=True)
    finally:
        readers.shutdown(cancel_futures=True)


def _digest(path: Path) -> str | None:
    """Compute the SHA-256 of a file; None where it cannot be read."""
    with suppress(OSError):
        return files.sha256(path)
    return None
