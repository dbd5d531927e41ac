"""Inside of a worker process: it gets groups of items from a pipe and sends their outcomes to another one."""

from __future__ import annotations

import logging
import os
import queue
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from threading import Lock, Thread
from typing import Any, Protocol, runtime_checkable

from ganchain.batch.signals import ENDING
from ganchain.errors import GanchainError, plain, text_of, traceback_of


class Work(Protocol):
    """Work of a worker process: ``begin`` does the larger part; the function it returns waits for the rest."""

    def begin(self, items: Sequence[Any], /) -> Callable[[], list[Any]]: ...


@runtime_checkable
class Telling(Protocol):
    """Work that takes long, and tells how far it is by calling ``tell`` in ``begin``."""

    tell: Callable[[Any], None]


@dataclass(frozen=True)
class Progress:
    """Place that the work on a group has reached, before there is an answer."""

    reached: Any


@dataclass(frozen=True)
class Lost:
    """A group without an answer, and why: its worker died, took too long or failed (then with the traceback)."""

    reason: str
    traceback: str | None = None


def run_worker(
    tasks: Connection,
    answers: Connection,
    make: Callable[..., Work],
    args: tuple[Any, ...],
    level: int = logging.NOTSET,
) -> None:
    """Run a worker process: make its ``Work``, then do groups until the parent closes the pipe.

    Args:
        level: what ganchain logs from this level on is printed to standard error, as in the parent; 0 for nothing.
    """
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)  # the parent decides what ends when
    Thread(target=_end_with_parent, daemon=True).start()
    os.dup2(2, 1)  # what a library prints must not mix with the batch's own lines
    if level:
        _log(level)
    try:
        work = make(*args)
    except GanchainError as error:
        answers.send(error)
        return
    sending = Lock()

    def send(message: Any) -> None:
        with sending:
            answers.send(message)

    if isinstance(work, Telling):
        work.tell = lambda reached: send(Progress(reached))
    send(None)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff and others complain there, naming no photo
    begun: queue.SimpleQueue[Callable[[], list[Any]] | None] = queue.SimpleQueue()
    sender = Thread(target=_send_answers, args=(send, begun), daemon=True)
    sender.start()
    with suppress(EOFError):  # the parent has closed its end: no more tasks
        while True:
            begun.put(_begin(work, tasks.recv()))
    begun.put(None)
    sender.join()


class _Plain(logging.Formatter):
    """A format of log records without what terminals obey, as names of files may have it."""

    def format(self, record: logging.LogRecord) -> str:
        return plain(super().format(record), lines=True)


def _log(level: int) -> None:
    """Print what ganchain logs to what is standard error now."""
    handler = logging.StreamHandler(os.fdopen(os.dup(2), "w", encoding="utf-8"))
    handler.setFormatter(_Plain("%(asctime)s %(levelname)s %(name)s (%(process)d): %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("ganchain")
    logger.setLevel(level)
    logger.addHandler(handler)


def _begin(work: Work, items: list[Any]) -> Callable[[], list[Any]]:
    """Begin a group; an exception is raised by the function that is returned."""
    try:
        return work.begin(items)
    except Exception as error:  # a bug: it costs this group, not the batch
        bug = error

        def raise_bug() -> list[Any]:
            raise bug

        return raise_bug


def _send_answers(send: Callable[[Any], None], begun: queue.SimpleQueue[Callable[[], list[Any]] | None]) -> None:
    """Wait for each group that was begun, in turn, and send its outcomes; None in the queue ends it."""
    while (finish := begun.get()) is not None:
        try:
            message: list[Any] | Lost = finish()
        except Exception as error:
            message = Lost(text_of(error), traceback_of(error) or None)
        send(message)


def _end_with_parent() -> None:
    """End this process when its parent has ended."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
