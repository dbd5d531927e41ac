"""Page: a whole photo as one drawing. What surrounds the heads is drawn first, then each head, the nearest last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.drawing import ground, looks
from ganchain.drawing.draw import Style, draw_head
from ganchain.drawing.held import study_of
from ganchain.drawing.paths import UNITS, Drawing, Knots, Matrix, Page, Planes
from ganchain.drawing.planes import SIDE
from ganchain.drawing.study import Study
from ganchain.faces.reading import Hold

HEAD_SIDE, SMALL_SIDE = 320, 640  # px: of the largest head's window in the small copy, and of the copy at most


@dataclass(frozen=True, eq=False)
class Head:
    """One head of a photo.

    Attributes:
        study: what is measured of it.
        matrix: (2, 3), units of the head's window -> px of the photo, 0 at its left and upper edge.
    """

    study: Study
    matrix: Matrix

    @classmethod
    def of(
        cls, picture: Planes, points: Knots, mattes: Mapping[str, Planes], placed: Matrix, hold: Hold | None = None
    ) -> Head:
        """Make a head of its window.

        Args:
            placed: (2, 3), px of ``picture`` -> px of the photo, centres of pixels at whole numbers.
            hold: holds what is measured still along a video.
        """
        step = picture.shape[0] / UNITS
        shift = placed[:, 2] - placed[:, :2] @ np.full(2, 0.5) + 0.5
        return cls(study_of(picture, points, mattes, hold), np.column_stack([placed[:, :2] * step, shift]))

    @property
    def size(self) -> float:
        """Px of the photo along the side of the window."""
        return float(np.hypot(*self.matrix[:, 0])) * UNITS


@dataclass(frozen=True, eq=False)
class Copy:
    """Small square copy of a photo, in which what surrounds the heads is measured.

    Attributes:
        photo: (H, W, 3) uint8.
        heads: the heads in it.
    """

    photo: NDArray[np.uint8]
    heads: Sequence[Head]

    @cached_property
    def scale(self) -> float:
        """Px of the copy / px of the photo."""
        longest = max(self.photo.shape)
        wanted = min(HEAD_SIDE / max((head.size for head in self.heads), default=HEAD_SIDE), SMALL_SIDE / longest)
        return min(1.0, wanted) if longest > 32 else 1.0

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height of the copy in px, without what makes it a square."""
        height, width = self.photo.shape[:2]
        return max(8, round(width * self.scale)), max(8, round(height * self.scale))

    @cached_property
    def picture(self) -> Planes:
        """RGB 0..1, square: the longer side of the copy; mirrored where the photo ends."""
        small = cv2.resize(self.photo, self.size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        side = max(self.size)
        right, below = side - self.size[0], side - self.size[1]
        return np.asarray(cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_REPLICATE), np.float32)

    @cached_property
    def matrix(self) -> Matrix:
        """(2, 3), units of the copy -> px of the photo."""
        height, width = self.photo.shape[:2]
        unit = max(self.size) / UNITS
        return np.array([[unit * width / self.size[0], 0, 0], [0, unit * height / self.size[1], 0]])

    def placed(self, head: Head, plane: Planes, outside: float) -> Planes:
        """Bring a matte of a head into the copy."""
        side = max(self.size)
        return warped(plane, self.to_copy(head), side, outside)

    def seen_from(self, head: Head, plane: Planes) -> Planes:
        """Bring a plane of the copy into the window of a head."""
        inverse = cv2.invertAffineTransform(self.to_copy(head))
        return warped(plane, np.asarray(inverse, np.float64), SIDE, 1.0)

    def chin(self, head: Head) -> tuple[Knots, float]:
        """Place a chin in the copy, and say how far the eyes are apart there; both in units."""
        matrix = self.to_copy(head)
        place = matrix[:, :2] @ head.study.points[152] + matrix[:, 2]
        return np.asarray(place), head.study.width * float(np.hypot(*matrix[:, 0]))

    def to_copy(self, head: Head) -> Matrix:
        """Compute the matrix (2, 3) from units of a head to units of the copy."""
        linear, shift = self.matrix[:, :2], self.matrix[:, 2]
        inverse = np.linalg.inv(linear)
        return np.column_stack([inverse @ head.matrix[:, :2], inverse @ (head.matrix[:, 2] - shift)])


def warped(plane: Planes, matrix: Matrix, side: int, outside: float) -> Planes:
    """Bring a square plane through a matrix from its units to those of a plane of ``side`` px."""
    into, out = plane.shape[0] / UNITS, side / UNITS
    linear = matrix[:, :2] * (out / into)
    shift = matrix[:, 2] * out - 0.5 + linear @ np.full(2, 0.5)
    moved = cv2.warpAffine(
        plane,
        np.column_stack([linear, shift]),
        (side, side),
        flags=cv2.INTER_AREA if out < into else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(outside,) * 3,
    )
    return np.asarray(moved, np.float32)


def page(pixels: NDArray[np.uint8], heads: Sequence[Head], style: Style, hold: Hold | None = None) -> Page:
    """Draw a whole photo.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        heads: the heads in it that are drawn.
        hold: holds what surrounds them still along a video; None in a photo.
    """
    copy = Copy(pixels, heads)
    heads = sorted(heads, key=lambda head: head.size)
    main = heads[-1].study if heads else None
    chins, change = [copy.chin(head) for head in heads], looks.LOOKS[style.look]
    none = np.zeros(copy.picture.shape[:2], np.float32)
    drawn_heads = _most(none, (copy.placed(head, head.study.head, 0.0) for head in heads))
    loose = _most(none, (copy.placed(head, head.study.seen_hair, 0.0) for head in heads))
    behind_hair = ground.uncovered(copy.picture, loose, 1 - drawn_heads)
    around = ground.Surroundings(behind_hair, behind_hair, drawn_heads, copy.size, chins, hold)
    shown = np.ones_like(drawn_heads) if style.background in ("keep", "simple") else 1 - around.behind
    first = Drawing()
    if style.background != "keep":
        windows = _most(none, (copy.placed(head, np.ones((SIDE, SIDE), np.float32), 0.0) for head in heads))
        _draw_ground(first, around, style, (1 - drawn_heads) * shown, (1 - drawn_heads) * shown * (1 - windows))
    kept = pixels if style.background == "keep" else None
    size, paper = (pixels.shape[1], pixels.shape[0]), style.background != "none"
    drawn = Page(size, kept, [(change(first, main), copy.matrix)], paper)
    for head in heads:
        where = head.study.head if kept is not None else copy.seen_from(head, shown)
        drawn.drawings.append((change(draw_head(head.study, style, Drawing(), where), head.study), head.matrix))
    return drawn


def _most(least: Planes, planes: Iterable[Planes]) -> Planes:
    return np.asarray(reduce(np.maximum, planes, least), np.float32)


def _draw_ground(drawing: Drawing, around: ground.Surroundings, style: Style, shaded: Planes, outlined: Planes) -> None:
    """Draw what is around heads.

    Args:
        shaded: (S, S) 0..1, where it is black or hatched in ink.
        outlined: (S, S) 0..1, where it has lines of its own.
    """
    clear = style.background == "none"
    if clear and not around.people:
        return
    if clear:
        around.draw_people(drawing)
    if style.look == "webtoon":
        around.draw_tones(drawing, people=clear)
    elif style.look == "ink":
        around.draw_screens(drawing, shaded)
    if style.background not in ("simple", "none"):
        around.draw_plain(drawing, style.background)
    around.draw_lines(drawing, outlined, style.line)
