"""Covers, light and camera, varied at random on whatever device the faces lie.

Random numbers come from torch's generator of the device.
"""

from __future__ import annotations

from math import pi

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (  # JPEG's table of quantisation at quality 50
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)


def covered(faces: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Put things before some faces (N, 3, S, S) 0..1; also return which points (N, K) lie under them, 0..1.

    Blobs, bars, whatever hides all below a line, dark glasses; in one colour, as skin or as a part of another picture.
    """
    n, side, device = len(faces), faces.shape[-1], faces.device
    across = (points[:, 454] - points[:, 234]).norm(dim=1).clamp(0.2, 2.0)
    under = torch.zeros(points.shape[:2], device=device)
    axis = (torch.arange(side, device=device) + 0.5) * 2 / side - 1
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).view(1, -1, 2).expand(n, -1, -1)
    eyes = points[:, [468, 473]]
    tilt = torch.atan2(eyes[:, 1, 1] - eyes[:, 0, 1], eyes[:, 1, 0] - eyes[:, 0, 0])
    glasses, clear_view = likely(n, 0.05, device), likely(n, 0.45, device)
    for number in range(2):
        kind = torch.where(clear_view, 1.0, torch.rand(n, device=device))
        blob, bar, below = kind < 0.17, (kind >= 0.17) & (kind < 0.27), (kind >= 0.27) & (kind < 0.32)
        target = points[torch.arange(n, device=device), torch.randint(points.shape[1], (n,), device=device)]
        centre = target + 0.15 * torch.randn(n, 2, device=device) * across[:, None]
        angle = torch.where(below, tilt + 0.2 * torch.randn(n, device=device), pi * either(n, device))
        half = across[:, None] * (0.08 + 0.35 * torch.rand(n, 2, device=device))
        half[:, 0] = torch.where(bar, 2.5, torch.where(below, 9.0, half[:, 0]))
        half[:, 1] = torch.where(bar, across * (0.02 + 0.12 * uniform(n, device)), torch.where(below, 9.0, half[:, 1]))
        down = torch.stack([-angle.sin(), angle.cos()], dim=1)
        low = points[:, 2] + down * across[:, None] * 0.25 * either(n, device)[:, None] + 9.0 * down
        centre = torch.where(below[:, None], low, centre)
        centre = torch.where(glasses[:, None], eyes[:, number], centre)
        half = torch.where(glasses[:, None], across[:, None] * torch.tensor([0.22, 0.16], device=device), half)
        angle = torch.where(glasses, tilt, angle)
        shown = blob | bar | below | glasses
        power = torch.where(likely(n, 0.5, device), 2.0, 6.0)
        soft = torch.exp(-2.5 * uniform(n, device)) * 40
        shape = (centre, half, angle, power, soft)
        mask = (_blob(grid, *shape) * shown[:, None]).view(n, 1, side, side)
        paint = _paint(faces, points, glasses & shown)
        clear = torch.where(glasses, 0.3 * uniform(n, device), 0.0)[:, None, None, None]
        faces = faces + mask * (1 - clear) * (paint - faces)
        under = torch.maximum(under, _blob(points, *shape) * (shown & ~glasses)[:, None])
    return faces, under


def filmed(faces: Tensor) -> Tensor:
    """Show faces (N, 3, S, S) 0..1 in another light, by another camera: colour, blur, few pixels, noise, JPEG."""
    n, device = len(faces), faces.device

    def each(chance: float, values: Tensor, neutral: float) -> Tensor:
        return torch.where(likely(n, chance, device), values, neutral)[:, None, None, None]

    def channels(spread: float) -> Tensor:
        return torch.exp(spread * torch.randn(n, 3, device=device))[:, :, None, None]

    grey = faces.mean(dim=1, keepdim=True)
    colour = torch.where(likely(n, 0.15, device), 0.0, 0.2 + 1.2 * uniform(n, device))
    faces = grey + (faces - grey) * each(0.54, colour, 1.0)
    mean = faces.mean(dim=(1, 2, 3), keepdim=True)
    faces = mean + (faces - mean) * each(0.6, torch.exp(0.28 * torch.randn(n, device=device)), 1.0)
    faces = faces * each(0.6, torch.exp(0.25 * torch.randn(n, device=device)), 1.0) * channels(0.08)
    slope = torch.randn(n, 1, 2, 2, device=device) * each(0.3, torch.full((n,), 0.35, device=device), 0.0)
    faces = faces * torch.exp(F.interpolate(slope, size=faces.shape[2:], mode="bilinear", align_corners=True))
    faces = faces.clamp(0, 1) ** each(0.5, torch.exp(0.35 * torch.randn(n, device=device)), 1.0)
    chunks = []
    for chunk in faces.chunk(4):
        dice = torch.rand(4).tolist()
        if dice[0] < 0.3:
            chunk = _blurred(chunk, 0.4 + 2.4 * dice[1] ** 2)
        if dice[2] < 0.5:
            few = int(44 + 180 * dice[3])
            chunk = F.interpolate(chunk, (few, few), mode="bilinear", align_corners=False, antialias=True)
            chunk = F.interpolate(chunk, faces.shape[2:], mode="bilinear", align_corners=False)
        chunks.append(chunk)
    faces = torch.cat(chunks)
    faces = faces + torch.randn_like(faces) * each(0.4, 0.06 * uniform(n, device) ** 2, 0.0)
    return torch.where(likely(n, 0.4, device)[:, None, None, None], _jpeg(faces.clamp(0, 1)), faces).clamp(0, 1)


def uniform(n: int, device: torch.device) -> Tensor:
    """Draw ``n`` numbers in 0..1."""
    return torch.rand(n, device=device)


def either(n: int, device: torch.device) -> Tensor:
    """Draw ``n`` numbers in -1..1."""
    return torch.rand(n, device=device) * 2 - 1


def likely(n: int, share: float, device: torch.device) -> Tensor:
    """Draw ``n`` truth values, of which about ``share`` are true."""
    return torch.rand(n, device=device) < share


def direction(n: int, device: torch.device) -> Tensor:
    """Draw ``n`` vectors of length 1: (n, 2)."""
    angle = 2 * pi * torch.rand(n, device=device)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def _blob(at: Tensor, centre: Tensor, half: Tensor, angle: Tensor, power: Tensor, soft: Tensor) -> Tensor:
    """Measure how far places (N, K, 2) lie inside a superellipse: (N, K) 0..1."""
    off = at - centre[:, None]
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    x = (off[..., 0] * cos + off[..., 1] * sin) / half[:, :1]
    y = (off[..., 1] * cos - off[..., 0] * sin) / half[:, 1:]
    p = power[:, None]
    radius = (x.abs().clamp(1e-4, 20) ** p + y.abs().clamp(1e-4, 20) ** p) ** (1 / p)
    return torch.sigmoid((1 - radius) * half.amin(dim=1, keepdim=True) * 4 * soft[:, None])


def _paint(faces: Tensor, points: Tensor, dark: Tensor) -> Tensor:
    """Make what covers are painted with: (N, 3, S, S) 0..1."""
    n, device = len(faces), faces.device
    kind = torch.rand(n, 1, 1, 1, device=device)
    others = faces.roll(1, dims=0)
    skin = F.grid_sample(others, points.roll(1, dims=0)[:, None, [50, 280]], align_corners=False).mean(dim=3)
    flat = torch.rand(n, 3, 1, 1, device=device) ** 1.5
    flat = torch.where(kind < 0.4, skin[..., None], flat)
    shade = 1 + 0.25 * torch.randn(n, 1, 3, 3, device=device)
    flat = (flat * F.interpolate(shade, size=faces.shape[2:], mode="bilinear", align_corners=True)).clamp(0, 1)
    part = others.flip(2)
    dark = dark[:, None, None, None]
    return torch.where(dark, 0.25 * flat, torch.where(kind > 0.65, part, flat))


def _blurred(faces: Tensor, sigma: float) -> Tensor:
    reach = max(1, round(2.5 * sigma))
    axis = torch.arange(-reach, reach + 1, device=faces.device, dtype=faces.dtype)
    kernel = torch.exp(-0.5 * (axis / sigma).square())
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    faces = F.conv2d(F.pad(faces, (reach, reach, 0, 0), mode="replicate"), kernel, groups=3)
    return F.conv2d(F.pad(faces, (0, 0, reach, reach), mode="replicate"), kernel.transpose(2, 3), groups=3)


def _jpeg(faces: Tensor) -> Tensor:
    """Do what JPEG does in blocks of 8 px, qualities 20 to 80, colours twice as coarse. Sides are divisible by 8."""
    n, _, side, _ = faces.shape
    device = faces.device
    luma = torch.tensor([0.299, 0.587, 0.114], device=device)
    y = torch.einsum("nchw,c->nhw", faces, luma)[:, None]
    planes = torch.cat([y - 0.5, faces[:, 2:] - y, faces[:, :1] - y], dim=1)
    step = torch.arange(8, device=device)
    cosine = torch.cos((2 * step[None] + 1) * step[:, None] * pi / 16) * 0.5
    cosine[0] /= 2**0.5
    blocks = planes.view(n, 3, side // 8, 8, side // 8, 8).permute(0, 1, 2, 4, 3, 5)
    table = torch.tensor(LUMA, device=device).view(8, 8) / 255
    quality = 20 + 60 * torch.rand(n, device=device)
    factor = torch.where(quality < 50, 50 / quality, 2 - quality / 50)
    coarser = torch.tensor([1.0, 2, 2], device=device).view(3, 1, 1, 1, 1)
    table = table * factor[:, None, None, None, None, None] * coarser
    coarse = (cosine @ blocks @ cosine.T / table).round() * table
    planes = (cosine.T @ coarse @ cosine).permute(0, 1, 2, 4, 3, 5).reshape(n, 3, side, side)
    y, blue, red = planes[:, :1] + 0.5, planes[:, 1:2], planes[:, 2:]
    green = -(luma[0] * red + luma[2] * blue) / luma[1]
    return torch.cat([y + red, y + green, y + blue], dim=1)
