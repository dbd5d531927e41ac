"""Skin: one flat fill, two tones of shadow with clean borders, a light one, a blush, and the head's contour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.drawing.paths import Drawing, Fade, Knots, Line, Planes, Ring, Shape, circle, curve, stroke, taper
from ganchain.drawing.study import SIDE, Study, blurred, closed, filled, grown, reduced, rgb
from ganchain.drawing.trace import contours, sample
from ganchain.faces import mesh

JAW = (132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361)
SIDES = ((127, 234, 93), (323, 454, 356))  # of the face before the ears, which continue the jaw
EARS = ((162, 127, 234, 93, 132), (389, 356, 454, 323, 361))  # borders of the face before them, from above
BENEATH = (240, 97, 2, 326, 460)  # the nose, from wing to wing
BELOW = 0.20  # of the eyes' distance: how far the chin's shadow falls on the neck
OUTER = (54, 21, 162, 127, 234, 93, 132, 58, 172, 136, 150, 149)  # side of the face, from above
SIDE_DEPTH = 0.34  # of the eyes' distance: how far the shadow of that side reaches at most
BRIGHT = 9.0  # L* above the skin's own at which the light tone begins


@dataclass(frozen=True)
class Modelling:
    """Share of the photo's own light and shade in the tones.

    Attributes:
        likeness: up to one half: the style's own shadows, 1: those that the person's face has.
    """

    likeness: float

    @property
    def own(self) -> float:
        """Share of what a portrait needs and a drawing leaves out."""
        return max(0.0, 2 * self.likeness - 1)

    @property
    def opacity(self) -> float:
        """Opacity of the tones that are the photo's."""
        return min(1.0, 4 * self.own)

    @property
    def blur(self) -> float:
        """Blur of the light before it is cut into tones, of the eyes' distance."""
        return 0.0315 - 0.0135 * self.own

    @property
    def smooth(self) -> float:
        """Units over which the borders of tones are smoothed."""
        return 1.9 - 0.7 * self.own

    @property
    def least(self) -> float:
        """Smallest area of a tone, of the square of the eyes' distance."""
        return 0.03 - 0.024 * self.own

    def shadows(self, tones: int) -> list[tuple[float, float]]:
        """List the shadows: L* below the skin's own at which each begins, and its place among two usual shades."""
        first, second = 7.5 - 3 * self.own, 18 - 6 * self.own
        usual = [(first, 1 - 0.25 * self.own), (second, 2 - 0.4 * self.own)]
        return usual[: tones - 1] + [(second + 8, 2.4)] * (tones > 2 and self.own > 0.3)


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
        if modelling.opacity < 1:
            drawing.put("shadow", *_side(study, rings, 1 - modelling.opacity))
        drawing.put("shadow", Shape([_chin(study)], rgb(shade_of(study.paper)), within=rings))
        if modelling.opacity < 1:
            drawing.put("shadow", Shape([_beneath(study)], rgb(shade_of(study.paper)), 1 - modelling.opacity))
    if tones > 1 and modelling.own:
        drawing.put("shadow", *_tones(study, rings, modelling, tones))
    if blush:
        drawing.put("blush", *(_cheek(study, spot, rings, blush) for spot in (mesh.RIGHT_CHEEK, mesh.LEFT_CHEEK)))
    for knots in outer:
        drawing.put("line", *_contour(study, knots, line))


def _tones(study: Study, rings: list[Ring], modelling: Modelling, tones: int) -> list[Shape]:
    """Cut the photo's light on the skin into tones."""
    low, base = _light(study, modelling)
    smooth, least, shapes = modelling.smooth, modelling.least * study.width**2, []
    for level, place in modelling.shadows(tones):
        found = contours(base - low, level, smooth=smooth, spacing=5 - 2 * modelling.own, least=least)
        shade = rgb(shade_of(study.paper, place))
        shapes.append(Shape([Ring((k,)) for k in found], shade, modelling.opacity, within=rings, holes=True))
    if tones > 2:
        inner = filled([np.array([(9.0, 9.0), (247, 9), (247, 247), (9, 247)])])  # what is lit ends with the window
        over, soft = blurred(inner, 3.0) * (low - base), 2.6 - 1.4 * modelling.own
        bright = contours(over, BRIGHT - 4 * modelling.own, smooth=soft, spacing=5, least=least)
        light, red, yellow = (float(v) for v in study.paper)
        glow = rgb((min(light + 4 + 2 * modelling.own, 95), red * 0.75, yellow * 0.88))
        opacity = 0.8 * modelling.opacity
        shapes.append(Shape([Ring((k,)) for k in bright], glow, opacity, within=rings, holes=True))
    return shapes


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
    fade = Fade((float(start[0]), float(start[1])), (float(end[0]), float(end[1])), shade, 0.3 * opacity)
    return [Shape([Ring((outer, inner[::-1]))], shade, opacity, fade, within=rings)]


def _beneath(study: Study) -> Ring:
    """Outline the shadow beneath the nose."""
    edge = curve(study.points[list(BENEATH)], 20)[2:-2]
    t = np.linspace(0, 1, len(edge))[:, None]
    return Ring((edge, (edge + 0.055 * study.width * np.sin(np.pi * t) * np.array([0.0, 1.0]))[::-1]))


def shade_of(paper: Planes, place: float = 1.0) -> tuple[float, float, float]:
    """Compute the Lab of a shadow on skin: 1 for the usual one, 2 for the deeper one, between and beyond them."""
    light, red, yellow = (float(v) for v in paper)
    depth = 7 + 0.05 * light
    more = max(0.0, place - 1)
    dark = depth * (place + 0.1 * more)
    return light - dark, red * 1.05 + 4 * min(place, 1) + 3 * more, yellow * (1.06 - 0.01 * more) + 2 - more


def _light(study: Study, modelling: Modelling) -> tuple[Planes, float]:
    """Estimate the light on the skin: L* without features, beard, grain and most of its fall from side to side."""
    weight = (study.matte("skin") * (1 - (1 - modelling.own) * study.features) * (1 - study.matte("beard"))).astype(
        np.float32
    )
    for over in ("glasses", "cover", "hair"):
        weight = weight * (1 - (3 * grown(study.matte(over), 2)).clip(0, 1))
    weight = np.asarray(cv2.erode(weight, np.ones((5, 5), np.uint8)), np.float32) + 1e-4
    calm = study.calm[..., 0]
    if modelling.own < 1:
        calm = calm + (1 - modelling.own) * (np.asarray(cv2.bilateralFilter(calm, 7, 10, 5), np.float32) - calm)
    sigma = modelling.blur * study.width
    far = blurred(calm * weight, 4 * sigma) / blurred(weight, 4 * sigma)
    mass = blurred(weight, sigma)
    low = (blurred(calm * weight, sigma) + 0.08 * far) / (mass + 0.08)
    side = low.shape[0]
    chosen = study.bare > 0.05  # by its weight: nothing jumps when a point moves a little
    share = study.bare[chosen].astype(np.float64)
    if share.sum() < 60:
        return low.astype(np.float32), float(study.skin[0])
    y, x = np.mgrid[:side, :side].astype(np.float32)
    nose = study.points[1]
    u, v = (x - float(nose[0])) / study.width, (y - float(nose[1])) / study.width
    fit = np.stack([np.ones(len(share)), u[chosen], v[chosen]], axis=1) * share[:, None]
    slope = np.linalg.lstsq(fit, low[chosen] * share, rcond=None)[0]
    low = low - 0.7 * (1 - modelling.own) * (u.clip(-1, 1) * slope[1] + v.clip(-1, 1) * slope[2] * 0.7)
    light = low[chosen]
    order = np.argsort(light)
    ranks = np.cumsum(share[order])
    return low.astype(np.float32), float(np.interp(0.58 * ranks[-1], ranks, light[order]))


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
    colour = rgb((light - 3, red + 20, yellow + 5))
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
    width = 0.019 * study.width * line * (2.4 * sample(beside, knots) - 0.2).clip(0, 1) * inside
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
    width = 0.021 * study.width * line * weight * taper(len(jaw), 1.0, 0.3, 0.3)
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
