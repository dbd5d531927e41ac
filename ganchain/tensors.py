"""Conversion of 8-bit pixels to tensors and back, and resizing; no other module converts them.

pixels: (H, W, 3) or (N, H, W, 3) uint8, RGB, 0..255.
faces:  (N, 3, H, W) float32, RGB, -1..1 (0 -> -1, 255 -> 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

HALF_RANGE = 127.5
LUMA = (0.299, 0.587, 0.114)

Pixels = NDArray[np.uint8]


class ByContent:
    """Base of dataclasses (``eq=False``) whose arrays and tensors are compared by content: ``==`` and ``hash`` work."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_equal(a, b) for a, b in zip(_compared(self), _compared(other), strict=True))

    def __hash__(self) -> int:
        return hash(tuple(_hashable(value) for value in _compared(self)))


def _compared(item: Any) -> list[Any]:
    """List the values that count when ``item``, a dataclass, is compared."""
    return [getattr(item, field.name) for field in fields(item) if field.compare]


def _equal(a: Any, b: Any) -> bool:
    """Compare two values; arrays and tensors of the same type and shape are compared by their elements."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and a.device == b.device and torch.equal(a, b)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, Tensor | np.ndarray) or isinstance(b, Tensor | np.ndarray):
        return False
    if isinstance(a, list | tuple) and type(a) is type(b):
        return len(a) == len(b) and all(map(_equal, a, b))
    return bool(a == b)


def _hashable(value: Any) -> Any:
    """Stand in for a value that has no hash: an array by its shape, since equal ones have equal shapes."""
    if isinstance(value, Tensor | np.ndarray):
        return tuple(value.shape)
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def to_faces(pixels: Pixels) -> Tensor:
    """Convert pixels: (H, W, 3) or (N, H, W, 3) uint8 0..255 -> (N, 3, H, W) float32 -1..1."""
    batch = torch.from_numpy(np.array(pixels))  # a copy: the caller's array may be read-only
    if batch.ndim == 3:
        batch = batch[None]
    return batch.permute(0, 3, 1, 2).float().div_(HALF_RANGE).sub_(1)  # in place: pictures are large


def to_pixels(faces: Tensor) -> Pixels:
    """Convert faces: (N, 3, H, W) float -1..1 -> (N, H, W, 3) uint8 0..255, clamped and rounded to nearest."""
    if faces.shape[:2] != (1, 3) or faces.device.type != "cpu":
        levels = (faces.float() + 1).mul_(HALF_RANGE).round_().clamp_(0, 255).to(torch.uint8).cpu()
        return levels.permute(0, 2, 3, 1).contiguous().numpy()
    planes = [  # in a fifth of the time
        cv2.addWeighted(plane, HALF_RANGE, plane, 0, HALF_RANGE, dtype=cv2.CV_8U)
        for plane in faces[0].detach().float().numpy()
    ]
    return np.asarray(cv2.merge(planes), np.uint8)[None]


def levels(change: Tensor) -> Tensor:
    """Express a change in -2..2 in 8-bit levels (-255..255), not rounded."""
    return change * HALF_RANGE


def with_light_of(images: Tensor, edited: Tensor) -> Tensor:
    """Give ``images`` (N, 3, H, W) the luma (ITU-R BT.601) of ``edited``, of the same shape, and keep their colour."""
    change = edited - images
    return images + (change * change.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample (N, C, H, W) to (N, C, *size): bicubic up, antialiased down; pixel centres keep their place."""
    if tuple(images.shape[2:]) == size:
        return images
    return F.interpolate(images, size=size, mode="bicubic", align_corners=False, antialias=True)


def resampled(x: Tensor, size: Sequence[int]) -> Tensor:
    """Resample (N, C, H, W) to (N, C, *size): means over areas if that is smaller, and else bilinear between centres.

    On a CPU OpenCV does it, in a tenth of the time that ``resize`` takes.
    """
    height, width = size
    if tuple(x.shape[2:]) == (height, width):
        return x
    smaller = height < x.shape[2] or width < x.shape[3]
    if x.device.type != "cpu" or x.requires_grad:
        return F.interpolate(x, size=(height, width), mode="area" if smaller else "bilinear")
    kind = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    planes = [cv2.resize(plane, (width, height), interpolation=kind) for plane in x.flatten(0, 1).float().numpy()]
    return torch.from_numpy(np.stack(planes)).view(*x.shape[:2], height, width).to(x.dtype)


def pooled(x: Tensor, step: int) -> Tensor:
    """Average (N, C, H, W) over squares of about ``step`` px: (N, C, H / step, W / step), rounded up."""
    return resampled(x, [-(-length // step) for length in x.shape[2:]])


def bicubic(images: Tensor, factor: int) -> Tensor:
    """Enlarge (N, C, H, W) to (N, C, H * factor, W * factor) by Keys' cubic with a = -0.75; not clamped.

    It equals ``F.interpolate(mode="bicubic")`` to 1e-6; on a CPU OpenCV does it in a tenth of the time.
    """
    if images.device.type != "cpu" or images.requires_grad:
        return F.interpolate(images, scale_factor=float(factor), mode="bicubic", align_corners=False)
    n, channels, height, width = images.shape
    enlarged = torch.empty(n, channels, height * factor, width * factor)
    planes, targets = (x.view(-1, *x.shape[2:]).numpy() for x in (images.float().contiguous(), enlarged))
    for plane, target in zip(planes, targets, strict=True):
        cv2.resize(plane, target.shape[::-1], dst=target, interpolation=cv2.INTER_CUBIC)
    return enlarged.to(images)


def averaged(pixels: Pixels, step: int) -> Pixels:
    """Reduce (H, W, 3) uint8 to means over squares of ``step`` px; incomplete squares at the edge are left out."""
    if step <= 1 or min(pixels.shape[:2]) < step:
        return pixels
    height, width = (side // step * step for side in pixels.shape[:2])
    size = (width // step, height // step)
    return np.asarray(cv2.resize(pixels[:height, :width], size, interpolation=cv2.INTER_AREA), np.uint8)
