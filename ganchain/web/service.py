"""The service behind the addresses of the API: the uploads and the queue."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import HTTPException

from ganchain import chains
from ganchain.errors import GanchainError
from ganchain.web import submitted
from ganchain.web.jobs import Job, Queue
from ganchain.web.limits import Limits
from ganchain.web.runner import Runner
from ganchain.web.uploads import Busy, Upload, Uploads, file_name

SWEEP = 60.0  # seconds
FILES = 16  # most files that a chain may name
TAKING = 4  # photos that are received at once
WORD = re.compile(r"[\w-]+")  # the name of a bundled chain, as opposed to YAML


@dataclass(frozen=True)
class Order:
    """A visitor's order for a job.

    Attributes:
        chain: the name of a bundled chain, or a chain in YAML or JSON.
        name: the name of a chain in YAML or JSON.
        upload: the photo.
        files: the uploads that the chain names, by their names in it.
    """

    chain: str
    name: str
    upload: Upload
    files: Mapping[str, Upload]


class Service:
    """The uploads and the queue, with the ids that visitors have as keys."""

    def __init__(self, limits: Limits, device: str, engine: str) -> None:
        self.limits = limits
        self.uploads = Uploads(limits)
        self.queue = Queue(limits, Runner(device, engine))
        self._taking = asyncio.Semaphore(TAKING)

    def close(self) -> None:
        self.queue.close()
        self.uploads.close()

    async def sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            await run_in_threadpool(self.queue.sweep)
            await run_in_threadpool(self.uploads.sweep)

    def upload(self, key: object) -> Upload:
        upload = self.uploads.get(key) if isinstance(key, str) else None
        if upload is None:
            raise HTTPException(404, "no such photo; photos are deleted after a while, send it again")
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

    def _add(self, name: str, content: BinaryIO) -> Upload:
        self._make_room()
        return self.uploads.add(name, content)

    def _make_room(self) -> None:
        """Delete the oldest results until ``Limits.disk`` is kept.

        Raises:
            Busy: none is left to delete.
        """
        while sum(path.stat().st_size for path in self.uploads.root.rglob("*") if path.is_file()) > self.limits.disk:
            if not (finished := self.queue.finished()):
                raise Busy("there is no room left here; try again in some minutes")
            self.queue.drop(finished[0].id)

    def submit(self, order: Order) -> Job:
        """Add a job to the queue.

        Raises:
            ChainError: the chain is wrong, or has parts that are not allowed here.
            Busy: too many jobs wait, or the disk is full.
        """
        if len(order.files) > FILES:
            raise GanchainError(f"a chain with more than {FILES} files is not taken here")
        self._make_room()

        def make(key: str) -> Job:
            folder = self.uploads.root / key
            folder.mkdir(mode=0o700)
            try:
                for name, upload in order.files.items():
                    _put(upload.path, folder / file_name(name))
                name, text, bundled = order.name, order.chain, False
                if WORD.fullmatch(text.strip()):
                    name, text, bundled = text.strip(), submitted.text_of(text.strip()), True
                elif name in chains.bundled():  # the name of another chain
                    name = f"my-{name}"
                chain = submitted.parse(text, f"{name}.yaml", folder)
                return Job(key, name, chain, submitted.tidied(text), order.upload, folder, bundled)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise

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
        return answer


def _as_path(name: str) -> str:
    return f"./{name}" if name.startswith("-") else name  # a leading "-" begins an option


def _put(source: Path, target: Path) -> None:
    """Link the file ``source`` under another name, or copy it if the file system has no links."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
