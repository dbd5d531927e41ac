"""Lips and lids without makeup: how those of men differ from the cheeks, by the lightness of these.

Measured on the training faces of adults, as the mean over the region less that over the cheeks.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

MIDDLE, WIDE = 60.0, 15.0  # L of the cheeks that ``Usual.mean`` holds for, and the difference that ``slope`` holds for
SPREAD = 5.0  # L, a, b by which men differ from what is usual
REST = 0.15  # share that stays of what is beyond the usual


class Usual(NamedTuple):
    """Difference from the cheeks, L*a*b*.

    Attributes:
        mean: beside cheeks of middle lightness.
        slope: what is added for each ``WIDE`` of L above it.
    """

    mean: tuple[float, float, float]
    slope: tuple[float, float, float]

    def beside(self, cheeks: Tensor) -> Tensor:
        """Compute the usual colour beside cheeks: (N, 3, 1, 1) -> the same."""
        mean, slope = (cheeks.new_tensor(values)[:, None, None] for values in self)
        return cheeks + mean + slope * (cheeks[:, :1] - MIDDLE) / WIDE


LIPS = Usual((-12.8, 1.0, -3.9), (-1.1, 3.4, 1.7))  # half a standard deviation less red than their mean
LIDS = Usual((-19.2, -5.6, -3.3), (-3.3, 2.5, 2.9))


def plain_lips(lab: Tensor, mean: Tensor, cheeks: Tensor) -> Tensor:
    """Compute the change that takes lipstick off: what is redder than lips of men are, or of other hues, or all darker.

    Args:
        lab: (N, 3, H, W), lips and the skin around them, which does not change.
        mean, cheeks: (N, 3, 1, 1), the means of lips and cheeks.

    Returns:
        (N, 3, H, W) L*a*b*.
    """
    usual = LIPS.beside(cheeks)
    red, yellow = (lab - usual)[:, 1:].chunk(2, dim=1)
    light = _beyond((mean - usual)[:, :1]).clamp(max=0).expand_as(red)
    return (REST - 1) * torch.cat([light, red.clamp(min=0), _beyond(yellow)], dim=1)


def plain_lids(lab: Tensor, cheeks: Tensor) -> Tensor:
    """Compute the change that takes the colour of eye shadow off; its shade stays: (N, 3, H, W) -> the same."""
    change = (REST - 1) * _beyond(lab - LIDS.beside(cheeks))
    return torch.cat([torch.zeros_like(change[:, :1]), change[:, 1:]], dim=1)


def _beyond(difference: Tensor) -> Tensor:
    """Take what is usual among men off a difference."""
    return difference - difference.clamp(-SPREAD, SPREAD)
