"""Run of a batch: it plans, skips finished photos, runs the others and sums up."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import torch
from filelock import FileLock, Timeout

from ganchain import chains, files
from ganchain.batch import memory
from ganchain.batch.cluster import Cluster
from ganchain.batch.journal import MARK, Journal, Record
from ganchain.batch.loop import Loop, OnRecord
from ganchain.batch.options import Options
from ganchain.batch.pool import Pool
from ganchain.batch.summary import Summary
from ganchain.batch.worker import LOCK, Settings, Worker
from ganchain.chains import Chain
from ganchain.chains.digest import chain_key, photo_key
from ganchain.errors import PhotoError
from ganchain.photos import images
from ganchain.photos.find import Globs, Inputs, Item, find
from ganchain.photos.protect import is_own
from ganchain.pipeline.names import Names
from ganchain.pipeline.outputs import names_of
from ganchain.pipeline.pipeline import Pipeline

PART = re.compile(rf"\.{MARK}[0-9a-f]{{32}}\.part")
CUDA_WORKERS, CUDA_GROUP = 2, 8
READERS = 8  # threads that hash photos which may be finished


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


def plan(chain: str | Path | Chain, inputs: Sequence[Path], out: Path, record: Journal, options: Options) -> Plan:
    """Find the photos and name their outputs.

    Raises:
        GanchainError: the chain, an input, a glob or the name is wrong, or there are no photos.
    """
    described = chain if isinstance(chain, Chain) else chains.load(chain)
    names = names_of(Path(described.source).stem, described.output, options.name)
    entries = record.entries.values()
    earlier_outputs = (out / path for entry in entries for path, _ in entry.outputs)
    photos = find(inputs, out, Globs(options.include, options.exclude), earlier_outputs)
    if not (photos.items or photos.unreadable):
        chosen = " that the globs choose" if options.include or options.exclude else ""
        kinds = " ".join(sorted(images.SUFFIXES))
        raise PhotoError(f"no photos in {', '.join(map(str, inputs))}{chosen}; they end in {kinds}")
    photos.items = names.assign(photos.items, entries, _digest, out.absolute())
    weights = [ref for stage in described.stages for ref in stage.build().resolved().all_weights]
    return Plan(described, names, photos, chain_key(described, weights, options.name, options.engine))


def batch(
    chain: str | Path | Chain,
    inputs: Sequence[Path],
    out: Path,
    options: Options | None = None,
    on_record: OnRecord | None = None,
) -> Summary:
    """Run ``chain`` over all photos that ``inputs`` (files, folders) name, into the folder ``out``.

    Every photo ends as ok, no_face, skipped or failed. Photos that an earlier batch finished are skipped. SIGINT and
    SIGTERM end it cleanly when it runs in the main thread.

    Raises:
        GanchainError: nothing was begun: the chain, an input, an option or ``out`` is wrong.
    """
    options, start = options or Options(), time.perf_counter()
    record = Journal(out)
    planned = plan(chain, inputs, out, record, options)
    with _locked(out):
        if (current := Journal(out)).entries != record.entries:  # another batch has ended meanwhile
            record, planned = current, plan(chain, inputs, out, current, options)
        summary = Summary(out, record.path, planned.total, start=start, damaged=record.damaged)
        summary.passed = list(planned.inputs.passed.lines())
        loop = Loop(out, planned.names.chain, record, summary, on_record)
        with loop.signals.caught():
            try:
                with record:
                    loop.note_passed()
                    _run(planned, options, loop)
            finally:
                record.compact()
        summary.interrupted = loop.signals.count > 0
    summary.ended = time.perf_counter()
    return summary


@dataclass(frozen=True)
class _Resources:
    """Resources of a batch: the device, the number of workers, the threads of each, and the stages' engines."""

    device: torch.device
    workers: int
    threads: int
    engines: dict[str, str]


def _allocate(planned: Plan, options: Options, journal: Journal, photos: int) -> _Resources:
    """Decide on workers and threads, and choose the engines; an error of the chain is raised here, and once.

    What "auto" has chosen for the outputs that are there, it chooses for the others, too.
    """
    former = journal.engines(planned.names.chain, lambda photo: photo_key(photo, planned.key))
    engine = former or options.engine if options.engine == "auto" else options.engine
    pipeline = Pipeline.from_chain(
        planned.chain, device=options.device, engine=engine, license_policy=options.license_policy
    )
    device, cores = pipeline.device, _count_cores()
    workers = options.workers or (CUDA_WORKERS if device.type == "cuda" else memory.workers(cores))
    threads = max(1, cores // workers) if device.type == "cuda" else 1  # more threads could change a sum's last bits
    with _torch_threads(threads):  # engines are compared as they will run
        pipeline.prepare()
    return _Resources(device, min(workers, photos), threads, dict(pipeline.engines))


def _run(planned: Plan, options: Options, loop: Loop) -> None:
    """Do the photos that are not finished: all in the pool, then alone those that it put aside."""
    _remove_part_files(loop.out)
    for input_, original in planned.inputs.twice.items():
        loop.report(Record(input_, "", loop.chain, "skipped", "", error=f"the same file as {original}"))
    for folder, reason in planned.inputs.unreadable.items():
        loop.report(Record(folder, folder, loop.chain, "failed", "", error=reason))
    items = list(_unfinished(planned, options, loop))
    if not items or loop.stopping:
        return
    resources = _allocate(planned, options, loop.journal, len(items))
    settings = Settings(
        loop.out.absolute(),
        loop.chain,
        planned.key,
        str(resources.device),
        resources.engines,
        options.license_policy,
        threads=resources.threads,
        memory=memory.share(resources.workers),
        identity=options.identity,
        points=options.points,
        accept_damaged=options.accept_damaged,
        overwrite=options.overwrite,
        confined=resources.device.type == "cpu",  # CUDA reserves more than it uses
    )
    pool: Pool | Cluster
    if options.ray:
        pool = Cluster(planned.chain, settings, address=options.ray, threads=resources.threads, timeout=options.timeout)
    else:
        pool = Pool(resources.workers, Worker, (planned.chain, settings), options.timeout)
    loop.run(items, pool, CUDA_GROUP if resources.device.type == "cuda" else 1, None)
    if loop.aside and not loop.stopping:
        settings = replace(settings, memory=memory.share(1), alone=True)
        pool = Pool(1, Worker, (planned.chain, settings), options.timeout, ahead=1)
        loop.run(list(loop.aside), pool, 1, settings.memory)


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


def _unfinished(planned: Plan, options: Options, loop: Loop) -> Iterator[Item]:
    """Yield the items that no earlier batch has finished; the others are recorded as skipped."""
    for item, done in finished(planned, loop.journal, loop.out, redo=options.redo):
        if loop.stopping:
            return
        if done:
            loop.report(Record(item.input, str(item.source), loop.chain, "skipped", item.target))
        else:
            yield item


def _digest(path: Path) -> str | None:
    """Compute the SHA-256 of a file; None where it cannot be read."""
    with suppress(OSError):
        return files.sha256(path)
    return None


@contextmanager
def _torch_threads(number: int) -> Iterator[None]:
    """Have torch use so many threads within the block."""
    former = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(former)


def _count_cores() -> int:
    """Count the physical cores that this process may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or usable, usable))


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Lock the folder ``out``, which is made if need be; the system unlocks it however this process ends.

    Raises:
        PhotoError: another batch has locked it, or it cannot be written to.
    """
    lock = FileLock(out / LOCK)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise PhotoError("another batch is at work there", path=out) from None
    except OSError as error:
        raise PhotoError(f"cannot be written to: {error.strerror or error}", path=out) from error
    try:
        yield
    finally:
        lock.release()


def _remove_part_files(out: Path) -> None:
    """Remove the part files of a batch that was killed."""
    for folder, inner, names in os.walk(out):
        inner[:] = [name for name in inner if not (Path(folder) / name / LOCK).exists()]  # another batch's folder
        for name in names:
            if PART.fullmatch(name):
                with suppress(OSError):
                    (Path(folder) / name).unlink()
