"""Pools of processes that start none."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any, Self

from ganchain.batch.pool import Answer
from ganchain.batch.process import Lost, Work


class InThisProcess:
    """In the place of pools of processes: the same calls, pickled as if for a process, one after the other in this."""

    def __init__(self, *_: object) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def map(self, function: Callable[..., Any], *arguments: Iterable[Any], chunksize: int = 1) -> Iterator[Any]:
        for items in zip(*arguments, strict=True):
            pickled = pickle.dumps((function, items))
            call, given = pickle.loads(pickled)
            yield call(*given)

    imap = map


class Here:
    """In the place of the worker processes: the same work in this one, so that tests are quick."""

    def __init__(self, workers: int, make: Callable[..., Any], args: Any, timeout: float, ahead: int = 2) -> None:
        chain, settings = args
        settings = replace(settings, threads=None, confined=False)  # which would hold for all other tests
        self.work, self.flying = make(chain, settings), list[Any]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    @property
    def busy(self) -> bool:
        return bool(self.flying)

    @property
    def room(self) -> bool:
        return not self.flying

    def submit(self, items: Sequence[Any]) -> None:
        self.flying.append(items)

    def wait(self, seconds: float) -> list[Any]:
        group = self.flying.pop()
        return [(group, self.work.begin(group)())]


class Warm:
    """In the place of ``Pool``: its work is done by a thread of this process, which cannot be killed."""

    room = True

    def __init__(self, _: int, make: Callable[..., Work], args: tuple[Any, ...], *__: float, **___: int) -> None:
        self._work = make(*args)
        self._threads = ThreadPoolExecutor(1)
        self._begun: list[tuple[list[Any], Future[list[Any]]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()

    def submit(self, items: list[Any]) -> None:
        items = pickle.loads(pickle.dumps(items))
        self._begun.append((items, self._threads.submit(lambda: self._work.begin(items)())))

    def wait(self, seconds: float) -> list[Answer]:
        if not self._begun or not wait([self._begun[0][1]], seconds).done:
            return []
        items, done = self._begun.pop()
        if error := done.exception():
            return [Answer(items, Lost(f"{type(error).__name__}: {error}"))]
        return [Answer(items, pickle.loads(pickle.dumps(done.result())))]

    def kill(self) -> None: ...
