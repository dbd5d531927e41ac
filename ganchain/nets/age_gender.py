"""Age and gender network: the judge of ``ganchain evaluate`` and the features of perceptual losses.

A small residual network (He et al. 2016), trained from random weights on real labelled faces alone
(``ganchain train age-gender``). It judges pictures; it says nothing about the person on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganchain.tensors import resize

INPUT_SIDE = 112  # px, the side it was trained at


class Residual(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation beside a shortcut. (N, C, H, W) -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        norm = self.second[1]
        assert isinstance(norm, nn.BatchNorm2d)
        nn.init.zeros_(norm.weight)  # each block starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(self.first(x)))


class AgeGender(nn.Module):
    """Network that tells gender and age of a face.

    Takes faces in the tight framing of any side, (N, 3, S, S) -1..1, and gives logits (N, 2): male, old. Above 0 means
    more male than female, and more likely 50 and older than 39 and younger.

    Args:
        widths: channels of each level, finest first; level k works at 1/2**(k+1) of the side.
        depths: residual blocks of each level.
    """

    def __init__(self, widths: Sequence[int] = (16, 40, 72, 104), depths: Sequence[int] = (1, 2, 2, 1)) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 2, stride=2, bias=False), nn.BatchNorm2d(b), nn.ReLU())
            for a, b in pairwise(widths)
        )
        self.levels = nn.ModuleList(
            nn.Sequential(*(Residual(width) for _ in range(depth))) for width, depth in zip(widths, depths, strict=True)
        )
        self.forget = nn.Dropout(0.3)
        self.head = nn.Linear(widths[-1], 2)

    @classmethod
    def recognise(cls, flat: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Return ``flat`` if it is the state dict of such a network, else None."""
        return dict(flat) if {"stem.0.weight", "levels.0.0.first.0.weight", "head.weight"} <= set(flat) else None

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> AgeGender:
        """Build the network from its state dict ``tensors``; sizes are read from the shapes."""
        blocks = [key.split(".")[1] for key in tensors if key.startswith("levels.") and key.endswith(".first.0.weight")]
        levels = sorted(set(blocks), key=int)
        widths = [tensors[f"levels.{level}.0.first.0.weight"].shape[0] for level in levels]
        net = cls(widths, [blocks.count(level) for level in levels])
        net.load_state_dict(dict(tensors))
        return net

    def forward(self, faces: Tensor) -> Tensor:
        x = self.features(resize(faces, (INPUT_SIDE, INPUT_SIDE)), len(self.levels))
        logits: Tensor = self.head(self.forget(x.mean(dim=(2, 3))))
        return logits

    def features(self, pictures: Tensor, levels: int = 3) -> Tensor:
        """Compute the feature maps of a level: (N, 3, H, W) -1..1 -> (N, C, H / 2**levels, W / 2**levels).

        The pictures are not resized; 2**levels must divide H and W.
        """
        x: Tensor = self.levels[0](self.stem(pictures))
        for down, level in zip(self.down[: levels - 1], self.levels[1:levels], strict=True):
            x = level(down(x))
        return x
