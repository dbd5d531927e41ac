"""Lips as women and men have them: how much redder and darker than the cheeks, by the lightness of these.

Medians of the training faces of adults: the mean over the lips less that over the cheeks.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

MIDDLE, WIDE = 60.0, 15.0  # L of the cheeks that ``Usual.mean`` holds for, and the difference that ``slope`` holds for
SPREAD = 5.0  # L, b by which lips of men differ from the usual
REST = 0.25  # share of what lies beyond the usual that stays


class Usual(NamedTuple):
    """Difference of lips from the cheeks, L*a*b*.

    Attributes:
        mean: beside cheeks of middle lightness.
        slope: what is added for each ``WIDE`` of L above it.
    """

    mean: tuple[float, float, float]
    slope: tuple[float, float, float]

    def missing(self, lips: Tensor, cheeks: Tensor) -> Tensor:
        """Compute what lips (N, 3, 1, 1) would have to change: (N, 3, 1, 1)."""
        mean, slope = (lips.new_tensor(values)[:, None, None] for values in self)
        return mean + slope * (cheeks[:, :1] - MIDDLE) / WIDE - (lips - cheeks)


MALE = Usual((-12.8, 3.2, -3.9), (-1.1, 3.4, 1.7))
FEMALE = Usual((-17.5, 8.8, -3.9), (-2.4, 4.2, 1.7))  # half a standard deviation beyond their mean: painted ones


def lips_change(lips: Tensor, cheeks: Tensor, gender: Tensor) -> Tensor:
    """Compute the change of lips towards what is usual; those of that kind, or plainer for a man, stay as they are.

    Args:
        lips, cheeks: (N, 3, 1, 1) mean L*a*b*.
        gender: (N, 1, 1, 1), from -1, female, to 1, male.

    Returns:
        (N, 3, 1, 1).
    """
    light, red, yellow = MALE.missing(lips, cheeks).split(1, dim=1)
    male = torch.cat([_beyond(light).clamp(min=0), red.clamp(max=0), _beyond(yellow)], dim=1)
    light, red, yellow = FEMALE.missing(lips, cheeks).split(1, dim=1)
    female = torch.cat([light.clamp(max=0), red.clamp(min=0), 0 * yellow], dim=1)
    return (1 - REST) * (gender.clamp(min=0) * male + (-gender).clamp(min=0) * female)


def _beyond(missing: Tensor) -> Tensor:
    """Take what is usual among men off a difference."""
    return missing - missing.clamp(-SPREAD, SPREAD)
