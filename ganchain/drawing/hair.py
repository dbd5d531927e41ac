"""Hair and beards: a fill in three tones, long strands along the flow, and an outline from the matte."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.drawing.paths import Colour, Drawing, Fade, Knots, Line, Planes, Ring, Shape, curve, stroke, taper
from ganchain.drawing.planes import SIDE, blurred, filled, reduced, rgb
from ganchain.drawing.skin import JAW, outline_runs
from ganchain.drawing.study import HAIR, Study
from ganchain.drawing.trace import Lines, contours, flow, lines, sample, valleys

FULL = 0.5  # hairiness from which a beard is drawn as hair
STUBBLE = (132, 216, 206, 165, 164, 391, 426, 436, 361)  # where it begins, from one side to the other


def draw_hair(study: Study, drawing: Drawing, tones: int, line: float) -> None:
    """Draw the hair: layers "hair" and "strands"; hair that is cropped as a tint of the skull."""
    matte = study.locks
    if study.cropped:
        _cropped(study, drawing)
        return
    outer = contours(matte, HAIR, smooth=1.8, spacing=2.4, least=0.012 * study.width**2)
    if not outer:
        return
    rings = [Ring((knots,)) for knots in outer]
    inside = reduced(matte, SIDE)
    colour = study.hair_tone
    drawing.put("hair", Shape(rings, rgb(colour), holes=True))
    along = flow(study.lab[..., 0], 3.5)
    smooth = _smoothed(study.calm[..., 0], along)
    chosen = inside > 0.7
    if tones > 1 and chosen.sum() > 120:
        _tones(study, drawing, rings, smooth, chosen, colour, tones)
    ink = rgb((max(3.0, colour[0] * 0.42), colour[1] * 1.0 + 1, colour[2] * 0.9 + 1))
    lit = rgb((min(96.0, colour[0] + 18 + 0.06 * colour[0]), colour[1] * 1.05, colour[2] * 1.15))
    _strands(study, drawing, rings, along, inside, (ink, lit), line)
    slope = _slope(inside)
    for knots in outer:
        within = ((knots > 1.5) & (knots < 254.5)).all(axis=1)
        widths = 0.017 * study.width * line * sample(slope, knots) * within
        widths = np.convolve(np.pad(widths, 4, mode="wrap"), np.ones(9) / 9, mode="valid")
        drawing.put("strands", *(Line([run], ink) for run in outline_runs(knots, widths, 0.2 * line, 8)))


def _cropped(study: Study, drawing: Drawing) -> None:
    """Draw an even tint of the skull above the face where it is darker than skin."""
    skull = np.maximum(study.whole, reduced(study.locks, SIDE)) * (1 - study.oval)
    skull[int(np.clip(study.points[[70, 300], 1].mean(), 0, SIDE)) :] = 0
    chosen = skull > 0.8
    if float(chosen.sum()) < 0.08 * study.width**2:
        return
    colours = study.calm[chosen]
    light, red, yellow = (float(v) for v in np.median(colours[colours[:, 0] <= np.median(colours[:, 0])], axis=0))
    darker = float(study.skin[0]) - light
    opacity = 0.8 * float(np.clip((float(study.skin[1] - np.median(colours[:, 1])) - 2) / 3, 0, 1))  # hair is less red
    if not opacity:
        return
    rings = [
        Ring((k,)) for k in contours(blurred(skull, 2.0), 0.5, smooth=3.0, least=0.08 * study.width**2, holes=False)
    ]
    drawing.put("hair", Shape(rings, rgb((max(6.0, float(study.paper[0]) - darker), red, yellow)), opacity))


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
    study: Study,
    drawing: Drawing,
    rings: list[Ring],
    smooth: Planes,
    chosen: NDArray[np.bool_],
    colour: tuple[float, float, float],
    tones: int,
) -> None:
    """Draw locks that are darker and lighter than the hair."""
    weight = chosen.astype(np.float32) + 1e-3
    around = blurred(smooth * weight, 0.4 * study.width) / blurred(weight, 0.4 * study.width)
    middle = float(np.median(smooth[chosen]))
    relative = np.asarray(smooth - 0.5 * around - 0.5 * middle, np.float32)
    spread = max(float(np.std(relative[chosen])), 2.0)
    relative *= chosen
    amount = float(np.clip(7.5 + 0.15 * colour[0], 8, 15))
    dark = rgb((max(3.0, colour[0] - amount), colour[1] * 1.05, colour[2]))
    lit = rgb((min(95.0, colour[0] + amount), colour[1], colour[2] * 1.1))
    least = 0.006 * study.width**2
    found = contours(blurred(-relative, 0.8), 0.5 * spread, smooth=0.9, spacing=3, least=least)
    drawing.put("hair", Shape([Ring((k,)) for k in found], dark, within=rings, holes=True))
    if tones > 2:
        found = contours(blurred(relative, 0.8), 0.8 * spread, smooth=0.9, spacing=3, least=least)
        drawing.put("hair", Shape([Ring((k,)) for k in found], lit, within=rings, holes=True))


def _strands(
    study: Study,
    drawing: Drawing,
    rings: list[Ring],
    along: tuple[Planes, Planes],
    inside: Planes,
    inks: tuple[tuple[float, float, float], tuple[float, float, float]],
    line: float,
) -> None:
    """Draw long strands, dark ones where the hair parts and a few light ones on its ridges."""
    dark = valleys(study.calm[..., 0], along, 1.2, 3.0)
    short = 0.38 * study.width
    for strength, ink, width, most, apart in ((dark, inks[0], 0.015, 70, 2.5), (-dark, inks[1], 0.011, 24, 4.0)):
        want = Lines(least=0.35, short=short, apart=apart, most=most, steps=36)
        ways = [_calm(way) for way in lines(strength, along, inside, want)]
        strands = [stroke(way, taper(len(way), width * study.width * line, 0.45, 0.5, 0.05)) for way in ways]
        drawing.put("strands", Line(strands, ink, 0.85, within=rings))


def _calm(way: Knots) -> Knots:
    """Smooth a followed line, and keep every other knot."""
    if len(way) < 5:
        return way
    padded = np.concatenate([2 * way[:1] - way[2:0:-1], way, 2 * way[-1:] - way[-2:-4:-1]])
    soft = np.stack([np.convolve(padded[:, k], np.array([1, 2, 3, 2, 1]) / 9, mode="valid") for k in (0, 1)], axis=1)
    return np.concatenate([soft[:-1:2], soft[-1:]])


def draw_beard(study: Study, drawing: Drawing, line: float) -> None:
    """Draw a beard as hair: layer "beard"; stubble as a tint of the skin."""
    matte = study.matte("beard")
    if float(matte.sum()) < 0.05 * study.width**2:
        return
    chosen = matte > 0.7
    measured = np.median(study.calm[chosen], axis=0) if chosen.sum() > 30 else study.hair
    gap = float(study.skin[0] - measured[0])
    own = _hairiness(study, chosen, gap)
    light = float(study.paper[0]) - gap - 4 * own
    share = 0.25 + 0.75 * own
    red, yellow = (float(1.1 * share * measured[k] + (1 - share) * study.paper[k] * 0.95) for k in (1, 2))
    colour = (float(np.clip(light, 6, 85)), red, yellow)
    if own < FULL:
        _stubble(study, drawing, rgb(colour), own)
        return
    found = contours(blurred(matte, 2.5), 0.5, smooth=3.0, least=0.06 * study.width**2)
    drawing.put("beard", Shape([Ring((k,)) for k in found], rgb(colour), 0.9, holes=True))
    along = _downwards(study)
    dark = valleys(study.lab[..., 0], along, 1.0, 2.4)
    shades = (rgb((max(3.0, colour[0] * 0.6), red, yellow)), rgb((min(95.0, colour[0] * 1.25 + 7), red, yellow)))
    for strength, ink, most in ((dark, shades[0], 60), (-dark, shades[1], 24)):
        want = Lines(least=0.2, short=0.13 * study.width, apart=1.8, most=most, steps=round(2 + 6 * own))
        ways = [_calm(way) for way in lines(strength, along, matte, want)]
        strands = [stroke(way, taper(len(way), 0.014 * study.width * line, 0.3, 0.6, 0.05)) for way in ways]
        drawing.put("beard", Line(strands, ink, 0.75 * own))


def _stubble(study: Study, drawing: Drawing, colour: Colour, own: float) -> None:
    """Draw stubble as an even tint from the cheeks down to the jaw, where most of that has it."""
    upper = curve(study.points[list(STUBBLE)], 50)
    zone = Ring((curve(study.points[list(JAW)], 50), upper[::-1]))
    place = filled([np.concatenate(zone.runs)])
    share = float((study.matte("beard") * place).sum() / (place.sum() + 1e-6))
    opacity = (0.35 + 0.6 * own) * float(np.clip((share - 0.3) / 0.4, 0, 1))
    if opacity:
        start, end = (tuple(study.points[k].tolist()) for k in (17, 2))  # it thins out upwards
        drawing.put("beard", Shape([zone], colour, opacity, Fade(start, end, colour, 0.4 * opacity)))


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
