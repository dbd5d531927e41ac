"""Detection of faces in a photo, and the choice among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import cv2
import numpy as np

from ganchain.errors import ChainError
from ganchain.faces.cascade import Cascade
from ganchain.faces.chip import Box, Points
from ganchain.faces.dlib_models import FivePoints
from ganchain.faces.face import Face
from ganchain.tensors import Pixels, averaged

FaceRule = Literal["all", "largest", "best"] | list[int]
NOT_CHOSEN = "not chosen by faces"
ROW = 0.5  # of a box: faces whose middles lie closer than that in height stand in one row


class Detector(Protocol):
    """Interface of a detector of faces; ``ganchain.testing.FakeDetector`` is one for tests."""

    def __call__(self, pixels: Pixels) -> list[Face]:
        """Find all faces in (H, W, 3) uint8 RGB, best first; those not to be edited have a reason (``left_out``)."""
        ...


@dataclass(frozen=True)
class DlibDetector:
    """Detector of frontal faces by dlib's HOG model, on a copy of bounded size, with five landmarks of each.

    Safe among threads: they take turns at the model.

    Attributes:
        side: longest side in px of the copy that is searched. Measured by ``benchmarks/detection.py``.
        enlarge: small photos are enlarged up to this factor, so that faces of 40 px are found in them.
        rim: mirrored border around the copy, as a share of its shorter side, for faces that touch the edge.
        min_score: detections below it are left out; dlib's false faces lie mostly below 0.2.
        min_score_turned: the same for faces of the photo turned by a quarter or more.
        quarters: turns of the photo, counterclockwise, in which faces are looked for where there is no sure one.
        min_size: faces with a box smaller than this many px are left out.
        hog, landmarks: the models; the first one is dlib's, run where a network proposes faces.
    """

    side: int = 1280
    enlarge: float = 2.0
    rim: float = 0.08
    min_score: float = 0.2
    min_score_turned: float = 0.5
    quarters: tuple[int, ...] = (1, 2, 3)
    min_size: int = 32
    hog: Callable[[Pixels], list[tuple[Box, float]]] = field(default_factory=Cascade, repr=False, compare=False)
    landmarks: Callable[[Pixels, Box], Points] = field(default_factory=FivePoints, repr=False, compare=False)

    def __call__(self, pixels: Pixels) -> list[Face]:
        """Find all faces in (H, W, 3) uint8 RGB, best first; those not to be edited have a reason (``left_out``).

        If there is no sure one, the photo is turned by 90, 180 and 270 degrees: somebody may have held the camera so.
        """
        faces = self._upright(pixels)
        if not self.quarters or any(face.score >= self.min_score_turned for face in faces):
            return faces
        return max((self._turned(pixels, quarters) for quarters in self.quarters), key=_surest) or faces

    def _turned(self, pixels: Pixels, quarters: int) -> list[Face]:
        """Find the sure faces of the photo turned counterclockwise; they lie where they are in the photo.

        They are looked for on a smaller copy: it is the portrait that somebody turned the camera for.
        """
        faces = replace(self, side=self.side // 2)._upright(np.ascontiguousarray(np.rot90(pixels, quarters)))
        return [_turned_back(face, quarters, pixels.shape[:2]) for face in faces if face.score >= self.min_score_turned]

    def _upright(self, pixels: Pixels) -> list[Face]:
        """Find the faces of the photo as it is."""
        height, width = pixels.shape[:2]
        scale = min(self.side / max(height, width), self.enlarge)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        step = int(1 / scale)
        # means of ``step`` px are smooth already
        kind = cv2.INTER_AREA if step == 1 and scale < 1 else cv2.INTER_LINEAR
        copy = cv2.resize(averaged(pixels, step), size, interpolation=kind)
        rim = min(round(self.rim * min(size)), min(size) - 1)
        searched = np.asarray(cv2.copyMakeBorder(copy, rim, rim, rim, rim, cv2.BORDER_REFLECT_101), np.uint8)
        faces = []
        for box, score in self.hog(searched):
            left, top, right, bottom = ((edge - rim + 0.5) / scale - 0.5 for edge in box)
            photo_box = (left, top, right, bottom)
            if scale > 1:  # the landmarks are read where there are more pixels
                points = (self.landmarks(searched, box) - rim + 0.5) / scale - 0.5
            else:
                points = self.landmarks(pixels, photo_box)
            faces.append(self._checked(Face(photo_box, score, points), (width, height)))
        return faces

    def _checked(self, face: Face, size: tuple[int, int]) -> Face:
        """Give ``face`` a reason to be left out, if there is one."""
        x, y = face.landmarks.mean(axis=0)
        if face.score < self.min_score:
            return replace(face, left_out=f"score {face.score:.2f} below {self.min_score:g}")
        if face.size < self.min_size:
            return replace(face, left_out=f"face of {face.size:.0f} px smaller than {self.min_size} px")
        if not (0 <= x < size[0] and 0 <= y < size[1]):
            return replace(face, left_out="outside the photo")
        return face


def _surest(faces: Sequence[Face]) -> float:
    """Return the highest score."""
    return max((face.score for face in faces), default=0.0)


def _turned_back(face: Face, quarters: int, size: tuple[int, ...]) -> Face:
    """Bring a face that was found in a turned photo to its place in the photo of ``size`` (height, width)."""
    height, width = size

    def back(x: float, y: float) -> tuple[float, float]:
        return {1: (width - 1 - y, x), 2: (width - 1 - x, height - 1 - y), 3: (y, height - 1 - x)}[quarters]

    (x0, y0), (x1, y1) = back(*face.box[:2]), back(*face.box[2:])
    box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    landmarks = np.array([back(float(x), float(y)) for x, y in face.landmarks])
    return replace(face, box=box, landmarks=landmarks, turned=90 * quarters)


def checked(face: Face) -> Face:
    """Give a face that is to be edited a reason to be left out if its points say that it is none."""
    if face.left_out is None and face.confidence < 0.5:
        return replace(face, left_out=f"no face by its points (confidence {face.confidence:.2f})")
    return face


def best(faces: Sequence[Face]) -> Face | None:
    """Return the usable face that the detector is surest of; None if there is none."""
    return max((face for face in faces if face.left_out is None), key=lambda face: face.score, default=None)


def in_reading_order(faces: Sequence[Face]) -> list[Face]:
    """Sort detections by their place: rows from above, and the faces of a row from the left; those left out come last.

    The place is that of the five points, which moves less than the box when a photo is saved again.
    """
    rows: list[list[Face]] = []
    for face in sorted((face for face in faces if face.left_out is None), key=lambda face: _middle(face)[1]):
        above = rows[-1][-1] if rows else None
        if above and _middle(face)[1] - _middle(above)[1] < ROW * min(face.size, above.size):
            rows[-1].append(face)
        else:
            rows.append([face])
    ordered = [face for row in rows for face in sorted(row, key=lambda face: _middle(face)[0])]
    return ordered + [face for face in faces if face.left_out is not None]


def _middle(face: Face) -> tuple[float, float]:
    """Compute the middle of the face's points: x, y in px."""
    x, y = face.landmarks.mean(axis=0)
    return float(x), float(y)


def choose(faces: Sequence[Face], rule: FaceRule) -> list[Face]:
    """Apply ``faces: all | largest | best | [0, 2]`` to detections; those that are not chosen get a reason.

    Numbers count the usable faces in the order of ``faces``, which is ``in_reading_order``.

    Raises:
        ChainError: ``rule`` is none of these.
    """
    usable = [face for face in faces if face.left_out is None]
    if rule == "all":
        return list(faces)
    if rule == "largest":
        chosen = sorted(usable, key=lambda face: (-face.size, -face.score))[:1]
    elif rule == "best":
        chosen = [face for face in [best(faces)] if face]
    elif isinstance(rule, list):
        chosen = [face for number, face in enumerate(usable) if number in rule]
    else:
        raise ChainError(f"faces: {rule!r} is none of all, largest, best or a list of numbers")
    return [
        face
        if face.left_out or any(face is chosen_face for chosen_face in chosen)
        else replace(face, left_out=NOT_CHOSEN)
        for face in faces
    ]
