"""Memory: how much is free, and how much a photo needs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from math import prod
from pathlib import Path

import psutil
import torch

from ganchain.pipeline import tiles as tiling
from ganchain.stage import Stage

WORKER = 700 << 20  # bytes of a worker with its networks, after small photos
WORKER_ON_CARD = 3 << 30  # bytes of a CUDA device for a worker; not measured, on the safe side
DECODED = 26  # bytes for a pixel of the photo: read, with alpha, and written again
CANVASES = 45  # for a pixel of a photo that one face fills
COPY = 18  # for a pixel that a stage draws anew over the whole photo
ENLARGED, WRITTEN = 3, 9  # for a pixel of the enlarged photo, while it grows and when it is encoded
STRIP = 45  # for a pixel of the row of tiles that is being enlarged
FACE_ENLARGED = 100  # for a pixel of an enlarged canvas
FACE_SHARE = 1 / 8  # of a photo that is taken by faces, to guess the size of their canvases
FRAME, CODED = 80, 240  # for a pixel of a video's frame, and of an edited one: those on their way, and the encoder's
TYPICAL = 12_000_000  # px
CURE = "a smaller photo, or a chain that enlarges less, needs less"
# how torch, OpenCV and C++ say it
OUT_OF_MEMORY = ("DefaultCPUAllocator", "Insufficient memory", "bad_alloc", "bad allocation")
CGROUPS = (  # limit, in use: version 2, version 1
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def available() -> int:
    """Measure the free memory in bytes: without swapping, and within a container's limit."""
    free = [int(psutil.virtual_memory().available)]
    for limit, used in CGROUPS:
        with suppress(OSError, ValueError):  # not there, or "max"
            free.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
    return max(0, min(free))


def needed(width: int, height: int, stages: Sequence[Stage], *, faces: bool = True) -> int:
    """Estimate the peak in bytes of a photo of that size in px in ``stages``, beyond the worker's own memory.

    The constants were measured with 3, 12 and 48 megapixels. The photo's faces are not known yet: a portrait is
    assumed, and a photo of many small faces needs less. Without ``faces`` the estimate is the least it needs.
    """
    pixels = width * height
    peaks = [0.0]
    scale = 1
    for stage in stages:
        if stage.scope == "photo":
            scale *= stage.scale if stage.effect == "enlarge" else 1
            tiles = width * scale * tiling.TILE * stage.scale * STRIP if stage.effect == "enlarge" else 0
            peaks += [pixels * scale**2 * ENLARGED + tiles if stage.effect == "enlarge" else pixels * scale**2 * COPY]
        elif faces and stage.effect == "enlarge":
            peaks.append(pixels * FACE_SHARE * stage.scale**2 * FACE_ENLARGED)
        elif faces:
            peaks.append(pixels * scale**2 * CANVASES)
    written = pixels * scale**2 * WRITTEN if scale > 1 else 0
    return int(pixels * DECODED + max(*peaks, written))


def needed_by_video(width: int, height: int, stages: Sequence[Stage]) -> int:
    """Estimate the peak in bytes of a video of that size in px in ``stages``, beyond the worker's own memory."""
    scale = prod(stage.scale for stage in stages if stage.scope == "photo" and stage.effect == "enlarge")
    return needed(width, height, stages) + width * height * (FRAME + CODED * scale**2)


def confine(extra: int) -> None:
    """Limit this process to ``extra`` more bytes than it has now.

    Beyond that it gets a MemoryError, and is not killed by the system. On Linux; elsewhere there is no such limit.
    """
    if sys.platform == "linux":
        import resource

        current = psutil.Process().memory_info().data
        _, hard_limit = resource.getrlimit(resource.RLIMIT_DATA)
        limit = current + extra if hard_limit == resource.RLIM_INFINITY else min(current + extra, hard_limit)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard_limit))


def ran_out(error: BaseException) -> bool:
    """Say whether ``error`` or one of its causes is that memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(part in str(error) for part in OUT_OF_MEMORY):
        return True
    return error.__cause__ is not None and ran_out(error.__cause__)


def text(size: int) -> str:
    """Write a size in bytes: 1.5 GB, 20 MB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"


def workers(cores: int, card: int | None = None) -> int:
    """Count the workers that memory is enough for, at most ``cores``, each with a photo of ``TYPICAL`` px.

    Workers decode, detect and encode beside each other, which takes most of a photo's time; those on a CUDA device
    share it, and each holds its networks and a group's batch there.

    Args:
        card: free bytes of the CUDA device, if there is one.
    """
    enough = min(cores, available() // (WORKER + TYPICAL * (DECODED + CANVASES)))
    return max(1, enough if card is None else min(enough, card // WORKER_ON_CARD))


def share(workers: int) -> int:
    """Divide the free memory: bytes that each of ``workers`` that are not yet started may take for photos."""
    return max(0, available() // workers - WORKER)
