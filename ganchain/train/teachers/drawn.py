"""Things drawn over faces so that their mattes are exactly known: covers, glasses, facial hair.

Everything is drawn from signed distances on the whole grid of pixels at once, batched, on whatever device the pictures
are, with torch's own random numbers: each step of a training sees new ones. Colours are RGB 0..1, lengths pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import pi

import torch
import torch.nn.functional as F
from torch import Tensor

from ganchain.train.teachers.parts import LEFT_EYE, RIGHT_EYE


@dataclass
class Faces:
    """What drawing needs to know of N heads.

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
        return Faces(self.pixels[rows], self.points[rows], self.hair[rows], self.mask[rows], self.textures)

    @property
    def size(self) -> int:
        return int(self.pixels.shape[-1])


Drawn = tuple[Tensor, Tensor]  # colours (N, 3, S, S), matte (N, 1, S, S)


def uniform(like: Tensor, count: int, low: float, high: float) -> Tensor:
    """``count`` numbers between ``low`` and ``high`` where ``like`` is: (count, 1, 1)."""
    return torch.rand(count, 1, 1, device=like.device) * (high - low) + low


def grid(like: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Columns and rows of the pixels: (1, size), (size, 1) to be broadcast."""
    line = torch.arange(size, device=like.device, dtype=torch.float32)
    return line[None, None, :], line[None, :, None]


def noise(like: Tensor, count: int, size: int, cells: int, stretch: int = 1) -> Tensor:
    """Smooth noise of ``cells`` lumps a side, about -1..1: (count, 1, size, size)."""
    seeds = torch.randn(count, 1, max(2, cells // stretch), cells, device=like.device)
    return F.interpolate(seeds, (size, size), mode="bicubic", align_corners=False)


def edge(distance: Tensor, soft: Tensor | float) -> Tensor:
    """A matte of a signed distance: 1 well inside, 0 outside, ``soft`` pixels of edge."""
    return torch.sigmoid(-2.5 * distance / soft)


def capsule(x: Tensor, y: Tensor, a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor], r: Tensor, s: Tensor) -> Tensor:
    """Signed distance to a stroke from ``a`` (radius ``r``) to ``b`` (radius ``s``)."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    t = (((x - a[0]) * dx + (y - a[1]) * dy) / (dx * dx + dy * dy + 1e-3)).clamp(0, 1)
    return torch.sqrt((x - a[0] - t * dx) ** 2 + (y - a[1] - t * dy) ** 2 + 1e-4) - torch.lerp(r, s, t)


def turned(x: Tensor, y: Tensor, cx: Tensor, cy: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates in a frame centred on (cx, cy) and turned by ``angle``."""
    c, s = torch.cos(angle), torch.sin(angle)
    return (x - cx) * c + (y - cy) * s, -(x - cx) * s + (y - cy) * c


def colour(like: Tensor, count: int) -> Tensor:
    """A colour each, often dull, dark or light: (count, 3, 1, 1)."""
    value = torch.rand(count, 1, 1, 1, device=like.device) ** 0.8
    vivid = torch.rand(count, 1, 1, 1, device=like.device) ** 2
    return (value + vivid * 0.8 * (torch.rand(count, 3, 1, 1, device=like.device) - 0.5)).clamp(0.02, 0.98)


def texture(faces: Faces, count: int, zoom: tuple[float, float] = (0.35, 1.6)) -> Tensor:
    """Pieces of photos, turned, scaled and tinted: (count, 3, S, S)."""
    pool, size = faces.textures, faces.size
    picked = pool[torch.randint(len(pool), (count,), device=pool.device)]
    angle = torch.rand(count, device=pool.device) * 2 * pi
    scale = torch.exp(torch.rand(count, device=pool.device) * torch.log(torch.tensor(zoom[1] / zoom[0]))) * zoom[0]
    c, s, shift = torch.cos(angle) * scale, torch.sin(angle) * scale, torch.rand(count, 2, device=pool.device) - 0.5
    theta = torch.stack([torch.stack([c, -s, shift[:, 0]], 1), torch.stack([s, c, shift[:, 1]], 1)], 1)
    flow = F.affine_grid(theta, [count, 3, size, size], align_corners=False)
    found = F.grid_sample(picked, flow, mode="bilinear", padding_mode="reflection", align_corners=False)
    gain = 0.6 + 0.8 * torch.rand(count, 3, 1, 1, device=pool.device)
    plain = torch.rand(count, 1, 1, 1, device=pool.device) < 0.3
    return torch.where(plain, torch.lerp(found, gain * 0.6, 0.6), found * gain).clamp(0, 1)


def material(faces: Faces, count: int) -> Tensor:
    """A surface: a piece of a photo, or one colour with stripes, checks or lumps. (count, 3, S, S)."""
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
    """The person's own skin (cheeks), or someone else's: (N, 3, 1, 1)."""
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
    """Colours at mesh points: (N, 3, len(indices))."""
    where = faces.points[:, list(indices)] / (faces.size - 1) * 2 - 1
    return F.grid_sample(faces.pixels, where[:, None], align_corners=True, padding_mode="border")[:, :, 0]


def hair_colours(faces: Faces) -> Tensor:
    """The mean colour of each head's hair, dark brown where there is none: (N, 3, 1, 1)."""
    weight = (faces.hair > 0.8).float()
    total = weight.sum(dim=(2, 3), keepdim=True)
    mean = (faces.pixels * weight).sum(dim=(2, 3), keepdim=True) / total.clamp(min=1)
    return torch.where(total > 300, mean, mean.new_tensor([0.16, 0.12, 0.1])[:, None, None])


def place(faces: Faces, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    """A random point over each face: two (N, 1, 1)."""
    left, right = faces.points[:, 234], faces.points[:, 454]
    top, chin = faces.points[:, 10], faces.points[:, 152]
    count = len(left)
    u, v = uniform(left, count, -0.55, 0.55) * spread, uniform(left, count, -0.5, 0.6) * spread
    middle, across, down = (left + right + top + chin) / 4, right - left, chin - top
    return tuple(middle[:, k, None, None] + u * across[:, k, None, None] + v * down[:, k, None, None] for k in (0, 1))  # type: ignore[return-value]


def width_of(faces: Faces) -> Tensor:
    """The face's width in pixels: (N, 1, 1)."""
    return (faces.points[:, 454] - faces.points[:, 234]).norm(dim=1)[:, None, None]


def blob(faces: Faces) -> Drawn:
    """A piece of a photo or material in a random smooth outline."""
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
    """A convex polygon: paper, a board, a book."""
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
    """The edge of something large that comes in from a side: a door, another head, cloth, a table."""
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


def hand(faces: Faces) -> Drawn:
    """A hand with an arm or a sleeve, fingers spread or closed, stretched or bent, in skin colour with shading."""
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


def microphone(faces: Faces) -> Drawn:
    """A microphone held or standing before mouth and chin: a ball or foam on a shaft."""
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
    """A mask over nose and mouth, with pleats and straps to the ears."""
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
    """A telephone, tablet, book or card: a rounded rectangle with an inner field."""
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
    """Strands and locks of hair that fall across the face, in the head's own colour of hair."""
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
    """A cup or glass raised to the mouth, with rim and handle."""
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
    """Leaves or petals before the face, some out of focus."""
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


def glasses(faces: Faces) -> Drawn:
    """Glasses on the eyes: frames thin to thick, half or none, clear, tinted or dark lenses, reflections."""
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
    one = torch.ones(n, 1, 1, device=like.device)
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
    """Beards, moustaches, goatees and stubble drawn as short strands.

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
