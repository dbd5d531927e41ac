"""Work for worker processes that goes wrong as its items say; imports little, so that processes start quickly."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganchain.batch.record import Record
from ganchain.errors import ChainError
from ganchain.web.worker import Ended, Line


class Odd:
    """Work that does what its item says."""

    def __init__(self, start: str = "well") -> None:
        if start == "dies":
            os._exit(7)
        if start == "sleeps":
            time.sleep(120)
        if start == "refuses":
            raise ChainError("refused")
        self.tell: Callable[[int], None] = lambda part: None

    def begin(self, items: Sequence[str]) -> Callable[[], list[str]]:
        for item in items:
            if item == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if item == "hang":
                time.sleep(60)
            if item == "raise":
                raise ValueError("a bug")
            for part in range(3 if item == "tell" else 0):
                time.sleep(0.4)
                self.tell(part)
        return lambda: [f"{item} {os.getpid()}" for item in items]


class OddOnALine(Odd):
    """The same for ``ganchain.web.worker``; "obey" ends when it is asked to."""

    def __init__(self, line: Line, start: str = "well") -> None:
        super().__init__(start)
        self._line = line

    def begin(self, items: Sequence[str]) -> Callable[[], list[Any]]:
        try:
            while "obey" in items:
                self._line.reach(3)
                time.sleep(0.01)
        except Ended as error:
            ended = error
            return lambda: [ended]
        return super().begin(items)


@dataclass(frozen=True)
class Light:
    """What a batch knows of a photo, as in its ``Item``, whose module imports torch."""

    source: Path
    input: str
    target: str
    video: str = ""


class Suspicious:
    """Does photos; the one called "die" kills its worker."""

    def begin(self, items: Sequence[Any]) -> Callable[[], list[Record]]:
        if any(item.input == "die" for item in items):
            os.kill(os.getpid(), signal.SIGKILL)
        return lambda: [Record(item.input, str(item.source), "c", "ok", item.target) for item in items]
