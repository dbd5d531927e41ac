"""Generator of StyleGAN2 (Karras et al. 2020) in the layout of rosinality/stylegan2-pytorch.

The file of naver-webtoon-faces holds it at a side of 256; it draws the style pictures of the swapping autoencoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganchain.nets.modulated import EqualLinear, ModulatedConv2d, StyledConv, binomial

PREFIXES = ("g_ema.", "g.", "")  # the averaged generator is the one to draw with
SIGNATURE_KEYS = {"style.1.weight", "input.input", "conv1.conv.weight", "convs.0.conv.weight", "to_rgb1.conv.weight"}
MODULES = {"style", "input", "conv1", "to_rgb1", "convs", "to_rgbs", "noises"}


class PixelNorm(nn.Module):
    """Normalisation of each latent to unit mean square. (N, D) -> the same."""

    def forward(self, z: Tensor) -> Tensor:
        return z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)


class Upsample(nn.Module):
    """Enlargement to twice the side, low-passed. (N, C, H, W) -> (N, C, 2 H, 2 W)."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", binomial(4.0))

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        kernel = self.kernel.expand(channels, 1, -1, -1)
        return F.conv_transpose2d(x, kernel, stride=2, padding=1, groups=channels)


class ToRGB(nn.Module):
    """Layer that adds the features of one level to the picture so far (None at the start), enlarged."""

    def __init__(self, inputs: int, style: int, up: bool = True) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.upsample = Upsample() if up else None
        self.conv = ModulatedConv2d(inputs, 3, 1, style, demodulate=False)

    def forward(self, x: Tensor, style: Tensor, picture: Tensor | None = None) -> Tensor:
        x = self.conv(x, style) + self.bias
        return x if self.upsample is None or picture is None else x + self.upsample(picture)


class StyleGAN2(nn.Module):
    """Generator that turns latents into pictures; pictures are nominally in -1..1, not clamped.

    ``style`` maps z (N, latent), standard normal, to w (N, latent).

    Args:
        latent: numbers of a latent.
        channels: channels of each level, coarsest (side ``start``) first; each level doubles the side.
        depth: layers of the mapping network.
        start: side of the learned constant.
    """

    def __init__(
        self,
        latent: int = 512,
        channels: Sequence[int] = (512, 512, 512, 512, 512, 256, 128),
        depth: int = 8,
        start: int = 4,
    ) -> None:
        super().__init__()
        self.latent, self.layers, self.side = latent, 2 * len(channels), start * 2 ** (len(channels) - 1)
        mapping = (EqualLinear(latent, latent, rate=0.01, activate=True) for _ in range(depth))
        self.style = nn.Sequential(PixelNorm(), *mapping)
        self.input = nn.ParameterDict({"input": torch.zeros(1, channels[0], start, start)})
        self.conv1 = StyledConv(channels[0], channels[0], latent)
        self.to_rgb1 = ToRGB(channels[0], latent, up=False)
        self.convs = nn.ModuleList()
        for coarse, fine in pairwise(channels):
            self.convs += [StyledConv(coarse, fine, latent, up=True), StyledConv(fine, fine, latent)]
        self.to_rgbs = nn.ModuleList(ToRGB(width, latent) for width in channels[1:])
        self.noises = nn.Module()
        generator = torch.Generator().manual_seed(0)
        for layer in range(self.layers - 1):
            side = start * 2 ** ((layer + 1) // 2)
            self.noises.register_buffer(f"noise_{layer}", torch.randn(1, 1, side, side, generator=generator))

    @classmethod
    def recognise(cls, flat: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Return this network's tensors from ``flat``, else None.

        ``flat`` is a bare state dict or a training checkpoint (``g_ema`` is taken before ``g``).
        """
        names = {key.removeprefix("module."): tensor for key, tensor in flat.items()}
        for prefix in PREFIXES:
            tensors = {
                key.removeprefix(prefix).removeprefix("module."): tensor
                for key, tensor in names.items()
                if key.startswith(prefix)
            }
            if tensors.keys() >= SIGNATURE_KEYS:
                return {key: tensor.float() for key, tensor in tensors.items() if key.split(".")[0] in MODULES}
        return None

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build the network from its state dict ``tensors``; sizes are read from the shapes.

        Filters and noise maps may be missing: the filters are constants, the maps become seeded normal noise.
        """
        constant = tensors["input.input"]
        ups = sum(key.startswith("to_rgbs.") and key.endswith(".conv.weight") for key in tensors)
        finer = [tensors[f"convs.{2 * level}.conv.weight"].shape[1] for level in range(ups)]
        depth = sum(key.startswith("style.") and key.endswith(".weight") for key in tensors)
        latent = tensors["style.1.weight"].shape[1]
        net = cls(latent, [constant.shape[1], *finer], depth, constant.shape[-1])
        net.load_state_dict(dict(net.named_buffers()) | dict(tensors))
        return net

    def mean_style(self, generator: torch.Generator, count: int = 4096) -> Tensor:
        """Average the styles of ``count`` random latents -> (1, latent)."""
        z = torch.randn(count, self.latent, generator=generator, device=generator.device)
        return self.style(z.to(self.input["input"].device)).mean(0, keepdim=True)

    @staticmethod
    def truncated(w: Tensor, mean: Tensor, truncation: float) -> Tensor:
        """Move styles towards the mean: 1 leaves them, 0 makes all of them the mean."""
        return mean + truncation * (w - mean)

    def forward(self, styles: Tensor, noises: Sequence[Tensor] | None = None) -> Tensor:
        """Draw pictures: styles (N, latent), or one a layer (N, layers, latent) -> (N, 3, side, side).

        ``noises``: one map (1 or N, 1, h, w) for each of the layers - 1 convolutions; None means the file's own.
        """
        if styles.ndim == 2:
            styles = styles[:, None].expand(-1, self.layers, -1)
        layers = styles.unbind(1)
        maps = list(self.noises.buffers()) if noises is None else noises
        x = self.conv1(self.input["input"].expand(len(styles), -1, -1, -1), layers[0], maps[0])
        picture = self.to_rgb1(x, layers[1])
        for level, to_rgb in enumerate(self.to_rgbs):
            for layer in (2 * level, 2 * level + 1):
                x = self.convs[layer](x, layers[layer + 1], maps[layer + 1])
            picture = to_rgb(x, layers[2 * level + 3], picture)
        return picture
