"""Glasses and facial hair drawn on faces, with their exact mattes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ganchain.train.teachers.drawn import (
    Drawn,
    Faces,
    capsule,
    colour,
    edge,
    grid,
    hair_colours,
    noise,
    turned,
    uniform,
    width_of,
)
from ganchain.train.teachers.parts import LEFT_EYE, RIGHT_EYE


def _outlines(faces: Faces) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw where lenses, frame and reflections are, each (N, S, S) 0..1, and the frame's thickness in px."""
    n, like, size = len(faces.pixels), faces.pixels, faces.size
    x, y = grid(like, size)
    eyes = [faces.points[:, list(k)].mean(dim=1)[:, :, None, None] for k in (RIGHT_EYE, LEFT_EYE)]
    corners = [(faces.points[:, a] - faces.points[:, b]).norm(dim=1)[:, None, None] for a, b in ((33, 133), (263, 362))]
    across = eyes[1] - eyes[0]
    gap = across.square().sum(dim=1).sqrt()
    roll = torch.atan2(across[:, 1], across[:, 0])
    wide, ratio = uniform(like, n, 0.31, 0.47), uniform(like, n, 0.55, 1.0)
    power, droop = uniform(like, n, 2.0, 5.0), uniform(like, n, -0.08, 0.2)
    kind = torch.rand(n, 1, 1, device=like.device)
    thick = torch.where(
        kind < 0.15,
        uniform(like, n, 0.3, 0.5),
        torch.where(kind < 0.6, uniform(like, n, 0.5, 1.3), uniform(like, n, 1.3, 4.0)),
    )
    thick = thick * gap / 56
    half = (torch.rand(n, 1, 1, device=like.device) < 0.2).float()
    lens, frame = torch.zeros(n, size, size, device=like.device), torch.zeros(n, size, size, device=like.device)
    glint = torch.zeros(n, size, size, device=like.device)
    lower = uniform(like, n, 0.0, 0.14) * gap
    inner: list[tuple[Tensor, Tensor]] = []
    outer: list[tuple[Tensor, Tensor]] = []
    slant, glare = uniform(like, n, -1.2, 1.2), uniform(like, n, -0.5, 0.5)
    for side, (eye, corner) in enumerate(zip(eyes, corners, strict=True)):
        out = -1.0 if side == 0 else 1.0
        a = (wide * gap * (corner / (corners[0] + corners[1]) * 2) ** 0.7).clamp(min=6)
        b = a * ratio
        cx = eye[:, 0] + torch.cos(roll) * out * 0.04 * gap - torch.sin(roll) * lower
        cy = eye[:, 1] + torch.sin(roll) * out * 0.04 * gap + torch.cos(roll) * lower
        u, v = turned(x, y, cx, cy, roll)
        r = ((u / (a * (1 - droop * v / b))).abs() ** power + (v / b).abs() ** power + 1e-6) ** (1 / power)
        signed = (r - 1) * torch.minimum(a, b) * 0.95
        lens = torch.maximum(lens, edge(signed, 0.8))
        rim = edge(signed.abs() - thick, 0.7)
        frame = torch.maximum(frame, rim * (1 - half * torch.sigmoid(v - 0.1 * b)))
        glint = torch.maximum(glint, edge(((u + slant * v) / a - glare).abs() * a - a * 0.25, 3.0) * edge(signed, 0.8))
        c, s = torch.cos(roll), torch.sin(roll)
        lift = -0.25 * b
        inner.append((cx - out * a * 0.97 * c - lift * s, cy - out * a * 0.97 * s + lift * c))
        outer.append((cx + out * a * 0.97 * c - lift * s, cy + out * a * 0.97 * s + lift * c))
    bar = thick.clamp(min=0.6)
    arch = (
        (inner[0][0] + inner[1][0]) / 2 + torch.sin(roll) * 0.05 * gap,
        (inner[0][1] + inner[1][1]) / 2 - 0.05 * gap,
    )
    for signed in (capsule(x, y, inner[0], arch, bar, bar), capsule(x, y, arch, inner[1], bar, bar)):
        frame = torch.maximum(frame, edge(signed, 0.7))
    for (ox, oy), ear in zip(outer, (127, 356), strict=True):
        ex, ey = (faces.points[:, ear, k, None, None] for k in (0, 1))
        temple = capsule(x, y, (ox, oy), (ex, ey), bar * 1.1, bar)
        covered = 1 - 0.9 * faces.hair[:, 0]
        frame = torch.maximum(frame, edge(temple, 0.7) * covered)
    return lens, frame, glint, thick


def glasses(faces: Faces) -> Drawn:
    """Draw glasses on the eyes: frames thin to thick, half or none, clear, tinted or dark lenses, reflections."""
    n, like, size = len(faces.pixels), faces.pixels, faces.size
    lens, frame, glint, thick = _outlines(faces)
    one = torch.ones(n, 1, 1, device=like.device)
    eyes = [faces.points[:, list(k)].mean(dim=1)[:, :, None, None] for k in (RIGHT_EYE, LEFT_EYE)]
    gap = (eyes[1] - eyes[0]).square().sum(dim=1).sqrt()
    y = grid(like, size)[1]
    tone = torch.rand(n, 1, 1, device=like.device)
    tint = torch.where(
        tone < 0.62, 0 * one, torch.where(tone < 0.76, uniform(like, n, 0.2, 0.6), uniform(like, n, 0.75, 0.98))
    )
    fade = (1 - uniform(like, n, 0, 0.5) * ((y - eyes[0][:, 1]) / gap + 0.3).clamp(0, 1)) * tint
    shine = glint * uniform(like, n, 0, 0.75) * (torch.rand(n, 1, 1, device=like.device) < 0.35)
    dark = colour(like, n) * (0.1 + 0.9 * torch.rand(n, 1, 1, 1, device=like.device) ** 2)
    metal = like.new_tensor([0.75, 0.68, 0.55])[:, None, None] * (
        0.6 + 0.6 * torch.rand(n, 3, 1, 1, device=like.device)
    )
    rims = torch.where(torch.rand(n, 1, 1, 1, device=like.device) < 0.3, metal, dark)
    streak = 1 + 0.35 * noise(like, n, size, 14)
    glass = colour(like, n) * 0.35
    glass = torch.where(glint[:, None] * shine[:, None] > 0.1, torch.lerp(glass, torch.ones_like(glass), 0.8), glass)
    seen = torch.maximum(lens * fade, shine)
    clear = (torch.rand(n, 1, 1, device=like.device) < 0.12).float()  # frames of clear plastic
    solid = frame * (1 - 0.5 * clear) * torch.where(thick < 0.6, uniform(like, n, 0.45, 0.9), one)
    colours = torch.lerp(glass, (rims * streak).clamp(0, 1), (frame / (frame + seen * (1 - frame) + 1e-4))[:, None])
    label = torch.maximum(frame, torch.where(seen > 0.12, seen, torch.zeros_like(seen)))
    # what is blended is a little less than what is there: rimless edges and clear plastic let the skin through
    return torch.cat([colours, torch.maximum(solid, seen)[:, None]], dim=1), label[:, None]


def facial_hair(faces: Faces, zones: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Draw beards, moustaches, goatees and stubble as short strands.

    Args:
        zones: (N, 3, S, S) 0..1, where a full beard, a moustache and a goatee grow.

    Returns:
        colours, what to blend them by, and the matte; stubble too thin for a beard has a matte of -1 (unknown).
    """
    n, like, size = len(faces.pixels), faces.pixels, faces.size
    kind = torch.randint(4, (n,), device=like.device)
    moustache, goatee = zones[:, 1:2], torch.maximum(zones[:, 2:3], zones[:, 1:2])
    pick = kind[:, None, None, None]
    zone = torch.where(pick == 1, moustache, torch.where(pick == 2, goatee, zones[:, :1]))
    ragged = (
        zone + 0.35 * noise(like, n, size, 24) + 0.15 * noise(like, n, size, 90) - uniform(like, n, 0.1, 0.5)[:, None]
    )
    soft = F.avg_pool2d(zone, 7, 1, 3)
    matte = torch.sigmoid(7 * (torch.minimum(ragged, soft * 1.6 - 0.5))) * (zone > 0.02)
    fine = noise(like, n, size, 230, 3) * 0.55 + noise(like, n, size, 150, 2) * 0.45
    own = hair_colours(faces) * (0.75 + 0.4 * torch.rand(n, 1, 1, 1, device=like.device))
    grey = like.new_tensor([0.6, 0.58, 0.56])[:, None, None] * (0.4 + 0.9 * torch.rand(n, 1, 1, 1, device=like.device))
    dark = like.new_tensor([0.14, 0.1, 0.08])[:, None, None] * (0.5 + 1.5 * torch.rand(n, 1, 1, 1, device=like.device))
    which = torch.rand(n, 1, 1, 1, device=like.device)
    base = torch.where(which < 0.5, own, torch.where(which < 0.75, dark, grey))
    light = F.avg_pool2d(faces.pixels.mean(dim=1, keepdim=True), 15, 1, 7)
    light = (light / light.mean(dim=(2, 3), keepdim=True).clamp(min=0.1)).clamp(0.5, 1.5)
    colours = (
        base
        * (1 + (0.1 + 0.3 * torch.rand(n, 1, 1, 1, device=like.device)) * fine)
        * torch.lerp(torch.ones_like(light), light, 0.6)
    ).clamp(0, 1)
    density = 0.25 + 0.75 * torch.rand(n, 1, 1, 1, device=like.device) ** 0.5
    gaps = (density + 0.35 * fine * (1 - density)).clamp(0, 1)
    unknown = (density < 0.6).float()
    return colours, matte * gaps, matte * (1 - unknown) - unknown * (matte > 0.1).float()


def locks(faces: Faces, count: int = 6) -> Drawn:
    """Draw a lock or pony tail beside face and neck, and flying strands around it, in the head's own colour of hair."""
    n, like, size = len(faces.pixels), faces.pixels, faces.size
    x, y = (g[:, None] for g in grid(like, size))
    width = width_of(faces)[:, None]

    def several(low: float, high: float) -> Tensor:
        return torch.rand(n, count, 1, 1, device=like.device) * (high - low) + low

    def each(low: float, high: float) -> Tensor:
        return torch.rand(n, 1, 1, 1, device=like.device) * (high - low) + low

    left = each(0, 1) < 0.5
    ear = torch.where(left, faces.points[:, None, 234:235], faces.points[:, None, 454:455])
    out = torch.where(left, -1.0, 1.0)
    top = ear[..., 1:] + width * (each(-0.1, 0.6) + several(-0.15, 0.05))
    end = top + width * (each(0.4, 1.4) * several(0.6, 1.1))
    start = ear[..., :1] + out * width * (each(-0.05, 0.12) + several(-0.06, 0.06))
    t = ((y - top) / (end - top)).clamp(-0.2, 1.1)
    lean, curl = out * (each(-0.25, 0.35) + several(-0.1, 0.15)), each(-0.4, 0.4) + several(-0.15, 0.15)
    where = start + width * (lean * t + curl * t * t + each(0, 0.04) * torch.sin(t * each(3, 12) + several(0, 2)))
    slope = width * (lean + 2 * curl * t) / (end - top)
    tail = torch.arange(count, device=like.device)[:, None, None] == 0
    thick = torch.where(tail, width * each(0.03, 0.13) * (1 + 0.5 * torch.sin(t * 3)), several(0.4, 1.6))
    signed = (x - where).abs() * torch.rsqrt(1 + slope * slope) - thick * (1.1 - t.clamp(0, 1) ** 2)
    signed = torch.maximum(signed, torch.maximum(y - end, top - y)) + 0.3 * noise(like, n, size, 90, 8)
    matte, which = (edge(signed, 1.0) * (several(0, 1) < 0.8)).max(dim=1, keepdim=True)
    shade = torch.gather(several(0.7, 1.3).expand(-1, -1, size, size), 1, which)
    across = torch.gather(((x - where) / width).expand(-1, -1, size, size), 1, which)
    fibre = (
        1 + 0.2 * torch.sin(across * each(90, 260) + 2 * noise(like, n, size, 8)) + 0.1 * noise(like, n, size, 160, 16)
    )
    return (hair_colours(faces) * shade * fibre).clamp(0, 1), matte
