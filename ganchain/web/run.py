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

from ganchain.web import answers, failures, forms, submitted
from ganchain.web.failures import responses
from ganchain.web.jobs import Job
from ganchain.web.orders import Order
from ganchain.web.service import Service
from ganchain.web.upload import Upload, file_name

FIELDS = ("chain", "photo", "files")
INTERVAL = 0.5  # seconds between checks that the visitor is still connected


def add(api: FastAPI, service: Service) -> None:
    """Add the address to ``api``."""

    @api.post(
        "/run",
        response_class=Response,
        responses={**responses(400, 408, 413, 422, 507), **answers.described(*answers.TYPES.values(), whole=True)},
        openapi_extra=forms.described(
            chain={"type": "string", "description": "The name of a bundled chain, or YAML; also as a file."},
            photo=forms.FILE,
            files={"type": "array", "items": forms.FILE, "default": [], "description": "Files that the chain names."},
        ),
    )
    async def run(request: Request) -> Response:
        """Run a photo through a chain, in one request.

        The answer is the picture, with the report in the header ``Ganchain-Report``; in the chain's format, or in that
        of ``Accept: image/jpeg`` (png, webp, tiff). With ``Accept: application/json`` it is the report alone, with
        links; with ``Accept: application/zip``, and where there are several pictures, all of them with report.json
        and chain.yaml.
        """
        async with request.form(max_files=16, max_fields=4, max_part_size=submitted.LONGEST * 4) as form:
            photo = forms.file(form, "photo", FIELDS)
            chain, name = forms.only(form, "chain", FIELDS), "chain"
            if isinstance(chain, UploadFile):
                name = file_name(Path(chain.filename or "chain").stem)
                chain = (await chain.read(submitted.LONGEST * 4)).decode(errors="replace")
            if chain is None:
                raise HTTPException(422, "chain: the name of a bundled chain, or YAML, is needed in this field")
            files: dict[str, Upload] = {}
            for file in form.getlist("files"):
                if not isinstance(file, UploadFile):
                    raise HTTPException(422, "files: files are needed in this field")
                if (named := file_name(file.filename or "file")) in files:
                    raise HTTPException(422, f"files: two of them are called {named}")
                files[named] = await service.take(named, file.file)
            upload = await service.take(photo.filename or "photo", photo.file)
        accept = answers.Accept.of(request.headers.get("accept", ""))
        job = await service.parsing(service.submit, Order(chain, name, upload, files, accept.format))
        if not await _wait(job, request):
            service.queue.drop(job.id)
            return Response(status_code=499)
        if job.state != "done":
            return failures.answer(job.status, job.error or job.state, job.problems)
        return await run_in_threadpool(answers.whole, job, service.describe(job), accept.kind)


async def _wait(job: Job, request: Request) -> bool:
    """Wait for the job to end; return False if the visitor has closed the connection."""
    while not job.ended.done():
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(job.ended)), INTERVAL)
        if not job.ended.done() and await request.is_disconnected():
            return False
    return True
