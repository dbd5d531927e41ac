"""Hands drawn before faces, with their exact mattes."""

from __future__ import annotations

import torch
from torch import Tensor

from ganchain.train.teachers.drawn import (
    Drawn,
    Faces,
    capsule,
    edge,
    grid,
    lit,
    material,
    noise,
    place,
    skin_tones,
    turned,
    uniform,
    width_of,
)


def hand(faces: Faces) -> Drawn:
    """Draw a hand with an arm or a sleeve, fingers spread or closed, stretched or bent, in skin colour with shading."""
    n, like = len(faces.pixels), faces.pixels
    x, y = grid(like, faces.size)
    cx, cy = place(faces, 1.0)
    unit = width_of(faces) / 130 * uniform(like, n, 0.75, 1.25)
    turn = uniform(like, n, -2.4, 2.4)
    u, v = turned(x, y, cx, cy, turn)
    u, v = u / unit, v / unit
    u = u * torch.where(torch.rand(n, 1, 1, device=like.device) < 0.5, 1.0, -1.0)
    zero, one = torch.zeros(n, 1, 1, device=like.device), torch.ones(n, 1, 1, device=like.device)
    size = u + v
    nearest, height, nails = torch.full_like(size, 1e3), torch.zeros_like(size), torch.zeros_like(size)

    def add(signed: Tensor, radius: Tensor) -> None:
        nonlocal nearest, height
        depth = (radius + signed).clamp(min=0)
        height = torch.maximum(height, torch.sqrt((radius * radius - depth * depth).clamp(min=0)))
        nearest = torch.minimum(nearest, signed)

    fan, closed = uniform(like, n, 0.0, 0.16), torch.rand(n, 1, 1, device=like.device) < 0.3
    bend = uniform(like, n, -0.25, 0.25)
    for k, (start, length, radius) in enumerate(((-24, 58, 7.6), (-8, 68, 8.2), (8, 72, 8.2), (24, 62, 8.0))):
        lean = (k - 1.5) * fan + bend * 0.3
        reach = length * torch.where(closed, uniform(like, n, 0.35, 0.6), uniform(like, n, 0.8, 1.05))
        root = (zero + start, zero - 34 + abs(k - 1.5) * 3)
        knee = (root[0] + torch.sin(lean) * reach * 0.5, root[1] - torch.cos(lean) * reach * 0.5)
        lean = lean + bend
        tip = (knee[0] + torch.sin(lean) * reach * 0.5, knee[1] - torch.cos(lean) * reach * 0.5)
        add(capsule(u, v, root, knee, one * (radius + 1), one * radius), one * radius)
        add(capsule(u, v, knee, tip, one * radius, one * (radius - 1.6)), one * radius)
        nails = torch.maximum(nails, edge(torch.sqrt((u - tip[0]) ** 2 * 1.3 + (v - tip[1]) ** 2) - 4.4, 1.0))
    spread = uniform(like, n, 0.2, 1.2)
    knee = (36 + 22 * torch.sin(spread), 4 - 22 * torch.cos(spread))
    tip = (knee[0] + 24 * torch.sin(spread * 0.7), knee[1] - 24 * torch.cos(spread * 0.7))
    add(capsule(u, v, (zero + 18, zero + 26), knee, one * 13, one * 10.5), one * 11)
    add(capsule(u, v, knee, tip, one * 10, one * 8), one * 9)
    box = torch.maximum(u.abs() - 22, (v - 0).abs() - 26)
    palm = torch.sqrt(torch.maximum(u.abs() - 22, zero) ** 2 + torch.maximum(v.abs() - 26, zero) ** 2 + 1e-4) - 11
    add(torch.where(box > 0, palm, palm + box), one * 13)
    add(capsule(u, v, (zero, zero + 24), (zero, zero + 260), one * 25, one * 31), one * 25)
    tone = skin_tones(faces).expand(-1, -1, faces.size, faces.size)
    red = tone.new_tensor([0.06, -0.03, -0.03])[:, None, None]
    tone = tone * (1 + 0.08 * noise(like, n, faces.size, 12)) + red * noise(like, n, faces.size, 7)
    showing = (torch.rand(n, 1, 1, 1, device=like.device) < 0.5).float() * 0.35
    tone = torch.lerp(tone, (tone * 1.15 + 0.08).clamp(0, 1), nails[:, None] * showing)
    cuff = edge(uniform(like, n, 50, 140) - v, 2.0)[:, None]
    sleeved = (torch.rand(n, 1, 1, 1, device=like.device) < 0.6).float()
    surface = torch.lerp(tone, material(faces, n), cuff * sleeved)
    slope = height * unit + noise(like, n, faces.size, 40)[:, 0] * 0.3
    return lit(surface, slope, uniform(like, n, 0.6, 1.3)[:, None]), edge(nearest * unit, uniform(like, n, 0.6, 1.6))[
        :, None
    ]
