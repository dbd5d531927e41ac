"""Cost of a network: multiply-accumulates and milliseconds for one face."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from ganchain.checkpoints import architectures, manifest
from ganchain.engines.probe import probe
from ganchain.evaluate.edits import EDITS

SIDE = 256  # px, side of the picture for networks that take any side
RUNS = 11


def cost(key: str, weights: str | None = None) -> dict[str, float]:
    """Measure the GMAC of the convolutions and matrix products, and the median ms, of one face on this CPU in float32.

    For the weights of a stage, and for its edits, the whole stage is measured at its own side, painting and dyeing
    included, and without the networks that read the face for all stages ("points", "parts").
    """
    run = _build(key, weights)
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            run()
        times = [_seconds(run) for _ in range(RUNS)]
    return {"GMAC": counter.get_total_flops() / 2e9, "ms": 1000 * median(times)}


def _build(key: str, weights: str | None) -> Callable[[], object]:
    """Build the stage or network of ``key``; returns a call that runs it on one face."""
    if key in EDITS:
        stage = EDITS[key][0].build_stage(weights)
        stage_face, read = probe(stage, torch.device("cpu"))
        return lambda: stage(stage_face, **read)
    loaded = manifest.load(weights or key)
    network = architectures.build(loaded.architecture, loaded.tensors)
    face = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return lambda: network(face)


def _seconds(run: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
