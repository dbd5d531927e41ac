"""The common map of faces: all faces are unrolled onto the mean face's points, triangle by triangle.

Its picture is the tight window of the mean face, upright and symmetric: a mirror swaps the sides of every face.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 512  # px of the map
COARSE = 192  # px: the side at which the way back from a face is drawn, and enlarged from there
SURFACE = 468  # points of the face's surface; those of the irises move with the look

Places = NDArray[np.float32]  # (478, 2) px
Planes = NDArray[np.float32]


@lru_cache(maxsize=1)
def points() -> NDArray[np.float32]:
    """Return the points of the mean face, (468, 2) -1..1 in the tight window; ``benchmarks/atlas.py`` wrote them."""
    return _table()["points"]


def places() -> Places:
    """Return the points of the mean face in px of the map, (468, 2)."""
    return np.asarray((points() + 1) * (SIDE / 2) - 0.5, np.float32)


def unroll(picture: Planes, face: Places) -> tuple[Planes, Planes]:
    """Lay a face onto the map.

    Args:
        picture: (H, W, C) float32.
        face: its points in px of the picture.

    Returns:
        The map (SIDE, SIDE, C), and how well each place of it is seen, (SIDE, SIDE) 0..1: 0 outside the face and on the
        side that is turned away.
    """
    triangle, weights = _grid()
    corners = face[_triangles()]
    source = np.einsum("hwk,hwkc->hwc", weights, corners[triangle])
    seen = (_fronts(face).astype(np.float32))[triangle] * (weights.sum(axis=2) > 0.5)
    height, width = picture.shape[:2]
    inside = (source >= 0).all(axis=2) & (source[..., 0] <= width - 1) & (source[..., 1] <= height - 1)
    return place(picture, np.asarray(source, np.float32)), np.asarray(seen * inside, np.float32)


def lookup(face: Places, size: int) -> tuple[Planes, Planes]:
    """Find where on the map each px of a face's picture of ``size`` px lies.

    Returns:
        (size, size, 2) px of the map, and (size, size) 0..1: 0 beyond the face.
    """
    corners = face[_triangles()] * (COARSE / size) + (COARSE / size - 1) / 2
    drawn = np.zeros((COARSE, COARSE), np.int32)
    fronts = np.flatnonzero(_fronts(face))
    rounded = np.round(corners * 16).astype(np.int32)
    for number in fronts:
        cv2.fillConvexPoly(drawn, rounded[number], int(number) + 1, cv2.LINE_8, 4)
    triangle = np.maximum(drawn - 1, 0)
    y, x = np.indices((COARSE, COARSE), dtype=np.float32)
    rows = _affine(corners, places()[_triangles()]).reshape(len(corners), 6).T
    across, down = ((row[0][triangle] * x + row[1][triangle] * y + row[2][triangle]) for row in (rows[:3], rows[3:]))
    found = np.dstack([across, down])
    known = cv2.erode((drawn > 0).astype(np.float32), np.ones((3, 3)))
    resized = cv2.resize(found, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.float32), np.asarray(cv2.resize(known, (size, size)), np.float32)


def place(flat: Planes, where: Planes) -> Planes:
    """Bring a map (SIDE, SIDE, C) onto a face by its ``lookup``: (size, size, C)."""
    x, y = cv2.split(where)
    laid = cv2.remap(flat, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(laid, np.float32).reshape(*where.shape[:2], -1)


def _fronts(face: Places) -> NDArray[np.bool_]:
    """Tell which triangles are turned towards the viewer: (T,)."""
    a, b, c = np.moveaxis(face[_triangles()], 1, 0)
    areas = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    return np.asarray(areas > 0)


def _affine(source: Planes, target: Planes) -> Planes:
    """Compute the affine maps of triangles (T, 3, 2) onto others: (T, 2, 3); flat triangles give zeros."""
    a, b, c = np.moveaxis(source, 1, 0)
    u, v = b - a, c - a
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    inverse = np.where(np.abs(area) > 1e-3, 1 / np.where(np.abs(area) > 1e-3, area, 1), 0)
    p, q = target[:, 1] - target[:, 0], target[:, 2] - target[:, 0]
    x = (p * v[:, 1:] - q * u[:, 1:]) * inverse[:, None]
    y = (q * u[:, :1] - p * v[:, :1]) * inverse[:, None]
    shift = target[:, 0] - x * a[:, :1] - y * a[:, 1:]
    return np.asarray(np.stack([x, y, shift], axis=2), np.float32)


@lru_cache(maxsize=1)
def _grid() -> tuple[NDArray[np.int32], Planes]:
    """Find the triangle and the barycentric weights of each px of the map: (SIDE, SIDE), (SIDE, SIDE, 3)."""
    corners = places()[_triangles()]
    drawn = np.full((SIDE, SIDE), -1, np.int32)
    for number, corner in enumerate(np.round(corners * 16).astype(np.int32)):
        cv2.fillConvexPoly(drawn, corner, number, cv2.LINE_8, 4)
    triangle = np.maximum(drawn, 0)
    simplex = np.broadcast_to(np.array([(0, 0), (1, 0), (0, 1)], np.float32), corners.shape)
    affine = _affine(corners, simplex)[triangle]
    y, x = np.indices((SIDE, SIDE), dtype=np.float32)
    second, third = np.moveaxis(affine[..., 0] * x[..., None] + affine[..., 1] * y[..., None] + affine[..., 2], 2, 0)
    weights = np.stack([1 - second - third, second, third], axis=2) * (drawn >= 0)[..., None]
    return triangle, np.asarray(weights, np.float32)


@lru_cache(maxsize=1)
def _triangles() -> NDArray[np.int32]:
    """Return the triangles of the mean face, (T, 3) numbers of points, in the order of an upright picture."""
    return _table()["triangles"].astype(np.int32)


@lru_cache(maxsize=1)
def _table() -> dict[str, NDArray[np.float32]]:
    """Read the table of the map."""
    with np.load(BytesIO((resources.files("ganchain.faces") / "atlas.npz").read_bytes())) as stored:
        return {name: stored[name] for name in stored.files}
