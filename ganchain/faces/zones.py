"""Zones of a face that attributes change or leave alone, drawn from its points."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ganchain.faces import mesh
from ganchain.faces.regions import filled

SIDE = 384  # px that zones are drawn at, at most; their edges are softer than that
MOUTH = (*mesh.INNER_UPPER_LIP, *mesh.INNER_LOWER_LIP[-2:0:-1])
LIPS = (*mesh.UPPER_LIP, *mesh.LOWER_LIP[-2:0:-1])
# down one cheek in front of the ear, along the jaw, up the other, back under the nose
BEARD = (
    *(127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356),
    *(447, 366, 401, 435, 416, 434, 432, 436, 426, 327, 2, 98, 206, 216, 212, 214, 192, 215, 177, 137, 227),
)
JAW = BEARD[2:21]
SIDES = 234, 454  # points where the face is widest
TEMPLES = 21, 251

Places = NDArray[np.float32]  # (478, 2) px
Plane = NDArray[np.float32]  # (S, S) 0..1


def mouth(points: Tensor, side: int) -> Tensor:
    """Draw what is seen between the lips: (N, 478, 2) -1..1 -> (N, 1, side, side) 0..1."""
    return _drawn(points, side, lambda face, size: _blur(filled(face[list(MOUTH)], size), 0.008 * _width(face)))


def beard(points: Tensor, side: int, below: float) -> Tensor:
    """Draw where a beard grows, the lips left out, 0.5 at the zone's soft edge: (N, 478, 2) -> (N, 1, side, side).

    Args:
        below: how far it reaches below the jaw, as a share of the face's width.
    """
    return _drawn(points, side, lambda face, size: _beard(face, size, below))


def temples(points: Tensor, side: int) -> Tensor:
    """Draw spots around the temples, where hair turns grey first: (N, 478, 2) -1..1 -> (N, 1, side, side) 0..1."""
    return _drawn(points, side, _temples)


def _beard(face: Places, size: int, below: float) -> Plane:
    width, jaw = _width(face), face[list(JAW)]
    hanging = np.concatenate([jaw, (jaw + np.array([0, below * width], np.float32))[::-1]])
    zone = _blur(np.maximum(filled(face[list(BEARD)], size), filled(hanging, size)), 0.05 * width)
    lips = cv2.dilate(filled(face[list(LIPS)], size), np.ones((3, 3)), iterations=max(1, round(0.008 * width)))
    return zone * (1 - _blur(np.asarray(lips, np.float32), 0.01 * width))


def _temples(face: Places, size: int) -> Plane:
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    spots = [(columns - x) ** 2 + (rows - y) ** 2 for x, y in face[list(TEMPLES)]]
    return np.asarray(np.exp(-np.minimum(*spots) / (2 * (0.35 * _width(face)) ** 2)), np.float32)


def _drawn(points: Tensor, side: int, draw: Callable[[Places, int], Plane]) -> Tensor:
    """Draw a zone of each face at a side that is large enough, and enlarge it."""
    size = min(side, SIDE)
    places = ((points.float().cpu().numpy() + 1) * (size / 2) - 0.5).astype(np.float32)
    zones = torch.from_numpy(np.stack([draw(face, size) for face in places]))[:, None].to(points.device)
    return zones if size == side else F.interpolate(zones, (side, side), mode="bilinear", align_corners=False)


def _width(face: Places) -> float:
    return float(np.linalg.norm(face[SIDES[1]] - face[SIDES[0]]))


def _blur(plane: Plane, sigma: float) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), max(sigma, 0.4)), np.float32)
