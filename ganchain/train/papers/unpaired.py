"""Data and discriminators that CycleGAN and BeautyGAN share: pictures of two kinds without pairs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ganchain.train.data import Sample, randbelow
from ganchain.train.papers import picture

LARGER = 286 / 256  # pictures are loaded larger by this factor than the windows cut from them


class Unpaired(Dataset[tuple[Tensor, Tensor]]):
    """Pairs (a, b), both (3, side, side), -1..1; b is chosen at random for each a unless ``fixed``."""

    def __init__(self, a: list[Sample], b: list[Sample], side: int, fixed: bool) -> None:
        self.a, self.b, self.side, self.fixed = a, b, side, fixed

    def __len__(self) -> int:
        return max(len(self.a), len(self.b)) if self.a and self.b else 0

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        load = self.side if self.fixed else round(self.side * LARGER)
        index_b = index % len(self.b) if self.fixed else randbelow(len(self.b))
        a, b = self.a[index % len(self.a)], self.b[index_b]
        return picture(a.path, load, self.side, self.fixed), picture(b.path, load, self.side, self.fixed)


def patch_gan(width: int) -> nn.Sequential:
    """Build C64-C128-C256-C512 (appendix 7.2), which judges windows of 70 px.

    (N, 3, H, W) -> realness (N, 1, H / 8 - 2, W / 8 - 2).
    """
    layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    for inputs, stride in ((width, 2), (width * 2, 2), (width * 4, 1)):
        conv = nn.Conv2d(inputs, inputs * 2, 4, stride, 1, bias=False)
        layers += [conv, nn.InstanceNorm2d(inputs * 2), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(width * 8, 1, 4, 1, 1))


class History(nn.Module):
    """Memory of up to ``size`` earlier pictures, shown again instead of half of the new ones (Shrivastava et al. 2017).

    They are buffers, so that checkpoints hold them. (N, 3, side, side) -> the same.
    """

    pictures: Tensor
    filled: Tensor

    def __init__(self, size: int, side: int) -> None:
        super().__init__()
        self.register_buffer("pictures", torch.zeros(size, 3, side, side))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    def forward(self, pictures: Tensor) -> Tensor:
        output = pictures.clone()
        for index, new in enumerate(pictures):
            if self.filled < len(self.pictures):
                self.pictures[self.filled] = new
                self.filled += 1
            elif len(self.pictures) and randbelow(2):
                place = randbelow(len(self.pictures))
                output[index], self.pictures[place] = self.pictures[place], new
        return output


class Two(nn.Module):
    """Two networks, one for each kind of picture: (a, b) -> (first(a), second(b))."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=0.02)  # appendix 7.1

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return self.first(a).float(), self.second(b).float()


class Discriminators(Two):
    """PatchGAN for each kind of picture; with ``remember`` the pictures are mixed with earlier ones."""

    def __init__(self, width: int, history: int, side: int) -> None:
        super().__init__(patch_gan(width), patch_gan(width))
        self.history_a, self.history_b = History(history, side), History(history, side)

    def forward(self, a: Tensor, b: Tensor, remember: bool = False) -> tuple[Tensor, Tensor]:
        return super().forward(self.history_a(a), self.history_b(b)) if remember else super().forward(a, b)
