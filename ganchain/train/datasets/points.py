"""Faces and their points, varied at random on whatever device they lie: place, shape, covers, light, camera.

Coordinates of points are those of ``F.grid_sample``: -1 and 1 are a picture's edges. Random numbers come from torch's
generator of the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ganchain.framing import HEAD, TIGHT, Framing
from ganchain.faces.mesh import LEFT_EYE, LEFT_IRIS, LIPS, MIRROR, RIGHT_EYE, RIGHT_IRIS, WINDOW
from ganchain.nets.points import SIDE

TURN, SCALE, SHIFT = 25.0, 0.15, 0.08  # degrees, share, share of the tight framing's side; the detector's errors
ROUNDS = 10  # of finding where a point came from
LUMA = (16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29)
LUMA += (51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121)
LUMA += (120, 101, 72, 92, 95, 98, 112, 100, 103, 99)  # JPEG's table of quantisation at quality 50


class Item(NamedTuple):
    """Training pictures as they are stored.

    Attributes:
        pictures: (N, 3, H, H) uint8.
        points: (N, 478, 2) in -1..1 of the picture; zeros where there is no face.
        places: (N, 3): the window is the picture's square of half side places[0] around (places[1], places[2]).
        known: (N,) whether there is a face.
    """

    pictures: Tensor
    points: Tensor
    places: Tensor
    known: Tensor

    def at(self, index: Tensor) -> Item:
        return Item(*(each[index] for each in self))


@dataclass
class Seen:
    """What the network learns from.

    Attributes:
        faces: (N, 3, SIDE, SIDE) -1..1.
        points: (N, 478, 2) in -1..1 of ``faces``.
        weights: (N, 478), how much each point counts: 0 without a face, less under a cover.
        sure: (N,) 1: a face, 0: none, not-a-number: neither is to be learnt.
    """

    faces: Tensor
    points: Tensor
    weights: Tensor
    sure: Tensor


def place(framing: Framing | None) -> tuple[float, float, float]:
    """Where ``WINDOW`` lies in a picture of ``framing`` (see ``Item``); of a picture without a face, all of it."""
    if framing is None:
        return 1.0, 0.0, 0.0
    middle = WINDOW.left + WINDOW.side / 2, WINDOW.top + WINDOW.side / 2
    x, y = ((at - edge) / framing.side * 2 - 1 for at, edge in zip(middle, (framing.left, framing.top), strict=True))
    return WINDOW.side / framing.side, x, y


PLACES = {"tight": place(TIGHT), "head": place(HEAD), "none": place(None)}


def framed(item: Item, turns: Tensor, scales: Tensor, shifts: Tensor, side: int = SIDE) -> Seen:
    """Pictures as the aligner cuts them when it errs: turned (degrees, N), scaled (N), shifted ((N, 2) of the window).

    A face that is scaled by 1.1 is seen larger. Nothing else is varied.
    """
    linear, shift = _similarity(turns, scales, shifts)
    points = _inverse(item.points, *_onto(item, linear, shift))
    faces = _sampled(item.pictures, _planes(_onto(item, linear, shift), side))
    known = item.known.float()
    return Seen(faces, points, known[:, None].expand(points.shape[:2]), known)


def vary(item: Item, side: int = SIDE, astray: float = 0.06) -> Seen:
    """Everything varied at random; a share ``astray`` of the faces is cut so badly that they count as none."""
    n, device = len(item.pictures), item.pictures.device
    lost = item.known & (_uniform(n, device) < astray)
    turns = TURN * 1.15 * _both(n, device) * _uniform(n, device) ** 0.7
    scales = torch.exp(1.3 * SCALE * _both(n, device))
    shifts = 2.6 * SHIFT * TIGHT.side / WINDOW.side * _both(2 * n, device).view(n, 2)
    kind = torch.randint(3, (n,), device=device)
    turns = torch.where(lost & (kind == 0), 180 + 100 * _both(n, device), turns)
    scales = torch.where(lost & (kind == 1), torch.where(_chance(n, 0.5, device), 3.0, 0.28), scales)
    far = _unit(n, device) * (0.9 + 0.6 * _uniform(n, device)[:, None])
    shifts = torch.where((lost & (kind == 2))[:, None], far, shifts)
    linear, shift = _similarity(turns, scales, shifts)
    stretch = 1 + 0.06 * _both(n, device)
    linear = linear @ torch.stack([stretch, 0.05 * _both(n, device), 0 * stretch, 1 / stretch], dim=1).view(n, 2, 2)
    flip = _chance(n, 0.5, device)
    linear = linear * torch.stack([torch.where(flip, -1.0, 1.0), torch.ones(n, device=device)], dim=1)[:, None]

    onto = _onto(item, linear, shift)
    bend = Bend(item)
    grid = _planes(onto, side)
    faces = _sampled(item.pictures, grid + bend(grid.flatten(1, 2)).view_as(grid))
    points = _inverse(bend.undone(item.points), *onto)
    points = torch.where(flip[:, None, None], points[:, list(MIRROR)], points)

    faces, under = covered(faces, points)
    hidden = under.mean(dim=1)
    known = item.known & ~lost
    sure = torch.where(known, torch.where(hidden < 0.6, 1.0, torch.where(hidden < 0.8, torch.nan, 0.0)), 0.0)
    learnt = known & (hidden < 0.7)
    return Seen(filmed(faces) * 2 - 1, points, learnt[:, None] * (1 - 0.6 * under), sure)


class Bend:
    """A smooth random change of the face's shape; eyes and mouth are also narrowed or widened from above and below.

    Called with places (N, K, 2) on the changed picture it gives how far from there they come from.
    """

    def __init__(self, item: Item) -> None:
        n, device = len(item.points), item.points.device
        unit = (item.points[:, 468] - item.points[:, 473]).norm(dim=1)
        self.waves = torch.randn(n, 2, 5, 5, device=device) * (0.035 * unit * _uniform(n, device))[:, None, None, None]
        rings = (RIGHT_EYE, LEFT_EYE, LIPS)
        self.centres = torch.stack([item.points[:, list(ring)].mean(dim=1) for ring in rings], dim=1)
        self.radii = torch.stack([0.16 * unit, 0.16 * unit, 0.3 * unit], dim=1).clamp(min=1e-3)
        eyes = torch.where(_chance(n, 0.35, device), -0.2 + 0.9 * _uniform(n, device), 0.0)
        mouth = torch.where(_chance(n, 0.35, device), -0.3 + 0.7 * _uniform(n, device), 0.0)
        self.pull = torch.stack([eyes, eyes + 0.1 * _both(n, device), mouth], dim=1)

    def __call__(self, at: Tensor) -> Tensor:
        waves = F.grid_sample(self.waves, at[:, None], "bicubic", "border", align_corners=True)[:, :, 0].transpose(1, 2)
        rise = torch.zeros_like(at[..., 1])
        for ring in range(3):
            off = at - self.centres[:, None, ring]
            near = torch.exp(-0.5 * (off / self.radii[:, None, ring, None]).square().sum(dim=2))
            rise = rise + self.pull[:, None, ring] * off[..., 1] * near
        return waves + torch.stack([torch.zeros_like(rise), rise], dim=2)

    def undone(self, points: Tensor) -> Tensor:
        """Where on the changed picture the points (N, K, 2) of the unchanged one lie; irises stay round."""
        found = points
        for _ in range(ROUNDS):
            found = found - 0.65 * (found + self(found) - points)
        for iris in (RIGHT_IRIS, LEFT_IRIS):
            centre = iris[0]
            rim = points[:, list(iris)] - points[:, [centre]] + found[:, [centre]]
            found = torch.cat([found[:, : iris[0]], rim, found[:, iris[-1] + 1 :]], dim=1)
        return found


def covered(faces: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Faces (N, 3, S, S) 0..1 with things before some of them, and which points (N, K) lie under them (0..1).

    Blobs, bars, whatever hides all below a line, dark glasses; in one colour, as skin or as a part of another picture.
    """
    n, side, device = len(faces), faces.shape[-1], faces.device
    across = (points[:, 454] - points[:, 234]).norm(dim=1).clamp(0.2, 2.0)
    under = torch.zeros(points.shape[:2], device=device)
    axis = (torch.arange(side, device=device) + 0.5) * 2 / side - 1
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).view(1, -1, 2).expand(n, -1, -1)
    eyes = points[:, [468, 473]]
    tilt = torch.atan2(eyes[:, 1, 1] - eyes[:, 0, 1], eyes[:, 1, 0] - eyes[:, 0, 0])
    glasses, clear_view = _chance(n, 0.05, device), _chance(n, 0.45, device)
    for number in range(2):
        kind = torch.where(clear_view, 1.0, torch.rand(n, device=device))
        blob, bar, below = kind < 0.17, (kind >= 0.17) & (kind < 0.27), (kind >= 0.27) & (kind < 0.32)
        target = points[torch.arange(n, device=device), torch.randint(points.shape[1], (n,), device=device)]
        centre = target + 0.15 * torch.randn(n, 2, device=device) * across[:, None]
        angle = torch.where(below, tilt + 0.2 * torch.randn(n, device=device), pi * _both(n, device))
        half = across[:, None] * (0.08 + 0.35 * torch.rand(n, 2, device=device))
        half[:, 0] = torch.where(bar, 2.5, torch.where(below, 9.0, half[:, 0]))
        half[:, 1] = torch.where(bar, across * (0.02 + 0.12 * _uniform(n, device)), torch.where(below, 9.0, half[:, 1]))
        down = torch.stack([-angle.sin(), angle.cos()], dim=1)
        low = points[:, 2] + down * across[:, None] * 0.25 * _both(n, device)[:, None] + 9.0 * down
        centre = torch.where(below[:, None], low, centre)
        centre = torch.where(glasses[:, None], eyes[:, number], centre)
        half = torch.where(glasses[:, None], across[:, None] * torch.tensor([0.22, 0.16], device=device), half)
        angle = torch.where(glasses, tilt, angle)
        shown = blob | bar | below | glasses
        power = torch.where(_chance(n, 0.5, device), 2.0, 6.0)
        soft = torch.exp(-2.5 * _uniform(n, device)) * 40
        shape = (centre, half, angle, power, soft)
        mask = (_blob(grid, *shape) * shown[:, None]).view(n, 1, side, side)
        paint = _paint(faces, points, glasses & shown)
        clear = torch.where(glasses, 0.3 * _uniform(n, device), 0.0)[:, None, None, None]
        faces = faces + mask * (1 - clear) * (paint - faces)
        under = torch.maximum(under, _blob(points, *shape) * (shown & ~glasses)[:, None])
    return faces, under


def filmed(faces: Tensor) -> Tensor:
    """Faces (N, 3, S, S) 0..1 in another light and by another camera: colour, blur, few pixels, noise, JPEG."""
    n, device = len(faces), faces.device

    def each(chance: float, values: Tensor, neutral: float) -> Tensor:
        return torch.where(_chance(n, chance, device), values, neutral)[:, None, None, None]

    def channels(spread: float) -> Tensor:
        return torch.exp(spread * torch.randn(n, 3, device=device))[:, :, None, None]

    grey = faces.mean(dim=1, keepdim=True)
    colour = torch.where(_chance(n, 0.15, device), 0.0, 0.2 + 1.2 * _uniform(n, device))
    faces = grey + (faces - grey) * each(0.54, colour, 1.0)
    mean = faces.mean(dim=(1, 2, 3), keepdim=True)
    faces = mean + (faces - mean) * each(0.6, torch.exp(0.28 * torch.randn(n, device=device)), 1.0)
    faces = faces * each(0.6, torch.exp(0.25 * torch.randn(n, device=device)), 1.0) * channels(0.08)
    slope = torch.randn(n, 1, 2, 2, device=device) * each(0.3, torch.full((n,), 0.35, device=device), 0.0)
    faces = faces * torch.exp(F.interpolate(slope, size=faces.shape[2:], mode="bilinear", align_corners=True))
    faces = faces.clamp(0, 1) ** each(0.5, torch.exp(0.35 * torch.randn(n, device=device)), 1.0)
    chunks = []
    for chunk in faces.chunk(4):
        dice = torch.rand(4).tolist()
        if dice[0] < 0.3:
            chunk = _blurred(chunk, 0.4 + 2.4 * dice[1] ** 2)
        if dice[2] < 0.5:
            few = int(44 + 180 * dice[3])
            chunk = F.interpolate(chunk, (few, few), mode="bilinear", align_corners=False, antialias=True)
            chunk = F.interpolate(chunk, faces.shape[2:], mode="bilinear", align_corners=False)
        chunks.append(chunk)
    faces = torch.cat(chunks)
    faces = faces + torch.randn_like(faces) * each(0.4, 0.06 * _uniform(n, device) ** 2, 0.0)
    return torch.where(_chance(n, 0.4, device)[:, None, None, None], _jpeg(faces.clamp(0, 1)), faces).clamp(0, 1)


def _uniform(n: int, device: torch.device) -> Tensor:
    return torch.rand(n, device=device)


def _both(n: int, device: torch.device) -> Tensor:
    return torch.rand(n, device=device) * 2 - 1


def _chance(n: int, share: float, device: torch.device) -> Tensor:
    return torch.rand(n, device=device) < share


def _unit(n: int, device: torch.device) -> Tensor:
    angle = 2 * pi * torch.rand(n, device=device)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def _similarity(turns: Tensor, scales: Tensor, shifts: Tensor) -> tuple[Tensor, Tensor]:
    """What is seen -> window: linear (N, 2, 2) and shift (N, 2)."""
    angle = -turns * pi / 180
    cos, sin = angle.cos() / scales, angle.sin() / scales
    linear = torch.stack([cos, -sin, sin, cos], dim=1).view(-1, 2, 2)
    return linear, -(linear @ shifts[:, :, None])[:, :, 0]


def _onto(item: Item, linear: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """What is seen -> the stored picture."""
    reach = item.places[:, :1]
    return linear * reach[:, :, None], shift * reach + item.places[:, 1:]


def _inverse(points: Tensor, linear: Tensor, shift: Tensor) -> Tensor:
    a, b, c, d = linear[:, 0, 0], linear[:, 0, 1], linear[:, 1, 0], linear[:, 1, 1]
    turned = torch.stack([d, -c, -b, a], dim=1).view(-1, 2, 2) / (a * d - b * c)[:, None, None]  # transposed
    return (points - shift[:, None]) @ turned


def _planes(onto: tuple[Tensor, Tensor], side: int) -> Tensor:
    """(N, side, side, 2): where each pixel of what is seen lies in the stored picture."""
    matrix = torch.cat([onto[0], onto[1][:, :, None]], dim=2)
    return F.affine_grid(matrix, [len(matrix), 3, side, side], align_corners=False)


def _sampled(pictures: Tensor, grid: Tensor) -> Tensor:
    """(N, 3, S, S) 0..1, the picture mirrored beyond its edge."""
    return F.grid_sample(pictures.float() / 255, grid, padding_mode="reflection", align_corners=False)


def _blob(at: Tensor, centre: Tensor, half: Tensor, angle: Tensor, power: Tensor, soft: Tensor) -> Tensor:
    """How much places (N, K, 2) lie in a superellipse, (N, K) 0..1."""
    off = at - centre[:, None]
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    x = (off[..., 0] * cos + off[..., 1] * sin) / half[:, :1]
    y = (off[..., 1] * cos - off[..., 0] * sin) / half[:, 1:]
    p = power[:, None]
    radius = (x.abs().clamp(1e-4, 20) ** p + y.abs().clamp(1e-4, 20) ** p) ** (1 / p)
    return torch.sigmoid((1 - radius) * half.amin(dim=1, keepdim=True) * 4 * soft[:, None])


def _paint(faces: Tensor, points: Tensor, dark: Tensor) -> Tensor:
    """What covers are painted with: (N, 3, S, S) 0..1."""
    n, device = len(faces), faces.device
    kind = torch.rand(n, 1, 1, 1, device=device)
    others = faces.roll(1, dims=0)
    skin = F.grid_sample(others, points.roll(1, dims=0)[:, None, [50, 280]], align_corners=False).mean(dim=3)
    flat = torch.rand(n, 3, 1, 1, device=device) ** 1.5
    flat = torch.where(kind < 0.4, skin[..., None], flat)
    shade = 1 + 0.25 * torch.randn(n, 1, 3, 3, device=device)
    flat = (flat * F.interpolate(shade, size=faces.shape[2:], mode="bilinear", align_corners=True)).clamp(0, 1)
    part = others.flip(2)
    dark = dark[:, None, None, None]
    return torch.where(dark, 0.25 * flat, torch.where(kind > 0.65, part, flat))


def _blurred(faces: Tensor, sigma: float) -> Tensor:
    reach = max(1, round(2.5 * sigma))
    axis = torch.arange(-reach, reach + 1, device=faces.device, dtype=faces.dtype)
    kernel = torch.exp(-0.5 * (axis / sigma).square())
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    faces = F.conv2d(F.pad(faces, (reach, reach, 0, 0), mode="replicate"), kernel, groups=3)
    return F.conv2d(F.pad(faces, (0, 0, reach, reach), mode="replicate"), kernel.transpose(2, 3), groups=3)


def _jpeg(faces: Tensor) -> Tensor:
    """What JPEG does in blocks of 8 px, qualities 20 to 80, colours twice as coarse. Sides are divisible by 8."""
    n, _, side, _ = faces.shape
    device = faces.device
    luma = torch.tensor([0.299, 0.587, 0.114], device=device)
    y = torch.einsum("nchw,c->nhw", faces, luma)[:, None]
    planes = torch.cat([y - 0.5, faces[:, 2:] - y, faces[:, :1] - y], dim=1)
    step = torch.arange(8, device=device)
    cosine = torch.cos((2 * step[None] + 1) * step[:, None] * pi / 16) * 0.5
    cosine[0] /= 2**0.5
    blocks = planes.view(n, 3, side // 8, 8, side // 8, 8).permute(0, 1, 2, 4, 3, 5)
    table = torch.tensor(LUMA, device=device).view(8, 8) / 255
    quality = 20 + 60 * torch.rand(n, device=device)
    factor = torch.where(quality < 50, 50 / quality, 2 - quality / 50)
    coarser = torch.tensor([1.0, 2, 2], device=device).view(3, 1, 1, 1, 1)
    table = table * factor[:, None, None, None, None, None] * coarser
    coarse = (cosine @ blocks @ cosine.T / table).round() * table
    planes = (cosine.T @ coarse @ cosine).permute(0, 1, 2, 4, 3, 5).reshape(n, 3, side, side)
    y, blue, red = planes[:, :1] + 0.5, planes[:, 1:2], planes[:, 2:]
    green = -(luma[0] * red + luma[2] * blue) / luma[1]
    return torch.cat([y + red, y + green, y + blue], dim=1)


def rates(points: Tensor, closed: float = 6.0, opened: float = 3.0) -> Tensor:
    """How often each face (N, 478, 2) is shown: closed eyes and open mouths are rare, so they come more often, (N,)."""
    blink, mouth = openings(points)
    narrow, wide = blink < blink.quantile(0.06), mouth > mouth.quantile(0.93)
    return torch.ones_like(blink) + (closed - 1) * narrow + (opened - 1) * wide


def openings(points: Tensor) -> tuple[Tensor, Tensor]:
    """How far open the eyes and the mouth are, relative to their widths: (N, 478, 2) -> (N,), (N,)."""

    def gap(upper: Sequence[int], lower: Sequence[int], right: int, left: int) -> Tensor:
        high = (points[:, list(upper)] - points[:, list(lower)]).norm(dim=2).mean(dim=1)
        return high / (points[:, right] - points[:, left]).norm(dim=1).clamp(min=1e-6)

    right = gap((160, 159, 158), (144, 145, 153), 33, 133)
    left = gap((387, 386, 385), (373, 374, 380), 263, 362)
    return (right + left) / 2, gap((13,), (14,), 78, 308)
