"""Landmarks (68) of the aligned training faces: a teacher for training, never needed at run time.

dlib's 68-point model was trained on iBUG 300-W and is not for commercial use. The shipped weights are trained on
pictures that were made with its help, and the model cards say so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ganchain.faces.dlib_models import Landmarks, Points
from ganchain.framing import Framing
from ganchain.train.data import Sample, read

MODEL = "shape_predictor_68_face_landmarks.dat"


def landmarks(faces: list[Sample], framing: Framing, cache: Path) -> Points:
    """Read the landmarks of aligned square pictures: (N, 68, 2) x, y in px; from ``cache`` (.npz) when it fits them."""
    names = np.array([str(sample.path) for sample in faces])
    if cache.exists():
        with np.load(cache) as stored:
            if np.array_equal(stored["names"], names):
                return stored["points"]
    predictor = Landmarks(MODEL)
    points = np.array([_points(predictor, sample, framing) for sample in faces]).reshape(-1, 68, 2)
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(cache, names=names, points=points)
    return points


def _points(predictor: Landmarks, sample: Sample, framing: Framing) -> Points:
    """Read the landmarks of one face; its box is the unit square of the template, as the framing places it."""
    pixels = read(sample.path)
    unit = pixels.shape[1] / framing.side
    left, top = -framing.left * unit, -framing.top * unit
    return predictor(pixels, (left, top, left + unit, top + unit))
