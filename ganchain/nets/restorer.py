"""Restorer: a U-Net of plain convolutions that takes noise, blur and compression out of a picture, and enlarges it.

The ideas are those of Real-ESRGAN's compact network (Wang et al. 2021: one network for all kinds of spoilt pictures)
and GFPGAN (Wang et al. 2021: faces get a network of their own, which sees them aligned), at a hundredth of the cost:
the convolutions work on folded pixels, at a half to a sixteenth of the resolution (U-Net, Ronneberger et al. 2015).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from math import ceil
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganchain.nets.upscaler import add_shuffled
from ganchain.tensors import Pixels, bicubic, to_faces, to_pixels

FOLD = 2
WINDOW = 256  # px of the windows in which a picture is judged
WINDOWS = 3  # of them along an axis, at most
SURE = 5.0  # odds of one window for which others that overlap it never came to another answer


class Restorer(nn.Module):
    """Network that restores: (N, 3, H, W) -1..1 -> (N, 3, H * factor, W * factor), not clamped.

    Args:
        widths: channels at a half of the resolution, a quarter, and so on; the last level is the bottom.
        depths: convolutions on the way down and on the way up, for each level; at the bottom only the first counts.
        factors: the enlargements it has heads for; 1 keeps the size.
        place: side of the bottom in px, for pictures that are always aligned in the same way: the bottom then learns
            what stands where. 0 for any picture.
    """

    accelerable = ("features", "detail")

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 128),
        depths: Sequence[int] = (4, 3, 3),
        factors: Sequence[int] = (1, 2, 4),
        place: int = 0,
    ) -> None:
        super().__init__()
        self.levels = len(widths)
        first = widths[0]
        self.stem = block(3 * FOLD**2, first)
        self.downs = nn.ModuleList(block(a, b, stride=2) for a, b in pairwise(widths))
        self.before = nn.ModuleList(blocks(w, d) for w, d in zip(widths, depths, strict=True))
        self.ups = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in pairwise(widths))
        self.after = nn.ModuleList(blocks(w, d) for w, d in zip(widths[:-1], depths[:-1], strict=True))
        self.heads = nn.ModuleDict({str(f): nn.Conv2d(first, 3 * (f * FOLD) ** 2, 3, padding=1) for f in factors})
        self.gauge = nn.Linear(2 * widths[-1], 1)
        if place:
            self.place = nn.Parameter(torch.zeros(1, widths[-1], place, place))
        for parameter in self.heads.parameters():  # starts as bicubic interpolation
            nn.init.zeros_(parameter)

    @classmethod
    def recognise(cls, flat: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Return ``flat`` if it is the state dict of a restorer, else None."""
        return dict(flat) if {"stem.0.weight", "gauge.weight", "ups.0.weight"} <= set(flat) else None

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Restorer:
        """Build the network from its state dict ``tensors``; sizes are read from the shapes."""
        levels = 1 + len({key.split(".")[1] for key in tensors if key.startswith("ups.")})
        widths = [tensors["stem.0.bias"].numel(), *(tensors[f"downs.{i}.0.bias"].numel() for i in range(levels - 1))]
        depths = [
            len([k for k in tensors if k.startswith(f"before.{i}.") and k.endswith(".bias")]) for i in range(levels)
        ]
        factors = sorted({int(key.split(".")[1]) for key in tensors if key.startswith("heads.")})
        net = cls(widths, depths, factors, tensors["place"].shape[-1] if "place" in tensors else 0)
        net.load_state_dict(dict(tensors))
        return net

    @property
    def factors(self) -> list[int]:
        return [int(factor) for factor in self.heads]

    def forward(self, x: Tensor, factor: int = 1) -> Tensor:
        picture = x.clone() if factor == 1 else bicubic(x, factor)
        return add_shuffled(picture, self.detail(x, factor), factor * FOLD)

    def detail(self, x: Tensor, factor: int = 1) -> Tensor:
        """Compute what to add to bicubic interpolation, before the pixel shuffle.

        (N, 3, H, W) -> (N, 12 * factor**2, H / 2, W / 2), the sides rounded up to multiples of the bottom's.
        """
        *skips, x = self.features(x)
        for up, after, skip in zip(reversed(self.ups), reversed(self.after), reversed(skips), strict=True):
            x = after(skip + F.pixel_shuffle(up(x), 2))
        detail: Tensor = self.heads[str(factor)](x)
        return detail

    def features(self, x: Tensor) -> list[Tensor]:
        """Compute the features of each level on the way down, the bottom's last."""
        side = FOLD * 2 ** (self.levels - 1)
        down, right = -x.shape[2] % side, -x.shape[3] % side
        if down or right:
            x = F.pad(x, (0, right, 0, down), mode="replicate")
        x = self.stem(folded(x, FOLD))
        levels = []
        for level, before in enumerate(self.before):
            if level:
                x = self.downs[level - 1](x)
            if level == self.levels - 1 and hasattr(self, "place"):
                x = x + self.place
            x = before(x)
            levels.append(x)
        return levels

    def measure(self, x: Tensor) -> Tensor:
        """Judge whether pictures are spoilt: (N, 3, H, W) -> (N,), the log of the odds that they are."""
        bottom = self.features(x)[-1].flatten(2)
        odds: Tensor = self.gauge(torch.cat([bottom.mean(dim=2), bottom.std(dim=2)], dim=1))
        return odds[:, 0]


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Build a 3 x 3 convolution with its PReLU; it begins near the identity where the widths are equal."""
    conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
    assert conv.bias is not None
    nn.init.kaiming_normal_(conv.weight, a=0.25)
    nn.init.zeros_(conv.bias)
    return nn.Sequential(conv, nn.PReLU(outputs))


class Residual(nn.Sequential):
    """Convolutions added to their input. (N, C, H, W) -> the same."""

    def forward(self, input: Tensor) -> Tensor:
        answer = input
        for layer in self:
            answer = layer(answer)
        return input + answer


def blocks(width: int, depth: int) -> nn.Sequential:
    """Build ``depth`` convolutions of ``width`` channels."""
    return Residual(*(layer for _ in range(depth) for layer in block(width, width))) if depth else nn.Sequential()


def folded(x: Tensor, side: int) -> Tensor:
    """Fold squares of ``side`` px into channels, after filling up the last ones from the border's pixels.

    (N, C, H, W) -> (N, C * side**2, H / side, W / side), the sides rounded up.
    """
    down, right = -x.shape[2] % side, -x.shape[3] % side
    return F.pixel_unshuffle(F.pad(x, (0, right, 0, down), mode="replicate") if down or right else x, side)


def share_needed(net: Restorer, pixels: Pixels, quality: int | None = None) -> float:
    """Judge how much a picture needs to be restored: 0 for a clean one, 1 for one that is surely spoilt.

    Args:
        pixels: (H, W, 3) uint8. The network sees windows, evenly spread; their middle answer counts, the lower of two.
        quality: of the JPEG file that it was read from, 1..100: below 75 it alone asks for some repair, at 50 for all.
    """
    saved = 0.0 if quality is None else (75 - quality) / 25
    return min(1.0, max(0.0, saved, 0.5 + _odds(net, pixels) / 2))


def _odds(net: Restorer, pixels: Pixels) -> float:
    """Measure windows of a picture until the rest cannot change the share, or, where they overlap, one is sure."""
    device = net.gauge.weight.device
    rows, columns = (spread(side) for side in pixels.shape[:2])
    overlap, half = max(pixels.shape[:2]) < 2 * WINDOW, (len(rows) * len(columns) + 1) // 2
    odds: list[float] = []
    for y, x in product(rows, columns):
        odds.append(float(net.measure(to_faces(pixels[y : y + WINDOW, x : x + WINDOW]).to(device))))
        clean, spoilt = sum(value <= -1 for value in odds), sum(value >= 1 for value in odds)
        if clean >= half or spoilt > len(rows) * len(columns) - half or (overlap and abs(odds[0]) > SURE):
            return odds[-1]
    return sorted(odds)[half - 1]


def shares(net: Restorer, pictures: Tensor, amount: float | Literal["auto"]) -> Tensor:
    """Return how much each picture (N, 3, H, W) -1..1 is restored: (N,), ``amount`` or, for "auto", as it needs."""
    if amount != "auto":
        return pictures.new_full((len(pictures),), amount)
    return pictures.new_tensor([share_needed(net, picture) for picture in to_pixels(pictures)])


def spread(length: int) -> list[int]:
    """Return where windows of ``WINDOW`` px begin on an axis, at most ``WINDOWS`` of them."""
    room = max(0, length - WINDOW)
    count = min(WINDOWS, 1 + ceil(room / WINDOW))
    return [round(room * i / max(1, count - 1)) for i in range(count)]
