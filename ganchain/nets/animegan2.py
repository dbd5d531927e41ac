"""Generator of AnimeGANv2 (Chen et al. 2020), as bryandlee/animegan2-pytorch publishes it.

It pads by reflection, normalises each layer over channels and pixels at once, and is built of MobileNetV2's inverted
residuals.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import torch.nn.functional as F
from torch import Tensor, nn

SIGNATURE_KEYS = {"block_a.0.1.weight", "block_c.1.layers.2.weight", "block_e.2.1.weight", "out_layer.0.weight"}
MODULES = {"block_a", "block_b", "block_c", "block_d", "block_e", "out_layer"}


def convolution(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1, bias: bool = False
) -> nn.Sequential:
    """Build a convolution with reflection padding, layer normalisation and leaky ReLU.

    With stride 2 only the right and the bottom are padded, so the output's grid starts at the first pixel.
    """
    half = kernel // 2
    return nn.Sequential(
        nn.ReflectionPad2d(half if stride == 1 else (0, half, 0, half)),
        nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=bias),
        nn.GroupNorm(1, outputs),
        nn.LeakyReLU(0.2),
    )


class InvertedResidual(nn.Module):
    """Inverted residual block (Sandler et al. 2018): expansion by 2, depthwise 3 x 3, projection.

    (N, inputs, H, W) -> (N, outputs, H, W). The input is added where it has as many channels as the output.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        wide = 2 * inputs
        self.adds = inputs == outputs
        self.layers = nn.Sequential(
            convolution(inputs, wide, 1),
            convolution(wide, wide, groups=wide, bias=True),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.GroupNorm(1, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.adds else self.layers(x)


class AnimeGAN2(nn.Module):
    """Network that redraws a photo: (N, 3, H, W) -1..1 -> the same.

    Args:
        align_corners: how the two enlargements place their pixels. True, as in the authors' hub entry and face2paint,
            also returns odd pictures at their exact size; False, as in their test script, needs sides divisible by 4
            (others come back rounded up or down).
        width: channels at full resolution.
        residuals: inverted residual blocks.
    """

    accelerable = ("forward",)

    def __init__(self, align_corners: bool = True, width: int = 32, residuals: int = 4) -> None:
        super().__init__()
        self.align_corners = align_corners
        full, half, quarter, wide = width, 2 * width, 4 * width, 8 * width
        self.block_a = nn.Sequential(
            convolution(3, full, 7), convolution(full, half, stride=2), convolution(half, half)
        )
        self.block_b = nn.Sequential(convolution(half, quarter, stride=2), convolution(quarter, quarter))
        self.block_c = nn.Sequential(
            convolution(quarter, quarter),
            InvertedResidual(quarter, wide),
            *(InvertedResidual(wide, wide) for _ in range(residuals - 1)),
            convolution(wide, quarter),
        )
        self.block_d = nn.Sequential(convolution(quarter, quarter), convolution(quarter, quarter))
        self.block_e = nn.Sequential(convolution(quarter, half), convolution(half, half), convolution(half, full, 7))
        self.out_layer = nn.Sequential(nn.Conv2d(full, 3, 1, bias=False), nn.Tanh())

    @classmethod
    def recognise(cls, flat: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Return this network's tensors from ``flat``, a bare state dict; None if it is another network's."""
        tensors = {key.removeprefix("module."): tensor for key, tensor in flat.items()}
        if not tensors.keys() >= SIGNATURE_KEYS:
            return None
        return {key: tensor.float() for key, tensor in tensors.items() if key.split(".")[0] in MODULES}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], align_corners: bool = True) -> Self:
        """Build the network from its state dict ``tensors``; sizes are read from the shapes."""
        width = tensors["out_layer.0.weight"].shape[1]
        residuals = len([key for key in tensors if key.endswith(".layers.2.weight")])
        net = cls(align_corners, width, residuals)
        net.load_state_dict(dict(tensors))
        return net

    def forward(self, x: Tensor) -> Tensor:
        half_features = self.block_a(x)
        quarter_features = self.block_c(self.block_b(half_features))
        features = self.block_d(self._enlarge(quarter_features, like=half_features))
        return self.out_layer(self.block_e(self._enlarge(features, like=x)))

    def _enlarge(self, x: Tensor, like: Tensor) -> Tensor:
        """Enlarge ``x`` to the size of ``like`` (align_corners), or to twice its own."""
        if self.align_corners:
            return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=True)
        return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
