"""Effects of a camera and a file on a picture, batched on the device: framing, light, colour, blur, noise, JPEG."""

from __future__ import annotations

from functools import cache
from math import cos, pi, sqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from ganchain.train.teachers.drawn import grid, noise, turned, uniform

LUMA = (0.299, 0.587, 0.114)


def _some(x: Tensor, chance: float) -> Tensor:
    return (torch.rand(len(x), 1, 1, 1, device=x.device) < chance).float()


def framed(x: Tensor, theta: Tensor, strip: Tensor, middle: Tensor | float = 0, half: float | Tensor = 1) -> Tensor:
    """Resample (N, C, S, S) planes by affine maps; what comes in from beyond the border is mirrored.

    Args:
        theta: (N, 2, 3) as of ``affine_grid``.
        strip: (N, 1, 1, 2 or 1), how wide a strip along the border is mirrored again and again; 2 is the whole picture.
        middle, half: the box (-1..1) whose border that is, where it is not the picture; broadcast to (N, S, S, 2).

    Returns:
        (N, C + 1, S, S): the planes, and 1 where they are from within the border.
    """
    flow = (F.affine_grid(theta, list(x.shape), align_corners=False) - middle) / half
    over = (flow.abs() - 1).clamp(min=0)
    back = strip - ((over % (2 * strip)) - strip).abs()
    flow = flow.sign() * (flow.abs().clamp(max=1) - back) * half + middle
    moved = F.grid_sample(x, flow, mode="bilinear", padding_mode="reflection", align_corners=False)
    return torch.cat([moved, (over.amax(dim=3) == 0).to(x)[:, None]], dim=1)


def photographed(x: Tensor) -> Tensor:
    """Vary light, colour and quality of (N, 3, S, S) RGB 0..1 pictures, each in its own way."""
    n, size = len(x), x.shape[-1]
    like = x
    columns, rows = grid(x, size)
    u, _ = turned(columns, rows, uniform(like, n, 0, size), uniform(like, n, 0, size), uniform(like, n, 0, 2 * pi))
    slope = torch.tanh(u / size * 2)[:, None] * 0.35 * torch.rand(n, 1, 1, 1, device=x.device) * _some(x, 0.5)
    lumps = noise(like, n, size, 5)
    border = torch.sigmoid(u[:, None] / (1 + 12 * torch.rand(n, 1, 1, 1, device=x.device)) + 3 * lumps)
    shadow = border * 0.6 * torch.rand(n, 1, 1, 1, device=x.device) * _some(x, 0.15)
    x = x * (1 + slope) * (1 - shadow)
    gamma = torch.exp(0.35 * torch.randn(n, 1, 1, 1, device=x.device).clamp(-2, 2))
    x = x.clamp(0.001, 1) ** gamma
    tint = torch.exp(0.09 * torch.randn(n, 3, 1, 1, device=x.device))
    gain = torch.exp(0.15 * torch.randn(n, 1, 1, 1, device=x.device))
    x = x * tint * gain
    luma = (x * x.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)
    vivid = (0.4 + 1.1 * torch.rand(n, 1, 1, 1, device=x.device)) * (1 - _some(x, 0.07))
    x = torch.lerp(luma, x, torch.where(_some(x, 0.5) > 0, vivid, vivid.clamp(max=1).round()))
    contrast = 1 + 0.35 * (2 * torch.rand(n, 1, 1, 1, device=x.device) - 1)
    x = ((x - 0.5) * contrast + 0.5).clamp(0, 1)
    x = torch.lerp(x, _coarse(x), _some(x, 0.35))
    grain = torch.randn_like(x) * 0.06 * torch.rand(n, 1, 1, 1, device=x.device) ** 2
    x = (x + grain * _some(x, 0.5)).clamp(0, 1)
    return torch.lerp(x, compressed(x), _some(x, 0.4))


def _coarse(x: Tensor) -> Tensor:
    """Make each picture small and enlarge it again (one size for a quarter of the batch)."""
    size = x.shape[-1]
    made = []
    for part in x.chunk(4):
        side = int(size * float(torch.empty(()).uniform_(0.2, 0.85)))
        small = F.interpolate(part, (side, side), mode="bilinear", antialias=True)
        made.append(F.interpolate(small, (size, size), mode="bicubic").clamp(0, 1))
    return torch.cat(made)


@cache
def _cosines(device: torch.device) -> Tensor:
    rows = [[sqrt((1 if k == 0 else 2) / 8) * cos((2 * i + 1) * k * pi / 16) for i in range(8)] for k in range(8)]
    return torch.tensor(rows, device=device)


def compressed(x: Tensor) -> Tensor:
    """Coarsen the 8 x 8 cosine coefficients as JPEG does, at a quality of its own for each picture."""
    n, _, h, w = x.shape
    basis = _cosines(x.device)
    with torch.autocast(x.device.type, enabled=False):
        luma = (x.float() * x.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)
        planes = torch.cat([luma, x.float()[:, :1] - luma, x.float()[:, 2:] - luma], dim=1)
        blocks = planes.view(n, 3, h // 8, 8, w // 8, 8).permute(0, 1, 2, 4, 3, 5)
        waves = basis @ blocks @ basis.T
        frequency = torch.arange(8, device=x.device).float()
        step = 0.012 + 0.012 * (frequency[:, None] + frequency[None])
        coarse = torch.exp(3.0 * torch.rand(n, 1, 1, 1, 1, 1, device=x.device) - 0.7)
        step = step * coarse * x.new_tensor([1.0, 2.0, 2.0])[:, None, None, None, None]
        waves = torch.round(waves / step) * step
        planes = (basis.T @ waves @ basis).permute(0, 1, 2, 4, 3, 5).reshape(n, 3, h, w)
        red, blue = planes[:, 1:2] + planes[:, :1], planes[:, 2:] + planes[:, :1]
        green = (planes[:, :1] - LUMA[0] * red - LUMA[2] * blue) / LUMA[1]
    return torch.cat([red, green, blue], dim=1).clamp(0, 1)
