"""Recipes of the restorers: photos are spoilt as people's pictures are, and a network learns the way back.

One learns on windows of any photo, to keep its size or to enlarge it; the other on aligned faces, which it sees whole
and always in the same place (GFPGAN, Wang et al. 2021). How pictures are spoilt: ``datasets.spoilt``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from ganchain.nets.restorer import Restorer
from ganchain.tensors import bicubic, resize
from ganchain.train import mergeable
from ganchain.train.data import picture_size, randbelow, samples
from ganchain.train.datasets.spoilt import rounded, spoil
from ganchain.train.datasets.windows import Windows, turned
from ganchain.train.recipe import Recipe
from ganchain.train.upscale import LUMA, psnr

CLEAN, GREY = 0.1, 0.1  # shares of the pictures that stay clean, and that lose their colours
GAUGE = 0.05  # weight of the judgement whether a picture is spoilt
LOGARITHM, LEAST = 0.02, 2e-4  # weight of the logarithm, and the squared error below which none counts (2 levels)
WIDE = {4: 1.8, 2: 3.0, 1: 4.0}  # how many times smaller than the input a picture was before, at most


class Restore(Recipe):
    """Train the restorer of whole photos on windows of ``data``/photos_cc0 and ``data``/faces256.

    Args:
        side: side of the windows in px.
        photos_weight: how often a whole photo is seen for each time a face is.
        squared: the logarithm of each picture's squared error instead of L1: PSNR itself, for a last run. Slightly
            spoilt pictures then count as much as badly spoilt ones.
    """

    key = "restore"
    columns = 3
    average = 0.9993

    def __init__(
        self,
        data: Path,
        steps: int = 12_000,
        batch: int = 32,
        rate: float = 6e-4,
        side: int = 256,
        photos_weight: int = 20,
        squared: bool = False,
    ) -> None:
        self.data, self.steps, self.batch, self.rate = data, steps, batch, rate
        self.side, self.photos_weight, self.squared = side, photos_weight, squared
        self.networks: dict[str, nn.Module] = {"student": mergeable.add_branches(self.network())}

    @property
    def student(self) -> Restorer:
        """The network that learns, or its running average while it is measured."""
        student = self.networks["student"]
        assert isinstance(student, Restorer)
        return student

    def network(self) -> Restorer:
        """Build the network."""
        return Restorer()

    def dataset(self, split: str) -> Dataset[Any]:
        """Return windows of photos and faces, in training and held out."""
        faces = samples(self.data / "faces256", split)
        photos = [s for s in samples(self.data / "photos_cc0", split) if min(picture_size(s.path)) >= self.side]
        return Windows(faces + photos * (self.photos_weight if split == "train" else 1), self.side, split != "train")

    def losses(self, player: str, batch: Tensor) -> Mapping[str, Tensor]:
        """Compute the errors of a restored batch, and of what is read of its damage."""
        factor = self.factor()
        clean = greyed(self.varied(batch))
        pictures, damage = self.pairs(clean, factor)
        error = self.student(pictures, factor).float() - clean
        return {
            "pixel": self.pixel_loss(error),
            "gauge": GAUGE * F.binary_cross_entropy_with_logits(self.student.measure(pictures).float(), damage),
        }

    def factor(self) -> int:
        """Draw how many times the batch is enlarged."""
        return (4, 4, 2, 1)[randbelow(4)]

    def varied(self, clean: Tensor) -> Tensor:
        """Turn and mirror a batch at random."""
        return turned(clean)

    def pairs(self, clean: Tensor, factor: int, share: float = CLEAN) -> tuple[Tensor, Tensor]:
        """Spoil a batch, all but a ``share`` of it; returns the pictures, and whether they are spoilt (N,)."""
        small = rounded(resize(clean, (clean.shape[2] // factor, clean.shape[3] // factor)))
        with torch.no_grad(), torch.autocast(clean.device.type, enabled=False):  # a blur in bfloat16 leaves bands
            pictures, _ = spoil(clean, factor, self.wide(factor))
        keep = torch.rand(len(clean), device=clean.device) < share
        pictures = torch.where(keep[:, None, None, None], small, pictures)
        return pictures, (~keep).float()

    def wide(self, factor: int) -> float:
        """Return how many times smaller than the input a picture was before, at most."""
        return WIDE[factor]

    def pixel_loss(self, error: Tensor) -> Tensor:
        """Compute L1 of the colours and of their luma by BT.601, each a half; or the mean of all pictures' PSNR."""
        luma = (error * error.new_tensor(LUMA)[:, None, None]).sum(dim=1)
        if not self.squared:
            return (error.abs().mean() + luma.abs().mean()) / 2
        squares = (error.square().mean(dim=(1, 2, 3)) + luma.square().mean(dim=(1, 2))) / 2
        return LOGARITHM * torch.log(squares + LEAST).mean()

    def figures(self, batch: Tensor) -> Mapping[str, float]:
        """Measure the gain over bicubic interpolation in dB for each enlargement, on pictures spoilt by one seed."""
        clean, gains = batch, {}
        for factor in self.student.factors:
            pictures, restored, plain = self.shown(clean, factor)
            gains[f"x{factor}: gain, dB"] = float((psnr(restored, clean) - psnr(plain, clean)).mean())
            gains[f"x{factor}: share seen to be spoilt"] = float((self.student.measure(pictures) > 0).float().mean())
        return {"score": sum(gain for name, gain in gains.items() if "gain" in name), **gains}

    def shown(self, clean: Tensor, factor: int) -> tuple[Tensor, Tensor, Tensor]:
        """Spoil by one seed; returns the pictures, and them restored and enlarged by bicubic interpolation."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            pictures = self.pairs(clean, factor, 0)[0]
        plain = pictures if factor == 1 else bicubic(pictures, factor).clamp(-1, 1)
        return pictures, self.student(pictures, factor).clamp(-1, 1), plain

    def sample(self, batch: Tensor) -> Tensor:
        """Draw rows of bicubic enlargement, network's answer, photo."""
        clean = batch[:6]
        _, restored, plain = self.shown(clean, max(self.student.factors))
        return torch.stack([plain, restored, clean], dim=1).flatten(0, 1)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Load merged weights into the branched network."""
        mergeable.load(self.student, weights)

    def exported(self, net: nn.Module) -> Mapping[str, Tensor]:
        """Return the merged tensors."""
        return mergeable.merge_branches(net)


class RestoreFace(Restore):
    """Train the restorer of aligned faces on ``data``/faces256.

    Args:
        squared: as in ``Restore``.
    """

    key = "restore-face"

    def __init__(
        self, data: Path, steps: int = 14_000, batch: int = 24, rate: float = 6e-4, squared: bool = False
    ) -> None:
        super().__init__(data, steps, batch, rate, squared=squared)

    def network(self) -> Restorer:
        """Build the network, which knows where on a face it is."""
        return Restorer((32, 64, 96, 128), (4, 2, 1, 2), factors=(1,), place=16)

    def dataset(self, split: str) -> Dataset[Any]:
        """Return aligned faces."""
        return Windows(samples(self.data / "faces256", split), self.side, split != "train")

    def factor(self) -> int:
        return 1

    def varied(self, clean: Tensor) -> Tensor:
        return moved(clean)

    def wide(self, factor: int) -> float:
        return 6.0


def greyed(pictures: Tensor, share: float = GREY) -> Tensor:
    """Take the colours from a ``share`` of a batch (N, 3, H, W)."""
    luma = (pictures * pictures.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True).expand_as(pictures)
    return torch.where(torch.rand(len(pictures), 1, 1, 1, device=pictures.device) < share, luma, pictures)


def moved(faces: Tensor) -> Tensor:
    """Move six in ten aligned faces (N, 3, S, S) a little, as the landmarks of spoilt pictures do.

    By up to 3 % of the side, 5 degrees, and a tenth of the size.
    """
    n = len(faces)
    angle, scale = (torch.rand(n) - 0.5) * 0.16, 1.02 - 0.12 * torch.rand(n)
    shift = (torch.rand(n, 2) - 0.5) * 0.06
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], dim=1).view(n, 2, 3).to(faces.device)
    grid = F.affine_grid(rows, list(faces.shape), align_corners=False)
    seen = F.grid_sample(faces, grid, mode="bicubic", padding_mode="reflection", align_corners=False).clamp(-1, 1)
    return torch.where(torch.rand(n, 1, 1, 1, device=faces.device) < 0.6, seen, faces)
