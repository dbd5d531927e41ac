"""The web application: the HTTP API, and the page that uses it. docs/web.md describes both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import HTTPException
from fastapi.responses import Response, StreamingResponse

from ganchain import chains
from ganchain._version import VERSION
from ganchain.engines import choice
from ganchain.engines.device import choose as choose_device
from ganchain.web import answers, archive, failures, forms, live, models, pages, reports, run, submitted, tidy, videos
from ganchain.web.failures import responses
from ganchain.web.guard import Guard
from ganchain.web.head import Head
from ganchain.web.limits import Limits
from ganchain.web.live_seats import Live
from ganchain.web.orders import Order
from ganchain.web.service import Service
from ganchain.web.upload import file_name

Key = Annotated[str, Path(description="The id.")]
Jobs = Annotated[list[str], Query(description="The ids of jobs that are done.", max_length=200)]
Number = Annotated[int, Path(description="From 0.")]


def app(
    limits: Limits | None = None,
    *,
    device: str = "auto",
    engine: str = "torch",
    hosts: Iterable[str] = (),
    live_settings: Live | None = None,
) -> Any:
    """Build the ASGI application.

    Args:
        limits: limits for visitors; None for the defaults.
        device, engine: as for ``Pipeline``.
        hosts: host names to answer to, besides this machine's own; "*" for any.
        live_settings: of live pages; None for the defaults. With its own chain no process waits for photos.

    Raises:
        ChainError, EngineError: there is no such device or engine here.
    """
    chosen = choose_device(device)
    if engine != "auto":
        choice.engine(engine, chosen)
    service = Service(limits or Limits(), device, engine, live_settings)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        if live_settings is None:
            service.start()
        sweeping = asyncio.create_task(service.sweep())
        yield
        sweeping.cancel()
        await run_in_threadpool(service.close)

    api = FastAPI(
        title="ganchain", version=VERSION, lifespan=life, docs_url=None, redoc_url=None, responses=responses()
    )
    api.state.service = service
    api.add_middleware(pages.Packed)
    api.add_middleware(Head)
    failures.handle(api, service)
    _facts(api, service)
    _photos(api, service)
    _jobs(api, service)
    _pictures(api, service)
    run.add(api, service)
    videos.add(api, service)
    live.add(api, service.seats)
    pages.add(api)
    return Guard(api, service, hosts)


def _facts(api: FastAPI, service: Service) -> None:
    @api.get("/chains", response_model=list[models.BundledChain])
    def chains_() -> Any:
        """List the bundled chains."""
        return submitted.bundled()

    @api.get("/stages", response_model=list[models.Stage])
    def stages() -> Any:
        """List the stages with their options, as JSON schema."""
        return submitted.stages()

    @api.get("/schema")
    def schema() -> dict[str, Any]:
        """Answer with the JSON schema of a chain."""
        return chains.schema()

    @api.post("/chain", responses=responses(408, 413, 422))
    async def chain(asked: models.NewChain) -> models.Tidied:
        """Write a chain, JSON or YAML, as readable YAML and as JSON; its options are not checked."""
        return models.Tidied(**await service.parsing(tidy.described, asked.chain))

    @api.get("/limits", response_model=models.Limits)
    def limits() -> Any:
        """List the limits for visitors."""
        return service.described_limits()

    @api.get("/health")
    def health() -> models.Health:
        """Say that the server works, and how much it has to do."""
        return models.Health(version=VERSION, waiting=sum(len(queue.ahead()) for queue in service.queues))


def _photos(api: FastAPI, service: Service) -> None:
    @api.post(
        "/photos",
        status_code=201,
        response_model=models.Photo,
        responses=responses(400, 408, 413, 422, 507),
        openapi_extra=forms.described(photo=forms.FILE),
    )
    async def photos(request: Request) -> Any:
        """Take a photo (multipart field ``photo``) and answer with its id, its size, and the faces in it."""
        async with request.form(max_files=2, max_fields=2) as form:
            photo = forms.file(form, "photo", known=["photo"])
            upload = await service.take(photo.filename or "photo", photo.file)
        return upload.answer()

    @api.get(
        "/photos/{key}/preview",
        response_class=Response,
        responses={**responses(404), **answers.described(*answers.SCREEN)},
    )
    def shown(key: Key) -> Response:
        """Answer with the photo as a picture for the screen, upright."""
        return answers.screen(service.upload(key).preview)

    @api.post(
        "/drafts",
        response_class=Response,
        responses={**responses(404, 408, 409, 413, 422, 507), **answers.described(*answers.SCREEN)},
    )
    async def draft(asked: models.NewDraft) -> Response:
        """Draw what a chain does to a photo, at the size of the screen and without its enlargements.

        The header ``Ganchain-Report`` holds `status`, as in a report, and `seconds`.
        """
        uploads = {file: service.upload(key) for file, key in (asked.files or {}).items()}
        order = Order(asked.chain, "chain", service.upload(asked.photo), uploads)
        return answers.draft(await service.draft(order, asked.side, asked.place))

    @api.delete("/photos/{key}", status_code=204)
    def drop(key: Key) -> None:
        """Delete a photo."""
        service.uploads.drop(key)


def _jobs(api: FastAPI, service: Service) -> None:
    @api.post(
        "/jobs",
        status_code=202,
        response_model=models.Job,
        response_model_exclude_unset=True,
        responses=responses(404, 408, 413, 422, 507),
    )
    async def jobs(asked: models.NewJob) -> Any:
        """Add a job to the queue: a chain (name, YAML or JSON), the id of a photo or a video, those of further files.

        Videos have a queue of their own.
        """
        if bool(asked.photo) == bool(asked.video):
            raise HTTPException(422, "photo: the id of a photo, or of a video in the field video, is needed")
        uploads = {file: service.upload(key) for file, key in (asked.files or {}).items()}
        upload = service.upload(asked.photo or asked.video, video=bool(asked.video))
        order = Order(asked.chain, file_name(asked.name), upload, uploads)
        return service.describe(await service.parsing(service.submit, order))

    @api.get("/jobs/{key}", response_model=models.Job, response_model_exclude_unset=True, responses=responses(404))
    def job(key: Key) -> Any:
        """Report the progress of a job; when it is done, its report and the addresses of its pictures."""
        return service.describe(service.job(key))

    @api.get(
        "/jobs/{key}/events",
        response_class=Response,
        responses={**responses(404), **answers.described("text/event-stream")},
    )
    def events(key: Key) -> Response:
        """Report the progress of a job as server-sent events, each as ``GET /jobs/ID``, until it has ended."""
        job = service.job(key)
        stream = reports.events(job, lambda: service.describe(job))
        return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    @api.delete("/jobs/{key}", status_code=204)
    def drop(key: Key) -> None:
        """Cancel a job and delete its pictures."""
        for queue in service.queues:
            queue.drop(key)


def _pictures(api: FastAPI, service: Service) -> None:
    @api.get(
        "/jobs/{key}/pictures/{number}",
        response_class=Response,
        responses={**responses(404, 422), **answers.described(*answers.TYPES.values())},
    )
    def picture(key: Key, number: Number) -> Response:
        """Answer with a picture as ``ganchain run`` writes it."""
        return answers.picture(answers.nth(service.job(key).pictures, number))

    @api.get(
        "/jobs/{key}/previews/{number}",
        response_class=Response,
        responses={**responses(404, 422), **answers.described(*answers.SCREEN)},
    )
    def shown(key: Key, number: Number) -> Response:
        """Answer with a picture for the screen: 0 is the photo itself, then follows one after each stage."""
        return answers.screen(answers.nth(service.job(key).previews, number)[1])

    @api.get(
        "/jobs/{key}/thumbnails/{number}",
        response_class=Response,
        responses={**responses(404, 422), **answers.described(*answers.SCREEN)},
    )
    def small(key: Key, number: Number) -> Response:
        """Answer with a small picture of a picture, where the chain writes faces."""
        return answers.screen(answers.nth(service.job(key).thumbnails, number))

    @api.get(
        "/pictures.zip",
        response_class=Response,
        responses={**responses(404, 422), **answers.described("application/zip")},
    )
    def pictures(job: Jobs) -> Response:
        """Answer with the pictures of several jobs as a zip."""
        headers = {"Content-Disposition": answers.attachment("pictures.zip"), "Cache-Control": "private, no-store"}
        jobs = [service.job(key) for key in job]
        return StreamingResponse(archive.stream(jobs), media_type="application/zip", headers=headers)

    @api.get(
        "/jobs/{key}/chain",
        response_class=Response,
        responses={**responses(404), **answers.described("application/yaml")},
    )
    def chain(key: Key) -> Response:
        """Answer with the chain as YAML."""
        job = service.job(key)
        headers = {"Content-Disposition": answers.attachment(f"{job.name}.yaml")}
        return Response(job.text, media_type="application/yaml", headers=headers)
