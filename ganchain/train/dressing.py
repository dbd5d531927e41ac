"""Heads dressed on the device: backgrounds, hair colours, beards, glasses and covers whose mattes are exactly known.

They are drawn, so their mattes are exact; then heads are turned, scaled, shifted, mirrored and photographed anew.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi

import torch
import torch.nn.functional as F
from torch import Tensor

from ganchain.train.datasets.parts import STYLES, Batch, Heads
from ganchain.train.posing import moved, smaller
from ganchain.train.teachers.camera import photographed
from ganchain.train.teachers.covers import COVERS
from ganchain.train.teachers.drawn import Drawn, Faces, material, texture
from ganchain.train.teachers.headwear import headwear
from ganchain.train.teachers.wardrobe import HEADWEAR
from ganchain.train.teachers.worn import facial_hair, glasses, locks

SMALL = 0.3  # share of heads shown as small as in a window of head and shoulders
HATTED, LOOSE = 0.27, 0.12  # shares of heads with headwear, and with a lock beside the face


def plain(heads: Heads, textures: Tensor) -> tuple[Batch, Faces]:
    """Show heads as they are; also return what must be known of them to draw on them."""
    pixels = heads.pixels.float() / 255
    base = [heads.plane(name) for name in ("hair", "beard", "skin")]
    base.append((1 - torch.cat(base, dim=1).sum(dim=1, keepdim=True)).clamp(0, 1))
    none = torch.zeros_like(base[0])
    device = pixels.device
    real = (heads.glasses > 0).float().to(device)[:, None, None, None]
    oval, hair = heads.plane("oval"), heads.plane("hair")
    fringe = ((hair > 0.2) & (oval > 0.3)).float()  # real strands over the face: hair for sure, a cover perhaps
    fringe = fringe * (1 - _hairline(hair, heads.points))
    covered = heads.covered.float().to(device)[:, None, None, None]
    eyes = heads.plane("eyes")
    known = torch.cat(
        [heads.plane("known"), 1 - real * F.max_pool2d(eyes, 15, 1, 7), (1 - fringe) * (1 - covered)], dim=1
    )
    batch = Batch(pixels, torch.cat([*base, none, none], dim=1), known, eyes * real, (heads.glasses == 1).to(device))
    return batch, Faces(pixels, heads.points, hair, heads.plane("mask"), textures)


def _hairline(hair: Tensor, points: Tensor) -> Tensor:
    """Draw the solid hair well above the brows, which covers nothing: (N, 1, S, S) 0 or 1."""
    solid = F.max_pool2d(-F.max_pool2d(-hair, 11, 1, 5), 11, 1, 5) > 0.5
    width = (points[:, 454] - points[:, 234]).norm(dim=1)
    limit = points[:, [105, 334], 1].amin(dim=1) - 0.16 * width
    rows = torch.arange(hair.shape[-2], device=hair.device)[:, None]
    return (solid & (rows < limit[:, None, None, None])).float()


def with_beards(batch: Batch, faces: Faces, zones: Tensor, rows: Tensor) -> None:
    """Draw facial hair on some heads that have none, in place; ``zones`` (N, 3, S, S) as ``facial_hair`` takes them."""
    if not len(rows):
        return
    colours, blend, matte = facial_hair(faces.of(rows), zones[rows])
    matte = matte * (1 - faces.hair[rows] * (matte > 0))
    known = (matte >= 0).float()
    share = matte.clamp(min=0)
    batch.pixels[rows] = torch.lerp(batch.pixels[rows], colours, blend)
    base = batch.target[rows, :4] * (1 - share)
    base[:, 1:2] += share
    batch.target[rows, :4] = base
    batch.known[rows, :1] = torch.minimum(batch.known[rows, :1], known)


def with_glasses(batch: Batch, faces: Faces, rows: Tensor) -> None:
    """Draw glasses on some heads that have none, in place."""
    if not len(rows):
        return
    drawn, matte = glasses(faces.of(rows))
    shade = F.avg_pool2d(drawn[:, 3:].roll((2, 1), (2, 3)), 5, 1, 2) * 0.25
    below = batch.pixels[rows] * (1 - shade * torch.rand(len(rows), 1, 1, 1, device=matte.device))
    batch.pixels[rows] = torch.lerp(below, drawn[:, :3], drawn[:, 3:])
    batch.target[rows, 4:5] = matte


def with_covers(
    batch: Batch, faces: Faces, near: Tensor, oval: Tensor, rows: Tensor, draw: Callable[[Faces], Drawn], strand: bool
) -> None:
    """Put a cover before some heads, in place.

    Args:
        near, oval: (N, 1, S, S) 0..1, around the face and the face; a thing that is not before it need not be a cover.
        strand: what is drawn is hair (of the base) that lies over the face.
    """
    if not len(rows):
        return
    colours, matte = draw(faces.of(rows))
    if strand:
        matte = matte * (1 - 0.9 * faces.hair[rows])
    reach = 2 + int(torch.randint(9, ()))
    shadow = F.avg_pool2d(matte.roll((reach, reach // 2), (2, 3)), 2 * reach + 1, 1, reach)
    below = batch.pixels[rows] * (1 - 0.55 * shadow * torch.rand(len(rows), 1, 1, 1, device=matte.device))
    batch.pixels[rows] = torch.lerp(below, colours, matte)
    face = oval[rows]
    doubtful = (matte > 0.05) * (1 - (face if strand else near[rows]))
    _answered(batch, rows, matte, matte, 0 if strand else 3, matte * (face if strand else 1), doubtful)


def with_headwear(batch: Batch, faces: Faces, person: Tensor, oval: Tensor, rows: Tensor, kinds: Tensor) -> Tensor:
    """Put headwear on some heads, in place, and return its mattes (len(rows), 1, S, S).

    It is none of the head's parts. Over the face below the brows it is a cover, over the forehead perhaps, elsewhere
    none.

    Args:
        person, oval: (N, 1, S, S) 0..1, the person, which is changed too, and the face.
        kinds: (len(rows),) places in ``ganchain.train.teachers.wardrobe.ALL``.
    """
    if not len(rows):
        return batch.pixels[rows, :1]
    worn, pixels = headwear(faces.of(rows), kinds), batch.pixels[rows]
    hair, device = faces.hair[rows], person.device
    inside = worn.hole * (1 - torch.maximum(person[rows], hair)).clamp(0, 1)  # of a scarf, beside the face
    matte = torch.maximum(worn.matte, inside)
    colours = worn.colours * (1 - inside * (0.3 + 0.5 * torch.rand(len(rows), 1, 1, 1, device=device)))
    gone = (hair * 1.5).clamp(0, 1) * worn.pressed * (1 - matte) * (1 - oval[rows])
    free = (1 - torch.maximum(person[rows], hair) - 0.3).clamp(0, 1)
    wide = F.avg_pool2d(torch.cat([pixels * free, free], dim=1), 16)
    wide = F.avg_pool2d(wide, 5, 1, 2) + 0.02 * F.avg_pool2d(wide, 16) + 1e-6
    behind = F.interpolate(wide[:, :3] / wide[:, 3:], scale_factor=16.0, mode="bilinear")
    pixels = torch.lerp(pixels, behind.clamp(0, 1), gone)
    reach = 3 + int(torch.randint(16, ()))
    shadow = F.avg_pool2d(matte.roll(reach, 2), 2 * reach + 1, 1, reach) + 0.7 * F.avg_pool2d(matte, 5, 1, 2)
    pixels = pixels * (1 - 0.5 * shadow.clamp(0, 1) * torch.rand(len(rows), 1, 1, 1, device=device))
    batch.pixels[rows] = torch.lerp(pixels, colours, matte)
    over = 1 - (1 - matte) * (1 - gone)
    before = matte * (oval[rows] > 0.5) * worn.low
    doubtful = (matte > 0.05) * (F.max_pool2d(oval[rows], 9, 1, 4) > 0.05) * (before < 0.9)
    _answered(batch, rows, matte, over, 3, before, doubtful)
    person[rows] = torch.maximum(person[rows] * (1 - gone), matte)
    faces.hair[rows] = hair * (1 - over)
    return matte


def _answered(
    batch: Batch, rows: Tensor, matte: Tensor, over: Tensor, part: int, before: Tensor, doubtful: Tensor
) -> None:
    """Write into the answers of some heads that something of ``matte`` lies there, in place.

    Args:
        over: what it takes from the base, the matte or more; ``part`` of the base gets it.
        before, doubtful: how much of it is a cover, and where nobody can tell.
    """
    target, known = batch.target[rows], batch.known[rows]
    target[:, :4] *= 1 - over
    target[:, part : part + 1] += over
    target[:, 4:5] *= 1 - matte
    target[:, 5:6] = torch.maximum(target[:, 5:6] * (1 - matte), before)
    known[:, :2] = torch.maximum(known[:, :2], (over > 0.9).float())
    known[:, 2:3] = torch.maximum(known[:, 2:3], (matte > 0.9).float()) * (1 - doubtful.float())
    batch.target[rows], batch.known[rows] = target, known
    batch.frames[rows] = batch.frames[rows] * (1 - matte)


def _before(batch: Batch, faces: Faces, person: Tensor, rows: Tensor) -> None:
    """Put some heads before another background, in place."""
    if not len(rows):
        return
    some = faces.of(rows)
    behind = torch.where(
        torch.rand(len(rows), 1, 1, 1, device=person.device) < 0.6,
        texture(some, len(rows), (0.2, 1.0)),
        material(some, len(rows)),
    )
    soft = F.interpolate(behind, scale_factor=0.125, mode="area")
    soft = F.interpolate(soft, scale_factor=8.0, mode="bicubic")
    behind = torch.lerp(behind, soft, torch.rand(len(rows), 1, 1, 1, device=person.device).round()).clamp(0, 1)
    body = torch.maximum(person[rows], faces.hair[rows])
    body = (body * 1.15 - 0.1).clamp(0, 1)
    batch.pixels[rows] = torch.lerp(behind, batch.pixels[rows], body)


def _dyed(batch: Batch, hair: Tensor, rows: Tensor) -> None:
    """Give some heads hair of another colour, in place."""
    if not len(rows):
        return
    pixels, matte = batch.pixels[rows], hair[rows]
    luma = pixels.mean(dim=1, keepdim=True)
    mean = (luma * matte).sum(dim=(2, 3), keepdim=True) / matte.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    n = len(rows)
    value = torch.rand(n, 1, 1, 1, device=hair.device) ** 1.2
    hue = pixels.new_tensor([1.15, 0.95, 0.75])[:, None, None] + 0.12 * torch.randn(n, 3, 1, 1, device=hair.device)
    odd = (torch.rand(n, 1, 1, 1, device=hair.device) < 0.2).float()
    hue = torch.lerp(
        torch.lerp(torch.ones_like(hue), hue, torch.rand(n, 1, 1, 1, device=hair.device)), 2 * torch.rand_like(hue), odd
    )
    dyed = ((luma / mean.clamp(min=0.05)).clamp(0, 2.5) ** 0.9 * (0.04 + 0.75 * value) * hue).clamp(0, 1)
    batch.pixels[rows] = torch.lerp(pixels, dyed, matte * 0.95)


@torch.no_grad()
def dressed(heads: Heads, textures: Tensor) -> Batch:
    """Make a step's pictures and answers of upright heads, on their device; random by torch's generator."""
    n, device = len(heads.pixels), heads.pixels.device
    dice = torch.rand(9, n)
    heads = smaller(heads, (dice[8] < SMALL).nonzero()[:, 0].to(device))
    batch, faces = plain(heads, textures)
    hatted = dice[6] < HATTED
    loose = (dice[7] < LOOSE) & (heads.style.cpu() != STYLES.index("bald"))
    bearded, bare = heads.bearded.cpu(), ((heads.glasses == 0) & ~heads.covered).cpu()

    def chosen(which: Tensor) -> Tensor:
        return which.nonzero()[:, 0].to(device)

    zones = torch.cat([heads.plane(name) for name in ("full", "moustache", "goatee")], dim=1)
    _dyed(batch, faces.hair, chosen(dice[0] < 0.3))
    faces.pixels = batch.pixels
    with_beards(batch, faces, zones, chosen((dice[1] < 0.3) & ~bearded))
    person, near, oval = (heads.plane(name) for name in ("person", "near", "oval"))
    rows = chosen(loose)
    with_covers(batch, faces, near, oval, rows, locks, True)
    faces.hair[rows] = torch.maximum(faces.hair[rows], batch.target[rows, :1])
    rows = chosen(hatted & ~heads.covered.cpu())
    with_headwear(batch, faces, person, oval, rows, torch.randint(len(HEADWEAR), (len(rows),)))
    _before(batch, faces, person, chosen(dice[2] < 0.4))
    with_glasses(batch, faces, chosen((dice[3] < 0.4) & bare))
    kinds = list(COVERS)
    for k in range(2):  # half of the heads are covered, some twice
        pick = (dice[4 + k] * 2 * len(kinds)).long() if k == 0 else (dice[5] * 8 * len(kinds)).long()
        for number, name in enumerate(kinds):
            rows = chosen((pick == number) & ~(hatted & (name == "strands")))
            with_covers(batch, faces, near, oval, rows, COVERS[name], name == "strands")
    batch = moved(batch, 25 / 180 * pi)
    batch.pixels = photographed(batch.pixels) * 2 - 1
    return batch
