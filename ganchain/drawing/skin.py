"""Skin: one flat fill, two tones of shadow with clean borders, a light one, a blush, and the head's contour."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.drawing.light import Modelling, cut_tones, shade_of
from ganchain.drawing.paths import Drawing, Fade, Knots, Line, Planes, Ring, Shape, circle, curve, stroke, taper
from ganchain.drawing.planes import SIDE, blurred, closed, disc, grown, reduced, rgb
from ganchain.drawing.study import Study
from ganchain.drawing.trace import contours, sample
from ganchain.faces import mesh

JAW = (132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361)
SIDES = ((127, 234, 93), (323, 454, 356))  # of the face before the ears, which continue the jaw
EARS = ((162, 127, 234, 93, 132), (389, 356, 454, 323, 361))  # borders of the face before them, from above
BENEATH = (240, 97, 2, 326, 460)  # the nose, from wing to wing
BELOW = 0.20  # of the eyes' distance: how far the chin's shadow falls on the neck
OUTER = (54, 21, 162, 127, 234, 93, 132, 58, 172, 136, 150, 149)  # side of the face, from above
SIDE_DEPTH = 0.34  # of the eyes' distance: how far the shadow of that side reaches at most


def draw_skin(study: Study, drawing: Drawing, tones: int, blush: float, line: float, likeness: float) -> None:
    """Draw the skin: layers "skin", "shadow", "blush"; its contour in "line"."""
    both = np.maximum(study.whole, reduced(study.locks, SIDE))
    under = closed(both, 0.07 * study.width) * grown(study.whole, 0.1 * study.width)  # it goes on below the hair
    under = np.maximum(under, _gaps(both) * (1 - study.matte("cover")))
    field = blurred(np.asarray(np.maximum(study.whole, under), np.float32), 1.0)
    outer = contours(field, 0.5, smooth=2.5, least=0.05 * study.width**2, holes=False)
    rings = [Ring((knots,)) for knots in outer]
    drawing.put("skin", Shape(rings, rgb(study.paper)))
    modelling = Modelling(likeness)
    if tones > 1:
        if modelling.opacity < 1:
            drawing.put("shadow", *_side(study, rings, 1 - modelling.opacity))
        drawing.put("shadow", Shape([_chin(study)], rgb(shade_of(study.paper)), within=rings))
        if modelling.opacity < 1:
            drawing.put("shadow", Shape([_beneath(study)], rgb(shade_of(study.paper)), 1 - modelling.opacity))
    if tones > 1 and modelling.own:
        drawing.put("shadow", *cut_tones(study, rings, modelling, tones))
    if blush:
        drawing.put("blush", *(_cheek(study, spot, rings, blush) for spot in (mesh.RIGHT_CHEEK, mesh.LEFT_CHEEK)))
    for knots in outer:
        drawing.put("line", *_contour(study, knots, line))


def _gaps(plane: Planes) -> Planes:
    """Fill the holes of a plane, a little smaller than it is: 0 or 1."""
    found, _ = cv2.findContours((plane > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    solid = np.zeros(plane.shape, np.uint8)
    cv2.drawContours(solid, found, -1, 1, -1)
    return np.asarray(cv2.erode(solid, disc(3)), np.float32)


def _side(study: Study, rings: list[Ring], opacity: float) -> list[Shape]:
    """Draw one soft shadow along the darker side of the face, the deeper the more that side is darker."""
    chosen = study.bare > 0.05
    if (share := study.bare[chosen].astype(np.float64)).sum() < 60:
        return []
    y, x = np.nonzero(chosen)
    places = (np.stack([x, y], axis=1) + 0.5 - study.points[1]) / study.width
    fit = np.column_stack([np.ones(len(share)), places]) * share[:, None]
    slope = float(np.linalg.lstsq(fit, study.calm[..., 0][chosen] * share, rcond=None)[0][1])
    depth = SIDE_DEPTH * study.width * float(np.clip((abs(slope) - 1) / 7, 0, 1))
    if depth < 0.5:
        return []
    order = [*(mesh.MIRROR[point] for point in OUTER)] if slope < 0 else list(OUTER)
    edge = curve(study.points[order], 30)
    inward = study.points[order[4]] - study.points[mesh.MIRROR[order[4]]]
    inward /= -float(np.linalg.norm(inward)) + 1e-9
    t = np.linspace(0, 1, len(edge))[:, None]
    inner = edge + depth * np.interp(t, (0, 0.15, 0.3, 0.6, 0.8, 1), (0, 0.35, 0.6, 1.1, 0.8, 0)) * inward
    aside = np.interp(t, (0, 0.25, 0.5, 0.65, 1), (0, 0.5, 0.5, 0.03, 0))
    outer = edge - study.width * aside * inward
    shade = rgb(shade_of(study.paper))
    inner = curve(inner[[0, 6, 12, 18, 24, 29]], len(edge))
    middle = edge[len(edge) // 2]
    start, end = middle + 0.1 * depth * inward, middle + 1.05 * depth * inward
    fade = Fade((float(start[0]), float(start[1])), (float(end[0]), float(end[1])), shade, 0.5 * opacity)
    return [Shape([Ring((outer, inner[::-1]))], shade, opacity, fade, within=rings)]


def _beneath(study: Study) -> Ring:
    """Outline the shadow beneath the nose."""
    edge = curve(study.points[list(BENEATH)], 20)[2:-2]
    t = np.linspace(0, 1, len(edge))[:, None]
    return Ring((edge, (edge + 0.055 * study.width * np.sin(np.pi * t) * np.array([0.0, 1.0]))[::-1]))


def _chin(study: Study) -> Ring:
    """Outline the shadow that the chin throws on the neck."""
    jaw = curve(study.points[list(JAW)], 40)
    t = np.linspace(0, 1, len(jaw))
    down = BELOW * study.width * (0.35 + 0.65 * np.sin(np.pi * t)[:, None] ** 1.5)
    return Ring((jaw, (jaw + down * np.array([0.0, 1.0]))[::-1]))


def _cheek(study: Study, spot: tuple[int, ...], rings: list[Ring], blush: float) -> Shape:
    """Draw a soft spot of blush."""
    cheek, edge = study.points[spot[0]], study.points[spot[1]]
    centre = 0.75 * cheek + 0.25 * edge
    light, red, yellow = (float(v) for v in study.paper)
    colour = rgb((light - 3, red + 26, yellow + 6))
    radius = 0.2 * study.width
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
    edges = np.flatnonzero(np.diff(np.concatenate([[0], on.astype(np.int8), [0]]))).reshape(-1, 2)
    return [stroke(knots[a:b], wide[a:b] * taper(b - a, 1.0, 0.12, 0.12)) for a, b in edges.tolist() if b - a >= short]


def _contour(study: Study, knots: Knots, line: float) -> list[Shape]:
    """Draw the contour of skin where it ends before the background or clothes: ears, cheeks, neck, a bald head."""
    beside = blurred((1 - study.whole - reduced(study.locks, SIDE)).clip(0, 1), 2.0)
    inside = ((knots > 1.5) & (knots < 254.5)).all(axis=1)
    width = 0.022 * study.width * line * (2.4 * sample(beside, knots) - 0.2).clip(0, 1) * inside
    soft = np.convolve(np.pad(width, 3, mode="wrap"), np.ones(7) / 7, mode="valid")
    runs = outline_runs(knots, soft, 0.004 * study.width * line, 8)
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
    weight = np.convolve(np.pad(weight, 5, mode="edge"), np.ones(11) / 11, mode="valid")
    width = 0.023 * study.width * line * weight * taper(len(jaw), 1.0, 0.3, 0.3)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (width > 0.1).astype(np.int8), [0]]))).reshape(-1, 2)
    for a, b in edges.tolist():
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
    seen = np.stack([sample(study.whole, edge + step * out) for step in steps]) > 0.5
    wide = 0.025 * study.width * np.logical_and.accumulate(seen, axis=0).sum(axis=0)
    wide = np.convolve(np.pad(wide, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    ear = wide > 0.08 * study.width
    if ear.sum() < 8 or wide.max() > 0.34 * study.width:
        return []
    first, last = np.flatnonzero(ear)[[0, -1]]
    t = np.linspace(0, 1, last - first + 1)
    way = edge[first : last + 1] + (wide[first : last + 1] * (0.62 - 0.2 * t))[:, None] * out
    part = curve(way[np.linspace(0, len(way) - 1, 5).round().astype(int)], 16)[2:12]
    return [Line([stroke(part, taper(len(part), 0.014 * study.width * line, 0.4, 0.5, 0.1))], study.line, 0.7)]
