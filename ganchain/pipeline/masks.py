"""Masks by which the picture of a stage fades out before the border of what it saw."""

from __future__ import annotations

from functools import lru_cache
from math import ceil

import torch
from torch import Tensor

from ganchain.framing import Window

RIM = 0.12  # share of a window's half side over which a change fades out at its rim
REPLACED_RIM = 0.25  # the same for pixels that were replaced: all of the window differs, not only the face

MARGIN = 8  # px, at least, around what is wanted of a canvas that is enlarged; the network's picture fades out there
STEP = 8  # px of the squares that networks reduce to one: windows of a canvas begin at multiples of it


def with_margin(window: Window, side: int) -> Window:
    """Grow a window of a square of ``side`` px by ``MARGIN``; to all of it where no room is left before its rim."""
    x, y = ((corner - MARGIN) // STEP * STEP for corner in (window.x, window.y))
    grown = ceil((max(window.x - x, window.y - y) + window.side + MARGIN) / STEP) * STEP
    fits = min(x, y) >= 0 and max(x, y) + grown <= side and bool((rim(side, RIM)[window.place] == 1).all())
    return Window(x, y, grown) if fits else Window(0, 0, side)


@lru_cache(maxsize=32)
def ramp(size: int, width: int) -> Tensor:
    """Draw a mask (1, 1, size, size): 1 inside, falling to 0 over the outermost ``width`` px of a square."""
    place = torch.arange(size) + 0.5
    axis = (torch.minimum(place, size - place) / width).clamp(max=1)
    return (axis * axis[:, None])[None, None]


@lru_cache(maxsize=32)
def rim(size: int, width: float) -> Tensor:
    """Draw a mask (1, 1, size, size): 1 inside, falling smoothly to 0 at the rim of a square with rounded corners.

    Args:
        width: share of the half side over which it falls.
    """
    axis = ((torch.arange(size) + 0.5) / size * 2 - 1).abs()
    radius = (axis[:, None] ** 4 + axis[None, :] ** 4) ** 0.25
    fade = ((1 - radius) / width).clamp(0, 1)
    return (fade * fade * (3 - 2 * fade))[None, None]
