"""A recipe that is trained in a second, and imports little."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ganchain.nets.unet import UNet
from ganchain.train.recipe import Recipe


class Numbers(Dataset[tuple[Tensor, Tensor]]):
    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        face = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(index)) * 2 - 1
        return face, -face


class Negative(Recipe):
    """Two players without a GAN: one learns the negative, the other only watches and learns the mean."""

    key = "negative"
    batch, rate, columns = 4, 1e-2, 2

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.networks = {"student": UNet(3, 3, (8, 8), (1, 1)), "watcher": nn.Conv2d(3, 1, 1)}

    def dataset(self, split: str) -> Dataset[Any]:
        return Numbers()

    def losses(self, player: str, batch: tuple[Tensor, Tensor]) -> Mapping[str, Tensor]:
        face, negative = batch
        if player == "watcher":
            return {"mean": (self.networks["watcher"](face).float() - 1).square().mean()}
        return {"pixel": (self.networks["student"](face).float() - negative).abs().mean()}

    def figures(self, batch: tuple[Tensor, Tensor]) -> Mapping[str, float]:
        return {"score": -float((self.networks["student"](batch[0]) - batch[1]).abs().mean())}

    def sample(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return torch.stack([batch[0], self.networks["student"](batch[0])], dim=1).flatten(0, 1)


def negative(steps: int) -> Negative:
    torch.manual_seed(0)
    return Negative(steps)
