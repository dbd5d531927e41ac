"""Recipe of makeup: a network finds six soft regions on a face, and the painter paints them.

The targets come from ``teachers.makeup``; an L1 loss on pictures painted with random looks counts errors where they
show. There is no adversary: the painter is exact, only the regions are learned.
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
MARGIN = 4  # px around a region that count neither as inside nor as outside


class Makeup(Recipe):
    """Train the makeup regions on ``data``/faces256; the teacher's maps are kept in ``cache``.

    Args:
        picture: weight of the painted loss.
        painted: number of faces of a batch that this loss is computed on.
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
        """Return faces with the teacher's maps, which are made when they are missing."""
        faces = samples(self.data / "faces256", split)
        points = landmarks(faces, TIGHT, self.cache / f"faces256-{split}-68.npz")
        file = self.cache / f"makeup-{split}.npy"
        if not file.exists():
            prepare(faces, points, file)
        maps = Regions(faces, np.load(file, mmap_mode="r"), fixed=split != "train")
        if split != "train" or self.rare == 1:
            return maps
        rare_faces = [i for i, sample in enumerate(faces) if sample.labels.get("race", "").lower() == "black"]
        return Subset(maps, [*range(len(faces)), *rare_faces * (self.rare - 1)])

    def losses(self, player: str, batch: Item) -> Mapping[str, Tensor]:
        """Compute the error of the maps and of the painted pictures."""
        faces, maps, looks = batch
        pixels_last = faces.contiguous(memory_format=torch.channels_last)  # 1.7 times as fast on a CPU
        logits = self.networks["student"](pixels_last).float()
        weights = logits.new_tensor(WEIGHTS)[:, None, None]
        subset = slice(self.painted)
        painted = paint(faces[subset], soft_maps(logits[subset]), looks[subset])
        target = paint(faces[subset], maps[subset], looks[subset])
        return {
            "maps": (weights * F.binary_cross_entropy_with_logits(logits, maps, reduction="none")).mean(),
            "picture": self.picture * (painted - target).abs().mean(),
        }

    def figures(self, batch: Item) -> Mapping[str, float]:
        """Measure errors of painted faces and the overlap of the maps.

        "error" is the mean absolute difference, in 8-bit levels, from the face painted by the teacher's maps. In CIE76
        colour differences there are the share of the difference between bare and painted face that is removed inside a
        region, and the change where the teacher has no region.
        """
        faces, maps, looks = batch
        student_maps = soft_maps(self.networks["student"](faces))
        target, painted = paint(faces, maps, looks), paint(faces, student_maps, looks)
        error = float(tensors.levels(painted - target).abs().mean())
        idle = float(tensors.levels(faces - target).abs().mean())
        overlap = torch.minimum(student_maps, maps).sum((0, 2, 3)) / torch.maximum(student_maps, maps).sum((0, 2, 3))
        shares = {f"iou of {name}": float(share) for name, share in zip(REGIONS, overlap, strict=True)}
        missing, full, change = (_difference(*pair) for pair in ((painted, target), (faces, target), (faces, painted)))
        removed = {
            f"removed in {name}": 1 - float((missing * maps[:, index]).sum() / (full * maps[:, index]).sum())
            for index, name in enumerate(REGIONS)
        }
        outside = 1 - F.max_pool2d(maps.amax(dim=1, keepdim=True), 2 * MARGIN + 1, 1, MARGIN)[:, 0].ceil()
        removed["change outside, dE"] = float((change * outside).sum() / outside.sum().clamp(min=1))
        return {"score": -error / idle, "error": error, "error of doing nothing": idle, **removed, **shares}

    def sample(self, batch: Item) -> Tensor:
        """Draw rows of face, painted by the student's maps, by the teacher's maps, and the student's maps.

        These are shown in red (lips and cheeks), green (liner and brows) and blue (lids).
        """
        faces, maps, looks = (part[:8] for part in batch)
        student_maps = soft_maps(self.networks["student"](faces))
        red, green, blue = student_maps[:, [0, 4]].amax(1), student_maps[:, [2, 3]].amax(1), student_maps[:, 1]
        map_colours = torch.stack([red, green, blue], dim=1) * 2 - 1
        columns = [faces, paint(faces, student_maps, looks), paint(faces, maps, looks), map_colours]
        return torch.stack(columns, dim=1).flatten(0, 1)


def _difference(a: Tensor, b: Tensor) -> Tensor:
    """Compute the CIE76 colour difference of each pixel: two (N, 3, H, W) -1..1 -> (N, H, W)."""
    return (to_lab(a) - to_lab(b)).norm(dim=1)
