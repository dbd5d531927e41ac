"""Cascade: a network proposes where faces may be, and dlib's detector is run there, at the sizes they may have.

What dlib's own search of the whole picture would find is found, in the same boxes: the parts that are searched are
those of its pyramid, on its grid of cells. Where nothing sure is found, the whole picture is searched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import floor, log, log2

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.faces.chip import Box
from ganchain.faces.dlib_models import CELL, WINDOW, HogDetector, LevelDetector, enlarged
from ganchain.faces.proposals import Proposal, propose
from ganchain.tensors import Pixels, averaged

Found = list[tuple[Box, float]]
STEP = 6 / 5  # from one level of dlib's pyramid to the next
SMALLEST = 64  # px, shorter side of its last level
CHAIN = 3  # levels that are made one from another, as dlib does; those before are left out
SEARCHED = 168  # px around a proposal; a window and what its score depends on take 113
SEEN = 20  # px around a window that its score depends on
HOPELESS = -1.2  # score at a first look below which the place is not searched
SURE = 0.5  # score of a face after which the whole picture need not be searched
DOUBTFUL = (0.05, 0.35)  # scores that the whole picture is searched for, since small differences of pixels decide
MOST = 24  # proposals; where there are more, the whole picture is as quick
DOUBLE = 0.3, 0.6  # of two boxes' union, or of the smaller one: overlap from which they are one face


@dataclass(frozen=True)
class Patch:
    """Part of a level of the pyramid: the level's number, and left, top, right, bottom in its px."""

    level: int
    left: int
    top: int
    right: int
    bottom: int


class Pyramid:
    """Pyramid of dlib's detector: each level has 5/6 of the side of the one before. Only parts of it are made."""

    def __init__(self, pixels: Pixels) -> None:
        """Take (H, W, 3) uint8."""
        self._halves = [pixels]  # the picture, reduced twice, four times ...
        self.sizes = [np.array(pixels.shape[1::-1])]  # (width, height) of each level
        while min(below := 5 * self.sizes[-1] // 6) >= SMALLEST:
            self.sizes.append(below)

    def around(self, x: float, y: float, level: int) -> Patch:
        """Choose the part of a level around a point of the picture: it begins with a cell."""
        width, height = self.sizes[level]
        left, top = (CELL * round((middle / STEP**level - SEARCHED / 2) / CELL) for middle in (x, y))
        right, bottom = min(width, left + SEARCHED), min(height, top + SEARCHED)
        return Patch(level, max(0, left), max(0, top), int(right), int(bottom))

    def cut(self, patches: Sequence[Patch], chain: int = CHAIN) -> Iterator[tuple[Patch, Pixels]]:
        """Make parts of successive levels, at one place of the picture; ``chain``: from how many levels before."""
        if not patches:
            return
        base = max(0, patches[0].level - chain)
        needed: dict[int, Patch] = {patch.level: patch for patch in patches}
        for level in range(patches[-1].level - 1, base - 1, -1):
            needed[level] = self._source(needed[level + 1], needed.get(level))
        here = needed[base]
        pixels = self._base(here)
        for level in range(base, patches[-1].level + 1):
            there = needed[level]
            if level > base:
                ratio = self._ratio(level - 1, level)
                corner = ratio * (there.left, there.top) - (here.left, here.top)
                pixels = _sampled(pixels, ratio, corner, there)
            here = there
            for patch in (patch for patch in patches if patch.level == level):
                rows = slice(patch.top - here.top, patch.bottom - here.top)
                yield patch, pixels[rows, patch.left - here.left : patch.right - here.left]

    def _ratio(self, fine: int, coarse: int) -> NDArray[np.float64]:
        """Compute px of one level in one of a coarser level, (2,): the middles of the corner pixels meet."""
        return np.asarray((self.sizes[fine] - 1) / (self.sizes[coarse] - 1), np.float64)

    def _source(self, patch: Patch, also: Patch | None) -> Patch:
        """Find the part of the finer level that ``patch`` is made of, and ``also``."""
        level = patch.level - 1
        ratio, (width, height) = self._ratio(level, patch.level), self.sizes[level]
        left, top = (floor(edge) for edge in ratio * (patch.left, patch.top))
        right, bottom = (floor(edge) + 2 for edge in ratio * (patch.right - 1, patch.bottom - 1))
        if also:
            left, top = min(left, also.left), min(top, also.top)
            right, bottom = max(right, also.right), max(bottom, also.bottom)
        return Patch(level, left, top, min(int(width), right), min(int(height), bottom))

    def _base(self, patch: Patch) -> Pixels:
        """Make a part of a level from the picture itself, antialiased."""
        if patch.level == 0:
            return self._halves[0][patch.top : patch.bottom, patch.left : patch.right]
        ratio = self._ratio(0, patch.level)
        half = round(log2(min(ratio)))
        while len(self._halves) <= half:
            self._halves.append(averaged(self._halves[-1], 2))
        step = 2**half
        corner = (ratio * (patch.left, patch.top) - (step - 1) / 2) / step
        return _sampled(self._halves[half], ratio / step, corner, patch)


def _sampled(pixels: Pixels, ratio: NDArray[np.float64], corner: NDArray[np.float64], patch: Patch) -> Pixels:
    """Sample a picture at ``corner`` and every ``ratio`` px from there, for the size of ``patch``."""
    matrix = np.column_stack([np.diag(ratio), corner])
    size = (patch.right - patch.left, patch.bottom - patch.top)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(pixels, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)


@dataclass(frozen=True, eq=False)
class Cascade:
    """Detector that answers as dlib's, in a tenth of its time where there are few faces.

    Attributes:
        propose: finds the places to look at.
        level: dlib's detector at the size of its window.
        whole: the same at all sizes.
    """

    propose: Callable[[Pixels], list[Proposal]] = propose
    level: Callable[[Pixels, float], Found] = field(default_factory=LevelDetector)
    whole: Callable[[Pixels], Found] = field(default_factory=HogDetector)

    def __call__(self, pixels: Pixels) -> Found:
        """Find the faces in (H, W, 3) uint8 RGB: ((left, top, right, bottom), score) of each, best first."""
        proposals = _distinct(self.propose(pixels))
        if 0 < len(proposals) <= MOST:
            pyramid = Pyramid(pixels)
            faces: Found = []
            for proposal in proposals:
                if not any(score >= SURE and _overlap(box, _box(proposal)) for box, score in faces):
                    faces = _once([*faces, *self._near(pyramid, proposal)])
            doubtful = any(DOUBTFUL[0] < score < DOUBTFUL[1] for _, score in faces)
            if faces and faces[0][1] >= SURE and not doubtful:
                return faces
        return self.whole(pixels)

    def _near(self, pyramid: Pyramid, proposal: Proposal) -> Found:
        """Search the place of a proposal at the sizes that it may have, if a first look at the likeliest gives hope."""
        top = len(pyramid.sizes) - 1
        level = min(top, max(0, round(log(proposal.size / WINDOW) / log(STEP))))
        look = pyramid.around(proposal.x, proposal.y, level)
        for patch, pixels in pyramid.cut([look], chain=0):
            if not self._within(pyramid, patch, pixels, HOPELESS):
                return []
        first, last = max(0, level - 1), min(top, level + 1)
        faces = self._levels(pyramid, proposal, range(first, last + 1))
        best = max(faces, key=lambda face: face[1][1], default=(-1, None))[0]
        if best == first:  # the size was proposed wrongly
            faces += self._levels(pyramid, proposal, range(max(0, best - 2), best))
        elif best == last:
            faces += self._levels(pyramid, proposal, range(best + 1, min(top, best + 2) + 1))
        return [face for _, face in faces]

    def _levels(self, pyramid: Pyramid, proposal: Proposal, levels: range) -> list[tuple[int, tuple[Box, float]]]:
        """Find the faces at the place of a proposal, in some levels: the level and the face, in px of the picture."""
        parts = pyramid.cut([pyramid.around(proposal.x, proposal.y, level) for level in levels])
        return [
            (patch.level, (enlarged(box, patch.level), score))
            for patch, pixels in parts
            for box, score in self._within(pyramid, patch, pixels)
        ]

    def _within(self, pyramid: Pyramid, patch: Patch, pixels: Pixels, threshold: float = 0.0) -> Found:
        """Find faces in a part, in px of its level; all that their scores depend on lies within it."""
        width, height = pyramid.sizes[patch.level]
        left, top = (SEEN if edge else -WINDOW for edge in (patch.left, patch.top))
        right = pixels.shape[1] - SEEN if patch.right < width else width + WINDOW
        bottom = pixels.shape[0] - SEEN if patch.bottom < height else height + WINDOW
        return [
            ((box[0] + patch.left, box[1] + patch.top, box[2] + patch.left, box[3] + patch.top), score)
            for box, score in self.level(pixels, threshold)
            if left <= box[0] and top <= box[1] and box[2] < right and box[3] < bottom
        ]


def _distinct(proposals: Sequence[Proposal]) -> list[Proposal]:
    """Leave out proposals of what a likelier one proposes."""
    distinct: list[Proposal] = []
    for proposal in proposals:
        if not any(_alike(proposal, other) for other in distinct):
            distinct.append(proposal)
    return distinct


def _alike(proposal: Proposal, other: Proposal) -> bool:
    """Say whether two proposals lie within a fifth of their size and a level of each other."""
    near = max(abs(proposal.x - other.x), abs(proposal.y - other.y)) < 0.2 * min(proposal.size, other.size)
    return near and abs(log(proposal.size / other.size)) < log(STEP)


def _box(proposal: Proposal) -> Box:
    """Return the box of a proposed face."""
    x, y, half = proposal.x, proposal.y, proposal.size / 2
    return (x - half, y - half, x + half, y + half)


def _once(faces: Found) -> Found:
    """Sort faces by their scores, and leave out those that a better one overlaps."""
    kept: Found = []
    for box, score in sorted(faces, key=lambda face: -face[1]):
        if not any(_overlap(box, other) for other, _ in kept):
            kept.append((box, score))
    return kept


def _overlap(a: Box, b: Box) -> bool:
    """Say whether two boxes are those of one face."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return False
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    both = width * height
    return both > DOUBLE[0] * (sum(areas) - both) or both > DOUBLE[1] * min(areas)
