"""One worker: a pipeline that takes groups of photos from their files to their outputs."""

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
from ganchain.batch.journal import MARK, Record
from ganchain.chains import Chain, Output
from ganchain.chains.digest import photo_key
from ganchain.checkpoints.manifest import Policy
from ganchain.engines.choice import probe
from ganchain.errors import PhotoError, text_of, traceback_of
from ganchain.faces.align import Aligner
from ganchain.faces.dlib_models import Embedder
from ganchain.faces.face import Face
from ganchain.framing import TIGHT
from ganchain.photos import images
from ganchain.photos.find import Item
from ganchain.pipeline import outputs
from ganchain.pipeline.pipeline import Pipeline
from ganchain.pipeline.result import Result, Stopwatch
from ganchain.tensors import to_pixels

LOCK = ".ganchain-batch.lock"
log = logging.getLogger(__name__)

EMBEDDING_SIDE = 150  # px
SLACK = 512 << 20  # bytes: what is reserved and not used, and estimates that are too low


@dataclass(frozen=True)
class Settings:
    """What a worker needs to know beside its chain; it can be pickled.

    Attributes:
        out: the output folder.
        chain: the chain's name.
        key: the chain's, of ``chain_key``.
        engines: what ``Pipeline.engines`` said, or one engine's name.
        threads: for the networks; None leaves them as they are.
        memory: bytes that a group of photos may take; larger photos are put aside.
        identity: record the distance between the embeddings of a face before and after.
        confined: let this process take no more memory than that (and ``SLACK``).
        alone: no other worker is at work, and what does not fit now never will.
    """

    out: Path
    chain: str
    key: str
    device: str = "auto"
    engines: str | Mapping[str, str] = "torch"
    license_policy: Policy | None = None
    threads: int | None = None
    memory: int = 1 << 62
    identity: bool = False
    confined: bool = False
    alone: bool = False


@dataclass(frozen=True)
class Large:
    """A photo that was not done, since it needs more memory than the worker may take."""

    item: Item
    needs: int


Outcome = Record | Large


@dataclass(frozen=True)
class _Ready:
    """A photo that can be read, as far as its header tells."""

    item: Item
    record: Record
    needs: int


class Worker:
    """Does groups of photos: ``worker(items)`` gives a record (or ``Large``) for each, in their order.

    Never raises for what is wrong with a photo or the output folder; that is the record's ``error``.
    """

    def __init__(self, chain: Chain, settings: Settings) -> None:
        self.settings = settings
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
            cv2.setNumThreads(settings.threads)
        self.pipeline = Pipeline.from_chain(
            chain, device=settings.device, engine=settings.engines, license_policy=settings.license_policy
        )
        self.pipeline.prepare()
        self._warm_up()
        self._embed = Embedder() if settings.identity else None
        if settings.confined:
            memory.confine(settings.memory + SLACK)
        self._writers = ThreadPoolExecutor(max(1, min(4, settings.threads or 1)), "write")
        self._writing = deque[tuple[Future[Outcome], int]]()  # with the bytes that each still holds

    @torch.inference_mode()
    def _warm_up(self) -> None:
        """Run each stage once: what it makes for its first face shall not count as a photo's time."""
        for stage in self.pipeline.stages:
            if stage.scope == "face" and stage.side is not None:
                try:
                    stage(probe(stage).to(self.pipeline.device))
                except Exception as error:  # of a plug-in; the photos will say so
                    log.debug("stage %s failed in its trial run", stage.name, exc_info=error)

    def __call__(self, items: Sequence[Item]) -> list[Outcome]:
        return self.begin(items)()

    def begin(self, items: Sequence[Item]) -> Callable[[], list[Outcome]]:
        """Read and edit ``items`` now, write in the background; the answer, called, waits for that."""
        looked = [self._looked_at(item) for item in items]
        ready = [one for one in looked if isinstance(one, _Ready)]
        futures: dict[Item, Future[Outcome]] = {}
        while ready:
            group, room = [ready.pop(0)], self.settings.memory
            room -= group[0].needs
            while ready and ready[0].needs <= room:
                room -= ready[0].needs
                group.append(ready.pop(0))
            futures.update(self._edit(group))
        outcomes = [futures[one.item] if isinstance(one, _Ready) else one for one in looked]
        return lambda: [one.result() if isinstance(one, Future) else one for one in outcomes]

    def _looked_at(self, item: Item) -> _Ready | Outcome:
        record = Record(item.input, str(item.source), self.settings.chain, "failed", item.target)
        record.engines, record.version = dict(self.pipeline.engines), VERSION
        try:
            if not item.source.is_file():
                raise PhotoError("no such file")
            record.sha256 = files.sha256(item.source)
            record.key = photo_key(record.sha256, self.settings.key)
            record.size = list(images.size(item.source))
            faces = not self.settings.alone  # the last try, and nobody suffers from it
            needs = memory.needed(record.size[0], record.size[1], self.pipeline.stages, faces=faces)
        except Exception as error:  # one bad photo must not cost the others
            return self._failed(record, error)
        return _Ready(item, record, needs) if needs <= self.settings.memory else Large(item, needs)

    def _edit(self, group: Sequence[_Ready]) -> dict[Item, Future[Outcome]]:
        needs = sum(one.needs for one in group)
        while self._writing and needs + sum(held for _, held in self._writing) > self.settings.memory:
            self._writing.popleft()[0].exception()  # waits for it
        futures = {}
        results = self.pipeline.group([one.item.source for one in group])
        for one in group:
            result = results.pop(0)
            distances = self._distances(one.item.source, result, self._embed) if self._embed else {}
            futures[one.item] = self._writers.submit(self._ended, one, result, distances)
            self._writing.append((futures[one.item], one.needs))
        return futures

    def _ended(self, one: _Ready, result: Result, distances: Mapping[int, float]) -> Outcome:
        """Write what came of a photo, and the rest of its record."""
        record, watch = one.record, Stopwatch()
        record.seconds = {name: round(seconds, 4) for name, seconds in result.seconds.items()}
        record.faces = [_described(face, distances.get(number)) for number, face in enumerate(result.faces)]
        try:
            if result.error is not None:
                raise result.error
            with watch("write"):
                record.outputs = self._written(one.item, result)
        except Exception as error:  # one bad photo must not cost the others
            if memory.ran_out(error) and not self.settings.alone:
                return Large(one.item, one.needs)
            return self._failed(record, error)
        record.status = result.status
        record.seconds |= {name: round(seconds, 4) for name, seconds in watch.seconds.items()}
        return record

    def _written(self, item: Item, result: Result) -> list[dict[str, Any]]:
        """Write the photo, the faces or both, as the chain says."""
        output = self.pipeline.output or Output()
        written = []
        for path, photo in outputs.pictures(result, output, self.settings.out / item.target):
            if not (self.settings.out / LOCK).exists():  # unmounted, say: nothing must be written in its place
                raise PhotoError(f"the output folder {self.settings.out} is gone")
            if path.exists() and path.samefile(item.source):
                raise PhotoError("would overwrite the photo itself", path=path)
            images.write(photo, path, keep_location=output.location == "keep", part=MARK)
            name = path.relative_to(self.settings.out).as_posix()
            written.append({"path": name, "bytes": path.stat().st_size, "sha256": files.sha256(path)})
        return written

    def _distances(self, source: Path, result: Result, embed: Embedder) -> dict[int, float]:
        """Of each edited face, by its number, how far its embedding has moved."""
        if result.status != "ok" or result.photo is None:
            return {}
        before = images.read(source).pixels
        after = result.photo.pixels
        factor, aligner = after.shape[1] // before.shape[1], Aligner(TIGHT)
        distances = {}
        for number, face in enumerate(result.faces):
            if face.left_out is None:
                chips = (
                    aligner.chip(before, face, EMBEDDING_SIDE),
                    aligner.chip(after, face.enlarged(factor), EMBEDDING_SIDE),
                )
                one, other = (embed(to_pixels(chip)[0]) for chip in chips)
                distances[number] = round(float(np.linalg.norm(one - other)), 4)
        return distances

    def _failed(self, record: Record, error: Exception) -> Record:
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


def _described(face: Face, distance: float | None) -> dict[str, Any]:
    described: dict[str, Any] = {
        "box": [round(edge, 1) for edge in face.box],
        "score": round(face.score, 3),
        "landmarks": face.landmarks.round(1).tolist(),
        "left_out": face.left_out,
    }
    return described if distance is None else {**described, "distance": distance}
