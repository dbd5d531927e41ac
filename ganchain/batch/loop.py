"""The parent's work while a batch runs: hand out groups, record what comes back, know when to stop."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType

from ganchain._version import VERSION
from ganchain.batch import memory
from ganchain.batch.cluster import Cluster
from ganchain.batch.journal import MARK, Journal, Record
from ganchain.batch.pool import Lost, Pool
from ganchain.batch.summary import Summary
from ganchain.batch.worker import LOCK, Outcome
from ganchain.errors import GanchainError
from ganchain.photos.find import Item

PULSE = 0.25  # seconds between looks at signals and time limits
PROBE = 1 << 20  # bytes that the output folder must still take for a batch to go on
OnRecord = Callable[[Record, Summary], None]


@dataclass
class Signals:
    """How many SIGINT and SIGTERM came: after one nothing more is begun, after two nothing waited for."""

    count: int = 0

    @contextmanager
    def caught(self) -> Iterator[None]:
        if current_thread() is not main_thread():  # Python lets only that one install handlers
            yield
            return
        former = {number: signal.signal(number, self._came) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _came(self, number: int, frame: FrameType | None) -> None:
        self.count += 1


@dataclass
class Loop:
    """Brings items through pools, and their records into the journal, the summary and to ``on_record``.

    Attributes:
        aside: photos to be done alone at the end: too large for a worker's share, or under suspicion of having
            killed their worker.
    """

    out: Path
    chain: str
    journal: Journal
    summary: Summary
    on_record: OnRecord | None = None
    signals: Signals = field(default_factory=Signals)
    aside: list[Item] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)

    @property
    def stopping(self) -> bool:
        return bool(self.signals.count or self.summary.stopped)

    def run(self, items: Iterable[Item], pool: Pool | Cluster, size: int, limit: int | None) -> None:
        """Do ``items`` in groups of ``size``.

        Args:
            limit: bytes that one photo may take at all when this is the last try; None when there will be another one.
        """
        rest = iter(items)
        exhausted = False
        with pool:
            while self.signals.count < 2:
                while pool.room and not (exhausted or self.stopping):
                    group = list(islice(rest, size))
                    exhausted = not group
                    if group:
                        pool.submit(group)
                if not pool.busy and (exhausted or self.stopping):
                    return
                try:
                    answers = pool.wait(PULSE)
                except GanchainError as error:
                    if self.summary.counts.total() == self.summary.counts["skipped"]:
                        raise  # nothing was begun
                    self.summary.stopped = str(error)
                    return
                for group, answer in answers:
                    self._take(group, answer, limit)

    def _take(self, group: Sequence[Item], answer: Sequence[Outcome] | Lost, limit: int | None) -> None:
        if isinstance(answer, Lost):
            for item in group:
                self.lost[item.input] += 1
                if limit is not None:
                    self.failed(item, answer.reason, answer.traceback)
                else:
                    self.aside.append(item)
            return
        for item, outcome in zip(group, answer, strict=True):
            if isinstance(outcome, Record):
                self.ended(outcome)
            elif limit is not None:
                needs, there = memory.text(outcome.needs), memory.text(limit)
                self.failed(item, f"needs about {needs} of memory, of which {there} can be had; {memory.CURE}")
            else:
                self.aside.append(item)

    def failed(self, item: Item, reason: str, traceback: str | None = None) -> None:
        record = Record(item.input, str(item.source), self.chain, "failed", item.target, error=reason, version=VERSION)
        record.traceback = traceback
        record.tries = 0 if self.lost[item.input] else 1  # those are counted
        self.ended(record)

    def ended(self, record: Record) -> None:
        """One photo has come to its end in this run."""
        former = self.journal.entry(record.chain, record.target)
        record.tries += self.lost[record.input]
        if former is not None and former.status == "failed":
            record.tries += former.tries
        problem = self.journal.append(record)
        self.summary.unrecorded = len(self.journal.pending)
        if record.status == "failed" or problem is not None:
            self.summary.stopped = self.summary.stopped or trouble(self.out)
        self.tell(record)

    def tell(self, record: Record) -> None:
        self.summary.counts[record.status] += 1
        if record.status == "failed":
            self.summary.failed[record.input] = record.error or "unknown"
        if self.on_record is not None:
            try:
                self.on_record(record, self.summary)
            except OSError:  # nobody listens any more (a closed pipe, a full disk): the record has it all
                self.on_record = None


def trouble(out: Path) -> str | None:
    """Why nothing more can be written to ``out``, or None."""
    probe = out / f".{MARK}{os.getpid():032x}.part"
    try:
        if not (out / LOCK).exists():
            return f"the output folder {out} is gone"
        with probe.open("wb") as file:
            file.write(bytes(PROBE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return f"nothing can be written to {out}: {error.strerror}"
    finally:
        with suppress(OSError):
            probe.unlink()
    return None
