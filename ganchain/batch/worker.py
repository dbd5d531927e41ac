"""Worker of a batch: a pipeline that takes groups of photos from their files to their outputs."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from ganchain import files
from ganchain._version import VERSION
from ganchain.batch import memory
from ganchain.batch.feeder import kernels_in
from ganchain.batch.journal import MARK
from ganchain.batch.record import Record
from ganchain.batch.settings import LOCK, Settings
from ganchain.chains import Chain
from ganchain.chains.digest import photo_key
from ganchain.engines.probe import probe
from ganchain.engines.remote import Client
from ganchain.errors import PhotoError, text_of, traceback_of
from ganchain.faces.align import Aligner
from ganchain.faces.dlib_models import Embedder
from ganchain.framing import TIGHT
from ganchain.photos import images
from ganchain.photos.find import Item
from ganchain.photos.protect import Protection
from ganchain.pipeline.pipeline import Pipeline
from ganchain.pipeline.result import Result, Stopwatch
from ganchain.tensors import to_pixels

log = logging.getLogger(__name__)

EMBEDDING_SIDE = 150  # px
SLACK = 512 << 20  # bytes for memory that is reserved but not used, and for estimates that are too low


@dataclass(frozen=True)
class Large:
    """A photo that was not done, since it needs more memory than the worker may take; ``needs`` is in bytes."""

    item: Item
    needs: int


Outcome = Record | Large


@dataclass(frozen=True)
class _Job:
    """A photo to be done, readable as far as its header tells; it needs about ``needs`` bytes."""

    item: Item
    record: Record
    needs: int


class Worker:
    """Does groups of photos: ``worker(items)`` returns a record (or ``Large``) for each, in their order.

    An error of a photo or of the output folder is not raised; it stands in the record's ``error``.
    """

    def __init__(self, chain: Chain, settings: Settings) -> None:
        self.settings = settings
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
            cv2.setNumThreads(settings.threads)
        self.pipeline = Pipeline.from_chain(
            chain,
            device="cpu" if settings.feeder else settings.device,
            engine="torch" if settings.feeder else settings.engines,
            accept_damaged=settings.accept_damaged,
            license_policy=settings.license_policy,
        )
        self._client = Client(settings.feeder) if settings.feeder else None
        if self._client:
            self._client.take_over(kernels_in(self.pipeline))
        self.pipeline.prepare()
        self._warm_up()
        self._embed = Embedder() if settings.identity else None
        if settings.confined:
            memory.confine(settings.memory + SLACK)
        self._writers = ThreadPoolExecutor(max(1, min(4, settings.threads or 1)), "write")
        self._pending_writes = deque[tuple[Future[Outcome], int]]()  # with the bytes that each of them holds

    @torch.inference_mode()
    def _warm_up(self) -> None:
        """Run each stage once: the preparations for its first face shall not count as a photo's time."""
        for stage in self.pipeline.stages:
            if stage.scope == "face" and stage.side is not None:
                try:
                    face, read = probe(stage, self.pipeline.device)
                    stage(face, **read)
                except Exception as error:  # of a plug-in; the photos' records will say so
                    log.debug("stage %s failed in its trial run", stage.name, exc_info=error)

    def __call__(self, items: Sequence[Item]) -> list[Outcome]:
        return self.begin(items)()

    def begin(self, items: Sequence[Item]) -> Callable[[], list[Outcome]]:
        """Read and edit ``items`` now and write them in the background.

        Returns:
            A function that waits for the writing and returns the outcomes, in the order of ``items``.
        """
        inspected = [self._inspect(item) for item in items]
        jobs = [photo for photo in inspected if isinstance(photo, _Job)]
        futures: dict[Item, Future[Outcome]] = {}
        while jobs:
            group, room = [jobs.pop(0)], self.settings.memory
            room -= group[0].needs
            while jobs and jobs[0].needs <= room:
                room -= jobs[0].needs
                group.append(jobs.pop(0))
            futures.update(self._edit(group))
        outcomes = [futures[photo.item] if isinstance(photo, _Job) else photo for photo in inspected]
        return lambda: [outcome.result() if isinstance(outcome, Future) else outcome for outcome in outcomes]

    def _begun(self, item: Item) -> Record:
        """Begin the record of an item."""
        record = Record.of(item, self.settings.chain)
        engines = self.settings.engines
        record.engines = dict(engines if isinstance(engines, Mapping) else self.pipeline.engines)
        record.version = VERSION
        return record

    def _identify(self, record: Record, item: Item) -> None:
        """Fill in the digest of a file and the key of its output."""
        if not item.source.is_file():
            raise PhotoError("not a regular file" if item.source.exists() else "no such file")
        record.sha256 = files.sha256(item.source)
        record.key = photo_key(record.sha256, self.settings.key)

    def _inspect(self, item: Item) -> _Job | Outcome:
        """Check and measure a photo before it is read whole, and begin its record."""
        record = self._begun(item)
        try:
            self._identify(record, item)
            record.size = list(images.size(item.source))
            faces = not self.settings.alone  # alone it is the last try, and costs no other worker memory
            needs = memory.needed(record.size[0], record.size[1], self.pipeline.stages, faces=faces)
        except Exception as error:  # one bad photo must not cost the others
            return self._fail(record, error)
        return _Job(item, record, needs) if needs <= self.settings.memory else Large(item, needs)

    def _edit(self, group: Sequence[_Job]) -> dict[Item, Future[Outcome]]:
        """Edit photos side by side and begin to write them, once there is memory for them."""
        needs = sum(job.needs for job in group)
        pending = self._pending_writes
        while pending and (pending[0][0].done() or needs + sum(held for _, held in pending) > self.settings.memory):
            pending.popleft()[0].exception()  # waits for it
        futures = {}
        log.info("editing %s", ", ".join(job.item.input for job in group))
        try:
            results = self.pipeline.group([job.item.source for job in group])
        finally:
            if self._client:
                self._client.check()  # no fault of these photos: they are lost, and so tried once more
        for job in group:
            result = results.pop(0)
            distances = self._distances(job.item.source, result, self._embed) if self._embed else {}
            futures[job.item] = self._writers.submit(self._finish, job, result, distances)
            self._pending_writes.append((futures[job.item], job.needs))
        return futures

    def _finish(self, job: _Job, result: Result, distances: Mapping[int, float]) -> Outcome:
        """Write the outputs of a photo, and fill in the rest of its record."""
        record, watch, points = job.record, Stopwatch(), self.settings.points
        record.seconds = {name: round(seconds, 4) for name, seconds in result.seconds.items()}
        record.faces = [face.record(points=points) for face in result.faces]
        record.decided = result.decided
        for number, distance in distances.items():
            record.faces[number]["distance"] = distance
        try:
            if result.error is not None:
                raise result.error
            with watch("write"):
                record.outputs = self._write(job.item, result)
        except OSError as error:
            reason = f"cannot be written: {error.strerror or error}"
            return self._fail(record, PhotoError(reason, path=self.settings.out / job.item.target))
        except Exception as error:  # one bad photo must not cost the others
            if memory.ran_out(error) and not self.settings.alone:
                return Large(job.item, job.needs)
            return self._fail(record, error)
        record.status = result.status
        record.seconds |= {name: round(seconds, 4) for name, seconds in watch.seconds.items()}
        return record

    def _write(self, item: Item, result: Result) -> list[dict[str, Any]]:
        """Write the photo, the faces or both, as the chain says; return the record's ``outputs``."""
        protection = Protection(result.reads, self.settings.chain, overwrite=self.settings.overwrite or item.recorded)
        entries = []
        for path, photo in result.files(self.settings.out / item.target):
            self._check_folder()
            images.write(photo, path, part=MARK, permit=protection.permit)
            entries.append(self._output(path))
        return entries

    def _check_folder(self) -> None:
        """Refuse to write where the output folder was: it may be unmounted."""
        if not (self.settings.out / LOCK).exists():
            raise PhotoError(f"the output folder {self.settings.out} is gone")

    def _output(self, path: Path) -> dict[str, Any]:
        """Describe an output for the record."""
        name = path.relative_to(self.settings.out).as_posix()
        return {"path": name, **files.identity(path)}

    def _distances(self, source: Path, result: Result, embed: Embedder) -> dict[int, float]:
        """Measure how far each edited face's embedding has moved: the distance by the face's number."""
        if result.status != "ok" or result.photo is None:
            return {}
        before = images.read(source, accept_damaged=self.settings.accept_damaged).pixels
        after = result.photo.pixels
        factor, aligner = after.shape[1] // before.shape[1], Aligner(TIGHT)
        distances = {}
        for number, face in enumerate(result.faces):
            if face.left_out is None:
                chips = (
                    aligner.chip(before, face, EMBEDDING_SIDE),
                    aligner.chip(after, face.enlarged(factor), EMBEDDING_SIDE),
                )
                embedding_before, embedding_after = (embed(to_pixels(chip)[0]) for chip in chips)
                distances[number] = round(float(np.linalg.norm(embedding_before - embedding_after)), 4)
        return distances

    def _fail(self, record: Record, error: Exception) -> Record:
        """Fill in the record of a photo that failed."""
        record.status = "failed"
        if memory.ran_out(error):
            size = " x ".join(map(str, record.size or ()))
            record.error = f"not enough memory for its {size} px; {memory.CURE}"
        elif isinstance(error, OSError):
            record.error = f"cannot be read: {error.strerror or error}"
        else:
            record.error = text_of(error, beside=record.path)
            record.traceback = traceback_of(error) or None
        return record
