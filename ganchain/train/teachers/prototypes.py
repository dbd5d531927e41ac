"""Age and gender by prototypes (Rowland & Perrett 1995): the average difference is added to a face.

Instead of two averages, a linear regression over all labelled faces measures the effect of age and of gender
on shape, colour and detail, with ethnicity, source, smile, pose and sharpness held constant. So the edit
keeps skin colour and expression. Averages have no wrinkles and no beard. So the amplitude of the face's own
detail is scaled, band by band, to that of the group (Tiddeman, Burt & Perrett 2001).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.nets.portrait import SIDE, SIGMAS
from ganchain.tensors import Pixels
from ganchain.train.data import Sample, read
from ganchain.train.landmarks import Points

Floats = NDArray[np.float32]

AGES = {"2": -1.0, "3": -0.4, "4": 0.1, "5": 0.6, "6": 1.0, "7": 1.0}  # by the first digit of the label
MIRROR = [
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    *range(45, 41, -1), 47, 46, *range(39, 35, -1), 41, 40,
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1),
]  # fmt: skip
EDGE = np.array([(x, y) for x in np.linspace(0, SIDE - 1, 6) for y in np.linspace(0, SIDE - 1, 6)
                 if x in (0, SIDE - 1) or y in (0, SIDE - 1)])  # fmt: skip


@dataclass(frozen=True, eq=False)
class Prototypes:
    """Effects of one unit of age and of gender (first axis) in the frame of the mean face, ``SIDE`` px.

    Attributes:
        shape: (68, 2) the mean landmarks, x and y in px.
        moves: (2, 68, 2) px.
        colour: (2, 3, SIDE, SIDE) L*a*b* (L 0..100).
        detail: (2, K, SIDE, SIDE) logarithm of the gain of each band of L.
    """

    shape: Points
    moves: Points
    colour: Floats
    detail: Floats

    @classmethod
    def load(cls, path: Path) -> Prototypes:
        with np.load(path) as stored:
            return cls(**{name: stored[name] for name in ("shape", "moves", "colour", "detail")})

    def save(self, path: Path) -> None:
        np.savez_compressed(path, **asdict(self))


def measure(faces: Sequence[Sample], points: Points) -> Prototypes:
    """Measure the effects over labelled faces: aligned ``SIDE`` px pictures and their (N, 68, 2) landmarks."""
    usable = [i for i, s in enumerate(faces) if s.labels["gender"] and s.labels["age"] and frontal(points[i])]
    faces, points = [faces[i] for i in usable], points[usable]
    causes = np.stack([_causes(s, p) for s, p in zip(faces, points, strict=True)])
    shapes = np.linalg.lstsq(causes, points.reshape(len(points), -1), rcond=None)[0].reshape(-1, 68, 2)
    shape = _even(points.mean(axis=0))
    square, product = np.zeros((causes.shape[1] + 1,) * 2), np.zeros((causes.shape[1] + 1, 7, SIDE, SIDE))
    for sample, place, cause in zip(faces, points, causes, strict=True):
        lab = np.asarray(cv2.remap(to_lab(read(sample.path)), *grid(shape, place), cv2.INTER_LINEAR), np.float32)
        energy = np.stack([_energy(band) for band in bands(lab[..., 0])[:-1]])
        sharp = float(energy[0, 80:120, 50:206].mean())  # around the eyes: lashes have no age
        row = np.append(cause, sharp)
        square += np.outer(row, row)
        product += row[:, None, None, None] * np.concatenate([lab.transpose(2, 0, 1), energy])[None]
    effects = np.linalg.solve(square + 1e-3 * np.eye(len(square)), product.reshape(len(square), -1))
    maps = effects.reshape(product.shape)[1:3]
    maps = ((maps + maps[..., ::-1]) / 2).astype(np.float32)
    moves = np.stack([_even(shape + move) - shape for move in shapes[1:3]])
    return Prototypes(shape, moves, maps[:, :3], maps[:, 3:])


def frontal(points: Points) -> bool:
    """Return whether the nose stands between the eyes, with about as much jaw on both sides."""
    left, right = points[27, 0] - points[0, 0], points[16, 0] - points[27, 0]
    return bool(0.6 < left / max(right, 1.0) < 1.67)


def _causes(sample: Sample, points: Points) -> NDArray[np.float64]:
    """Return 1, age, gender, and the causes to hold constant: smile, open mouth, yaw, pitch, ethnicity, source."""
    labels = sample.labels
    eyes = float(np.linalg.norm(points[42:48].mean(axis=0) - points[36:42].mean(axis=0)))
    smile = np.linalg.norm(points[54] - points[48]) / eyes - 0.85
    lift = (points[62, 1] - points[[48, 54], 1].mean()) / eyes
    opened = (points[66, 1] - points[62, 1]) / eyes
    yaw = (points[30, 0] - points[[0, 16], 0].mean()) / eyes
    pitch = (points[30, 1] - points[27, 1]) / eyes - 0.6
    kinds = ["White", "Latino_Hispanic", "East Asian", "Indian", "Southeast Asian", "Middle Eastern", "Black"]
    kind = [float(labels["race"] == name) for name in kinds[1:]]
    source = [float(labels["dataset"] == name) for name in ("congress_225x275", "congress_335x410")]
    gender = 1.0 if labels["gender"] == "male" else -1.0
    return np.array([1, AGES[labels["age"][0]], gender, smile, lift, opened, yaw, pitch, *kind, *source])


def _even(shape: Points) -> Points:
    """Average a shape and its mirror image."""
    mirrored = shape[MIRROR] * (-1, 1) + (SIDE - 1, 0)
    return (shape + mirrored) / 2


def to_lab(pixels: Pixels) -> Floats:
    """Convert sRGB (H, W, 3) uint8 to L*a*b* (H, W, 3), L 0..100."""
    return np.asarray(cv2.cvtColor(np.asarray(pixels / 255, np.float32), cv2.COLOR_RGB2LAB), np.float32)


def bands(light: Floats) -> list[Floats]:
    """Split lightness into differences of Gaussians, finest first, and the rest; their sum is ``light``. (H, W)."""
    smooth = [light, *(np.asarray(cv2.GaussianBlur(light, (0, 0), sigma), np.float32) for sigma in SIGMAS)]
    return [a - b for a, b in itertools.pairwise([*smooth, np.zeros_like(light)])]


def _energy(band: Floats) -> Floats:
    """Compute the logarithm of the amplitude of a band around each pixel."""
    return np.log(np.sqrt(cv2.GaussianBlur(band * band, (0, 0), 4.0)) + 0.3)


def spline(sources: Points, targets: Points, step: int = 15) -> Floats:
    """Fit a thin-plate spline (Bookstein 1989) through point pairs: (SIDE, SIDE, 2) x, y.

    The picture's edge stays where it is.
    """
    origin, goal = np.concatenate([sources, EDGE]), np.concatenate([targets, EDGE])
    count = len(origin)
    affine = np.concatenate([np.ones((count, 1)), origin], axis=1)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _kernel(origin, origin) + 20 * np.eye(count)
    system[:count, count:], system[count:, :count] = affine, affine.T
    weights = np.linalg.solve(system, np.concatenate([goal - origin, np.zeros((3, 2))]))
    axis = np.linspace(0, SIDE - 1, SIDE // step + 1)
    nodes = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    moved = _kernel(nodes, origin) @ weights[:count] + np.c_[np.ones(len(nodes)), nodes] @ weights[count:]
    coarse = moved.reshape(len(axis), len(axis), 2).astype(np.float32)
    positions = np.linspace(0, len(axis) - 1, SIDE, dtype=np.float32)
    dense = cv2.remap(coarse, *np.meshgrid(positions, positions), cv2.INTER_LINEAR)
    return np.asarray(dense + np.stack(np.meshgrid(*[np.arange(SIDE)] * 2), axis=-1), np.float32)


def _kernel(a: Points, b: Points) -> NDArray[np.float64]:
    """Compute the spline's kernel between two sets of points."""
    squared = np.square(a[:, None] - b[None]).sum(axis=2)
    return np.asarray(squared * np.log(squared + 1e-9))


def grid(sources: Points, targets: Points) -> tuple[Floats, Floats]:
    """Return the maps x and y of a spline, as ``cv2.remap`` takes them."""
    places = spline(sources, targets)
    return places[..., 0], places[..., 1]
