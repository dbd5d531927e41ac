"""Weights by formula: a tensor of a published checkpoint made from nothing but its key and shape.

So a test rebuilds a whole checkpoint from a ``{key: shape}`` table of ``goldens/shapes``, to the bit on every platform,
and the network runs with what the original code once ran with. ``digest`` tells whether the rebuilding went well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from math import prod, sqrt
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, NDArray[np.float32]]

SHAPES = Path(__file__).parent / "goldens" / "shapes"
CHUNK = 2**16  # words drawn at once: they fit the caches
PAIRS, HALF = 0x0000FFFF0000FFFF, 0xFFFFFFFF
CENTRE, DEVIATION = 131070, sqrt((2.0**32 - 1) / 3)  # of the sum of four uniform 16-bit numbers

# gains that keep outputs neither flat nor saturated
GAINS = {"stargan_d_128": 1.4, "srgan": 0.8, "animegan2": 0.5}

# resampling filters keep the original's values: the binomial filter times a gain
FILTERS = ((r"(upsample|conv\.blur)\.kernel$", 4.0), (r"\.kernel$", 1.0))

# (pattern, mean, deviation) where a model's tensors do not follow the general law; first match wins
EQUALISED = (
    (r"^noises\.|^input\.input$", 0.0, 1.0),
    (r"\.modulation\.bias$", 1.0, 0.1),
    (r"^style\.\d+\.bias$", 0.0, 10.0),
    (r"^style\.\d+\.weight$", 0.0, 100.0),
    (r"noise\.weight$", 0.1, 0.0),
    (r"^to_rgb(1|s\.\d+)\.conv\.weight$", 0.0, 0.35),
    (r"\.weight$", 0.0, 1.0),
)
EXCEPTIONS = {
    "srgan": ((r"^(initial_conv\.2|body\.\d+\.block\.3|upsample\.[37])\.weight$", 0.25, 0.05),),  # PReLU
    "stylegan2_256": EQUALISED,
    "webtoon_swapae": EQUALISED,
}


def noise(key: str, count: int) -> NDArray[np.float64]:
    """Nearly normal numbers (mean 0, variance 1, within ±3.47) that depend on ``key`` alone.

    Each is the sum of the four 16-bit quarters of a raw PCG64 word, centred and scaled.
    """
    source = np.random.PCG64(crc32(key.encode()))
    values = np.empty(count)
    for start in range(0, count, CHUNK):
        words = source.random_raw(min(CHUNK, count - start))
        pairs = (words & PAIRS) + (words >> 16 & PAIRS)
        values[start : start + CHUNK] = (pairs & HALF) + (pairs >> 32)
    values -= CENTRE
    values *= 1 / DEVIATION
    return values


def law(key: str, shape: Sequence[int], model: str) -> tuple[float, float]:
    """Mean and standard deviation of a tensor's values."""
    for pattern, mean, deviation in EXCEPTIONS.get(model, ()):
        if re.search(pattern, key):
            return mean, deviation
    match re.split(r"[./]", key)[-1], len(shape):
        case "kernel", 4:  # TensorFlow: height, width, inputs, outputs
            return 0.0, GAINS.get(model, 1.0) / sqrt(prod(shape[:3]))
        case "weight" | "W", dimensions if dimensions > 1:
            return 0.0, GAINS.get(model, 1.0) / sqrt(prod(shape[1:]))
        case "weight" | "gamma", _:
            return 1.0, 0.1
        case "running_var", _:
            return 1.0, 0.2
        case "bias" | "beta" | "b" | "running_mean", _:
            return 0.0, 0.1
    raise ValueError(f"no law for {key} of shape {tuple(shape)}")


def fill(key: str, shape: Sequence[int], model: str) -> NDArray[np.float32]:
    for pattern, gain in FILTERS:
        if re.search(pattern, key):
            return (np.multiply.outer([1, 3, 3, 1], [1, 3, 3, 1]) * (gain / 64)).astype(np.float32)
    mean, deviation = law(key, shape, model)
    values = noise(key, prod(shape)).reshape(shape)
    if key.endswith("running_var"):
        np.abs(values, out=values)
    values *= deviation
    values += mean
    return values.astype(np.float32)


def fill_all(shapes: Mapping[str, Sequence[int]], model: str) -> Tensors:
    """The checkpoint whose keys and shapes these are; ``model`` picks gain and exceptions."""
    return {key: fill(key, shape, model) for key, shape in shapes.items()}


def published(model: str) -> Tensors:
    """The checkpoint of one of the tables in ``goldens/shapes``, under the keys of the published file."""
    return fill_all(json.loads((SHAPES / f"{model}.json").read_text()), model)


def digest(tensors: Mapping[str, NDArray[np.float32]]) -> str:
    """CRC-32 of keys, shapes and little-endian values, in the order of the keys; 8 hexadecimal digits."""
    crc = 0
    for key in sorted(tensors):
        values = np.ascontiguousarray(tensors[key], "<f4")
        crc = crc32(values.data, crc32(f"{key}{values.shape}".encode(), crc))
    return f"{crc:08x}"
