"""Compact U-Net of webtoon and, as part of another, of attributes (0.4 GMAC for a 256 x 256 face).

A U-Net (Ronneberger et al. 2015) of inverted residual blocks with depthwise 5 x 5 convolutions, in the order
of ConvNeXt (Liu et al. 2022) but without normalisation, so that colours are not shifted. Its input goes through a pixel
unshuffle of 2 and its output through a pixel shuffle, so that no convolution runs at full resolution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isqrt
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from ganchain.errors import WeightsError

UNSHUFFLE = 2
Padding = Literal["zeros", "replicate"]


class Block(nn.Module):
    """Inverted residual block: depthwise 5 x 5, expansion, GELU, projection. (N, C, H, W) -> the same.

    It starts as the identity.
    """

    def __init__(self, width: int, padding: Padding, expansion: int = 2) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(width, width, 5, padding=2, groups=width, padding_mode=padding)
        self.expand = nn.Conv2d(width, width * expansion, 1)
        self.project = nn.Conv2d(width * expansion, width, 1)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.project(F.gelu(self.expand(self.spatial(x))))


class UNet(nn.Module):
    """U-Net from a picture (and condition planes) to a picture, offsets or maps.

    Args:
        inputs: channels in, condition planes included.
        outputs: channels out.
        widths: channels of each level, finest first; level k works at 1/2**(k+1) of the side.
        depths: residual blocks of each level, on the way down and (all but the last level) up.
        scale: output side / input side, 1 or 2.
        padding: how convolutions continue the picture beyond the border; "replicate" for pictures that are tiled,
            since zeros tell a network where the border is and it comes to rely on that.

    Shapes: (N, inputs, H, W) -> (N, outputs, H * scale, W * scale); H and W divisible by 2 ** len(widths).
    The output starts at zero: whoever adds it to something starts from the identity.
    """

    accelerable = ("forward",)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        widths: Sequence[int] = (24, 48, 96, 128),
        depths: Sequence[int] = (1, 2, 2, 2),
        scale: int = 1,
        padding: Padding = "zeros",
    ) -> None:
        super().__init__()
        self.factor = UNSHUFFLE * scale
        self.stem = nn.Conv2d(inputs * UNSHUFFLE**2, widths[0], 3, padding=1, padding_mode=padding)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.encode = nn.ModuleList(
            nn.Sequential(*(Block(width, padding) for _ in range(depth)))
            for width, depth in zip(widths, depths, strict=True)
        )
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.decode = nn.ModuleList(
            nn.Sequential(*(Block(width, padding) for _ in range(depth)))
            for width, depth in zip(widths[:-1], depths[:-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], outputs * self.factor**2, 3, padding=1, padding_mode=padding)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    @classmethod
    def recognise(cls, flat: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Return ``flat`` if it is the state dict of a U-Net, else None."""
        return dict(flat) if {"stem.weight", "encode.0.0.spatial.weight", "head.weight"} <= set(flat) else None

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], outputs: int | None = None, padding: Padding = "zeros"
    ) -> UNet:
        """Build the network from its state dict ``tensors``; the shapes tell all sizes but one.

        ``outputs`` and the scale cannot be told apart by shapes; None stands for scale 1.
        """
        planes = tensors["head.bias"].numel() // UNSHUFFLE**2
        outputs = outputs or planes
        if planes not in (outputs, 4 * outputs):
            raise WeightsError(f"this U-Net gives {planes} planes where {outputs} are needed: another stage's weights")
        levels = 1 + len({key.split(".")[1] for key in tensors if key.startswith("down.")})
        widths = [tensors[f"encode.{level}.0.spatial.bias"].numel() for level in range(levels)]
        depths = [
            len({key.split(".")[2] for key in tensors if key.startswith(f"encode.{level}.")}) for level in range(levels)
        ]
        inputs = tensors["stem.weight"].shape[1] // UNSHUFFLE**2
        scale = isqrt(planes // outputs)
        net = cls(inputs, outputs, widths, depths, scale, padding)
        net.load_state_dict(dict(tensors))
        return net

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(F.pixel_unshuffle(x, UNSHUFFLE))
        skips: list[Tensor] = []
        for level, blocks in enumerate(self.encode):
            if level:
                skips.append(x)
                x = self.down[level - 1](x)
            x = blocks(x)
        for level in reversed(range(len(self.decode))):
            x = F.interpolate(self.up[level](x), scale_factor=2.0, mode="nearest") + skips.pop()
            x = self.decode[level](x)
        return F.pixel_shuffle(self.head(x), self.factor)
