"""Live pages: frames over a WebSocket, each answered before the next is taken, and only the newest one.

A page sends text (JSON) and binary messages: first, and whenever it wants another, ``{"chain": NAME}``; then frames,
JPEG or WebP, or ``{"next": true}`` for the next frame of the server's own camera; and ``{"photo": true}`` for the last
frame as a PNG. The server answers ``{"ready": …}`` for a chain, ``{"frame": …}`` and the picture for a frame that it
edited, ``{"photo": NAME}`` and the picture for a photo, and ``{"error": "…"}`` before it closes.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from fastapi import FastAPI, WebSocket
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response
from starlette.websockets import WebSocketDisconnect

from ganchain.errors import GanchainError
from ganchain.web import live_frames
from ganchain.web.live_seats import Live, Seats
from ganchain.web.live_worker import Answer, Closing, Shown, Snapped
from ganchain.web.worker import Crashed, Ended, Worker

IDLE = 30.0  # seconds without a message after which a page is closed
LOADING, EDITING = 120.0, 20.0  # seconds that a chain may take to load, and a frame to be edited
LONGEST = 1000  # characters of a text message

Item = str | Shown | Snapped  # a chain's name, a frame, or the wish for a photo
ORDER = (str, Snapped, Shown)


def add(api: FastAPI, seats: Seats) -> None:
    """Add the addresses to ``api``."""

    @api.get("/live/settings", include_in_schema=False)
    def settings() -> dict[str, Any]:
        return seats.settings.described()

    @api.get("/live", include_in_schema=False)
    def page() -> Response:
        return RedirectResponse("/live.html")

    @api.websocket("/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        try:
            with seats.taken() as worker:
                await Visit(socket, worker, seats.settings).run()
        except GanchainError as error:
            with suppress(WebSocketDisconnect, RuntimeError):  # the page may be gone
                await socket.send_json({"error": str(error)})
                await socket.close(1008)


class Newest:
    """Place for the newest frame only, and for wishes: what was not taken yet gives way to the next of its kind.

    Attributes:
        dropped: how many frames gave way.
        gone: whether the page is.
    """

    def __init__(self) -> None:
        self.dropped, self.gone = 0, False
        self._items: dict[type, Item] = {}
        self._changed = asyncio.Event()

    def put(self, item: Item) -> None:
        """Take a frame, a chain's name, or the wish for a photo."""
        self.dropped += isinstance(item, Shown) and Shown in self._items
        self._items[type(item)] = item
        self._changed.set()

    def leave(self) -> None:
        """Note that the page is gone."""
        self.gone = True
        self._changed.set()

    async def take(self) -> Item | None:
        """Wait for the next item, chains first and frames last; None once the page is gone."""
        while not self.gone and not self._items:
            self._changed.clear()
            await self._changed.wait()
        if self.gone:
            return None
        return self._items.pop(next(kind for kind in ORDER if kind in self._items))


class Visit:
    """One live page, from its first message to its last.

    Args:
        socket: that of the page, accepted.
        worker: its process.
        settings: of all pages.
    """

    def __init__(self, socket: WebSocket, worker: Worker, settings: Live) -> None:
        self._socket, self._worker, self._settings = socket, worker, settings
        self._newest = Newest()
        self._chain = ""  # that the page asked for last
        self._received = 0

    async def run(self) -> None:
        """Answer until the page is gone.

        Raises:
            GanchainError: it asks for what there is not, sends something else than frames, or its process ended.
        """
        tasks = [asyncio.create_task(self._receive()), asyncio.create_task(self._answer())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._newest.leave()
            tasks[0].cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
                raise outcome

    async def _receive(self) -> None:
        """Put what the page sends where the newest is taken from, until the page is gone."""
        while (message := await self._socket.receive())["type"] != "websocket.disconnect":
            content = message.get("bytes")
            asked = {} if content is not None else _parsed(message)
            if isinstance(name := asked.get("chain"), str):
                self._chain = name
                self._newest.put(name)
            elif not self._chain:
                raise GanchainError('the first message must be {"chain": NAME}')
            elif asked.get("photo"):
                self._newest.put(Snapped())
            else:
                self._take(content)

    def _take(self, content: bytes | None) -> None:
        if (content is None) != bool(self._settings.camera):
            raise GanchainError("the camera is that of the server" if content else "a frame must be a binary message")
        if content is not None and (reason := live_frames.wrong(content)):
            raise GanchainError(reason)
        self._newest.put(Shown(self._received, content, time.monotonic()))
        self._received += 1

    async def _answer(self) -> None:
        """Answer what is taken, one after the other."""
        chain = ""
        try:
            while (item := await self._next()) is not None:
                if isinstance(item, str):
                    chain = item
                    opening = await run_in_threadpool(self._settings.opening, chain)
                    await self._call(opening, LOADING)
                    about = {"chain": chain, "camera": opening.camera, "side": opening.side, "rate": opening.rate}
                    await self._socket.send_json({"ready": about})
                elif isinstance(item, Shown):
                    began = time.monotonic()
                    answer = await self._call(item, EDITING)
                    await self._socket.send_json(self._facts(item, answer, began))
                    await self._socket.send_bytes(answer.content)
                elif (photo := await self._call(item, EDITING)) is not None:
                    await self._socket.send_json({"photo": f"{chain}.png"})
                    await self._socket.send_bytes(photo)
        finally:
            if self._settings.camera:
                with suppress(GanchainError):
                    await run_in_threadpool(self._worker.call, Closing(), lambda step: None)

    async def _next(self) -> Item | None:
        try:
            async with asyncio.timeout(IDLE):
                return await self._newest.take()
        except TimeoutError:
            raise GanchainError(f"nothing came for {IDLE:g} s") from None

    def _facts(self, frame: Shown, answer: Answer, began: float) -> dict[str, Any]:
        seconds = {"wait": began - frame.time, **answer.seconds, "all": time.monotonic() - frame.time}
        return {
            "frame": frame.number,
            "size": answer.size,
            "faces": answer.faces,
            "seconds": {name: round(value, 4) for name, value in seconds.items()},
            "dropped": self._newest.dropped,
            "failed": answer.failed,
            "side": answer.side,
            "slow": round(answer.slow, 3),
        }

    async def _call(self, item: object, seconds: float) -> Any:
        """Let the worker process do ``item``, unless that takes too long or the page goes."""
        late = time.monotonic() + seconds

        def tick(step: int) -> None:
            if self._newest.gone:
                raise Ended("the page is gone")
            if time.monotonic() > late:
                raise Ended(f"it took longer than {seconds:g} s")

        try:
            return await run_in_threadpool(self._worker.call, item, tick)
        except Crashed as error:
            raise GanchainError(f"the process of the chain failed: {error.reason}") from error


def _parsed(message: Mapping[str, Any]) -> dict[str, Any]:
    """Read a text message: a mapping in JSON.

    Raises:
        GanchainError: it is none.
    """
    text = message.get("text") or ""
    try:
        parsed = json.loads(text) if len(text) <= LONGEST else None
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise GanchainError("a text message must be a mapping in JSON")
    return parsed
