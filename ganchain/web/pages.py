"""The files of the page, and the list of addresses."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from ganchain.web import reference


class _Page(StaticFiles):
    """The files of the page, for which a browser asks again each time; it gets them again if they have changed."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


class Packed(GZipMiddleware):
    """Middleware that compresses what the page asks for first: what stages and chains there are."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        packed = scope["type"] == "http" and scope["path"] in ("/stages", "/schema", "/chains")
        await (super().__call__ if packed else self.app)(scope, receive, send)


def add(api: FastAPI) -> None:
    """Add the addresses to ``api``."""

    @api.get("/docs", include_in_schema=False)
    def docs() -> Response:
        return HTMLResponse(reference.html(api.openapi()))

    # not a mount at "/", which would answer 404 to GET /run, where 405 is right
    api.router.default = GZipMiddleware(_Page(packages=[("ganchain", "web/page")], html=True))
