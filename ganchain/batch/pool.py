"""Worker processes of a batch: a worker that dies or hangs costs only the groups it had.

Ready-made pools break when a worker is killed (the standard library's), or an idle one (pebble's). Here every worker
has pipes of its own, so that no worker can block or garble the others.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import connection, get_context, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from ganchain.batch.process import Lost, Progress, Work, run_worker
from ganchain.batch.signals import ENDING
from ganchain.errors import GanchainError

MAX_FAILED_STARTS = 3  # workers in a row that die before they are ready; then no other one is started
MIN_START = 20.0  # seconds: a worker loads networks, also where photos are given less time
AHEAD = 2  # groups a worker has: it edits one while the pictures of the other are written
SHUTDOWN_TIMEOUT = 10.0  # seconds that workers may take to end by themselves before they are killed


class Answer(NamedTuple):
    """A group of items, and the outcome of each, or the reason why there is none."""

    items: list[Any]
    outcomes: list[Any] | Lost


@dataclass
class _WorkerHandle:
    """The parent's side of one worker process.

    Attributes:
        ready: its ``Work`` is made, and it takes groups.
        timed_out: it was killed, since a group or its start took too long.
        in_flight: groups sent to it and not answered, the oldest first.
        busy_since: when it began the oldest of them, or its start, by ``time.monotonic``.
    """

    process: Any  # multiprocessing's processes have no common type over the start methods
    tasks: Connection
    answers: Connection
    ready: bool = False
    timed_out: bool = False
    in_flight: deque[list[Any]] = field(default_factory=deque)
    busy_since: float = 0.0

    def close(self) -> None:
        """Close the parent's ends of the pipes."""
        for pipe in (self.tasks, self.answers):
            with suppress(OSError):
                pipe.close()


class Pool:
    """Runs groups of items in processes that each make a ``Work`` of their own.

    Args:
        workers: how many processes.
        make, args: called in each process to make its ``Work``; picklable.
        timeout: seconds that one item may take, or may not tell how far it is; and the start, at least MIN_START.
        ahead: groups that a worker may have at once.

    Attributes:
        on_progress: called with a group, and how far it is.
    """

    on_progress: Callable[[list[Any], Any], None] = staticmethod(lambda *_: None)

    def __init__(
        self, workers: int, make: Callable[..., Work], args: tuple[Any, ...], timeout: float, ahead: int = AHEAD
    ) -> None:
        self.timeout, self.ahead = timeout, ahead
        self.start_timeout = max(timeout, MIN_START)
        self._size, self._make, self._args = workers, make, args
        self._workers: list[_WorkerHandle] = []
        self._failed_starts = 0

    def __enter__(self) -> Self:
        """Start the workers.

        Raises:
            GanchainError: the system starts no process.
        """
        try:
            for _ in range(self._size):
                self._workers.append(self._start_worker())
        except OSError as error:
            if not self._workers:
                raise GanchainError(f"no worker process could be started: {error}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the workers: idle ones end by themselves, the others are killed; after an error all are killed."""
        for worker in self._workers:
            if error is not None or worker.in_flight or not worker.ready:
                worker.process.kill()
            worker.tasks.close()
        deadline = time.monotonic() + SHUTDOWN_TIMEOUT
        for worker in self._workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            worker.process.kill()
            worker.process.join()
            worker.close()

    def _start_worker(self) -> _WorkerHandle:
        _leave_deleted_folder()
        context = get_context("spawn")
        worker_tasks, tasks = context.Pipe(duplex=False)
        answers, worker_answers = context.Pipe(duplex=False)
        level = logging.getLogger("ganchain").level
        args = (worker_tasks, worker_answers, self._make, self._args, level)
        process = context.Process(target=run_worker, args=args, daemon=True)
        with _signals_blocked():
            process.start()
        worker_tasks.close()
        worker_answers.close()
        return _WorkerHandle(process, tasks, answers, busy_since=time.monotonic())

    @property
    def busy(self) -> bool:
        """True while a worker has a group that is not answered."""
        return any(worker.in_flight for worker in self._workers)

    def _free_worker(self) -> _WorkerHandle | None:
        """Find the worker with the fewest groups that can take one more; None when there is none."""
        free = [
            worker
            for worker in self._workers
            if worker.ready and len(worker.in_flight) < self.ahead and not worker.timed_out
        ]
        return min(free, key=lambda worker: len(worker.in_flight), default=None)

    @property
    def room(self) -> bool:
        """True if a worker can take one more group."""
        return self._free_worker() is not None

    def submit(self, items: Sequence[Any]) -> None:
        """Send a group to a free worker; there must be one (``room``)."""
        worker = self._free_worker()
        assert worker is not None, "no room"
        if not worker.in_flight:
            worker.busy_since = time.monotonic()
        worker.in_flight.append(list(items))
        with suppress(OSError):  # it has just died: `wait` will see that
            worker.tasks.send(list(items))

    def kill(self) -> None:
        """Kill the workers that have groups or are not ready; ``wait`` returns these groups as lost."""
        for worker in self._workers:
            if worker.in_flight or not worker.ready:
                worker.process.kill()

    def wait(self, seconds: float) -> list[Answer]:
        """Wait for answers, at most ``seconds``, and return those that are there.

        Raises:
            GanchainError: no worker could be made.
        """
        sources: list[Any] = [end for worker in self._workers for end in (worker.answers, worker.process.sentinel)]
        events = connection.wait(sources, seconds)
        answers: list[Answer] = []
        for worker in list(self._workers):
            if worker.answers in events or worker.process.sentinel in events:
                answers += self._receive(worker)
            if worker.process.sentinel in events:
                answers += self._reap(worker)
        self._kill_late()  # now, since the caller may have been away for long
        return answers

    def _kill_late(self) -> None:
        """Kill the workers whose group, or whose start, takes too long."""
        for worker in self._workers:
            seconds = self.timeout * len(worker.in_flight[0]) if worker.in_flight else self.start_timeout
            busy = bool(worker.in_flight) or not worker.ready
            if busy and time.monotonic() - worker.busy_since > seconds:
                worker.timed_out = True
                worker.process.kill()

    def _receive(self, worker: _WorkerHandle) -> list[Answer]:
        """Receive the answers that ``worker`` has sent."""
        answers: list[Answer] = []
        with suppress(EOFError, OSError):  # dead, perhaps in the middle of an answer
            while worker.answers.poll():
                message = worker.answers.recv()
                if message is None:
                    worker.ready = True
                elif isinstance(message, BaseException):
                    raise message
                elif isinstance(message, Progress):
                    self.on_progress(worker.in_flight[0], message.reached)
                else:
                    answers.append(Answer(worker.in_flight.popleft(), message))
                worker.busy_since = time.monotonic()
        return answers

    def _reap(self, worker: _WorkerHandle) -> list[Answer]:
        """Give up the groups of a dead worker and start another one, unless workers die before they are ready."""
        worker.process.join()
        worker.close()
        self._workers.remove(worker)
        seconds = self.timeout if worker.ready else self.start_timeout
        reason = f"took longer than {seconds:g} s" if worker.timed_out else _cause(worker.process.exitcode)
        self._failed_starts = 0 if worker.ready else self._failed_starts + 1
        if worker.timed_out and not worker.ready:
            self._failed_starts = MAX_FAILED_STARTS  # another one would take as long
        cause: OSError | str = f"the last one {reason}"
        if self._failed_starts < MAX_FAILED_STARTS:
            try:
                self._workers.append(self._start_worker())
            except OSError as error:
                cause = error
        if not self._workers:
            raise GanchainError(f"no worker process could be started: {cause}")
        return [Answer(group, Lost(reason)) for group in worker.in_flight]


def _leave_deleted_folder() -> None:
    """Go to the root if the current folder was deleted: no process could be started in it."""
    try:
        Path.cwd()
    except FileNotFoundError:
        os.chdir(os.sep)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block the signals that end a batch; a process started meanwhile inherits that.

    It needs that while it imports, before it can ignore them.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its start would let the signals through
    former_mask = signal.pthread_sigmask(signal.SIG_BLOCK, set(ENDING))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former_mask)


def _cause(code: int) -> str:
    """Say by which exit status or signal a worker ended."""
    if code >= 0:
        return f"ended the worker (exit status {code})"
    cause = "out of memory?" if code == -9 else signal.strsignal(-code) or "unknown"
    return f"killed the worker (signal {-code}, {cause})"
