"""Spoilt pictures as people have them: blurred, reduced, noisy, compressed, and that twice over.

The order and the ranges are those of GFPGAN (Wang et al. 2021: x = [(y * k)↓ + n] JPEG), and as in Real-ESRGAN (Wang et
al. 2021) it happens a second time to most pictures. Everything is computed by torch on whole batches, so that a GPU
can do it: blur by its transfer function (Gaussian, motion, a low-pass that rings), JPEG by its own arithmetic
(4:2:0), WebP by blocks that are smoothed.
"""

from __future__ import annotations

from functools import lru_cache
from math import pi

import torch
import torch.nn.functional as F
from torch import Tensor

from ganchain.tensors import HALF_RANGE, resize

LUMINANCE = [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
]
CHROMINANCE = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]  # 99 beyond
YCC = [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
MARGIN = 16  # px around a picture that is blurred, against the wrap of the Fourier transform
MODES = ("bicubic", "bilinear", "area", "bicubic")


def spoil(clean: Tensor, factor: int, wide: float = 2.5) -> tuple[Tensor, Tensor]:
    """Spoil pictures at random: (N, 3, H, W) -1..1 -> (N, 3, H / factor, W / factor), and their JPEG quality (N,).

    How small they were in between, and by which filters, is drawn for the whole batch; all the rest for each picture.
    The quality is that of the last compression, 100 without.

    Args:
        wide: how many times smaller than the answer they become in between, at most.
    """
    height, width = (side // factor for side in clean.shape[2:])
    extra = 1.0 if chance(0.4) else 1 + (wide - 1) * uniform() ** 1.5
    x = blurred(clean, 0.25 * factor * extra, 0.55 * factor * extra + 0.45)
    x = resized(x, height / extra, width / extra)
    x = compressed(noisy(x, 0.7, 15.0), 30, 96, share=0.75)[0]
    if chance(0.6):
        x = blurred(x, 0.1, 0.9, share=0.5)
        grown = 0.7 + 0.8 * uniform()
        x = resized(x, x.shape[2] * grown, x.shape[3] * grown)
        x = noisy(x, 0.4, 10.0)
        if chance(0.25):
            x = webp(x, 4.0, 34.0)
    if chance(0.5):
        x = exactly(x, height, width)
        x, quality = compressed(x, 30, 98, share=0.7)
    else:
        x, quality = compressed(x, 30, 98, share=0.7)
        x = exactly(x, height, width)
        quality = quality if extra == 1.0 else torch.full_like(quality, 100.0)
    return rounded(x), quality


def uniform() -> float:
    """Draw a number 0..1 from torch's own generator, on the CPU."""
    return float(torch.rand(()))


def chance(share: float) -> bool:
    """Decide at random, yes in ``share`` of the cases."""
    return uniform() < share


def draws(x: Tensor, low: float, high: float, power: float = 1.0) -> Tensor:
    """Draw a number for each picture: (N, 1, 1, 1), nearer to ``low`` with a higher ``power``."""
    return low + (high - low) * torch.rand(len(x), 1, 1, 1, device=x.device) ** power


def rounded(x: Tensor) -> Tensor:
    """Round to eight bits, which files have."""
    return ((x + 1) * HALF_RANGE).round().clamp(0, 255) / HALF_RANGE - 1


def exactly(x: Tensor, height: int, width: int) -> Tensor:
    """Resample to a size by bicubic interpolation."""
    return resize(x, (height, width))


def resized(x: Tensor, height: float, width: float) -> Tensor:
    """Resample to about that size (whole multiples of 8 px) by a filter drawn at random."""
    size = (max(16, round(height / 8) * 8), max(16, round(width / 8) * 8))
    mode = MODES[int(torch.randint(len(MODES), ()))]
    if size == tuple(x.shape[2:]):
        return x
    if mode == "area":
        return F.interpolate(x, size, mode="area")
    return F.interpolate(x, size, mode=mode, align_corners=False, antialias=chance(0.85))


def blurred(x: Tensor, low: float, high: float, share: float = 0.9) -> Tensor:
    """Blur ``share`` of the pictures, by sigmas of ``low`` to ``high`` px.

    Seven in ten by a Gaussian, longer in one direction; the others by a straight motion or a low-pass that rings.
    """
    margin = min(MARGIN, *(side - 1 for side in x.shape[2:]))
    x = F.pad(x, (margin,) * 4, mode="reflect")
    down = torch.fft.fftfreq(x.shape[2], device=x.device)[None, None, :, None]
    across = torch.fft.rfftfreq(x.shape[3], device=x.device)[None, None, None, :]
    sigma, ratio, angle = draws(x, low, high, 1.5), draws(x, 0.4, 1.0, 0.7), draws(x, 0, pi)
    along = across * angle.cos() + down * angle.sin()
    beside = down * angle.cos() - across * angle.sin()
    gaussian = torch.exp(-2 * pi**2 * sigma**2 * (along**2 + (ratio * beside) ** 2))
    motion = torch.sinc(along * sigma * 3.5) * torch.exp(-2 * pi**2 * (0.3 * sigma) ** 2 * (along**2 + beside**2))
    radius = (along**2 + beside**2).sqrt() * sigma.clamp_min(0.7) * 4
    ringing = torch.sigmoid((1 - radius) * 12)
    kind = torch.rand(len(x), 1, 1, 1, device=x.device)
    transfer = torch.where(kind < 0.7, gaussian, torch.where(kind < 0.85, motion, ringing))
    transfer = torch.where(torch.rand_like(kind) < share, transfer, torch.ones_like(transfer))
    x = torch.fft.irfft2(torch.fft.rfft2(x) * transfer, s=x.shape[2:])
    return x[:, :, margin:-margin, margin:-margin]


def noisy(x: Tensor, share: float, most: float) -> Tensor:
    """Add noise of up to ``most`` levels to ``share`` of the pictures: coloured, grey, or stronger in the light."""
    sigma = draws(x, 0, most, 1.5) / HALF_RANGE * (draws(x, 0, 1) < share)
    grain = torch.randn_like(x)
    grain = torch.where(draws(x, 0, 1) < 0.4, grain[:, :1], grain)
    light = torch.where(draws(x, 0, 1) < 0.4, ((x.clamp(-1, 1) + 1) * 1.2).sqrt(), torch.ones_like(x))
    return x + sigma * grain * light


def compressed(x: Tensor, low: float, high: float, share: float) -> tuple[Tensor, Tensor]:
    """Save ``share`` of the pictures as JPEG of a quality of ``low`` to ``high``, in blocks that begin anywhere.

    Returns:
        The pictures, and their qualities (N,), 100 without.
    """
    quality = draws(x, low, high)
    down, right = (0, 0) if chance(0.5) else (int(torch.randint(16, ())), int(torch.randint(16, ())))
    padded = F.pad(x, (right, -(x.shape[3] + right) % 16, down, -(x.shape[2] + down) % 16), mode="replicate")
    saved = jpeg(padded, quality, halved=chance(0.8))[:, :, down : down + x.shape[2], right : right + x.shape[3]]
    chosen = draws(x, 0, 1) < share
    return torch.where(chosen, saved, x), torch.where(chosen, quality, torch.full_like(quality, 100.0)).flatten()


def jpeg(x: Tensor, quality: Tensor, halved: bool = True) -> Tensor:
    """Compute what JPEG leaves of pictures (N, 3, H, W) -1..1; H and W are multiples of 16.

    Args:
        quality: 1..100, (N, 1, 1, 1).
        halved: the colours have half of the resolution (4:2:0).
    """
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[..., None]
    to_ycc, to_rgb = colours(x.device)
    levels = torch.einsum("oc,nchw->nohw", to_ycc, (rounded(x) + 1) * HALF_RANGE)
    luma, chroma = levels[:, :1] - 128, levels[:, 1:]
    if halved:
        chroma = F.avg_pool2d(chroma, 2)
    luma_table, chroma_table = (((t * scale + 50) / 100).floor().clamp(1, 255) for t in tables(x.device))
    luma = quantised(luma, luma_table) + 128
    chroma = quantised(chroma, chroma_table)
    if halved:
        chroma = F.interpolate(chroma, scale_factor=2.0, mode="bilinear", align_corners=False)
    rgb = torch.einsum("oc,nchw->nohw", to_rgb, torch.cat([luma, chroma], dim=1).round())
    return rounded(rgb / HALF_RANGE - 1)


def webp(x: Tensor, low: float, high: float) -> Tensor:
    """Compute about what WebP leaves: 4 x 4 blocks, one step for all frequencies, edges of blocks smoothed."""
    height, width = x.shape[2:]
    x = F.pad(x, (0, -width % 8, 0, -height % 8), mode="replicate")
    to_ycc, to_rgb = colours(x.device)
    levels = torch.einsum("oc,nchw->nohw", to_ycc, (x + 1) * HALF_RANGE)
    step = draws(x, low, high)[..., None].expand(-1, 1, 1, 4, 4)
    luma = levels[:, :1]
    shifted = F.pad(luma, (2, 2, 2, 2), mode="replicate")
    luma = 0.5 * (quantised(luma, step) + quantised(shifted, step)[:, :, 2:-2, 2:-2])
    chroma = quantised(F.avg_pool2d(levels[:, 1:], 2), step)
    chroma = F.interpolate(chroma, scale_factor=2.0, mode="bilinear", align_corners=False)
    rgb = torch.einsum("oc,nchw->nohw", to_rgb, torch.cat([luma, chroma], dim=1))
    return rounded(rgb / HALF_RANGE - 1)[:, :, :height, :width]


def quantised(planes: Tensor, table: Tensor) -> Tensor:
    """Round the cosine transform of blocks to multiples of ``table``: (N, C, H, W), (N, 1, 1, b, b) -> (N, C, H, W)."""
    side = table.shape[-1]
    cosines = cosine_basis(side, planes.device)
    n, channels, height, width = planes.shape
    blocks = planes.reshape(n, channels, height // side, side, width // side, side).transpose(3, 4)
    waves = cosines @ blocks @ cosines.T
    steps = table[:, :, None]
    blocks = cosines.T @ ((waves / steps).round() * steps) @ cosines
    return blocks.transpose(3, 4).reshape(planes.shape)


@lru_cache
def tables(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return JPEG's tables of quality 50 for brightness and colours: (8, 8) each."""
    chrominance = torch.full((8, 8), 99.0)
    chrominance[:4, :4] = torch.tensor(CHROMINANCE, dtype=torch.float32)
    return torch.tensor(LUMINANCE, dtype=torch.float32).to(device), chrominance.to(device)


@lru_cache
def colours(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the matrices from RGB to YCbCr and back: (3, 3) each."""
    to_ycc = torch.tensor(YCC)
    return to_ycc.to(device), torch.linalg.inv(to_ycc).to(device)


@lru_cache
def cosine_basis(side: int, device: torch.device) -> Tensor:
    """Compute the orthonormal basis of the cosine transform, a wave a row: (side, side)."""
    at = torch.arange(side, device=device, dtype=torch.float32)
    waves = torch.cos(pi / side * (at + 0.5) * at[:, None]) * (2 / side) ** 0.5
    waves[0] /= 2**0.5
    return waves
