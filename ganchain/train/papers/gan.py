"""Vanilla GAN (Goodfellow et al. 2014), and how ganchain trains.

A recipe says which networks learn from which data; the loop (``ganchain.train.loop``) knows nothing of GANs. In every
step it

1. takes one batch from ``dataset("train")``,
2. goes through ``networks`` in order, and for each of them asks ``losses(name, batch)``, adds the terms up, and lets
   that network's own optimiser take one step. Gradients that reach the other networks on the way are thrown away,
3. now and then asks for ``figures`` and a ``sample`` of held-out batches, and exports the first network.

So two players that want opposite things need no special care: here the discriminator lowers its error in telling real
from fake pictures, and the generator lowers another function of the very same output.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ganchain.train.data import Sample, samples
from ganchain.train.papers import Paper, losses, picture
from ganchain.train.recipe import seeded

PIECES = 5  # linear functions of a maxout unit


class Photos(Dataset[Tensor]):
    """Photos (3, side, side), -1..1: the middle of each, half of them mirrored unless ``fixed``."""

    def __init__(self, photos: list[Sample], side: int, fixed: bool) -> None:
        self.photos, self.side, self.fixed = photos, side, fixed

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> Tensor:
        return picture(self.photos[index].path, self.side, self.side, self.fixed)


class Maxout(nn.Linear):
    """Layer of the largest of ``PIECES`` linear functions (Goodfellow et al. 2013). (N, inputs) -> (N, outputs)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs * PIECES)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).reshape(len(input), -1, PIECES).amax(dim=2)


def generator(noise: int, width: int, side: int) -> nn.Sequential:
    """Build the generator: noise (N, noise) -1..1 -> pictures (N, 3, side, side) -1..1; rectifiers, as in section 5."""
    hidden = [nn.Linear(noise, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(width, 3 * side**2), nn.Tanh(), nn.Unflatten(1, (3, side, side)))


def discriminator(width: int, side: int, dropout: float) -> nn.Sequential:
    """Build the discriminator: pictures (N, 3, side, side) -> realness (N, 1); maxout and dropout, as in section 5."""
    hidden = [Maxout(3 * side**2, width), nn.Dropout(dropout), Maxout(width, width), nn.Dropout(dropout)]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(width, 1))


class GAN(Paper):
    """Train a vanilla GAN on the photos under ``data``; any folder will do, aligned faces are learned soonest.

    Widths after the paper's MNIST networks, whose optimiser was momentum; Adam is what the loop has.

    Args:
        side: side of the pictures in px; fully connected networks are for small ones.
        noise: number of random inputs that a picture is made of.
        width, judges: units of the hidden layers of the generator and the discriminator.
        dropout: share of the discriminator's hidden units that each step leaves out.
    """

    key = "gan"
    columns = 8

    def __init__(
        self,
        data: Path,
        steps: int = 50_000,
        batch: int = 100,
        rate: float = 2e-4,
        side: int = 32,
        noise: int = 100,
        width: int = 1200,
        judges: int = 240,
        dropout: float = 0.5,
    ) -> None:
        self.data, self.steps, self.batch, self.rate = data, steps, batch, rate
        self.side, self.noise = side, noise
        self.networks: dict[str, nn.Module] = {
            "generator": generator(noise, width, side),
            "discriminator": discriminator(judges, side, dropout),
        }

    def dataset(self, split: str) -> Dataset[Any]:
        """Return the photos of ``split``."""
        return Photos(samples(self.data, split), self.side, fixed=split != "train")

    def losses(self, player: str, batch: Tensor) -> Mapping[str, Tensor]:
        """Compute the term of the generator or of the discriminator."""
        judge = self.networks["discriminator"]
        if player == "generator":
            return {"adversarial": losses.non_saturating(judge(self.generate(len(batch), batch)).float())}
        with torch.no_grad():  # the generator waits for its own turn
            fake = self.generate(len(batch), batch)
        return {"adversarial": losses.minimax_discriminator(judge(batch).float(), judge(fake).float())}

    def generate(self, count: int, like: Tensor, random: torch.Generator | None = None) -> Tensor:
        """Generate ``count`` pictures of uniform noise, on the device of ``like``."""
        noise = torch.rand(count, self.noise, generator=random).to(like.device) * 2 - 1
        return self.networks["generator"](noise)

    def figures(self, batch: Tensor) -> Mapping[str, float]:
        """Measure how far the pixels' means and deviations are from those of the real batch."""
        fake = self.generate(len(batch), batch, seeded(0)).float()
        means = float((fake.mean(0) - batch.mean(0)).abs().mean())
        spreads = float((fake.std(0, correction=0) - batch.std(0, correction=0)).abs().mean())
        return {"score": -means - spreads, "error of means": means, "error of deviations": spreads}

    def sample(self, batch: Tensor) -> Tensor:
        """Generate 64 pictures from the same noise every time, so that the sheets can be compared."""
        return self.generate(64, batch, seeded(0)).float()
