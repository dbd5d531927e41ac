"""Placing of faces by their points: the similarity that all stages are aligned by, from a frame's own 478 points."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ganchain.faces import atlas
from ganchain.faces.face import Matrix, similarity
from ganchain.framing import TEMPLATE, TIGHT

# corners and lids of the eyes, and the base of the nose: nearly rigid, and near the five points of the template
STABLE = (33, 133, 263, 362, 160, 158, 153, 144, 385, 387, 373, 380, 2, 94, 97, 326)
ASIDE = float(TEMPLATE[:4, 0].mean()) - 0.5  # the template's middle is not that of its square
SIDES, MIDDLE = (234, 454), 6  # the ends of a face's width, and the root of the nose

MIDDLE_OF_TEMPLATE = TEMPLATE.mean(axis=0)[None]

Points = NDArray[np.float64]  # (478, 2) x, y


def mean_points() -> Points:
    """Return the points of the mean face in the template's units, (468, 2)."""
    unit = (atlas.points().astype(np.float64) + 1) / 2 * TIGHT.side
    return np.asarray(unit + np.array([TIGHT.left + ASIDE, TIGHT.top]), np.float64)


def placement(points: Points) -> Matrix:
    """Fit the (2, 3) least-squares similarity, template -> px, by the stable ones of ``points``, in px."""
    return similarity(points[list(STABLE)], _stable())


@lru_cache(maxsize=1)
def _stable() -> Points:
    """Return the stable ones of the mean face's points."""
    return mean_points()[list(STABLE)]


def mapped(matrix: Matrix, points: Points) -> Points:
    """Map points by a (2, 3) matrix."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def unmapped(matrix: Matrix, points: Points) -> Points:
    """Map points by the inverse of a similarity."""
    return np.asarray(np.linalg.solve(matrix[:, :2], (points - matrix[:, 2]).T).T, np.float64)


def size(matrix: Matrix) -> float:
    """Return the px of one unit of the template, about the width of the inner face."""
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def box(matrix: Matrix) -> tuple[float, float, float, float]:
    """Return left, top, right, bottom of the inner face, in px."""
    corners = mapped(matrix, np.array([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]))
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def sideways(shape: Points) -> float:
    """Measure how far a face is turned to a side by its points in the template: 0 frontal, 1 a profile."""
    left, right = shape[SIDES[0], 0], shape[SIDES[1], 0]
    width = right - left
    if width <= 0.1:
        return 1.0
    return float(min(1.0, abs((shape[MIDDLE, 0] - left) / width - 0.5) * 2))
