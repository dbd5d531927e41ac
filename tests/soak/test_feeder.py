"""A feeder that is killed (-9) in the middle of a batch: the pictures are those of a batch without one."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Self

import pytest

from ganchain.batch import run
from ganchain.batch.feeder import FedPool
from ganchain.batch.pool import Pool
from ganchain.batch.record import Record
from ganchain.batch.summary import Summary
from ganchain.tensors import Pixels
from tests.soak import killing
from tests.test_feeder import done, place, unfed

__all__ = ["place"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="Unix sockets")]


def test_a_killed_feeder_costs_nothing(place: Path, small_head: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    killing.photos(place / "photos", small_head, 3)
    feeders, pids = list[Pool](), set[int]()

    class Watched(FedPool):
        def __enter__(self) -> Self:
            super().__enter__()
            feeders.append(self._feeders)
            return self

    def kill(record: Record, summary: Summary) -> None:
        process = feeders[0]._workers[0].process
        pids.add(process.pid)
        if len(pids) == 1:
            process.kill()

    monkeypatch.setattr(run, "FedPool", Watched)
    summary, pictures = done(place, "fed", kill)
    assert dict(summary.counts) == {"ok": 3} and pictures == unfed(place)
    assert len(pids) > 1  # another one followed
    assert all(handle.process.exitcode is not None for pool in feeders for handle in pool._workers)
