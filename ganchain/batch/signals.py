"""Signals that end a batch; imports little, so that they are caught before the networks are loaded."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import current_thread, main_thread
from types import FrameType

ENDING = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


class Interrupted(Exception):
    """A signal came before the first photo was begun."""


@contextmanager
def handled(handle: Callable[[int, FrameType | None], None], numbers: Iterable[int] = ENDING) -> Iterator[None]:
    """Let ``handle`` do what these signals do within the block; only in the main thread, which alone may do so."""
    if current_thread() is not main_thread():
        yield
        return
    former = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@dataclass
class Signals:
    """Counter of ``ENDING``: after one of them no photo is begun, after two the batch ends without waiting."""

    count: int = 0

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Count signals instead of dying of them, in the main thread; SIGHUP stays ignored where nohup ignores it."""
        nohup = {number for number in ENDING[2:] if signal.getsignal(number) == signal.SIG_IGN}
        with handled(self._count, [number for number in ENDING if number not in nohup]):
            yield

    def check(self) -> None:
        """Raise ``Interrupted`` if a signal has come."""
        if self.count:
            raise Interrupted

    def _count(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
