"""Drafts of what a chain does to a photo, for the screen: of those that a visitor asks for, the newest counts."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Hashable

from fastapi.concurrency import run_in_threadpool

from ganchain.errors import GanchainError
from ganchain.web.redraw import Draft, Drawn
from ganchain.web.uploads import Busy
from ganchain.web.warm import warm_redrawer
from ganchain.web.worker import Crashed, Ended, Worker

SECONDS = 20.0  # longest time of a draft
WAITING = 32  # drafts


class Superseded(GanchainError):
    """An error for a draft that is not drawn, since its visitor has asked for a newer one."""

    status = 409

    def __init__(self) -> None:
        super().__init__("a newer draft was asked for")


class Drafts(Worker):
    """A worker process that draws drafts, one at a time."""

    def __init__(self, device: str) -> None:
        super().__init__(warm_redrawer, (device,))
        self._drawing = asyncio.Lock()
        self._newest = Counter[Hashable]()
        self._waiting = 0

    async def draw(self, place: Hashable, draft: Draft) -> Drawn:
        """Draw a draft, once those before it are drawn.

        Args:
            place: what the visitor shows it in; a newer draft for the same place takes its turn.

        Raises:
            Superseded: a newer one was asked for before this one was begun.
            Busy: too many drafts wait.
            GanchainError: the chain cannot be run on the photo, or takes too long.
        """
        if self._waiting >= WAITING:
            raise Busy("too many pictures are being drawn; try again in a moment")
        self._newest[place] += 1
        self._waiting += 1
        number = self._newest[place]
        try:
            async with self._drawing:
                if self._newest[place] != number:
                    raise Superseded
                return await run_in_threadpool(self._draw, draft)
        finally:
            self._waiting -= 1
            if self._newest[place] == number:
                del self._newest[place]

    def _draw(self, draft: Draft) -> Drawn:
        self.prepare()
        late = time.monotonic() + SECONDS

        def tick(_: int) -> None:
            if time.monotonic() > late:
                raise Ended("takes too long to be shown at once; the full picture may take longer")

        try:
            drawn: Drawn = self.call(draft, tick)
        except Crashed as error:
            raise GanchainError(error.reason) from None
        return drawn
