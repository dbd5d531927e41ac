"""SRGAN's generator in the place of the bundled upscaler."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from ganchain.checkpoints import architectures
from ganchain.checkpoints.manifest import Weights
from ganchain.errors import OptionError
from ganchain.nets.srgan import SRResNet
from ganchain.stage import Scope, Stage
from ganchain.tensors import resize


class SRGANUpscaler(Stage):
    """Enlarge by SRResNet (Ledig et al. 2017), trained on sharp pictures reduced by bicubic interpolation."""

    side = None
    effect = "enlarge"

    def __init__(self, weights: Weights, *, factor: int | None, scope: Scope, strength: float) -> None:
        super().__init__()
        self.net = cast(SRResNet, architectures.build("srresnet", weights.tensors))
        if factor not in (None, self.net.scale):
            raise OptionError(f"these weights enlarge {self.net.scale} times, not {factor}", option="factor")
        self.scale, self.scope, self.strength = self.net.scale, scope, strength

    def forward(self, faces: Tensor) -> Tensor:
        plain = resize(faces, (faces.shape[2] * self.scale, faces.shape[3] * self.scale))
        if self.strength == 0:
            return plain
        return torch.lerp(plain, self.net((faces + 1) / 2), self.strength)
