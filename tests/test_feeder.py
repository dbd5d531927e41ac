"""A feeder: one process runs the networks of all workers, and no picture tells that it did."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganchain import chains
from ganchain.batch import feeder, memory, resources, run
from ganchain.batch.feeder import FedPool, Feeder, can_feed, kernels_in
from ganchain.batch.loop import OnRecord
from ganchain.batch.options import Options
from ganchain.batch.run import batch
from ganchain.batch.settings import Settings
from ganchain.batch.summary import Summary
from ganchain.batch.worker import Worker
from ganchain.engines import remote
from ganchain.engines.kernels import Kernel, covers
from ganchain.engines.remote import Client, serve
from ganchain.errors import EngineError, RemoteTraceback
from ganchain.pipeline.pipeline import Pipeline
from ganchain.stage import Stage
from ganchain.tensors import Pixels
from tests.pools import Here
from tests.soak import killing

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="Unix sockets")

CPU = torch.device("cpu")
CHAIN = """stages:
  - attributes: {age: old}
  - upscale: {factor: 2, scope: face, restore: 0}
output: {write: both, format: png}
"""


class Odd(nn.Module):
    """A network whose answers tell how it was called, and which fails when it is asked to."""

    accelerable = ("answer",)

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def answer(self, faces: Tensor, others: Sequence[Tensor | None] = (), fault: str = "") -> Any:
        if fault == "memory" or (fault == "crowd" and len(faces) > 1):
            raise torch.OutOfMemoryError("CUDA out of memory")
        if fault and fault != "crowd":
            raise ValueError(fault)
        return faces * self.scale, [faces.stride(), *others]


class Plugged(Stage):
    """A stage of somebody else's."""

    side = 64

    net: Any

    def __init__(self, net: nn.Module, fault: str = "") -> None:
        super().__init__()
        self.name, self.net, self.fault = "plugged", net, fault

    def forward(self, faces: Tensor, *_: Any, **read: Any) -> Tensor:
        answer: Tensor = self.net.answer(faces, (), self.fault)[0]
        return answer


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "s"))
        listener.listen()
        yield listener


def served(listener: socket.socket, kernels: Sequence[Kernel], seconds: float = 60) -> Client:
    def answer() -> None:
        with suppress(OSError):  # the test has ended and closed its listener
            serve(listener, kernels, CPU, seconds)

    Thread(target=answer, daemon=True).start()
    return Client(listener.getsockname())


def taken_over(listener: socket.socket) -> Odd:
    there, here = Odd(), Odd()
    client = served(listener, [Kernel(there, "answer")])
    client.take_over([Kernel(here, "answer")])
    nn.init.zeros_(here.scale)  # not asked
    return here


def test_what_is_sent_arrives_as_it_was(listener: socket.socket) -> None:
    net = taken_over(listener)
    faces = torch.rand(2, 3, 8, 6)
    for shown in (faces, faces.contiguous(memory_format=torch.channels_last), faces[:1, :, ::2], faces[:, :, :, 0]):
        doubled, (stride, nothing, other) = net.answer(shown, (None, shown[:0].bfloat16()))
        assert torch.equal(doubled, shown * 2) and doubled.stride() == (shown * 2).stride()
        assert stride == (shown if remote._is_dense(shown) else shown.contiguous()).stride()
        assert nothing is None and other.shape == shown[:0].shape and other.dtype == torch.bfloat16
        doubled += 1  # may be written to


def test_failures_are_answers(listener: socket.socket) -> None:
    net = taken_over(listener)
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        net.answer(torch.zeros(1), (), "memory")
    with pytest.raises(RuntimeError, match="ValueError: a bug") as caught:
        net.answer(torch.zeros(1), (), "a bug")
    assert isinstance(caught.value.__cause__, RemoteTraceback) and "test_feeder.py" in str(caught.value.__cause__)
    assert net.answer(torch.ones(1))[0] == 2


def test_a_batch_is_halved_where_memory_runs_out(listener: socket.socket, small_head: Pixels) -> None:
    two = [small_head, small_head[:, ::-1]]
    stages = [Plugged(Odd(), fault) for fault in ("", "crowd")]
    expected = Pipeline(stages[:1], batch=2).group(two)
    pipeline = Pipeline(stages[1:], batch=2)
    served(listener, kernels_in(Pipeline([Plugged(Odd())]))).take_over(kernels_in(pipeline))
    for before, after in zip(expected, pipeline.group(two), strict=True):
        assert before.photo is not None and after.photo is not None
        assert (before.photo.pixels == after.photo.pixels).all()


def test_a_feeder_that_ended_is_said_and_followed(listener: socket.socket) -> None:
    here = Odd()
    client = Client(listener.getsockname())
    client.take_over([Kernel(here, "answer")])
    client.check()
    Thread(target=lambda: listener.accept()[0].close()).start()
    with pytest.raises(ConnectionError, match="the process that runs the networks ended"):
        here.answer(torch.ones(1))
    with pytest.raises(EngineError, match="the process that runs the networks ended"):
        client.check()
    served(listener, [Kernel(Odd(), "answer")])
    assert here.answer(torch.ones(1))[0] == 2
    client.check()


@pytest.mark.parametrize("sound", [True, False])
def test_a_lost_card_ends_the_feeder(sound: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def synchronize(device: torch.device) -> None:
        if not sound:
            raise RuntimeError("CUDA error: unspecified launch failure")

    ended: list[int] = []
    monkeypatch.setattr(remote, "synchronize", synchronize)
    monkeypatch.setattr(os, "_exit", ended.append)
    remote._run(Kernel(Odd(), "answer"), (torch.ones(1), (), "a bug"), CPU)
    assert ended == ([] if sound else [1])


def test_a_stuck_card_ends_the_feeder(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, go_on = list[int](), Event()

    def end(status: int) -> None:
        ended.append(status)
        raise ConnectionError  # which ends the thread, in place of the process

    monkeypatch.setattr(os, "_exit", end)
    stuck = SimpleNamespace(network=SimpleNamespace(wait=lambda _: go_on.wait()), method="wait")
    here = Odd()
    served(listener, [stuck], seconds=0.05).take_over([Kernel(here, "answer")])  # type: ignore[list-item]
    with pytest.raises(ConnectionError):
        here.answer(torch.ones(1))
    go_on.set()
    assert ended == [1]


def test_who_can_be_fed() -> None:
    class Plain(Odd):
        accelerable = ()

    plain, mixed = Plugged(Plain()), Plugged(nn.Sequential(Odd(), Plain()))
    assert covers(Plugged(Odd())) and not covers(plain) and not covers(mixed)
    assert can_feed(Pipeline.from_yaml("portrait", device="cpu"))
    assert not can_feed(Pipeline([Plugged(Odd()), plain], device="cpu"))


def test_a_card_limits_only_those_that_have_networks_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "count_cores", lambda: 16)
    monkeypatch.setattr(memory, "available", lambda: 128 << 30)
    assert resources._processes(None, 99, None) == (16, 1)
    assert resources._processes(None, 99, 24 << 30) == (8, 2)
    assert resources._processes(4, 2, 1 << 30) == (2, 4)


@pytest.fixture
def place(tmp_path: Path, small_head: Pixels, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A chain, and feeders on the CPU."""
    monkeypatch.setattr(resources, "FED", {"cpu"})
    (tmp_path / "chain.yaml").write_text(CHAIN)
    return tmp_path


class FedHere(Here):
    """In the place of a pool with a feeder: the same work in this process."""

    def __init__(self, workers: int, make: Callable[..., Any], args: Any, timeout: float, ahead: int = 2) -> None:
        self._pool = FedPool(workers, make, args, timeout, ahead)  # is not started, but has the listener
        Feeder(args[0], replace(args[1], threads=None), self._pool._listener, timeout)
        super().__init__(workers, make, self._pool._args, timeout, ahead)

    def __exit__(self, *_: object) -> None:
        self._pool._folder.cleanup()


def done(place: Path, out: str, on_record: OnRecord | None = None) -> tuple[Summary, dict[str, str]]:
    options = Options(engine="torch", workers=2, device="cpu", timeout=60)
    summary = batch(place / "chain.yaml", [place / "photos"], place / out, options, on_record)
    return summary, killing.contents(place / out)


def unfed(place: Path) -> dict[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resources, "FED", ())
        patch.setattr(run, "Pool", Here)
        return done(place, "unfed")[1]


def test_a_long_path_of_temporary_files_is_avoided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr(feeder, "gettempdir", lambda: str(deep))
    pool = FedPool(1, Worker, (chains.load("faces"), Settings(tmp_path, "", "")), 1.0)
    with pool._folder, pool._listener:
        assert not pool._folder.name.startswith(str(deep))


@pytest.mark.slow
def test_pictures_are_the_same(place: Path, small_head: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    killing.photos(place / "photos", small_head, 1)
    monkeypatch.setattr(run, "FedPool", FedHere)
    assert done(place, "fed")[1] == unfed(place)
