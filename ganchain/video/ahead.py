"""Work that is done in a thread of its own: items are read ahead, and calls are made behind."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

import cv2
import torch

Item = TypeVar("Item")

COUNT = 4  # items that are ready at most, and calls that wait: each may hold a frame


def ahead(items: Iterator[Item]) -> Generator[Item, None, None]:
    """Read ``items`` in a thread, ``COUNT`` ahead; an error comes in the place of the item that it prevented."""
    end = object()
    pool = ThreadPoolExecutor(1)
    waiting: deque[Future[Any]] = deque(pool.submit(next, items, end) for _ in range(COUNT))
    try:
        while (item := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, items, end))
            yield item
    finally:
        pool.shutdown(cancel_futures=True)


class Behind:
    """Caller of functions in a thread, in order, that is at most ``COUNT`` calls behind.

    After an error nothing more is called. It is raised by one of the next calls, or at the end of the ``with`` block.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()
        self._failed = False

    def __call__(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function soon."""
        self._waiting.append(self._pool.submit(self._run, function, *arguments))
        while self._waiting and (len(self._waiting) > COUNT or self._waiting[0].done()):
            self._waiting.popleft().result()

    def _run(self, function: Callable[..., None], *arguments: Any) -> None:
        if self._failed:
            return
        try:
            function(*arguments)
        except BaseException:
            self._failed = True
            raise

    def stop(self) -> None:
        """Wait for the calls that were asked for."""
        self._pool.shutdown()

    def __enter__(self) -> Behind:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        for call in self._waiting if error is None else ():
            call.result()


@contextmanager
def one_core_less() -> Iterator[None]:
    """Leave a core to the threads beside this one: those of PyTorch and OpenCV wait for work by running in circles."""
    threads, of_opencv = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(max(1, threads - 1))
    cv2.setNumThreads(max(1, of_opencv - 1))
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(of_opencv)
