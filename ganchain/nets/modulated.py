"""Layers of StyleGAN2 (Karras et al. 2020), shared by its generator and the swapping autoencoder.

The learning rate is equalised: files hold weights of unit variance, which every layer multiplies by 1 / sqrt(fan-in)
(Karras et al. 2018, section 4.1). Parameters start at zero, because these networks are built from files.
"""

from __future__ import annotations

from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def binomial(gain: float) -> Tensor:
    """Build the (4, 4) low-pass filter [1, 3, 3, 1]; ``gain`` is its sum, 4 after zeros were put between the pixels."""
    row = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return torch.outer(row, row) * (gain / 64)


def leaky(x: Tensor) -> Tensor:
    """Apply a leaky ReLU that keeps the variance."""
    return F.leaky_relu(x, 0.2) * sqrt(2)


class FusedLeakyReLU(nn.Module):
    """Bias and leaky ReLU. (N, C, H, W) -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return leaky(x + self.bias[:, None, None])


class Blur(nn.Module):
    """4 x 4 low-pass filter on each channel, zeros beyond the border. (N, C, H, W) -> (N, C, H + 2 pad - 3, ...)."""

    kernel: Tensor

    def __init__(self, pad: int, gain: float = 1.0) -> None:
        super().__init__()
        self.pad = pad
        self.register_buffer("kernel", binomial(gain))

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        return F.conv2d(x, self.kernel.flip(0, 1).expand(channels, 1, -1, -1), padding=self.pad, groups=channels)


class EqualLinear(nn.Module):
    """Equalised fully connected layer. (N, inputs) -> (N, outputs).

    Args:
        rate: multiplier of the learning rate, by which weights and biases are scaled.
        activate: add a leaky ReLU.
    """

    def __init__(self, inputs: int, outputs: int, rate: float = 1.0, activate: bool = False) -> None:
        super().__init__()
        self.rate, self.activate = rate, activate
        self.weight = nn.Parameter(torch.zeros(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        x = F.linear(x, self.weight * (self.rate / sqrt(x.shape[1])), self.bias * self.rate)
        return leaky(x) if self.activate else x


class ModulatedConv2d(nn.Module):
    """Convolution whose input channels are scaled by a style (section 2.2).

    x (N, C, H, W), style (N, D) -> (N, outputs, H, W), with ``up`` twice the side. The paper scales the weights.
    Scaling the input and dividing the output by the norms is the same and needs no weights of its own for each sample.

    Args:
        up: double the side.
        demodulate: keep the expected variance of the output at one, whatever the style.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, style: int, up: bool = False, demodulate: bool = True
    ) -> None:
        super().__init__()
        self.demodulate = demodulate
        self.weight = nn.Parameter(torch.zeros(1, outputs, inputs, kernel, kernel))
        self.modulation = EqualLinear(style, inputs)
        self.blur = Blur(pad=1, gain=4.0) if up else None

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        weight = self.weight[0] / sqrt(self.weight[0, 0].numel())
        scales: Tensor = self.modulation(style)
        x = x * scales[:, :, None, None]
        if self.blur is None:
            x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
        else:
            x = self.blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
        if self.demodulate:
            energy = F.linear(scales.square(), weight.square().sum((2, 3)))
            x = x * torch.rsqrt(energy + 1e-8)[:, :, None, None]
        return x


class Noise(nn.Module):
    """Noise map added to all channels with one learned strength. x (N, C, H, W), noise (1 or N, 1, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return x + self.weight * noise


class StyledConv(nn.Module):
    """Modulated 3 x 3 convolution, noise (None: no noise), bias and leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, style: int, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(inputs, outputs, 3, style, up)
        self.noise = Noise()
        self.activate = FusedLeakyReLU(outputs)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None = None) -> Tensor:
        x = self.conv(x, style)
        return self.activate(x if noise is None else self.noise(x, noise))
