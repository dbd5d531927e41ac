"""Middleware that checks each request before the application, and adds security headers to each answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATIENCE = 30.0  # seconds to wait for the next part of a request's body
OWN = ("localhost", "127.0.0.1", "::1")
HEADERS = [
    (b"content-security-policy", b"default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Guard:
    """Middleware that refuses three kinds of requests.

    - Requests whose Host header names another server: a web site could let a name of its own point to this machine,
      and so read the answers (DNS rebinding).
    - Requests from the pages of other sites (Origin).
    - Requests whose body has more than ``most`` bytes, whatever length they state.
    """

    def __init__(self, app: ASGIApp, most: int, hosts: Iterable[str] = ()) -> None:
        self.app, self.most = app, most
        self.hosts = {*OWN, *hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = _host(headers.get(b"host", "")), headers.get(b"origin")
        if "*" not in self.hosts and host not in self.hosts:
            await _refuse(
                send, 421, f"this server does not answer to the name {host!r}; ganchain serve --allow-host NAME"
            )
            return
        if origin is not None and origin.partition("://")[2] != headers.get(b"host"):
            await _refuse(send, 403, "requests from the pages of other sites are refused")
            return
        length = headers.get(b"content-length", "0")
        if length.isdigit() and int(length) > self.most:
            await _refuse(send, 413, self._too_large)
            return
        received, complete = 0, False

        async def receive_within_limits() -> Message:
            nonlocal received, complete
            try:
                message = await asyncio.wait_for(receive(), None if complete else PATIENCE)
            except TimeoutError:
                raise HTTPException(408, f"nothing was received for {PATIENCE:g} s") from None
            complete = not message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > self.most:
                raise HTTPException(413, self._too_large)
            return message

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *HEADERS]}
            await send(message)

        await self.app(scope, receive_within_limits, send_with_headers)

    @property
    def _too_large(self) -> str:
        return f"more than {self.most / 1e6:.0f} MB are not taken in one request"


def _host(header: str) -> str:
    """Read the name in a Host header, without port and brackets; "" for a header that is damaged."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


async def _refuse(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"error": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
