"""The one place that knows how 8-bit pixels become tensors.

pixels: (H, W, 3) or (N, H, W, 3) uint8, RGB, 0..255.
faces:  (N, 3, H, W) float32, RGB, -1..1 (0 -> -1, 255 -> 1).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

HALF_RANGE = 127.5

Pixels = NDArray[np.uint8]


def to_faces(pixels: Pixels) -> Tensor:
    """(H, W, 3) or (N, H, W, 3) uint8 0..255 -> (N, 3, H, W) float32 -1..1."""
    batch = torch.from_numpy(np.array(pixels))  # a copy: the caller's array may be read-only
    if batch.ndim == 3:
        batch = batch[None]
    return batch.permute(0, 3, 1, 2).float() / HALF_RANGE - 1


def to_pixels(faces: Tensor) -> Pixels:
    """(N, 3, H, W) float -1..1 -> (N, H, W, 3) uint8 0..255, clamped and rounded to nearest."""
    levels = ((faces.float() + 1) * HALF_RANGE).round().clamp(0, 255).to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def levels(change: Tensor) -> Tensor:
    """A change in -2..2 expressed in 8-bit levels (-255..255), not rounded."""
    return change * HALF_RANGE


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample (N, C, H, W) to (N, C, *size): bicubic up, antialiased down; pixel centres keep their place."""
    if tuple(images.shape[2:]) == size:
        return images
    return F.interpolate(images, size=size, mode="bicubic", align_corners=False, antialias=True)
