"""Teacher of age and gender: prototypes for shape, colour and detail, and drawn lines for old age.

Averages blur wrinkles away. So the folds that all old faces share (forehead, crow's feet, bags, nasolabial and
marionette lines) are drawn in the frame of the mean face, each as a groove with its lit ridge.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganchain.nets.portrait import SIDE
from ganchain.tensors import resize
from ganchain.train.landmarks import Points
from ganchain.train.teachers.prototypes import Floats, Prototypes, spline

UNITS = (2.7, 2.7)  # multiples of the regression's effect in a full step of age and of gender
KEPT = np.array([[0.3, 0.1, 0.1], [0.1, 0.1, 0.1]])  # share kept of the mean change of L, a, b: the rest is skin colour
EXPRESSION = np.array([3.5, 1.6])  # by age, gender: exaggeration of added detail, which log-means underrate
LOSS = 0.35  # share of EXPRESSION for detail that is lost
LINES = 11.0  # depth of a wrinkle in L
CALM = np.array([0.6, 0.25])  # by age, gender: share of the mean change of eyes and brows that is left out
LIPS = np.array([1.5, -6.0, -1.5])  # L*a*b* by which male lips differ from the average; female ones by the opposite
LASHES = -14.0  # in L
COARSE = 128  # side of the stored planes; the lines keep SIDE

Line = tuple[Points, float]


def planes(prototypes: Prototypes) -> tuple[Tensor, Tensor]:
    """Build ``planes`` and ``lines`` of ``ganchain.nets.portrait.Portrait``."""
    shape = prototypes.shape
    mask = face_mask(shape)
    mean = (prototypes.colour * mask).sum(axis=(2, 3), keepdims=True) / mask.sum()
    calm = 1 - CALM[:, None, None, None] * features(shape)  # averages of eyes and brows differ by blur, too
    below = hairless(shape)
    colour = (prototypes.colour - mean * (1 - KEPT[:, :, None, None])) * mask * calm * below
    detail = prototypes.detail * np.where(prototypes.detail > 0, 1, LOSS) * EXPRESSION[:, None, None, None] * mask
    detail *= np.stack([calm[0, 0], below])[:, None]
    colour[1] += LIPS[:, None, None] / UNITS[1] * lips(shape)
    layers = []
    for index, unit in enumerate(UNITS):
        moved = spline(shape + unit * prototypes.moves[index], shape)
        move = (moved - spline(shape, shape)).transpose(2, 0, 1)
        layers += [unit * colour[index], unit * detail[index], move]
    stacked = np.concatenate([*layers, cheeks(shape)[None]]).astype(np.float32)
    coarse = resize(torch.from_numpy(stacked)[None], (COARSE, COARSE))[0]
    drawn = np.stack([LINES * mask * wrinkles(shape), LASHES * lashes(shape), beard(shape)])
    return coarse, torch.from_numpy(drawn).float()


def hairless(points: Points) -> Floats:
    """Build a mask of 1 up to the brows that falls to 0 over the lower forehead: groups differ by their hair above.

    (SIDE, SIDE) 0..1.
    """
    brow, unit = float(points[[19, 24], 1].mean()), float(points[45, 0] - points[36, 0]) / 100
    rows = (np.arange(SIDE) - brow) / unit / 26 + 1.15
    return np.repeat(rows.clip(0, 1)[:, None], SIDE, axis=1).astype(np.float32)


def cheeks(points: Points) -> Floats:
    """Fill the middle of both cheeks and the nose: skin on every face. (SIDE, SIDE) 0..1."""
    left = points[[2, 30]].mean(axis=0) + np.array([(-9, -7), (9, -7), (9, 7), (-9, 7)])
    right = points[[14, 30]].mean(axis=0) + np.array([(-9, -7), (9, -7), (9, 7), (-9, 7)])
    return _fill([left, right, points[[28, 31, 35]]], -3, 1.5)


def face_mask(points: Points) -> Floats:
    """Fill jaw line and forehead, feathered. (SIDE, SIDE) 0..1."""
    brow, chin = points[17:27, 1].mean(), points[8, 1]
    arc = points[26:16:-1] - (0, 0.3 * (chin - brow))
    return _fill([np.concatenate([points[:17], arc])], -9, 6.0)


def features(points: Points) -> Floats:
    """Fill eyes and brows, feathered. (SIDE, SIDE) 0..1."""
    parts = [points[36:42], points[42:48], points[17:22], points[22:27]]
    return _fill(parts, 9, 3.0)


def lips(points: Points) -> Floats:
    """Fill both lips without the mouth's opening, feathered. (SIDE, SIDE) 0..1."""
    return _fill([points[48:60]], -3, 1.5) * (1 - _fill([points[60:68]], 1, 1.0))


def beard(points: Points) -> Floats:
    """Fill jaw, chin and upper lip, feathered, without the lips. (SIDE, SIDE) 0..1."""
    nose, inner = points[33] + (0, 5), points[[31, 35]] + (0, 6)
    left, right = (points[[a, b]].mean(axis=0) for a, b in ((3, 48), (13, 54)))
    ring = np.concatenate([points[2:15], [right], inner[1:], [nose], inner[:1], [left]])
    return _fill([ring], -7, 5.0) * (1 - _fill([points[48:60]], 5, 1.5))


def lashes(points: Points) -> Floats:
    """Draw the upper lids' lines, longest at the outer corners. (SIDE, SIDE) 0..1."""
    canvas = np.zeros((SIDE, SIDE), np.float32)
    for line in (points[36:40], points[[45, 44, 43, 42]]):
        outward = line[0] + (line[0] - line[3]) * 0.12 - (0, 1.5)
        place = np.round(np.concatenate([[outward], line]) * 16).astype(np.int32)
        cv2.polylines(canvas, [place], False, 1.0, 3, cv2.LINE_AA, 4)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 1.2), np.float32)


def _fill(parts: list[Points], grow: int, feather: float) -> Floats:
    """Fill polygons, grown or shrunk by ``grow`` px and feathered."""
    canvas = np.zeros((SIDE, SIDE), np.float32)
    for part in parts:
        cv2.fillPoly(canvas, [np.round(part).astype(np.int32)], 1.0)
    change = cv2.dilate if grow > 0 else cv2.erode
    return np.asarray(cv2.GaussianBlur(change(canvas, np.ones((abs(grow),) * 2)), (0, 0), feather), np.float32)


def wrinkles(shape: Points) -> Floats:
    """Draw the grooves (< 0) and ridges (> 0) of an old face with landmarks ``shape``. (SIDE, SIDE), about -1..1."""
    groove = np.zeros((SIDE, SIDE), np.float32)
    for line, depth in _lines(shape):
        curve = _curve(line)
        for index, (a, b) in enumerate(itertools.pairwise(curve)):
            taper = np.sin(np.pi * (index + 1) / len(curve)) ** 0.6
            (x, y), (u, v) = (np.round(end * 16).astype(int).tolist() for end in (a, b))  # 1/16 px
            stroke = np.zeros_like(groove)
            cv2.line(stroke, (x, y), (u, v), depth * float(taper), 1, cv2.LINE_AA, 4)
            groove = np.maximum(groove, stroke)
    groove = np.maximum(groove, groove[:, ::-1])
    fine, broad = (cv2.GaussianBlur(groove, (0, 0), sigma) * sigma * 2.5 for sigma in (1.1, 2.6))
    ridge = np.roll(broad, 3, axis=0)
    noise = np.random.default_rng(3).uniform(0.55, 1.15, (16, 16))
    waver = cv2.resize(noise, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return np.asarray((0.7 * ridge - fine - 0.35 * broad) * waver, np.float32)


def _lines(shape: Points) -> Iterator[Line]:
    """Yield the left half's folds as points and depth; the right half is their mirror image."""
    unit = float(shape[45, 0] - shape[36, 0]) / 100
    middle = float(shape[27, 0])

    def at(index: int, *offsets: tuple[float, float]) -> Points:
        return np.asarray(shape[index] + np.array(offsets) * unit)

    for height, depth in ((16, 0.7), (27, 0.9), (38, 0.7)):  # forehead
        y = float(shape[19, 1]) - height * unit
        yield np.array([(middle - 40 * unit, y + 3), (middle - 20 * unit, y - 3), (middle + 1, y + 2)]), depth
    yield at(21, (6, 2), (7, -5), (6, -13)), 0.7  # between the brows
    for lift, drop in ((-3, -11), (0, 0), (3, 10)):  # crow's feet
        yield at(36, (-6, lift), (-12, (lift + drop) / 2), (-19, drop)), 0.7
    yield at(39, (0, 6), (-10, 14), (-24, 15), (-35, 8)), 0.9  # bag under the eye
    yield at(39, (3, 11), (-10, 22), (-26, 23)), 0.45
    yield at(31, (-5, -3), (-14, 10), (-21, 27), (-23, 38)), 1.1  # nasolabial fold
    yield at(48, (-2, 3), (-6, 14), (-6, 24)), 0.8  # marionette line


def _curve(points: Points, count: int = 24) -> NDArray[np.float64]:
    """Fit a smooth curve through 3 or 4 points, a polynomial in the parameter: (count, 2)."""
    knots = np.linspace(0, 1, len(points))
    curve = np.vander(knots, increasing=True)
    weights = np.linalg.solve(curve, points)
    return np.asarray(np.vander(np.linspace(0, 1, count), len(points), increasing=True) @ weights)
