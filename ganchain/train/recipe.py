"""What a training run must know; the loop knows nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

Batch = Any  # whatever the recipe's dataset collates to: a tensor or a tuple of tensors


class Recipe:
    """One training run, read from top to bottom: data, networks, losses, figures, a picture to look at.

    The constructor's keyword arguments are the recipe's options; ``data`` is the folder of training photos.

    Attributes:
        key: the manifest key of the weights it makes.
        networks: what is trained, one optimiser each, in order; the first one is exported.
    """

    key: ClassVar[str]
    steps: int
    batch: int
    rate: float
    networks: dict[str, nn.Module]

    def dataset(self, split: str) -> Dataset[Any]:
        """Pairs of ``split`` ("train", "val" or "test")."""
        raise NotImplementedError

    def losses(self, player: str, batch: Batch) -> Mapping[str, Tensor]:
        """The weighted loss terms (scalars) of one network of ``networks``; their sum is minimised."""
        raise NotImplementedError

    def figures(self, batch: Batch) -> Mapping[str, float]:
        """Held-out figures of one batch, averaged by the loop; the one named ``score`` (higher is better) steers."""
        raise NotImplementedError

    def sample(self, batch: Batch) -> Tensor:
        """A picture of the batch to look at: (rows * cols, 3, H, W) -1..1, row by row ``columns`` wide."""
        raise NotImplementedError

    columns: ClassVar[int] = 3


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
