"""Figures of the parts on the test split: overlaps with the teachers' mattes, and with what is drawn over heads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from ganchain.faces.parts import PARTS
from ganchain.faces.settling import settled
from ganchain.nets.parts import shares
from ganchain.train.datasets.parts import STYLES, Heads, Labelled, textures
from ganchain.train.dressing import plain, with_covers, with_glasses, with_headwear
from ganchain.train.parts import overlap
from ganchain.train.teachers.covers import COVERS, KEPT_BACK
from ganchain.train.teachers.drawn import Drawn, Faces
from ganchain.train.teachers.wardrobe import ALL as WEAR
from ganchain.train.teachers.wardrobe import KEPT_BACK as UNSEEN

BATCH = 25
WORN = 0.7  # per cent of the face that glasses cover at least
SMALLEST = 150, 200  # px of a cover before the face, of a beard, to be measured
HAIR, BEARD, SKIN, _, GLASSES, COVER = (slice(k, k + 1) for k in range(len(PARTS)))
Figures = dict[str, float]


def figures(network: nn.Module, data: Path, limit: int | None = None) -> Figures:
    """Measure the network on the test heads; overlaps are intersection over union of what is above one half.

    "soft" compares the mattes themselves. Shares are of the face, in per cent.
    """
    heads = default_collate(Labelled(data, "test", limit).heads)
    return measured(network, heads, textures(data).float() / 255)


def measured(network: nn.Module, heads: Heads, pieces: Tensor) -> Figures:
    """Measure the network on ``heads``, as ``figures`` does; ``pieces`` (T, 3, R, R) 0..1 are for what is drawn."""
    mattes = _mattes(network, plain(heads, pieces)[0].pixels)
    return (
        {"heads": float(len(heads.pixels))}
        | _hair(heads, pieces, mattes)
        | _bare(heads, mattes)
        | _covers(network, heads, pieces)
        | _headwear(network, heads, pieces)
        | _glasses(network, heads, pieces)
    )


def _mattes(network: nn.Module, pixels: Tensor) -> Tensor:
    """Compute the mattes (N, 6, S, S) 0..1 of pictures (N, 3, S, S) 0..1."""
    mattes = torch.cat([shares(network(some * 2 - 1).float()) for some in torch.split(pixels, BATCH)])
    pairs = zip(mattes.cpu().numpy(), pixels.cpu().numpy(), strict=True)
    return torch.from_numpy(np.stack([settled(each, picture) for each, picture in pairs])).to(pixels)


def _means(values: dict[str, tuple[Tensor, Tensor]]) -> Figures:
    """Average each figure's values over the rows it is for; a figure without rows is left out."""
    return {name: float(value[rows].mean()) for name, (value, rows) in values.items() if bool(rows.any())}


def _hair(heads: Heads, pieces: Tensor, mattes: Tensor) -> Figures:
    """Measure hair, skin and beards against the teachers."""
    batch, _ = plain(heads, pieces)
    teacher, known, area = heads.plane("teacher"), batch.known[:, :1], heads.plane("oval").sum(dim=(1, 2, 3))
    bald, haired = heads.style == STYLES.index("bald"), heads.style != STYLES.index("bald")
    loose = (heads.style == STYLES.index("long")) | (heads.style == STYLES.index("updo"))
    hard = overlap(mattes[:, HAIR], teacher)
    bearded = heads.bearded & (batch.target[:, BEARD].sum(dim=(1, 2, 3)) > SMALLEST[1])
    shown = 100 * (mattes > 0.5).sum(dim=(2, 3)) / area[:, None]
    answer = _means(
        {
            "hair: overlap with the teacher": (hard, haired),
            "hair: overlap with the teacher, soft": (overlap(mattes[:, HAIR], teacher, hard=False), haired),
            "hair: overlap with the teacher, updos and long hair": (hard, loose),
            "hair: overlap with the mended label, where known": (
                overlap(mattes[:, HAIR], batch.target[:, HAIR], known),
                haired,
            ),
            "hair: share called hair on bald heads, %": (shown[:, 0], bald),
            "skin: overlap with the label, where known": (
                overlap(mattes[:, SKIN], batch.target[:, SKIN], known),
                area > 0,
            ),
            "beard: overlap with the label, where known": (
                overlap(mattes[:, BEARD], batch.target[:, BEARD], known),
                bearded,
            ),
            "beard: share on faces without, %": (shown[:, 1], ~heads.bearded),
        }
    )
    return answer | ({"hair: worst overlap": float(hard[haired].min())} if bool(haired.any()) else {})


def _bare(heads: Heads, mattes: Tensor) -> Figures:
    """Measure what is called a cover or glasses on heads as they are."""
    oval = heads.plane("oval")
    area = oval.sum(dim=(1, 2, 3))
    covered = 100 * ((mattes[:, COVER] > 0.5) * oval).sum(dim=(1, 2, 3)) / area
    worn = 100 * (mattes[:, GLASSES] > 0.5).sum(dim=(1, 2, 3)) / area
    clean, real = ~heads.covered, heads.glasses > 0
    return _means(
        {
            "cover: share on clean faces, %": (covered, clean),
            "cover: clean faces with above 0.5 %": ((covered > 0.5).float(), clean),
            "glasses: real ones seen": ((worn > WORN).float(), real),
            "glasses: faces without called with": ((worn > WORN).float(), ~real),
        }
    )


def _covers(network: nn.Module, heads: Heads, pieces: Tensor) -> Figures:
    """Measure the overlap with drawn covers, by kind; those of ``KEPT_BACK`` were never trained on."""
    answer = {}
    for name, draw in {**KEPT_BACK, **COVERS}.items():
        values = _covered(network, heads, pieces, draw, name == "strands")
        if len(values):
            answer[f"cover: {name}"] = float(values.mean())
    kept = [answer[f"cover: {name}"] for name in KEPT_BACK if f"cover: {name}" in answer]
    return answer | ({"cover: mean of kinds never trained on": sum(kept) / len(kept)} if kept else {})


def _covered(network: nn.Module, heads: Heads, pieces: Tensor, draw: Callable[[Faces], Drawn], strand: bool) -> Tensor:
    """Put one kind of cover before all heads, and measure the overlap where enough of the face is covered."""
    rows = torch.arange(len(heads.pixels))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        batch, faces = plain(heads, pieces)
        with_covers(batch, faces, heads.plane("near"), heads.plane("oval"), rows, draw, strand)
    mattes, known = _mattes(network, batch.pixels), batch.known[:, 2:]
    enough = (batch.target[:, COVER] * known > 0.5).sum(dim=(1, 2, 3)) > SMALLEST[0]
    return overlap(mattes[:, COVER], batch.target[:, COVER], known)[enough]


def _headwear(network: nn.Module, heads: Heads, pieces: Tensor) -> Figures:
    """Measure how much of drawn headwear is called hair, by kind; those of ``UNSEEN`` were never trained on."""
    answer, beside = {}, []
    for number, name in enumerate(WEAR):
        rows = torch.arange(len(heads.pixels))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            batch, faces = plain(heads, pieces)
            person, oval = heads.plane("person"), heads.plane("oval")
            worn = with_headwear(batch, faces, person, oval, rows, torch.full_like(rows, number))
        mattes = _mattes(network, batch.pixels)
        area = (worn > 0.5).sum(dim=(1, 2, 3))
        called = ((mattes[:, HAIR] > 0.5) & (worn > 0.5)).sum(dim=(1, 2, 3))
        answer[f"headwear: {name} called hair, %"] = float((100 * called / area.clamp(min=1))[area > 0].mean())
        shown = (batch.target[:, HAIR] > 0.5).sum(dim=(1, 2, 3)) > SMALLEST[1]
        beside.append(overlap(mattes[:, HAIR], batch.target[:, HAIR], batch.known[:, :1])[shown])
    unseen = [answer[f"headwear: {name} called hair, %"] for name in UNSEEN]
    return answer | {
        "headwear: mean of kinds never trained on, called hair, %": sum(unseen) / len(unseen),
        "headwear: overlap of the hair beside it": float(torch.cat(beside).mean()),
    }


def _glasses(network: nn.Module, heads: Heads, pieces: Tensor) -> Figures:
    """Measure the overlap with glasses drawn on faces without."""
    rows = torch.arange(len(heads.pixels))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        batch, faces = plain(heads, pieces)
        with_glasses(batch, faces, rows)
    overlaps = overlap(_mattes(network, batch.pixels)[:, GLASSES], batch.target[:, GLASSES])
    return _means({"glasses: overlap with drawn ones": (overlaps, heads.glasses == 0)})
