"""Tools to draw things over faces so that their mattes are exactly known; used by ``covers`` and ``worn``.

Everything is drawn from signed distances on the whole grid of pixels at once, batched, on whatever device the pictures
are, with torch's own random numbers: each step of a training sees new ones. Colours are RGB 0..1, lengths pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(eq=False)
class Faces:
    """N heads, as far as drawing must know them.

    Attributes:
        pixels: (N, 3, S, S) RGB 0..1.
        points: (N, 478, 2) in pixels.
        hair: (N, 1, S, S) 0..1.
        mask: (N, 1, S, S) 0..1, where a mask over mouth and nose lies.
        textures: (T, 3, R, R) 0..1, pieces of photos.
    """

    pixels: Tensor
    points: Tensor
    hair: Tensor
    mask: Tensor
    textures: Tensor

    def of(self, rows: Tensor) -> Faces:
        """Pick the heads of ``rows``."""
        return Faces(self.pixels[rows], self.points[rows], self.hair[rows], self.mask[rows], self.textures)

    @property
    def size(self) -> int:
        """Side of the pictures, px."""
        return int(self.pixels.shape[-1])


Drawn = tuple[Tensor, Tensor]  # colours (N, 3, S, S), matte (N, 1, S, S)


def uniform(like: Tensor, count: int, low: float, high: float) -> Tensor:
    """Draw ``count`` numbers between ``low`` and ``high`` where ``like`` is: (count, 1, 1)."""
    return torch.rand(count, 1, 1, device=like.device) * (high - low) + low


def grid(like: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return columns and rows of the pixels: (1, size), (size, 1) to be broadcast."""
    line = torch.arange(size, device=like.device, dtype=torch.float32)
    return line[None, None, :], line[None, :, None]


def noise(like: Tensor, count: int, size: int, cells: int, stretch: int = 1) -> Tensor:
    """Make smooth noise of ``cells`` lumps a side, about -1..1: (count, 1, size, size)."""
    seeds = torch.randn(count, 1, max(2, cells // stretch), cells, device=like.device)
    return F.interpolate(seeds, (size, size), mode="bicubic", align_corners=False)


def edge(distance: Tensor, soft: Tensor | float) -> Tensor:
    """Make a matte of a signed distance: 1 well inside, 0 outside, ``soft`` pixels of edge."""
    return torch.sigmoid(-2.5 * distance / soft)


def capsule(x: Tensor, y: Tensor, a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor], r: Tensor, s: Tensor) -> Tensor:
    """Compute the signed distance to a stroke from ``a`` (radius ``r``) to ``b`` (radius ``s``)."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    t = (((x - a[0]) * dx + (y - a[1]) * dy) / (dx * dx + dy * dy + 1e-3)).clamp(0, 1)
    return torch.sqrt((x - a[0] - t * dx) ** 2 + (y - a[1] - t * dy) ** 2 + 1e-4) - torch.lerp(r, s, t)


def turned(x: Tensor, y: Tensor, cx: Tensor, cy: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Compute coordinates in a frame centred on (cx, cy) and turned by ``angle``."""
    c, s = torch.cos(angle), torch.sin(angle)
    return (x - cx) * c + (y - cy) * s, -(x - cx) * s + (y - cy) * c


def colour(like: Tensor, count: int) -> Tensor:
    """Draw a colour each, often dull, dark or light: (count, 3, 1, 1)."""
    value = torch.rand(count, 1, 1, 1, device=like.device) ** 0.8
    vivid = torch.rand(count, 1, 1, 1, device=like.device) ** 2
    return (value + vivid * 0.8 * (torch.rand(count, 3, 1, 1, device=like.device) - 0.5)).clamp(0.02, 0.98)


def texture(faces: Faces, count: int, zoom: tuple[float, float] = (0.35, 1.6)) -> Tensor:
    """Cut pieces of photos, turned, scaled and tinted: (count, 3, S, S)."""
    pool, size = faces.textures, faces.size
    picked = pool[torch.randint(len(pool), (count,), device=pool.device)]
    angle = torch.rand(count, device=pool.device) * 2 * pi
    scale = torch.exp(torch.rand(count, device=pool.device) * torch.log(torch.tensor(zoom[1] / zoom[0]))) * zoom[0]
    c, s, shift = torch.cos(angle) * scale, torch.sin(angle) * scale, torch.rand(count, 2, device=pool.device) - 0.5
    theta = torch.stack([torch.stack([c, -s, shift[:, 0]], 1), torch.stack([s, c, shift[:, 1]], 1)], 1)
    flow = F.affine_grid(theta, [count, 3, size, size], align_corners=False)
    piece = F.grid_sample(picked, flow, mode="bilinear", padding_mode="reflection", align_corners=False)
    gain = 0.6 + 0.8 * torch.rand(count, 3, 1, 1, device=pool.device)
    plain = torch.rand(count, 1, 1, 1, device=pool.device) < 0.3
    return torch.where(plain, torch.lerp(piece, gain * 0.6, 0.6), piece * gain).clamp(0, 1)


def material(faces: Faces, count: int) -> Tensor:
    """Make a surface: a piece of a photo, or one colour with stripes, checks or lumps. (count, 3, S, S)."""
    size, like = faces.size, faces.pixels
    x, y = grid(like, size)
    u, _ = turned(x, y, uniform(like, count, 0, 256), uniform(like, count, 0, 256), uniform(like, count, 0, pi))
    wave = torch.sin(u * uniform(like, count, 0.05, 1.2)) * uniform(like, count, 0, 6)
    plain = torch.lerp(colour(like, count), colour(like, count), torch.sigmoid(wave)[:, None])
    lumps = noise(like, count, size, 6) * 0.06 + noise(like, count, size, 90) * 0.03
    flat = torch.rand(count, 1, 1, 1, device=like.device) < 0.35
    plain = torch.where(flat, colour(like, count), plain) + lumps
    photo = torch.rand(count, 1, 1, 1, device=like.device) < 0.55
    return torch.where(photo, texture(faces, count), plain).clamp(0, 1)


def lit(surface: Tensor, height: Tensor, strength: Tensor | float = 1.0) -> Tensor:
    """Shade a surface by the slope of its ``height`` (N, S, S) in a light from a random side above."""
    count = len(height)
    gx = F.pad((height[:, :, 2:] - height[:, :, :-2]) / 2, (1, 1))
    gy = F.pad((height[:, 2:] - height[:, :-2]) / 2, (0, 0, 1, 1))
    side, up = uniform(height, count, -0.7, 0.7), uniform(height, count, -0.7, 0.1)
    normal = torch.rsqrt(gx * gx + gy * gy + 1)
    light = (1 - gx * side - gy * up) * normal * torch.rsqrt(side * side + up * up + 1)
    return (surface * (1 + strength * (light.clamp(0, 1.2)[:, None] - 0.9))).clamp(0, 1)


def skin_tones(faces: Faces) -> Tensor:
    """Pick the person's own skin (cheeks), or someone else's: (N, 3, 1, 1)."""
    count, like = len(faces.pixels), faces.pixels
    own = at(faces, (50, 205, 280, 425)).mean(dim=2)[:, :, None, None]
    share = torch.rand(count, 1, 1, 1, device=like.device)
    other = torch.lerp(
        own.new_tensor([0.28, 0.18, 0.13])[:, None, None], own.new_tensor([0.93, 0.76, 0.66])[:, None, None], share
    )
    other = other * (0.85 + 0.3 * torch.rand(count, 3, 1, 1, device=like.device))
    mine = torch.rand(count, 1, 1, 1, device=like.device) < 0.6
    return (torch.where(mine, own, other) * (0.8 + 0.35 * torch.rand(count, 1, 1, 1, device=like.device))).clamp(
        0.03, 1
    )


def at(faces: Faces, indices: tuple[int, ...]) -> Tensor:
    """Sample colours at mesh points: (N, 3, len(indices))."""
    where = faces.points[:, list(indices)] / (faces.size - 1) * 2 - 1
    return F.grid_sample(faces.pixels, where[:, None], align_corners=True, padding_mode="border")[:, :, 0]


def hair_colours(faces: Faces) -> Tensor:
    """Compute the mean colour of each head's hair, dark brown where there is none: (N, 3, 1, 1)."""
    weight = (faces.hair > 0.8).float()
    total = weight.sum(dim=(2, 3), keepdim=True)
    mean = (faces.pixels * weight).sum(dim=(2, 3), keepdim=True) / total.clamp(min=1)
    return torch.where(total > 300, mean, mean.new_tensor([0.16, 0.12, 0.1])[:, None, None])


def place(faces: Faces, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    """Draw a random point over each face: two (N, 1, 1)."""
    left, right = faces.points[:, 234], faces.points[:, 454]
    top, chin = faces.points[:, 10], faces.points[:, 152]
    count = len(left)
    u, v = uniform(left, count, -0.55, 0.55) * spread, uniform(left, count, -0.5, 0.6) * spread
    middle, across, down = (left + right + top + chin) / 4, right - left, chin - top
    return tuple(middle[:, k, None, None] + u * across[:, k, None, None] + v * down[:, k, None, None] for k in (0, 1))  # type: ignore[return-value]


def width_of(faces: Faces) -> Tensor:
    """Measure the face's width in pixels: (N, 1, 1)."""
    return (faces.points[:, 454] - faces.points[:, 234]).norm(dim=1)[:, None, None]
