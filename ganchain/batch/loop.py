"""Loop of the parent process: it sends groups to workers, records their answers and decides when to stop."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from ganchain._version import VERSION
from ganchain.batch import memory
from ganchain.batch.cluster import Cluster
from ganchain.batch.journal import MARK, Journal
from ganchain.batch.pool import Pool
from ganchain.batch.process import Lost
from ganchain.batch.record import Record
from ganchain.batch.settings import LOCK
from ganchain.batch.signals import Signals
from ganchain.batch.summary import Summary
from ganchain.batch.worker import Outcome
from ganchain.errors import GanchainError
from ganchain.photos.find import Item

POLL_INTERVAL = 0.25  # seconds between checks of signals and time limits
PROBE_SIZE = 1 << 20  # bytes that must still fit in the output folder for a batch to go on
OnRecord = Callable[[Record, Summary], None]
OnProgress = Callable[[Item, Any], None]


@dataclass
class Loop:
    """Runs items in pools, and adds their records to the journal and the summary.

    Attributes:
        on_record: called with each record.
        on_progress: called with a video that is being done, and how far it is.
        aside: photos to be done alone at the end: too large for a worker's share of memory, or suspected of having
            killed their worker.
        lost: how often each input's worker was lost.
    """

    out: Path
    chain: str
    journal: Journal
    summary: Summary
    on_record: OnRecord | None = None
    on_progress: OnProgress | None = None
    signals: Signals = field(default_factory=Signals)
    aside: list[Item] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)

    @property
    def stopping(self) -> bool:
        """True if no more photos shall be begun."""
        return bool(self.signals.count or self.summary.stopped)

    def run(self, items: Iterable[Item], pool: Pool | Cluster, size: int, limit: int | None, patience: int = 2) -> None:
        """Do ``items`` in groups of ``size``.

        Args:
            limit: bytes that one photo may take, if this is the last try; None if there will be another one.
            patience: the signals after which running items are given up, too.

        Raises:
            GanchainError: the pool cannot work, and nothing was begun.
        """
        remaining = iter(items)
        exhausted = False
        with pool:
            while self.signals.count < patience:
                while pool.room and not (exhausted or self.stopping):
                    group = list(islice(remaining, size))
                    exhausted = not group
                    if group:
                        pool.submit(group)
                if not pool.busy and (exhausted or self.stopping):
                    return
                try:
                    answers = pool.wait(POLL_INTERVAL)
                except GanchainError as error:
                    if self.summary.counts.total() == self.summary.counts["skipped"]:
                        raise  # nothing was begun
                    self.summary.stopped = str(error)
                    return
                for group, answer in answers:
                    self._process(group, answer, limit)

    def _process(self, group: Sequence[Item], answer: Sequence[Outcome] | Lost, limit: int | None) -> None:
        """Record the outcomes of a group; photos that get another try go to ``aside``."""
        if isinstance(answer, Lost):
            for item in group:
                self.lost[item.input] += 1
                if limit is not None:
                    self.fail(item, answer.reason, answer.traceback)
                else:
                    self.aside.append(item)
            return
        for item, outcome in zip(group, answer, strict=True):
            if isinstance(outcome, Record):
                self.finish(outcome)
            elif limit is not None:
                needs, free = memory.text(outcome.needs), memory.text(limit)
                self.fail(item, f"needs about {needs} of memory, of which {free} can be had; {memory.CURE}")
            else:
                self.aside.append(item)

    def take_aside(self) -> list[Item]:
        """Return the items that were put aside, which are so no longer."""
        items, self.aside = self.aside, []
        return items

    def tell(self, group: Sequence[Item], reached: Any) -> None:
        """Hand on how far a video is."""
        if self.on_progress is not None:
            self.on_progress(group[0], reached)

    def fail(self, item: Item, reason: str, traceback: str | None = None) -> None:
        """Record that a photo failed, with the reason."""
        record = Record.of(item, self.chain)
        record.error, record.traceback, record.version = reason, traceback, VERSION
        record.tries = 0 if self.lost[item.input] else 1  # `finish` adds those that were lost
        self.finish(record)

    def finish(self, record: Record) -> None:
        """Record the outcome of one photo; stop the batch if nothing can be written any more."""
        former = self.journal.entry(record.chain, record.target)
        record.tries += self.lost[record.input]
        if former is not None and former.status == "failed":
            record.tries += former.tries
        problem = self.journal.append(record)
        self.summary.unrecorded = len(self.journal.pending)
        if record.status == "failed" or problem is not None:
            self.summary.stopped = self.summary.stopped or write_problem(self.out)
        self.report(record)

    def note_passed(self) -> None:
        """Record which files in the input folders were passed over, by their suffixes."""
        for line in self.summary.passed:
            name = self.journal.path.name  # as its output: no photo's output has this name
            self.journal.append(Record(".", "", self.chain, "skipped", name, error=line, version=VERSION))

    def report(self, record: Record) -> None:
        """Add a record to the summary and hand it to ``on_record``."""
        self.summary.counts[record.status] += 1
        if record.status == "failed":
            self.summary.failed[record.input] = record.error or "unknown"
        elif record.video is not None:
            self.summary.videos += 1
            self.summary.spoilt_frames += record.video["failed"]
        self.summary.notes += [f"{record.input}: {note}" for note in record.notes]
        if self.on_record is not None:
            try:
                self.on_record(record, self.summary)
            except OSError:  # a closed pipe or a full disk: the record has it all
                self.on_record = None


def write_problem(out: Path) -> str | None:
    """Say why nothing more can be written to ``out``; None when something can."""
    probe = out / f".{MARK}{os.getpid():032x}.part"
    try:
        if not (out / LOCK).exists():
            return f"the output folder {out} is gone"
        with probe.open("wb") as file:
            file.write(bytes(PROBE_SIZE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return f"nothing can be written to {out}: {error.strerror}"
    finally:
        with suppress(OSError):
            probe.unlink()
    return None
