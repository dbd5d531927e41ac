"""Skin: one flat fill, two tones of shadow with clean borders, a light one, a blush, and the head's contour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.drawing.paths import Drawing, Fade, Knots, Line, Planes, Ring, Shape, circle, curve, stroke, taper
from ganchain.drawing.study import Study, blurred, filled, grown, rgb
from ganchain.drawing.trace import contours, sample
from ganchain.faces import mesh

JAW = (132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361)
BELOW = 0.20  # of the eyes' distance: how far the chin's shadow falls on the neck
BRIGHT = 9.0  # L* above the skin's own at which the light tone begins


@dataclass(frozen=True)
class Modelling:
    """Share of the photo's own light and shade in the tones.

    Attributes:
        likeness: 0: few large shadows, 1: those that the person's face has.
    """

    likeness: float

    @property
    def own(self) -> float:
        """Share of what a portrait needs and a drawing leaves out: 0 up to the likeness of one half."""
        return max(0.0, 2 * self.likeness - 1)

    @property
    def blur(self) -> float:
        """Blur of the light before it is cut into tones, of the eyes' distance."""
        return 0.045 - 0.027 * self.likeness

    @property
    def smooth(self) -> float:
        """Units over which the borders of tones are smoothed."""
        return 2.6 - 1.4 * self.likeness

    @property
    def least(self) -> float:
        """Smallest area of a tone, of the square of the eyes' distance."""
        return 0.03 - 0.024 * self.own

    def shadows(self, tones: int) -> list[tuple[float, float]]:
        """List the shadows: L* below the skin's own at which each begins, and its place among two usual shades."""
        first, second = 9 - 3 * self.likeness - 1.5 * self.own, 22 - 8 * self.likeness - 2 * self.own
        usual = [(first, 1 - 0.25 * self.own), (second, 2 - 0.4 * self.own)]
        return usual[: tones - 1] + [(second + 8, 2.4)] * (tones > 2 and self.own > 0.3)


def draw_skin(study: Study, drawing: Drawing, tones: int, blush: float, line: float, likeness: float) -> None:
    """Draw the skin: layers "skin", "shadow", "blush"; its contour in "line"."""
    skin, beard, hair = (study.matte(name) for name in ("skin", "beard", "hair"))
    own = skin + beard
    under = hair * grown(own, 0.07 * study.width)  # the fill goes on below the hair
    outer = contours(blurred(np.asarray(own + under, np.float32), 1.0), 0.5, smooth=1.8, least=90)
    rings = [Ring((knots,)) for knots in outer]
    light, red, yellow = (float(v) for v in study.paper)
    drawing.put("skin", Shape(rings, rgb(study.paper), holes=True))
    modelling = Modelling(likeness)
    smooth, area = modelling.smooth, study.width**2
    low, base = _light(study, modelling)
    if tones > 1:
        drawing.put("shadow", Shape([_chin(study)], rgb(shade_of(study.paper)), within=rings))
    for level, place in modelling.shadows(tones):
        found = contours(base - low, level, smooth=smooth, spacing=5 - 2 * modelling.own, least=modelling.least * area)
        shade = rgb(shade_of(study.paper, place))
        drawing.put("shadow", Shape([Ring((k,)) for k in found], shade, within=rings, holes=True))
    if tones > 2:
        begin = BRIGHT - 4 * modelling.own
        inner = filled([np.array([(9.0, 9.0), (247, 9), (247, 247), (9, 247)])])  # what is lit ends with the window
        over, soft = blurred(inner, 3.0) * (low - base), 2.6 - 1.4 * modelling.own
        bright = contours(over, begin, smooth=soft, spacing=5, least=modelling.least * area)
        glow = rgb((min(light + 4 + 2 * modelling.own, 95), red * 0.75, yellow * 0.88))
        drawing.put("shadow", Shape([Ring((k,)) for k in bright], glow, 0.8, within=rings, holes=True))
    if blush:
        drawing.put("blush", *(_cheek(study, spot, rings, blush) for spot in (mesh.RIGHT_CHEEK, mesh.LEFT_CHEEK)))
    for knots in outer:
        drawing.put("line", *_contour(study, knots, line))


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
    colour = rgb((light - 4, red + 16, yellow + 4))
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
    beside = blurred(study.matte("rest"), 2.0)
    hair = blurred(study.matte("hair"), 2.0)
    weight = sample(beside, knots) * 2 - 2.5 * sample(hair, knots)
    inside = ((knots > 1.5) & (knots < 254.5)).all(axis=1)
    width = 0.019 * study.width * line * weight.clip(0, 1) * inside
    soft = np.convolve(np.pad(width, 3, mode="wrap"), np.ones(7) / 7, mode="valid")
    runs = outline_runs(knots, soft, 0.004 * study.width * line, 8)
    return [Line([run], study.line) for run in runs]


def draw_jaw(study: Study, drawing: Drawing, line: float) -> None:
    """Draw the jaw before neck and ears as one tapering stroke, hidden where hair or a beard covers it."""
    jaw = curve(study.points[list(JAW)], 60)
    out = jaw - study.points[1]
    out /= np.linalg.norm(out, axis=1, keepdims=True) + 1e-9
    beyond = sample(study.matte("skin"), jaw + 0.05 * study.width * out)
    covered = sample(np.asarray(study.matte("hair") + study.matte("cover"), np.float32), jaw)
    bearded = sample(study.matte("beard"), jaw)
    weight = (1.6 * beyond - 0.2).clip(0, 1) * (1 - 1.6 * covered).clip(0, 1) * (1 - 1.2 * bearded).clip(0, 1)
    weight = np.convolve(np.pad(weight, 3, mode="edge"), np.ones(7) / 7, mode="valid")
    width = 0.021 * study.width * line * weight * taper(len(jaw), 1.0, 0.3, 0.3)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (width > 0.1).astype(np.int8), [0]]))).reshape(-1, 2)
    for a, b in edges.tolist():
        if b - a > 5:
            drawing.put("line", Line([stroke(jaw[a:b], width[a:b])], study.line))
