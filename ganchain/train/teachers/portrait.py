"""A face moved along age and gender: prototypes for shape, colour and detail, and drawn lines for old age.

Averages blur wrinkles away, so the folds that all old faces share (forehead, crow's feet, bags, nasolabial and
marionette lines) are drawn in the frame of the mean face, a groove with its lit ridge, on skin only.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.dlib_detector import Points
from ganchain.tensors import Pixels
from ganchain.train.teachers.prototypes import SIDE, Floats, Prototypes, bands, spline, to_lab

UNITS = np.array([2.2, 2.4])  # of the regression's effect in a full step of age and of gender
KEPT = np.array([0.3, 0.1, 0.1])  # of the mean change of L, a and b: the rest is skin colour
EXPRESSION, LOSS = 3.5, 0.35  # detail gained is exaggerated (log-means underrate it), detail lost is not
LINES = 12.0  # depth of a wrinkle in L

Line = tuple[Points, float]


@dataclass(frozen=True)
class Edit:
    """What an edit is made of: out(x, y) = face((x, y) + flow) + residual.

    Attributes:
        flow: (SIDE, SIDE, 2) x, y in px.
        residual: (SIDE, SIDE, 3) RGB in 8-bit levels.
    """

    flow: Floats
    residual: Floats


class Editor:
    """The teacher: prototypes with what is derived from them once."""

    def __init__(self, prototypes: Prototypes) -> None:
        self.prototypes = prototypes
        shape = prototypes.shape
        mask = face_mask(shape)
        mean = (prototypes.colour * mask).sum(axis=(2, 3), keepdims=True) / mask.sum()
        calm = 1 - 0.6 * features(shape)  # averages of eyes and brows differ mostly by blur
        colour = (prototypes.colour - mean * (1 - KEPT[:, None, None])) * mask * calm
        detail = prototypes.detail * np.where(prototypes.detail > 0, EXPRESSION, LOSS * EXPRESSION) * mask
        detail[0] *= calm
        planes = np.concatenate([colour[0], colour[1], detail[0], detail[1], wrinkles(shape)[None]])
        self.planes = np.ascontiguousarray(planes.transpose(1, 2, 0), np.float32)

    def __call__(self, pixels: Pixels, points: Points, condition: Sequence[float]) -> Edit:
        """(SIDE, SIDE, 3) uint8 and its (68, 2) landmarks in px; condition: (age, gender), each -1..1."""
        age, gender = UNITS * np.asarray(condition)
        own = spline(points, self.prototypes.shape)
        halves = np.split(self.planes, [10], axis=2)
        planes = np.concatenate([np.atleast_3d(_look(half, own)) for half in halves], axis=2)
        count = (planes.shape[2] - 7) // 2
        lab = to_lab(pixels)
        detail = age * planes[..., 6 : 6 + count] + gender * planes[..., 6 + count : 6 + 2 * count]
        gains = np.exp(np.clip(detail, -1.0, 1.0)) - 1
        change = age * planes[..., :3] + gender * planes[..., 3:6]
        for index, band in enumerate(bands(np.ascontiguousarray(lab[..., 0]))[:-1]):
            change[..., 0] += gains[..., index] * band
        change[..., 0] += max(condition[0], 0.0) * LINES * planes[..., -1] * _bare(lab, points)
        changed = cv2.cvtColor(np.asarray(lab + change, np.float32), cv2.COLOR_LAB2RGB).clip(0, 1) * 255
        moves = age * self.prototypes.moves[0] + gender * self.prototypes.moves[1]
        flow = spline(points + moves, points)
        return Edit(flow - _identity(), _look(np.asarray(changed - pixels, np.float32), flow))


def _look(planes: Floats, where: Floats) -> Floats:
    """Sample (H, W, C) at the px of ``where`` (H, W, 2)."""
    return np.asarray(cv2.remap(planes, where[..., 0], where[..., 1], cv2.INTER_LINEAR), np.float32)


@lru_cache(maxsize=1)
def _identity() -> Floats:
    return np.asarray(np.stack(np.meshgrid(*[np.arange(SIDE)] * 2), axis=-1), np.float32)


def _bare(lab: Floats, points: Points) -> Floats:
    """Where there is skin, by the colour of the cheeks: hair, glasses and shadows get no wrinkles. 0..1."""
    places = np.concatenate([points[[29, 30]], (points[[2, 14]] + points[[30, 30]]) / 2]).round().astype(int)
    samples = [lab[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3) for x, y in places.clip(3, SIDE - 4)]
    cheek = np.median(np.concatenate(samples), axis=0)
    far = np.sqrt(np.square((lab - cheek) / (18, 8, 8)).sum(axis=2))
    return np.asarray(cv2.GaussianBlur((1.9 - far).clip(0, 1), (0, 0), 2.0), np.float32)


def face_mask(points: Points) -> Floats:
    """Jaw line and forehead, feathered. (SIDE, SIDE) 0..1."""
    brow, chin = points[17:27, 1].mean(), points[8, 1]
    arc = points[26:16:-1] - (0, 0.3 * (chin - brow))
    return _filled([np.concatenate([points[:17], arc])], -9, 6.0)


def features(points: Points) -> Floats:
    """Eyes and brows, feathered. (SIDE, SIDE) 0..1."""
    parts = [points[36:42], points[42:48], points[17:22], points[22:27]]
    return _filled(parts, 9, 3.0)


def _filled(parts: list[Points], grow: int, feather: float) -> Floats:
    canvas = np.zeros((SIDE, SIDE), np.float32)
    for part in parts:
        cv2.fillPoly(canvas, [np.round(part).astype(np.int32)], 1.0)
    change = cv2.dilate if grow > 0 else cv2.erode
    return np.asarray(cv2.GaussianBlur(change(canvas, np.ones((abs(grow),) * 2)), (0, 0), feather), np.float32)


def wrinkles(shape: Points) -> Floats:
    """Grooves (below 0) and ridges (above 0) of an old face with landmarks ``shape``. (SIDE, SIDE), about -1..1."""
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
    """The left half's folds as points and depth: the right half is their mirror image."""
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
    """A smooth curve through 3 or 4 points: the polynomial in the parameter. (count, 2)."""
    knots = np.linspace(0, 1, len(points))
    curve = np.vander(knots, increasing=True)
    weights = np.linalg.solve(curve, points)
    return np.asarray(np.vander(np.linspace(0, 1, count), len(points), increasing=True) @ weights)
