"""Study of a face: what is measured of it before anything is drawn, at a bounded size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np

from ganchain.drawing.paths import UNITS, Colour, Knots, Planes
from ganchain.drawing.planes import FINE, SIDE, blurred, calmed, closed, disc, filled, grown, reduced, rgb, to_lab
from ganchain.drawing.trace import likely
from ganchain.faces import mesh

CROPPED = 0.45  # area of hair, of the square of the eyes' distance, below which it is cropped
HAIR = 0.35  # matte from which hair is drawn
LOOSE = 0.045  # smallest area of loose hair, of the square of the eyes' distance
SURE = 0.9  # matte of what tells the colours of hair
HOLES = (mesh.RIGHT_UPPER_LID + mesh.RIGHT_LOWER_LID[-2:0:-1], mesh.LEFT_UPPER_LID + mesh.LEFT_LOWER_LID[-2:0:-1])


@dataclass(eq=False)
class Study:
    """One face, measured.

    Attributes:
        picture: (S, S, 3) float32 0..1 RGB.
        points: (478, 2) in units.
        mattes: (S, S) float32 0..1 of each part.
    """

    picture: Planes
    points: Knots
    mattes: Mapping[str, Planes]
    _reduced: dict[tuple[str, int], Planes] = field(default_factory=dict, repr=False)

    @cached_property
    def width(self) -> float:
        """Distance of the outer corners of the eyes, in units, not below what a face in its window can have."""
        return float(np.clip(np.linalg.norm(self.points[33] - self.points[263]), 24, 140))

    @cached_property
    def fine(self) -> Planes:
        """The picture, at most FINE px wide."""
        return reduced(self.picture, min(FINE, self.picture.shape[0]))

    @cached_property
    def lab(self) -> Planes:
        """The picture in Lab, (SIDE, SIDE, 3)."""
        return to_lab(reduced(self.picture, SIDE))

    @cached_property
    def calm(self) -> Planes:
        """The same without grain: edges stay, (SIDE, SIDE, 3)."""
        return calmed(self.lab)

    def matte(self, name: str, side: int = SIDE) -> Planes:
        """Return the matte of a part, at most ``side`` px wide."""
        if (name, side) not in self._reduced:
            self._reduced[name, side] = reduced(self.mattes[name], side)
        return self._reduced[name, side]

    @cached_property
    def oval(self) -> Planes:
        """The face's oval, (SIDE, SIDE) 0..1."""
        return filled([self.points[list(mesh.OVAL)]])

    @cached_property
    def whole(self) -> Planes:
        """Skin as one clean area: a face without holes, ears and neck without scraps, (SIDE, SIDE) 0..1."""
        own = np.asarray(self.matte("skin") + self.matte("beard"), np.float32)
        if float((own * self.oval).sum()) < 0.05 * float(self.oval.sum()):
            return own
        doubtful = own + (self.matte("hair") - reduced(self.locks, SIDE)).clip(0, 1)  # dark, but not hair
        own = np.minimum(doubtful, closed(own, 0.12 * self.width))
        none = np.asarray((1 - own - self.matte("hair")).clip(0, 1), np.float32)
        other = ((blurred(none, 0.05 * self.width) - 0.6) / 0.2).clip(0, 1)  # a scarf, a hat
        face = self.oval * (1 - other)
        beside = own * (1 - self.oval)
        core = cv2.erode(beside, disc(0.045 * self.width))
        kept = np.minimum(beside, cv2.dilate(core, disc(0.12 * self.width)))
        whole = np.maximum(np.maximum(face, own * self.oval), kept)
        whole = closed(blurred(whole, 1.5), 0.035 * self.width)
        if self.cropped:  # a skull is convex
            hair = reduced(self.locks, SIDE)
            above = int(np.clip(self.points[[70, 300], 1].mean(), 1, SIDE))
            y, x = np.nonzero((np.maximum(whole, hair) > 0.5)[:above])
            if len(x) > 8:
                hull = cv2.convexHull(np.stack([x, y], axis=1).astype(np.int32))[:, 0] + 0.5
                whole = np.maximum(whole, blurred(filled([hull.astype(np.float64)]), 1.5))
        return np.asarray(whole, np.float32)

    @cached_property
    def cropped(self) -> bool:
        """True if there is so little hair that it is cropped, or none."""
        return float((self.locks > HAIR).mean()) * UNITS**2 < CROPPED * self.width**2

    @property
    def locks(self) -> Planes:
        """Hair with the locks and tails that its matte has only faintly, without specks, at most FINE px wide: 0..1."""
        return self._locks[0]

    @cached_property
    def wisps(self) -> Planes:
        """Hair and all that may be hair, (SIDE, SIDE) 0..1."""
        return np.maximum(reduced(self._locks[1], SIDE), np.float32(0.6) * self.matte("hair"))

    @cached_property
    def head(self) -> Planes:
        """Area of the head with all of its hair, (SIDE, SIDE) 0..1."""
        seen = 1 - (self.matte("rest") + self.matte("cover")).clip(0, 1)
        return np.maximum(seen, grown((5 * self.wisps - 0.6).clip(0, 1), 2))

    @cached_property
    def _locks(self) -> tuple[Planes, Planes]:
        """Find hair by its matte and its colours: without specks, and with them.

        Locks and tails that the matte has only faintly have the colours of hair rather than those of what is beside
        it, and lie near hair or skin.
        """
        side = self.fine.shape[0]
        hair, rest = self.matte("hair", side), self.matte("rest", side)
        px = side / UNITS
        face = reduced(
            np.asarray(cv2.erode(self.oval, disc(0.2 * self.width)), np.float32), side
        )  # in which there is no hair
        face[: int(np.clip(self.points[[33, 263], 1].mean() * px, 0, side))] = 0
        x, y = self.points[152]
        reach = 0.45 * self.width
        left, right, below = (int(np.clip(v * px, 0, side)) for v in (x - reach, x + reach, y + 0.1 * self.width))
        face[below:, left:right] = hair[below:, left:right] < SURE  # a collar, a tie
        eyes = grown(filled([self.points[list(eye)] for eye in HOLES], side), 0.08 * self.width * px)
        hair = np.asarray(hair * (1 - np.maximum(face, eyes)), np.float32)
        sure, other = hair > SURE, (rest > 0.97) & (hair < 0.02)
        if min(sure.sum(), other.sum()) < 200:
            return hair, hair
        far = (np.maximum(hair, self.matte("skin", side)) <= 0.5).astype(np.uint8)
        near = cv2.distanceTransform(far, cv2.DIST_L2, 3) < 0.5 * self.width * px
        region = near & (rest + hair > 0.6) & (hair < SURE)
        colours = np.asarray(cv2.bilateralFilter(to_lab(self.fine), 5, 10, 4), np.float32)
        score = np.zeros((side, side), np.float32)
        mine, others = (likely(colours[region], colours[chosen], 4) for chosen in (sure, other))
        score[region] = (mine - others).clip(-6, 6)
        odds = np.log(hair.clip(0.012, 0.99) / (1 - hair.clip(0.012, 0.99))) + score
        seen = np.asarray(blurred((rest + hair) / (1 + np.exp(-odds)), 0.7) * region, np.float32)
        thick = cv2.morphologyEx(seen, cv2.MORPH_OPEN, disc(0.016 * self.width * px))
        seen = np.where(hair > 0.03, seen, thick)  # thin ones are edges of clothes
        whole = np.maximum(hair, closed(seen, 0.03 * self.width * px) * (rest + hair > 0.6) * (1 - face))
        _, numbers, stats, _ = cv2.connectedComponentsWithStats((whole > HAIR).astype(np.uint8))
        alike = np.bincount(numbers.ravel(), np.where(sure, 6, score).ravel()) / stats[:, cv2.CC_STAT_AREA]
        kept = (alike > 1.5) & (stats[:, cv2.CC_STAT_AREA] > LOOSE * (self.width * px) ** 2)
        kept[0] = True
        locks = closed(np.asarray(whole * kept[numbers], np.float32), 0.015 * self.width * px)
        return locks, np.asarray(whole, np.float32)

    @cached_property
    def features(self) -> Planes:
        """Eyes, brows and mouth with a margin, (SIDE, SIDE) 0..1."""
        p, w = self.points, self.width
        eyes = grown(filled([p[list(eye)] for eye in HOLES]), 0.055 * w)
        brows = grown(filled([p[list(brow)] for brow in (mesh.RIGHT_BROW, mesh.LEFT_BROW)]), 0.045 * w)
        mouth = grown(filled([p[[*mesh.UPPER_LIP, *mesh.LOWER_LIP[-2:0:-1]]]]), 0.035 * w)
        return np.maximum(np.maximum(eyes, brows), mouth)

    @cached_property
    def bare(self) -> Planes:
        """Skin that tells its tone: of the face, without features, hair, glasses and what covers it, 0..1."""
        bare = self.matte("skin") * self.oval * (1 - self.features)
        for over in ("glasses", "cover"):
            bare = bare * (1 - (3 * grown(self.matte(over), 2)).clip(0, 1))
        return np.asarray(bare, np.float32)

    @cached_property
    def skin(self) -> Planes:
        """Lab of the lit skin, (3,)."""
        chosen = self.calm[self.bare > 0.8]
        if len(chosen) < 40:
            chosen = self.calm[self.oval > 0.5]
        if not len(chosen):
            return np.array([65, 12, 16], np.float32)
        lit = chosen[chosen[:, 0] >= np.percentile(chosen[:, 0], 35)]
        return np.asarray(np.median(lit, axis=0), np.float32)

    @cached_property
    def paper(self) -> Planes:
        """Lab that lit skin is painted in: a little lighter, never grey nor orange; dark skin stays dark."""
        light, red, yellow = (float(v) for v in self.skin)
        lifted = light + 3 + 0.42 * max(0.0, 86 - light) * float(np.clip((light - 53) / 14, 0, 1))
        red = min(max(red, 7.0), 9 + 0.45 * max(red - 9, 0))
        yellow = float(np.clip(yellow + 1, 1.05 * red, 15 + 0.6 * max(yellow - 13.5, 0)))
        vivid = 1 + 0.2 * float(np.clip((58 - light) / 15, 0, 1))  # dark skin is not grey
        return np.array([min(lifted, 91), vivid * red, vivid * yellow], np.float32)

    @cached_property
    def hair(self) -> Planes:
        """Lab of the hair, (3,); of the brows where there is none."""
        chosen = self.calm[self.matte("hair") > 0.8]
        if len(chosen) < 150:
            brows = filled([self.points[list(brow)] for brow in (mesh.RIGHT_BROW, mesh.LEFT_BROW)]) > 0.5
            chosen = self.calm[brows]
            if len(chosen) < 10:
                return np.array([25, 4, 6], np.float32)
            return np.asarray(np.percentile(chosen, 30, axis=0), np.float32)
        bright = chosen[chosen[:, 0] >= np.median(chosen[:, 0])]
        light = np.percentile(chosen[:, 0], 55)
        return np.array([light, *np.median(bright[:, 1:], axis=0)], np.float32)

    @cached_property
    def hair_tone(self) -> tuple[float, float, float]:
        """Lab that hair is painted in: livelier, but grey hair stays grey."""
        light, red, yellow = (float(v) for v in self.hair)
        grey = float(np.clip((light - 36) / 10, 0, 1) * np.clip((9 - np.hypot(red, yellow)) / 5, 0, 1))
        vivid = 1.25 - 0.5 * grey
        return float(np.clip(light + 1, 8, 90)), red * vivid, yellow * vivid

    @cached_property
    def line(self) -> Colour:
        """Colour of lines on skin: a dark brown of its own hue."""
        light, red, yellow = self.paper
        return rgb((max(6.0, 0.2 * float(light)), 0.9 * float(red) + 3, 0.7 * float(yellow)))
