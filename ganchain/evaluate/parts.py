"""Held-out figures of the parts network and a sheet to look at."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ganchain.nets.parts import PLANES, shares
from ganchain.train.datasets.parts import Heads
from ganchain.train.parts import Batch, overlap, plain, with_covers, with_glasses
from ganchain.train.teachers.drawn import COVERS, KEPT_BACK

COLOURS = ((1, 0.1, 0.1), (0.1, 0.2, 1), (0.15, 0.8, 0.2), (0, 0, 0), (1, 1, 0), (1, 0, 1))
Net = Callable[[Tensor], Tensor]


@torch.no_grad()
def mattes(net: Net, pixels: Tensor, batch: int = 50) -> Tensor:
    """The mattes of (N, 3, S, S) RGB 0..1 pictures: (N, 6, S, S) 0..1."""
    return torch.cat([shares(net(part * 2 - 1).float()) for part in pixels.split(batch)])


@torch.no_grad()
def figures(net: Net, heads: Heads, textures: Tensor) -> dict[str, float]:
    """What the network finds on ``heads`` (those of a test split): overlaps with the teacher and with what is drawn.

    "soft" compares the mattes themselves, all others what is above one half. Shares are of the face, in per cent.
    """
    found: dict[str, float] = {}
    clean, faces = plain(heads, textures)
    made = mattes(net, clean.pixels)
    hair, teacher, style = made[:, :1], heads.plane("teacher"), heads.style

    def mean(name: str, values: Tensor, rows: Tensor | None = None) -> None:
        chosen = values.cpu() if rows is None else values.cpu()[rows]
        if len(chosen):
            found[name] = float(chosen.mean())

    beardless = ~heads.bearded
    hard, soft = overlap(hair, teacher), overlap(hair, teacher, hard=False)
    haired = style != 4
    mean("hair: overlap with the teacher", hard, haired)
    mean("hair: overlap with the teacher, soft", soft, haired)
    mean("hair: overlap with the teacher, updos and long hair", hard, (style == 1) | (style == 2))
    mean("hair: overlap with the teacher, beardless", hard, haired & beardless)
    found["hair: worst overlap"] = float(hard.cpu()[haired].min())
    mean(
        "hair: overlap with the mended label, where known",
        overlap(hair, clean.target[:, :1], clean.known[:, :1]),
        haired,
    )
    oval = heads.plane("oval")
    area = oval.sum(dim=(1, 2, 3))
    mean(
        "hair: share of the face called hair on bald heads, %", 100 * (hair > 0.5).sum(dim=(1, 2, 3)) / area, style == 4
    )
    mean("skin: overlap with the label, where known", overlap(made[:, 2:3], clean.target[:, 2:3], clean.known[:, :1]))

    marked = heads.bearded & (clean.target[:, 1].sum(dim=(1, 2)).cpu() > 200)
    mean(
        "beard: overlap with the label, where known",
        overlap(made[:, 1:2], clean.target[:, 1:2], clean.known[:, :1]),
        marked,
    )
    mean("beard: share of the face on faces without, %", 100 * (made[:, 1] > 0.5).sum(dim=(1, 2)) / area, beardless)

    bare = ~heads.covered
    called = 100 * ((made[:, 5:] > 0.5) * oval).sum(dim=(1, 2, 3)) / area
    mean("cover: share of the face on clean faces, %", called, bare)
    found["cover: worst share of a clean face, %"] = float(called.cpu()[bare].max())
    found["cover: clean faces above 0.5 %"] = float((called.cpu()[bare] > 0.5).sum())
    everywhere = 100 * (made[:, 5:] > 0.5).float().mean(dim=(1, 2, 3))
    mean("cover: share of the window on clean faces, %", everywhere, bare)
    worn = 100 * (made[:, 4] > 0.5).sum(dim=(1, 2)) / area
    mean("glasses: share of the face on faces without, %", worn, heads.glasses == 0)
    if bool((heads.glasses > 0).any()):
        mean("glasses: share of the face on real ones, %", worn, heads.glasses > 0)
        found["glasses: real ones found"] = float((worn.cpu()[heads.glasses > 0] > 0.7).float().mean())
    found["glasses: faces without called with"] = float((worn.cpu()[heads.glasses == 0] > 0.7).sum())

    rows = torch.arange(len(heads), device=heads.pixels.device)
    kept: list[float] = []
    for name, draw in {**KEPT_BACK, **COVERS}.items():
        batch = _dressed(heads, textures, rows, draw, name == "strands")
        got = mattes(net, batch.pixels)
        there = (batch.target[:, 5] * batch.known[:, 2] > 0.5).sum(dim=(1, 2)).cpu() > 150
        found[f"cover: {name}"] = float(
            overlap(got[:, 5:], batch.target[:, 5:], batch.known[:, 2:]).cpu()[there].mean()
        )
        if name in KEPT_BACK:
            kept.append(found[f"cover: {name}"])
    found["cover: mean of kinds never trained on"] = sum(kept) / len(kept)

    torch.manual_seed(2)
    batch, faces = plain(heads, textures)
    with_glasses(batch, faces, rows)
    got = mattes(net, batch.pixels)
    mean("glasses: overlap with drawn ones", overlap(got[:, 4:5], batch.target[:, 4:5]), heads.glasses == 0)
    return found


def _dressed(heads: Heads, textures: Tensor, rows: Tensor, draw: Callable, strand: bool) -> Batch:  # type: ignore[type-arg]
    torch.manual_seed(1)
    batch, faces = plain(heads, textures)
    with_covers(batch, faces, heads.plane("near"), heads.plane("oval"), rows, draw, strand)
    return batch


@torch.no_grad()
def sheet(net: Net, heads: Heads, textures: Tensor, side: int = 160) -> Tensor:
    """48 heads beside their coloured mattes: as they are (30), covered (10), with drawn glasses (8). (3, H, W) 0..1."""
    order = torch.argsort(
        (heads.bearded * 1 + (heads.glasses > 0) * 3 + (heads.style > 0) * 1 + (heads.style == 4) * 2),
        descending=True,
        stable=True,
    )
    picked = torch.cat([order[:18], order[18:][:: max(1, (len(order) - 18) // 30)]])[:48]
    picked = picked.repeat(-(-48 // len(picked)))[:48]
    some = heads.select(picked)
    torch.manual_seed(3)
    batch, faces = plain(some, textures)
    draws = list({**KEPT_BACK, **COVERS}.items())
    for k in range(10):
        name, draw = draws[k % len(draws)]
        row = torch.tensor([30 + k], device=batch.pixels.device)
        with_covers(batch, faces, some.plane("near"), some.plane("oval"), row, draw, name == "strands")
    with_glasses(batch, faces, torch.arange(40, 48, device=batch.pixels.device))
    both = torch.cat([batch.pixels, coloured(batch.pixels, mattes(net, batch.pixels))], dim=3)
    small = F.interpolate(both, (side, 2 * side), mode="bilinear", antialias=True).clamp(0, 1)
    return small.view(8, 6, 3, side, 2 * side).permute(2, 0, 3, 1, 4).reshape(3, 8 * side, 12 * side)


def coloured(pixels: Tensor, made: Tensor) -> Tensor:
    """Lay mattes (N, 6, S, S) over pictures (N, 3, S, S) 0..1: hair red, beard blue, skin green, glasses yellow, cover
    magenta."""
    colours = made.new_tensor(COLOURS)[:, :, None, None]
    over = sum(made[:, k : k + 1] * colours[k] for k in range(4))
    for k in (4, 5):
        over = torch.lerp(torch.as_tensor(over), colours[k].expand_as(pixels), made[:, k : k + 1])
    assert len(PLANES) == len(COLOURS)
    return 0.4 * pixels + 0.6 * torch.as_tensor(over)
