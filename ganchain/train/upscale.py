"""Recipe of the upscaler: photos made small and mildly spoilt, an L1 loss on the way back.

Pairs need no teacher: the photo is the target, its bicubic reduction (sometimes with noise and JPEG, as in
Real-ESRGAN, Wang et al. 2021) the input. L1 instead of L2 after EDSR (Lim et al. 2017).
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage.metrics import structural_similarity
from torch import Tensor, nn
from torch.utils.data import Dataset

from ganchain import tensors
from ganchain.nets.upscaler import Upscaler
from ganchain.tensors import resize, to_faces
from ganchain.train.data import Sample, below, read, read_cached, samples
from ganchain.train.recipe import Recipe

Pair = tuple[Tensor, Tensor]


class Pairs(Dataset[tuple[Pair, ...]]):
    """((small, photo) for each factor): (3, c, c) and (3, c * factor, c * factor), -1..1."""

    def __init__(self, found: list[Sample], crop: int, spoilt: float, fixed: bool) -> None:
        self.found, self.crop, self.spoilt, self.fixed = found, crop, spoilt, fixed

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, index: int) -> tuple[Pair, ...]:
        path = self.found[index].path
        photo = read(path) if path.parent.name in FACES else read_cached(path)
        return tuple(self._pair(photo, factor) for factor in (2, 4))

    def _pair(self, photo: tensors.Pixels, factor: int) -> Pair:
        side = self.crop * factor
        height, width = photo.shape[0] - side, photo.shape[1] - side
        top, left = (height // 2, width // 2) if self.fixed else (below(height + 1), below(width + 1))
        target = photo[top : top + side, left : left + side]
        if not self.fixed:
            target = np.rot90(target, below(4))
            target = target[:, ::-1] if below(2) else target
        large = to_faces(target.copy())
        small = resize(large, (self.crop, self.crop)).clamp(-1, 1)
        if not self.fixed and float(torch.rand(())) < self.spoilt:
            small = spoil(small)
        return small[0], large[0]


FACES = {"fairface", "congress", "gsa", "london", "canada"}


def spoil(small: Tensor) -> Tensor:
    """Mild camera noise (sigma up to 6 levels) and JPEG (quality 60-95). (1, 3, H, W) -> the same."""
    sigma = float(torch.rand(())) * 6
    noisy = tensors.to_pixels(small)[0] + sigma * torch.randn(*small.shape[2:], 3).numpy()
    quality = 60 + below(36)
    coded = BytesIO()
    Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8)).save(coded, "JPEG", quality=quality)
    return to_faces(np.asarray(Image.open(coded)))


class Upscale(Recipe):
    """Train the upscaler on ``data``/faces256 and ``data``/photos_cc0."""

    key = "upscale"
    columns = 3

    def __init__(
        self,
        data: Path,
        steps: int = 30_000,
        batch: int = 16,
        rate: float = 1e-3,
        crop: int = 48,
        width: int = 24,
        depth: int = 5,
        spoilt: float = 0.2,
        photos_weight: int = 12,
    ) -> None:
        self.data, self.steps, self.batch, self.rate = data, steps, batch, rate
        self.crop, self.spoilt, self.photos_weight = crop, spoilt, photos_weight
        self.networks: dict[str, nn.Module] = {"student": Upscaler(width, depth)}

    def dataset(self, split: str) -> Dataset[Any]:
        faces = samples(self.data / "faces256", split)
        if split != "train":
            return Pairs(faces, crop=64, spoilt=0, fixed=True)
        photos = [s for s in samples(self.data / "photos_cc0", split) if min(read(s.path).shape[:2]) >= 4 * self.crop]
        return Pairs(faces + photos * self.photos_weight, self.crop, self.spoilt, fixed=False)

    def losses(self, player: str, batch: tuple[Pair, Pair]) -> Mapping[str, Tensor]:
        student = self.networks["student"]
        return {
            f"pixel_x{factor}": (student(small, factor).float() - large).abs().mean()
            for factor, (small, large) in zip((2, 4), batch, strict=True)
        }

    def figures(self, batch: tuple[Pair, Pair]) -> Mapping[str, float]:
        small, large = batch[1]
        made = self.networks["student"](small, 4).clamp(-1, 1)
        plain = resize(small, (large.shape[2], large.shape[3])).clamp(-1, 1)
        gain = psnr(made, large).mean() - psnr(plain, large).mean()
        return {
            "score": float(gain),
            "psnr": float(psnr(made, large).mean()),
            "psnr of bicubic": float(psnr(plain, large).mean()),
            "ssim": ssim(made, large),
            "ssim of bicubic": ssim(plain, large),
        }

    def sample(self, batch: tuple[Pair, Pair]) -> Tensor:
        small, large = (part[:6] for part in batch[1])
        made = self.networks["student"](small, 4)
        plain = resize(small, (large.shape[2], large.shape[3]))
        return torch.stack([plain, made, large], dim=1).flatten(0, 1)


def ssim(made: Tensor, target: Tensor) -> float:
    """Mean structural similarity (Wang et al. 2004) of pictures (N, 3, H, W) in -1..1."""
    pairs = zip(tensors.to_pixels(made), tensors.to_pixels(target), strict=True)
    return float(np.mean([structural_similarity(a, b, channel_axis=2) for a, b in pairs]))  # type: ignore[no-untyped-call]


def psnr(made: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each picture: (N, C, H, W) in -1..1 (peak 2) -> (N,)."""
    error = (made - target).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(4 / error)
