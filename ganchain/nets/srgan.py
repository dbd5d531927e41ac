"""SRResNet, the generator of SRGAN (Ledig et al. 2017, section 2.1), as published by mseitzer/srgan.

Unlike the paper's it pads by reflection (the residual blocks: with zeros), keeps wide feature maps between the
enlargements and has no final activation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PREFIXES = ("", "runner.generator.", "runner.model.")
SIGNATURE_KEYS = {"initial_conv.1.weight", "body.0.block.1.weight", "upsample.1.weight", "final_conv.1.weight"}
MODULES = {"initial_conv", "body", "upsample", "final_conv"}


class FrozenBatchNorm(nn.Module):
    """Batch normalisation by the stored statistics, in training mode too. (N, C, H, W) -> the same."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=1e-5)


def mirrored(inputs: int, outputs: int, kernel: int, bias: bool = True) -> list[nn.Module]:
    """Build a convolution that keeps the size and pads by reflection."""
    return [nn.ReflectionPad2d(kernel // 2), nn.Conv2d(inputs, outputs, kernel, bias=bias)]


class Residual(nn.Module):
    """Two normalised 3 x 3 convolutions around one PReLU, added to the input. (N, C, H, W) -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.ZeroPad2d(1),
            nn.Conv2d(width, width, 3, bias=False),
            FrozenBatchNorm(width),
            nn.PReLU(width),
            nn.ZeroPad2d(1),
            nn.Conv2d(width, width, 3, bias=False),
            FrozenBatchNorm(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


class SRResNet(nn.Module):
    """Network that enlarges: (N, 3, H, W) 0..1 -> (N, 3, H * scale, W * scale), nominally -1..1, not clamped.

    H and W are 5 or more.

    Args:
        width: channels at the input's resolution.
        blocks: residual blocks.
        wide: channels after each enlargement.
        stages: enlargements by 2.
    """

    accelerable = ("forward",)

    def __init__(self, width: int = 64, blocks: int = 16, wide: int = 256, stages: int = 2) -> None:
        super().__init__()
        self.scale = 2**stages
        self.initial_conv = nn.Sequential(*mirrored(3, width, 9), nn.PReLU(width))
        self.body = nn.Sequential(
            *(Residual(width) for _ in range(blocks)),
            *mirrored(width, width, 3, bias=False),
            FrozenBatchNorm(width),
        )
        upsample: list[nn.Module] = []
        for stage in range(stages):
            upsample += mirrored(wide if stage else width, wide * 4, 3)
            upsample += [nn.PixelShuffle(2), nn.PReLU(wide)]
        self.upsample = nn.Sequential(*upsample)
        self.final_conv = nn.Sequential(*mirrored(wide, 3, 9))

    @classmethod
    def recognise(cls, flat: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Return this network's tensors from ``flat``, else None.

        ``flat`` is a bare state dict, or holds the ``generator`` or ``model`` of a ``runner``.
        """
        names = {key.removeprefix("module."): tensor for key, tensor in flat.items()}
        for prefix in PREFIXES:
            tensors = {
                key.removeprefix(prefix).removeprefix("module."): tensor
                for key, tensor in names.items()
                if key.startswith(prefix) and not key.endswith("num_batches_tracked")
            }
            if tensors.keys() >= SIGNATURE_KEYS:
                return {key: tensor.float() for key, tensor in tensors.items() if key.split(".")[0] in MODULES}
        return None

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build the network from its state dict ``tensors``; sizes are read from the shapes."""
        wide, width = tensors["final_conv.1.weight"].shape[1], tensors["initial_conv.1.bias"].numel()
        blocks = len({key.split(".")[1] for key in tensors if key.startswith("body.") and ".block." in key})
        stages = len([key for key in tensors if key.startswith("upsample.") and key.endswith(".bias")])
        net = cls(width, blocks, wide, stages)
        net.load_state_dict(dict(tensors))
        return net

    def forward(self, x: Tensor) -> Tensor:
        x = self.initial_conv(x)
        return self._last(self.upsample(x + self.body(x)))

    def _last(self, x: Tensor) -> Tensor:
        """Run ``final_conv`` for 2 x 2 pixels at once: twelve output channels keep a CPU busier than three."""
        if self.scale % 2:
            return self.final_conv(x)
        padding, conv = self.final_conv
        assert isinstance(conv, nn.Conv2d) and conv.bias is not None
        kernels = [F.pad(conv.weight, (right, 1 - right, down, 1 - down)) for down in (0, 1) for right in (0, 1)]
        weight = torch.stack(kernels, dim=1).flatten(0, 1)
        return F.pixel_shuffle(F.conv2d(padding(x), weight, conv.bias.repeat_interleave(4), stride=2), 2)
