"""Regions of an aligned head, from its 68 landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

FOREHEAD = 0.28  # height of the forehead above the brows, in brow-to-chin lengths


@dataclass(frozen=True, eq=False)
class Head:
    """Head with landmarks (68, 2) x, y in px of a picture of ``shape`` (H, W); every region is a mask of that shape."""

    points: NDArray[np.float64]
    shape: tuple[int, int]

    @property
    def width(self) -> float:
        """Distance between the ends of the jaw line in px."""
        return float(self.points[16, 0] - self.points[0, 0])

    @property
    def height(self) -> float:
        """Distance from brows to chin in px."""
        return float(self.points[8, 1] - self.points[17:27, 1].mean())

    @property
    def top(self) -> tuple[float, float]:
        """Middle of the hair line of an average forehead: (x, y)."""
        x = float(self.points[[0, 16, 27], 0].mean())
        return x, float(self.points[17:27, 1].mean()) - FOREHEAD * self.height

    def polygon(self, corners: NDArray[np.float64]) -> Mask:
        """Fill a polygon (N, 2)."""
        canvas = np.zeros(self.shape, np.uint8)
        cv2.fillPoly(canvas, [np.round(corners).astype(np.int32)], 1)
        return canvas.astype(bool)

    def ellipse(self, x: float, y: float, half_width: float, half_height: float) -> Mask:
        """Fill an ellipse with its middle at x, y."""
        rows, columns = np.mgrid[: self.shape[0], : self.shape[1]]
        inside: Mask = ((columns - x) / half_width) ** 2 + ((rows - y) / half_height) ** 2 < 1
        return inside

    def rows(self, start: float, stop: float) -> Mask:
        """Fill the rows from ``start`` to ``stop``."""
        y = np.arange(self.shape[0])[:, None]
        return np.broadcast_to((y >= start) & (y < stop), self.shape)

    def face(self) -> Mask:
        """Return the face: jaw line to brows, a little above them."""
        brows = self.points[26:16:-1] - (0, 0.05 * self.height)
        return self.polygon(np.concatenate([self.points[:17], brows]))

    def forehead(self) -> Mask:
        """Return a patch above the root of the nose."""
        x, y = self.top
        return self.ellipse(x, y + 0.6 * FOREHEAD * self.height, 0.22 * self.width, 0.1 * self.height)

    def cap(self) -> Mask:
        """Return the place of the crown's hair, at a low or high hair line: above the middle of the forehead."""
        x, y = self.top
        around = self.ellipse(x, y, 0.42 * self.width, 0.34 * self.height)
        return around & self.rows(0, y + 0.06 * self.height)

    def region(self) -> Mask:
        """Return all places where hair can be: around the head, and beside the face down to the shoulders."""
        x = self.top[0]
        aside = np.abs(np.arange(self.shape[1])[None] - x)
        eyes, chin = float(self.points[30, 1]), float(self.points[8, 1])
        around = self.ellipse(x, eyes, 0.95 * self.width, 1.6 * self.height) & self.rows(0, eyes)
        strips = self.rows(eyes, chin + 0.45 * self.height) & (aside < 0.95 * self.width)
        return np.asarray(around | (strips & (aside > 0.3 * self.width)))

    def upper(self) -> Mask:
        """Return the places above the eyes where hair can be."""
        return self.region() & ~self.face() & self.rows(0, float(self.points[27, 1]))

    def body(self) -> Mask:
        """Return the inner head and all below the chin."""
        inner = self.ellipse(self.top[0], float(self.points[30, 1]), 0.5 * self.width, 0.9 * self.height)
        return inner | self.rows(float(self.points[8, 1]), 9999)

    def edge(self) -> Mask:
        """Return the picture's edge beside and above the head: background, mostly."""
        edge = np.zeros(self.shape, bool)
        edge[:, :6] = edge[:, -6:] = edge[:4] = True
        return edge & self.rows(0, float(self.points[30, 1])) & ~self.ellipse(*self.top, 0.6 * self.width, 400)

    def skin_sample(self) -> Mask:
        """Return cheeks and nose: skin on every face, glasses and beards aside."""
        left, right = self.points[[1, 3, 48, 31, 39, 41, 36]], self.points[[15, 13, 54, 35, 42, 46, 45]]
        cheeks = self.polygon(left) | self.polygon(right) | self.polygon(self.points[[27, 31, 33, 35]])
        return cv2.erode(cheeks.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
