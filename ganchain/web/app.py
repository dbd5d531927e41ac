"""The web application: the HTTP API, and the page that uses it. docs/web.md describes both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib import resources
from typing import Annotated, Any

from fastapi import Body, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import HTTPException, RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException as StarletteHTTPException

from ganchain import chains
from ganchain._version import VERSION
from ganchain.errors import GanchainError, text_of
from ganchain.web import answers, run, submitted
from ganchain.web.guard import Guard
from ganchain.web.limits import Limits
from ganchain.web.reader import Full, is_full
from ganchain.web.service import Order, Service
from ganchain.web.uploads import file_name

PAGE = {  # address: file, type; no other file is served
    "/": ("web/page/index.html", "text/html; charset=utf-8"),
    "/style.css": ("web/page/style.css", "text/css; charset=utf-8"),
    "/page.js": ("web/page/page.js", "text/javascript; charset=utf-8"),
    "/chain.js": ("web/page/chain.js", "text/javascript; charset=utf-8"),
    "/photos.js": ("web/page/photos.js", "text/javascript; charset=utf-8"),
    "/jobs.js": ("web/page/jobs.js", "text/javascript; charset=utf-8"),
    "/slider.js": ("sheets/slider.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("web/page/icon.svg", "image/svg+xml"),
}


def app(limits: Limits | None = None, *, device: str = "auto", engine: str = "torch", hosts: Iterable[str] = ()) -> Any:
    """Build the ASGI application.

    Args:
        limits: limits for visitors; None for the defaults.
        device, engine: as for ``Pipeline``.
        hosts: host names to answer to, besides this machine's own; "*" for any.
    """
    service = Service(limits or Limits(), device, engine)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        sweeping = asyncio.create_task(service.sweep())
        yield
        sweeping.cancel()
        await run_in_threadpool(service.close)

    api = FastAPI(title="ganchain", version=VERSION, lifespan=life, docs_url=None, redoc_url=None)
    api.state.service = service
    _pages(api)
    _photos(api, service)
    _jobs(api, service)
    run.add(api, service)

    @api.exception_handler(GanchainError)
    async def refused(_: Request, error: GanchainError) -> Response:
        status = getattr(error, "status", 422)
        headers = {"Retry-After": "60"} if status == 503 else None
        return JSONResponse({"error": text_of(error)}, status, headers)

    @api.exception_handler(OSError)
    async def full(request: Request, error: OSError) -> Response:
        if not is_full(error):
            raise error
        await run_in_threadpool(service.drop_oldest)  # for the next request
        return await refused(request, Full())

    @api.exception_handler(StarletteHTTPException)
    async def wrong(_: Request, error: StarletteHTTPException) -> Response:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    @api.exception_handler(Exception)
    async def own(_: Request, error: Exception) -> Response:  # the server logs the error, too
        return JSONResponse({"error": f"an error of ganchain's own: {type(error).__name__}"}, 500)

    @api.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        problem = error.errors()[0]
        return JSONResponse({"error": f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"}, 422)

    return Guard(api, service, hosts)


def _pages(api: FastAPI) -> None:
    for address, (file, kind) in PAGE.items():
        content = (resources.files("ganchain") / file).read_bytes()

        async def page(content: bytes = content, kind: str = kind) -> Response:
            return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})

        api.add_api_route(address, page, include_in_schema=False)

    @api.get("/chains")
    def chains_() -> list[dict[str, Any]]:
        """List the bundled chains."""
        return submitted.bundled()

    @api.get("/stages")
    def stages() -> list[dict[str, Any]]:
        """List the stages with their options, as JSON schema."""
        return submitted.stages()

    @api.get("/schema")
    def schema() -> dict[str, Any]:
        """Answer with the JSON schema of a chain."""
        return chains.schema()

    @api.post("/chain")
    def chain(chain: Annotated[str, Body(embed=True)]) -> dict[str, str]:
        """Write a chain, JSON or YAML, as readable YAML; its options are not checked."""
        return {"yaml": submitted.tidied(chain)}


def _photos(api: FastAPI, service: Service) -> None:
    fields = {"photo": {"type": "string", "format": "binary"}}
    body = {"content": {"multipart/form-data": {"schema": {"type": "object", "properties": fields}}}}

    @api.post("/photos", status_code=201, openapi_extra={"requestBody": body})
    async def photos(request: Request) -> dict[str, Any]:
        """Take a photo (multipart field ``photo``) and answer with its id, its size, and the faces in it."""
        async with request.form(max_files=1, max_fields=1) as form:
            photo = form.get("photo")
            if not isinstance(photo, UploadFile):
                raise HTTPException(422, "photo: a file is needed in this field")
            upload = await service.take(photo.filename or "photo", photo.file)
        return {"id": upload.id, "name": upload.name, "size": list(upload.size), "faces": upload.describe()}

    @api.get("/photos/{key}/preview")
    def shown(key: str) -> Response:
        """Answer with the photo as a JPEG for the screen, upright."""
        return answers.screen(service.upload(key).preview, "image/jpeg")

    @api.delete("/photos/{key}", status_code=204)
    def drop(key: str) -> None:
        """Delete a photo."""
        service.uploads.drop(key)


def _jobs(api: FastAPI, service: Service) -> None:
    @api.post("/jobs", status_code=202)
    def jobs(
        chain: Annotated[str, Body()],
        photo: Annotated[str, Body()],
        name: Annotated[str, Body()] = "chain",
        files: Annotated[dict[str, str] | None, Body()] = None,
    ) -> dict[str, Any]:
        """Add a job to the queue: a chain (name, YAML or JSON), a photo's id, the ids of files that the chain names."""
        uploads = {file: service.upload(key) for file, key in (files or {}).items()}
        return service.describe(service.submit(Order(chain, file_name(name), service.upload(photo), uploads)))

    @api.get("/jobs/{key}")
    def job(key: str) -> dict[str, Any]:
        """Report the progress of a job; when it is done, its report and the addresses of its pictures."""
        return service.describe(service.job(key))

    @api.delete("/jobs/{key}", status_code=204)
    def drop(key: str) -> None:
        """Cancel a job and delete its pictures."""
        service.queue.drop(key)

    @api.get("/jobs/{key}/pictures/{number}")
    def picture(key: str, number: int) -> Response:
        """Answer with a picture as ``ganchain run`` writes it."""
        return answers.picture(answers.nth(service.job(key).pictures, number))

    @api.get("/jobs/{key}/previews/{number}")
    def shown(key: str, number: int) -> Response:
        """Answer with a JPEG for the screen: 0 is the photo itself, then follows one after each stage."""
        return answers.screen(answers.nth(service.job(key).previews, number)[1], "image/jpeg")

    @api.get("/jobs/{key}/chain")
    def chain_(key: str) -> Response:
        """Answer with the chain as YAML."""
        job = service.job(key)
        headers = {"Content-Disposition": answers.attachment(f"{job.name}.yaml")}
        return Response(job.text, media_type="application/yaml", headers=headers)
