"""Skin: one flat fill, two tones of shadow with clean borders, a light one, a blush, and the head's contour."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganchain.drawing.light import Modelling, cut_tones, shade_of
from ganchain.drawing.paths import Drawing, Fade, Knots, Line, Ring, Shape, circle, curve, evened, spans, stroke, taper
from ganchain.drawing.planes import SIDE, blurred, closed, grown, reduced, rgb
from ganchain.drawing.study import Study
from ganchain.drawing.trace import contours, sample
from ganchain.faces import mesh

JAW = (132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361)
SIDES = ((127, 234, 93), (323, 454, 356))  # of the face before the ears, which continue the jaw
EARS = ((162, 127, 234, 93, 132), (389, 356, 454, 323, 361))  # borders of the face before them, from above
BELOW = 0.20  # of the eyes' distance: how far the chin's shadow falls on the neck


def draw_skin(study: Study, drawing: Drawing, tones: int, blush: float, line: float, likeness: float) -> None:
    """Draw the skin: layers "skin", "shadow", "blush"; its contour in "line"."""
    both = np.maximum(study.whole, reduced(study.locks, SIDE))
    under = closed(both, 0.07 * study.width) * grown(study.whole, 0.1 * study.width)  # it goes on below the hair
    field = blurred(np.asarray(np.maximum(study.whole, under), np.float32), 1.0)
    outer = contours(field, 0.5, smooth=2.5, least=0.05 * study.width**2, holes=False)
    rings = [Ring((knots,)) for knots in outer]
    drawing.put("skin", Shape(rings, rgb(study.paper)))
    modelling = Modelling(likeness)
    if tones > 1:
        drawing.put("shadow", Shape([_chin(study)], rgb(shade_of(study.paper)), within=rings))
        drawing.put("shadow", *cut_tones(study, rings, modelling, tones))
    bearded = float(study.matte("beard").sum()) / (0.4 * study.width**2)
    blush *= 1 - 0.6 * min(1.0, bearded)
    if blush:
        drawing.put("blush", *(_cheek(study, spot, rings, blush) for spot in (mesh.RIGHT_CHEEK, mesh.LEFT_CHEEK)))
    for knots in outer:
        drawing.put("line", *_contour(study, knots, line))


def _chin(study: Study) -> Ring:
    """Outline the shadow that the chin throws on the neck."""
    jaw = curve(study.points[list(JAW)], 40)
    t = np.linspace(0, 1, len(jaw))
    down = BELOW * study.width * (0.35 + 0.65 * np.sin(np.pi * t)[:, None] ** 1.5)
    return Ring((jaw, (jaw + down * np.array([0.0, 1.0]))[::-1]))


def _cheek(study: Study, spot: tuple[int, ...], rings: list[Ring], blush: float) -> Shape:
    """Draw a soft spot of blush."""
    cheek, edge = study.points[spot[0]], study.points[spot[1]]
    centre = 0.85 * cheek + 0.15 * edge
    light, red, yellow = (float(v) for v in study.paper)
    colour = rgb((light - 3, red + 34, yellow + 10))
    radius = 0.27 * study.width
    end = (float(centre[0] + radius), float(centre[1]))
    fade = Fade((float(centre[0]), float(centre[1])), end, colour, 0.0, stretch=0.6)
    return Shape([circle(centre, radius, 0.6)], colour, blush, fade, within=rings)


def outline_runs(knots: Knots, widths: NDArray[Any], least: float, short: int) -> list[Ring]:
    """Draw the parts of a closed curve that have a width above ``least`` as tapering strokes."""
    wide = np.asarray(widths, np.float64)
    on = wide > least
    if not on.any():
        return []
    if on.all():
        ring = np.concatenate([knots, knots[:1]])
        return [stroke(ring, np.concatenate([wide, wide[:1]]))]
    start = int(np.flatnonzero(~on)[0])
    knots, wide, on = np.roll(knots, -start, axis=0), np.roll(wide, -start), np.roll(on, -start)
    return [stroke(knots[a:b], wide[a:b] * taper(b - a, 1.0, 0.12, 0.12)) for a, b in spans(on) if b - a >= short]


def _contour(study: Study, knots: Knots, line: float) -> list[Shape]:
    """Draw the contour of skin where it ends before the background or clothes: ears, cheeks, neck, a bald head."""
    beside = blurred((1 - study.whole - reduced(study.locks, SIDE)).clip(0, 1), 2.0)
    inside = ((knots > 1.5) & (knots < 254.5)).all(axis=1)
    width = 0.022 * study.width * line * (2.4 * sample(beside, knots) - 0.2).clip(0, 1) * inside
    below = (knots[:, 1] - study.points[152, 1]) / study.width
    width *= (1 - (below - 0.35) / 0.2).clip(0, 1)  # lower down it is the edge of clothes
    runs = outline_runs(knots, evened(width, 3, closed=True), 0.004 * study.width * line, 8)
    return [Line([run], study.line) for run in runs]


def draw_jaw(study: Study, drawing: Drawing, line: float) -> None:
    """Draw jaw and sides of the face before neck and ears as one tapering stroke, and a curve in each ear."""
    order = [*SIDES[0], *JAW, *SIDES[1]]
    jaw = curve(study.points[order], 90)
    out = jaw - study.points[1]
    out /= np.linalg.norm(out, axis=1, keepdims=True) + 1e-9
    beyond = sample(study.whole, jaw + 0.09 * study.width * out)
    covered = sample(study.matte("cover"), jaw)
    weight = (1.6 * beyond - 0.2).clip(0, 1) * (1 - 1.6 * covered).clip(0, 1)
    width = 0.023 * study.width * line * evened(weight, 5) * taper(len(jaw), 1.0, 0.3, 0.3)
    for a, b in spans(width > 0.1):
        if b - a > 5:
            drawing.put("line", Line([stroke(jaw[a:b], width[a:b])], study.line))
    for ear in EARS:
        drawing.put("line", *_ear(study, curve(study.points[list(ear)], 24), line))


def _ear(study: Study, edge: Knots, line: float) -> list[Shape]:
    """Draw a curve in an ear, as far as the ear is seen.

    Args:
        edge: (K, 2) border of the face before the ear, from above.
    """
    out = edge[len(edge) // 2] - study.points[1]
    out /= float(np.linalg.norm(out)) + 1e-9
    out[1] = 0.0
    steps = np.arange(1, 16) * 0.025 * study.width
    seen = sample(study.whole, edge + steps[:, None, None] * out) > 0.5
    wide = evened(0.025 * study.width * np.logical_and.accumulate(seen, axis=0).sum(axis=0), 2)
    ear = wide > 0.08 * study.width
    if ear.sum() < 8 or wide.max() > 0.34 * study.width:
        return []
    first, last = np.flatnonzero(ear)[[0, -1]]
    t = np.linspace(0, 1, last - first + 1)
    way = edge[first : last + 1] + (wide[first : last + 1] * (0.62 - 0.2 * t))[:, None] * out
    part = curve(way[np.linspace(0, len(way) - 1, 5).round().astype(int)], 16)[2:12]
    return [Line([stroke(part, taper(len(part), 0.014 * study.width * line, 0.4, 0.5, 0.1))], study.line, 0.7)]
