"""Seats for live pages: each has a worker process of its own, so that no page waits for another's frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ganchain import chains
from ganchain.chains import Chain
from ganchain.web import submitted
from ganchain.web.live_worker import Opening, live_work
from ganchain.web.uploads import Busy
from ganchain.web.worker import Worker

PAGES = 2  # live at once: each takes about a core and half a gigabyte
FIRST = "retouch"  # the bundled chain that a page begins with


@dataclass(frozen=True)
class Live:
    """Settings of live pages.

    Attributes:
        chain: the chain that the server was started with; None for the bundled ones alone.
        camera: the server's own camera: a webcam's number or a video file; "" for that of the browser.
        rate: frames a second that the working size is adapted to.
        side: px: the longest side of a frame.
        steady: how still edits are held, 0..1.
    """

    chain: Chain | None = None
    camera: str = ""
    rate: float = 10.0
    side: int = 640
    steady: float = 0.8

    @property
    def name(self) -> str:
        """Name of the chain that a page begins with."""
        return FIRST if self.chain is None else Path(self.chain.source).stem

    def opening(self, name: str) -> Opening:
        """Make what a worker process needs for a page with the chain ``name``.

        Raises:
            ChainError: there is no such chain.
        """
        own = self.chain is not None and name == self.name
        chain = self.chain if own and self.chain is not None else bundled(name)
        return Opening(chain, self.camera, self.rate, self.side, self.steady)

    def described(self) -> dict[str, Any]:
        """Describe what a live page can ask for."""
        names = [self.name, *(name for name in chains.bundled() if name != self.name)]
        listed = [name for name in names if not enlarges(self.opening(name).chain)]
        return {"chain": self.name, "chains": listed, "camera": self.camera, "side": self.side, "rate": self.rate}


@cache
def bundled(name: str) -> Chain:
    """Read a bundled chain; a file in the server's current folder is never read."""
    return chains.parse(submitted.text_of(name), f"{name}.yaml", Path())


def enlarges(chain: Chain) -> bool:
    """Say whether a chain enlarges frames, without loading its networks."""
    return any(
        getattr(spec.cls, "effect", "") == "enlarge" and spec.options.get("scope") != "face" for spec in chain.stages
    )


class Seats:
    """Worker processes of live pages; one that a page has left stays ready for the next.

    Args:
        settings: of all pages.
        device, engine: as for ``Pipeline``.
    """

    def __init__(self, settings: Live, device: str, engine: str) -> None:
        self.settings = settings
        self._make: Callable[[], Worker] = lambda: Worker(live_work, (device, engine))
        self._all: list[Worker] = []
        self._free: list[Worker] = []

    def prepare(self, tick: Callable[[int], None]) -> None:
        """Start a process, load the chain of the server in it, and look at its camera.

        Args:
            tick: as for ``Worker.call``.

        Raises:
            GanchainError: the chain or the camera cannot be used.
        """
        with self.taken() as worker:
            worker.call(self.settings.opening(self.settings.name), tick)

    @contextmanager
    def taken(self) -> Iterator[Worker]:
        """Give a page its process, and take it back in the end.

        Raises:
            Busy: PAGES are live already.
        """
        if not self._free and len(self._all) >= PAGES:
            raise Busy(f"{PAGES} pages are live already; close one of them, or try again later")
        if not self._free:
            self._free.append(self._make())
            self._all.append(self._free[-1])
        worker = self._free.pop()
        try:
            yield worker
        finally:
            self._free.append(worker)

    def end(self) -> None:
        """End what is being done, and take no more pages."""
        for worker in self._all:
            worker.end()

    def close(self) -> None:
        """End the processes."""
        for worker in self._all:
            worker.close()
