"""What the addresses of the API share: the uploads and the queue."""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import HTTPException

from ganchain import config
from ganchain.web import chains
from ganchain.web.jobs import Job, Queue
from ganchain.web.runner import Runner
from ganchain.web.uploads import Limits, Upload, Uploads, file_name

SWEEP = 60.0  # seconds
WORD = re.compile(r"[\w-]+")  # the name of a bundled chain, no YAML


@dataclass(frozen=True)
class Asked:
    """What a job is asked for.

    Attributes:
        chain: the name of a bundled chain, or a chain in YAML or JSON.
        name: what to call a chain of one's own.
        files: the uploads that the chain names, by their names in it.
    """

    chain: str
    name: str
    upload: Upload
    files: Mapping[str, Upload]


class Service:
    """The uploads and the queue, by the ids that visitors have."""

    def __init__(self, limits: Limits, device: str, engine: str) -> None:
        self.limits = limits
        self.uploads = Uploads(limits)
        self.queue = Queue(limits, Runner(device, engine))

    def close(self) -> None:
        self.queue.close()
        self.uploads.close()

    async def sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            await run_in_threadpool(self.queue.sweep)
            await run_in_threadpool(self.uploads.sweep)

    def upload(self, key: object) -> Upload:
        found = self.uploads.get(key) if isinstance(key, str) else None
        if found is None:
            raise HTTPException(404, "no such photo; photos are deleted after a while, send it again")
        return found

    def job(self, key: str) -> Job:
        job = self.queue.get(key)
        if job is None:
            raise HTTPException(404, "no such job; jobs are deleted after a while")
        return job

    def submit(self, asked: Asked) -> Job:
        def make(key: str) -> Job:
            folder = self.uploads.root / key
            folder.mkdir(mode=0o700)
            try:
                for name, upload in asked.files.items():
                    shutil.copyfile(upload.path, folder / file_name(name))
                name, text = asked.name, asked.chain
                if WORD.fullmatch(text.strip()):
                    name, text = text.strip(), chains.text_of(text.strip())
                elif name in config.bundled():  # which it is not
                    name = f"my-{name}"
                chain = chains.parse(text, f"{name}.yaml", folder)
                return Job(key, name, chain, chains.tidied(text), asked.upload, folder)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise

        return self.queue.submit(make)

    def described(self, job: Job) -> dict[str, Any]:
        """What ``GET /jobs/ID`` answers."""
        found: dict[str, Any] = {"id": job.id, "state": job.state, "chain": job.name, "photo": job.upload.name}
        if job.state == "waiting":
            found["place"] = len(self.queue.ahead(job))
        elif job.state == "running":
            found |= {"stage": job.stage, "step": job.step, "steps": job.steps}
        elif job.state == "done":
            base = f"/jobs/{job.id}"
            found["report"] = job.report
            found["pictures"] = [f"{base}/pictures/{number}" for number in range(len(job.pictures))]
            found["previews"] = [
                {"shows": shows, "address": f"{base}/previews/{number}"}
                for number, (shows, _) in enumerate(job.previews)
            ]
            found["yaml"] = f"{base}/chain"
            file = job.name if job.name in config.bundled() else f"{job.name}.yaml"
            found["command"] = f"ganchain run {shlex.quote(file)} {shlex.quote(job.upload.name)}"
        elif job.error:
            found["error"] = job.error
        return found
