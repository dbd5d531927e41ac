"""Cost of a network: multiply-accumulates and milliseconds for one face."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ganchain.checkpoints import architectures, manifest
from ganchain.evaluate.edits import EDITS

SIDE = 256  # px, side of the picture for networks that take any side
RUNS = 11


def cost(key: str, weights: str | None = None) -> dict[str, float]:
    """Measure the GMAC of the convolutions and matrix products, and the median ms, of one face on this CPU in float32.

    For the weights of a stage the whole stage is measured at its own side, painting and dyeing included.
    """
    network, side = _build(key, weights)
    face = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            network(face)
        times = [_seconds(network, face) for _ in range(RUNS)]
    return {"GMAC": counter.get_total_flops() / 2e9, "ms": 1000 * median(times)}


def _build(key: str, weights: str | None) -> tuple[Callable[[Tensor], Tensor], int]:
    """Build the stage or network of ``key``, and return it with the side in px of its input."""
    if key in EDITS:
        stage = EDITS[key][0].build_stage(weights)
        return stage, stage.side or SIDE
    loaded = manifest.load(weights or key)
    return architectures.build(loaded.architecture, loaded.tensors), SIDE


def _seconds(network: Callable[[Tensor], Tensor], face: Tensor) -> float:
    """Time one call."""
    start = time.perf_counter()
    network(face)
    return time.perf_counter() - start
