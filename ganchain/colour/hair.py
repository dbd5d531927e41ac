"""Hair dyes: given a matte, the strands keep their light and shade and get another colour.

The lightness is moved to the dye's mean, at a contrast that the dye allows. The chroma then follows the lightness along
the dye's ramp, as in real hair: shadows of blond hair are brown, its highlights pale. All of this in CIE L*a*b* (D65).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import EllipsisType

import torch
import torch.nn.functional as F
from torch import Tensor

from ganchain.colour.filters import blur
from ganchain.colour.lab import from_lab, to_lab


@dataclass(frozen=True)
class Dye:
    """A hair colour in L*a*b*.

    Attributes:
        lightness: mean L of the dyed hair (0..100).
        contrast: lowest and highest standard deviation of L.
        ramp: (L, a, b) points of rising L; the chroma at a lightness is interpolated between them.
    """

    lightness: float
    contrast: tuple[float, float]
    ramp: tuple[tuple[float, float, float], ...]


DYES = {
    "black": Dye(13, (4, 8), ((0, 0, 0), (15, 1, 1), (40, 0, -1), (70, 0, -1))),
    "brown": Dye(28, (7, 12), ((0, 0, 0), (14, 6, 7), (30, 9, 14), (50, 9, 18), (80, 4, 15))),
    "blond": Dye(60, (13, 18), ((0, 0, 0), (20, 8, 11), (40, 9, 23), (60, 7, 28), (80, 3, 24), (100, 0, 8))),
}
GREY = Dye(62, (10, 16), ((0, 0, 0), (30, 0, 2), (60, 0, 3), (100, 0, 3)))  # the colour that all hair takes with age
GAIN = 2.4  # most that contrast is stretched; beyond it noise would show
RELIEF = (22.0, 30.0)  # farthest that lights may lie above the mean L, and shadows below it
ROOTS = 0.7  # exponent of a matte: roots shade the skin beside them, and that shade goes with the hair's colour
AROUND = 3.3  # px of 256: how far around a pixel its hair's colour is looked for


def dye(faces: Tensor, matte: Tensor, colour: Dye) -> Tensor:
    """Dye the hair under ``matte``: (N, 3, S, S) -1..1 and (N, 1, S, S) 0..1 -> (N, 3, S, S) -1..1.

    A pixel is a mixture of hair and what lies behind it, in the matte's shares; only the hair's share gets another
    colour (the equation of compositing, Porter & Duff 1984). Where hair is the smaller part of a pixel, its colour is
    that of the surest hair around.
    """
    side = faces.shape[3]
    if not bool((matte > 0).any()):
        return faces
    box = extent(matte, round(3 * AROUND * side / 256))
    dyed = faces.clone()
    dyed[box] = _dyed(faces[box], matte[box], colour, side)
    return dyed


def extent(matte: Tensor, margin: int) -> tuple[EllipsisType, slice, slice]:
    """Find the smallest part of (N, 1, H, W) that holds all of a matte, and ``margin`` px around it."""
    rows, columns = ((matte > 0).any(dim=0)[0].any(dim=axis).nonzero()[:, 0].tolist() for axis in (1, 0))
    top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
    return ..., slice(top, rows[-1] + 1 + margin), slice(left, columns[-1] + 1 + margin)


def _dyed(faces: Tensor, matte: Tensor, colour: Dye, side: int) -> Tensor:
    """Dye a part of windows of ``side`` px."""
    lab = to_lab(faces)
    hair, weight = pure(lab, matte, side), matte**8  # only pixels that are surely hair
    mean, deviation = moments(lab, weight)
    light = hair[:, :1]
    middle, spread = mean[:, :1], deviation[:, :1]
    gain = (spread.clamp(*colour.contrast) / spread).clamp(max=GAIN)
    limit = torch.where(light > middle, RELIEF[0], RELIEF[1])
    target = colour.lightness + 0.2 * (middle - 40)
    new = (target + limit * torch.tanh((light - middle) * gain / limit)).clamp(0, 100)
    chroma = ramp(new, colour) + 0.3 * (hair - mean)[:, 1:]
    dyed = lab + matte**ROOTS * (torch.cat([new, chroma], dim=1) - hair)
    # a light fringe on light skin must not glow where the matte says too much
    top = torch.minimum(dyed[:, :1], torch.maximum(lab[:, :1], new))
    return torch.where(matte > 0, from_lab(torch.cat([top, dyed[:, 1:]], dim=1)), faces)


def pure(lab: Tensor, matte: Tensor, side: int) -> Tensor:
    """Estimate the colour of the hair alone in each pixel: (N, 3, H, W) and (N, 1, H, W) -> (N, 3, H, W).

    Args:
        side: px of the whole window that they are a part of.
    """
    small = max(1, min(side // 128, *lab.shape[2:]))
    weight = F.avg_pool2d(matte**8, small) + 1e-4
    shades = F.avg_pool2d(lab * matte**8, small) + 1e-4 * moments(lab, matte**8)[0]
    sigma = AROUND * side / 256 / small
    around = torch.cat([blur(plane, sigma) for plane in torch.split(shades, 1, dim=1)], dim=1) / blur(weight, sigma)
    around = F.interpolate(around, size=lab.shape[2:], mode="bilinear", align_corners=False)
    sure = ((matte - 0.5) / 0.4).clamp(0, 1)
    return torch.lerp(around, lab, sure)


def greyness(faces: Tensor, matte: Tensor) -> Tensor:
    """Measure how grey the hair under ``matte`` is, neither dark nor coloured: (N, 1, 1, 1) 0..1."""
    mean, _ = moments(to_lab(faces), matte**8)
    light, chroma = mean[:, :1], mean[:, 1:].norm(dim=1, keepdim=True)
    return ((light - 30) / 10).clamp(0, 1) * ((13 - chroma) / 5).clamp(0, 1)


def moments(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the weighted mean and standard deviation (at least 1) of pictures: (N, C, H, W) -> two (N, C, 1, 1)."""
    total = weight.sum(dim=(2, 3), keepdim=True) + 1e-6
    mean = (x * weight).sum(dim=(2, 3), keepdim=True) / total
    variance = ((x - mean).square() * weight).sum(dim=(2, 3), keepdim=True) / total
    return mean, variance.sqrt().clamp(min=1)


def ramp(light: Tensor, colour: Dye) -> Tensor:
    """Look up the chroma of each lightness on the dye's ramp: (N, 1, H, W) -> a, b (N, 2, H, W)."""
    points = torch.tensor(colour.ramp, dtype=light.dtype, device=light.device)
    lights, chroma = points[:, 0].contiguous(), points[:, 1:]
    upper = torch.searchsorted(lights, light[:, 0].contiguous()).clamp(1, len(lights) - 1)
    share = (light[:, 0] - lights[upper - 1]) / (lights[upper] - lights[upper - 1])
    mixed = torch.lerp(chroma[upper - 1], chroma[upper], share.clamp(0, 1)[..., None])
    return mixed.permute(0, 3, 1, 2)
