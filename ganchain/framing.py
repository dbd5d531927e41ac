"""Framings, the place of a face in a square window: the template all faces are aligned to, and windows around it.

The template is dlib's mean 5-point face (the constants of ``get_face_chip_details``) in units of dlib's
chip at padding 0: x to the right, y down, the unit square around the inner face.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import EllipsisType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# right-of-picture eye (outer, inner corner), left-of-picture eye (outer, inner corner), base of the nose
TEMPLATE: NDArray[np.float64] = np.array(
    [
        (0.8595674595992, 0.2134981538014),
        (0.6460604764104, 0.2289674387677),
        (0.1205750620789, 0.2137274526848),
        (0.3340850613712, 0.2290642403242),
        (0.4901123135679, 0.6277975316475),
    ]
)
EYES_X, EYES_Y = TEMPLATE[:4].mean(axis=0)
EYE_DISTANCE = float(np.linalg.norm(TEMPLATE[:2].mean(axis=0) - TEMPLATE[2:4].mean(axis=0)))


class Window(NamedTuple):
    """A square of a picture: its left and upper edge and its side, in whole px."""

    x: int
    y: int
    side: int

    @property
    def place(self) -> tuple[EllipsisType, slice, slice]:
        """Index of the square in a tensor (..., H, W)."""
        return ..., slice(self.y, self.y + self.side), slice(self.x, self.x + self.side)


@dataclass(frozen=True)
class Framing:
    """A square window in template units: its left and upper edge and its side."""

    left: float
    top: float
    side: float

    @classmethod
    def chip(cls, padding: float) -> Framing:
        """Make the window of ``dlib.get_face_chip(..., padding=padding)``."""
        return cls(-padding, -padding, 1 + 2 * padding)

    @classmethod
    def eyes(cls, line: float, distance: float) -> Framing:
        """Make the window with the eyes centred, at height ``line`` and ``distance`` apart (shares of the side)."""
        side = EYE_DISTANCE / distance
        return cls(float(EYES_X) - side / 2, float(EYES_Y) - line * side, side)

    @classmethod
    def around(cls, framings: Iterable[Framing]) -> Framing:
        """Make the smallest square window that holds all ``framings``, centred on their union."""
        windows = list(framings)
        left = min(f.left for f in windows)
        top = min(f.top for f in windows)
        right = max(f.left + f.side for f in windows)
        bottom = max(f.top + f.side for f in windows)
        side = max(right - left, bottom - top)
        return cls((left + right - side) / 2, (top + bottom - side) / 2, side)

    def within(self, outer: Framing, outer_side: int) -> Window:
        """Place this framing in ``outer`` drawn ``outer_side`` px wide, in whole pixels inside it."""
        unit = outer_side / outer.side
        side = min(max(1, round(self.side * unit)), outer_side)
        x = min(max(0, round((self.left - outer.left) * unit)), outer_side - side)
        y = min(max(0, round((self.top - outer.top) * unit)), outer_side - side)
        return Window(x, y, side)


TIGHT = Framing.chip(0.25)  # forehead to chin: eye line 0.31, eyes 0.36 of the side apart
HEAD = Framing.eyes(line=0.46, distance=0.22)  # the whole head with its hair
BUST = Framing.eyes(line=0.45, distance=0.14)  # head and shoulders, with hair that is long or stands up high
CELEBA = Framing.eyes(line=0.511, distance=0.217)  # centre 178 px of CelebA's aligned 178 x 218
FFHQ = Framing.eyes(line=0.469, distance=0.246)  # FFHQ's and CelebA-HQ's alignment (facexlib's template)
CHIP = Framing.chip(0.35)  # dlib's chip as the demos of BeautyGAN cut it
