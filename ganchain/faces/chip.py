"""Chips: faces at one size and one exposure, in which five landmarks are read, and the geometry of those."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.framing import TEMPLATE
from ganchain.tensors import ByContent, Pixels

Points = NDArray[np.float64]
Box = tuple[float, float, float, float]  # left, top, right, bottom in px
MIRRORED = [2, 3, 0, 1, 4]  # the five points' order in a mirrored picture
BOX_DROP, BOX_SIDE = 0.185, 1.25  # the detector's box in template units: its middle below the points'; its side
CHIP_SIDE, CHIP_PADDING = 208, 0.15  # px; share of the box around it


@dataclass(frozen=True, eq=False)
class Chip(ByContent):
    """Face at one size and one exposure, so that a small predictor need learn neither.

    Attributes:
        pixels: (CHIP_SIDE, CHIP_SIDE) uint8 luma, stretched to the full range; the photo's edge repeated beyond it.
        corner: x, y of its first pixel's upper left corner in the photo.
        scale: px of the chip in one of the photo.
    """

    pixels: Pixels
    corner: NDArray[np.float64]
    scale: float

    @classmethod
    def cut(cls, pixels: Pixels, box: Box) -> Chip:
        """Cut the chip around ``box`` out of (H, W, 3) uint8 RGB."""
        height, width = pixels.shape[:2]
        side = max(box[2] - box[0], 2)
        left, top = (round(edge - CHIP_PADDING * side) for edge in box[:2])
        side *= 1 + 2 * CHIP_PADDING
        step = max(1, int(side) // CHIP_SIDE)  # large faces are first reduced by a whole number, which is fast
        size = round(side / step) * step
        rows, columns = np.arange(top, top + size).clip(0, height - 1), np.arange(left, left + size).clip(0, width - 1)
        inside = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        crop = cv2.cvtColor(inside, cv2.COLOR_RGB2GRAY)
        if crop.shape != (size, size):
            crop = crop[rows - rows[0]][:, columns - columns[0]]
        crop = cv2.resize(crop, (size // step, size // step), interpolation=cv2.INTER_AREA)
        kernel = cv2.INTER_AREA if len(crop) > CHIP_SIDE else cv2.INTER_LINEAR
        chip = cv2.resize(crop, (CHIP_SIDE, CHIP_SIDE), interpolation=kernel)
        rim = round(CHIP_SIDE * CHIP_PADDING / (1 + 2 * CHIP_PADDING))
        low, high = np.percentile(chip[rim:-rim, rim:-rim], (1, 99))
        levels = (np.arange(256) - low) * (255 / max(high - low, 8))
        chip = levels.round().clip(0, 255).astype(np.uint8)[chip]
        return cls(chip, np.array([left, top]) - 0.5, CHIP_SIDE / size)

    def inward(self, points: Points) -> Points:
        """Convert photo px to chip px."""
        return (points - self.corner) * self.scale - 0.5

    def place(self, box: Box) -> Box:
        """Convert a box of the photo to chip px."""
        left, top, right, bottom = self.inward(np.array(box).reshape(2, 2)).ravel().tolist()
        return (left, top, right, bottom)

    def outward(self, points: Points) -> Points:
        """Convert chip px to photo px."""
        return (points + 0.5) / self.scale + self.corner


def mirrored(points: Points, width: int) -> Points:
    """Mirror the five points of a picture ``width`` px wide."""
    return points[MIRRORED] * (-1, 1) + (width - 1, 0)


def box_around(points: Points) -> tuple[Points, float]:
    """Compute middle (x, y) and side of the box that the detector would give a face with these five points."""
    unit = float(np.linalg.norm(points - points.mean(axis=0)) / np.linalg.norm(TEMPLATE - TEMPLATE.mean(axis=0)))
    across = points[:2].mean(axis=0) - points[2:4].mean(axis=0)
    down = np.array([-across[1], across[0]]) / max(np.linalg.norm(across), 1e-6)
    return points.mean(axis=0) + BOX_DROP * unit * down, BOX_SIDE * unit
