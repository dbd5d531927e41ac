"""What a network costs: multiply-accumulates and milliseconds for one face."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ganchain.checkpoints import architectures, manifest
from ganchain.evaluate.edits import EDITS

SIDE = 256  # px, of a picture for networks that take any side
RUNS = 11


def cost(key: str, weights: str | None = None) -> dict[str, float]:
    """GMAC of the convolutions and matrix products, and the median ms, of one face on this CPU in float32.

    Of a stage's weights the whole stage at its own side is measured, painting and dyeing included.
    """
    work, side = _work(key, weights)
    face = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            work(face)
        times = [_seconds(work, face) for _ in range(RUNS)]
    return {"GMAC": counter.get_total_flops() / 2e9, "ms": 1000 * median(times)}


def _work(key: str, weights: str | None) -> tuple[Callable[[Tensor], Tensor], int]:
    if key in EDITS:
        stage = EDITS[key][0].built(weights)
        return stage, stage.side or SIDE
    loaded = manifest.load(weights or key)
    return architectures.build(loaded.architecture, loaded.tensors), SIDE


def _seconds(work: Callable[[Tensor], Tensor], face: Tensor) -> float:
    start = time.perf_counter()
    work(face)
    return time.perf_counter() - start
