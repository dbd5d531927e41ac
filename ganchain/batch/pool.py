"""Worker processes: a dead or stuck one costs only what it was doing.

The pools that there are do not serve: that of the standard library breaks when one worker is killed, pebble's when the
killed one is idle. Here every worker has pipes of its own, so that none can hold up or garble the others.
"""

from __future__ import annotations

import os
import queue
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import connection, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from threading import Thread
from types import TracebackType
from typing import Any, Protocol, Self

from ganchain.errors import GanchainError, text_of, traceback_of

STILLBORN = 3  # workers that die one after the other before they are ready, until no other one is tried
AHEAD = 2  # groups a worker has: one to edit while the other one's pictures are written
PATIENCE = 10.0  # seconds until a worker that should end is ended


class Work(Protocol):
    """What runs in a worker process: ``begin`` does the larger part, what it returns the rest, in the background."""

    def begin(self, items: Sequence[Any], /) -> Callable[[], list[Any]]: ...


@dataclass(frozen=True)
class Lost:
    """A group without an answer, and why: its worker died, took too long or failed (then with the traceback)."""

    reason: str
    traceback: str | None = None


Answer = tuple[list[Any], list[Any] | Lost]


@dataclass
class _Hand:
    """The parent's side of one worker process."""

    process: Any  # multiprocessing's processes have no common type over the start methods
    tasks: Connection
    answers: Connection
    ready: bool = False
    late: bool = False
    flying: deque[list[Any]] = field(default_factory=deque)
    since: float = 0.0

    def end(self) -> None:
        for pipe in (self.tasks, self.answers):
            with suppress(OSError):
                pipe.close()


class Pool:
    """Runs groups of items in processes that each make a ``Work`` of their own.

    Args:
        workers: how many processes.
        make, args: called in each process to make its ``Work``; picklable.
        timeout: seconds that one item may take.
        ahead: groups that a worker may have at once.
    """

    def __init__(
        self, workers: int, make: Callable[..., Work], args: tuple[Any, ...], timeout: float, ahead: int = AHEAD
    ) -> None:
        self.timeout, self.ahead = timeout, ahead
        self._workers, self._make, self._args = workers, make, args
        self._hands: list[_Hand] = []
        self._stillborn = 0

    def __enter__(self) -> Self:
        try:
            for _ in range(self._workers):
                self._hands.append(self._hired())
        except OSError as error:
            if not self._hands:
                raise GanchainError(f"no worker process could be started: {error}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the workers: idle ones by themselves, and all at once after an error."""
        for hand in self._hands:
            if error is not None or hand.flying or not hand.ready:
                hand.process.kill()
            hand.tasks.close()
        end = time.monotonic() + PATIENCE
        for hand in self._hands:
            hand.process.join(max(0.0, end - time.monotonic()))
            hand.process.kill()
            hand.process.join()
            hand.end()

    def _hired(self) -> _Hand:
        context = get_context("spawn")
        theirs, tasks = context.Pipe(duplex=False)
        answers, sender = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(theirs, sender, self._make, self._args), daemon=True)
        with _unsignalled():
            process.start()
        theirs.close()
        sender.close()
        return _Hand(process, tasks, answers)

    @property
    def busy(self) -> bool:
        return any(hand.flying for hand in self._hands)

    def _free(self) -> _Hand | None:
        ready = [hand for hand in self._hands if hand.ready and len(hand.flying) < self.ahead and not hand.late]
        return min(ready, key=lambda hand: len(hand.flying), default=None)

    @property
    def room(self) -> bool:
        """Whether a worker can take one more group."""
        return self._free() is not None

    def submit(self, items: Sequence[Any]) -> None:
        hand = self._free()
        assert hand is not None, "no room"
        if not hand.flying:
            hand.since = time.monotonic()
        hand.flying.append(list(items))
        with suppress(OSError):  # it has just died: `wait` will see that
            hand.tasks.send(list(items))

    def wait(self, seconds: float) -> list[Answer]:
        """The groups that ended within ``seconds``, as soon as there are any.

        Raises:
            GanchainError: no worker could be made.
        """
        for hand in self._hands:
            if hand.flying and time.monotonic() - hand.since > self.timeout * len(hand.flying[0]):
                hand.late = True
                hand.process.kill()
        waiting: list[Any] = [hand.answers for hand in self._hands] + [hand.process.sentinel for hand in self._hands]
        happened = connection.wait(waiting, seconds)
        ended: list[Answer] = []
        for hand in list(self._hands):
            if hand.answers in happened or hand.process.sentinel in happened:
                ended += self._heard(hand)
            if hand.process.sentinel in happened:
                ended += self._buried(hand)
        return ended

    def _heard(self, hand: _Hand) -> list[Answer]:
        ended: list[Answer] = []
        with suppress(EOFError, OSError):  # dead, perhaps in the middle of an answer
            while hand.answers.poll():
                answer = hand.answers.recv()
                if answer is None:
                    hand.ready = True
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    ended.append((hand.flying.popleft(), answer))
                hand.since = time.monotonic()
        return ended

    def _buried(self, hand: _Hand) -> list[Answer]:
        """What a dead worker was doing is lost; another one takes its place, unless they die before they begin."""
        hand.process.join()
        hand.end()
        self._hands.remove(hand)
        why = f"took longer than {self.timeout:g} s" if hand.late else _cause(hand.process.exitcode)
        self._stillborn = 0 if hand.ready else self._stillborn + 1
        if self._stillborn < STILLBORN:
            self._hands.append(self._hired())
        elif not self._hands:
            raise GanchainError(f"no worker process could be started: the last one {why}")
        return [(group, Lost(why)) for group in hand.flying]


@contextmanager
def _unsignalled() -> Iterator[None]:
    """A process started here is born with SIGINT and SIGTERM held back: it has to import before it can ignore them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its start would let the signals through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _cause(code: int) -> str:
    if code >= 0:
        return f"ended the worker (exit status {code})"
    cause = "out of memory?" if code == -9 else signal.strsignal(-code) or "unknown"
    return f"killed the worker (signal {-code}, {cause})"


def _work(tasks: Connection, answers: Connection, make: Callable[..., Work], args: tuple[Any, ...]) -> None:
    """The worker process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent decides what ends when
    Thread(target=_end_with_parent, daemon=True).start()
    os.dup2(2, 1)  # what a library prints must not mix with the batch's own lines
    try:
        work = make(*args)
    except GanchainError as error:
        answers.send(error)
        return
    answers.send(None)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff and others complain there, naming no photo
    begun: queue.SimpleQueue[Callable[[], list[Any]] | None] = queue.SimpleQueue()
    sender = Thread(target=_answer, args=(answers, begun), daemon=True)
    sender.start()
    with suppress(EOFError):  # the parent has closed its end: no more tasks
        while True:
            begun.put(_begun(work, tasks.recv()))
    begun.put(None)
    sender.join()


def _begun(work: Work, items: list[Any]) -> Callable[[], list[Any]]:
    try:
        return work.begin(items)
    except Exception as error:  # a bug: it costs this group, not the batch
        bug = error

        def failing() -> list[Any]:
            raise bug

        return failing


def _answer(answers: Connection, begun: queue.SimpleQueue[Callable[[], list[Any]] | None]) -> None:
    while (rest := begun.get()) is not None:
        try:
            answer: list[Any] | Lost = rest()
        except Exception as error:
            answer = Lost(text_of(error), traceback_of(error) or None)
        answers.send(answer)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
