"""Colours of a face: what they are in the photo, and what they are painted in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ganchain.drawing.paths import UNITS, Colour, Knots, Planes
from ganchain.drawing.planes import FINE, SIDE, boxed, calmed, filled, grown, reduced, rgb, to_lab
from ganchain.faces import mesh

HARDLY = 1.2  # times SIDE, up to which nothing is measured at a finer side
WHITE = 76.0  # L* of the whites of eyes in even light
HOLES = (mesh.RIGHT_UPPER_LID + mesh.RIGHT_LOWER_LID[-2:0:-1], mesh.LEFT_UPPER_LID + mesh.LEFT_LOWER_LID[-2:0:-1])


@dataclass(eq=False)
class Palette:
    """Colours of one face.

    Attributes:
        picture: (S, S, 3) float32 0..1 RGB.
        points: (478, 2) in units.
        mattes: (T, T) float32 0..1 of each part.
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
        """The picture, at most FINE px wide; one that is hardly wider than SIDE is brought to that."""
        side = self.picture.shape[0]
        return reduced(self.picture, SIDE if SIDE < side < HARDLY * SIDE else min(FINE, side))

    @cached_property
    def fine_lab(self) -> Planes:
        """The same in Lab."""
        return to_lab(self.fine)

    @cached_property
    def small(self) -> Planes:
        """The picture, (SIDE, SIDE, 3)."""
        return reduced(self.fine, SIDE)

    @cached_property
    def lab(self) -> Planes:
        """The same in Lab."""
        return to_lab(self.small)

    @cached_property
    def calm(self) -> Planes:
        """The same without grain: edges stay, (SIDE, SIDE, 3)."""
        return calmed(self.lab)

    @cached_property
    def _grainy(self) -> Planes:
        """L* as it is, at most FINE px wide."""
        return np.ascontiguousarray(self.fine_lab[..., 0])

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
    def mouth(self) -> Planes:
        """The mouth with its lips, (SIDE, SIDE) 0..1."""
        return filled([self.points[[*mesh.UPPER_LIP, *mesh.LOWER_LIP[-2:0:-1]]]])

    @cached_property
    def features(self) -> Planes:
        """Eyes, brows and mouth with a margin, (SIDE, SIDE) 0..1."""
        p, w = self.points, self.width
        eyes = grown(filled([p[list(eye)] for eye in HOLES]), 0.055 * w)
        brows = grown(filled([p[list(brow)] for brow in (mesh.RIGHT_BROW, mesh.LEFT_BROW)]), 0.045 * w)
        return np.maximum(np.maximum(eyes, brows), grown(self.mouth, 0.035 * w))

    @cached_property
    def bare(self) -> Planes:
        """Skin that tells its tone: of the face, without features, hair, glasses and what covers it, 0..1."""
        return self.matte("skin") * self.oval * (1 - self.features) * self.uncovered

    @cached_property
    def uncovered(self) -> Planes:
        """Area before which neither glasses nor anything else lies, (SIDE, SIDE) 0..1."""
        glasses, cover = ((3 * grown(self.matte(over), 2)).clip(0, 1) for over in ("glasses", "cover"))
        return np.asarray((1 - glasses) * (1 - cover), np.float32)

    @cached_property
    def skin(self) -> Planes:
        """Lab of the lit skin, (3,)."""
        chosen = self.calm[self.bare > 0.8]
        if len(chosen) < 40:
            chosen = self.calm[self.oval > 0.5]
        if not len(chosen):
            return np.array([65, 12, 16], np.float32)
        lit = chosen[chosen[:, 0] >= np.percentile(chosen[:, 0], 35)]
        return np.asarray(np.median(np.ascontiguousarray(lit.T), axis=1), np.float32)

    @cached_property
    def exposure(self) -> float:
        """Lightness of the face in even light / in the photo, by the whites of its eyes."""
        side = self.fine.shape[0]
        whites = []
        for eye in HOLES:
            knots = self.points[list(eye)]
            box = boxed(knots, side)
            opening = self._grainy[box][filled([knots], side)[box] > 0.6]
            if len(opening) * (UNITS / side) ** 2 > 0.008 * self.width**2:
                whites.append(float(np.percentile(opening, 95)))
        return float(np.clip(WHITE / max(whites), 0.95, 1.3)) ** 0.15 if whites else 1.0

    @cached_property
    def paper(self) -> Planes:
        """Lab that lit skin is painted in: a little lighter, never grey nor orange; dark skin stays dark."""
        light, red, yellow = (float(v) for v in self.skin)
        light *= self.exposure
        bright = float(np.clip((light - 49.5 - 0.3 * min(yellow, 22)) / 16, 0, 1))
        lifted = min(light + 1 + bright * (4 + 0.42 * max(0.0, 86 - light)), 91)
        hue = 0.4 * float(
            np.clip(np.arctan2(yellow, max(red, 1.0)), np.radians(40), np.radians(68))
        ) + 0.6 * np.radians(62)
        least = float(np.interp(lifted, (20, 45, 60, 70, 90), (24, 32, 26, 24, 16)))
        chroma = 0.5 * float(np.clip(np.hypot(red, yellow), 0.6 * least, 1.5 * least)) + 0.5 * least
        return np.array([lifted, chroma * np.cos(hue), chroma * np.sin(hue)], np.float32)

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
        light = np.percentile(chosen[:, 0], 50)
        red, yellow = np.median(np.ascontiguousarray(bright[:, 1:].T), axis=1)
        chroma = np.hypot(red, yellow)
        cold = np.clip((38 - light) / 16, 0, 1) * np.clip((16 - chroma) / 6, 0, 1) * np.clip(-yellow / 4, 0, 1)
        # the sky in hair is no dye, nor are blue lamps in dark hair
        yellow += (1 if chroma < 10 else cold) * max(0, 0.5 + 0.5 * red - yellow)
        return np.array([light, red, yellow], np.float32)

    @cached_property
    def hair_tone(self) -> tuple[float, float, float]:
        """Lab that hair is painted in: livelier, but grey hair stays grey."""
        light, red, yellow = (float(v) for v in self.hair)
        grey = float(np.clip((light - 36) / 10, 0, 1) * np.clip((12 - np.hypot(red, yellow)) / 5, 0, 1))
        vivid = 1.25 - 0.5 * grey
        dark = float(np.clip((38 - light) / 16, 0, 1))
        if np.hypot(red, yellow) < 24:  # warm light makes brown hair red; violet is none
            red = min(red, 0.8 * abs(yellow) + 2)
        return (
            float(np.clip((light + 1) * (1 - 0.2 * dark), 8, 90)),
            red * vivid + dark + 0.08 * yellow,
            yellow * min(vivid, 1.1) + 1.2 * dark,
        )

    @cached_property
    def line(self) -> Colour:
        """Colour of lines on skin: a dark brown of its own hue."""
        light, red, yellow = self.paper
        return rgb((max(6.0, 0.2 * float(light)), 0.9 * float(red) + 3, 0.7 * float(yellow)))
