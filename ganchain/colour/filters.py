"""Filters of planes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def blur(x: Tensor, sigma: float) -> Tensor:
    """Blur with a Gaussian of ``sigma`` px, the border reflected: (N, 1, H, W) -> the same."""
    radius = min(max(1, round(3 * sigma)), x.shape[2] - 1, x.shape[3] - 1)
    place = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-(place**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum())[None, None, None]
    x = F.conv2d(F.pad(x, (radius, radius, radius, radius), mode="reflect"), kernel)
    return F.conv2d(x, kernel.mT)
