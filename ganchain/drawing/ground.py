"""Ground: everything that is neither skin nor hair, flattened at a bounded size and brought to the wanted one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from ganchain.drawing.flats import main_colours, nearest, two_largest, without_islands
from ganchain.drawing.held import held_colours
from ganchain.drawing.lines import Lines, flow, lines, valleys
from ganchain.drawing.paths import UNITS, Colour, Drawing, Knots, Line, Planes, Ring, Shape, stroke, taper
from ganchain.drawing.planes import blurred, calmed, grown, painted, reduced, rgb, to_lab
from ganchain.drawing.study import Study
from ganchain.drawing.trace import contours
from ganchain.faces.reading import Hold
from ganchain.tensors import Pixels

EDGE = 8e-4  # variance of red, green and blue above which a difference is an edge
ISLAND = 14  # px: smaller areas are given to those around them
COLOURS = 40  # of surroundings
WIDTH = 0.11 * UNITS  # distance of the eyes of the head that lines are drawn for where there is none
CUT = 96  # px: side of the picture in which people are told from what is behind them
BLACK, HATCHED = 27.0, 48.0  # L* below which ink is black, and hatched


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Surroundings of heads: a small square picture of them, and the large one.

    Attributes:
        small: (S, S, 3) float32 0..1 RGB; the large picture without what makes it a square lies at its upper left.
        large: (H, W, 3) float32 0..1.
        head: (S, S) 0..1, where heads are that will be drawn.
        size: width and height of the large picture in px of the small one.
        chins: places of their chins, and distances of their eyes, in units; the main head's last; empty without heads.
        hold: holds the colours still along a video; None in a photo.
    """

    small: Planes
    large: Planes
    head: Planes
    size: tuple[int, int]
    chins: Sequence[tuple[Knots, float]]
    hold: Hold | None = None

    @property
    def width(self) -> float:
        """Distance of the main head's eyes, in units; without a head, ``WIDTH``."""
        return self.chins[-1][1] if self.chins else WIDTH

    @cached_property
    def lab(self) -> Planes:
        """The small picture in Lab."""
        return to_lab(self.small)

    @cached_property
    def calm(self) -> Planes:
        """The small picture in Lab without grain."""
        return calmed(self.lab)

    @cached_property
    def flow(self) -> tuple[Planes, Planes]:
        """The direction along which it changes least."""
        return flow(self.calm[..., 0], 2.5)

    def flattened(self, lighter: Planes | float = 0.35) -> Pixels:
        """Flatten the large picture: (H, W, 3) uint8 RGB, clean areas, edges as sharp as the photo's.

        Each place of the large picture is a linear function of its colour (a guided filter, He & Sun 2015), so its
        edges are those of the photo.

        Args:
            lighter: how much lighter it becomes, also by place, (S, S).
        """
        lab = painted(self.lab)
        light, red, yellow = cv2.split(lab)
        light = light + lighter * (0.22 * (96 - light).clip(0) + 1)
        guide, flat = self.small, cv2.cvtColor(cv2.merge([light, 1.05 * red, 1.05 * yellow]), cv2.COLOR_LAB2RGB)
        mean, target = cv2.blur(guide, (9, 9)), cv2.blur(flat, (9, 9))
        covariance, variance = cv2.blur(guide * flat, (9, 9)) - mean * target, cv2.blur(guide * guide, (9, 9)) - mean**2
        slope = covariance / (variance + EDGE)
        offset = cv2.blur(target - slope * mean, (9, 9))
        large = self._large(255 * cv2.blur(slope, (9, 9)))
        large *= self.large
        return np.asarray(cv2.add(large, self._large(255 * offset), dtype=cv2.CV_8U), np.uint8)

    @cached_property
    def people(self) -> list[Ring]:
        """Outlines of heads and clothes."""
        return self._outlined(np.asarray(1 - self.behind, np.float32), holes=False)

    def _outlined(self, plane: Planes, holes: bool) -> list[Ring]:
        width = self.width
        found = contours(plane, 0.5, smooth=0.02 * width, spacing=0.06 * width, least=0.3 * width**2, holes=holes)
        return [Ring((knots,)) for knots in found]

    def draw_people(self, drawing: Drawing) -> None:
        """Draw white where people are, for a page that is transparent elsewhere: layer "ground"."""
        drawing.put("ground", Shape(self.people, (1.0, 1.0, 1.0)))

    def draw_tones(self, drawing: Drawing, lighter: float = 0.35, people: bool = False) -> None:
        """Draw the picture, or only ``people``, in flat colours with clean borders: layer "ground"."""
        flat = painted(painted(np.ascontiguousarray(self.lab[: self.size[1], : self.size[0]])))
        means = held_colours(flat[::3, ::3].reshape(-1, 3), self.hold, lambda colours: main_colours(colours, COLOURS))
        label = without_islands(nearest(flat, means), len(means), ISLAND)
        near = [blurred((label == k).astype(np.float32), 0.8) for k in range(len(means))]
        order = np.argsort([-plane.sum() for plane in near])
        first, second = two_largest(near)
        unit = UNITS / self.small.shape[0]
        whole = [Ring((np.array([(-9.0, -9.0), (265, -9)]), np.array([(265.0, 265.0), (-9, 265)])))]
        for number, k in enumerate(order):
            light, red, yellow = (float(v) for v in means[k])
            colour = rgb((light + lighter * (0.22 * max(96 - light, 0) + 1), 1.05 * red, 1.05 * yellow))
            own = np.asarray(near[k] - np.where(near[k] >= first, second, first), np.float32)
            found = contours(own, -0.25, smooth=1.0 * unit, spacing=2 * unit, least=6 * unit**2)
            rings = [Ring((knots,)) for knots in found] if number else whole
            drawing.put("ground", Shape(rings, colour, within=self.people if people else (), holes=True))

    def painted(self, colour: str) -> Pixels:
        """Flatten the large picture, and paint what is behind people in a colour of CSS: (H, W, 3) uint8 RGB."""
        flat = self.flattened(0.0)
        behind = self._large(self.behind)[..., None]
        return np.asarray(flat + behind * (255 * np.array(_colour(colour), np.float32) - flat) + 0.5, np.uint8)

    def _large(self, plane: NDArray[np.floating[Any]]) -> Planes:
        """Enlarge a small plane to the large picture."""
        height, width = self.large.shape[:2]
        return np.asarray(cv2.resize(plane[: self.size[1], : self.size[0]], (width, height)), np.float32)

    @cached_property
    def behind(self) -> Planes:
        """The ground behind heads and clothes, (S, S) 0..1.

        Clothes lie below a chin and differ from what is beside the head; their border is found by a graph cut (Rother,
        Kolmogorov & Blake 2004) on a smaller picture.
        """
        picture = (cv2.cvtColor(reduced(self.calm, CUT, clip=False), cv2.COLOR_LAB2RGB) * 255).clip(0, 255)
        narrow = np.asarray(cv2.erode(self.head, np.ones((5, 5), np.uint8)), np.float32)  # it has a margin
        head = reduced(narrow, CUT)
        marks = np.full((CUT, CUT), cv2.GC_PR_BGD, np.uint8)
        below = np.zeros((CUT, CUT), bool)
        for place, width in self.chins:
            x, y, w = (float(value) * CUT / UNITS for value in (*place, width))
            u, v = np.arange(CUT)[None] - x, np.arange(CUT)[:, None] - y
            marks[(v > 0) & (np.abs(u) < 0.75 * w + 1.2 * v) & (np.abs(u) < 3 * w)] = cv2.GC_PR_FGD
            marks[(v > 0.5 * w) & (np.abs(u) < np.minimum(1.5 * w, 0.3 * w + 1.1 * (v - 0.5 * w)))] = cv2.GC_FGD
            below |= (v > -0.15 * w) & (np.abs(u) < 4 * w)
        marks[~below & (head < 0.05)] = cv2.GC_BGD
        marks[head > 0.5] = cv2.GC_FGD
        cv2.setRNGSeed(7)
        if (marks == cv2.GC_BGD).any() and (marks == cv2.GC_FGD).any():
            models = np.zeros((1, 65)), np.zeros((1, 65))
            cv2.grabCut(picture.astype(np.uint8), marks, (0, 0, 1, 1), *models, 2, cv2.GC_INIT_WITH_MASK)
        behind = np.isin(marks, (cv2.GC_BGD, cv2.GC_PR_BGD)).astype(np.float32)
        large = reduced(behind, self.small.shape[0])
        return np.asarray(((blurred(large, 1.5) - 0.35) / 0.3).clip(0, 1), np.float32)

    def draw_plain(self, drawing: Drawing, colour: str) -> None:
        """Draw what is behind people in one colour of CSS: layer "ground"."""
        drawing.put("ground", Shape(self._outlined(self.behind, holes=True), _colour(colour), holes=True))

    def draw_lines(self, drawing: Drawing, inside: Planes, line: float) -> None:
        """Draw long lines of what lies ``inside``, (S, S) 0..1: layer "background"."""
        width = self.width
        light = self.calm[..., 0]
        dark = np.asarray(valleys(light, self.flow, 1.3, 2.8) * (60 / (light + 12)), np.float32)
        px = self.small.shape[0] / UNITS
        want = Lines(least=2.0, short=max(8.0, 0.25 * width * px), apart=3.0, most=150, steps=80)
        ink = rgb((12.0, 3.0, 3.0))
        for way in lines(dark, self.flow, inside, want):
            knots = np.concatenate([way[:-1:2], way[-1:]])
            thick = taper(len(knots), 0.02 * width * line, 0.3, 0.3, 0.1)
            drawing.put("background", Line([stroke(knots, thick)], ink, 0.8))

    def draw_screens(self, drawing: Drawing, inside: Planes) -> None:
        """Draw what is dark ``inside`` in black and hatched, for ink: layer "screen"."""
        width = self.width
        light = blurred(self.calm[..., 0], 1.0) * inside + 100 * (1 - inside)
        for level, hatch in ((HATCHED, 0.045 * width), (BLACK, 0.0)):
            found = contours(-light, -level, smooth=0.02 * width, spacing=2.0, least=0.05 * width**2)
            rings = [Ring((knots,)) for knots in found]
            drawing.put("screen", Shape(rings, rgb((6.0, 0.0, 0.0)), holes=True, hatch=hatch))


def uncovered(picture: Planes, hair: Planes, behind: Planes) -> Planes:
    """Paint what is behind hair, also where there is only a little of it, in the colours beside it.

    Args:
        picture: (S, S, 3) 0..1.
        hair: (S, S) 0..1.
        behind: (S, S) 0..1, where no head is.
    """
    share = (8 * blurred(grown(hair, 2), 1.5) - 0.3).clip(0, 1)
    filled, free = picture.copy(), (1 - share) * behind
    for sigma in (40.0, 12.0, 4.0):
        near = blurred(free, sigma)[..., None]
        colours = blurred(picture * free[..., None], sigma) / (near + 1e-6)
        filled += (near / 0.1).clip(0, 1) * (colours - filled)
    return np.asarray(picture + share[..., None] * (filled - picture), np.float32)


def _colour(name: str) -> Colour:
    red, green, blue = (value / 255 for value in ImageColor.getrgb(name)[:3])
    return red, green, blue


@dataclass(frozen=True, eq=False, kw_only=True)
class Beside(Surroundings):
    """Surroundings of one head in its own window, of which much is measured already.

    Attributes:
        study: of the head.
    """

    study: Study

    @cached_property
    def lab(self) -> Planes:
        return self.study.lab

    @cached_property
    def calm(self) -> Planes:
        return self.study.calm


def around(study: Study) -> Surroundings:
    """Return what is around the head of a study, in its window."""
    side, chin = study.small.shape[0], (study.points[152], study.width)
    return Beside(study.small, study.picture, study.head, (side, side), [chin], study=study)
