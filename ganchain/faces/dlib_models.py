"""HOG face detection, landmarks and face embeddings; the only file that imports dlib."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property, lru_cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import dlib as untyped_dlib
import numpy as np
from numpy.typing import NDArray

from ganchain import files
from ganchain.errors import WeightsError
from ganchain.faces.chip import Box, Chip, Points, box_around, mirrored
from ganchain.tensors import Pixels

dlib: Any = untyped_dlib  # its names come from a compiled module without stubs
WINDOW, CELL = 73, 8  # px of a face in the window that the detector slides over a picture, and of its steps
BUNDLED = "landmarks.dat"
BUNDLED_SHA256 = "1011ccf8b0648de61d5c4115730e88f7cece348cb42678c165182bbab3a35bc2"  # as in weights/manifest.yaml
TEACHER = "shape_predictor_5_face_landmarks.dat"
EMBEDDING = "dlib_face_recognition_resnet_model_v1.dat"


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


@lru_cache(maxsize=1)
def _level() -> tuple[Any, Lock]:
    """Make a copy of the detector that looks at one level of its pyramid; a number in its stored form says how many."""
    (state,) = _hog()[0].__getstate__()
    detector = dlib.fhog_object_detector.__new__(dlib.fhog_object_detector)
    detector.__setstate__((state.replace(b"\x02\xe8\x03", b"\x01\x01", 1),))  # 1000 levels at most; one
    return detector, Lock()


if hasattr(os, "register_at_fork"):  # a copy made while another thread held the lock would be locked for ever
    os.register_at_fork(after_in_child=_hog.cache_clear)
    os.register_at_fork(after_in_child=_level.cache_clear)


class HogDetector:
    """Detector of frontal faces of dlib (HOG + linear SVM; Dalal & Triggs 2005), for faces of 80 px and more.

    Threads take turns: dlib's object keeps the picture's pyramid in itself while it runs, and runs without Python's
    global lock.
    """

    smallest = 80

    def __call__(self, pixels: Pixels, threshold: float = 0.0) -> list[tuple[Box, float]]:
        """Find the faces in (H, W, 3) uint8 RGB: ((left, top, right, bottom), score) of each, best first."""
        return _run(*_hog(), pixels, threshold)


class LevelDetector:
    """The same detector for faces of the size of its window: it looks at one level of its pyramid."""

    def __call__(self, pixels: Pixels, threshold: float = 0.0) -> list[tuple[Box, float]]:
        """Find the faces in (H, W, 3) uint8 RGB: ((left, top, right, bottom), score) of each, best first."""
        return _run(*_level(), pixels, threshold)


def _run(detector: Any, lock: Lock, pixels: Pixels, threshold: float) -> list[tuple[Box, float]]:
    """Run one of dlib's detectors; threads take turns."""
    with lock:
        boxes, scores, _ = detector.run(np.ascontiguousarray(pixels), 0, threshold)
    faces = [
        ((float(b.left()), float(b.top()), float(b.right()), float(b.bottom())), float(score))
        for b, score in zip(boxes, scores, strict=True)
    ]
    return sorted(faces, key=lambda face: -face[1])


def enlarged(box: Box, level: int) -> Box:
    """Bring a box from a level of the detector's pyramid to the whole picture, rounded as dlib does."""
    edges = dlib.pyramid_down(6).rect_up(dlib.drectangle(*box), level)
    left, top, right, bottom = (
        float(np.floor(edge + 0.5)) for edge in (edges.left(), edges.top(), edges.right(), edges.bottom())
    )
    return (left, top, right, bottom)


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


def from_both_sides(model: Landmarks, pixels: Pixels, box: Box) -> Points:
    """Average the points that ``model`` reads in a picture and in its mirror image: (5, 2) x, y."""
    last = pixels.shape[1] - 1
    mirror_points = model(pixels[:, ::-1], (last - box[2], box[1], last - box[0], box[3]))
    return (model(pixels, box) + mirrored(mirror_points, pixels.shape[1])) / 2


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
