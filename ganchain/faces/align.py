"""Faces found once, aligned once, and only their change put back.

Pixel centres lie at whole numbers in photos and canvases alike (dlib's and OpenCV's convention).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganchain import tensors
from ganchain.errors import ChainError
from ganchain.faces.dlib_models import FivePoints, HogDetector
from ganchain.faces.face import Face
from ganchain.framing import TEMPLATE, Framing
from ganchain.tensors import Pixels

Matrix = NDArray[np.float64]  # (2, 3), canvas px -> photo px
FaceRule = Literal["all", "largest"] | list[int]
MIN_SIDE = 16
NOT_CHOSEN = "not chosen by faces"


@dataclass(frozen=True)
class Detector:
    """Finds the faces of a photo on a copy of bounded size.

    Attributes:
        side: longest side in px of the copy the detector sees. Measured by ``benchmarks/detection.py``.
        enlarge: small photos are enlarged up to this factor, so that faces of 40 px are found in them.
        rim: mirrored border around the copy, as a share of its shorter side, for faces that touch the edge.
        min_score: detections below it are left out; dlib's false faces lie mostly below 0.2.
        min_size: faces with a box smaller than this many px are left out.
    """

    side: int = 1280
    enlarge: float = 2.0
    rim: float = 0.08
    min_score: float = 0.2
    min_size: int = 32

    def __call__(self, pixels: Pixels) -> list[Face]:
        """All detections in (H, W, 3) uint8 RGB, best first; those not to be edited say why (``left_out``)."""
        height, width = pixels.shape[:2]
        scale = min(self.side / max(height, width), self.enlarge)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        copy = _reduced(pixels, int(1 / scale))
        copy = cv2.resize(copy, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR).astype(np.uint8)
        rim = min(round(self.rim * min(size)), min(size) - 1)
        seen = cv2.copyMakeBorder(copy, rim, rim, rim, rim, cv2.BORDER_REFLECT_101).astype(np.uint8)
        faces = []
        for box, score in _HOG(seen):
            left, top, right, bottom = ((edge - rim + 0.5) / scale - 0.5 for edge in box)
            place = (left, top, right, bottom)
            if scale > 1:  # the landmarks are read where there are more pixels
                points = (_POINTS(seen, box) - rim + 0.5) / scale - 0.5
            else:
                points = _POINTS(pixels, place)
            faces.append(self._judged(Face(place, score, points), (width, height)))
        return faces

    def _judged(self, face: Face, size: tuple[int, int]) -> Face:
        x, y = face.landmarks.mean(axis=0)
        if face.score < self.min_score:
            return replace(face, left_out=f"score {face.score:.2f} below {self.min_score:g}")
        if face.size < self.min_size:
            return replace(face, left_out=f"face of {face.size:.0f} px smaller than {self.min_size} px")
        if not (0 <= x < size[0] and 0 <= y < size[1]):
            return replace(face, left_out="outside the photo")
        return face


_HOG = HogDetector()
_POINTS = FivePoints()


def choose(faces: Sequence[Face], rule: FaceRule) -> list[Face]:
    """Apply ``faces: all | largest | [0, 2]`` to detections; those not chosen get a reason.

    Numbers count the usable faces, best first, as ``ganchain faces`` draws them.
    """
    usable = [face for face in faces if face.left_out is None]
    if rule == "all":
        return list(faces)
    if rule == "largest":
        chosen = sorted(usable, key=lambda face: -face.size)[:1]
    elif isinstance(rule, list):
        chosen = [face for number, face in enumerate(usable) if number in rule]
    else:
        raise ChainError(f"{rule!r} is none of all, largest or a list of numbers", key="faces")
    return [
        face if face.left_out or any(face is one for one in chosen) else replace(face, left_out=NOT_CHOSEN)
        for face in faces
    ]


@dataclass(frozen=True)
class Canvas:
    """One aligned face at the photo's own resolution, before and after the edits so far.

    Attributes:
        before, after: (1, 3, S, S) float32 -1..1.
        cover: (1, 1, S, S) 0..1, how much a restyling stage replaced the photo's own pixels.
        matrix: (2, 3), canvas px -> photo px.
        framing: the window of the template that the canvas shows.
    """

    before: Tensor
    after: Tensor
    cover: Tensor
    matrix: Matrix
    framing: Framing

    @property
    def side(self) -> int:
        return self.after.shape[-1]

    def resampled(self, after: Tensor) -> Canvas:
        """This canvas with ``after``, resampled to another side: (1, 3, S', S')."""
        side = after.shape[-1]
        step = self.side / side
        corner = np.full(2, step / 2 - 0.5)
        linear, shift = self.matrix[:, :2], self.matrix[:, 2]
        matrix = np.column_stack([linear * step, linear @ corner + shift])
        before, cover = self._other(self.before, side).clamp(-1, 1), self._other(self.cover, side).clamp(0, 1)
        return replace(self, before=before, after=after, cover=cover, matrix=matrix)

    @staticmethod
    def _other(layers: Tensor, side: int) -> Tensor:
        factor, rest = divmod(side, layers.shape[-1])
        return tensors.resize(layers, (side, side)) if rest or not factor else tensors.bicubic(layers, factor)

    def reduced(self) -> Canvas:
        """This canvas at the photo's own resolution, antialiased, when it is finer than that."""
        finer = round(1 / float(np.hypot(*self.matrix[:, 0])))
        if finer <= 1:
            return self
        side = self.side // finer
        return self.resampled(tensors.resize(self.after, (side, side)).clamp(-1, 1))


def similarity(landmarks: NDArray[np.float64]) -> Matrix:
    """The (2, 3) least-squares similarity, template -> photo px (Umeyama 1991), without reflection.

    ``landmarks`` are the photo's (5, 2) points in the template's order.
    """
    source, target = TEMPLATE.mean(axis=0), landmarks.mean(axis=0)
    a, b = TEMPLATE - source, landmarks - target
    norm = (a * a).sum()
    cos = (a * b).sum() / norm
    sin = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / norm
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([turn, target - turn @ source])


@dataclass(frozen=True)
class Aligner:
    """Cuts canvases out of photos and puts what changed back.

    Attributes:
        framing: the window of the template that a canvas shows.
        max_side: canvases of larger faces are reduced to this side.
        side: all canvases have this side; None for the photo's own resolution.
    """

    framing: Framing
    max_side: int = 4096
    side: int | None = None

    def canvas(self, pixels: Pixels, face: Face) -> Canvas:
        """The canvas of ``face``, mirrored beyond the photo's edge."""
        to_photo = similarity(face.landmarks)
        resolution = float(np.hypot(*to_photo[:, 0]))
        own = max(MIN_SIDE, round(self.framing.side * resolution))
        side = self.side or min(own, self.max_side)
        unit = self.framing.side / side
        corner = np.array([self.framing.left, self.framing.top]) + unit / 2
        matrix = np.column_stack([to_photo[:, :2] * unit, to_photo[:, :2] @ corner + to_photo[:, 2]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        step, seen = own // side, matrix
        if step > 1:  # the warp knows no antialiasing
            pixels, seen = _reduced(pixels, step), matrix / step
            seen[:, 2] += 0.5 / step - 0.5
        chip = cv2.warpAffine(pixels, seen, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
        before = tensors.to_faces(chip.astype(np.uint8))
        return Canvas(before, before.clone(), torch.zeros_like(before[:, :1]), matrix, self.framing)

    def chip(self, pixels: Pixels, face: Face, side: int) -> Tensor:
        """The aligned face at a fixed side: (1, 3, side, side) float32 -1..1."""
        return tensors.resize(self.canvas(pixels, face).before, (side, side)).clamp(-1, 1)

    @staticmethod
    def paste(pixels: Pixels, canvas: Canvas) -> Pixels:
        """Add what changed on ``canvas`` to (H, W, 3) uint8; what did not change keeps its bits.

        photo + W(after - before), and where pixels were replaced also - W(cover) * (photo - W(before)), with
        W the warp from canvas to photo.
        """
        canvas = canvas.reduced()
        change = tensors.levels(canvas.after - canvas.before)
        layers = _planes(torch.cat([change, canvas.cover, tensors.levels(canvas.before + 1)], dim=1))
        left, top, right, bottom = _bounds(canvas, pixels.shape)
        if left >= right or top >= bottom:
            return pixels
        shifted = canvas.matrix - np.array([[0, 0, left], [0, 0, top]])
        size = (right - left, bottom - top)
        warped = [cv2.warpAffine(layer, shifted, size, flags=cv2.INTER_LINEAR) for layer in layers]
        changed, cover, before = np.dstack(warped[:3]), warped[3][..., None], np.dstack(warped[4:])
        region = pixels[top:bottom, left:right].astype(np.float32)
        result = region + changed - cover * (region - before)
        pixels = pixels.copy()
        pixels[top:bottom, left:right] = result.round().clip(0, 255).astype(np.uint8)
        return pixels


def _reduced(pixels: Pixels, step: int) -> Pixels:
    """(H, W, 3) uint8 averaged over squares of ``step`` px, which is quick; what is left at the edge is left out."""
    if step <= 1 or min(pixels.shape[:2]) < step:
        return pixels
    height, width = (side // step * step for side in pixels.shape[:2])
    size = (width // step, height // step)
    return cv2.resize(pixels[:height, :width], size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def _planes(layers: Tensor) -> list[NDArray[np.float32]]:
    return list(layers[0].float().cpu().numpy())


def _bounds(canvas: Canvas, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The photo's px that the canvas can reach: left, top, right, bottom (exclusive)."""
    far = canvas.side - 0.5
    corners = np.array([(-0.5, -0.5), (far, -0.5), (-0.5, far), (far, far)])
    x, y = canvas.matrix[:, :2] @ corners.T + canvas.matrix[:, 2:]
    left, top = max(0, int(np.floor(x.min()))), max(0, int(np.floor(y.min())))
    return left, top, min(shape[1], int(np.ceil(x.max())) + 1), min(shape[0], int(np.ceil(y.max())) + 1)
