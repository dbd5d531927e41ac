"""SRResNet (Ledig et al. 2017): the generator of SRGAN, trained by squared error; the first of SRGAN's two runs.

The data are any folder of photos, read in windows at their own resolution; the small pictures are bicubic reductions
by 4. The upscale stage takes the exported network as weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from ganchain.errors import PhotoError
from ganchain.nets.srgan import FrozenBatchNorm, SRResNet
from ganchain.tensors import resize, to_faces
from ganchain.train.data import Sample, picture_size, randbelow, read, samples
from ganchain.train.papers import Paper, losses
from ganchain.train.upscale import psnr

SCALE = 4


class Windows(Dataset[tuple[Tensor, Tensor]]):
    """Pairs (small (3, c / 4, c / 4) 0..1, photo (3, c, c) -1..1): windows of ``crop`` px, ``fixed``: in the middle."""

    def __init__(self, photos: list[Sample], crop: int, fixed: bool) -> None:
        self.photos, self.crop, self.fixed = photos, crop, fixed

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        photo, crop = read(self.photos[index].path), self.crop
        down, right = photo.shape[0] - crop, photo.shape[1] - crop
        top, left = (down // 2, right // 2) if self.fixed else (randbelow(down + 1), randbelow(right + 1))
        large = to_faces(photo[top : top + crop, left : left + crop])
        small = (resize(large, (crop // SCALE, crop // SCALE)) + 1) / 2
        return small[0].clamp(0, 1), large[0]


class BatchNorm(FrozenBatchNorm):
    """Batch normalisation by the batch in training, by the stored statistics afterwards. (N, C, H, W) -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        learns = self.training and torch.is_grad_enabled()  # statistics ignore batches made for the discriminator
        mean, variance = (self.running_mean, self.running_var) if learns or not self.training else (None, None)
        return F.batch_norm(x, mean, variance, self.weight, self.bias, self.training, eps=1e-5)


class SRResNetMSE(Paper):
    """Train SRResNet on the photos under ``data`` by their squared error.

    Args:
        crop: side of the windows in px; a multiple of 4, 20 or more.
        width, blocks, wide: channels, residual blocks, channels after each enlargement; as ``nets.srgan`` has them,
            which is wider there than the paper's 64.
    """

    key = "srresnet"
    columns = 3
    betas = (0.9, 0.999)

    def __init__(
        self,
        data: Path,
        steps: int = 1_000_000,
        batch: int = 16,
        rate: float = 1e-4,
        crop: int = 96,
        width: int = 64,
        blocks: int = 16,
        wide: int = 256,
    ) -> None:
        self.data, self.steps, self.batch, self.rate, self.crop = data, steps, batch, rate, crop
        self.networks: dict[str, nn.Module] = {"generator": unfreeze_norm(SRResNet(width, blocks, wide))}

    def dataset(self, split: str) -> Dataset[Any]:
        """Return windows of the photos that are large enough."""
        photos = [sample for sample in samples(self.data, split) if min(picture_size(sample.path)) >= self.crop]
        if not photos:
            raise PhotoError(f"no photo of {self.crop} px or more in {self.data} for {split}")
        return Windows(photos, self.crop, fixed=split != "train")

    def losses(self, player: str, batch: tuple[Tensor, Tensor]) -> Mapping[str, Tensor]:
        """Compute the squared error."""
        small, photos = batch
        return {"mse": losses.content_mse(self.networks["generator"](small).float(), photos)}

    def enlarged(self, small: Tensor) -> Tensor:
        """Enlarge by the generator: (N, 3, H, W) 0..1 -> (N, 3, 4 H, 4 W)."""
        return self.networks["generator"](small).float()

    def figures(self, batch: tuple[Tensor, Tensor]) -> Mapping[str, float]:
        """Measure PSNR in dB of all channels, and (the score) its gain over a bicubic enlargement."""
        small, photos = batch
        enlarged_psnr = psnr(self.enlarged(small).clamp(-1, 1), photos).mean()
        bicubic_psnr = psnr(bicubic(small), photos).mean()
        return {
            "score": float(enlarged_psnr - bicubic_psnr),
            "psnr": float(enlarged_psnr),
            "psnr of bicubic": float(bicubic_psnr),
        }

    def sample(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Draw rows of bicubic enlargement, generator's enlargement, photo."""
        small, photos = (part[:8] for part in batch)
        return torch.stack([bicubic(small), self.enlarged(small), photos], dim=1).flatten(0, 1)


def unfreeze_norm(net: SRResNet) -> SRResNet:
    """Unfreeze the normalisation of ``net``; parameters and buffers keep their names. Returns ``net`` itself."""
    for module in net.modules():
        if isinstance(module, FrozenBatchNorm):
            module.__class__ = BatchNorm
    return net


def bicubic(small: Tensor) -> Tensor:
    """Enlarge by bicubic interpolation: (N, 3, H, W) 0..1 -> (N, 3, 4 H, 4 W) -1..1."""
    return (resize(small, (small.shape[2] * SCALE, small.shape[3] * SCALE)) * 2 - 1).clamp(-1, 1)
