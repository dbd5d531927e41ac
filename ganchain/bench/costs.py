"""Cost of one face in each stage of a chain, by every engine there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ganchain.chains import Chain
from ganchain.engines.choice import Choice, Measurement
from ganchain.engines.half import dtype
from ganchain.engines.probe import probe
from ganchain.pipeline.pipeline import Pipeline
from ganchain.stage import Stage


@dataclass(frozen=True)
class StageCost:
    """Cost of one face in a stage, all of its arithmetic included.

    Attributes:
        side: side of the face in px.
        gmac: multiply-accumulates of its convolutions and matrix products, in 1e9.
        engine: the engine that runs the stage in the chain.
        gflops: 1e9 floating point operations a second by that engine, two a multiply-accumulate.
        share: share of the rate of the matrix product in that engine's precision.
        engines: what was measured of each engine.
    """

    side: int
    gmac: float
    engine: str
    gflops: float
    share: float
    engines: dict[str, Measurement]


def costs(chain: Chain, pipeline: Pipeline, products: dict[str, float]) -> dict[str, StageCost]:
    """Measure the costs by the stages' names, on a chain of its own, so that ``pipeline`` keeps its engines."""
    plain = Pipeline.from_chain(chain, device=pipeline.device)
    plain.prepare()
    return {
        name: _cost(stage, pipeline.engines[name], products, pipeline.device)
        for name, stage in zip(plain.names, plain.stages, strict=True)
    }


def _cost(stage: Stage, label: str, products: dict[str, float], device: torch.device) -> StageCost:
    """Measure one stage; ``label`` is the engine that the chain uses."""
    face, read = probe(stage, device)
    gmac = multiply_accumulates(stage, face, read) / 1e9
    measured = Choice(stage, device).measured
    seconds = measured[label].seconds
    gflops = 2 * gmac / seconds if seconds else 0.0
    half = dtype(device)
    precision = str(half).removeprefix("torch.") if label not in ("torch", "openvino") and half else "float32"
    return StageCost(face.shape[-1], gmac, label, gflops, gflops / products[precision], measured)


def multiply_accumulates(stage: Stage, faces: Tensor, read: Mapping[str, Tensor] | None = None) -> int:
    """Count those of the convolutions and matrix products, as torch does; the stage must be on plain torch."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        stage(faces, **(read or {}))
    return counter.get_total_flops() // 2
