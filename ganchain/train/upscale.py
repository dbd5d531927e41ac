"""Recipes of the upscaler's four sizes: photos are reduced, some mildly degraded, an L1 loss teaches the way back.

Pairs need no teacher: the photo is the target, its bicubic reduction (sometimes with noise and JPEG, as in
Real-ESRGAN, Wang et al. 2021) the input. L1 instead of L2 after EDSR (Lim et al. 2017); the 3 x 3 convolutions are
learned in branches and merged for use (ECBSR, Zhang et al. 2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skimage.metrics import structural_similarity
from torch import Tensor, nn
from torch.utils.data import Dataset

from ganchain import tensors
from ganchain.nets.upscaler import Upscaler
from ganchain.tensors import resize
from ganchain.train import mergeable
from ganchain.train.data import read, samples
from ganchain.train.datasets.upscale import Pair, Pairs
from ganchain.train.recipe import Recipe

LUMA = (0.299, 0.587, 0.114)  # weights of red, green, blue: BT.601


@dataclass(eq=False)
class Upscale(Recipe):
    """Train the upscaler on ``data``/faces256 and ``data``/photos_cc0.

    Args:
        crop: side of the small windows in px.
        width, depth: channels and 3 x 3 convolutions of the body.
        spoilt: share of the small pictures that get noise and JPEG.
        photos_weight: how often a whole photo is seen for each time a face is.
        luma: weight of the brightness beside that of the colours.
        doubled: share of each batch that teaches to enlarge twice, and the weight of it; the body is shared.
        squared: squared errors instead of L1: PSNR's own loss, for a last run.
    """

    key = "upscale"
    columns = 3

    data: Path
    steps: int = 80_000
    batch: int = 16
    rate: float = 1e-3
    crop: int = 40
    width: int = 16
    depth: int = 13
    spoilt: float = 0.03
    photos_weight: int = 20
    luma: float = 1.0
    doubled: float = 0.25
    squared: bool = False

    def __post_init__(self) -> None:
        self.networks: dict[str, nn.Module] = {"student": mergeable.add_branches(Upscaler(self.width, self.depth))}

    def dataset(self, split: str) -> Dataset[Any]:
        """Return pairs of small and large pictures, of faces and in training also of photos."""
        faces = samples(self.data / "faces256", split)
        if split != "train":
            return Pairs(faces, crop=64, spoilt=0, fixed=True)
        photos = [s for s in samples(self.data / "photos_cc0", split) if min(read(s.path).shape[:2]) >= 4 * self.crop]
        return Pairs(faces + photos * self.photos_weight, self.crop, self.spoilt, fixed=False)

    def losses(self, player: str, batch: tuple[Pair, Pair]) -> Mapping[str, Tensor]:
        """Compute the errors of enlarging twice and four times."""
        student = self.networks["student"]
        count = self.doubled_count(batch[0][0])
        (small, large), (smaller, larger) = (part[:count] for part in batch[0]), batch[1]
        return {
            "pixel_x2": self.doubled * self.pixel_loss(student(small, 2).float() - large),
            "pixel_x4": self.pixel_loss(student(smaller, 4).float() - larger),
        }

    def doubled_count(self, pictures: Tensor) -> int:
        """Return how many pictures of a batch teach to enlarge twice."""
        return max(1, round(self.doubled * len(pictures)))

    def pixel_loss(self, error: Tensor) -> Tensor:
        """Compute L1 (or the squared error) of the colours and of their luma by BT.601."""
        luma = (error * error.new_tensor(LUMA)[:, None, None]).sum(dim=1)
        distance = torch.square if self.squared else torch.abs
        return (distance(error).mean() + self.luma * distance(luma).mean()) / (1 + self.luma)

    def figures(self, batch: tuple[Pair, Pair]) -> Mapping[str, float]:
        """Measure PSNR and SSIM of the enlargement by four, and those of bicubic interpolation."""
        small, large = batch[1]
        enlarged = self.networks["student"](small, 4).clamp(-1, 1)
        bicubic = resize(small, (large.shape[2], large.shape[3])).clamp(-1, 1)
        gain = psnr(enlarged, large).mean() - psnr(bicubic, large).mean()
        return {
            "score": float(gain),
            "gain over bicubic, dB": float(gain),
            "psnr": float(psnr(enlarged, large).mean()),
            "psnr of bicubic": float(psnr(bicubic, large).mean()),
            "ssim": ssim(enlarged, large),
            "ssim of bicubic": ssim(bicubic, large),
        }

    def sample(self, batch: tuple[Pair, Pair]) -> Tensor:
        """Draw rows of bicubic enlargement, network's enlargement, photo."""
        small, large = (part[:6] for part in batch[1])
        enlarged = self.networks["student"](small, 4)
        bicubic = resize(small, (large.shape[2], large.shape[3]))
        return torch.stack([bicubic, enlarged, large], dim=1).flatten(0, 1)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Load merged weights into the branched network."""
        mergeable.load(self.networks["student"], weights)

    def exported(self, net: nn.Module) -> Mapping[str, Tensor]:
        """Return the merged tensors."""
        return mergeable.merge_branches(net)


@dataclass(eq=False)
class UpscaleFast(Upscale):
    """Train the fast upscaler, of 5 convolutions of 16 channels, on ``data``/faces256 and ``data``/photos_cc0.

    Its options are those of ``Upscale``.
    """

    key = "upscale-fast"

    steps: int = 12_000
    batch: int = 32
    rate: float = 1.5e-3
    crop: int = 64
    depth: int = 5
    spoilt: float = 0.0
    photos_weight: int = 40
    luma: float = 2.0


@dataclass(eq=False)
class UpscaleStandard(UpscaleFast):
    """Train the standard upscaler, of 5 convolutions of 32 channels, on ``data``/faces256 and ``data``/photos_cc0.

    Its options are those of ``Upscale``.
    """

    key = "upscale-standard"

    rate: float = 1.2e-3
    width: int = 32


@dataclass(eq=False)
class UpscaleBest(UpscaleFast):
    """Train the best upscaler, of 20 convolutions of 32 channels, on ``data``/faces256 and ``data``/photos_cc0.

    Its options are those of ``Upscale``.
    """

    key = "upscale-best"

    rate: float = 1e-3
    width: int = 32
    depth: int = 20


def ssim(output: Tensor, target: Tensor) -> float:
    """Compute the mean structural similarity (Wang et al. 2004) of pictures (N, 3, H, W) -1..1."""
    pairs = zip(tensors.to_pixels(output), tensors.to_pixels(target), strict=True)
    return float(np.mean([structural_similarity(a, b, channel_axis=2) for a, b in pairs]))  # type: ignore[no-untyped-call]


def psnr(output: Tensor, target: Tensor) -> Tensor:
    """Compute the peak signal-to-noise ratio in dB of each picture: (N, C, H, W) -1..1 (peak 2) -> (N,)."""
    error = (output - target).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(4 / error)
