"""Adversary of the students: it judges the fine structure of pictures, not what they show."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

MEAN, GAIN = 11, 5  # px of the mean that is subtracted; the rest is multiplied by the gain


class Adversary(nn.Module):
    """PatchGAN (Isola et al. 2017) with spectral normalisation (Miyato et al. 2018).

    (N, ``planes``, H, W) -> realness (N, 1, H / 8, W / 8). Its input is the difference of the planes from their means
    over 11 px. So it knows whether a border is crisp and a surface has texture, but not what is shown and how light it
    is; without this its loss hardly fell in hundreds of steps. Its first convolution keeps the resolution, because
    strides would let a checkerboard pass unseen.
    """

    def __init__(self, planes: int, width: int) -> None:
        super().__init__()
        modules: list[nn.Module] = [spectral_norm(nn.Conv2d(planes, width, 3, padding=1)), nn.LeakyReLU(0.2)]
        for inputs, outputs in pairwise((width, 2 * width, 4 * width, 4 * width)):
            modules += [spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, 1)), nn.LeakyReLU(0.2)]
        self.main = nn.Sequential(*modules, nn.Conv2d(4 * width, 1, 3, padding=1))

    def forward(self, planes: Tensor) -> Tensor:
        rim = MEAN // 2
        means = F.avg_pool2d(F.pad(planes, (rim, rim, rim, rim), "replicate"), MEAN, 1)
        realness: Tensor = self.main(GAIN * (planes - means)).float()
        return realness
