"""Study of a face: what is measured of it before anything is drawn, at a bounded size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from ganchain.drawing.lines import flow, valleys
from ganchain.drawing.palette import HOLES, Palette
from ganchain.drawing.paths import UNITS, Planes
from ganchain.drawing.planes import FINE, SIDE, blurred, closed, filled, grown, opened, reduced, shrunk

FAINT = 0.45  # matte of large areas that are taken for hair all over where there is no other near
SURE = 0.9  # matte of what is hair, and no collar


@dataclass(eq=False)
class Study(Palette):
    """One face, measured: its areas, and the lines in it."""

    def steady(self, name: str, value: Planes, jump: float) -> Planes:
        """Hold a plane, or a number, still along a video, but where it changes by ``jump``: there is none here."""
        return value

    @cached_property
    def whole(self) -> Planes:
        """Skin as one clean area: a face without holes, ears and neck without scraps, (SIDE, SIDE) 0..1."""
        like = np.maximum((2.5 * np.exp(0.5 - 0.5 * self._unlike_skin)).clip(0, 1), grown(self.oval, 0.1 * self.width))
        own = np.asarray((self.matte("skin") * like + self.matte("beard")).clip(0, 1), np.float32)
        if float((own * self.oval).sum()) < 0.05 * float(self.oval.sum()):
            return own
        below = np.arange(SIDE, dtype=np.float32)[:, None] - self.points[152, 1]
        neck = grown(own, 0.3 * self.width) * (below / (0.1 * self.width)).clip(0, 1)
        neck *= (
            ((0.9 - self._unlike_skin) / 0.3).clip(0, 1)
            * (4 * self.matte("skin")).clip(0, 1)
            * (1 - self.matte("cover"))
        )
        own = np.maximum(own, neck).astype(np.float32)
        doubtful = own + (self.matte("hair") - reduced(self.locks, SIDE)).clip(0, 1)  # dark, but not hair
        own = np.minimum(doubtful, closed(own, 0.12 * self.width))
        none = np.asarray((1 - own - self.matte("hair")).clip(0, 1), np.float32)
        other = ((blurred(none, 0.05 * self.width) - 0.6) / 0.2).clip(0, 1)  # a scarf, a hat
        face = self.oval * (1 - other)
        beside = own * (1 - self.oval)
        kept = np.minimum(beside, grown(shrunk(beside, 0.025 * self.width), 0.12 * self.width))
        whole = np.maximum(np.maximum(face, own * self.oval), kept)
        whole = closed(blurred(whole, 1.5), 0.035 * self.width)
        count, areas = cv2.connectedComponents((whole > 0.3).astype(np.uint8), ltype=cv2.CV_16U)
        numbers, mine = np.asarray(areas, np.uint16), np.zeros(count, np.float32)
        mine[numbers[self.oval > 0.5]] = mine[0] = 1
        whole = whole * mine[numbers]
        return np.asarray(whole, np.float32)

    @cached_property
    def _unlike_skin(self) -> Planes:
        """Distance of each colour from that of the face's skin, squared, (SIDE, SIDE): above 1 for a shirt."""
        scaled = zip(cv2.split(self.calm), self.skin, (30, 11, 13), strict=True)
        light, red, yellow = ((plane - own) / np.float32(spread) for plane, own, spread in scaled)
        light = np.maximum(light, -0.4 * light)  # a neck lies in shadow
        return np.asarray(light * light + red * red + yellow * yellow, np.float32)

    @cached_property
    def locks(self) -> Planes:
        """Hair without gaps that nobody sees, at most FINE px wide: 0..1; large areas, as of a bun, count for all."""
        hair, unit = self.seen_hair, self.width * self.seen_hair.shape[0] / UNITS
        large = opened(hair, 0.1 * unit)
        hair = np.maximum(hair, large / np.maximum(grown(large, 0.1 * unit), FAINT))
        return closed(hair * reduced(self.alike, hair.shape[0]), 0.008 * unit)

    @cached_property
    def shaved(self) -> Planes:
        """Hair so short that skin is seen through it, (SIDE, SIDE) 0..1."""
        wide = opened(self.seen_small, 0.03 * self.width)  # without strands
        return np.asarray(wide * (1 - 2 * self.matte("rest")).clip(0, 1) * self.like_hair(wide, 1.6), np.float32)

    @cached_property
    def alike(self) -> Planes:
        """Area in which what is seen of the hair has its colour, (SIDE, SIDE) 0 or 1."""
        return self.like_hair(self.seen_small)

    def like_hair(self, locks: Planes, near: float = 1.0) -> Planes:
        """Mark areas whose colour is nearer to that of hair than to that of skin: a light on a bald head is none.

        Args:
            locks: (SIDE, SIDE) 0..1.
            near: how many times as far as skin the colour of hair may be.

        Returns:
            (SIDE, SIDE) 0 or 1.
        """
        small = (locks > 0.1).astype(np.uint8)
        _, numbers, stats, _ = cv2.connectedComponentsWithStats(small, ltype=cv2.CV_16U)
        at = np.flatnonzero(small)
        shown, counted = self.calm.reshape(-1, 3)[at], numbers.ravel()[at]
        sums = np.stack([np.bincount(counted, shown[:, k], len(stats)) for k in range(3)], axis=1)
        colours = sums / stats[:, cv2.CC_STAT_AREA, None].astype(np.float64)
        alike = np.linalg.norm(colours - self.hair, axis=1) < near * np.linalg.norm(colours - self.skin, axis=1)
        alike[0] = True
        return alike.astype(np.float32)[numbers]

    @cached_property
    def seen_hair(self) -> Planes:
        """The hair's matte without what it can not be, at most FINE px wide: 0..1."""
        hair = self.matte("hair")
        axis = np.arange(SIDE, dtype=np.float32)
        down = axis[:, None] - self.points[[33, 263], 1].mean()
        face = shrunk(self.oval, 0.2 * self.width)
        face = face * (down / (0.25 * self.width) + 0.4).clip(0, 1)  # a fringe may hang down to the eyes
        x, y = self.points[152]
        u, v = np.abs(axis - x) / self.width, (axis[:, None] - y) / self.width
        chin = ((0.55 - u) / 0.1).clip(0, 1) * ((v + 0.3) / 0.1).clip(0, 1)
        chin = chin * ((SURE - hair) / 0.1 + (u < 0.35) + (v < 0)).clip(0, 1)  # a collar, a tie
        eyes = grown(filled([self.points[list(eye)] for eye in HOLES]), 0.13 * self.width)
        none = np.maximum(np.maximum(face, chin), eyes).astype(np.float32)
        side = self.fine.shape[0]
        return np.asarray(self.matte("hair", side) * (1 - reduced(none, side)), np.float32)

    @cached_property
    def seen_small(self) -> Planes:
        """The same, (SIDE, SIDE)."""
        return reduced(self.seen_hair, SIDE)

    @cached_property
    def head(self) -> Planes:
        """Area of the head, (SIDE, SIDE) 0..1."""
        return np.asarray(1 - (self.matte("rest") + self.matte("cover")).clip(0, 1), np.float32)

    @cached_property
    def flow(self) -> tuple[Planes, Planes]:
        """The direction along which the picture changes least, at most FINE px wide."""
        return flow(self.light, 2.2 * self.fine.shape[0] / FINE)

    @cached_property
    def ink(self) -> Planes:
        """Strength of dark lines, at most FINE px wide: 1 for faint ones, 0 where there is none.

        A difference of Gaussians across the flow (Kang, Lee & Chui 2007), where a place is darker than all around it.
        """
        px, light = self.fine.shape[0] / FINE, self.light
        fine, wide = max(0.8, 1.3 * px), max(1.6, 2.8 * px)
        faint = 0.03 * (light + 10)
        darker = blurred(light, wide) - cv2.GaussianBlur(light, (5, 5), 0.75 * fine) > 0.03 * faint
        return np.asarray(valleys(light, self.flow, fine, wide, darker) / faint, np.float32)

    @cached_property
    def light(self) -> Planes:
        """L* without grain, at most FINE px wide."""
        return np.asarray(cv2.bilateralFilter(self._grainy, 5, 8, 2.5), np.float32)
