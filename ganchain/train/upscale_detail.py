"""Recipe of the upscaler's detail weights: SRGAN's losses on the compact network (Ledig et al. 2017).

It begins from the fidelity weights, so that the two can be interpolated (ESRGAN, Wang et al. 2018, section 3.4). Loss:
L1 of the picture and of its reduction, which holds colours and shapes; features of a network that knows
faces, or VGG's; and a PatchGAN (Isola et al. 2017) whose real photos are other windows than those of the pairs. More of
the small pictures are spoilt than for fidelity: what that hides is what detail is invented for.
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
        student, judge = self.networks["student"], self.networks["discriminator"]
        (doubled, twice), (small, large) = batch
        if player == "student":
            made = student(small, 4).float()
            few = self.few(doubled)
            half = student(doubled[:few], 2).float()
            seen, fooled = self.frozen["features"], losses.least_squares_generator
            error = made - large
            pixel = 0.25 * self.pixel(error) + 0.75 * self.pixel(F.avg_pool2d(error, 4))
            return {
                "pixel": self.fidelity * (pixel + self.doubled * self.pixel(half - twice[:few])),
                "features": self.perceptual * losses.perceptual(seen(large).float(), seen(made).float()),
                "adversarial": self.adversarial * (fooled(judge(made)) + fooled(judge(half))),
            }
        with torch.no_grad():
            made = student(small, 4).float()
        return {"adversarial": losses.least_squares_discriminator(judge(twice), judge(made))}

    def figures(self, batch: tuple[Pair, Pair]) -> Mapping[str, float]:
        """As of ``Upscale``, and the share of the photo's fine texture that is there."""
        small, large = batch[1]
        made = self.networks["student"](small, 4).clamp(-1, 1)
        fine = float(texture(made) / texture(large))
        return {**super().figures(batch), "texture": fine}

    load, exported = Recipe.load, Recipe.exported  # nothing is merged here


def texture(pictures: Tensor) -> Tensor:
    """Mean absolute difference of a picture (N, 3, H, W) and its 3 x 3 mean."""
    return (pictures - F.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)).abs().mean()
