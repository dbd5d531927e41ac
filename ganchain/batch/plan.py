"""Plan of a batch: which photos there are, what their outputs are called, and which of them are finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

from ganchain import chains, files
from ganchain.batch.journal import Journal
from ganchain.batch.options import Options
from ganchain.chains import Chain, Output
from ganchain.chains.digest import chain_key, photo_key
from ganchain.errors import PhotoError
from ganchain.photos import images
from ganchain.photos.find import Globs, Inputs, Item, find
from ganchain.photos.folders import is_photo
from ganchain.photos.moving import VIDEOS, is_animation, is_video
from ganchain.photos.protect import is_own
from ganchain.pipeline.names import Names
from ganchain.pipeline.outputs import names_of
from ganchain.video.coding import suffix_for
from ganchain.video.run import made_by, makes_clear

PYAV = "videos need PyAV: pip install 'ganchain[video]'"
READERS = 8  # threads that hash photos which may be finished
OnFound = Callable[[], object]


def _nothing() -> None: ...


@dataclass(frozen=True)
class Plan:
    """Plan of a batch.

    Attributes:
        inputs: the photos and videos that were found, the videos last; the items have their targets.
        key: the chain's digest, of ``chain_key``.
        notes: what else there is to know, as options that do not hold for videos.
    """

    chain: Chain
    names: Names
    inputs: Inputs
    key: str
    notes: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Photos that the inputs name, repeated and unreadable ones included."""
        return len(self.inputs.items) + len(self.inputs.twice) + len(self.inputs.unreadable)

    @property
    def has_videos(self) -> bool:
        """True if there are videos among the inputs."""
        return any(item.video for item in self.inputs.items)


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
    """Find the photos and the videos, and name their outputs.

    Without PyAV, videos in folders are passed over.

    Args:
        on_found: called for each of them that was found.

    Raises:
        GanchainError: the chain, an input, a glob or the name is wrong, or there are no photos.
    """
    described = chain if isinstance(chain, Chain) else chains.load(chain)
    names = names_of(Path(described.source).stem, described.output, options.name)
    entries = record.entries.values()
    earlier_outputs = (out / path for entry in entries for path, _ in entry.outputs)
    watched, can_read = _Watched(options.include, options.exclude, on_found), find_spec("av") is not None
    photos = find(inputs, out, watched, earlier_outputs, _is_taken if can_read else is_photo)
    if not (photos.items or photos.unreadable):
        chosen = " that the globs choose" if options.include or options.exclude else ""
        kinds = " ".join(sorted(images.SUFFIXES | VIDEOS if can_read else images.SUFFIXES))
        raise PhotoError(f"no photos in {', '.join(map(str, inputs))}{chosen}; they end in {kinds}")
    stages = [spec.build().resolved() for spec in described.stages]
    clear = makes_clear(stages)
    items = [_with_suffix(item, clear, can_read) for item in photos.items]
    photos.items = names.assign(items, entries, _digest, out.absolute())
    photos.items.sort(key=lambda item: bool(item.video))
    if not can_read and any(suffix in VIDEOS for suffix in photos.passed.suffixes):
        photos.passed.hint = PYAV
    key = chain_key(described, [ref for stage in stages for ref in stage.all_weights], options.name, options.engine)
    planned = Plan(described, names, photos, key)
    if planned.has_videos:
        planned.notes.extend(_unheeded(described.output, options))
    return planned


def _is_taken(path: Path) -> bool:
    return is_photo(path) or is_video(path)


def _with_suffix(item: Item, clear: bool, can_read: bool) -> Item:
    """Give a video, or a picture that moves, the suffix of its output; without PyAV, a video fails when it is read."""
    moves = is_video(item.source) or (can_read and is_animation(item.source))
    return replace(item, video=suffix_for(item.source, clear)[1:]) if moves else item


def _unheeded(output: Output, options: Options) -> Iterator[str]:
    """Name what was asked for and does not hold for videos."""
    asked = [f"--{name}" for name in ("points", "identity") if getattr(options, name)]
    asked += [f"output: {name}" for name in ("write", "format", "side") if name in output.model_fields_set]
    if asked:
        yield f"not for videos: {', '.join(asked)}"
    if options.ray:
        yield "videos are done on this machine, not on the cluster"


def finished(planned: Plan, record: Journal, out: Path, *, redo: bool = False) -> Iterator[tuple[Item, bool]]:
    """Yield each item, and whether it needs nothing: an earlier batch has finished it, or the chain itself made it."""

    def done(item: Item) -> bool:
        if not item.named and _is_own(item, planned.names.chain):
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


def _is_own(item: Item, chain: str) -> bool:
    return made_by(item.source, chain) if item.video else is_own(item.source, chain)


def _digest(path: Path) -> str | None:
    """Compute the SHA-256 of a file; None where it cannot be read."""
    with suppress(OSError):
        return files.sha256(path)
    return None
