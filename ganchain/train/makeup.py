"""Recipe of makeup: a network that reads six soft regions off a face, so that the painter can paint them.

Supervision comes from ``teachers.makeup``; an L1 loss on pictures painted with random looks counts errors
where they show. No adversary is needed: the painter is exact, only the regions are learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from ganchain import tensors
from ganchain.colour.lab import to_lab
from ganchain.colour.makeup import REGIONS, paint, soft_maps
from ganchain.framing import TIGHT
from ganchain.nets.unet import UNet
from ganchain.train.data import samples
from ganchain.train.datasets.makeup import Item, Regions, prepare
from ganchain.train.landmarks import landmarks
from ganchain.train.recipe import Recipe

WEIGHTS = (2.0, 2.0, 4.0, 1.5, 1.0, 1.0)  # small regions weigh more
BESIDE = 4  # px around a region that count neither as inside nor as outside


class Makeup(Recipe):
    """Train the makeup regions on ``data``/faces256; the teacher's maps are kept in ``cache``.

    Args:
        picture: weight of the painted loss.
        painted: how many faces of a batch it sees.
        rare: how often a face labelled Black is seen for each time another is: there are few, and their lips differ
            least from their skin.
    """

    key = "makeup"
    columns = 4

    def __init__(
        self,
        data: Path,
        cache: Path = Path("runs/cache"),
        steps: int = 7_500,
        batch: int = 4,
        rate: float = 1e-3,
        widths: tuple[int, ...] = (16, 32, 64, 96),
        depths: tuple[int, ...] = (1, 2, 2, 2),
        picture: float = 10.0,
        painted: int = 1,
        rare: int = 1,
    ) -> None:
        self.data, self.cache, self.steps, self.batch, self.rate = data, cache, steps, batch, rate
        self.picture, self.painted, self.rare = picture, painted, rare
        self.networks: dict[str, nn.Module] = {"student": UNet(3, len(REGIONS), widths, depths)}

    def dataset(self, split: str) -> Dataset[Any]:
        found = samples(self.data / "faces256", split)
        points = landmarks(found, TIGHT, self.cache / f"faces256-{split}-68.npz")
        file = self.cache / f"makeup-{split}.npy"
        if not file.exists():
            prepare(found, points, file)
        maps = Regions(found, np.load(file, mmap_mode="r"), fixed=split != "train")
        if split != "train" or self.rare == 1:
            return maps
        more = [i for i, sample in enumerate(found) if sample.labels.get("race", "").lower() == "black"]
        return Subset(maps, [*range(len(found)), *more * (self.rare - 1)])

    def losses(self, player: str, batch: Item) -> Mapping[str, Tensor]:
        faces, maps, looks = batch
        pixels_last = faces.contiguous(memory_format=torch.channels_last)  # 1.7 times as fast on a CPU
        logits = self.networks["student"](pixels_last).float()
        weights = logits.new_tensor(WEIGHTS)[:, None, None]
        part = slice(self.painted)
        made = paint(faces[part], soft_maps(logits[part]), looks[part])
        wanted = paint(faces[part], maps[part], looks[part])
        return {
            "maps": (weights * F.binary_cross_entropy_with_logits(logits, maps, reduction="none")).mean(),
            "picture": self.picture * (made - wanted).abs().mean(),
        }

    def figures(self, batch: Item) -> Mapping[str, float]:
        """Mean absolute errors to the face painted by the teacher's maps in 8-bit levels; overlap of the maps.

        And in CIE76 colour differences: how much of the difference between bare and painted face is removed inside a
        region, and how much changes where the teacher has none.
        """
        faces, maps, looks = batch
        found = soft_maps(self.networks["student"](faces))
        wanted, made = paint(faces, maps, looks), paint(faces, found, looks)
        error = float(tensors.levels(made - wanted).abs().mean())
        nothing = float(tensors.levels(faces - wanted).abs().mean())
        overlap = torch.minimum(found, maps).sum((0, 2, 3)) / torch.maximum(found, maps).sum((0, 2, 3))
        shares = {f"iou of {name}": float(share) for name, share in zip(REGIONS, overlap, strict=True)}
        missing, asked, beside = (_difference(*pair) for pair in ((made, wanted), (faces, wanted), (faces, made)))
        removed = {
            f"removed in {name}": 1 - float((missing * maps[:, index]).sum() / (asked * maps[:, index]).sum())
            for index, name in enumerate(REGIONS)
        }
        outside = 1 - F.max_pool2d(maps.amax(dim=1, keepdim=True), 2 * BESIDE + 1, 1, BESIDE)[:, 0].ceil()
        removed["change outside, dE"] = float((beside * outside).sum() / outside.sum().clamp(min=1))
        return {"score": -error / nothing, "error": error, "error of doing nothing": nothing, **removed, **shares}

    def sample(self, batch: Item) -> Tensor:
        """Rows of: face, painted with the student's maps, with the teacher's maps, the student's maps (RGB: lips and
        cheeks, liner and brows, lids)."""
        faces, maps, looks = (part[:8] for part in batch)
        found = soft_maps(self.networks["student"](faces))
        red, green, blue = found[:, [0, 4]].amax(1), found[:, [2, 3]].amax(1), found[:, 1]
        shown = torch.stack([red, green, blue], dim=1) * 2 - 1
        columns = [faces, paint(faces, found, looks), paint(faces, maps, looks), shown]
        return torch.stack(columns, dim=1).flatten(0, 1)


def _difference(a: Tensor, b: Tensor) -> Tensor:
    """CIE76 colour difference of each pixel: two (N, 3, H, W) -1..1 -> (N, H, W)."""
    return (to_lab(a) - to_lab(b)).norm(dim=1)
