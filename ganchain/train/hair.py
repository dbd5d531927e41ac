"""Recipe of the hair matte: a network learns the mattes that GrabCut got right and finds hair on every head.

A few hundred mattes are enough, because each is varied in hair colour, background, light and place every time. From
heads where the teacher failed, the network only learns where there can be no hair. The loss is binary cross-entropy
with a soft target, and L1 of its finite differences, where the target is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from ganchain.colour.hair import DYES, dye, moments, ramp, strands
from ganchain.colour.lab import to_lab
from ganchain.nets.unet import UNet
from ganchain.stages.attributes import clean_matte
from ganchain.tensors import levels
from ganchain.train.data import samples
from ganchain.train.datasets.hair import Heads, Item, maps
from ganchain.train.recipe import Recipe


def chroma_progress(faces: Tensor, dyed: Tensor, hair: Tensor) -> float:
    """Measure how much nearer to the dyes the hair's chroma is over all heads: 0 no nearer, 1 there.

    Args:
        faces, hair: (N, 3, H, W) -1..1 and (N, 1, H, W) 0..1.
        dyed: the faces in each of ``DYES``, (len(DYES), N, 3, H, W).
    """
    distance = full_distance = 0.0
    for coloured, colour in zip(dyed, DYES.values(), strict=True):
        target = ramp(faces.new_full((1, 1, 1, 1), colour.lightness), colour)
        after, before = (moments(to_lab(x)[:, 1:], hair)[0] - target for x in (coloured, faces))
        distance, full_distance = (
            distance + float(after.norm(dim=1).sum()),
            full_distance + float(before.norm(dim=1).sum()),
        )
    return 1 - distance / full_distance


class Hair(Recipe):
    """Train the hair matte on ``data``/wide256; the teacher's mattes are cached in ``cache``."""

    key = "attributes-hair"
    columns = 5

    def __init__(
        self,
        data: Path,
        steps: int = 3800,
        batch: int = 8,
        rate: float = 2e-3,
        widths: tuple[int, ...] = (16, 32, 64, 96),
        depths: tuple[int, ...] = (1, 2, 2, 2),
        cache: Path = Path("runs/cache"),
    ) -> None:
        self.data, self.steps, self.batch, self.rate, self.cache = data, steps, batch, rate, cache
        self.networks: dict[str, nn.Module] = {"student": UNet(3, 1, widths, depths)}

    def dataset(self, split: str) -> Dataset[Any]:
        """Return heads with mattes: in training half have good mattes, held-out ones all."""
        heads = samples(self.data / "wide256")
        answers = maps(heads, self.cache / "attributes-hair.npz")
        indices = [i for i, sample in enumerate(heads) if sample.split == split]
        good = [i for i in indices if answers[i, 2].all()]
        chosen = good if split != "train" else indices + good * round((len(indices) - len(good)) / max(len(good), 1))
        return Heads([heads[i] for i in chosen], answers[chosen], varied=split == "train")

    def losses(self, player: str, batch: Item) -> Mapping[str, Tensor]:
        """Compute the cross-entropy and the error of the differences, both where the matte is known."""
        faces, hair, known = batch
        logits = self.networks["student"](faces).float()
        entropy = F.binary_cross_entropy_with_logits(logits, hair, reduction="none")
        border = sum(
            (
                (torch.sigmoid(logits).diff(dim=d) - hair.diff(dim=d)).abs() * known.narrow(d, 1, known.shape[d] - 1)
            ).mean()
            for d in (2, 3)
        )
        return {"entropy": (entropy * known).sum() / known.sum(), "border": torch.as_tensor(border)}

    def figures(self, batch: Item) -> Mapping[str, float]:
        """Measure overlap and mean absolute error of the matte, and errors of dyed heads in 8-bit levels.

        Heads dyed by the teacher's matte are the target. "chroma of the way" is the share of the distance in mean a*b*
        between hair (the teacher's) and dye that is gone.
        """
        faces, hair, _ = batch
        matte = torch.sigmoid(self.networks["student"](faces).float())
        common = torch.minimum(matte, hair).sum(dim=(1, 2, 3))
        iou = float((common / torch.maximum(matte, hair).sum(dim=(1, 2, 3))).mean())
        targets = torch.stack([dye(faces, hair, colour) for colour in DYES.values()])
        dyed = torch.stack([dye(faces, clean_matte(matte) * strands(faces), colour) for colour in DYES.values()])
        return {
            "score": iou,
            "iou": iou,
            "chroma of the way": chroma_progress(faces, dyed, hair),
            "matte error": float((matte - hair).abs().mean()),
            "error": float(levels((dyed - targets).abs().mean())),
            "error of doing nothing": float(levels((faces - targets).abs().mean())),
        }

    def sample(self, batch: Item) -> Tensor:
        """Draw rows of face, matte, black, brown, blond."""
        faces = batch[0][:6]
        matte = torch.sigmoid(self.networks["student"](faces).float())
        dyed = [dye(faces, matte, colour) for colour in DYES.values()]
        return torch.stack([faces, matte.expand_as(faces) * 2 - 1, *dyed], dim=1).flatten(0, 1)
