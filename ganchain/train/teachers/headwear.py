"""Hats, caps and scarves drawn on heads, with their exact mattes.

All kinds are one model whose measures differ: a dome on the head, a strip around it, a visor, a brim or board, and a
drape that falls over neck and shoulders and leaves the face open. So a whole batch of mixed kinds is drawn at once.
Lengths are shares of the face's width, in a frame whose origin lies between the brows, u to the right and v up.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ganchain.train.teachers.drawn import (
    Faces,
    colour,
    edge,
    grid,
    hair_colours,
    lit,
    material,
    noise,
    skin_tones,
    uniform,
)
from ganchain.train.teachers.wardrobe import ALL, MEASURES

FAR = 9.0  # a distance at which nothing is drawn


@dataclass(eq=False)
class Worn:
    """Headwear of N heads.

    Attributes:
        colours: (N, 3, S, S) 0..1.
        matte: (N, 1, S, S) 0..1.
        pressed: (N, 1, S, S) 0..1, where hair beside the headwear would be under it.
        hole: (N, 1, S, S) 0..1, the opening that a drape leaves for the face.
        low: (N, 1, S, S) bool, below the line of the brows.
    """

    colours: Tensor
    matte: Tensor
    pressed: Tensor
    hole: Tensor
    low: Tensor


@dataclass(eq=False)
class _Head:
    """Frame of N heads: coordinates (N, S, S), and measures (N, 1, 1) in shares of the width ``unit`` in px."""

    u: Tensor
    v: Tensor
    unit: Tensor
    yaw: Tensor
    forehead: Tensor
    chin: Tensor
    side: Tensor
    top: Tensor


def _head(faces: Faces) -> _Head:
    """Measure heads: how wide they are with their hair, and how high."""
    x, y = grid(faces.pixels, faces.size)
    left, right, brow = (faces.points[:, k, :, None, None] for k in (234, 454, 9))
    across = right - left
    unit = across.square().sum(dim=1).sqrt()
    rx, ry = across[:, 0] / unit, across[:, 1] / unit
    middle = (left + right) / 2

    def frame(px: Tensor, py: Tensor) -> tuple[Tensor, Tensor]:
        u = ((px - middle[:, 0]) * rx + (py - middle[:, 1]) * ry) / unit
        return u, ((px - brow[:, 0]) * ry - (py - brow[:, 1]) * rx) / unit

    u, v = frame(x, y)
    forehead, chin = (frame(*faces.points[:, k, :, None, None].unbind(1))[1] for k in (10, 152))
    yaw = frame(*brow.unbind(1))[0]
    hair = faces.hair[:, 0] > 0.5
    top = torch.where(hair, v, -1).amax(dim=(1, 2), keepdim=True)
    side = torch.where(hair & (v > 0.1), u.abs(), 0).amax(dim=(1, 2), keepdim=True)
    top = torch.maximum(torch.minimum(top, forehead + 0.55), forehead + 0.22)
    return _Head(u, v, unit, yaw, forehead, chin, side.clamp(0.54, 0.72), top)


def _ellipse(u: Tensor, v: Tensor, a: Tensor, b: Tensor, power: Tensor | float = 2.0) -> Tensor:
    """Compute about the signed distance to an ellipse, or another outline of ``power``."""
    x, y = (u / a).abs() + 1e-4, (v / b).abs() + 1e-4
    r = (x**power + y**power) ** (1 / power)
    return (r - 1) * r ** (power - 1) * torch.rsqrt((x ** (power - 1) / a) ** 2 + (y ** (power - 1) / b) ** 2)


def headwear(faces: Faces, kinds: Tensor) -> Worn:
    """Draw headwear; ``kinds`` (N,) are places in ``ALL``."""
    n, head = len(faces.pixels), _head(faces)
    table = torch.tensor([[(MEASURES | own)[name] for name in MEASURES] for own in ALL.values()])
    ranges = table.to(faces.pixels.device)[kinds.to(faces.pixels.device)]
    drawn = ranges[..., 0] + torch.rand(n, len(MEASURES), device=ranges.device) * (ranges[..., 1] - ranges[..., 0])
    m = {name: drawn[:, k, None, None] for k, name in enumerate(MEASURES)}

    base = head.forehead * m["low"] * (1 - m["drape"])
    turn = m["turn"] * (1 - m["drape"])
    u = head.u + 0.25 * head.yaw
    u, q = u * torch.cos(turn) + (head.v - base) * torch.sin(turn), (head.v - base) - u * torch.sin(turn)
    a, high = head.side * m["wide"], head.top + m["rise"] - base
    e = (u / a).clamp(-1.2, 1.2)
    lower = torch.where(m["drape"] > 0, m["end"], -m["droop"] * e * e - m["peak"] * e.abs())
    rise = (q / high).clamp(min=0)
    half = (a * (1 - m["taper"] * rise) + m["flare"] * (-q).clamp(min=0) ** 1.2).clamp(min=0.01)
    peak = high * (1 - m["dent"] * torch.exp(-((u / 0.18) ** 2)))
    x, y = ((u - m["shear"] * rise) / half).abs() + 1e-4, (q / peak).clamp(min=0) + 1e-4
    s = (x ** m["power"] + y ** m["power"]) ** (1 / m["power"])
    dome = torch.maximum((s - 1) * torch.minimum(a, high), lower - q)

    hole, split = _opening(head, m)
    dome = torch.maximum(dome, -torch.where(m["drape"] > 0, torch.minimum(hole, split), FAR))
    strip = torch.maximum(torch.maximum((x - 1.03) * half, q - lower - m["strip"]), lower - q)
    strip = torch.where(m["strip"] > 0.02, strip, FAR)
    dome = torch.where(m["only"] > 0, torch.maximum(dome, strip), dome)
    visor = _ellipse(
        u - 1.3 * head.yaw,
        q + 0.45 * m["drop"] + 0.35 * (u - 1.3 * head.yaw) ** 2,
        m["visor"].clamp(min=0.3),
        m["drop"],
    )
    visor = torch.where(m["visor"] > 0.3, visor, FAR)
    near = q - m["place"] * high + m["bend"] * u * u
    brim = torch.where(m["brim"] > 0, _ellipse(u, near, m["brim"].clamp(min=0.3), m["flat"], m["sharp"]), FAR)
    bobble = torch.where(
        m["bobble"] > 0.06, torch.sqrt((u - m["shear"]) ** 2 + (q - high) ** 2 + 1e-5) - m["bobble"], FAR
    )
    signed = torch.stack([dome, strip, brim, visor, bobble]).amin(dim=0)
    front = (brim < 0) & ((dome > 0) | (near < 0) | (m["place"] > 0.5))
    layers = torch.stack([(strip < 0) & (m["only"] == 0), front, visor < 0, bobble < 0])
    colours = _surface(faces, head, m, u, q, e, s, layers)
    above = torch.where(m["drape"] > 0, edge(-hole, 0.02), edge(lower - q, 0.02)) * (1 - m["only"])
    return Worn(
        colours,
        edge(signed * head.unit, uniform(faces.pixels, n, 0.6, 1.8))[:, None],
        above[:, None],
        (edge(hole, 0.02) * m["drape"])[:, None],
        (head.v < 0)[:, None],
    )


def _opening(head: _Head, m: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Compute the distance to the face's opening in a drape, and to where it stands open below."""
    top, bottom = head.forehead * m["low"], head.chin + m["chin"] - 0.06
    u, middle = head.u - 0.3 * head.yaw, (top + bottom) / 2
    hole = _ellipse(u, head.v - middle, m["open"], (top - bottom) / 2, 2.3)
    below = torch.maximum(u.abs() - m["open"] * (0.2 + m["split"]), head.v - middle)
    return hole, torch.where(m["split"] > 0.15, below, FAR)


def _cloth(faces: Faces, n: int) -> Tensor:
    """Pick cloth: of one colour, often that of hair or skin, or black, or with a pattern. (n, 3, S, S)."""
    like, size = faces.pixels, faces.size

    def dice() -> Tensor:
        return torch.rand(n, 1, 1, 1, device=like.device)

    tone, which = colour(like, n), dice()
    tone = torch.where(which < 0.16, hair_colours(faces) * (0.7 + 0.6 * dice()), tone)
    tone = torch.where((which > 0.16) & (which < 0.28), skin_tones(faces), tone)
    tone = torch.where((which > 0.28) & (which < 0.45), 0.03 + 0.12 * torch.rand_like(tone), tone)
    grain = 1 + 0.22 * dice() ** 2 * noise(like, n, size, 200) + 0.08 * dice() * noise(like, n, size, 40)
    pattern = material(faces, n)
    return torch.where(dice() < 0.28, pattern, tone * grain).clamp(0, 1)


def _surface(
    faces: Faces, head: _Head, m: dict[str, Tensor], u: Tensor, q: Tensor, e: Tensor, s: Tensor, layers: Tensor
) -> Tensor:
    """Colour and shade what is drawn; ``layers`` (4, N, S, S) bool: strip, brim, visor, bobble before the dome."""
    n, like = len(faces.pixels), faces.pixels
    first, second = _cloth(faces, n), _cloth(faces, n)
    strip, brim, visor, _ = layers
    swap = (
        torch.rand(4, n, 1, 1, 1, device=like.device)
        < like.new_tensor([0.5, 0.15, 0.35, 0.5])[:, None, None, None, None]
    )
    other = (layers[:, :, None] & swap).any(dim=0)
    logo = torch.maximum(
        ((u - head.yaw) / uniform(like, n, 0.06, 0.24)).abs(), ((q - 0.27) / uniform(like, n, 0.06, 0.15)).abs()
    )
    badge = (logo < 1) & (m["seams"] > 0) & (uniform(like, n, 0, 1) < 0.5) & ~layers.any(dim=0)
    cloth = torch.where(other | badge[:, None], second, first)

    height = _height(head, m, u, q, e, s, strip, brim | visor)
    surface = lit(cloth, height, uniform(like, n, 0.5, 1.2)[:, None])

    line = torch.minimum(e.abs(), ((e / (1.15 - (q / 1.2).clamp(0, 0.9))).abs() - 0.62).abs())
    seam = torch.exp(-((line * 40) ** 2)) * m["seams"].clamp(min=0) * ~layers.any(dim=0) * 0.35
    under = torch.where(brim | visor, uniform(like, n, 0.45, 1.1), uniform(like, n, 0.85, 1.0))
    deep = 1 - 0.35 * uniform(like, n, 0, 1) * ((s - 0.75) * 4).clamp(0, 1)
    spot = torch.exp(-((u - uniform(like, n, -0.3, 0.3)) ** 2 + (q - uniform(like, n, 0.2, 0.5)) ** 2) / 0.015)
    shade = (under * deep * (1 - seam))[:, None]
    return (surface * shade + (m["gloss"] * spot * ~brim)[:, None] * 0.7).clamp(0, 1)


def _height(
    head: _Head, m: dict[str, Tensor], u: Tensor, q: Tensor, e: Tensor, s: Tensor, strip: Tensor, flat: Tensor
) -> Tensor:
    """Compute how high the surface stands out, in px: bulge, folds and ribs. (N, S, S)."""
    n, like, size = len(u), u, u.shape[-1]
    warp = noise(like, n, size, 5)[:, 0] * 0.5 + noise(like, n, size, 12)[:, 0] * 0.2
    away = torch.where(m["drape"] > 0, u.abs(), u)
    wave = (head.v + m["slope"] * torch.where(m["slope"] > 0.5, u.abs(), away)) * uniform(like, n, 12, 40) + 3 * warp
    folds = m["folds"] * (torch.sin(wave) + 0.5 * noise(like, n, size, 10)[:, 0])
    ribs = m["ribs"].clamp(min=0) * torch.sin(e * uniform(like, n, 20, 60)) * (1 + 0.3 * torch.sin(q * 90))
    scale = head.unit * uniform(like, n, 0.2, 0.5)
    height = scale * torch.sqrt((1.02 - s).clamp(min=0.02)) + folds + ribs
    plain = scale * 0.4 * torch.sqrt((1 - e * e).clamp(min=0.05)) + 0.4 * folds
    return torch.where(flat, plain - head.unit * 0.05, torch.where(strip, height + 2.0, height))
