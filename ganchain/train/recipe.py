"""Recipe: all that the loop must know of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from math import cos, pi
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

Batch = Any  # whatever the recipe's dataset collates to: a tensor or a tuple of tensors
WARM_UP = 100  # steps


class Recipe:
    """Recipe of a training run, read from top to bottom: data, networks, losses, figures, a picture to look at.

    The constructor's keyword arguments are the recipe's options; ``data`` is the folder of training photos.
    Random numbers may be drawn anywhere from torch's own generator: the loop seeds it anew for every item and step.

    Attributes:
        key: the manifest key of the weights it makes.
        networks: the networks that are trained, one optimiser each, in order; the first one is exported. Take them
            from here whenever they are needed: while figures and samples are made, the exported one is its running
            average.
        frozen: networks that are used and never trained (the features of a perceptual loss).
        columns: pictures in a row of the sample sheet.
        betas: betas of Adam (Kingma & Ba 2015).
        decay: weight decay (AdamW, Loshchilov & Hutter 2019).
        clip: the norm that gradients are clipped to; None: not at all.
        average: decay of the running average of the exported weights; 0: the last weights are exported.
        turns: a network named here learns in every n-th step only (a critic's five steps to one of its generator).
    """

    key: ClassVar[str]
    steps: int
    batch: int
    rate: float
    networks: dict[str, nn.Module]

    frozen: Mapping[str, nn.Module] = {}
    columns: ClassVar[int] = 3
    betas: tuple[float, float] = (0.9, 0.99)
    decay: float = 0.0
    clip: float | None = 1.0
    average: float = 0.999
    turns: Mapping[str, int] = {}

    def dataset(self, split: str) -> Dataset[Any]:
        """Return the pairs of ``split`` ("train", "val" or "test")."""
        raise NotImplementedError

    def losses(self, player: str, batch: Batch) -> Mapping[str, Tensor]:
        """Compute the weighted loss terms (scalars) of one network of ``networks``; their sum is minimised."""
        raise NotImplementedError

    def figures(self, batch: Batch) -> Mapping[str, float]:
        """Measure held-out figures of one batch; the loop averages them, and ``score`` (higher is better) steers."""
        raise NotImplementedError

    def sample(self, batch: Batch) -> Tensor:
        """Make a picture of the batch to look at: (rows * cols, 3, H, W) -1..1, row by row ``columns`` wide."""
        raise NotImplementedError

    def schedule(self, step: int) -> float:
        """Return the factor of ``rate`` at ``step`` (1, 2 ...): linear warm-up, then a cosine down to zero."""
        return min(1.0, step / WARM_UP) * 0.5 * (1 + cos(pi * min(1.0, step / self.steps)))

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Load ``weights`` that an earlier run exported, to begin from them.

        Raises:
            KeyError, RuntimeError: they do not fit.
        """
        next(iter(self.networks.values())).load_state_dict(dict(weights))

    def exported(self, net: nn.Module) -> Mapping[str, Tensor]:
        """Return the tensors to write of the averaged network ``net``; for networks that are merged after training."""
        return net.state_dict()


def seeded(seed: int) -> torch.Generator:
    """Make a generator of random numbers from ``seed``."""
    return torch.Generator().manual_seed(seed)
