"""How much memory there is, and how much a photo needs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import torch

from ganchain.pipeline import tiles as tiling
from ganchain.stage import Stage

WORKER = 700 << 20  # bytes: a worker that has its networks and has done small photos
DECODED = 26  # bytes for a pixel of the photo: read, with alpha, and written again
CANVASES = 45  # for a pixel of a photo that one face fills
COPY = 18  # for a pixel that a stage draws anew over the whole photo
ENLARGED, WRITTEN = 3, 9  # for a pixel of the enlarged photo, while it grows and when it is encoded
STRIP = 45  # for a pixel of the row of tiles that is enlarged just now
FACE_ENLARGED = 100  # for a pixel of an enlarged canvas
FACE_SHARE = 1 / 8  # of a photo that is taken by faces, to guess the size of their canvases
TYPICAL = 12_000_000  # px
CURE = "a smaller photo, or a chain that enlarges less, needs less"
SPEECH = ("DefaultCPUAllocator", "Insufficient memory", "bad_alloc", "bad allocation")  # of torch, OpenCV and C++
CGROUPS = (  # limit, in use: version 2, version 1
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def available() -> int:
    """Bytes that can be had without swapping, within a container's limit."""
    free = [int(psutil.virtual_memory().available)]
    for limit, used in CGROUPS:
        with suppress(OSError, ValueError):  # not there, or "max"
            free.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
    return max(0, min(free))


def needed(width: int, height: int, stages: Sequence[Stage], *, faces: bool = True) -> int:
    """Bytes at the peak for a photo of that size in px on its way through ``stages``, beyond the worker's own.

    As measured with 3, 12 and 48 megapixels. Its faces are not known yet: portraits are assumed, where small photos of
    many people need less; without ``faces`` it is the least that the photo needs.
    """
    pixels = width * height
    at_once = [0.0]
    scale = 1
    for stage in stages:
        if stage.scope == "photo":
            scale *= stage.scale if stage.effect == "enlarge" else 1
            tiles = width * scale * tiling.TILE * stage.scale * STRIP if stage.effect == "enlarge" else 0
            at_once += [pixels * scale**2 * ENLARGED + tiles if stage.effect == "enlarge" else pixels * scale**2 * COPY]
        elif faces and stage.effect == "enlarge":
            at_once.append(pixels * FACE_SHARE * stage.scale**2 * FACE_ENLARGED)
        elif faces:
            at_once.append(pixels * scale**2 * CANVASES)
    written = pixels * scale**2 * WRITTEN if scale > 1 else 0
    return int(pixels * DECODED + max(*at_once, written))


def confine(extra: int) -> None:
    """Let this process have ``extra`` more bytes than it has: beyond that it meets a MemoryError, not the system's
    killer of processes. On Linux; elsewhere there is no such limit.
    """
    if sys.platform == "linux":
        import resource

        has = psutil.Process().memory_info().data
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        limit = has + extra if most == resource.RLIM_INFINITY else min(has + extra, most)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, most))


def ran_out(error: BaseException) -> bool:
    """Whether ``error``, or what it came from, is that there was no more memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(one in str(error) for one in SPEECH):
        return True
    return error.__cause__ is not None and ran_out(error.__cause__)


def text(size: int) -> str:
    """1.5 GB, 20 MB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"


def workers(cores: int) -> int:
    """How many workers there is memory for, each with room for a photo of ``TYPICAL`` px."""
    return max(1, min(cores, available() // (WORKER + TYPICAL * (DECODED + CANVASES))))


def share(workers: int) -> int:
    """Bytes that each of so many workers, not yet started, may take for photos."""
    return max(0, available() // workers - WORKER)
