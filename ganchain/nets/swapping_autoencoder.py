"""Swapping autoencoder (Park et al. 2020) in the layout of rosinality/swapping-autoencoder-pytorch.

naver-webtoon-faces trained it on photos and webtoon faces, so a drawing's texture redraws a photo's structure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import sqrt
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganchain.nets.modulated import Blur, FusedLeakyReLU, StyledConv

PREFIXES = (("e_ema.", "g_ema."), ("e.", "g."), ("encoder.", "generator."))
SIGNATURE_KEYS = {"encoder.stem.0.0.weight", "encoder.texture.3.0.weight", "generator.layers.0.conv1.conv.weight"}


class EqualConv2d(nn.Module):
    """Equalised convolution without padding; only the last layer has a ``bias``, others have it in their activation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, bias: bool = False) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight / sqrt(self.weight[0].numel()), self.bias, self.stride)


class EqualConvTranspose2d(nn.Module):
    """Equalised 1 x 1 convolution with zeros between the pixels. (N, C, H, W) -> (N, outputs, 2 H - 1, 2 W - 1)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(inputs, outputs, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.weight / sqrt(len(self.weight)), stride=2)


def convolution(inputs: int, outputs: int, kernel: int, down: bool = False) -> nn.Sequential:
    """Build an activated convolution: padded by reflection, or with ``down`` low-passed and halved."""
    before = [] if kernel == 1 else [Blur(pad=2) if down else nn.ReflectionPad2d(kernel // 2)]
    conv = EqualConv2d(inputs, outputs, kernel, stride=2 if down else 1)
    return nn.Sequential(*before, conv, FusedLeakyReLU(outputs))


class EncoderBlock(nn.Module):
    """Residual block that halves the side. (N, inputs, H, W) -> (N, outputs, H / 2, W / 2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, outputs, 3)
        self.conv2 = convolution(outputs, outputs, 3, down=True)
        self.skip = nn.Sequential(Blur(pad=1), EqualConv2d(inputs, outputs, 1, stride=2))

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv2(self.conv1(x)) + self.skip(x)) / sqrt(2)


class Encoder(nn.Module):
    """Encoder of a picture (N, 3, S, S) -1..1 -> structure (N, structure, s, s) and texture (N, textures[-1]).

    ``widths`` are the stem's channels; each after the first halves the side, so s = S / 16 for five.
    """

    accelerable = ("forward",)

    def __init__(self, widths: Sequence[int], structure: int, textures: Sequence[int]) -> None:
        super().__init__()
        deep = widths[-1]
        self.stem = nn.Sequential(convolution(3, widths[0], 1), *(EncoderBlock(a, b) for a, b in pairwise(widths)))
        self.structure = nn.Sequential(convolution(deep, deep, 1), convolution(deep, structure, 1))
        self.texture = nn.Sequential(
            *(convolution(a, b, 3, down=True) for a, b in pairwise((deep, *textures[:-1]))),
            nn.AdaptiveAvgPool2d(1),
            convolution(textures[-2], textures[-1], 1),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x)
        return self.structure(x), self.texture(x).flatten(1)


class GeneratorBlock(nn.Module):
    """Residual block of two styled convolutions that share a noise map; ``up`` doubles the side."""

    def __init__(self, inputs: int, outputs: int, style: int, up: bool) -> None:
        super().__init__()
        self.conv1 = StyledConv(inputs, outputs, style, up)
        self.conv2 = StyledConv(outputs, outputs, style)
        self.skip = nn.Sequential()  # the identity
        if up:
            self.skip.extend([EqualConvTranspose2d(inputs, outputs), Blur(pad=2)])
        elif inputs != outputs:
            self.skip.append(EqualConv2d(inputs, outputs, 1))

    def forward(self, x: Tensor, texture: Tensor, noise: Tensor | None) -> Tensor:
        return (self.conv2(self.conv1(x, texture, noise), texture, noise) + self.skip(x)) / sqrt(2)


class Generator(nn.Module):
    """Generator of a picture from structure (N, widths[0], H, W) and a texture (1 or N, style) for each block.

    The picture is not clamped.
    """

    accelerable = ("forward",)

    def __init__(self, widths: Sequence[int], style: int, ups: Sequence[bool]) -> None:
        super().__init__()
        sizes = zip(pairwise(widths), ups, strict=True)
        self.layers = nn.ModuleList(GeneratorBlock(a, b, style, up) for (a, b), up in sizes)
        self.to_rgb = nn.Sequential(EqualConv2d(widths[-1], 3, 1, bias=True))

    def forward(self, x: Tensor, textures: Sequence[Tensor], noises: Sequence[Tensor | None]) -> Tensor:
        for layer, texture, noise in zip(self.layers, textures, noises, strict=True):
            x = layer(x, texture, noise)
        return self.to_rgb(x)


class SwappingAutoEncoder(nn.Module):
    """Autoencoder that splits pictures (-1..1) into structure and texture and joins them anew (nominally -1..1)."""

    def __init__(self, encoder: Encoder, generator: Generator) -> None:
        super().__init__()
        self.encoder, self.generator = encoder, generator
        self.blocks = len(generator.layers)

    @classmethod
    def recognise(cls, flat: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Return this network's tensors from ``flat``, else None.

        ``flat`` is a training checkpoint (the averages ``e_ema`` and ``g_ema`` are taken first) or our own state dict.
        """
        names = {key.removeprefix("module."): tensor for key, tensor in flat.items()}
        for prefixes in PREFIXES:
            tensors = {
                part + key.removeprefix(prefix).removeprefix("module."): tensor
                for prefix, part in zip(prefixes, ("encoder.", "generator."), strict=True)
                for key, tensor in names.items()
                if key.startswith(prefix)
            }
            if tensors.keys() >= SIGNATURE_KEYS:
                return {key: tensor.float() for key, tensor in tensors.items()}
        return None

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build the network from its state dict ``tensors``; sizes are read from the shapes."""
        steps = sum(key.startswith("encoder.stem.") and key.endswith(".skip.1.weight") for key in tensors)
        stem = ["0.0", *(f"{step}.skip.1" for step in range(1, steps + 1))]
        widths = [tensors[f"encoder.stem.{layer}.weight"].shape[0] for layer in stem]
        structure = tensors["encoder.structure.1.0.weight"].shape[0]
        textures = [tensors[f"encoder.texture.{layer}.weight"].shape[0] for layer in ("0.1", "1.1", "3.0")]
        blocks = range(sum(key.endswith(".conv2.conv.weight") for key in tensors))
        decoder_widths = [tensors[f"generator.layers.{block}.conv2.activate.bias"].numel() for block in blocks]
        ups = [f"generator.layers.{block}.conv1.conv.blur.kernel" in tensors for block in blocks]
        net = cls(Encoder(widths, structure, textures), Generator([structure, *decoder_widths], textures[-1], ups))
        net.load_state_dict(dict(tensors))
        return net

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Split pictures (N, 3, 256, 256) into structure (N, 8, 16, 16) and texture (N, 2048)."""
        return self.encoder(x)

    def decode(self, structure: Tensor, textures: Sequence[Tensor], noises: Sequence[Tensor] | None = None) -> Tensor:
        """Join structure, a texture and a noise map (default: zeros) for each block -> (N, 3, 256, 256)."""
        return self.generator(structure, textures, [None] * self.blocks if noises is None else noises)

    def swap(self, photo: Tensor, style: Tensor, keep: int) -> Tensor:
        """Redraw the photo (N, 3, 256, 256) with the texture of ``style`` (1 or N).

        The first ``keep`` blocks of the generator take the photo's own texture.
        """
        (structure, photo_texture), (_, style_texture) = self.encode(photo), self.encode(style)
        return self.decode(structure, [photo_texture] * keep + [style_texture] * (self.blocks - keep))
