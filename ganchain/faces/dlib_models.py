"""HOG face detection, landmarks and face embeddings; the only file that imports dlib."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import dlib as untyped_dlib
import numpy as np
from numpy.typing import NDArray

from ganchain import files
from ganchain.errors import WeightsError
from ganchain.framing import TEMPLATE
from ganchain.tensors import ByContent, Pixels

Points = NDArray[np.float64]
dlib: Any = untyped_dlib  # its names come from a compiled module without stubs
Box = tuple[float, float, float, float]  # left, top, right, bottom in px
BUNDLED = "landmarks.dat"
BUNDLED_SHA256 = "1011ccf8b0648de61d5c4115730e88f7cece348cb42678c165182bbab3a35bc2"  # as in weights/manifest.yaml
TEACHER = "shape_predictor_5_face_landmarks.dat"
EMBEDDING = "dlib_face_recognition_resnet_model_v1.dat"
MIRRORED = [2, 3, 0, 1, 4]  # the five points' order in a mirrored picture
BOX_DROP, BOX_SIDE = 0.185, 1.25  # the detector's box in template units: its middle below the points'; its side
CHIP_SIDE, CHIP_PADDING = 208, 0.15  # px; share of the box around it


def model_file(name: str) -> Path:
    """Return the path of the bundled shape predictor, or of one of dlib's models in ``face_recognition_models``.

    The package ``face_recognition_models`` is located, not imported: its ``__init__`` needs pkg_resources, which
    setuptools dropped.

    Raises:
        WeightsError: the file is not there; it says what brings it.
    """
    if name == BUNDLED:
        return Path(str(resources.files("ganchain.weights") / name))
    spec = find_spec("face_recognition_models")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "models" / name
        if path.is_file():
            return path
    raise WeightsError(f"dlib's {name} is not installed; get it by: pip install 'ganchain[evaluate]'")


@lru_cache(maxsize=1)
def _hog() -> tuple[Any, Lock]:
    """Unpack dlib's detector, once a process: it takes 0.2 s; the lock is held while it runs."""
    return dlib.get_frontal_face_detector(), Lock()


if hasattr(os, "register_at_fork"):  # a copy made while another thread held the lock would be locked for ever
    os.register_at_fork(after_in_child=_hog.cache_clear)


class HogDetector:
    """Detector of frontal faces of dlib (HOG + linear SVM; Dalal & Triggs 2005), for faces of 80 px and more.

    Threads take turns: dlib's object keeps the picture's pyramid in itself while it runs, and runs without Python's
    global lock.
    """

    smallest = 80

    def __call__(self, pixels: Pixels, threshold: float = 0.0) -> list[tuple[Box, float]]:
        """Find the faces in (H, W, 3) uint8 RGB: ((left, top, right, bottom), score) of each, best first."""
        detector, lock = _hog()
        with lock:
            boxes, scores, _ = detector.run(np.ascontiguousarray(pixels), 0, threshold)
        faces = [
            ((float(b.left()), float(b.top()), float(b.right()), float(b.bottom())), float(score))
            for b, score in zip(boxes, scores, strict=True)
        ]
        return sorted(faces, key=lambda face: -face[1])


@dataclass(frozen=True, eq=False)
class Chip(ByContent):
    """Face at one size and one exposure, so that a small predictor need learn neither.

    Attributes:
        pixels: (CHIP_SIDE, CHIP_SIDE) uint8 luma, stretched to the full range; the photo's edge repeated beyond it.
        corner: x, y of its first pixel's upper left corner in the photo.
        scale: px of the chip in one of the photo.
    """

    pixels: Pixels
    corner: NDArray[np.float64]
    scale: float

    @classmethod
    def cut(cls, pixels: Pixels, box: Box) -> Chip:
        """Cut the chip around ``box`` out of (H, W, 3) uint8 RGB."""
        height, width = pixels.shape[:2]
        side = max(box[2] - box[0], 2)
        left, top = (round(edge - CHIP_PADDING * side) for edge in box[:2])
        side *= 1 + 2 * CHIP_PADDING
        step = max(1, int(side) // CHIP_SIDE)  # large faces are first reduced by a whole number, which is fast
        size = round(side / step) * step
        rows, columns = np.arange(top, top + size).clip(0, height - 1), np.arange(left, left + size).clip(0, width - 1)
        inside = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        crop = cv2.cvtColor(inside, cv2.COLOR_RGB2GRAY)
        if crop.shape != (size, size):
            crop = crop[rows - rows[0]][:, columns - columns[0]]
        crop = cv2.resize(crop, (size // step, size // step), interpolation=cv2.INTER_AREA)
        kernel = cv2.INTER_AREA if len(crop) > CHIP_SIDE else cv2.INTER_LINEAR
        chip = cv2.resize(crop, (CHIP_SIDE, CHIP_SIDE), interpolation=kernel)
        rim = round(CHIP_SIDE * CHIP_PADDING / (1 + 2 * CHIP_PADDING))
        low, high = np.percentile(chip[rim:-rim, rim:-rim], (1, 99))
        levels = (np.arange(256) - low) * (255 / max(high - low, 8))
        chip = levels.round().clip(0, 255).astype(np.uint8)[chip]
        return cls(chip, np.array([left, top]) - 0.5, CHIP_SIDE / size)

    def inward(self, points: Points) -> Points:
        """Convert photo px to chip px."""
        return (points - self.corner) * self.scale - 0.5

    def place(self, box: Box) -> Box:
        """Convert a box of the photo to chip px."""
        left, top, right, bottom = self.inward(np.array(box).reshape(2, 2)).ravel().tolist()
        return (left, top, right, bottom)

    def outward(self, points: Points) -> Points:
        """Convert chip px to photo px."""
        return (points + 0.5) / self.scale + self.corner


class Landmarks:
    """Shape predictor (Kazemi & Sullivan 2014), run by dlib: one of dlib's models, or a file."""

    def __init__(self, model: str | Path = TEACHER) -> None:
        self.model = model

    @cached_property
    def _predictor(self) -> Any:
        file = self.model if isinstance(self.model, Path) else model_file(self.model)
        try:
            if self.model == BUNDLED and (digest := files.sha256(file)) != BUNDLED_SHA256:
                reason = f"the file was changed or cut (SHA-256 {digest[:12]}…, expected {BUNDLED_SHA256[:12]}…)"
                raise WeightsError(f"{reason}; reinstall ganchain", ref=file)
            return dlib.shape_predictor(str(file))
        except OSError as error:
            raise WeightsError(f"cannot be read: {error.strerror}; reinstall ganchain", ref=file) from error
        except RuntimeError as error:
            raise WeightsError(f"not a shape predictor, or cut: {error}", ref=file) from error

    def __call__(self, pixels: Pixels, box: Box) -> Points:
        """Predict the (P, 2) x, y in px of the face in ``box`` of (H, W, 3) or (H, W) uint8."""
        rectangle = dlib.rectangle(*(round(edge) for edge in box))
        shape = self._predictor(np.ascontiguousarray(pixels), rectangle)
        return np.array([(point.x, point.y) for point in shape.parts()], dtype=np.float64)


def mirrored(points: Points, width: int) -> Points:
    """Mirror the five points of a picture ``width`` px wide."""
    return points[MIRRORED] * (-1, 1) + (width - 1, 0)


def from_both_sides(model: Landmarks, pixels: Pixels, box: Box) -> Points:
    """Average the points that ``model`` reads in a picture and in its mirror image: (5, 2) x, y."""
    last = pixels.shape[1] - 1
    mirror_points = model(pixels[:, ::-1], (last - box[2], box[1], last - box[0], box[3]))
    return (model(pixels, box) + mirrored(mirror_points, pixels.shape[1])) / 2


def box_around(points: Points) -> tuple[Points, float]:
    """Compute middle (x, y) and side of the box that the detector would give a face with these five points."""
    unit = float(np.linalg.norm(points - points.mean(axis=0)) / np.linalg.norm(TEMPLATE - TEMPLATE.mean(axis=0)))
    across = points[:2].mean(axis=0) - points[2:4].mean(axis=0)
    down = np.array([-across[1], across[0]]) / max(np.linalg.norm(across), 1e-6)
    return points.mean(axis=0) + BOX_DROP * unit * down, BOX_SIDE * unit


class FivePoints:
    """Five landmarks of our own: the corners of the eyes and the base of the nose, in the template's order.

    They are read twice: the detector's boxes come in coarse steps, so the second box is fitted to the first reading.
    """

    def __init__(self, model: str | Path = BUNDLED) -> None:
        self._model = Landmarks(model)

    def __call__(self, pixels: Pixels, box: Box) -> Points:
        """Read the (5, 2) x, y in px of the face in ``box`` of (H, W, 3) uint8 RGB."""
        middle, side = box_around(self._read(pixels, box))
        left, top, right, bottom = (edge for sign in (-1, 1) for edge in (middle + sign * side / 2).tolist())
        return self._read(pixels, (left, top, right, bottom))

    def _read(self, pixels: Pixels, box: Box) -> Points:
        """Read the points once, in ``box``."""
        chip = Chip.cut(pixels, box)
        return chip.outward(from_both_sides(self._model, chip.pixels, chip.place(box)))


def fit(pictures: Sequence[Pixels], boxes: Sequence[Box], points: Sequence[Points], file: Path, **options: Any) -> None:
    """Train a shape predictor and write it to ``file``.

    Args:
        pictures: (H, W) or (H, W, 3) uint8 each, one face in each.
        boxes, points: the face's box and its (P, 2) points, in px.
        options: fields of ``dlib.shape_predictor_training_options``.
    """
    settings = dlib.shape_predictor_training_options()
    for name, value in options.items():
        setattr(settings, name, value)
    shapes = []
    for box, face_points in zip(boxes, points, strict=True):
        parts = dlib.points([dlib.point(round(x), round(y)) for x, y in face_points.tolist()])
        shapes.append([dlib.full_object_detection(dlib.rectangle(*(round(edge) for edge in box)), parts)])
    dlib.train_shape_predictor(list(pictures), shapes, settings).save(str(file))


class Embedder:
    """Face recognition network of dlib: 128 numbers a face; 0.6 apart is its line between persons.

    Safe among threads: they take turns.
    """

    def __init__(self) -> None:
        self._network, self._lock = dlib.face_recognition_model_v1(str(model_file(EMBEDDING))), Lock()

    def __call__(self, chip: Pixels) -> NDArray[np.float64]:
        """Compute the (128,) embedding of a (150, 150, 3) uint8 RGB chip of padding 0.25."""
        with self._lock:  # the network keeps what its layers answered
            return np.asarray(self._network.compute_face_descriptor(np.ascontiguousarray(chip)))
