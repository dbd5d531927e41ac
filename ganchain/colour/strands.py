"""Strands: a texture along the flow of hair, for hair so dark that the photo shows none."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from math import pi

import torch
import torch.nn.functional as F
from torch import Tensor

from ganchain.colour.filters import Box, blur
from ganchain.tensors import pooled, resampled

SIDE = 512  # px of the window that strands are drawn at: a strand is about as wide as a pixel
SIDE_COMBED = 2304  # px of the window that beards are drawn at: a fifth of a millimetre each
DIRECTIONS = 12  # of the drawn textures; those between are mixed of two
BROADEST = 1.8  # px of SIDE: bands as broad as this are no strands
LENGTH, WIDTH = 24.0, 0.7  # px of SIDE: standard deviations along and across a strand of hair
FINE, COARSE = 0.9, 14.0  # px of SIDE: scales at which the gradient and the flow are measured
SHINE = 2.5  # px of SIDE: what is coarser than this is shine and shade, which lie across the strands
FINER = 1.4  # px of drawn strands for a px of the window, at least
SPARE = 4  # px of SIDE for one of the smooth flow
MIDDLE = 0.36, 0.64  # of the window of a bust: where the face is
DETAIL = 0.7, 1.4, 2.8  # px: blurs between which detail is measured
SHARP, BLURRED = 0.63, 0.45  # fine detail for coarse detail: of sharp photos, and of those blurred by 1.5 px or more
FLAT = 0.004  # of -1..1: detail so faint that it tells nothing
SOFT = 1.1  # px by which strands are blurred in such photos
FALL = 2e-3  # how much hair falls where nothing else is seen; a share of the strongest gradient


def strands(light: Tensor, matte: Tensor, start: tuple[float, float], unit: float) -> Tensor:
    """Draw strands along the flow of hair.

    Args:
        light: (N, 1, H, W) lightness, a part of a window.
        matte: (N, 1, H, W) 0..1, where it shows hair.
        start: column and row of the part's corner in the window, px.
        unit: px of the part for a px of ``SIDE``.

    Returns:
        (N, 1, H, W), mean 0 and standard deviation about 1; the same for the same place of a face.
    """
    size = [max(8, round(side / unit)) for side in light.shape[2:]]
    small, cover = (resampled(plane, size) for plane in (light, matte))
    drawn = _along(flow(small, cover), (LENGTH, BROADEST), (round(start[0] / unit), round(start[1] / unit)))
    return F.interpolate(drawn, size=light.shape[2:], mode="bicubic", align_corners=False)


def combed(angle: Tensor, strand: tuple[float, float], box: Box) -> Tensor:
    """Draw strands in given directions.

    Args:
        angle: (N, 1, S, S) directions in 0..pi, of a whole window.
        strand: standard deviation along strands, and how broad bands of them are at most, px of ``SIDE_COMBED``.
        box: the part of the window that is wanted.

    Returns:
        (N, 1, H, W) of that part, mean 0 and standard deviation about 1, as if the window were ``SIDE_COMBED`` px; or
        averaged to a half or a quarter of that, with a smaller deviation, for a window that shows no more.
    """
    reduced = next(n for n in (4, 2, 1) if n == 1 or n * FINER * angle.shape[3] <= SIDE_COMBED)
    unit = angle.shape[3] * reduced / SIDE_COMBED
    part = angle[box]
    size = [max(8, round(side / unit)) for side in part.shape[2:]]
    fine = resampled(part, size)
    return _along(fine, strand, (round(box[2].start / unit), round(box[1].start / unit)), reduced)


def softened(drawn: Tensor, faces: Tensor) -> Tensor:
    """Make what is drawn as soft as the photo: a blurred one has no sharp strands.

    The measure is how much finer detail the middle of the window has for its coarser detail.

    Args:
        drawn: (N, 1, H, W), a part of the window.
        faces: (N, 3, S, S) -1..1, the window.

    Returns:
        (N, 1, H, W).
    """
    side = faces.shape[3]
    middle = slice(round(MIDDLE[0] * side), round(MIDDLE[1] * side))
    light = faces[:, 1:2, middle, middle]
    planes = [blur(light, sigma) for sigma in DETAIL]
    fine, coarse = ((a - b).square().mean(dim=(2, 3), keepdim=True) for a, b in pairwise(planes))
    ratio = ((fine + (SHARP * FLAT) ** 2) / (coarse + FLAT**2)).sqrt()
    share = ((SHARP - ratio) / (SHARP - BLURRED)).clamp(0, 1)
    return torch.lerp(drawn, blur(drawn, SOFT), share) if bool((share > 0).any()) else drawn


def _along(angle: Tensor, strand: tuple[float, float], start: tuple[int, int], reduced: int = 1) -> Tensor:
    """Mix the textures of the two nearest directions: (N, 1, H, W) in 0..pi -> (N, 1, H, W)."""
    drawn = _textures(*strand, reduced).to(angle)
    side = drawn.shape[2]
    angle = angle / pi * DIRECTIONS  # of textures
    first = angle.floor()
    rows, columns = (
        (torch.arange(n, device=angle.device) + corner) % side
        for n, corner in zip(angle.shape[2:], start[::-1], strict=True)
    )
    place = rows[:, None] * side + columns
    index, share = first.long()[:, 0], (angle - first)[:, 0]
    picked = [drawn.take((index + k) % DIRECTIONS * side**2 + place) for k in (0, 1)]
    mixed = (1 - share) * picked[0] + share * picked[1]
    return (mixed * torch.rsqrt(share**2 + (1 - share) ** 2))[:, None]  # two independent ones: the same deviation


def flow(light: Tensor, matte: Tensor) -> Tensor:
    """Measure the direction of strands by the structure tensor (Bigün & Granlund 1987): (N, 1, H, W) in 0..pi."""
    smooth = blur(light, FINE) - blur(light, SHINE)
    dy, dx = F.pad(smooth.diff(dim=2), (0, 0, 0, 1)), F.pad(smooth.diff(dim=3), (0, 1))
    weight = matte**4
    doubled = torch.cat([dx * dx - dy * dy, 2 * dx * dy], dim=1) * weight
    doubled = doubled * torch.rsqrt((dx * dx + dy * dy) + 1e-3)
    falling = FALL * doubled.abs().sum(dim=1, keepdim=True).amax(dim=(2, 3), keepdim=True) + 1e-9
    few = pooled(doubled, SPARE)
    few = blur(few, COARSE / SPARE)
    across = resampled(few, light.shape[2:])
    # the direction along the strands is a quarter turn from the gradient: half a turn of the doubled angle
    return (torch.atan2(-across[:, 1:], -across[:, :1] - falling) / 2) % pi


@lru_cache(maxsize=8)
def _textures(length: float, broadest: float, reduced: int) -> Tensor:
    """Draw strands in all directions, by filtering one noise each, and average them to a ``reduced``-th.

    Returns:
        (DIRECTIONS, SIDE / reduced, SIDE / reduced), which can be tiled.
    """
    noise = torch.randn(DIRECTIONS, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    line = torch.fft.fftfreq(SIDE)
    v, u = torch.meshgrid(line, line, indexing="ij")
    turn = torch.arange(DIRECTIONS)[:, None, None] * (pi / DIRECTIONS)
    along, across = u * turn.cos() + v * turn.sin(), v * turn.cos() - u * turn.sin()
    gain = torch.exp(-2 * pi**2 * ((length * along) ** 2 + (WIDTH * across) ** 2))
    gain = gain * (1 - torch.exp(-2 * pi**2 * (broadest * across) ** 2))
    drawn = torch.fft.ifft2(torch.fft.fft2(noise) * gain).real
    return F.avg_pool2d(drawn / drawn.std(dim=(1, 2), keepdim=True), reduced)
