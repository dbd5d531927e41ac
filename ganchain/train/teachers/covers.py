"""Covers drawn before faces, with their exact mattes."""

from __future__ import annotations

from collections.abc import Callable
from math import pi

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
    lit,
    material,
    noise,
    place,
    turned,
    uniform,
    width_of,
)
from ganchain.train.teachers.hand import hand


def blob(faces: Faces) -> Drawn:
    """Draw a piece of a photo or material in a random smooth outline."""
    n, like = len(faces.pixels), faces.pixels
    x, y = grid(like, faces.size)
    cx, cy = place(faces)
    radius = width_of(faces) * uniform(like, n, 0.12, 0.55)
    u, v = turned(x, y, cx, cy, uniform(like, n, 0, pi))
    v = v * uniform(like, n, 0.6, 2.2)
    angle, distance = torch.atan2(v, u), torch.sqrt(u * u + v * v + 1e-3)
    wobble = torch.zeros_like(distance)
    for k in range(2, 7):
        wobble = wobble + torch.sin(k * angle + uniform(like, n, 0, 2 * pi)) * uniform(like, n, 0, 0.5) / k
    signed = distance - radius * (1 + wobble)
    bulge = torch.sqrt((-signed).clamp(min=0.01) * 8).clamp(max=20) * uniform(like, n, 0, 1)
    return lit(material(faces, n), bulge), edge(signed, uniform(like, n, 0.6, 2.2))[:, None]


def polygon(faces: Faces) -> Drawn:
    """Draw a convex polygon: paper, a board, a book."""
    n, like = len(faces.pixels), faces.pixels
    x, y = grid(like, faces.size)
    cx, cy = place(faces, 1.3)
    radius, start = width_of(faces) * uniform(like, n, 0.15, 0.6), uniform(like, n, 0, 2 * pi)
    signed = torch.full_like(x + y + cx, -1e3)
    for k in range(5):
        angle = start + (k + uniform(like, n, -0.35, 0.35)) * 2 * pi / 5
        reach = radius * uniform(like, n, 0.6, 1.3)
        signed = torch.maximum(signed, (x - cx) * torch.cos(angle) + (y - cy) * torch.sin(angle) - reach)
    return material(faces, n), edge(signed, uniform(like, n, 0.5, 1.5))[:, None]


def slab(faces: Faces) -> Drawn:
    """Draw the edge of something large that comes in from a side: a door, another head, cloth, a table."""
    n, like = len(faces.pixels), faces.pixels
    x, y = grid(like, faces.size)
    angle = uniform(like, n, 0, 2 * pi)
    side = torch.sin(angle) < -0.5  # rarely from above
    angle = torch.where(side, -angle, angle)
    reach = width_of(faces) * uniform(like, n, 0.0, 0.62)
    middle = faces.points[:, [234, 454, 10, 152]].mean(dim=1)
    along = (x - middle[:, 0, None, None]) * torch.cos(angle) + (y - middle[:, 1, None, None]) * torch.sin(angle)
    signed = reach - along + noise(like, n, faces.size, 4)[:, 0] * uniform(like, n, 0, 14)
    folds = noise(like, n, faces.size, 9)[:, 0] * uniform(like, n, 0, 5)
    return lit(material(faces, n), folds), edge(signed, uniform(like, n, 0.6, 3))[:, None]


def microphone(faces: Faces) -> Drawn:
    """Draw a microphone held or standing before mouth and chin: a ball or foam on a shaft."""
    n, like = len(faces.pixels), faces.pixels
    x, y = grid(like, faces.size)
    mouth, scale = faces.points[:, [13, 152]].mean(dim=1), width_of(faces) / 130
    cx = mouth[:, 0, None, None] + uniform(like, n, -45, 45) * scale
    cy = mouth[:, 1, None, None] + uniform(like, n, -30, 40) * scale
    radius = uniform(like, n, 9, 30) * scale
    angle = uniform(like, n, -0.8, 0.8)
    end = (cx + torch.sin(angle) * 260, cy + torch.cos(angle) * 260)
    u, v = turned(x, y, cx, cy, angle)
    long = uniform(like, n, 0.6, 1.0)
    ball = torch.sqrt(u * u + (v * long) ** 2 + 1e-3) - radius
    shaft = capsule(x, y, (cx, cy), end, radius * uniform(like, n, 0.3, 0.75), radius * uniform(like, n, 0.25, 0.6))
    mesh = torch.sin(u * uniform(like, n, 0.8, 2.4)) * torch.sin(v * uniform(like, n, 0.8, 2.4))
    grain = mesh[:, None] * 0.12 * torch.rand(n, 1, 1, 1, device=like.device) + noise(like, n, faces.size, 110) * 0.04
    dark = colour(like, n) * (0.15 + 0.85 * torch.rand(n, 1, 1, 1, device=like.device) ** 2)
    head = lit((dark + grain).clamp(0, 1), torch.sqrt((-ball * (2 * radius + ball)).clamp(min=0.01)))
    stick = colour(like, n) * (0.15 + 0.6 * torch.rand(n, 1, 1, 1, device=like.device) ** 2)
    body = lit(stick.expand(-1, -1, faces.size, faces.size), torch.sqrt((-shaft).clamp(min=0.01) * radius))
    soft = uniform(like, n, 0.6, 1.6)
    inside = edge(ball, soft)[:, None]
    return torch.lerp(body, head, inside), torch.maximum(inside, edge(shaft, soft)[:, None])


def mask(faces: Faces) -> Drawn:
    """Draw a mask over nose and mouth, with pleats and straps to the ears."""
    n, like = len(faces.pixels), faces.pixels
    x, y = grid(like, faces.size)
    middle = faces.points[:, 13] / (faces.size - 1) * 2 - 1
    scale = 1 / (0.9 + 0.25 * torch.rand(n, 2, device=like.device))
    shift = torch.stack([torch.zeros(n, device=like.device), -0.12 * torch.rand(n, device=like.device) + 0.03], 1)
    low = torch.rand(n, device=like.device) < 0.2  # worn below the nose
    shift[:, 1] = torch.where(low, -0.16, shift[:, 1].double()).float()
    zero = torch.zeros(n, device=like.device)
    theta = torch.stack(
        [
            torch.stack([scale[:, 0], zero, middle[:, 0] * (1 - scale[:, 0])], 1),
            torch.stack([zero, scale[:, 1], middle[:, 1] * (1 - scale[:, 1]) + shift[:, 1]], 1),
        ],
        1,
    )
    flow = F.affine_grid(theta, list(faces.mask.shape), align_corners=True)
    matte = F.grid_sample(faces.mask, flow, align_corners=True)
    u, v = turned(
        x, y, faces.points[:, 13, 0, None, None], faces.points[:, 13, 1, None, None], uniform(like, n, -0.1, 0.1)
    )
    pleats = torch.sin(v * uniform(like, n, 0.2, 0.7)) * uniform(like, n, 0, 1.2)
    bulge = -(u * u + v * v) / 220 + pleats + noise(like, n, faces.size, 14)[:, 0] * 0.7
    usual = torch.rand(n, 1, 1, 1, device=like.device)
    hue = torch.where(
        usual < 0.5,
        like.new_tensor([0.55, 0.75, 0.88])[:, None, None],
        like.new_tensor([0.93, 0.94, 0.95])[:, None, None],
    )
    surface = torch.where(
        usual < 0.6, hue * (0.85 + 0.15 * torch.rand(n, 1, 1, 1, device=like.device)), material(faces, n)
    )
    strap = torch.zeros_like(u)
    for corner, ear in ((93, 127), (323, 356), (132, 234), (361, 454)):
        a = tuple(faces.points[:, corner, k, None, None] for k in (0, 1))
        b = tuple(faces.points[:, ear, k, None, None] for k in (0, 1))
        strap = torch.maximum(strap, edge(capsule(x, y, a, b, u.new_ones(()) * 0.9, u.new_ones(()) * 0.9), 0.9))  # type: ignore[arg-type]
    worn = (torch.rand(n, 1, 1, 1, device=like.device) < 0.6).float()
    return lit(surface, bulge, uniform(like, n, 0.4, 1)[:, None]), torch.maximum(matte, strap[:, None] * worn)


def phone(faces: Faces) -> Drawn:
    """Draw a telephone, tablet, book or card: a rounded rectangle with an inner field."""
    n, like = len(faces.pixels), faces.pixels
    x, y = grid(like, faces.size)
    cx, cy = place(faces, 1.1)
    u, v = turned(x, y, cx, cy, uniform(like, n, -0.8, 0.8) + (torch.rand(n, 1, 1, device=like.device) < 0.3) * pi / 2)
    wide = width_of(faces) * uniform(like, n, 0.18, 0.4)
    high, corner = wide * uniform(like, n, 1.2, 2.1), wide * uniform(like, n, 0.02, 0.3)
    qx, qy = u.abs() - wide + corner, v.abs() - high + corner
    signed = (
        torch.sqrt(qx.clamp(min=0) ** 2 + qy.clamp(min=0) ** 2 + 1e-4) + torch.maximum(qx, qy).clamp(max=0) - corner
    )
    frame = colour(like, n) * torch.rand(n, 1, 1, 1, device=like.device)
    field = torch.where(torch.rand(n, 1, 1, 1, device=like.device) < 0.5, material(faces, n), colour(like, n))
    inner = edge(signed + uniform(like, n, 1, 6), 1.0)[:, None]
    glare = ((u + v) / 120)[:, None] * 0.25 * torch.rand(n, 1, 1, 1, device=like.device)
    return (torch.lerp(frame, field, inner) + glare).clamp(0, 1), edge(signed, uniform(like, n, 0.5, 1.2))[:, None]


def strands(faces: Faces, count: int = 7) -> Drawn:
    """Draw strands and locks of hair that fall across the face, in the head's own colour of hair."""
    n, like, size = len(faces.pixels), faces.pixels, faces.size
    x, y = (g[:, None] for g in grid(like, size))

    def several(low: float, high: float) -> Tensor:
        return torch.rand(n, count, 1, 1, device=like.device) * (high - low) + low

    width = width_of(faces)[:, None]
    top, chin = (faces.points[:, k, 1, None, None, None] for k in (10, 152))
    middle = faces.points[:, 10, 0, None, None, None]
    start = middle + width * (torch.rand(n, 1, 1, 1, device=like.device) - 0.5 + several(-0.18, 0.18))
    lean, curl = torch.rand(n, 1, 1, 1, device=like.device) - 0.5 + several(-0.15, 0.15), several(-0.35, 0.35)
    end = top + (chin - top) * several(0.35, 1.15)
    t = ((y - top) / (end - top)).clamp(-0.3, 1.2)
    where = start + width * (lean * t + curl * t * t) + 2.5 * torch.sin(t * several(2, 9) + several(0, 6))
    slope = width * (lean + 2 * curl * t) / (end - top)
    thick = torch.where(several(0, 1) < 0.3, several(2.5, 8), several(0.5, 1.8)) * (1.15 - t.clamp(0, 1)) * width / 130
    signed = (x - where).abs() * torch.rsqrt(1 + slope * slope) - thick
    signed = torch.maximum(signed, torch.maximum(y - end, top - 0.15 * (chin - top) - y))
    shown = (several(0, 1) < 0.75).float()
    matte, which = (edge(signed, 0.9) * shown).max(dim=1, keepdim=True)
    shade = torch.gather(several(0.7, 1.3).expand(-1, -1, size, size), 1, which)
    fibre = 1 + 0.18 * noise(like, n, size, 160, 16)
    return (hair_colours(faces) * shade * fibre).clamp(0, 1), matte


def cup(faces: Faces) -> Drawn:
    """Draw a cup or glass raised to the mouth, with rim and handle."""
    n, like = len(faces.pixels), faces.pixels
    x, y = grid(like, faces.size)
    mouth, scale = faces.points[:, 13], width_of(faces) / 130
    cx = mouth[:, 0, None, None] + uniform(like, n, -25, 25) * scale
    cy = mouth[:, 1, None, None] + uniform(like, n, 10, 45) * scale
    u, v = turned(x, y, cx, cy, uniform(like, n, -0.4, 0.4))
    wide, high = uniform(like, n, 24, 42) * scale, uniform(like, n, 28, 50) * scale
    taper = wide * (1 - 0.25 * torch.rand(n, 1, 1, device=like.device) * (v / high))
    body = torch.maximum(u.abs() - taper, v.abs() - high)
    rim = (torch.sqrt((u / taper) ** 2 + ((v + high) / (0.22 * wide)) ** 2 + 1e-4) - 1) * 0.22 * wide
    foot = (torch.sqrt((u / taper) ** 2 + ((v - high) / (0.16 * wide)) ** 2 + 1e-4) - 1) * 0.16 * wide
    ring = torch.sqrt((u.abs() - taper) ** 2 + v * v + 1e-3) - 0.5 * high
    handle = torch.where(u > 0, ring.abs() - 4 * scale, ring.abs() + 99)
    signed = torch.minimum(torch.minimum(body, torch.minimum(rim, foot)), handle)
    surface = lit(material(faces, n), torch.sqrt((taper**2 - u * u).clamp(min=1)))
    inside = edge(rim + 2 * scale, 1.0)[:, None]
    return torch.lerp(surface, surface * 0.45, inside), edge(signed, uniform(like, n, 0.6, 1.4))[:, None]


def leaves(faces: Faces, count: int = 14) -> Drawn:
    """Draw leaves or petals before the face, some out of focus."""
    n, like, size = len(faces.pixels), faces.pixels, faces.size
    x, y = (g[:, None] for g in grid(like, size))
    cx, cy = (p[:, None] for p in place(faces, 1.2))
    reach = width_of(faces)[:, None]
    cx = cx + reach * 0.4 * torch.randn(n, count, 1, 1, device=like.device)
    cy = cy + reach * 0.4 * torch.randn(n, count, 1, 1, device=like.device)
    angle = torch.rand(n, count, 1, 1, device=like.device) * 2 * pi
    u, v = turned(x, y, cx, cy, angle)
    long = reach * (0.08 + 0.16 * torch.rand(n, count, 1, 1, device=like.device))
    slim = long * (0.25 + 0.35 * torch.rand(n, count, 1, 1, device=like.device))
    half = (slim * (1 - (u / long) ** 2)).clamp(min=-9)
    signed = torch.maximum(v.abs() - half, u.abs() - long)
    matte, which = edge(signed, 0.6 + 2 * torch.rand(n, 1, 1, 1, device=like.device)).max(dim=1, keepdim=True)
    green = like.new_tensor([0.25, 0.45, 0.15])[:, None, None] * (0.5 + torch.rand(n, 3, 1, 1, device=like.device))
    shade = torch.gather(
        (0.6 + 0.7 * torch.rand(n, count, 1, 1, device=like.device)).expand(-1, -1, size, size), 1, which
    )
    return (green * shade * (1 + 0.1 * noise(like, n, size, 60))).clamp(0, 1), matte


COVERS: dict[str, Callable[[Faces], Drawn]] = {
    "blob": blob, "polygon": polygon, "slab": slab, "hand": hand, "microphone": microphone, "mask": mask,
    "phone": phone, "strands": strands,
}  # fmt: skip
KEPT_BACK: dict[str, Callable[[Faces], Drawn]] = {"cup": cup, "leaves": leaves}  # to test what was not trained on
