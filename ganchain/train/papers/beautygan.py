"""BeautyGAN (Li et al. 2018): makeup transfer between faces, learned from made-up and bare faces without pairs.

The data are ``makeup/`` and ``non-makeup/`` (as in the authors' Makeup Transfer data set, which is for research only),
faces as ``ganchain align`` cuts them. The paper parses faces with a PSPNet of its own. Here lips, lids
and skin are drawn from the points that our own network reads. It only looks at the real faces: the generated ones have
the same geometry.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ganchain.colour.makeup import REGIONS
from ganchain.nets.beautygan import GeneratorBranch
from ganchain.train.data import samples
from ganchain.train.papers import Paper, losses
from ganchain.train.papers.features import Regions, perceptual_features
from ganchain.train.papers.unpaired import Discriminators, Unpaired

ITEMS = {"lips": "lips", "lids": "lids", "face": "skin"}  # our maps of the paper's lips, eye shadow and face


class BeautyGAN(Paper):
    """Train BeautyGAN on ``data``/makeup and ``data``/non-makeup.

    Args:
        vgg: torchvision's file of VGG-16 (the paper's) or VGG-19; without it, see ``papers.features``.
        side: side of the faces in px; 16 divides it.
        width, repeats, judges: channels and residual blocks of the generator, channels of the discriminators.
        adversarial, cycle, perceptual: weights of the terms (alpha, beta, gamma).
        lips, lids, face: weights of the makeup terms.
    """

    key = "beautygan"
    columns = 4

    def __init__(
        self,
        data: Path,
        steps: int = 200_000,
        batch: int = 1,
        rate: float = 2e-4,
        vgg: Path | None = None,
        side: int = 256,
        width: int = 64,
        repeats: int = 6,
        judges: int = 64,
        adversarial: float = 1.0,
        cycle: float = 10.0,
        perceptual: float = 0.005,
        lips: float = 1.0,
        lids: float = 1.0,
        face: float = 0.1,
    ) -> None:
        self.data, self.steps, self.batch, self.rate, self.side = data, steps, batch, rate, side
        self.adversarial, self.cycle, self.perceptual = adversarial, cycle, perceptual
        self.makeup = {"lips": lips, "lids": lids, "face": face}
        self.frozen = {"features": perceptual_features(vgg, block=4, conv=1), "regions": Regions()}
        self.networks: dict[str, nn.Module] = {
            "generator": GeneratorBranch(width, repeats),
            "discriminators": Discriminators(judges, history=0, side=side),
        }

    def dataset(self, split: str) -> Dataset[Any]:
        """Return pairs (bare face, made-up face), both (3, side, side) -1..1."""
        bare, made_up = (samples(self.data / kind, split) for kind in ("non-makeup", "makeup"))
        return Unpaired(bare, made_up, self.side, fixed=split != "train")

    def items(self, faces: Tensor) -> dict[str, Tensor]:
        """Find lips, lids and skin in ``faces`` (N, 3, S, S): (N, S, S) bool each."""
        with torch.no_grad():
            maps = self.frozen["regions"](faces) > 0.5
        return {item: maps[:, REGIONS.index(region)] for item, region in ITEMS.items()}

    def losses(self, player: str, batch: tuple[Tensor, Tensor]) -> Mapping[str, Tensor]:
        """Compute the terms of the generator or of the discriminators."""
        return self._generator(*batch) if player == "generator" else self._discriminators(*batch)

    def _generator(self, source: Tensor, reference: Tensor) -> dict[str, Tensor]:
        transfer, features = self.networks["generator"], self.frozen["features"]
        fake_made, fake_bare = (face.float() for face in transfer(source, reference))
        reference_again, source_again = (face.float() for face in transfer(fake_bare, fake_made))
        real_bare, real_made = self.networks["discriminators"](fake_bare, fake_made)
        adversarial = losses.least_squares_generator(real_bare) + losses.least_squares_generator(real_made)
        cycle = losses.cycle_consistency(source, source_again) + losses.cycle_consistency(reference, reference_again)
        pairs = (
            (features(real).float(), features(fake).float())
            for real, fake in ((source, fake_made), (reference, fake_bare))
        )
        perceptual = torch.stack([losses.perceptual(real, fake) for real, fake in pairs]).sum()
        return {
            "adversarial": self.adversarial * adversarial,
            "cycle": self.cycle * cycle,
            "perceptual": self.perceptual * perceptual,
            **self.makeup_terms((source, reference), (fake_made, fake_bare)),
        }

    def makeup_terms(self, real: tuple[Tensor, Tensor], fake: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Compare the makeup of each fake face with that of the other real face, in both directions."""
        source, reference = (self.items(faces) for faces in real)
        return {
            item: weight
            * (
                losses.makeup(fake[0], real[1], source[item], reference[item])
                + losses.makeup(fake[1], real[0], reference[item], source[item])
            )
            for item, weight in self.makeup.items()
        }

    def _discriminators(self, bare: Tensor, made_up: Tensor) -> dict[str, Tensor]:
        discriminators = self.networks["discriminators"]
        with torch.no_grad():
            generated_made_up, generated_bare = (face.float() for face in self.networks["generator"](bare, made_up))
        (real_bare, real_made), (fake_bare, fake_made) = (
            discriminators(bare, made_up),
            discriminators(generated_bare, generated_made_up),
        )
        return {
            "bare": losses.least_squares_discriminator(real_bare, fake_bare),
            "made-up": losses.least_squares_discriminator(real_made, fake_made),
        }

    def figures(self, batch: tuple[Tensor, Tensor]) -> Mapping[str, float]:
        """Measure the share of the makeup terms that is gone, less the error of the way back (the score).

        If few regions are found, the faces are not aligned as ``ganchain align`` does it.
        """
        source, reference = batch
        made_up, bare = (face.float() for face in self.networks["generator"](source, reference))
        back = self.networks["generator"](bare, made_up)[1].float()
        makeup = float(sum(self.makeup_terms((source, reference), (made_up, bare)).values()))
        idle = float(sum(self.makeup_terms((source, reference), (source, reference)).values()))
        cycle = float(losses.cycle_consistency(source, back))
        region_shares = [region.any(2).any(1).float().mean() for face in batch for region in self.items(face).values()]
        return {
            "score": 1 - makeup / max(idle, 1e-9) - cycle,
            "makeup": makeup,
            "makeup of doing nothing": idle,
            "cycle": cycle,
            "regions found": float(torch.stack(region_shares).mean()),
        }

    def sample(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Draw rows of bare face, the same in the makeup of the next, made-up face, the same without its makeup."""
        source, reference = (part[:8] for part in batch)
        made_up, bare = self.networks["generator"](source, reference)
        return torch.stack([source, made_up.float(), reference, bare.float()], dim=1).flatten(0, 1)
