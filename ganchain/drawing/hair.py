"""Hair: a fill that thins out at its rim, locks that are darker and lighter along its flow, and an outline."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.drawing.lines import Lines, flow, lines, valleys
from ganchain.drawing.paths import UNITS, Drawing, Line, Planes, Ring, Shape, evened, stroke, taper
from ganchain.drawing.planes import SIDE, blurred, grown, reduced, rgb
from ganchain.drawing.skin import outline_runs
from ganchain.drawing.study import Study
from ganchain.drawing.trace import sample, soft_shapes, traced

SHAVED = 0.6  # mean matte below which hair is shaved: skin is seen through all of it
RIM = ((0.18, 0.45), (0.32, 0.6), (0.48, 1.0))  # mattes from which hair is drawn, and how opaque
FAINTEST = 0.02  # matte below which there is no strand
JUMP = 1.2  # of the light's spread, by which a place changes at once along a video
TONES = ((-0.6, -1.0), (0.85, 1.0), (1.9, 1.9))  # light at which a lock begins, in its spread, and what it does to it

Lab = tuple[float, float, float]


def draw_hair(study: Study, drawing: Drawing, tones: int, line: float) -> None:
    """Draw the hair: layers "hair" and "strands"."""
    matte, colour = study.locks, study.hair_tone
    near = grown((matte > RIM[-1][0]).astype(np.float32), 0.05 * study.width * matte.shape[0] / UNITS)
    thin = study.shaved
    shaved = (thin > 0.15).any() and float(thin[thin > 0.15].mean()) < SHAVED
    soft = soft_shapes(thin, 0.22, 0.07, rgb(colour), 0.8 if shaved else 0.55, within=(), smooth=1.5, spacing=2.5)
    if any(shape.rings for shape in soft):
        drawing.put("hair", *soft)
    if shaved:
        return
    levels = [level for level, _ in RIM]
    areas = traced(matte * near, levels, smooth=0.7, spacing=1.4, least=0.03 * study.width**2)
    if not (outer := areas[-1]):
        return
    rims = [[Ring((knots,)) for knots in area] for area in areas]
    for rings, (_, opacity) in zip(rims, RIM, strict=True):
        drawing.put("hair", Shape(rings, rgb(colour), opacity, holes=True, rim=opacity < 1))
    small = reduced(matte, SIDE)
    inside = small > 0.7
    if tones > 1 and np.count_nonzero(inside) > 60:
        relative = _relative(study, small, inside)
        amount = float(np.clip(9 + 0.28 * colour[0], 11, 20))
        drawing.put("hair", *locks(relative, colour, amount, rims[-1], tones, 0.0015 * study.width**2))
    drawing.put("hair", *_loose(study, matte, colour, line))
    ink = rgb((max(3.0, colour[0] * 0.42), colour[1] + 1, colour[2] * 0.9 + 1))
    slope = _slope(small)
    for knots in outer:
        within = ((knots > 1.5) & (knots < 254.5)).all(axis=1)
        widths = evened(0.018 * study.width * line * sample(slope, knots) * within, 4, closed=True)
        drawing.put("strands", *(Line([run], ink) for run in outline_runs(knots, widths, 0.2 * line, 8)))


def _loose(study: Study, matte: Planes, colour: Lab, line: float) -> list[Shape]:
    """Draw strands beside the hair as tapering strokes along the ridges of its faint matte.

    Args:
        matte: (S, S) 0..1 of the hair that is drawn as an area.
    """
    faint, px = study.seen_hair * reduced(study.alike, matte.shape[0]), matte.shape[0] / UNITS
    along = flow(faint, 1.5 * px)
    want = Lines(least=0.8, short=0.14 * study.width * px, apart=2.0, most=60, steps=60)
    outside = np.asarray(matte < 0.45, np.float32)
    seen = cv2.dilate(((faint > FAINTEST) * outside).astype(np.uint8), np.ones((want.every, want.every), np.uint8))
    ridges = -20 * valleys(faint, along, 0.6 * px, 2.0 * px, seen)
    strands: list[Shape] = []
    for way in lines(ridges, along, outside, want):
        knots = np.concatenate([way[:-1:2], way[-1:]])
        strong = evened((sample(ridges, knots) / 4).clip(0.35, 1), 2)
        widths = 0.022 * study.width * line * strong * taper(len(knots), 1.0, 0.2, 0.35, 0.1)
        strands.append(Line([stroke(knots, widths)], rgb(colour), 0.9))
    return strands


def _relative(study: Study, matte: Planes, inside: NDArray[np.bool_]) -> Planes:
    """Compute how much lighter each place of the hair is than the hair around it and all of it, in the light's spread.

    Args:
        matte: (SIDE, SIDE) 0..1 of the hair.
        inside: (SIDE, SIDE), where it is for sure.
    """
    x, y, width, height = cv2.boundingRect((matte > 0.1).astype(np.uint8))
    box = np.s_[max(0, y - 12) : y + height + 12, max(0, x - 12) : x + width + 12]
    light, dx, dy = (reduced(plane, SIDE, clip=False)[box] for plane in (study.light, *study.flow))
    smooth = smoothed(light, (dx, dy), reach=4)
    sure, wide = inside[box], 0.5 * study.width
    weight = sure.astype(np.float32) + 1e-3
    around = blurred(smooth * weight, wide) / blurred(weight, wide)
    away = (smooth - 0.5 * around - 0.5 * float(np.median(smooth[sure]))) * np.minimum(1, matte[box] * 1.3)
    relative = np.zeros_like(matte)
    relative[box] = away / float(np.clip(np.std(away[sure]), 2.0, 12))
    return study.steady("locks", relative, JUMP)


def locks(relative: Planes, colour: Lab, amount: float, within: list[Ring], tones: int, least: float) -> list[Shape]:
    """Draw what is darker and lighter than hair.

    Args:
        relative: (S, S) light less that of the hair, in its spread.
        colour: of the hair, in Lab.
        amount: L* between the tones.
        within: outlines of the hair.
        tones: how many there are with the hair's own.
        least: smallest area in square units.
    """
    shapes = []
    for level, depth in TONES[: 2 * tones - 3]:
        shade = rgb(
            (float(np.clip(colour[0] + depth * amount, 3, 95)), colour[1] * 1.05, colour[2] * (1 + 0.08 * depth))
        )
        field = np.asarray(np.sign(level) * relative, np.float32)
        traced = {"smooth": 0.35, "spacing": 1.5, "least": least}
        shapes += soft_shapes(field, abs(level), 0.12, shade, 0.98, within=within, **traced)
    return shapes


def _slope(matte: Planes) -> Planes:
    """Compute how sharp the border of a matte is: 1 for a clear edge, 0 for hair that thins out."""
    soft = blurred(matte, 1.5)
    gx, gy = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    return np.asarray((np.hypot(gx, gy) * 1.1 - 0.25).clip(0, 1), np.float32)


def smoothed(lightness: Planes, along: tuple[Planes, Planes], reach: int = 7, step: float = 2.0) -> Planes:
    """Average along the flow, so that tones become locks."""
    height, width = lightness.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    total, weights, way = lightness.copy(), 1.0, cv2.merge(along)
    for sign in (step, -step):
        px, py, dx, dy = x, y, sign * along[0], sign * along[1]
        for k in range(1, reach + 1):
            px, py = px + dx, py + dy
            weight = float(np.exp(-0.5 * (k / reach * 1.6) ** 2))
            value = cv2.remap(lightness, px, py, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            cv2.scaleAdd(value, weight, total, total)
            weights += weight
            if k % 2 == 0 and k < reach:
                tx, ty = cv2.split(cv2.remap(way, px, py, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE))
                turn = np.copysign(np.float32(step), tx * dx + ty * dy)
                dx, dy = tx * turn, ty * turn
    return np.asarray(total / weights, np.float32)
