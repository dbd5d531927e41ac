"""Hair and beards: a fill in three tones, long strands along the flow, and an outline from the matte."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.drawing.paths import UNITS, Colour, Drawing, Line, Planes, Ring, Shape, stroke, taper
from ganchain.drawing.planes import SIDE, blurred, reduced, rgb, to_lab
from ganchain.drawing.skin import outline_runs
from ganchain.drawing.study import Study
from ganchain.drawing.trace import contours, flow, sample, soft_contours

RIM = (0.22, 0.38, 0.55)  # mattes at which hair is drawn, ever more densely
TONED = 512  # px: of the picture in which the tones of hair are found
FULL = 0.5  # hairiness from which a beard is drawn as hair


def draw_hair(study: Study, drawing: Drawing, tones: int, line: float) -> None:
    """Draw the hair: layers "hair" and "strands". It thins out at its rim."""
    matte, least = study.locks, 0.012 * study.width**2
    soft = [contours(matte, level, smooth=0.7, spacing=1.4, least=least) for level in RIM]
    outer = soft[-1]
    if not outer:
        return
    colour = study.hair_tone
    ink = rgb((max(3.0, colour[0] * 0.42), colour[1] * 1.0 + 1, colour[2] * 0.9 + 1))
    for found, opacity in zip(soft, (0.45, 0.6, 1.0), strict=True):
        drawing.put("hair", Shape([Ring((knots,)) for knots in found], rgb(colour), opacity, holes=True))
    if tones > 1:
        _tones(study, drawing, [Ring((knots,)) for knots in outer], colour, tones)
    slope = _slope(reduced(matte, SIDE))
    for knots in outer:
        within = ((knots > 1.5) & (knots < 254.5)).all(axis=1)
        widths = 0.018 * study.width * line * sample(slope, knots) * within
        widths = np.convolve(np.pad(widths, 4, mode="wrap"), np.ones(9) / 9, mode="valid")
        drawing.put("strands", *(Line([run], ink) for run in outline_runs(knots, widths, 0.2 * line, 8)))


def _tint(
    study: Study, drawing: Drawing, layer: str, light: Planes, place: Planes, tones: int
) -> None:
    """Draw hair through which skin is seen, in flat tones as dark as it is.

    Args:
        light: (SIDE, SIDE) L*.
        place: (SIDE, SIDE) 0..1, where there is such hair.
    """
    darker = np.asarray((float(study.skin[0]) - light) * np.minimum(1, 1.4 * place), np.float32)
    hair = rgb((0.45 * float(study.hair[0]) + 8, float(study.paper[1]) * 0.6, 0.55 * float(study.paper[2])))
    for level in np.linspace(5, 32, 3 * tones):
        found = contours(blurred(darker, 1.2), level, smooth=1.6, spacing=2.5, least=0.05 * study.width**2)
        drawing.put(layer, Shape([Ring((k,)) for k in found], hair, 0.55 / tones, holes=True))


def _slope(matte: Planes) -> Planes:
    """Compute how sharp the border of a matte is: 1 for a clear edge, 0 for hair that thins out."""
    soft = blurred(matte, 1.5)
    gx, gy = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    return np.asarray((np.hypot(gx, gy) * 1.1 - 0.25).clip(0, 1), np.float32)


def _smoothed(lightness: Planes, along: tuple[Planes, Planes], reach: int = 7, step: float = 2.0) -> Planes:
    """Average along the flow, so that tones become locks."""
    side = lightness.shape[0]
    y, x = np.mgrid[:side, :side].astype(np.float32)
    total, weights = lightness.copy(), 1.0
    for sign in (1, -1):
        px, py = x.copy(), y.copy()
        dx, dy = sign * along[0], sign * along[1]
        for k in range(1, reach + 1):
            px, py = px + step * dx, py + step * dy
            tx, ty = (cv2.remap(plane, px, py, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE) for plane in along)
            turn = np.where(tx * dx + ty * dy < 0, np.float32(-1), np.float32(1))
            dx, dy = np.asarray(tx * turn, np.float32), np.asarray(ty * turn, np.float32)
            weight = float(np.exp(-0.5 * (k / reach * 1.6) ** 2))
            total += weight * cv2.remap(lightness, px, py, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            weights += weight
    return np.asarray(total / weights, np.float32)


def _tones(
    study: Study, drawing: Drawing, rings: list[Ring], colour: tuple[float, float, float], tones: int
) -> None:
    """Draw locks that are darker and lighter than the hair: its own light along its flow, in flat tones."""
    side = min(TONED, study.fine.shape[0])
    light = reduced(np.asarray(cv2.bilateralFilter(to_lab(study.fine)[..., 0], 5, 8, 2), np.float32), side, clip=False)
    smooth = _smoothed(light, flow(light, 3.0), reach=8)
    inside = reduced(study.locks, side)
    chosen = inside > 0.7
    if chosen.sum() < 200:
        return
    weight = chosen.astype(np.float32) + 1e-3
    px = side / SIDE
    wide = 0.5 * study.width * px
    around = blurred(smooth * weight, wide) / blurred(weight, wide)
    middle = float(np.median(smooth[chosen]))
    relative = np.asarray((smooth - 0.5 * around - 0.5 * middle) * np.minimum(1, inside * 1.3), np.float32)
    spread = float(np.clip(np.std(relative[chosen]), 2.0, 12))
    amount = float(np.clip(5 + 0.28 * colour[0], 7, 17))
    least = 0.0025 * study.width**2
    _cut(drawing, "hair", rings, relative, colour, (spread, amount, tones, least))


def _cut(
    drawing: Drawing,
    layer: str,
    rings: list[Ring],
    relative: Planes,
    colour: tuple[float, float, float],
    cut: tuple[float, float, int, float],
) -> None:
    """Cut light, relative to a colour's own, into flat tones that are darker and lighter than it."""
    spread, amount, tones, least = cut
    for level, depth in ((-0.6, -1.0), (0.85, 1.0))[: tones - 1]:
        soft = soft_contours(np.sign(level) * relative, abs(level) * spread, 0.12 * spread, 0.98, smooth=0.6, spacing=1.8, least=least)
        tone = colour[0] + depth * amount
        shade = rgb((float(np.clip(tone, 3, 95)), colour[1] * 1.05, colour[2] * (1 + 0.08 * depth)))
        for found, share in soft:
            drawing.put(layer, Shape([Ring((k,)) for k in found], shade, share, within=rings, holes=True))


def draw_beard(study: Study, drawing: Drawing, tones: int) -> None:
    """Draw a beard: layer "beard". Full ones are hair in flat tones, stubble tints the skin as darkly as it is."""
    matte = study.matte("beard")
    if float(matte.sum()) < 0.03 * study.width**2:
        return
    chosen = matte > 0.7
    measured = np.median(study.calm[chosen], axis=0) if chosen.sum() > 30 else study.hair
    gap = float(study.skin[0] - measured[0])
    own = _hairiness(study, chosen, gap)
    lift = float(study.paper[0] - study.skin[0])
    light = _smoothed(np.asarray(cv2.bilateralFilter(study.lab[..., 0], 5, 10, 3), np.float32), _downwards(study), 3)
    soft = blurred(matte, 1.2)
    least = 0.008 * study.width**2
    grey = float(np.hypot(*(study.skin[1:] - measured[1:]))) > 7 and gap < 2
    if (own >= FULL or grey) and chosen.sum() > 0.25 * study.width**2:
        found = contours(soft, 0.45, smooth=2.0, spacing=2.0, least=0.05 * study.width**2)
        rings = [Ring((k,)) for k in found]
        red, yellow = (float(0.8 * measured[k] + 0.3 * study.paper[k]) for k in (1, 2))
        colour = (float(np.clip(measured[0] + 0.5 * lift, 8, 90)), red, yellow)
        drawing.put("beard", Shape(rings, rgb(colour), holes=True))
        if tones > 1 and chosen.any():
            relative = np.asarray((light - np.median(light[chosen])) * soft, np.float32)
            spread = float(np.clip(np.std(relative[chosen]), 2.5, 12))
            _cut(drawing, "beard", rings, relative, colour, (spread, float(np.clip(5 + 0.2 * colour[0], 7, 15)), tones, least))
        return
    _tint(study, drawing, "beard", blurred(light, 1.0), soft, tones)


def _hairiness(study: Study, chosen: NDArray[np.bool_], gap: float) -> float:
    """Tell stubble (0) from a beard (1): it is hardly darker than skin, and has no strands that are seen.

    Args:
        chosen: (S, S), where the beard is.
        gap: L* by which it is darker than the skin.
    """
    light = study.lab[..., 0]
    strands = float(np.std((light - blurred(light, 2.0))[chosen])) if chosen.any() else 0.0
    return float(np.clip((gap - 20) / 14 + np.clip((strands - 4.6) / 2.5, -0.25, 0.7), 0, 1))


def _downwards(study: Study) -> tuple[Planes, Planes]:
    """Compute the way in which a beard grows: down and away from below the nose."""
    nose = study.points[2] - np.array([0.0, 0.35 * study.width])
    y, x = np.mgrid[: study.lab.shape[0], : study.lab.shape[1]].astype(np.float32)
    dx, dy = x - float(nose[0]), y - float(nose[1])
    length = np.hypot(dx, dy) + 1e-3
    return (dx / length).astype(np.float32), (dy / length).astype(np.float32)
