"""Light: the photo's own light on skin, cut into tones, and the colours of shadows."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import cv2
import numpy as np

from ganchain.drawing.paths import Planes, Ring, Shape
from ganchain.drawing.planes import SIDE, blurred, filled, grown, reduced, rgb
from ganchain.drawing.study import Study
from ganchain.drawing.trace import soft_shapes

SOFT = 0.8  # L* over half of a tone's border
JUMP = 8.0  # L* by which a place changes at once along a video
BRIGHT = 9.0  # L* above the skin's own at which the light tone begins


@dataclass(frozen=True)
class Modelling:
    """Share of the photo's own light and shade in the tones.

    Attributes:
        likeness: 0: few and even shadows, 1: all those that the person's face has.
    """

    likeness: float

    @property
    def blur(self) -> float:
        """Blur of the light before it is cut into tones, of the eyes' distance."""
        return 0.042 - 0.024 * self.likeness

    @property
    def smooth(self) -> float:
        """Units over which the borders of tones are smoothed."""
        return 3.0 - 1.8 * self.likeness

    @property
    def least(self) -> float:
        """Smallest area of a tone, of the square of the eyes' distance."""
        return 0.09 - 0.084 * self.likeness

    def shadows(self, tones: int) -> list[tuple[float, float]]:
        """List the shadows: L* below the skin's own at which each begins, and its place among two usual shades."""
        first, second = 10 - 5 * self.likeness, 26 - 14 * self.likeness
        usual = [(first, 1 - 0.2 * self.likeness), (second, 2 - 0.4 * self.likeness)]
        return usual[: tones - 1] + [(second + 8, 2.4)] * (tones > 2 and self.likeness > 0.6)


def cut_tones(study: Study, rings: list[Ring], modelling: Modelling, tones: int) -> list[Shape]:
    """Cut the photo's light on the skin into tones."""
    low, base = _light(study, modelling)
    low, base = study.steady("light", low, JUMP), float(study.steady("base", np.array(base, np.float32), inf))
    smooth, least, shapes = modelling.smooth, modelling.least * study.width**2, []
    for level, place in modelling.shadows(tones):
        shade = rgb(shade_of(study.paper, place))
        spacing = 5 - 2 * modelling.likeness
        shapes += soft_shapes(
            base - low, level, SOFT, shade, 0.97, within=rings, smooth=smooth, spacing=spacing, least=least
        )
    if tones > 2:
        inner = filled([np.array([(9.0, 9.0), (247, 9), (247, 247), (9, 247)])])  # what is lit ends with the window
        over, soft_over = blurred(inner, 3.0) * (low - base), 2.6 - 1.4 * modelling.likeness
        light, red, yellow = (float(v) for v in study.paper)
        glow = rgb((min(light + 4 + 2 * modelling.likeness, 95), red * 0.75, yellow * 0.88))
        level = BRIGHT - 2 * modelling.likeness
        shapes += soft_shapes(
            over, level, 1.5 * SOFT, glow, 0.6, within=rings, smooth=soft_over, spacing=5, least=least
        )
    return shapes


def shade_of(paper: Planes, place: float = 1.0) -> tuple[float, float, float]:
    """Compute the Lab of a shadow on skin: 1 for the usual one, 2 for the deeper one, between and beyond them."""
    light, red, yellow = (float(v) for v in paper)
    depth = 7 + 0.05 * light
    more = max(0.0, place - 1)
    dark = depth * (place + 0.1 * more)
    return light - dark, red * 1.05 + 4 * min(place, 1) + 3 * more, yellow * (1.06 - 0.01 * more) + 2 - more


def _light(study: Study, modelling: Modelling) -> tuple[Planes, float]:
    """Estimate the light on the skin: L* without features, beard, grain and most of its fall from side to side."""
    weight = (
        study.matte("skin") * (1 - (1 - modelling.likeness) * study.features) * (1 - study.matte("beard"))
    ).astype(np.float32)
    weight = weight * study.uncovered * (1 - (3 * grown(study.seen_small, 2)).clip(0, 1))
    weight = np.asarray(cv2.erode(weight, np.ones((5, 5), np.uint8)), np.float32) + 1e-4
    calm = study.calm[..., 0]
    if modelling.likeness < 1:
        half = cv2.bilateralFilter(reduced(calm, SIDE // 2, clip=False), 5, 10, 2.5)
        calm = calm + (1 - modelling.likeness) * (cv2.resize(half, (SIDE, SIDE)) - calm)
    sigma = modelling.blur * study.width
    far = blurred(calm * weight, 4 * sigma) / blurred(weight, 4 * sigma)
    mass = blurred(weight, sigma)
    low = (blurred(calm * weight, sigma) + 0.08 * far) / (mass + 0.08)
    side = low.shape[0]
    chosen = study.bare > 0.05  # by its weight: nothing jumps when a point moves a little
    share = study.bare[chosen].astype(np.float64)
    if share.sum() < 60:
        return low.astype(np.float32), float(study.skin[0])
    y, x = np.indices((side, side), dtype=np.float32)
    nose = study.points[1]
    u, v = (x - float(nose[0])) / study.width, (y - float(nose[1])) / study.width
    fit = np.stack([share, u[chosen] * share, v[chosen] * share])
    slope = np.linalg.lstsq(fit @ fit.T, fit @ (low[chosen] * share), rcond=None)[0]
    fall = u.clip(-1, 1) * np.float32(slope[1]) + v.clip(-1, 1) * np.float32(0.7 * slope[2])
    low = low - np.float32(min(1.0, 1.2 * (1 - modelling.likeness))) * fall
    light = low[chosen]
    order = np.argsort(light)
    ranks = np.cumsum(share[order])
    return low.astype(np.float32), float(np.interp(0.58 * ranks[-1], ranks, light[order]))
