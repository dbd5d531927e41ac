"""Zones of a face that attributes change or leave alone, drawn from its points."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganchain.faces import mesh
from ganchain.faces.regions import filled, grown
from ganchain.tensors import resampled

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
LASHES = 0.04  # of the face's width: how far from the eye lashes and liner lie
TEMPLES = 21, 251
MIDLINE = 2, 152  # from below the nose to the chin
DENSEST = 0.2  # of the face's width: how far from it beards are dense

Places = NDArray[np.float32]  # (478, 2) px
Plane = NDArray[np.float32]  # (S, S) 0..1


def mouth(points: Tensor, side: int) -> Tensor:
    """Draw what is seen between the lips: (N, 478, 2) -1..1 -> (N, 1, side, side) 0..1."""
    return _drawn(points, side, lambda face, size: _blur(filled(face[list(MOUTH)], size), 0.008 * _width(face)))


def lips(points: Tensor, side: int, around: float = 0.0) -> Tensor:
    """Draw the lips with what lies between them: (N, 478, 2) -1..1 -> (N, 1, side, side) 0..1.

    Args:
        around: how far the zone goes beyond them, as a share of the face's width.
    """
    return _drawn(points, side, lambda face, size: _lips(face, size, around))


def lids(points: Tensor, side: int) -> Tensor:
    """Draw what lies between eyes and brows: (N, 478, 2) -1..1 -> (N, 1, side, side) 0..1."""
    return _drawn(points, side, _lids)


def lashes(points: Tensor, side: int) -> Tensor:
    """Draw the rims of the eyes: (N, 478, 2) -1..1 -> (N, 1, side, side) 0..1."""
    return _drawn(points, side, _lashes)


def beard(points: Tensor, side: int, below: float) -> Tensor:
    """Draw where a beard grows, the lips left out, 0.5 at the zone's soft edge: (N, 478, 2) -> (N, 1, side, side).

    Args:
        below: how far it reaches below the jaw, as a share of the face's width.
    """
    return _drawn(points, side, lambda face, size: _beard(face, size, below))


def temples(points: Tensor, side: int) -> Tensor:
    """Draw spots around the temples, where hair turns grey first: (N, 478, 2) -1..1 -> (N, 1, side, side) 0..1."""
    return _drawn(points, side, _temples)


def chin(points: Tensor, side: int) -> Tensor:
    """Draw where beards are densest, from below the nose to the chin: (N, 478, 2) -1..1 -> (N, 1, side, side) 0..1."""
    return _drawn(points, side, _chin)


def _beard(face: Places, size: int, below: float) -> Plane:
    width, jaw = _width(face), face[list(JAW)]
    hanging = np.concatenate([jaw, (jaw + np.array([0, below * width], np.float32))[::-1]])
    zone = _blur(np.maximum(filled(face[list(BEARD)], size), filled(hanging, size)), 0.06 * width)
    return zone * (1 - _lips(face, size, 0.0))


def _lids(face: Places, size: int) -> Plane:
    lash, _, brow = (list(ring) for ring in mesh.RIGHT_LID_RINGS)
    sides = (face, face[list(mesh.MIRROR)])
    drawn = np.maximum(*(filled(np.concatenate([side[lash], side[brow][::-1]]), size) for side in sides))
    return _blur(drawn, 0.015 * _width(face))


def _lashes(face: Places, size: int) -> Plane:
    width = _width(face)
    eyes = np.maximum(*(filled(side[list(mesh.RIGHT_CONTOUR)], size) for side in (face, face[list(mesh.MIRROR)])))
    around = grown(eyes, LASHES * width)
    return _blur(around, 0.01 * width) * (1 - _blur(eyes, 0.005 * width))


def _lips(face: Places, size: int, around: float) -> Plane:
    width, drawn = _width(face), filled(face[list(LIPS)], size)
    if around:
        drawn = grown(drawn, around * width)
    return _blur(drawn, 0.01 * width)


def _temples(face: Places, size: int) -> Plane:
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    spots = [(columns - x) ** 2 + (rows - y) ** 2 for x, y in face[list(TEMPLES)]]
    return np.asarray(np.exp(-np.minimum(*spots) / (2 * (0.35 * _width(face)) ** 2)), np.float32)


def _chin(face: Places, size: int) -> Plane:
    line = np.zeros((size, size), np.float32)
    start, end = (face[k].round().astype(int).tolist() for k in MIDLINE)
    cv2.line(line, start, end, 1.0, 1)
    distance = cv2.distanceTransform((line == 0).astype(np.uint8), cv2.DIST_L2, 3)
    return np.asarray(np.exp(-((distance / (DENSEST * _width(face))) ** 2) / 2), np.float32)


def _drawn(points: Tensor, side: int, draw: Callable[[Places, int], Plane]) -> Tensor:
    """Draw a zone of each face at a side that is large enough, and enlarge it."""
    size = min(side, SIDE)
    places = ((points.float().cpu().numpy() + 1) * (size / 2) - 0.5).astype(np.float32)
    zones = torch.from_numpy(np.stack([draw(face, size) for face in places]))[:, None].to(points.device)
    return resampled(zones, (side, side))


def _width(face: Places) -> float:
    return float(np.linalg.norm(face[SIDES[1]] - face[SIDES[0]]))


def _blur(plane: Plane, sigma: float) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), max(sigma, 0.4)), np.float32)
