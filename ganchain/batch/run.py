"""Run of a batch: it plans, skips finished photos, runs the others and sums up."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from itertools import chain as joined
from itertools import groupby, islice
from pathlib import Path

from filelock import FileLock, Timeout

from ganchain.batch import memory
from ganchain.batch.cluster import Cluster
from ganchain.batch.feeder import FedPool
from ganchain.batch.journal import MARK, NAME, Journal
from ganchain.batch.loop import Loop, OnProgress, OnRecord
from ganchain.batch.options import Options
from ganchain.batch.plan import OnFound, Plan, finished, plan
from ganchain.batch.pool import Pool
from ganchain.batch.record import Record
from ganchain.batch.resources import Resources, allocate, count_cores
from ganchain.batch.settings import LOCK, Settings
from ganchain.batch.signals import Interrupted, Signals
from ganchain.batch.summary import Summary
from ganchain.batch.video_worker import VideoWorker
from ganchain.batch.worker import Worker
from ganchain.chains import Chain
from ganchain.errors import PhotoError
from ganchain.photos.find import Item

PART = re.compile(rf"\.{MARK}[0-9a-f]{{32}}\.part")
CUDA_GROUP = 8
UNTOLD = 60.0  # seconds beyond the time of a frame in which a video's worker need not tell how far it is


def batch(
    chain: str | Path | Chain,
    inputs: Sequence[Path],
    out: Path,
    options: Options | None = None,
    on_record: OnRecord | None = None,
    on_found: OnFound | None = None,
    signals: Signals | None = None,
    on_progress: OnProgress | None = None,
) -> Summary:
    """Run ``chain`` over all photos and videos that ``inputs`` (files, folders) name, into the folder ``out``.

    Every one ends as ok, no_face, skipped or failed. Photos that an earlier batch finished are skipped. SIGINT,
    SIGTERM and SIGHUP end it cleanly when it runs in the main thread.

    Args:
        on_found: called for each photo that was found.
        signals: those that were counted since the command began.
        on_progress: called with a video that is being done, and how far it is.

    Raises:
        GanchainError: nothing was begun: the chain, an input, an option or ``out`` is wrong.
    """
    options, signals = options or Options(), signals or Signals()
    summary = Summary(out, out / NAME)

    def found() -> None:
        signals.check()
        if on_found is not None:
            on_found()

    with signals.caught(), suppress(Interrupted):
        signals.check()
        record = Journal(out)
        planned = plan(chain, inputs, out, record, options, found)
        with _locked(out):
            if record.changed:  # another batch has ended meanwhile
                record = Journal(out)
                planned = plan(chain, inputs, out, record, options, found)
            summary.total, summary.has_videos, summary.damaged = planned.total, planned.has_videos, record.damaged
            summary.passed, summary.notes = list(planned.inputs.passed.lines()), planned.notes
            try:
                with record:
                    loop = Loop(out, planned.names.chain, record, summary, on_record, on_progress, signals)
                    loop.note_passed()
                    _run(planned, options, loop)
            finally:
                record.compact()
    summary.interrupted = signals.count > 0
    summary.ended = time.perf_counter()
    return summary


def _run(planned: Plan, options: Options, loop: Loop) -> None:
    """Do the photos that are not finished: all in the pool, then alone those that it put aside."""
    _remove_part_files(loop.out)
    for input_, original in planned.inputs.twice.items():
        loop.report(Record(input_, "", loop.chain, "skipped", "", error=f"the same file as {original}"))
    for folder, reason in planned.inputs.unreadable.items():
        loop.report(Record(folder, folder, loop.chain, "failed", "", error=reason))
    with closing(_unfinished(planned, options, loop)) as items:
        _do(items, planned, options, loop)


def _do(items: Iterator[Item], planned: Plan, options: Options, loop: Loop) -> None:
    """Do ``items``, which are looked up while the first ones are being done."""
    first = list(islice(items, options.workers or count_cores()))
    if not first or loop.stopping:
        return
    resources = allocate(planned, options, loop.journal, len(first))
    if loop.stopping:
        return
    settings = Settings(
        loop.out.absolute(),
        loop.chain,
        planned.key,
        str(resources.device),
        resources.engines,
        options.license_policy,
        threads=resources.photos.threads,
        memory=memory.share(resources.photos.number),
        identity=options.identity,
        points=options.points,
        accept_damaged=options.accept_damaged,
        overwrite=options.overwrite,
        redo=options.redo,
        timeout=options.timeout,
        confined=resources.device.type == "cpu",  # CUDA reserves more than it uses
    )
    for are_videos, group in groupby(joined(first, items), lambda item: bool(item.video)):
        if not loop.stopping:
            (_do_videos if are_videos else _do_photos)(group, planned, options, loop, resources, settings)


def _do_photos(
    items: Iterator[Item], planned: Plan, options: Options, loop: Loop, resources: Resources, settings: Settings
) -> None:
    """Do photos in groups, here or on a cluster."""
    (workers, threads), local = resources.photos, FedPool if resources.fed else Pool
    pool: Pool | Cluster
    if options.ray:
        pool = Cluster(planned.chain, settings, address=options.ray, threads=threads, timeout=options.timeout)
    else:
        pool = local(workers, Worker, (planned.chain, settings), options.timeout)
    loop.run(items, pool, CUDA_GROUP if resources.device.type == "cuda" and not resources.fed else 1, None)
    if loop.aside and not loop.stopping:
        settings = replace(settings, memory=memory.share(1), alone=True)
        pool = local(1, Worker, (planned.chain, settings), options.timeout, ahead=1)
        loop.run(loop.take_aside(), pool, 1, settings.memory)


def _do_videos(
    items: Iterator[Item], planned: Plan, options: Options, loop: Loop, resources: Resources, settings: Settings
) -> None:
    """Do videos, a process for each; at a signal they are stopped, since the next run goes on where they were."""

    def pool(workers: int, alone: bool) -> Pool:
        threads = resources.videos.threads
        shared = replace(settings, threads=threads, memory=memory.share(workers), alone=alone)
        made = Pool(workers, VideoWorker, (planned.chain, shared), options.timeout + UNTOLD, ahead=1)
        made.on_progress = loop.tell
        return made

    number = min(resources.videos.number, sum(bool(item.video) for item in planned.inputs.items))
    loop.run(items, pool(number, alone=False), 1, None, patience=1)
    if loop.aside and not loop.stopping:
        loop.run(loop.take_aside(), pool(1, alone=True), 1, memory.share(1), patience=1)


def _unfinished(planned: Plan, options: Options, loop: Loop) -> Generator[Item]:
    """Yield the items that no earlier batch has finished; the others are recorded as skipped."""
    for item, done in finished(planned, loop.journal, loop.out, redo=options.redo):
        if loop.stopping:
            return
        if done:
            loop.report(Record.of(item, loop.chain, "skipped"))
        else:
            yield item


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
