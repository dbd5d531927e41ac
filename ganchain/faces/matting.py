"""Matting: soft mattes as functions of the colours that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

RADIUS = 3  # px of the mattes: half the window of the guided filter
EDGE = 2e-4  # variance of colour (0..1) below which the mattes are only smoothed
NEAR, AROUND = 1.5, 4.0  # px of the mattes: how wide a rim is, and how far around it colours are looked for
BAND = 64  # rows that are computed at once
APART = 0.2  # distance of two colours (0..1) from which on a mixture of them tells its shares
_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))  # of colours, in the order of the covariances

Planes = NDArray[np.float32]


class Moments(NamedTuple):
    """Moments of a picture's colours around each px.

    Attributes:
        mean: (S, S) of red, green and blue.
        inverse: (S, S) of the inverse covariances, in the order of ``_PAIRS``, regularised by ``EDGE``.
    """

    mean: Sequence[Planes]
    inverse: Sequence[Planes]

    @classmethod
    def of(cls, picture: Planes) -> Moments:
        """Compute the moments of a picture (3, S, S)."""
        mean = [_box(plane) for plane in picture]
        a, b, c, d, e, f = (_box(picture[i] * picture[j]) - mean[i] * mean[j] for i, j in _PAIRS)
        a, d, f = a + EDGE, d + EDGE, f + EDGE
        adjugate = (d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b)
        determinant = a * adjugate[0] + b * adjugate[1] + c * adjugate[2]
        return cls(mean, [np.asarray(plane / determinant, np.float32) for plane in adjugate])


def coefficients(matte: Planes, picture: Planes, moments: Moments) -> Planes:
    """Fit the coefficients of red, green and blue and the offset of a matte: (S, S, 4).

    They are those of a guided filter (He, Sun & Tang 2010); at the rim of a part, of a mixture of the colours on either
    side of it.

    Args:
        matte: (S, S) 0..1.
        picture: (3, S, S) 0..1, with its ``moments``.
    """
    linear = _linear(matte, picture, moments)
    part, beside, rim = _either_side(matte, picture)
    step = [a - b for a, b in zip(part, beside, strict=True)]
    length = step[0] * step[0] + step[1] * step[1] + step[2] * step[2]
    slope = [plane / (length + 1e-6) for plane in step]
    offset = -(beside[0] * slope[0] + beside[1] * slope[1] + beside[2] * slope[2])
    share = rim * (length / APART**2).clip(0, 1)
    fitted = [a + share * (b - a) for a, b in zip(linear, [*slope, offset], strict=True)]
    return np.asarray(cv2.merge(fitted), np.float32)


def evaluated(fitted: Planes, start: NDArray[np.float64], step: float, colours: Planes) -> Planes:
    """Compute a matte by the colours of a window, in bands of rows that the processor's cache holds: (H, W) 0..1.

    Args:
        fitted: (S, S, 4), the ``coefficients`` of the matte.
        start: x, y of the window's first px in px of those, which lie ``step`` px of those apart.
        colours: (3, H, W) 0..1, what the window shows.
    """
    matte = np.empty(colours.shape[1:], np.float32)
    for top in range(0, len(matte), BAND):
        band = np.s_[top : top + BAND]
        matrix = np.column_stack([np.eye(2) * step, start + np.array([0, top * step])])
        size, flags = matte[band].shape[::-1], cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpAffine(fitted, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        red, green, blue, offset = cv2.split(warped)
        r, g, b = colours[:, band]
        np.clip(red * r + green * g + blue * b + offset, 0, 1, out=matte[band])
    return matte


def _linear(matte: Planes, picture: Planes, moments: Moments) -> list[Planes]:
    """Fit the coefficients of a guided filter: four (S, S)."""
    average, (a, b, c, d, e, f) = _box(matte), moments.inverse
    red, green, blue = (_box(plane * matte) - mean * average for plane, mean in zip(picture, moments.mean, strict=True))
    slope = a * red + b * green + c * blue, b * red + d * green + e * blue, c * red + e * green + f * blue
    means = moments.mean
    offset = average - (slope[0] * means[0] + slope[1] * means[1] + slope[2] * means[2])
    return [_box(np.asarray(plane, np.float32)) for plane in (*slope, offset)]


def _either_side(matte: Planes, picture: Planes) -> tuple[Sequence[Planes], Sequence[Planes], Planes]:
    """Estimate the colours of a part and of what is beside it, three (S, S) each, and where its rim is, (S, S) 0..1."""
    soft = cv2.GaussianBlur(matte, (0, 0), NEAR)
    rim = (soft * 8).clip(0, 1) * ((1 - soft) * 8).clip(0, 1)
    sides = []
    for share in (matte, 1 - matte):
        weight = share * share
        weight *= weight
        weight *= weight
        *sums, total = (_around(plane) for plane in (*(picture * weight), weight))
        total += np.float32(1e-6)
        rim = rim * (total * 50).clip(0, 1)
        sides.append([plane / total for plane in sums])
    return sides[0], sides[1], np.asarray(rim, np.float32)


def _around(plane: Planes) -> Planes:
    """Blur by ``AROUND``, on half of the side."""
    height, width = plane.shape
    small = cv2.resize(plane, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), float(np.sqrt(AROUND**2 - 0.5)) / 2)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _box(plane: Planes) -> Planes:
    """Average (S, S) over squares, mirrored at the edge."""
    return np.asarray(cv2.blur(plane, (2 * RADIUS + 1,) * 2), np.float32)
