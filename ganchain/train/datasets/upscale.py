"""Photos that are reduced, and sometimes mildly degraded: pairs that need no teacher."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ganchain import tensors
from ganchain.tensors import resize, to_faces
from ganchain.train.data import Sample, randbelow, read, read_cached

Pair = tuple[Tensor, Tensor]
FACTORS = (2, 4)


class Pairs(Dataset[tuple[Pair, ...]]):
    """Pairs (small, photo), one for each factor: (3, c, c) and (3, c * factor, c * factor), -1..1."""

    def __init__(self, samples: list[Sample], crop: int, spoilt: float, fixed: bool) -> None:
        self.samples, self.crop, self.spoilt, self.fixed = samples, crop, spoilt, fixed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Pair, ...]:
        path = self.samples[index].path
        photo = read(path) if path.parent.name in FACES else read_cached(path)
        return tuple(self._pair(photo, factor) for factor in FACTORS)

    def _pair(self, photo: tensors.Pixels, factor: int) -> Pair:
        """Cut a window out of the photo, turned and mirrored at random, and reduce it."""
        side = self.crop * factor
        height, width = photo.shape[0] - side, photo.shape[1] - side
        top, left = (height // 2, width // 2) if self.fixed else (randbelow(height + 1), randbelow(width + 1))
        target = photo[top : top + side, left : left + side]
        if not self.fixed:
            target = np.rot90(target, randbelow(4))
            target = target[:, ::-1] if randbelow(2) else target
        large = to_faces(target.copy())
        small = to_faces(tensors.to_pixels(resize(large, (self.crop, self.crop))))  # eight bits, as files have
        if not self.fixed and float(torch.rand(())) < self.spoilt:
            small = degrade(small)
        return small[0], large[0]


FACES = {"fairface", "congress", "gsa", "london", "canada"}


def degrade(small: Tensor) -> Tensor:
    """Add mild camera noise (sigma up to 6 levels) and JPEG (quality 60-95): (1, 3, H, W) -> the same."""
    sigma = float(torch.rand(())) * 6
    noisy = tensors.to_pixels(small)[0] + sigma * torch.randn(*small.shape[2:], 3).numpy()
    quality = 60 + randbelow(36)
    stream = BytesIO()
    Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=quality)
    return to_faces(np.asarray(Image.open(stream)))
