"""A worker process of the server: what native code does to it, it does not do to the server."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from threading import Event, Lock
from typing import Any

from ganchain.batch.pool import Pool
from ganchain.batch.process import Lost, Work
from ganchain.errors import GanchainError

log = logging.getLogger(__name__)

INTERVAL = 0.1  # seconds between checks whether an item must end
GRACE = 2.0  # seconds that an item may take to end by itself, before its process is killed
STARTING = 120.0  # seconds that a process may take until it is ready


class Ended(GanchainError):
    """An error that ends a job or the reading of a photo, since it was cancelled or took too long."""


class Ending(Ended):
    """An error for what is not done, since the server ends."""

    status = 503

    def __init__(self) -> None:
        super().__init__("the server is ending")


class Crashed(GanchainError):
    """An error for an item that cost its worker process its life, or met a bug; ``reason`` goes on after its name."""


class Line:
    """A line between the server and a worker process: how far its item is, and whether it shall stop."""

    def __init__(self) -> None:
        context = get_context("spawn")
        self._step, self._stop = context.RawValue("i", 0), context.RawValue("i", 0)
        self._share = context.RawValue("d", 0.0)

    @property
    def step(self) -> int:
        """Step that the item has reached."""
        return self._step.value

    @property
    def share(self) -> float:
        """Share of the step that is done, 0..1; 0 where it is not counted."""
        return self._share.value

    def reach(self, step: int, share: float = 0.0) -> None:
        """Note the step that runs and the share of it that is done; called in the worker process.

        Raises:
            Ended: the item shall stop.
        """
        self._step.value, self._share.value = step, share
        if self._stop.value:
            raise Ended("stopped")

    def begin(self, step: int) -> None:
        """Begin an item at ``step``."""
        self._step.value, self._share.value, self._stop.value = step, 0.0, 0

    def stop(self) -> None:
        """Ask the item to stop at its next step."""
        self._stop.value = 1


class Worker:
    """A process that is kept ready and does one item at a time; if it dies, another one is started.

    Args:
        make: called in the process as ``make(line, *args)`` to make its ``Work``; picklable.
    """

    def __init__(self, make: Callable[..., Work], args: tuple[Any, ...] = ()) -> None:
        self._line = Line()
        self._make, self._args = make, args
        self._pool: Pool | None = None
        self._lock, self._closed = Lock(), Event()

    @property
    def share(self) -> float:
        """Share of the running item's step that is done, 0..1."""
        return self._line.share

    def start(self) -> None:
        """Start the process, and return before it is ready."""
        with self._lock:
            self._started()

    def prepare(self) -> None:
        """Wait until the process is ready.

        Raises:
            GanchainError: it cannot be started, or the server ends.
        """
        with self._lock, self._mending():
            self._ready()

    def call(self, item: Any, tick: Callable[[int], None], first: int = 0) -> Any:
        """Do ``item``, once those before it are done, and return its outcome.

        Args:
            tick: called every INTERVAL with the step that the item has reached; raises ``Ended`` to end it.
            first: the step with which the item begins.

        Raises:
            Ended: ``tick`` raised it, or the server ends.
            Crashed: the item killed the process, or met a bug.
            GanchainError: the outcome is this error, or no process can be started.
        """
        with self._lock, self._mending():
            pool = self._ready()
            self._line.begin(first)
            pool.submit([item])
            outcomes = self._outcomes(pool, tick)
        if isinstance(outcomes, Lost):
            log.error("a worker process: %s\n%s", outcomes.reason, outcomes.traceback or "")
            raise Crashed(outcomes.reason)
        if isinstance(outcomes[0], Exception):
            raise outcomes[0]
        return outcomes[0]

    def end(self) -> None:
        """End the item that is being done, and take no others."""
        self._closed.set()

    def close(self) -> None:
        """End the process."""
        self.end()
        with self._lock:
            self._drop_pool()

    def _started(self) -> Pool:
        if self._closed.is_set():
            raise Ending
        if self._pool is None:
            self._pool = Pool(1, self._make, (self._line, *self._args), math.inf, ahead=1).__enter__()
        return self._pool

    def _drop_pool(self) -> None:
        if (pool := self._pool) is not None:
            self._pool = None
            pool.__exit__(Ending, Ending(), None)  # as after an error: it kills

    @contextmanager
    def _mending(self) -> Iterator[None]:
        """Begin with a new pool next time, if the block finds that this one cannot work."""
        try:
            yield
        except Ended:
            raise
        except GanchainError:
            self._drop_pool()
            raise

    def _ready(self) -> Pool:
        """Return the pool once its process is ready.

        Raises:
            GanchainError: it does not become ready.
        """
        pool, late = self._started(), time.monotonic() + STARTING
        pool.wait(0)  # sees that an idle process has died
        if not pool.room:
            self._line.stop()  # what a process does before it is ready and need not do now
        while not pool.room:
            pool.wait(INTERVAL)
            if self._closed.is_set():
                raise Ending
            if time.monotonic() > late:
                raise GanchainError(f"no worker process could be started within {STARTING:g} s")
        return pool

    def _outcomes(self, pool: Pool, tick: Callable[[int], None]) -> Sequence[Any] | Lost:
        try:
            while not (answers := pool.wait(INTERVAL)):
                if self._closed.is_set():
                    raise Ending
                tick(self._line.step)
        except Ended:
            self._stop(pool)
            raise
        return answers[0].outcomes

    def _stop(self, pool: Pool) -> None:
        """Wait until the item has ended by itself, or kill its process after GRACE."""
        self._line.stop()
        late = time.monotonic() + (0 if self._closed.is_set() else GRACE)
        while not pool.wait(INTERVAL):
            if self._closed.is_set() or time.monotonic() > late:
                pool.kill()
