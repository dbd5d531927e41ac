"""Landmarks of training faces for the teachers that draw by hand-made rules, read by our own network of points."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ganchain.checkpoints import manifest
from ganchain.faces.face import Face
from ganchain.framing import TEMPLATE, Framing
from ganchain.pipeline.reader import FaceReader
from ganchain.tensors import Pixels
from ganchain.train.data import Sample, read

Points = NDArray[np.float64]

# the points of ``faces.mesh`` that stand for the 68 of the Multi-PIE mark-up (Gross et al. 2010), in its order
MARKUP = (
    *(127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356),  # 0-16 jaw
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),  # 17-26 brows
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),  # 27-35 nose
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # 36-47 eyes
    *(61, 39, 37, 0, 267, 269, 291, 321, 314, 17, 84, 91),  # 48-59 lips, outside
    *(78, 82, 13, 312, 308, 317, 14, 87),  # 60-67 lips, inside
)


def landmarks(faces: list[Sample], framing: Framing, cache: Path) -> Points:
    """Read the landmarks of aligned square pictures: (N, 68, 2) x, y in px; from ``cache`` (.npz) when it fits them."""
    names = np.array([manifest.entry("points").sha256, *(str(sample.path) for sample in faces)])
    if cache.exists():
        with np.load(cache) as stored:
            if np.array_equal(stored["names"], names):
                return np.asarray(stored["points"])
    reader = FaceReader(torch.device("cpu"))
    points = np.array([marked(aligned(read(sample.path), framing, reader)) for sample in faces]).reshape(-1, 68, 2)
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(cache, names=names, points=points)
    return points


def aligned(pixels: Pixels, framing: Framing, reader: FaceReader) -> Face:
    """Make the face of an aligned square picture (S, S, 3) uint8, which stands where the framing places it."""
    unit = pixels.shape[1] / framing.side
    place = (TEMPLATE - (framing.left, framing.top)) * unit - 0.5
    left, top = -framing.left * unit, -framing.top * unit
    face = Face((left, top, left + unit, top + unit), 1.0, place)
    return replace(face, reading=reader.of(pixels, face))


def marked(face: Face) -> Points:
    """Return the 68 landmarks of a face, (68, 2) x, y in px of its photo."""
    return face.points[list(MARKUP)]
