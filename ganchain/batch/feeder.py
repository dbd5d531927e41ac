"""Feeder of a batch: the one process that owns the card, and runs the networks of all workers.

Each worker could have networks of its own on the card, but they would take about 3 GB of it, and leave it idle nearly
all the time.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from threading import Thread
from types import TracebackType
from typing import Any, Self

import torch

from ganchain.batch.pool import AHEAD, Answer, Pool
from ganchain.batch.process import Work
from ganchain.batch.settings import Settings
from ganchain.chains import Chain
from ganchain.engines.kernels import Kernel, covers, kernels_of
from ganchain.engines.remote import serve
from ganchain.pipeline.pipeline import Pipeline

WAITING = 128  # workers that may be about to connect
LONGEST = 70  # characters of a folder's path; systems bind no socket whose path is longer than about 100


def can_feed(pipeline: Pipeline) -> bool:
    """Tell whether a feeder can run all networks of ``pipeline``: a plug-in's and spandrel's may have no kernels."""
    return hasattr(socket, "AF_UNIX") and all(covers(stage) for stage in pipeline.stages)


def kernels_in(pipeline: Pipeline) -> list[Kernel]:
    """List the kernels of a pipeline, in the same order in each process: the reader's, and those of the stages."""
    return [Kernel(pipeline.reader, "run"), *(kernel for stage in pipeline.stages for kernel in kernels_of(stage))]


class Feeder:
    """Work of the feeder's process: no items, but calls of kernels, which come over ``listener``."""

    def __init__(self, chain: Chain, settings: Settings, listener: socket.socket, seconds: float) -> None:
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        pipeline = Pipeline.from_chain(
            chain, device=settings.device, engine=settings.engines, license_policy=settings.license_policy
        )
        _ = pipeline.engines  # sets them
        server = (listener, kernels_in(pipeline), pipeline.device, seconds)
        Thread(target=serve, args=server, daemon=True).start()

    def begin(self, items: Sequence[Any]) -> Callable[[], list[Any]]:
        """Do nothing; there are no items."""
        return list


class FedPool(Pool):
    """A pool of workers that have a feeder beside them.

    When the feeder ends, the calls that it has not answered fail, and so do their groups; the next feeder listens at
    the same socket, which this process keeps open.
    """

    def __init__(
        self,
        workers: int,
        make: Callable[..., Work],
        args: tuple[Chain, Settings],
        timeout: float,
        ahead: int = AHEAD,
    ) -> None:
        chain, settings = args
        usual = gettempdir()
        self._folder = TemporaryDirectory(prefix="ganchain-", dir=usual if len(usual) <= LONGEST else "/tmp")  # 0700
        self._listener, path = socket.socket(socket.AF_UNIX), str(Path(self._folder.name) / "feeder")
        self._listener.bind(path)
        self._listener.listen(WAITING)
        super().__init__(workers, make, (chain, replace(settings, feeder=path, confined=True)), timeout, ahead)
        self._feeders = Pool(1, Feeder, (chain, settings, self._listener, self.start_timeout), timeout)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._folder)
            stack.enter_context(self._listener)
            stack.enter_context(self._feeders)
            super().__enter__()
            self._ending = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        super().__exit__(kind, error, at)
        self._ending.__exit__(kind, error, at)

    def wait(self, seconds: float) -> list[Answer]:
        self._feeders.wait(0)  # starts the next feeder if one has ended
        return super().wait(seconds)
