"""Conversion of 8-bit pixels to tensors and back, and resizing; no other module converts them.

pixels: (H, W, 3) or (N, H, W, 3) uint8, RGB, 0..255.
faces:  (N, 3, H, W) float32, RGB, -1..1 (0 -> -1, 255 -> 1).
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

HALF_RANGE = 127.5

Pixels = NDArray[np.uint8]


def to_faces(pixels: Pixels) -> Tensor:
    """Convert pixels: (H, W, 3) or (N, H, W, 3) uint8 0..255 -> (N, 3, H, W) float32 -1..1."""
    batch = torch.from_numpy(np.array(pixels))  # a copy: the caller's array may be read-only
    if batch.ndim == 3:
        batch = batch[None]
    return batch.permute(0, 3, 1, 2).float() / HALF_RANGE - 1


def to_pixels(faces: Tensor) -> Pixels:
    """Convert faces: (N, 3, H, W) float -1..1 -> (N, H, W, 3) uint8 0..255, clamped and rounded to nearest."""
    levels = ((faces.float() + 1) * HALF_RANGE).round().clamp(0, 255).to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def levels(change: Tensor) -> Tensor:
    """Express a change in -2..2 in 8-bit levels (-255..255), not rounded."""
    return change * HALF_RANGE


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample (N, C, H, W) to (N, C, *size): bicubic up, antialiased down; pixel centres keep their place."""
    if tuple(images.shape[2:]) == size:
        return images
    return F.interpolate(images, size=size, mode="bicubic", align_corners=False, antialias=True)


def bicubic(images: Tensor, factor: int) -> Tensor:
    """Enlarge (N, C, H, W) to (N, C, H * factor, W * factor) by Keys' cubic with a = -0.75; not clamped.

    It equals ``F.interpolate(mode="bicubic")`` to 1e-6; on a CPU OpenCV does it in a tenth of the time.
    """
    if images.device.type != "cpu" or images.requires_grad:
        return F.interpolate(images, scale_factor=float(factor), mode="bicubic", align_corners=False)
    n, channels, height, width = images.shape
    size = (width * factor, height * factor)
    planes = images.float().reshape(-1, height, width).numpy()
    enlarged = [torch.from_numpy(cv2.resize(plane, size, interpolation=cv2.INTER_CUBIC)) for plane in planes]
    return torch.stack(enlarged).reshape(n, channels, size[1], size[0]).to(images)


def averaged(pixels: Pixels, step: int) -> Pixels:
    """Reduce (H, W, 3) uint8 to means over squares of ``step`` px; incomplete squares at the edge are left out."""
    if step <= 1 or min(pixels.shape[:2]) < step:
        return pixels
    height, width = (side // step * step for side in pixels.shape[:2])
    size = (width // step, height // step)
    return cv2.resize(pixels[:height, :width], size, interpolation=cv2.INTER_AREA).astype(np.uint8)
