"""Filters of planes."""

from __future__ import annotations

from types import EllipsisType

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Box = tuple[EllipsisType, slice, slice]  # a part of pictures (N, C, H, W)

BROAD = 6.0  # px: a Gaussian of at least twice this is blurred at a smaller size, where its sigma is at least this


def blur(x: Tensor, sigma: float) -> Tensor:
    """Blur with a Gaussian of ``sigma`` px, the border reflected: (N, C, H, W) -> the same.

    On a CPU OpenCV does it, and broad ones at a smaller size; where gradients are wanted, torch does.
    """
    if x.device.type == "cpu" and not x.requires_grad:
        planes = x.reshape(-1, *x.shape[2:]).float().numpy()
        return torch.from_numpy(np.stack([_blurred(plane, sigma) for plane in planes])).reshape(x.shape).to(x.dtype)
    radius = _radius(x.shape[2:], sigma)
    kernel = _kernel(radius, sigma).to(x)[None, None, None]
    padded = F.pad(x.reshape(-1, 1, *x.shape[2:]), (radius, radius, radius, radius), mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel), kernel.mT).reshape(x.shape)


def averaged(planes: NDArray[np.float32], weight: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Blur planes (S, S, 3) as far as ``weight`` (S, S) has them."""
    total = cv2.GaussianBlur(weight, (0, 0), sigma)[..., None] + 1e-3
    return np.asarray(cv2.GaussianBlur(planes * weight[..., None], (0, 0), sigma) / total, np.float32)


def disc(radius: float) -> NDArray[np.uint8]:
    """Make a disc of ``radius`` px to grow planes with."""
    side = 2 * round(radius) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def extent(matte: Tensor, margin: int = 0) -> Box | None:
    """Find the smallest part of (N, 1, H, W) that holds a matte, and ``margin`` px around; None if it is empty."""
    rows, columns = ((matte > 0).any(dim=0)[0].any(dim=axis).nonzero()[:, 0].tolist() for axis in (1, 0))
    if not rows:
        return None
    top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
    return ..., slice(top, rows[-1] + 1 + margin), slice(left, columns[-1] + 1 + margin)


def _blurred(plane: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    height, width = plane.shape
    step = max(1, int(sigma // BROAD))
    size = (-(-width // step), -(-height // step))
    small = plane if step == 1 else np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)
    kernel = _kernel(_radius(small.shape, sigma / step), sigma / step).numpy()
    border = cv2.BORDER_REFLECT_101 if step == 1 else cv2.BORDER_REFLECT  # about the same px of the plane
    soft = cv2.sepFilter2D(small, -1, kernel, kernel, borderType=border)
    return np.asarray(soft if step == 1 else cv2.resize(soft, (width, height)), np.float32)


def _radius(shape: tuple[int, ...], sigma: float) -> int:
    return min(max(1, round(3 * sigma)), shape[-2] - 1, shape[-1] - 1)


def _kernel(radius: int, sigma: float) -> Tensor:
    """Compute the weights of a Gaussian: (2 * radius + 1,), which add up to 1."""
    place = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-(place**2) / (2 * sigma**2))
    return kernel / kernel.sum()
