"""Dyes of hair: colours by lightness, as hair of that colour has them in its shadows and lights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Dye:
    """A hair colour in L*a*b*.

    Attributes:
        lightness: mean L of the dyed hair (0..100).
        contrast: lowest and highest standard deviation of L.
        ramp: (L, a, b) points of rising L; the chroma at a lightness is interpolated between them.
        natural: whether it is a colour that hair has by nature, which is as rich as the photo's skin.
    """

    lightness: float
    contrast: tuple[float, float]
    ramp: tuple[tuple[float, float, float], ...]
    natural: bool = True

    @classmethod
    def of(cls, colour: tuple[float, float, float]) -> Dye:
        """Make the dye of any colour: full chroma at its own lightness, less in shadows and highlights."""
        light, a, b = colour
        middle = min(max(light, 8.0), 92.0)
        low = 4 + 9 * min(middle, 120 - middle, 60) / 60  # little at either end
        points = ((0.0, 0.0), (0.4 * middle, 0.7), (middle, 1.0), (0.5 * (middle + 100), 0.65), (100.0, 0.2))
        return cls(middle, (low, 1.4 * low), tuple((at, share * a, share * b) for at, share in points), natural=False)


BLACK = Dye(13, (4, 12), ((0, 0, 0), (15, 1, 1), (40, 0, -1), (70, 0, -1)))
BROWN = Dye(28, (7, 12), ((0, 0, 0), (14, 4.5, 6), (30, 7, 12), (50, 8, 17), (80, 4, 15)))
BLOND = Dye(63, (13, 18), ((0, 0, 0), (20, 6, 9), (40, 6.5, 18), (62, 4, 22), (80, 1.5, 19), (100, 0, 7)))
GREY = Dye(62, (10, 16), ((0, 0, 0), (30, 0, 2), (60, 0, 3), (100, 0, 3)))  # the colour that all hair takes with age
DYES: Mapping[str, Dye] = {
    "black": BLACK,
    "brown": BROWN,
    "auburn": Dye(27, (7, 12), ((0, 0, 0), (12, 10, 7), (28, 22, 19), (50, 22, 27), (80, 8, 20))),
    "red": Dye(40, (10, 15), ((0, 0, 0), (16, 15, 13), (40, 29, 37), (60, 25, 42), (85, 8, 26))),
    "blond": BLOND,
    "platinum": Dye(80, (9, 13), ((0, 0, 0), (30, 4, 9), (60, 3, 14), (80, 1, 12), (100, 0, 4))),
    "grey": GREY,
    "white": Dye(86, (7, 11), ((0, 0, 0), (40, 0, 2), (80, 0, 3), (100, 0, 2))),
    "pink": Dye.of((68, 36, -2)),
    "blue": Dye.of((40, 6, -44)),
    "green": Dye.of((48, -32, 16)),
    "purple": Dye.of((36, 36, -36)),
}


def ramp(light: Tensor, colour: Dye) -> Tensor:
    """Look up the chroma of each lightness on the dye's ramp: (N, 1, H, W) -> a, b (N, 2, H, W)."""
    lights, chroma = zip(*((at, (a, b)) for at, a, b in colour.ramp), strict=True)
    mixed = [light.new_full(light.shape, value) for value in chroma[0]]
    for number in range(1, len(lights)):
        low, high = lights[number - 1 : number + 1]
        risen = (light - low).clamp_(0, high - low)
        for plane, start, end in zip(mixed, chroma[number - 1], chroma[number], strict=True):
            plane.add_(risen, alpha=(end - start) / (high - low))
    return torch.cat(mixed, dim=1)
