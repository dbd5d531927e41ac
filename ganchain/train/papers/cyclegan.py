"""CycleGAN (Zhu et al. 2017): turns pictures of one kind into another kind, learned from two folders without pairs.

The data are ``A/`` and ``B/``, any pictures, any names. Both generators are one player and both discriminators the
other, as the paper optimises them. The discriminators' step makes its pictures anew, with the generators just updated;
that costs about a tenth of a step and keeps the players independent of each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ganchain.train.data import samples
from ganchain.train.papers import Paper, half_then_linear, losses
from ganchain.train.papers.unpaired import Discriminators, Two, Unpaired


def normalised(conv: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    """Follow ``conv`` by instance normalisation and ReLU."""
    return [conv, nn.InstanceNorm2d(conv.out_channels), nn.ReLU()]


def mirrored(inputs: int, outputs: int, kernel: int, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    """Build a convolution padded by reflection."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=bias, padding_mode="reflect")


class Residual(nn.Module):
    """Two 3 x 3 convolutions around one ReLU, added to the input. (N, C, H, W) -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first, second = (normalised(mirrored(width, width, 3)) for _ in range(2))
        self.main = nn.Sequential(*first, *second[:-1])

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x)


def generator(width: int, blocks: int) -> nn.Sequential:
    """Build c7s1-64, d128, d256, R256 * blocks, u128, u64, c7s1-3 (appendix 7.2).

    (N, 3, H, W) -> the same; 4 divides H and W.
    """

    def doubling(inputs: int, outputs: int) -> list[nn.Module]:
        return normalised(nn.ConvTranspose2d(inputs, outputs, 3, 2, padding=1, output_padding=1, bias=False))

    return nn.Sequential(
        *normalised(mirrored(3, width, 7)),
        *normalised(mirrored(width, width * 2, 3, stride=2)),
        *normalised(mirrored(width * 2, width * 4, 3, stride=2)),
        *(Residual(width * 4) for _ in range(blocks)),
        *doubling(width * 4, width * 2),
        *doubling(width * 2, width),
        mirrored(width, 3, 7, bias=True),
        nn.Tanh(),
    )


class CycleGAN(Paper):
    """Train CycleGAN on the folders ``data``/A and ``data``/B.

    The paper trained 200 epochs of some 1,000 pictures. Both generators are exported: "first" turns A into B, "second"
    B into A.

    Args:
        side: side of the windows in px; 4 divides it.
        width, judges: channels of the finest level of the generators and the discriminators.
        blocks: residual blocks; the paper took 6 at 128 px and 9 at 256.
        cycle, identity: weights of the terms; the paper used the identity term for paintings only.
        history: number of generated pictures that are kept for the discriminators.
    """

    key = "cyclegan"
    columns = 4

    def __init__(
        self,
        data: Path,
        steps: int = 200_000,
        batch: int = 1,
        rate: float = 2e-4,
        side: int = 256,
        width: int = 64,
        judges: int = 64,
        blocks: int = 9,
        cycle: float = 10.0,
        identity: float = 5.0,
        history: int = 50,
    ) -> None:
        self.data, self.steps, self.batch, self.rate = data, steps, batch, rate
        self.side, self.cycle, self.identity = side, cycle, identity
        self.networks: dict[str, nn.Module] = {
            "generators": Two(generator(width, blocks), generator(width, blocks)),
            "discriminators": Discriminators(judges, history, side),
        }

    def schedule(self, step: int) -> float:
        """Keep the rate for half of the steps, then lower it linearly to zero."""
        return half_then_linear(step, self.steps)

    def dataset(self, split: str) -> Dataset[Any]:
        """Return unpaired windows (a, b)."""
        a, b = (samples(self.data / kind, split) for kind in "AB")
        return Unpaired(a, b, self.side, fixed=split != "train")

    def losses(self, player: str, batch: tuple[Tensor, Tensor]) -> Mapping[str, Tensor]:
        """Compute the terms of the generators or of the discriminators."""
        return self._generators(*batch) if player == "generators" else self._discriminators(*batch)

    def _generators(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        generators, discriminators = self.networks["generators"], self.networks["discriminators"]
        fake_b, fake_a = generators(a, b)
        cycled_b, cycled_a = generators(fake_a, fake_b)
        real_a, real_b = discriminators(fake_a, fake_b)
        same_b, same_a = generators(b, a)
        cycle = losses.cycle_consistency(a, cycled_a) + losses.cycle_consistency(b, cycled_b)
        identity = losses.identity_mapping(a, same_a) + losses.identity_mapping(b, same_b)
        return {
            "adversarial a": losses.least_squares_generator(real_a),
            "adversarial b": losses.least_squares_generator(real_b),
            "cycle": self.cycle * cycle,
            "identity": self.identity * identity,
        }

    def _discriminators(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        discriminators = self.networks["discriminators"]
        with torch.no_grad():
            generated_b, generated_a = self.networks["generators"](a, b)
        (real_a, real_b), (fake_a, fake_b) = (
            discriminators(a, b),
            discriminators(generated_a, generated_b, remember=True),
        )
        return {
            "a": losses.least_squares_discriminator(real_a, fake_a),
            "b": losses.least_squares_discriminator(real_b, fake_b),
        }

    def figures(self, batch: tuple[Tensor, Tensor]) -> Mapping[str, float]:
        """Measure the generators' terms; without pairs there is no truth to compare with."""
        terms = {name: float(term) for name, term in self._generators(*batch).items()}
        return {"score": -sum(terms.values()), **terms}

    def sample(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Draw rows of a, a as b, b, b as a."""
        a, b = (part[:8] for part in batch)
        fake_b, fake_a = self.networks["generators"](a, b)
        return torch.stack([a, fake_b, b, fake_a], dim=1).flatten(0, 1)
