"""Machine that was measured: what it is, how fast it is, how much memory was taken."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from statistics import median
from threading import Event, Thread
from typing import Any

import psutil
import torch

from ganchain._version import VERSION
from ganchain.engines import openvino
from ganchain.engines.choice import processor
from ganchain.engines.device import synchronize
from ganchain.engines.half import dtype

SIDES = {"cpu": 2048, "cuda": 8192, "mps": 4096}  # sides of the matrices that are multiplied
PRODUCTS = 5
SAMPLING = 0.02  # seconds between two looks at the memory


def machine(device: torch.device) -> dict[str, Any]:
    """Describe processor, cores, threads, memory and versions."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts = {
        "processor": processor(),
        "cores": psutil.cpu_count(logical=False),
        "usable": usable,
        "threads": torch.get_num_threads(),
        "memory": psutil.virtual_memory().total,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "ganchain": VERSION,
        "torch": torch.__version__,
        "openvino": openvino.installed(),
        "device": device.type,
    }
    return facts | ({"card": torch.cuda.get_device_name(device)} if device.type == "cuda" else {})


def matrix_products(device: torch.device) -> dict[str, float]:
    """Measure GFLOP/s of a square matrix product by precision: float32, and the half precision ``device`` is good at.

    The median of several, with as many threads as torch has, so under the same load as the rest of the benchmark.
    """
    half = dtype(device)
    dtypes = [torch.float32] if half is None else [torch.float32, half]
    return {str(precision).removeprefix("torch."): _product(device, precision) for precision in dtypes}


def _product(device: torch.device, precision: torch.dtype) -> float:
    """Measure one precision."""
    side, times = SIDES[device.type], []
    matrix = torch.rand(side, side, device=device).to(precision)
    torch.mm(matrix, matrix)
    for _ in range(PRODUCTS):
        synchronize(device)
        start = time.perf_counter()
        torch.mm(matrix, matrix)
        synchronize(device)
        times.append(time.perf_counter() - start)
    return 2 * side**3 / median(times) / 1e9


class Peak:
    """Largest sum of the resident memory of this process and its children, in bytes, as often as ``SAMPLING`` looks."""

    def __init__(self) -> None:
        self.bytes = 0
        self._process, self._stop = psutil.Process(), Event()

    def _watch(self) -> None:
        """Measure again and again, until told to stop."""
        while True:
            self.bytes = max(self.bytes, self._resident_bytes())
            if self._stop.wait(SAMPLING):
                return

    def _resident_bytes(self) -> int:
        """Sum the resident memory of all processes, in bytes."""
        total = 0
        for process in (self._process, *self._process.children(recursive=True)):
            with suppress(psutil.Error):  # the process has just ended
                total += process.memory_info().rss
        return total

    @classmethod
    @contextmanager
    def watched(cls) -> Iterator[Peak]:
        """Watch the memory while the context is open."""
        peak = cls()
        thread = Thread(target=peak._watch, daemon=True)
        thread.start()
        try:
            yield peak
        finally:
            peak._stop.set()
            thread.join()
