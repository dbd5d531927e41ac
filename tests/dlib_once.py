"""dlib's models, read once, and each picture searched once: hundreds of tests look for the same face."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any

from ganchain.faces.dlib_models import dlib
from ganchain.tensors import Pixels

MAKE_DETECTOR, MAKE_PREDICTOR = dlib.get_frontal_face_detector, dlib.shape_predictor


class Detector:
    """dlib's face detector with a memory; threads take turns."""

    def __init__(self) -> None:
        self.detector, self.lock, self.known = MAKE_DETECTOR(), Lock(), dict[Any, Any]()

    def __getstate__(self) -> Any:
        return self.detector.__getstate__()

    def run(self, pixels: Pixels, *options: float) -> Any:
        key = blake2b(pixels.tobytes()).digest(), pixels.shape, options
        with self.lock:
            if key not in self.known:
                self.known[key] = self.detector.run(pixels, *options)
            return self.known[key]


@cache
def detector() -> Detector:
    """In the place of ``dlib.get_frontal_face_detector``, which takes 0.2 s."""
    return Detector()


def predictor(file: str) -> Any:
    """In the place of ``dlib.shape_predictor``: a file that has not changed is read once."""
    state = Path(file).stat()
    return _predictor(file, state.st_size, state.st_mtime_ns)


@cache
def _predictor(file: str, size: int, changed: int) -> Any:
    return MAKE_PREDICTOR(file)
