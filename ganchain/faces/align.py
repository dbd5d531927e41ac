"""Alignment: faces are cut out once, and only their change is pasted back.

Pixel centres lie at whole numbers in photos and canvases alike (the convention of dlib and OpenCV).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganchain import tensors
from ganchain.errors import FaceError
from ganchain.faces.face import Face, Matrix
from ganchain.faces.reading import Reading
from ganchain.framing import Framing, Window
from ganchain.tensors import ByContent, Pixels

MIN_SIDE = 16
FINER = 2  # how many times finer than a chip the window is, at most, that it is reduced from
FINEST = 4  # samples of a px of a chip, a side, that is cut out in one step
LARGE = 30000  # px: farther corners of photos are brought here before they are drawn


@dataclass(frozen=True, eq=False)
class Canvas(ByContent):
    """Aligned face at the photo's own resolution, before and after the edits so far.

    Attributes:
        before, after: (1, 3, S, S) float32 -1..1.
        cover: (1, 1, S, S) 0..1, how much a restyling stage replaced the photo's own pixels.
        matrix: (2, 3), canvas px -> photo px.
        framing: the window of the template that the canvas shows.
        grey: whether the photo was read as a grey one.
        reading: what is read of the face; None where nobody reads it.
        decided: what the last stage decided by itself for this face (``Stage.examine``).
        around: the canvas that this one is a finer window of, with the edits until then; None for one cut from a photo.
    """

    before: Tensor
    after: Tensor
    cover: Tensor
    matrix: Matrix
    framing: Framing
    grey: bool = False
    reading: Reading | None = field(default=None, repr=False, compare=False)
    decided: Mapping[str, float] = field(default_factory=dict, compare=False)
    around: Canvas | None = None

    @property
    def side(self) -> int:
        return self.after.shape[-1]

    @property
    def face(self) -> Reading:
        """Reading of the face; raises FaceError where nobody reads it."""
        if self.reading is None:
            raise FaceError("nothing was read of this face")
        return self.reading

    def settled(self, stage: str, numbers: Mapping[str, float]) -> Mapping[str, float]:
        """Bring what a stage decides for this face together with what it decided in the frames before, if there are."""
        if self.reading is None or (hold := self.reading.hold) is None:
            return numbers
        return {name: float(hold(f"{stage} {name}", np.array(value))) for name, value in numbers.items()}

    def shown(self, window: Window) -> Framing:
        """Return the framing of a window of this canvas."""
        unit = self.framing.side / self.side
        return Framing(self.framing.left + window.x * unit, self.framing.top + window.y * unit, window.side * unit)

    def picture(self, framing: Framing) -> Pixels:
        """Cut a window out of the edited face: (H, W, 3) uint8."""
        return tensors.to_pixels(self.after[framing.within(self.framing, self.side).place])[0]

    def finer(self, window: Window, factor: int) -> Canvas:
        """Return a window of this canvas, enlarged ``factor`` times bicubically."""
        inside = replace(
            self,
            before=self.before[window.place],
            after=self.after[window.place],
            cover=self.cover[window.place],
            matrix=np.column_stack([self.matrix[:, :2], self.matrix @ (window.x, window.y, 1)]),
            framing=self.shown(window),
            around=self if window.side < self.side else self.around,
        )
        return inside.resampled(tensors.bicubic(inside.after, factor).clamp_(-1, 1))

    def whole(self) -> Canvas:
        """Return this canvas with what is around it, enlarged bicubically."""
        if self.around is None:
            return self
        around = self.around.whole()
        window = self.framing.within(around.framing, around.side)
        factor = self.side // window.side
        enlarged = around.finer(Window(0, 0, around.side), factor)
        place = Window(window.x * factor, window.y * factor, self.side).place
        enlarged.after[place], enlarged.cover[place] = self.after, self.cover
        return enlarged

    def resampled(self, after: Tensor) -> Canvas:
        """Return this canvas with ``after`` (1, 3, S', S') in place of its own, and all else resampled to that side."""
        side = after.shape[-1]
        step = self.side / side
        corner = np.full(2, step / 2 - 0.5)
        linear, shift = self.matrix[:, :2], self.matrix[:, 2]
        matrix = np.column_stack([linear * step, linear @ corner + shift])
        before = self._resize(self.before, side).clamp_(-1, 1)  # in place: fresh memory is slow
        cover = self._resize(self.cover, side).clamp_(0, 1) if self.cover.any() else before.new_zeros(1, 1, side, side)
        return replace(self, before=before, after=after, cover=cover, matrix=matrix)

    @staticmethod
    def _resize(layers: Tensor, side: int) -> Tensor:
        """Resample ``layers`` to another side."""
        factor, rest = divmod(side, layers.shape[-1])
        return tensors.resize(layers, (side, side)) if rest or not factor else tensors.bicubic(layers, factor)

    def reduced(self) -> Canvas:
        """Return this canvas at the photo's own resolution, antialiased; itself where it is no finer than that."""
        finer = round(1 / float(np.hypot(*self.matrix[:, 0])))
        if finer <= 1:
            return self
        side = self.side // finer
        return self.resampled(tensors.resize(self.after, (side, side)).clamp_(-1, 1))


@dataclass(frozen=True)
class Aligner:
    """Aligner that cuts canvases out of photos and pastes their change back.

    Attributes:
        framing: the window of the template that a canvas shows.
        max_side: canvases of larger faces are reduced to this side.
        side: the side of all canvases; None for the photo's own resolution.
    """

    framing: Framing
    max_side: int = 4096
    side: int | None = None

    def canvas(self, pixels: Pixels, face: Face) -> Canvas:
        """Cut out the canvas of ``face``, mirrored beyond the photo's edge."""
        chip, matrix = self._cut(pixels, face)
        before = tensors.to_faces(chip)
        return Canvas(before, before, torch.zeros_like(before[:, :1]), matrix, self.framing, reading=face.reading)

    def chip(self, pixels: Pixels, face: Face, side: int) -> Tensor:
        """Cut out the aligned face at a fixed side: (1, 3, side, side) float32 -1..1."""
        chip, _ = replace(self, max_side=min(self.max_side, FINER * side))._cut(pixels, face)
        return tensors.resize(tensors.to_faces(chip), (side, side)).clamp_(-1, 1)

    def _cut(self, pixels: Pixels, face: Face) -> tuple[Pixels, Matrix]:
        """Cut the window around ``face`` out of a photo: (S, S, 3) uint8, and the matrix from its px to the photo's."""
        native_side = self._native_side(face)
        side = self.side or min(native_side, self.max_side)
        matrix = self._matrix(face, side)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        step, warp = native_side // side, matrix
        if step > 1:  # the warp does not antialias
            rows, columns = _needed(matrix, side, pixels.shape, step)
            pixels, warp = tensors.averaged(pixels[rows, columns], step), matrix / step
            warp[:, 2] += (0.5 - np.array([columns.start, rows.start])) / step - 0.5
        chip = cv2.warpAffine(pixels, warp, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
        return np.asarray(chip, np.uint8), matrix

    def sample(self, pixels: Pixels, face: Face, side: int) -> Pixels:
        """Cut out the aligned face at a fixed side in one step: (side, side, 3) uint8.

        Its px are means of at most ``FINEST`` squared samples; much smaller ones than those of the photo are not.
        """
        samples = min(FINEST, max(1, round(self._native_side(face) / side)))
        flags = cv2.WARP_INVERSE_MAP | (cv2.INTER_CUBIC if samples == 1 else cv2.INTER_LINEAR)
        matrix, size = self._matrix(face, side * samples), (side * samples,) * 2
        chip = cv2.warpAffine(pixels, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT_101)
        return tensors.averaged(np.asarray(chip, np.uint8), samples)

    def _native_side(self, face: Face) -> int:
        """Compute the side of the canvas of ``face`` at the photo's own resolution."""
        return max(MIN_SIDE, round(self.framing.side * float(np.hypot(*face.placement[:, 0]))))

    def _matrix(self, face: Face, side: int) -> Matrix:
        """Compute the (2, 3) matrix from a window of ``side`` px around ``face`` to px of the photo."""
        to_photo, unit = face.placement, self.framing.side / side
        corner = np.array([self.framing.left, self.framing.top]) + unit / 2
        return np.column_stack([to_photo[:, :2] * unit, to_photo[:, :2] @ corner + to_photo[:, 2]])

    def shows(self, size: tuple[int, int], face: Face, side: int) -> NDArray[np.bool_] | None:
        """Tell which px of the aligned face show a photo of ``size`` (width, height): (side, side), None if all do."""
        unit, placement = self.framing.side / side, face.placement
        corner = np.array([self.framing.left, self.framing.top]) + unit / 2
        right, bottom = size[0] - 0.5, size[1] - 0.5
        edges = np.array([(-0.5, -0.5), (right, -0.5), (right, bottom), (-0.5, bottom)])
        photo = np.linalg.solve(placement[:, :2] * unit, (edges - placement[:, :2] @ corner - placement[:, 2]).T).T
        window = np.array([(0, 0), (side - 1, 0), (0, side - 1), (side - 1, side - 1)], np.float32)
        quadrangle = photo.astype(np.float32).reshape(-1, 1, 2)
        if all(cv2.pointPolygonTest(quadrangle, (float(x), float(y)), False) >= 0 for x, y in window):
            return None
        drawn = cv2.fillConvexPoly(np.zeros((side, side), np.uint8), photo.clip(-LARGE, LARGE).round().astype(int), 1)
        return drawn > 0

    @staticmethod
    def paste(pixels: Pixels, canvas: Canvas, share: float = 1.0) -> Pixels:
        """Add a ``share`` of the change of ``canvas`` to (H, W, 3) uint8; pixels that did not change keep their bits.

        photo + W(after - before), and where pixels were replaced also - W(cover) * (photo - W(before)), with
        W the warp from canvas to photo.
        """
        canvas = canvas.whole().reduced()
        change = tensors.levels(canvas.after - canvas.before)
        layers = change * share
        if replaced := bool(canvas.cover.any()):
            layers = torch.cat([layers, canvas.cover * share, tensors.levels(canvas.before + 1)], dim=1)
        left, top, right, bottom = _bounds(canvas, pixels.shape)
        if left >= right or top >= bottom:
            return pixels
        shifted = canvas.matrix - np.array([[0, 0, left], [0, 0, top]])
        size = (right - left, bottom - top)
        warped = [cv2.warpAffine(layer, shifted, size, flags=cv2.INTER_LINEAR) for layer in _planes(layers)]
        region = pixels[top:bottom, left:right].astype(np.float32)
        result = region + cv2.merge(warped[:3])
        if replaced:
            result -= warped[3][..., None] * (region - cv2.merge(warped[4:]))
        pixels = pixels.copy()
        pixels[top:bottom, left:right] = result.round().clip(0, 255).astype(np.uint8)
        return pixels


def _planes(layers: Tensor) -> list[NDArray[np.float32]]:
    return list(layers[0].float().cpu().numpy())


def _needed(matrix: Matrix, side: int, shape: tuple[int, ...], step: int) -> tuple[slice, slice]:
    """Find the rows and columns of a photo that a window shows, in whole squares of ``step`` px.

    Where the window reaches beyond the photo, which is mirrored there, all of them are needed.
    """
    corners = np.array([(0, 0), (side, 0), (0, side), (side, side)])
    x, y = matrix[:, :2] @ corners.T + matrix[:, 2:]
    needed = []
    for places, length in ((y, shape[0]), (x, shape[1])):
        first, last = int(places.min() // step - 3) * step, int(places.max() // step + 4) * step
        needed.append(slice(first, last) if first >= 0 and last <= length else slice(0, length))
    return needed[0], needed[1]


def _bounds(canvas: Canvas, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Compute the photo's px that the canvas can reach: left, top, right, bottom (exclusive)."""
    end = canvas.side - 0.5
    corners = np.array([(-0.5, -0.5), (end, -0.5), (-0.5, end), (end, end)])
    x, y = canvas.matrix[:, :2] @ corners.T + canvas.matrix[:, 2:]
    left, top = max(0, int(np.floor(x.min()))), max(0, int(np.floor(y.min())))
    return left, top, min(shape[1], int(np.ceil(x.max())) + 1), min(shape[0], int(np.ceil(y.max())) + 1)
