"""Recipe of the upscaler's detail weights: SRGAN's losses on the compact network (Ledig et al. 2017).

It begins from the fidelity weights, so that the two can be interpolated (ESRGAN, Wang et al. 2018, section 3.4). The
loss has three parts: L1 of the picture and of its reduction, which holds colours and shapes; features of a network that
knows faces, or VGG's; and a PatchGAN (Isola et al. 2017) whose real photos are other windows than those of the pairs.
More of the small pictures are degraded than for fidelity: the network invents detail for what is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ganchain.checkpoints import manifest
from ganchain.nets.upscaler import Upscaler
from ganchain.train.adversary import Adversary
from ganchain.train.datasets.upscale import Pair
from ganchain.train.papers import losses
from ganchain.train.papers.features import perceptual_features
from ganchain.train.recipe import Recipe
from ganchain.train.upscale import Upscale


class UpscaleDetail(Upscale):
    """Train the upscaler's detail on ``data``/faces256 and ``data``/photos_cc0, from its fidelity weights.

    Args:
        crop, spoilt, photos_weight: as in ``Upscale``.
        fidelity: weight of the pixels' L1.
        perceptual: weight of the features' squared error.
        adversarial: weight of the adversary; more of it, or more steps, brings grids of dots into flat places.
        vgg: torchvision's file of VGG-19; without it, see ``papers.features``.
        judges: channels of the discriminator's first layer.
    """

    key = "upscale-detail"

    def __init__(
        self,
        data: Path,
        steps: int = 1_600,
        batch: int = 8,
        rate: float = 4e-4,
        crop: int = 40,
        spoilt: float = 0.3,
        photos_weight: int = 20,
        fidelity: float = 1.0,
        perceptual: float = 0.1,
        adversarial: float = 0.08,
        vgg: Path | None = None,
        judges: int = 12,
    ) -> None:
        super().__init__(data, steps, batch, rate, crop, spoilt=spoilt, photos_weight=photos_weight)
        self.fidelity, self.perceptual, self.adversarial = fidelity, perceptual, adversarial
        self.networks = {
            "student": Upscaler.from_tensors(manifest.load("upscale").tensors),
            "discriminator": Adversary(3, judges),
        }
        self.frozen = {"features": perceptual_features(vgg, block=5, conv=4)}

    def losses(self, player: str, batch: tuple[Pair, Pair]) -> Mapping[str, Tensor]:
        """Compute the terms of the student or of the discriminator."""
        student, discriminator = self.networks["student"], self.networks["discriminator"]
        (small_doubled, large_doubled), (small, large) = batch
        if player == "student":
            enlarged = student(small, 4).float()
            count = self.doubled_count(small_doubled)
            doubled_output = student(small_doubled[:count], 2).float()
            features, generator_loss = self.frozen["features"], losses.least_squares_generator
            error = enlarged - large
            pixel = 0.25 * self.pixel_loss(error) + 0.75 * self.pixel_loss(F.avg_pool2d(error, 4))
            return {
                "pixel": self.fidelity
                * (pixel + self.doubled * self.pixel_loss(doubled_output - large_doubled[:count])),
                "features": self.perceptual * losses.perceptual(features(large).float(), features(enlarged).float()),
                "adversarial": self.adversarial
                * (generator_loss(discriminator(enlarged)) + generator_loss(discriminator(doubled_output))),
            }
        with torch.no_grad():
            enlarged = student(small, 4).float()
        return {
            "adversarial": losses.least_squares_discriminator(discriminator(large_doubled), discriminator(enlarged))
        }

    def figures(self, batch: tuple[Pair, Pair]) -> Mapping[str, float]:
        """Measure the figures of ``Upscale``, and the share of the photo's fine texture that is there."""
        small, large = batch[1]
        enlarged = self.networks["student"](small, 4).clamp(-1, 1)
        texture_share = float(texture(enlarged) / texture(large))
        return {**super().figures(batch), "texture": texture_share}

    load, exported = Recipe.load, Recipe.exported  # nothing is merged here


def texture(pictures: Tensor) -> Tensor:
    """Compute the mean absolute difference between a picture (N, 3, H, W) and its 3 x 3 mean."""
    return (pictures - F.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)).abs().mean()
