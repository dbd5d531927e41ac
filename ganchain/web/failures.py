"""Errors as the API answers them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from ganchain import files
from ganchain.errors import GanchainError, text_of
from ganchain.web import models
from ganchain.web.folder import cleaned_away
from ganchain.web.reader import Full
from ganchain.web.service import Service
from ganchain.web.uploads import CleanedAway

REASONS = {
    400: "The request is damaged.",
    403: "It came from the page of another site.",
    404: "There is no such photo, job or picture (any more).",
    408: "Nothing was sent for too long.",
    409: "A newer draft was asked for meanwhile.",
    413: "It is larger than is taken here.",
    421: "The server was asked for under a name that it does not answer to (ganchain serve --allow-host).",
    422: "The chain, the photo or a field is wrong, or the job failed.",
    500: "A bug of ganchain or of a stage; the server's log says more.",
    503: "Too many jobs or photos wait, files were cleaned away, or the server ends; try again later (Retry-After).",
    507: "The server's disk is full.",
}
ALWAYS = (403, 421, 500, 503)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe for OpenAPI the errors with which an address may answer, beside those with which any may."""
    reasons: dict[int | str, str] = {status: REASONS[status] for status in sorted({*ALWAYS, *statuses})}
    reasons["default"] = "Any other error."
    return {status: {"model": models.Error, "description": reason} for status, reason in reasons.items()}


def answer(
    status: int, reason: str, problems: Sequence[models.Problem] = (), headers: dict[str, str] | None = None
) -> Response:
    """Build the answer for an error."""
    content = models.Error(error=reason, problems=list(problems)).model_dump(exclude_defaults=True)
    return JSONResponse(content, status, {**({"Retry-After": "60"} if status == 503 else {}), **(headers or {})})


def handle(api: FastAPI, service: Service) -> None:
    """Make ``api`` answer all errors alike."""

    @api.exception_handler(GanchainError)
    async def refused(_: Request, error: GanchainError) -> Response:
        return answer(
            getattr(error, "status", 422), text_of(error), getattr(error, "problems", models.problems_of(error))
        )

    @api.exception_handler(OSError)
    async def not_stored(request: Request, error: OSError) -> Response:
        if files.is_full(error):
            await run_in_threadpool(service.drop_oldest)  # for the next request
            return await refused(request, Full())
        if problem := await run_in_threadpool(service.uploads.renewed):
            return await refused(request, problem)
        if cleaned_away(error):
            return await refused(request, CleanedAway())
        raise error

    @api.exception_handler(HTTPException)
    async def wrong(_: Request, error: HTTPException) -> Response:
        return answer(error.status_code, str(error.detail), headers=dict(error.headers or {}))

    @api.exception_handler(Exception)
    async def own(_: Request, error: Exception) -> Response:  # the server logs the error, too
        return answer(500, f"an error of ganchain's own: {type(error).__name__}")

    @api.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        problem = error.errors()[0]
        if problem["type"] == "json_invalid":
            return answer(422, "the body of the request is not JSON")
        return answer(422, f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}")
