"""The network of the parts: soft mattes of what a head is made of and of what lies over the face.

A U-Net (Ronneberger et al. 2015) of ResNet's bottleneck blocks (He et al. 2016), all plain convolutions. It sees the
picture through a pixel unshuffle of 2 and answers through a pixel shuffle, so the finest level costs a quarter.
In training every convolution has batch normalisation behind it; ``folded`` takes it into the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganchain.errors import WeightsError
from ganchain.faces.parts import BASE, PARTS

UNSHUFFLE = 2


class Layer(nn.Module):
    """Convolution, normalisation while training, ReLU where asked. (N, inputs, H, W) -> (N, outputs, H', W')."""

    def __init__(
        self, inputs: int, outputs: int, side: int, stride: int = 1, active: bool = True, normed: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, side, stride, padding=(side - 1) // 2, bias=not normed)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.02) if normed else None
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        return F.relu(x) if self.active else x


class Bottleneck(nn.Module):
    """1 x 1 down to half the width, 3 x 3, 1 x 1 up, added to the input. (N, C, H, W) -> the same."""

    def __init__(self, width: int, normed: bool) -> None:
        super().__init__()
        self.reduce = Layer(width, width // 2, 1, normed=normed)
        self.spatial = Layer(width // 2, width // 2, 3, normed=normed)
        self.expand = Layer(width // 2, width, 1, active=False, normed=normed)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.expand(self.spatial(self.reduce(x))))


class PartsNet(nn.Module):
    """Network from a head to the logits of its parts.

    Args:
        widths: channels of each level, finest first; level k works at 1/2**(k+1) of the side.
        down, up: bottleneck blocks of each level on the way down and (all but the last level) up.
        normed: with batch normalisation, for training.

    Shapes: (N, 3, H, W) -1..1 -> (N, 6, H, W) logits in the order of ``PARTS``; H and W divisible by 32.
    """

    accelerable = ("forward",)

    def __init__(
        self,
        widths: Sequence[int] = (16, 32, 64, 128, 160),
        down: Sequence[int] = (1, 2, 3, 3, 4),
        up: Sequence[int] = (2, 1, 1, 1),
        normed: bool = False,
    ) -> None:
        super().__init__()
        self.stem = Layer(3 * UNSHUFFLE**2, widths[0], 3, normed=normed)
        self.down = nn.ModuleList(Layer(a, b, 2, 2, normed=normed) for a, b in pairwise(widths))
        self.encode = nn.ModuleList(
            nn.Sequential(*(Bottleneck(width, normed) for _ in range(depth)))
            for width, depth in zip(widths, down, strict=True)
        )
        self.up = nn.ModuleList(Layer(b, a, 1, active=False, normed=normed) for a, b in pairwise(widths))
        self.decode = nn.ModuleList(
            nn.Sequential(*(Bottleneck(width, normed) for _ in range(depth)))
            for width, depth in zip(widths[:-1], up, strict=True)
        )
        self.head = nn.Conv2d(widths[0], len(PARTS) * UNSHUFFLE**2, 3, padding=1)
        with torch.no_grad():  # what lies over faces is rare
            self.head.bias[len(BASE) * UNSHUFFLE**2 :] = -3.0  # type: ignore[index]

    @classmethod
    def recognise(cls, flat: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Return ``flat`` if it is this network's own state dict, else None."""
        wanted = {"stem.conv.weight", "encode.0.0.reduce.conv.weight", "decode.0.0.expand.conv.weight", "head.weight"}
        return dict(flat) if wanted <= set(flat) else None

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> PartsNet:
        """Build the network whose state dict ``tensors`` is; its sizes are read from the shapes."""
        planes = tensors["head.bias"].numel() // UNSHUFFLE**2
        if planes != len(PARTS):
            raise WeightsError(f"these weights give {planes} parts where {len(PARTS)} are needed: {', '.join(PARTS)}")
        levels = 1 + len({key.split(".")[1] for key in tensors if key.startswith("down.")})

        def blocks(group: str, level: int) -> int:
            return len({key.split(".")[2] for key in tensors if key.startswith(f"{group}.{level}.")})

        net = cls(
            [tensors[f"encode.{k}.0.expand.conv.weight"].shape[0] for k in range(levels)],
            [blocks("encode", k) for k in range(levels)],
            [blocks("decode", k) for k in range(levels - 1)],
            normed="stem.norm.weight" in tensors,
        )
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
            x = self.decode[level](F.relu(x))
        return F.pixel_shuffle(self.head(x), UNSHUFFLE)


def folded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of the same network without normalisation: each is taken into the convolution before it."""
    plain: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        name, _, leaf = key.rpartition(".")
        if name.endswith(".norm"):
            continue
        norm = name.removesuffix("conv") + "norm"
        if not name.endswith(".conv") or f"{norm}.weight" not in tensors:
            plain[key] = tensor
            continue
        scale = tensors[f"{norm}.weight"] * torch.rsqrt(tensors[f"{norm}.running_var"] + 1e-3)
        plain[key] = tensor * scale[:, None, None, None]
        plain[f"{name}.bias"] = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale
        assert leaf == "weight"
    return plain


def shares(logits: Tensor) -> Tensor:
    """Turn logits into mattes: (N, 6, H, W) 0..1, the four of ``BASE`` adding up to 1."""
    base = torch.softmax(logits[:, : len(BASE)], dim=1)
    return torch.cat([base, torch.sigmoid(logits[:, len(BASE) :])], dim=1)
