"""Heads made smaller, turned, scaled, shifted and mirrored, with all that is known of them."""

from __future__ import annotations

import torch
from torch import Tensor

from ganchain.framing import HEAD, TIGHT
from ganchain.train.datasets.parts import PLANES, Batch, Heads
from ganchain.train.teachers.camera import framed

CROPPED = 0.08  # share of heads mirrored around a tight crop
PADDED = 0.22  # shares of the side that a head is shifted by at most, twice the standard deviation


def smaller(heads: Heads, rows: Tensor) -> Heads:
    """Show some heads as small as in a window of head and shoulders; clothes and hair go on below."""
    if not len(rows):
        return heads
    n, device = len(rows), heads.pixels.device
    scale = 1 / (0.58 + 0.26 * torch.rand(n, device=device))
    cut = heads.planes[rows, 0, :6].amax(dim=(1, 2)) > 80  # hair that reaches the upper border stays there
    zero, up = torch.zeros_like(scale), torch.where(cut, scale - 1, 0.08 * (scale - 1))
    theta = torch.stack([torch.stack([scale, zero, zero], 1), torch.stack([zero, scale, up], 1)], 1)
    both = torch.cat([heads.pixels[rows], heads.planes[rows]], dim=1).float()
    strip = 0.02 + torch.rand(n, 1, 1, 2, device=device) ** 2 * torch.tensor([0.5, 0.05], device=device)
    both = framed(both, theta, strip)
    skin, known = (3 + PLANES.index(name) for name in ("skin", "known"))
    both[:, known] *= (both[:, -1] == 1) | (both[:, skin] < 10)  # a tie like skin, made longer
    both = both[:, :-1].round().to(torch.uint8)
    half = heads.pixels.shape[-1] / 2
    points = heads.points[rows] + 0.5 - half
    points = (points - half * theta[:, None, :, 2]) / scale[:, None, None] + half - 0.5
    pixels, planes, all_points = heads.pixels.clone(), heads.planes.clone(), heads.points.clone()
    pixels[rows], planes[rows], all_points[rows] = both[:, :3], both[:, 3:], points
    return heads._replace(pixels=pixels, planes=planes, points=all_points)


def moved(batch: Batch, turn: float) -> Batch:
    """Turn, scale, shift and mirror all heads.

    What comes in from beyond the border is mirrored; for some already from the border of a tight crop on, as in
    photos of which there is no more than that.
    """
    n, device = len(batch.pixels), batch.pixels.device
    angle = (torch.rand(n, device=device) * 2 - 1) * turn
    angle = torch.where(torch.rand(n, device=device) < 0.4, angle * 0.25, angle)
    scale = 1 / (0.8 + 0.4 * torch.rand(n, device=device))
    flip = (torch.rand(n, device=device) < 0.5).float() * 2 - 1
    shift = torch.randn(n, 2, device=device).clamp(-2, 2) * PADDED / 2
    c, s = torch.cos(angle) * scale, torch.sin(angle) * scale
    theta = torch.stack([torch.stack([c * flip, -s, shift[:, 0]], 1), torch.stack([s * flip, c, shift[:, 1]], 1)], 1)
    all_of = torch.cat([batch.pixels, batch.target, batch.known, batch.frames], dim=1)
    crop = torch.rand(n, 1, 1, 1, device=device) < CROPPED
    side = TIGHT.side / HEAD.side
    corner = [2 * (TIGHT.left - HEAD.left) / HEAD.side - 1, 2 * (TIGHT.top - HEAD.top) / HEAD.side - 1]
    middle = torch.where(crop, torch.tensor(corner, device=device) + side, 0.0)
    moved = framed(all_of, theta, torch.full_like(shift, 2.0)[:, None, None], middle, torch.where(crop, side, 1.0))
    pixels, target, known, frames, within = torch.split(moved, [3, 6, 3, 1, 1], dim=1)
    known = torch.cat([known[:, :1] * (within + ~crop).clamp(max=1), known[:, 1:]], dim=1)
    return Batch(pixels, target, known, frames, batch.thin)
