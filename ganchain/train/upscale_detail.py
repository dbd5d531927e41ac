"""Recipe of the upscaler's detail weights: SRGAN's losses on the compact network (Ledig et al. 2017).

It begins from the fidelity weights, so that the two can be interpolated (ESRGAN, Wang et al. 2018, section 3.4). Loss:
L1 of the reduced picture, which holds colours and shapes and leaves texture free; features of a network that knows
faces, or VGG's; and a PatchGAN (Isola et al. 2017) whose real photos are other windows than those of the pairs. More of
the small pictures are spoilt than for fidelity: what that hides is what detail is invented for.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganchain import manifest
from ganchain.nets.upscaler import Upscaler
from ganchain.train.datasets.upscale import Pair
from ganchain.train.papers import losses
from ganchain.train.papers.features import perceptual_features
from ganchain.train.upscale import Upscale


def discriminator(width: int) -> nn.Sequential:
    """A PatchGAN with spectral normalisation (Miyato et al. 2018). (N, 3, H, W) -> realness (N, 1, H / 8, W / 8)."""
    widths = (3, width, 2 * width, 4 * width)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, 1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1)))


class UpscaleDetail(Upscale):
    """Train the upscaler's detail on ``data``/faces256 and ``data``/photos_cc0, from its fidelity weights.

    Args:
        crop, spoilt, photos_weight: as in ``Upscale``.
        fidelity: weight of the pixels' L1.
        perceptual: weight of the features' squared error.
        adversarial: weight of the adversary.
        vgg: torchvision's file of VGG-19; without it, see ``papers.features``.
        judges: channels of the discriminator's first layer.
    """

    key = "upscale-detail"

    def __init__(
        self,
        data: Path,
        steps: int = 6_000,
        batch: int = 12,
        rate: float = 2e-4,
        crop: int = 40,
        spoilt: float = 0.5,
        photos_weight: int = 20,
        fidelity: float = 1.0,
        perceptual: float = 0.1,
        adversarial: float = 0.01,
        vgg: Path | None = None,
        judges: int = 32,
    ) -> None:
        super().__init__(data, steps, batch, rate, crop, spoilt=spoilt, photos_weight=photos_weight)
        self.fidelity, self.perceptual, self.adversarial = fidelity, perceptual, adversarial
        self.networks = {
            "student": Upscaler.from_tensors(manifest.load("upscale").tensors),
            "discriminator": discriminator(judges),
        }
        self.frozen = {"features": perceptual_features(vgg, block=5, conv=4)}

    def losses(self, player: str, batch: tuple[Pair, Pair]) -> Mapping[str, Tensor]:
        student, judge = self.networks["student"], self.networks["discriminator"]
        (doubled, twice), (small, large) = batch
        if player == "student":
            made = student(small, 4).float()
            few = max(1, len(doubled) // 4)
            half = student(doubled[:few], 2).float()
            seen = self.frozen["features"]
            error = F.avg_pool2d(made - large, 2)
            return {
                "pixel": self.fidelity * (self.pixel(error) + 0.25 * self.pixel(half - twice[:few])),
                "features": self.perceptual * losses.perceptual(seen(large).float(), seen(made).float()),
                "adversarial": self.adversarial
                * (losses.non_saturating(judge(made).float()) + 0.25 * losses.non_saturating(judge(half).float())),
            }
        with torch.no_grad():
            made = student(small, 4).float()
        return {"adversarial": losses.minimax_discriminator(judge(twice).float(), judge(made).float())}

    def figures(self, batch: tuple[Pair, Pair]) -> Mapping[str, float]:
        """As of ``Upscale``, and the share of the photo's fine texture that is there."""
        small, large = batch[1]
        made = self.networks["student"](small, 4).clamp(-1, 1)
        fine = float(texture(made) / texture(large))
        return {**super().figures(batch), "texture": fine}

    def load(self, weights: Mapping[str, Tensor]) -> None:
        self.networks["student"].load_state_dict(dict(weights))

    def exported(self, net: nn.Module) -> Mapping[str, Tensor]:
        return net.state_dict()


def texture(pictures: Tensor) -> Tensor:
    """Mean absolute difference of a picture (N, 3, H, W) and its 3 x 3 mean."""
    return (pictures - F.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)).abs().mean()
