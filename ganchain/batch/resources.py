"""Resources of a batch: the device and the engines of its networks, its processes and their threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import psutil
import torch

from ganchain.batch import memory
from ganchain.batch.feeder import can_feed
from ganchain.batch.journal import Journal
from ganchain.batch.options import Options
from ganchain.batch.plan import Plan
from ganchain.chains.digest import photo_key
from ganchain.pipeline.pipeline import Pipeline

FED = {"cuda"}  # kinds of devices that a feeder runs


class Processes(NamedTuple):
    """Worker processes, and the threads of each."""

    number: int
    threads: int


@dataclass(frozen=True)
class Resources:
    """Resources of a batch.

    Attributes:
        device: where the networks run.
        engines: the stages' engines.
        fed: whether a feeder runs the networks for photos; else each worker does, as for videos.
        photos, videos: the processes for them.
    """

    device: torch.device
    engines: dict[str, str]
    fed: bool
    photos: Processes
    videos: Processes


def allocate(planned: Plan, options: Options, journal: Journal, photos: int) -> Resources:
    """Decide on processes and threads, and choose the engines; an error of the chain is raised here, and once.

    What "auto" has chosen for the outputs that are there, it chooses for the others, too.

    Args:
        photos: how many there are, at least; no more processes are needed.
    """
    former = journal.engines(planned.names.chain, lambda photo: photo_key(photo, planned.key))
    engine = former or options.engine if options.engine == "auto" else options.engine
    pipeline = Pipeline.from_chain(
        planned.chain, device=options.device, engine=engine, license_policy=options.license_policy
    )
    device = pipeline.device
    fed = device.type in FED and not options.ray and can_feed(pipeline)
    card = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None
    unfed = _processes(options.workers, photos, card)
    processes = _processes(options.workers, photos, None) if fed else unfed
    with _torch_threads(processes.threads):  # engines are compared as they will run
        pipeline.prepare()
    return Resources(device, dict(pipeline.engines), fed, processes, unfed)


def count_cores() -> int:
    """Count the physical cores that this process may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or usable, usable))


def _processes(wanted: int | None, most: int, card: int | None) -> Processes:
    """Divide the cores among processes: as many as are ``wanted``, or as memory is enough for, but at ``most``.

    Args:
        card: free bytes of the CUDA device on which each has its networks; None if none has.
    """
    cores = count_cores()
    number = wanted or memory.workers(cores, card)
    threads = 1 if card is None else max(1, cores // number)  # on a CPU more could change a sum's last bits
    return Processes(min(number, most), threads)


@contextmanager
def _torch_threads(number: int) -> Iterator[None]:
    """Have torch use so many threads within the block."""
    former = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(former)
