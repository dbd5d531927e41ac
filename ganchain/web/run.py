"""The address ``POST /run``: upload, job and answer in one request."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import HTTPException
from fastapi.responses import Response
from starlette.datastructures import UploadFile

from ganchain.web import answers, submitted
from ganchain.web.jobs import Job
from ganchain.web.service import Order, Service
from ganchain.web.uploads import Upload, file_name

INTERVAL = 0.5  # seconds between checks that the visitor is still connected


def add(api: FastAPI, service: Service) -> None:
    """Add the address to ``api``."""
    fields = {
        "chain": {"type": "string", "description": "name of a bundled chain, or YAML"},
        "photo": {"type": "string", "format": "binary"},
        "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
    }
    body = {"content": {"multipart/form-data": {"schema": {"type": "object", "properties": fields}}}}

    @api.post("/run", openapi_extra={"requestBody": body})
    async def run(request: Request) -> Response:
        """Run a photo through a chain, in one request.

        The answer is the picture, with the report in the header ``Ganchain-Report``; with ``Accept: application/json``
        the report alone, with links; with ``Accept: application/zip``, and where there are several pictures, all of
        them with report.json and chain.yaml.
        """
        async with request.form(max_files=16, max_fields=4, max_part_size=submitted.LONGEST * 4) as form:
            chain, photo = form.get("chain"), form.get("photo")
            name = "chain"
            if isinstance(chain, UploadFile):
                name = file_name(Path(chain.filename or "chain").stem)
                chain = (await chain.read(submitted.LONGEST * 4)).decode(errors="replace")
            if not isinstance(chain, str) or not isinstance(photo, UploadFile):
                raise HTTPException(422, "two fields are needed: chain (a name or YAML) and photo (a file)")
            files: dict[str, Upload] = {}
            for file in form.getlist("files"):
                if isinstance(file, UploadFile):
                    added = await service.take(file.filename or "file", file.file)
                    files[added.name] = added
            upload = await service.take(photo.filename or "photo", photo.file)
        job = await run_in_threadpool(service.submit, Order(chain, name, upload, files))
        if not await _wait(job, request):
            service.queue.drop(job.id)
            return Response(status_code=499)
        if job.state != "done":
            raise HTTPException(job.status, job.error or job.state)
        return await run_in_threadpool(answers.whole, job, service.describe(job), request.headers.get("accept", ""))


async def _wait(job: Job, request: Request) -> bool:
    """Wait for the job to end; return False if the visitor has closed the connection."""
    while not job.ended.done():
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(job.ended)), INTERVAL)
        if not job.ended.done() and await request.is_disconnected():
            return False
    return True
