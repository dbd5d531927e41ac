"""SRGAN (Ledig et al. 2017): SRResNet, once trained by squared error, taught detail by VGG and a discriminator.

Data and network are those of ``papers.srresnet``, whose exported file is the ``start`` here; without one it starts from
nothing, which the paper found to end in poor optima.
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
from ganchain.train.papers.srresnet import SRResNetMSE, learning

VGG_SCALE = 1 / 12.75  # brings VGG's feature maps to the scale of pixels (section 3.2)


def discriminator(crop: int, width: int, dense: int) -> nn.Sequential:
    """Figure 4: eight 3 x 3 convolutions, every second one halves. (N, 3, crop, crop) -> realness (N, 1)."""
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
        start: what ``SRResNetMSE`` exported, or any file of an SRResNet; it decides the generator's sizes.
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
            self.networks["generator"] = learning(trained(start))
        self.networks["discriminator"] = discriminator(crop, judges, dense)

    def schedule(self, step: int) -> float:
        return 1.0 if step <= self.steps / 2 else 0.1

    def losses(self, player: str, batch: tuple[Tensor, Tensor]) -> Mapping[str, Tensor]:
        (small, photos), judge = batch, self.networks["discriminator"]
        enlarge = self.networks["generator"]
        if player == "generator":
            made = enlarge(small).float()
            return {
                "content": self.content(made, photos),
                "adversarial": self.adversarial * losses.non_saturating(judge(made).float()),
            }
        with torch.no_grad():
            made = enlarge(small).float()
        return {"adversarial": losses.minimax_discriminator(judge(photos).float(), judge(made).float())}

    def content(self, made: Tensor, photos: Tensor) -> Tensor:
        seen = self.frozen["features"]
        return losses.content_vgg(self.scale * seen(made).float(), self.scale * seen(photos).float())

    def figures(self, batch: tuple[Tensor, Tensor]) -> Mapping[str, float]:
        """PSNR as of SRResNet, which a GAN lowers on purpose; the score is the content loss, negated."""
        content = float(self.content(self.enlarged(batch[0]), batch[1]))
        return {**super().figures(batch), "score": -content, "content": content}


def trained(path: Path) -> SRResNet:
    """The SRResNet in a file of ours or of others.

    Raises:
        WeightsError: there is none.
    """
    for flat in foreign.read(path).values():
        if found := SRResNet.recognise(flat):
            return SRResNet.from_tensors(found)
    raise WeightsError(f"{path}: no SRResNet; start: wants the file that papers.srresnet exports")
