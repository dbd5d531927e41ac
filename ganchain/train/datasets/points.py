"""Faces and their points, varied at random on whatever device they lie: place and shape here, the rest by ``augment``.

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

from ganchain.faces.mesh import LEFT_EYE, LEFT_IRIS, LIPS, MIRROR, RIGHT_EYE, RIGHT_IRIS, WINDOW
from ganchain.framing import HEAD, TIGHT, Framing
from ganchain.nets.points import SIDE
from ganchain.train.augment import covered, direction, either, filmed, likely, uniform

TURN, SCALE, SHIFT = 25.0, 0.15, 0.08  # degrees, share, share of the tight framing's side; the detector's errors
ROUNDS = 10  # of finding where a point came from


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
        """Pick the pictures of ``index``."""
        return Item(*(each[index] for each in self))


@dataclass(eq=False)
class Seen:
    """Faces as the network learns from them.

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
    """Compute where ``WINDOW`` lies in a picture of ``framing`` (see ``Item``); without a face, all of it."""
    if framing is None:
        return 1.0, 0.0, 0.0
    middle = WINDOW.left + WINDOW.side / 2, WINDOW.top + WINDOW.side / 2
    x, y = ((at - edge) / framing.side * 2 - 1 for at, edge in zip(middle, (framing.left, framing.top), strict=True))
    return WINDOW.side / framing.side, x, y


PLACES = {"tight": place(TIGHT), "head": place(HEAD), "none": place(None)}


def framed(item: Item, turns: Tensor, scales: Tensor, shifts: Tensor, side: int = SIDE) -> Seen:
    """Cut pictures as the aligner does when it errs: turned (degrees, N), scaled (N), shifted ((N, 2) of the window).

    A face that is scaled by 1.1 is seen larger. Nothing else is varied.
    """
    linear, shift = _similarity(turns, scales, shifts)
    points = _inverse(item.points, *_onto(item, linear, shift))
    faces = _sampled(item.pictures, _planes(_onto(item, linear, shift), side))
    known = item.known.float()
    return Seen(faces, points, known[:, None].expand(points.shape[:2]), known)


def vary(item: Item, side: int = SIDE, astray: float = 0.06) -> Seen:
    """Vary everything at random; a share ``astray`` of the faces is cut so badly that they count as none."""
    n, device = len(item.pictures), item.pictures.device
    lost = item.known & (uniform(n, device) < astray)
    turns = TURN * 1.15 * either(n, device) * uniform(n, device) ** 0.7
    scales = torch.exp(1.3 * SCALE * either(n, device))
    shifts = 2.6 * SHIFT * TIGHT.side / WINDOW.side * either(2 * n, device).view(n, 2)
    kind = torch.randint(3, (n,), device=device)
    turns = torch.where(lost & (kind == 0), 180 + 100 * either(n, device), turns)
    scales = torch.where(lost & (kind == 1), torch.where(likely(n, 0.5, device), 3.0, 0.28), scales)
    far = direction(n, device) * (0.9 + 0.6 * uniform(n, device)[:, None])
    shifts = torch.where((lost & (kind == 2))[:, None], far, shifts)
    linear, shift = _similarity(turns, scales, shifts)
    stretch = 1 + 0.06 * either(n, device)
    linear = linear @ torch.stack([stretch, 0.05 * either(n, device), 0 * stretch, 1 / stretch], dim=1).view(n, 2, 2)
    flip = likely(n, 0.5, device)
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
        self.waves = torch.randn(n, 2, 5, 5, device=device) * (0.035 * unit * uniform(n, device))[:, None, None, None]
        rings = (RIGHT_EYE, LEFT_EYE, LIPS)
        self.centres = torch.stack([item.points[:, list(ring)].mean(dim=1) for ring in rings], dim=1)
        self.radii = torch.stack([0.16 * unit, 0.16 * unit, 0.3 * unit], dim=1).clamp(min=1e-3)
        eyes = torch.where(likely(n, 0.35, device), -0.2 + 0.9 * uniform(n, device), 0.0)
        mouth = torch.where(likely(n, 0.35, device), -0.3 + 0.7 * uniform(n, device), 0.0)
        self.pull = torch.stack([eyes, eyes + 0.1 * either(n, device), mouth], dim=1)

    def __call__(self, at: Tensor) -> Tensor:
        waves = F.grid_sample(self.waves, at[:, None], "bicubic", "border", align_corners=True)[:, :, 0].transpose(1, 2)
        rise = torch.zeros_like(at[..., 1])
        for ring in range(3):
            off = at - self.centres[:, None, ring]
            near = torch.exp(-0.5 * (off / self.radii[:, None, ring, None]).square().sum(dim=2))
            rise = rise + self.pull[:, None, ring] * off[..., 1] * near
        return waves + torch.stack([torch.zeros_like(rise), rise], dim=2)

    def undone(self, points: Tensor) -> Tensor:
        """Find where on the changed picture the points (N, K, 2) of the unchanged one lie; irises stay round."""
        found = points
        for _ in range(ROUNDS):
            found = found - 0.65 * (found + self(found) - points)
        for iris in (RIGHT_IRIS, LEFT_IRIS):
            centre = iris[0]
            rim = points[:, list(iris)] - points[:, [centre]] + found[:, [centre]]
            found = torch.cat([found[:, : iris[0]], rim, found[:, iris[-1] + 1 :]], dim=1)
        return found


def _similarity(turns: Tensor, scales: Tensor, shifts: Tensor) -> tuple[Tensor, Tensor]:
    """Build the map from what is seen to the window: linear (N, 2, 2) and shift (N, 2)."""
    angle = -turns * pi / 180
    cos, sin = angle.cos() / scales, angle.sin() / scales
    linear = torch.stack([cos, -sin, sin, cos], dim=1).view(-1, 2, 2)
    return linear, -(linear @ shifts[:, :, None])[:, :, 0]


def _onto(item: Item, linear: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Continue that map to the stored picture."""
    reach = item.places[:, :1]
    return linear * reach[:, :, None], shift * reach + item.places[:, 1:]


def _inverse(points: Tensor, linear: Tensor, shift: Tensor) -> Tensor:
    a, b, c, d = linear[:, 0, 0], linear[:, 0, 1], linear[:, 1, 0], linear[:, 1, 1]
    turned = torch.stack([d, -c, -b, a], dim=1).view(-1, 2, 2) / (a * d - b * c)[:, None, None]  # transposed
    return (points - shift[:, None]) @ turned


def _planes(onto: tuple[Tensor, Tensor], side: int) -> Tensor:
    """Compute where each pixel of what is seen lies in the stored picture: (N, side, side, 2)."""
    matrix = torch.cat([onto[0], onto[1][:, :, None]], dim=2)
    return F.affine_grid(matrix, [len(matrix), 3, side, side], align_corners=False)


def _sampled(pictures: Tensor, grid: Tensor) -> Tensor:
    """Sample pictures, mirrored beyond their edges: (N, 3, S, S) 0..1."""
    return F.grid_sample(pictures.float() / 255, grid, padding_mode="reflection", align_corners=False)


def rates(points: Tensor, closed: float = 6.0, opened: float = 3.0) -> Tensor:
    """Weigh how often each face (N, 478, 2) is shown: closed eyes and open mouths are rare, so they come more often."""
    blink, mouth = openings(points)
    narrow, wide = blink < blink.quantile(0.06), mouth > mouth.quantile(0.93)
    return torch.ones_like(blink) + (closed - 1) * narrow + (opened - 1) * wide


def openings(points: Tensor) -> tuple[Tensor, Tensor]:
    """Measure how far open eyes and mouth are, relative to their widths: (N, 478, 2) -> (N,), (N,)."""

    def gap(upper: Sequence[int], lower: Sequence[int], right: int, left: int) -> Tensor:
        high = (points[:, list(upper)] - points[:, list(lower)]).norm(dim=2).mean(dim=1)
        return high / (points[:, right] - points[:, left]).norm(dim=1).clamp(min=1e-6)

    right = gap((160, 159, 158), (144, 145, 153), 33, 133)
    left = gap((387, 386, 385), (373, 374, 380), 263, 362)
    return (right + left) / 2, gap((13,), (14,), 78, 308)
