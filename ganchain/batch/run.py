"""A batch: plan, skip what is done, run the rest, sum up."""

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
from ganchain.pipeline.names import Names
from ganchain.pipeline.outputs import names_of
from ganchain.pipeline.pipeline import Pipeline

PART = re.compile(rf"\.{MARK}[0-9a-f]{{32}}\.part")
CUDA_WORKERS, CUDA_GROUP = 2, 8
READERS = 8  # threads that hash what may be done already


@dataclass(frozen=True)
class Plan:
    """What a batch is to do.

    Attributes:
        inputs: what was found, its items with their targets.
        key: the chain's.
    """

    chain: Chain
    names: Names
    inputs: Inputs
    key: str

    @property
    def total(self) -> int:
        return len(self.inputs.items) + len(self.inputs.twice) + len(self.inputs.unreadable)


def plan(chain: str | Path | Chain, inputs: Sequence[Path], out: Path, record: Journal, options: Options) -> Plan:
    """Find the inputs, name the outputs.

    Raises:
        GanchainError: the chain, an input, a glob or the name is wrong, or there are no photos.
    """
    described = chain if isinstance(chain, Chain) else chains.load(chain)
    names = names_of(Path(described.source).stem, described.output, options.name)
    entries = record.entries.values()
    own = (out / path for entry in entries for path, _ in entry.outputs)
    found = find(inputs, out, Globs(options.include, options.exclude), own)
    if not (found.items or found.unreadable):
        chosen = " that the globs choose" if options.include or options.exclude else ""
        kinds = " ".join(sorted(images.SUFFIXES))
        raise PhotoError(f"no photos in {', '.join(map(str, inputs))}{chosen}; they end in {kinds}")
    found.items = names.assign(found.items, entries, _digest, out.absolute())
    weights = [ref for stage in described.stages for ref in stage.build().weights]
    return Plan(described, names, found, chain_key(described, weights, options.name))


def batch(
    chain: str | Path | Chain,
    inputs: Sequence[Path],
    out: Path,
    options: Options | None = None,
    on_record: OnRecord | None = None,
) -> Summary:
    """Run ``chain`` over all photos that ``inputs`` (files, folders) name, into the folder ``out``.

    Every photo ends as ok, no_face, skipped or failed. What an earlier batch finished is not done again. SIGINT and
    SIGTERM end it cleanly when it runs in the main thread.

    Raises:
        GanchainError: nothing was begun: the chain, an input, an option or ``out`` is wrong.
    """
    options, start = options or Options(), time.perf_counter()
    record = Journal(out)
    planned = plan(chain, inputs, out, record, options)
    with _taken(out):
        if (now := Journal(out)).entries != record.entries:  # another batch has ended meanwhile
            record, planned = now, plan(chain, inputs, out, now, options)
        summary = Summary(out, record.path, planned.total, start=start)
        loop = Loop(out, planned.names.chain, record, summary, on_record)
        with loop.signals.caught():
            try:
                with record:
                    _run(planned, options, loop)
            finally:
                record.compact()
        summary.interrupted = loop.signals.count > 0
    summary.ended = time.perf_counter()
    return summary


def _run(planned: Plan, options: Options, loop: Loop) -> None:
    _tidy(loop.out)
    for input_, same in planned.inputs.twice.items():
        loop.tell(Record(input_, "", loop.chain, "skipped", "", error=f"the same file as {same}"))
    for folder, reason in planned.inputs.unreadable.items():
        loop.tell(Record(folder, folder, loop.chain, "failed", "", error=reason))
    todo = list(_undone(planned, options, loop))
    if not todo or loop.stopping:
        return
    pipeline = Pipeline.from_chain(
        planned.chain, device=options.device, engine=options.engine, license_policy=options.license_policy
    )
    device, cores = pipeline.device.type, _cores()
    workers = options.workers or (CUDA_WORKERS if device == "cuda" else memory.workers(cores))
    threads = max(1, cores // workers) if device == "cuda" else 1  # of more threads the last bits of a sum would tell
    workers = min(workers, len(todo))
    with _threads(threads):  # engines are compared as they will run
        pipeline.prepare()  # says now, and once, what is wrong with the chain
    engines = dict(pipeline.engines)
    del pipeline
    settings = Settings(
        loop.out.absolute(),
        loop.chain,
        planned.key,
        device,
        engines,
        options.license_policy,
        threads=threads,
        memory=memory.share(workers),
        identity=options.identity,
        confined=device == "cpu",  # CUDA reserves more than it uses
    )
    pool: Pool | Cluster
    if options.ray:
        pool = Cluster(planned.chain, settings, address=options.ray, threads=threads, timeout=options.timeout)
    else:
        pool = Pool(workers, Worker, (planned.chain, settings), options.timeout)
    loop.run(todo, pool, CUDA_GROUP if device == "cuda" else 1, None)
    if loop.aside and not loop.stopping:
        settings = replace(settings, memory=memory.share(1), alone=True)
        pool = Pool(1, Worker, (planned.chain, settings), options.timeout, ahead=1)
        loop.run(list(loop.aside), pool, 1, settings.memory)


def finished(planned: Plan, record: Journal, out: Path) -> Iterator[tuple[Item, bool]]:
    """Each item, and whether an earlier batch has finished it."""

    def done(item: Item) -> bool:
        entry = record.entry(planned.names.chain, item.target)
        if entry is None or entry.sha256 is None or not entry.done(out, photo_key(entry.sha256, planned.key)):
            return False
        return _digest(item.source) == entry.sha256

    readers = ThreadPoolExecutor(READERS)
    try:
        yield from zip(planned.inputs.items, readers.map(done, planned.inputs.items), strict=True)
    finally:
        readers.shutdown(cancel_futures=True)


def _undone(planned: Plan, options: Options, loop: Loop) -> Iterator[Item]:
    if options.redo:
        yield from planned.inputs.items
        return
    for item, done in finished(planned, loop.journal, loop.out):
        if loop.stopping:
            return
        if done:
            loop.tell(Record(item.input, str(item.source), loop.chain, "skipped", item.target))
        else:
            yield item


def _digest(path: Path) -> str | None:
    with suppress(OSError):
        return files.sha256(path)
    return None


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _cores() -> int:
    """Physical cores that this process may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or usable, usable))


@contextmanager
def _taken(out: Path) -> Iterator[None]:
    """Hold the folder ``out``, made when it is not there; the system lets go of it however this process ends."""
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


def _tidy(out: Path) -> None:
    """Remove the part files of a batch that was killed."""
    for folder, inner, names in os.walk(out):
        inner[:] = [name for name in inner if not (Path(folder) / name / LOCK).exists()]  # another batch's folder
        for name in names:
            if PART.fullmatch(name):
                with suppress(OSError):
                    (Path(folder) / name).unlink()
