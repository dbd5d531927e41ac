"""Windows of clean photos, for recipes that spoil or reduce them by themselves, whole batches at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ganchain.tensors import to_faces
from ganchain.train.data import Sample, randbelow, read, read_cached


class Windows(Dataset[Tensor]):
    """Windows (3, side, side) -1..1 of photos, anywhere and mirrored at random; ``fixed``: the middle of each.

    Pictures of exactly ``side`` px (aligned faces) are shown whole.
    """

    def __init__(self, samples: list[Sample], side: int, fixed: bool) -> None:
        self.samples, self.side, self.fixed = samples, side, fixed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Tensor:
        path = self.samples[index].path
        photo = read_cached(path) if path.parent.name == "photos_cc0" else read(path)
        height, width = photo.shape[0] - self.side, photo.shape[1] - self.side
        top, left = (height // 2, width // 2) if self.fixed else (randbelow(height + 1), randbelow(width + 1))
        window = to_faces(photo[top : top + self.side, left : left + self.side])[0]
        return window.flip(2) if not self.fixed and randbelow(2) else window


def turned(pictures: Tensor) -> Tensor:
    """Turn and mirror a batch (N, C, H, W) of squares, all in the same way, drawn from eight."""
    way = randbelow(8)
    axes = [axis for axis, bit in ((2, 2), (3, 4)) if way & bit]
    pictures = pictures.transpose(2, 3) if way & 1 else pictures
    return torch.flip(pictures, axes) if axes else pictures
