"""Hair dyes: given a matte, the strands keep their light and shade and get another colour.

The lightness is moved to the dye's mean, at a contrast that the dye allows; where dark hair has none to stretch,
strands are drawn along its flow. The chroma then follows the lightness along the dye's ramp, as in real hair: shadows
of blond hair are brown, its highlights pale. All of this in CIE L*a*b* (D65).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from ganchain.colour.dyes import Dye, ramp
from ganchain.colour.filters import blur, extent
from ganchain.colour.lab import from_lab, to_lab
from ganchain.colour.strands import SIDE, softened, strands
from ganchain.tensors import pooled, resampled

GAIN = 2.4  # most that contrast is stretched; beyond it noise would show
RELIEF = (24.0, 42.0)  # farthest that lights may lie above the mean L, and shadows below it
ROOTS = 0.7  # exponent of a matte: roots shade the skin beside them, and that shade goes with the hair's colour
DARKER = 0.7  # share of that shade that stays where a dye is lighter
RICHER, COLOURLESS = (0.8, 1.3), 2.0  # by how much colour is raised or lowered; the a, b of a dye that has none
SKIN = (0.46, 0.53), (0.43, 0.57)  # rows and columns of a bust's window between eyes and mouth
USUAL, GREYISH, RICH = 24.0, 8.0, (1.0, 1.12)  # chroma of skin: usual, hardly any; by how much a dye follows it
WARMER = 0.4  # how much redder it gets there
AROUND = 3.3  # px of 256: how far around a pixel its hair's colour is looked for
COARSE = 2.0  # px of 256: what is finer is detail
LIVELY, NOISE, BOOST = 0.33, 0.5, 2.0  # of a dye's contrast, that detail shall have; L of noise; most it is raised
DEVIATION = 1.25  # standard deviation of what is normally distributed, for its mean absolute value
DEEPEST = 1.8  # of the mean detail around: what is darker is noise
FEW = 0.05  # share of sure hair around a pixel; where there is less, the mean of all hair counts
DRAWN = 0.4  # share of the missing contrast that drawn strands give
LIGHTER = 12.0  # L by which hair becomes lighter where as many strands are drawn as a dye has
VISIBLE = 1.0  # standard deviation of L that is worth drawing
HEIGHTS = 0.3, 0.75  # shares of the hair's height down to which its roots reach, and from which on its ends begin


def dye(faces: Tensor, matte: Tensor, colour: Dye, ends: Dye | None = None, share: Tensor | float = 1.0) -> Tensor:
    """Dye the hair under ``matte``: (N, 3, S, S) -1..1 and (N, 1, S, S) 0..1 -> (N, 3, S, S) -1..1.

    A pixel is a mixture of hair and what lies behind it, in the matte's shares; only the hair's share gets another
    colour (the equation of compositing, Porter & Duff 1984). Where hair is the smaller part of a pixel, its colour is
    that of the surest hair around.

    Args:
        colour: of all hair, or of the roots.
        ends: of the ends, where that is another.
        share: how far it goes, 0..1: one number, or (N, 1, 1, 1) or (N, 1, S, S).
    """
    side = faces.shape[3]
    if not (box := extent(matte, round(3 * AROUND * side / 256))):
        return faces
    dyed = faces.clone()
    part, cover = faces[box], matte[box]
    where = (cover[:, 0] > 0).flatten().nonzero()[:, 0]  # colours are converted of these px alone
    lab = _put(torch.zeros_like(part), where, to_lab(_picked(part, where)))
    sure = eighth(cover)
    hair = pure(lab, cover, sure, side)
    corner = (float(box[2].start), float(box[1].start))
    texture = cache(lambda: softened(strands(hair[:, :1], cover, corner, max(1.0, side / SIDE)), faces))
    rich = richness(faces)
    new = _recoloured(hair, sure, colour, texture, side, rich)
    if ends is not None:
        new = torch.lerp(new, _recoloured(hair, sure, ends, texture, side, rich), _lower(cover))
    lab, cover, hair, new, own = (_picked(x, where) for x in (lab, cover, hair, new, part))
    rooted = cover**ROOTS
    lighter = torch.lerp(rooted, cover, DARKER)
    moved = lab + torch.where(new[:, :1] > hair[:, :1], lighter, rooted) * (new - hair)
    # a light fringe on light skin must not glow where the matte says too much
    top = torch.minimum(moved[:, :1], torch.maximum(lab[:, :1], new[:, :1]))
    new = from_lab(torch.cat([top, moved[:, 1:]], dim=1))
    if isinstance(share, Tensor):
        share = _picked((share if share.shape[3] == 1 else share[box]).expand(-1, -1, *part.shape[2:]), where)
    dyed[box] = _put(part, where, own + share * (new - own))
    return dyed


def _picked(planes: Tensor, where: Tensor) -> Tensor:
    """Pick pixels of pictures (N, C, H, W) by their numbers (K,) among all of N, H and W: (1, C, 1, K)."""
    return planes.transpose(0, 1).reshape(planes.shape[1], -1).index_select(1, where)[None, :, None]


def _put(planes: Tensor, where: Tensor, picked: Tensor) -> Tensor:
    """Put pixels that were picked, and perhaps changed, into pictures: the same (N, C, H, W) with these."""
    count, channels, height, width = planes.shape
    flat = planes.transpose(0, 1).reshape(channels, -1).index_copy(1, where, picked[0, :, 0])
    return flat.view(channels, count, height, width).transpose(0, 1)


def eighth(matte: Tensor) -> Tensor:
    """Raise a matte to its eighth power: only px that are surely hair count."""
    return matte.square().square().square()


def richness(faces: Tensor) -> Tensor:
    """Measure how rich the colours of a photo are, by the skin between eyes and mouth: (N, 3, S, S) -> (N, 1, 1, 1).

    1 for those of a usual photo, and for a grey one, which tells nothing.
    """
    side = faces.shape[3]
    rows, columns = (slice(round(low * side), max(round(low * side) + 1, round(high * side))) for low, high in SKIN)
    chroma = to_lab(faces[..., rows, columns])[:, 1:].mean(dim=(2, 3), keepdim=True).norm(dim=1, keepdim=True)
    rich = (chroma / USUAL).sqrt().clamp(*RICH)
    return 1 + (rich - 1) * (chroma / GREYISH).clamp(max=1)


def _recoloured(
    hair: Tensor, weight: Tensor, colour: Dye, texture: Callable[[], Tensor], side: int, rich: Tensor
) -> Tensor:
    """Give hair another colour: L*a*b* (N, 3, H, W) -> the same.

    Args:
        weight: how surely each px is hair, (N, 1, H, W).
        texture: draws strands (N, 1, H, W), where they are needed.
        side: px of the whole window.
        rich: how rich the photo's colours are, (N, 1, 1, 1).
    """
    mean, deviation = moments(hair, weight)
    light = hair[:, :1]
    middle, spread = mean[:, :1], deviation[:, :1]
    gain = (spread.clamp(*colour.contrast) / spread).clamp(max=GAIN)
    relief = (light - middle) * gain
    target = colour.lightness + 0.12 * (middle - 40)
    # light shows strands that were hidden in the dark; darkness shows none
    relief = _livened(relief, weight, colour.contrast[0] * ((target - middle) / LIGHTER).clamp(0, 1), texture, side)
    limit = torch.where(relief > 0, RELIEF[0], RELIEF[1])
    new = (target + limit * torch.tanh(relief / limit)).clamp(0, 100)
    chroma = ramp(new, colour)
    wanted, made = (
        x.norm(dim=1, keepdim=True) + COLOURLESS
        for x in (ramp(torch.full_like(middle, colour.lightness), colour), moments(chroma, weight)[0])
    )
    share = (wanted / made).clamp(*RICHER)  # lights and shadows have less colour: the mean is to be the dye's
    if colour.natural:
        chroma[:, :1] += WARMER * (rich - 1).clamp(min=0) * chroma[:, 1:]
        share = share * rich
    return torch.cat([new, share * chroma + 0.3 * (hair - mean)[:, 1:]], dim=1)


def _livened(relief: Tensor, weight: Tensor, wanted: Tensor, texture: Callable[[], Tensor], side: int) -> Tensor:
    """Bring out the strands that the photo shows, and draw others where there are too few: (N, 1, H, W) -> the same."""
    step = max(1, side // SIDE)  # fewer px tell as much
    smooth = blur(pooled(relief, step), COARSE * side / 256 / step)
    smooth = resampled(smooth, relief.shape[2:])
    detail = relief - smooth
    few, light, share = (plane[..., ::step, ::step] for plane in (detail, relief, weight))
    measures = torch.cat([few.abs(), light, light * light], dim=1)
    typical, mean, square = _mean(measures, share, AROUND * side / 256 / step).chunk(3, dim=1)
    raised = (LIVELY * wanted / (typical + NOISE)).clamp(1, BOOST)
    shown = square - mean**2 + (raised**2 - 1) * (DEVIATION * typical) ** 2  # the variance
    planes = torch.cat([typical, raised, (wanted**2 - shown).clamp(min=0).sqrt()], dim=1)
    planes = resampled(planes, relief.shape[2:])
    typical, raised, missing = planes.chunk(3, dim=1)
    relief = smooth + raised * torch.maximum(detail, -DEEPEST * typical)
    if bool((missing * weight).max() > VISIBLE):
        relief = relief + DRAWN * missing * weight.sqrt() * texture()  # less at rims
    return relief


def _mean(x: Tensor, weight: Tensor, sigma: float) -> Tensor:
    """Compute the weighted mean of planes (N, C, H, W) around each pixel: (N, C, h, w), smaller."""
    small = max(1, min(round(sigma / 2), *x.shape[2:]))
    sums = blur(pooled(torch.cat([weight * x, weight], dim=1), small), sigma / small)
    return sums[:, :-1] / (sums[:, -1:] + 1e-4)


def _lower(matte: Tensor) -> Tensor:
    """Tell how near to its lower end the hair is: (N, 1, H, W) -> (N, 1, H, 1), 0 at the roots and 1 at the ends."""
    rows = (matte > 0.5).any(dim=3, keepdim=True)
    place = torch.arange(matte.shape[2], device=matte.device, dtype=matte.dtype)[:, None]
    top = torch.where(rows, place, matte.shape[2]).amin(dim=2, keepdim=True)
    bottom = torch.where(rows, place, 0.0).amax(dim=2, keepdim=True)
    height = (place - top) / (bottom - top).clamp(min=1)
    share = ((height - HEIGHTS[0]) / (HEIGHTS[1] - HEIGHTS[0])).clamp(0, 1)
    return share * share * (3 - 2 * share)


def pure(lab: Tensor, matte: Tensor, sure: Tensor, side: int) -> Tensor:
    """Estimate the colour of the hair alone in each pixel: (N, 3, H, W) and (N, 1, H, W) -> (N, 3, H, W).

    Args:
        sure: how surely each px is hair, (N, 1, H, W).
        side: px of the whole window that they are a part of.
    """
    small = max(1, min(side // 128, *lab.shape[2:]))
    weight, shades = pooled(sure, small), pooled(lab * sure, small)
    mean = shades.sum(dim=(2, 3), keepdim=True) / (weight.sum(dim=(2, 3), keepdim=True) + 1e-6)
    weight, shades = weight + FEW, shades + FEW * mean
    sigma = AROUND * side / 256 / small
    around = blur(shades, sigma) / blur(weight, sigma)
    around = resampled(around, lab.shape[2:])
    return torch.lerp(around, lab, ((matte - 0.5) / 0.4).clamp(0, 1))


def greyness(faces: Tensor, matte: Tensor) -> Tensor:
    """Measure how grey the hair under ``matte`` is, neither dark nor coloured: (N, 1, 1, 1) 0..1."""
    if not (box := extent(matte)):
        return matte.new_zeros(len(matte), 1, 1, 1)
    mean, _ = moments(to_lab(faces[box]), eighth(matte[box]))
    light, chroma = mean[:, :1], mean[:, 1:].norm(dim=1, keepdim=True)
    return ((light - 30) / 10).clamp(0, 1) * ((13 - chroma) / 5).clamp(0, 1)


def moments(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the weighted mean and standard deviation (at least 1) of pictures: (N, C, H, W) -> two (N, C, 1, 1)."""
    total = weight.sum(dim=(2, 3), keepdim=True) + 1e-6
    mean = (x * weight).sum(dim=(2, 3), keepdim=True) / total
    variance = ((x - mean).square() * weight).sum(dim=(2, 3), keepdim=True) / total
    return mean, variance.sqrt().clamp(min=1)
