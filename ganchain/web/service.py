"""The service behind the addresses of the API: the uploads and the queue."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import HTTPException

from ganchain import chains
from ganchain.errors import GanchainError
from ganchain.photos.images import Format
from ganchain.web import submitted
from ganchain.web.editor import Editor
from ganchain.web.jobs import Job, Queue
from ganchain.web.limits import Limits
from ganchain.web.live_seats import Live, Seats
from ganchain.web.reader import Full, full_disk
from ganchain.web.uploads import Busy, CleanedAway, Upload, Uploads, file_name
from ganchain.web.worker import Ending

log = logging.getLogger(__name__)
Parsed = TypeVar("Parsed")

SWEEP = 60.0  # seconds
FILES = 16  # most files that a chain may name
TAKING = 4  # photos that are received at once
RECENT = 60.0  # seconds in which a photo is not deleted for want of room, since its visitor is about to use it
GONE = "no such photo (any more)"
WORD = re.compile(r"[\w-]+")  # the name of a bundled chain, as opposed to YAML


@dataclass(frozen=True)
class Order:
    """A visitor's order for a job.

    Attributes:
        chain: the name of a bundled chain, or a chain in YAML or JSON.
        name: the name of a chain in YAML or JSON.
        upload: the photo.
        files: the uploads that the chain names, by their names in it.
        format: the format of the pictures, in place of the chain's.
    """

    chain: str
    name: str
    upload: Upload
    files: Mapping[str, Upload]
    format: Format | None = None


class Service:
    """The uploads and the queue, with the ids that visitors have as keys.

    Attributes:
        receiving: bytes of the requests whose bodies are arriving; they lie on the disk, too.
    """

    def __init__(self, limits: Limits, device: str, engine: str, live: Live | None = None) -> None:
        self.limits = limits
        self.uploads = Uploads(limits)
        self._editor = Editor(device, engine, self.drop_oldest)
        self.queue = Queue(limits, self._editor)
        self.seats = Seats(live or Live(), device, engine)
        self.receiving = 0
        self._taking, self._parsing = asyncio.Semaphore(TAKING), asyncio.Lock()
        self._ended = False

    def start(self) -> None:
        """Start the worker processes, so that they are ready for the first visitor."""
        self.uploads.start()
        self._editor.start()

    @property
    def idle(self) -> bool:
        """True while no job waits or runs, and nothing is being received."""
        return not self.queue.ahead() and not self.receiving

    def end(self) -> None:
        """End all that is running and tell its visitors so."""
        self._ended = True
        self.queue.end()
        self.uploads.end()
        self._editor.end()
        self.seats.end()

    def close(self) -> None:
        """End all, and delete all files."""
        self.end()
        self._editor.close()
        self.seats.close()
        self.queue.close()
        self.uploads.close()

    async def sweep(self) -> None:
        """Delete what nobody asks for, again and again."""
        while True:
            await asyncio.sleep(SWEEP)
            try:
                await run_in_threadpool(self.queue.sweep)
                await run_in_threadpool(self.uploads.sweep)
            except OSError as error:
                log.error("old photos could not be deleted", exc_info=error)

    def upload(self, key: object) -> Upload:
        upload = self.uploads.get(key) if isinstance(key, str) else None
        if upload is None:
            most, minutes = self.limits.photos, self.limits.kept / 60
            raise HTTPException(404, f"{GONE}: at most {most} are kept, each for {minutes:g} minutes; send it again")
        return upload

    def job(self, key: str) -> Job:
        job = self.queue.get(key)
        if job is None:
            raise HTTPException(404, "no such job; jobs are deleted after a while")
        return job

    async def take(self, name: str, content: BinaryIO) -> Upload:
        """Store a file from a visitor; only a few at once, so that threads stay free for other requests."""
        async with self._taking:
            return await run_in_threadpool(self._add, name, content)

    async def parsing(self, function: Callable[..., Parsed], *arguments: Any) -> Parsed:
        """Call a function that reads a chain; one at a time, so that the server keeps answering others."""
        async with self._parsing:
            if self._ended:
                raise Ending
            return await run_in_threadpool(function, *arguments)

    def _add(self, name: str, content: BinaryIO) -> Upload:
        self.make_room()
        while True:
            try:
                return self.uploads.add(name, content)
            except Full:
                if not self.drop_oldest():
                    raise
            content.seek(0)

    def make_room(self, extra: int = 0) -> None:
        """Delete the oldest results until there is room for ``extra`` bytes more.

        Raises:
            Busy: there is none within ``Limits.disk``.
            Full: there is none on the disk, or there can be no folder.
        """
        if isinstance(vanished := self.uploads.renewed(), Full):
            raise vanished
        while problem := self.want_of_room(extra):
            if not self.drop_oldest():
                raise problem

    def want_of_room(self, extra: int = 0) -> Busy | Full | None:
        """Say why there is no room for ``extra`` bytes more; None where there is."""
        if self.uploads.bytes + self.queue.bytes + self.receiving + extra > self.limits.disk:
            return Busy("there is no room left here; try again in some minutes")
        try:
            free = shutil.disk_usage(tempfile.gettempdir()).free
        except FileNotFoundError:
            return CleanedAway()
        except OSError:
            return None
        return Full() if free < 2 * extra else None  # as it is received, and as it is kept

    def drop_oldest(self) -> bool:
        """Delete the oldest result, or a photo that nobody uses; False if there is none."""
        if finished := self.queue.finished():
            self.queue.drop(finished[0].id)
            return True
        idle = [upload for upload in self.uploads.idle() if time.monotonic() - upload.used > RECENT]
        if idle:
            self.uploads.drop(idle[0].id)
        return bool(idle)

    def submit(self, order: Order) -> Job:
        """Add a job to the queue.

        Raises:
            ChainError: the chain is wrong, or has parts that are not allowed here.
            Busy: too many jobs wait, or there is no room for their results.
            Full: the disk is full.
        """
        if len(order.files) > FILES:
            raise GanchainError(f"a chain with more than {FILES} files is not taken here")
        self.make_room()

        def make(key: str) -> Job:
            folder = self.uploads.folder.make(key)
            try:
                for name, upload in order.files.items():
                    _put(upload.path, folder / file_name(name))
                name, text, bundled = order.name, order.chain, False
                if WORD.fullmatch(text.strip()):
                    name, text, bundled = text.strip(), submitted.text_of(text.strip()), True
                elif name in chains.bundled():  # the name of another chain
                    name = f"my-{name}"
                chain = submitted.parse(text, f"{name}.yaml", folder)
                text = submitted.tidied(text, order.format)
                if order.format:
                    output = chain.output.model_copy(update={"format": order.format})
                    chain, bundled = replace(chain, output=output), False
                return Job(key, name, chain, text, order.upload, folder, bundled)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise

        with full_disk():
            return self.queue.submit(make)

    def describe(self, job: Job) -> dict[str, Any]:
        """Describe a job, as the answer of ``GET /jobs/ID``."""
        answer: dict[str, Any] = {"id": job.id, "state": job.state, "chain": job.name, "photo": job.upload.name}
        if job.state == "waiting":
            answer["place"] = len(self.queue.ahead(job))
        elif job.state == "running":
            answer |= {"stage": job.stage, "step": job.step, "steps": job.steps}
        elif job.state == "done":
            base = f"/jobs/{job.id}"
            answer["report"] = job.report
            answer["pictures"] = [f"{base}/pictures/{number}" for number in range(len(job.pictures))]
            answer["previews"] = [
                {"shows": caption, "address": f"{base}/previews/{number}"}
                for number, (caption, _) in enumerate(job.previews)
            ]
            answer["yaml"] = f"{base}/chain"
            file = job.name if job.bundled else f"{job.name}.yaml"
            answer["command"] = f"ganchain run {shlex.quote(file)} {shlex.quote(_as_path(job.upload.name))}"
        elif job.error:
            answer["error"] = job.error
            answer |= {"problems": job.problems} if job.problems else {}
        return answer


def _as_path(name: str) -> str:
    return f"./{name}" if name.startswith("-") else name  # a leading "-" begins an option


def _put(source: Path, target: Path) -> None:
    """Link the file ``source`` under another name, or copy it if the file system has no links."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise HTTPException(404, GONE) from None  # deleted in the meantime
    except OSError:
        shutil.copyfile(source, target)
