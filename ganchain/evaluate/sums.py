"""Sums of colour differences, as figures of painted faces are made of."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ganchain.colour.lab import to_lab

MARGIN = 4  # px around a region that count neither as inside nor as outside
FAINT = 1e-3  # share below which a pixel is outside
Figures = dict[str, float]


class Sums(dict[str, list[float]]):
    """Two running sums by name; a figure is the quotient."""

    def add(self, name: str, part: Tensor | float, whole: Tensor | float) -> None:
        """Add to both sums of ``name``."""
        sums = self.setdefault(name, [0.0, 0.0])
        sums[0], sums[1] = sums[0] + float(part), sums[1] + float(whole)

    def quotients(self) -> Figures:
        """Divide; what was never seen is left out."""
        return {name: part / whole for name, (part, whole) in self.items() if whole}


def difference(a: Tensor, b: Tensor) -> Tensor:
    """Compute the CIE76 colour difference of each pixel: two (N, 3, H, W) -1..1 -> (N, H, W)."""
    return (to_lab(a) - to_lab(b)).norm(dim=1)


def grown(matte: Tensor) -> Tensor:
    """Enlarge what a matte (N, C, H, W) holds by ``MARGIN`` px."""
    return F.max_pool2d(matte, 2 * MARGIN + 1, 1, MARGIN)
