"""Middleware that checks each request before the application, and adds security headers to each answer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlsplit

from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ganchain.web.reader import Full
from ganchain.web.service import Service
from ganchain.web.uploads import Busy
from ganchain.web.worker import Ending

PATIENCE = 30.0  # seconds for a request's body to arrive, and 1 s more for each RATE bytes of it that are there
RATE = 10_000  # bytes; a body of 40 MB may take an hour
PAUSE = 60.0  # seconds; not even a body that began fast may then send nothing, or next to nothing, for longer
TICK = 0.5  # seconds between checks whether the server ends
LINGER = 2.0  # seconds for which the rest of a refused body is read; who cannot send it does not read the answer
SMALL = 1_000_000  # bytes of a body that is not of the kind that holds files
CHECKED = 1_000_000  # bytes after which it is checked again whether there is room
OWN = ("localhost", "127.0.0.1", "::1")
HEADERS = [
    (b"content-security-policy", b"default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Guard:
    """Middleware that refuses these kinds of requests.

    - Requests whose Host header names another server: a web site could let a name of its own point to this machine,
      and so read the answers (DNS rebinding).
    - Requests from the pages of other sites (Origin); that and the names hold for WebSockets, too.
    - Requests whose body has more bytes than ``Limits.upload`` (videos: ``Limits.video``), whatever length they state,
      or more than there is room for, or arrives too slowly.
    - All, once the server ends.
    """

    def __init__(self, app: ASGIApp, service: Service, hosts: Iterable[str] = ()) -> None:
        self.app, self.service = app, service
        self.hosts = {*OWN, *hosts}
        self.ending = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["type"] == "websocket":
            refusal = self._stranger(headers) or ((Ending.status, str(Ending())) if self.ending else None)
            await (_refuse_socket(send, *refusal) if refusal else self.app(scope, receive, send))
            return
        exchange = _Exchange(self, headers, receive, send, scope["path"])
        try:
            if refusal := await self._refusal(headers, exchange):
                await exchange.refuse(*refusal)
            else:
                await self.app(scope, exchange.receive, exchange.send)
        finally:
            self.service.receiving -= exchange.received

    async def _refusal(self, headers: dict[bytes, str], exchange: _Exchange) -> tuple[int, str] | None:
        """Return status and reason of a refusal before the body has arrived."""
        if refusal := self._stranger(headers):
            return refusal
        length = headers.get(b"content-length", "0")
        if not length.isdigit():
            return None
        if int(length) > exchange.most:
            return 413, exchange.too_large
        try:
            if int(length):
                await self.check_room(int(length))
        except (Busy, Full) as error:
            return error.status, str(error)
        return None

    def _stranger(self, headers: dict[bytes, str]) -> tuple[int, str] | None:
        """Return status and reason of a refusal for the name that was asked for, or the page that asks."""
        host, origin = _host(headers.get(b"host", "")), headers.get(b"origin")
        if "*" not in self.hosts and host not in self.hosts:
            return 421, f"this server does not answer to the name {host!r}; ganchain serve --allow-host NAME"
        if origin is not None and origin.partition("://")[2] != headers.get(b"host"):
            return 403, "requests from the pages of other sites are refused"
        return None

    async def check_room(self, extra: int = 0) -> None:
        """Make room for ``extra`` bytes more, if need be.

        Raises:
            Busy, Full: there is none.
        """
        if self.service.want_of_room(extra):
            await run_in_threadpool(self.service.make_room, extra)


class _Exchange:
    """A request and its answer, within the limits.

    Attributes:
        most: most bytes of the request's body.
        received: bytes of it that are there.
        complete: all of it is there.
    """

    def __init__(self, guard: Guard, headers: dict[bytes, str], receive: Receive, send: Send, path: str = "") -> None:
        self._guard, self._receive, self._send = guard, receive, send
        limits, has_files = guard.service.limits, headers.get(b"content-type", "").startswith("multipart/")
        with_files = limits.video if path == "/videos" else limits.upload
        self.most = with_files if has_files else min(SMALL, limits.upload)
        self.complete = not ({b"content-length", b"transfer-encoding"} & headers.keys())
        self._waits = b"expect" in headers  # sends its body only when it is told to
        self.received, self._late = 0, time.monotonic() + PATIENCE

    @property
    def too_large(self) -> str:
        """Reason of the refusal of a body."""
        return f"more than {self.most / 1e6:.0f} MB are not taken in one request"

    async def receive(self) -> Message:
        """Receive the next part of the request.

        Raises:
            HTTPException: it is too large or too slow, or the server ends.
            Busy, Full: there is no room for it.
        """
        if self.complete:
            return await self._receive()
        self._waits = False
        message = await self._next()
        self.complete = not message.get("more_body", False)
        former, more = self.received, len(message.get("body", b""))
        self.received += more
        self._guard.service.receiving += more
        self._late = min(self._late + more / RATE, time.monotonic() + PAUSE)
        if self.received > self.most:
            raise HTTPException(413, self.too_large)
        if former // CHECKED < self.received // CHECKED:
            await self._guard.check_room()
        return message

    async def _next(self) -> Message:
        while (left := self._late - time.monotonic()) > 0:
            if self._guard.ending:
                raise HTTPException(Ending.status, str(Ending()))
            with suppress(TimeoutError):
                return await asyncio.wait_for(self._receive(), min(left, TICK))
        raise HTTPException(408, f"it arrives too slowly: {RATE / 1000:g} kB a second are needed")

    async def send(self, message: Message) -> None:
        """Send a part of the answer; its last part when the request is read, so that the connection stays sound."""
        if message["type"] == "http.response.start":
            close = [] if self.complete else [(b"connection", b"close")]  # whatever else of the request may come
            message = {**message, "headers": [*message["headers"], *HEADERS, *close]}
        elif not message.get("more_body", False) and not self.complete and not self._waits:
            await self._send({**message, "more_body": True})
            await self._read_rest()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def _read_rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                while not self.complete:
                    message = await self._receive()
                    self.complete = not message.get("more_body", False)

    async def refuse(self, status: int, reason: str) -> None:
        """Answer without the application."""
        body = json.dumps({"error": reason}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


async def _refuse_socket(send: Send, status: int, reason: str) -> None:
    """Refuse a WebSocket by an answer of HTTP."""
    body = json.dumps({"error": reason}).encode()
    headers = [(b"content-type", b"application/json"), *HEADERS]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


def _host(header: str) -> str:
    """Read the name in a Host header, without port and brackets; "" for a header that is damaged."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""
