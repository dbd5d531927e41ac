"""Planes: what is done to the pictures that a drawing is measured in, and colours in Lab."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.colour import filters
from ganchain.drawing.paths import UNITS, Colour, Knots, Planes
from ganchain.tensors import Pixels

SIDE, FINE = 256, 512  # px: of what is measured; of outlines in which single strands are to be seen


def reduced(plane: Planes, side: int, clip: bool = True) -> Planes:
    """Reduce a square picture to ``side`` px; smaller ones are enlarged. Clipped to 0..1."""
    while plane.ndim == 2 and plane.shape[0] >= 2 * side and plane.shape[0] % 2 == 0:  # faster than all at once
        plane = np.asarray(cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.float32)
    if plane.shape[0] == side:
        return np.asarray(plane, np.float32)
    kind = cv2.INTER_AREA if plane.shape[0] > side else cv2.INTER_CUBIC
    resized = np.asarray(cv2.resize(plane, (side, side), interpolation=kind), np.float32)
    return resized.clip(0, 1) if clip else resized


def boxed(knots: Knots, side: int) -> tuple[slice, slice]:
    """Find the rows and columns of a plane of ``side`` px that have some of an outline in units."""
    scale = side / UNITS
    (left, top), (right, bottom) = knots.min(axis=0) * scale - 1, knots.max(axis=0) * scale + 2
    return slice(max(0, int(top)), max(0, int(bottom))), slice(max(0, int(left)), max(0, int(right)))


def filled(outlines: list[Knots], side: int = SIDE) -> Planes:
    """Fill outlines in units: (side, side) 0..1, anti-aliased."""
    drawn = np.zeros((side, side), np.uint8)
    scale = side / UNITS
    for outline in outlines:
        places = ((outline * scale - 0.5) * 16).clip(-1e6, 1e6).round().astype(np.int32)
        cv2.fillPoly(drawn, [places], (255,), cv2.LINE_AA, 4)
    return np.asarray(drawn / np.float32(255), np.float32)


def grown(plane: Planes, radius: float) -> Planes:
    """Grow what a plane shows by ``radius`` px; widely, on half of the side."""
    return _at_half(plane, radius, cv2.MORPH_DILATE)


def closed(plane: Planes, radius: float) -> Planes:
    """Close gaps in a plane that are narrower than twice ``radius`` px; wide ones on half of the side."""
    return _at_half(plane, radius, cv2.MORPH_CLOSE)


def opened(plane: Planes, radius: float) -> Planes:
    """Take away what is narrower than twice ``radius`` px; what is wide, on a smaller side."""
    return _at_half(plane, radius, cv2.MORPH_OPEN)


def shrunk(plane: Planes, radius: float) -> Planes:
    """Shrink what a plane shows by ``radius`` px; widely, on half of the side."""
    return _at_half(plane, radius, cv2.MORPH_ERODE)


def _at_half(plane: Planes, radius: float, kind: int) -> Planes:
    side = plane.shape[0]
    if radius < 5 or side % 2 or side <= SIDE // 2:
        return np.asarray(cv2.morphologyEx(plane, kind, disc(radius)), np.float32)
    small = np.asarray(cv2.resize(plane, (side // 2, side // 2), interpolation=cv2.INTER_AREA), np.float32)
    large = cv2.resize(_at_half(small, radius / 2, kind), (side, side), interpolation=cv2.INTER_LINEAR)
    adds = kind in (cv2.MORPH_DILATE, cv2.MORPH_CLOSE)  # the others only take away
    return np.asarray(np.maximum(plane, large) if adds else np.minimum(plane, large), np.float32)


def disc(radius: float) -> NDArray[np.uint8]:
    """Make a disc of ``radius`` px, at least 1, to grow and shrink planes with."""
    return filters.disc(max(1.0, radius))


def blurred(plane: NDArray[np.floating[Any]], sigma: float) -> Planes:
    """Blur by ``sigma`` px; widely, on a quarter of the side."""
    if sigma < 8:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)
    height, width = plane.shape[:2]
    small = cv2.resize(plane, (max(1, width // 4), max(1, height // 4)), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), sigma / 4)
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def calmed(lab: Planes) -> Planes:
    """Take the grain out of a picture in Lab: edges stay."""
    for _ in range(2):
        lab = np.asarray(cv2.bilateralFilter(lab, 5, 10, 4), np.float32)
    return lab


def painted(lab: Planes) -> Planes:
    """Make flat areas with sharp borders: of four squares of 3 px that meet in a place, the calmest gives its colour.

    The weighted form (Papari, Petkov & Campisi 2007) of the filter by Kuwahara et al. (1976).
    """
    wide = cv2.copyMakeBorder(lab, 2, 2, 2, 2, cv2.BORDER_REFLECT_101)
    mean, square = cv2.blur(wide, (3, 3)), cv2.blur(wide * wide, (3, 3))
    variance = summed(np.asarray(square - mean * mean, np.float32)).clip(0) + 1
    weight = cv2.merge([1 / (variance * variance) ** 2] * 3)
    corners = np.array([1, 0, 1], np.float32)
    total, weights = (cv2.sepFilter2D(plane, -1, corners, corners) for plane in (weight * mean, weight))
    return np.asarray((total / weights)[2:-2, 2:-2], np.float32)


def summed(planes: Planes) -> Planes:
    """Add up the three planes of a picture: (H, W, 3) -> (H, W)."""
    return np.asarray(cv2.transform(planes, np.ones((1, 3), np.float32)), np.float32)


def to_lab(picture: Planes) -> Planes:
    """Turn RGB 0..1 into Lab."""
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(picture, np.float32), cv2.COLOR_RGB2LAB), np.float32)


def to_levels(picture: Planes) -> Pixels:
    """Turn values 0..1 into 0..255."""
    return np.asarray(cv2.convertScaleAbs(picture, alpha=255), np.uint8)


def rgb(lab: tuple[float, float, float] | Planes) -> Colour:
    """Turn one Lab colour into red, green and blue, 0..1."""
    one = np.array(lab, np.float32).reshape(1, 1, 3)
    one[..., 0] = one[..., 0].clip(2, 98)
    red, green, blue = cv2.cvtColor(one, cv2.COLOR_LAB2RGB)[0, 0].clip(0, 1)
    return float(red), float(green), float(blue)
