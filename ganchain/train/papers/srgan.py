"""SRGAN (Ledig et al. 2017): an SRResNet, trained by squared error before, learns detail by VGG and a discriminator.

Data and network are those of ``papers.srresnet``, whose exported file is the ``start`` here. Without one it starts from
random weights, which the paper found to end in poor optima.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from ganchain.checkpoints import foreign
from ganchain.errors import WeightsError
from ganchain.nets.srgan import SRResNet
from ganchain.train.papers import losses
from ganchain.train.papers.features import perceptual_features
from ganchain.train.papers.srresnet import SRResNetMSE, unfreeze_norm

VGG_SCALE = 1 / 12.75  # brings VGG's feature maps to the scale of pixels (section 3.2)


def discriminator(crop: int, width: int, dense: int) -> nn.Sequential:
    """Build the discriminator of figure 4: eight 3 x 3 convolutions, every second one halves.

    (N, 3, crop, crop) -> realness (N, 1).
    """
    widths = [width << level for level in (0, 0, 1, 1, 2, 2, 3, 3)]
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), nn.LeakyReLU(0.2)]
    for index, (inputs, outputs) in enumerate(pairwise(widths)):
        conv = nn.Conv2d(inputs, outputs, 3, 2 - index % 2, padding=1, bias=False)
        layers += [conv, nn.BatchNorm2d(outputs, track_running_stats=False), nn.LeakyReLU(0.2)]
    side = -(-crop // 16)
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(widths[-1] * side**2, dense), nn.LeakyReLU(0.2), nn.Linear(dense, 1)
    )


class SRGAN(SRResNetMSE):
    """Train SRGAN on the photos under ``data``.

    Args:
        start: the file that ``SRResNetMSE`` exported, or any file of an SRResNet; it decides the generator's sizes.
        vgg: torchvision's file of VGG-19; without it, see ``papers.features``.
        adversarial: weight of the adversarial term.
        judges, dense: the discriminator's channels at full resolution, and the units of its hidden dense layer.
        crop, width, blocks, wide: as in ``SRResNetMSE``; without VGG's file 8 divides the crop.
    """

    key = "srgan"

    def __init__(
        self,
        data: Path,
        steps: int = 200_000,
        batch: int = 16,
        rate: float = 1e-4,
        start: Path | None = None,
        vgg: Path | None = None,
        crop: int = 96,
        width: int = 64,
        blocks: int = 16,
        wide: int = 256,
        judges: int = 64,
        dense: int = 1024,
        adversarial: float = 1e-3,
    ) -> None:
        super().__init__(data, steps, batch, rate, crop, width, blocks, wide)
        self.adversarial, self.scale = adversarial, VGG_SCALE if vgg else 1.0
        self.frozen = {"features": perceptual_features(vgg, block=5, conv=4)}
        if start:
            self.networks["generator"] = unfreeze_norm(load_srresnet(start))
        self.networks["discriminator"] = discriminator(crop, judges, dense)

    def schedule(self, step: int) -> float:
        """Keep the rate for half of the steps, then a tenth of it."""
        return 1.0 if step <= self.steps / 2 else 0.1

    def losses(self, player: str, batch: tuple[Tensor, Tensor]) -> Mapping[str, Tensor]:
        """Compute the terms of the generator or of the discriminator."""
        (small, photos), discriminator = batch, self.networks["discriminator"]
        generator = self.networks["generator"]
        if player == "generator":
            fake = generator(small).float()
            return {
                "content": self.content(fake, photos),
                "adversarial": self.adversarial * losses.non_saturating(discriminator(fake).float()),
            }
        with torch.no_grad():
            fake = generator(small).float()
        return {"adversarial": losses.minimax_discriminator(discriminator(photos).float(), discriminator(fake).float())}

    def content(self, fake: Tensor, photos: Tensor) -> Tensor:
        """Compute the content loss on feature maps."""
        features = self.frozen["features"]
        return losses.content_vgg(self.scale * features(fake).float(), self.scale * features(photos).float())

    def figures(self, batch: tuple[Tensor, Tensor]) -> Mapping[str, float]:
        """Measure SRResNet's PSNR, which a GAN lowers on purpose; the score is the content loss, negated."""
        content = float(self.content(self.enlarged(batch[0]), batch[1]))
        return {**super().figures(batch), "score": -content, "content": content}


def load_srresnet(path: Path) -> SRResNet:
    """Load the SRResNet in a file of ours or of others.

    Raises:
        WeightsError: there is none.
    """
    for flat in foreign.read(path).values():
        if tensors := SRResNet.recognise(flat):
            return SRResNet.from_tensors(tensors)
    raise WeightsError("no SRResNet; start: wants the file that papers.srresnet exports", ref=path)
