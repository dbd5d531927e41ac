"""Body: hair of a person beyond the window in which the mattes of the head are read.

Skin does not go on by its colour: a pale pullover has it, too. The neck below the window is drawn as the surroundings.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from ganchain.drawing.ground import Surroundings
from ganchain.drawing.paths import UNITS, Colour, Drawing, Line, Matrix, Planes, Ring, Shape, stroke, taper
from ganchain.drawing.planes import blurred, rgb
from ganchain.drawing.skin import outline_runs
from ganchain.drawing.study import Study
from ganchain.drawing.trace import Lines, contours, likely, lines, sample, valleys

SURE = 0.85
FAR = 1.1  # sides of the window: how far beyond it skin and hair are looked for
GAP = 0.035  # sides of the window: narrower gaps, where light is reflected, are closed


def draw_body(
    study: Study, mattes: Mapping[str, Planes], matrix: Matrix, around: Surroundings, tones: int, line: float
) -> Drawing:
    """Draw hair beyond the window of a head: layers "hair", "strands".

    Args:
        mattes: "skin", "hair" and "rest" of the head in the small picture of ``around``, (S, S) 0..1.
        matrix: (2, 3), units of the head -> units of ``around``.
    """
    drawing = Drawing()
    step = float(np.hypot(*matrix[:, 0]))
    width = study.width * step
    known = _window(matrix, around.small.shape[0])
    if known.min() > 0.5:
        return drawing
    more = _continued(mattes, known, around, step)
    if more is None:
        return drawing
    whole = blurred(np.maximum(more, mattes["hair"] * known), 0.8)
    outer = contours(whole, 0.5, smooth=0.02 * width, spacing=0.05 * width, least=0.2 * width**2)
    rings = [Ring((knots,)) for knots in outer]
    colour, shade, ink = _colours(study)
    drawing.put("hair", Shape(rings, colour, holes=True))
    if tones > 1:
        dark = float(study.hair[0]) - blurred(around.calm[..., 0], 0.02 * width)
        found = contours(dark, 5.0, smooth=0.03 * width, spacing=0.06 * width, least=0.08 * width**2)
        drawing.put("hair", Shape([Ring((k,)) for k in found], shade, within=rings, holes=True))
    _strands(drawing, around, more, rings, ink, width, line)
    beside = blurred(1 - np.maximum(whole, mattes["skin"] + mattes["hair"]).clip(0, 1), 1.5)
    for knots in outer:
        free = ((knots > 1.5) & (knots < UNITS - 1.5)).all(axis=1) * (sample(known, knots) < 0.5)
        thick = 0.017 * width * line * (2 * sample(beside, knots)).clip(0, 1) * free
        thick = np.convolve(np.pad(thick, 3, mode="wrap"), np.ones(7) / 7, mode="valid")
        drawing.put("strands", *(Line([run], ink) for run in outline_runs(knots, thick, 0.004 * width * line, 6)))
    return drawing


def _colours(study: Study) -> tuple[Colour, Colour, Colour]:
    """Return the colours of hair, of its shadow and of lines on it."""
    light, red, yellow = study.hair_tone
    amount = float(np.clip(7.5 + 0.15 * light, 8, 15))
    shade = (max(3.0, light - amount), red * 1.05, yellow)
    return rgb(study.hair_tone), rgb(shade), rgb((max(3.0, light * 0.42), red + 1, yellow * 0.9 + 1))


def _window(matrix: Matrix, side: int) -> Planes:
    """Fill the window of a head, a little reduced: (side, side) 0..1."""
    corners = np.array([(5.0, 5.0), (251, 5), (251, 251), (5, 251)]) @ matrix[:, :2].T + matrix[:, 2]
    filled = np.zeros((side, side), np.uint8)
    cv2.fillPoly(filled, [((corners * side / UNITS - 0.5) * 16).round().astype(np.int32)], (1,), cv2.LINE_8, 4)
    return filled.astype(np.float32)


def _continued(mattes: Mapping[str, Planes], known: Planes, around: Surroundings, step: float) -> Planes | None:
    """Find where hair goes on beyond the window: what has its colours and is connected with it there.

    Returns:
        (S, S) 0..1; None where it does not go on.
    """
    rim = (known > 0.5) & (cv2.erode(known, np.ones((9, 9), np.uint8), borderValue=1) < 0.5)
    seeds = rim & (mattes["hair"] > 0.5)
    if seeds.sum() < 4:
        return None
    px = around.small.shape[0] / UNITS
    reach = 2 * round(FAR * UNITS * step * px / 2) + 1
    region = np.asarray(cv2.dilate(seeds.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=min(reach, 400)) > 0)
    region &= known < 0.5
    score = {}
    for part in ("skin", "hair", "rest"):
        inside = (mattes[part] > SURE) & (known > 0.5)
        lower = inside.copy()
        lower[: int(_middle(known))] = False
        chosen = lower if part == "skin" and lower.sum() > 40 else inside  # of the neck
        score[part] = likely(around.calm[region], around.calm[chosen], 5 if part == "rest" else 2)
    best = score["hair"] - np.maximum(score["skin"], score["rest"])
    like = mattes["hair"] * known
    like[region] = 1 / (1 + np.exp(-best.clip(-30, 30))) * (score["hair"] > -19)
    like = blurred(like, 1.0)
    field = ((like > 0.5) & (known < 0.5)) | seeds
    _, labels = cv2.connectedComponents(field.astype(np.uint8), connectivity=4)
    joined = np.isin(labels, np.unique(labels[seeds])) & field
    if (joined & (known < 0.5)).sum() <= 4:
        return None
    whole = (joined | ((mattes["hair"] > 0.5) & (known > 0.5))).astype(np.uint8)
    gap = 2 * max(1, round(GAP * UNITS * step * px)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (gap, gap))
    return np.asarray(cv2.morphologyEx(whole, cv2.MORPH_CLOSE, kernel) * np.maximum(joined, known < 0.5), np.float32)


def _middle(known: Planes) -> float:
    rows = np.flatnonzero(known.max(axis=1) > 0.5)
    return float(rows[len(rows) // 2]) if len(rows) else 0.0


def _strands(
    drawing: Drawing,
    around: Surroundings,
    inside: Planes,
    rings: list[Ring],
    ink: tuple[float, float, float],
    width: float,
    line: float,
) -> None:
    """Draw long dark strands."""
    dark = valleys(around.calm[..., 0], around.flow, 1.2, 3.0)
    px = around.small.shape[0] / UNITS
    want = Lines(least=0.35, short=0.38 * width * px, apart=2.5, most=30, steps=40)
    for way in lines(dark, around.flow, inside, want):
        knots = np.concatenate([way[:-1:2], way[-1:]])
        thick = taper(len(knots), 0.015 * width * line, 0.45, 0.5, 0.05)
        drawing.put("strands", Line([stroke(knots, thick)], ink, 0.85, within=rings))
