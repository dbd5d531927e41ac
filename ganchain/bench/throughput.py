"""Throughput of ``ganchain batch``: photos a second."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ganchain.batch.options import Options
from ganchain.batch.record import Record
from ganchain.batch.run import batch
from ganchain.batch.summary import Summary
from ganchain.bench.machine import Peak
from ganchain.errors import GanchainError

WARM = 2  # photos a worker that are not timed: networks are compiled and memory is taken


@dataclass(frozen=True)
class Throughput:
    """Throughput of a batch.

    Attributes:
        workers: processes asked for; None for the batch's own choice.
        photos: number of photos that were timed.
        photos_per_second: from when each worker had done ``WARM`` photos to the last one written.
        memory: peak of the resident memory of all processes in bytes; pages that they share count for each.
        engines: the engine of each stage.
    """

    workers: int | None
    photos: int
    photos_per_second: float
    memory: int
    engines: dict[str, str]


def throughput(
    chain: str | Path,
    photos: Sequence[Path],
    out: Path,
    *,
    workers: int | None = None,
    warm: int,
    engine: str = "auto",
    device: str = "auto",
) -> Throughput:
    """Run a batch over ``photos`` into the empty folder ``out``; the first ``warm`` photos are not timed.

    Raises:
        GanchainError: a photo failed, or there are not more than ``warm``.
    """
    times: list[float] = []
    records: list[Record] = []

    def note(record: Record, summary: Summary) -> None:
        times.append(time.perf_counter())
        records.append(record)

    with Peak.watched() as peak:
        batch(chain, photos, out, Options(workers=workers, engine=engine, device=device), note)
    for record in records:
        if record.status not in ("ok", "no_face"):
            raise GanchainError(f"{record.path or record.input}: {record.status}: {record.error}")
    if len(times) <= warm:
        raise GanchainError(f"{len(times)} photos are too few to be timed; more than {warm} are wanted")
    rate = (len(times) - warm) / (times[-1] - times[warm - 1])
    return Throughput(workers, len(times) - warm, rate, peak.bytes, records[-1].engines)


def repeated(photos: Sequence[Path], count: int, folder: Path) -> list[Path]:
    """Copy ``photos`` in turn into ``folder``, ``count`` of them."""
    copies = [folder / f"{number:04}-{photos[number % len(photos)].name}" for number in range(count)]
    for number, copy in enumerate(copies):
        shutil.copyfile(photos[number % len(photos)], copy)
    return copies


def chain_throughput(
    chain: str | Path, photos: Sequence[Path], *, workers: int, each: int, engine: str, device: str
) -> Throughput:
    """Measure ``workers`` processes, with ``each`` photos timed a worker, however many ``photos`` there are."""
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "in"
        inputs.mkdir()
        copies = repeated(photos, workers * (WARM + each), inputs)
        warm, out = workers * WARM, Path(folder) / "out"
        return throughput(chain, copies, out, workers=workers, warm=warm, engine=engine, device=device)
