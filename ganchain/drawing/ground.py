"""Ground: everything that is neither skin nor hair, flattened at a bounded size and brought to the wanted one."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import ImageColor

from ganchain.drawing.paths import Drawing, Line, Planes, stroke, taper
from ganchain.drawing.study import Study, blurred, grown, reduced, rgb
from ganchain.drawing.trace import Lines, flow, lines, valleys

EDGE = 90.0  # variance of L*, a* and b* above which a difference is an edge


def flattened(study: Study, lighter: float = 0.35) -> Planes:
    """Flatten the picture: (S, S, 3) float32 0..1, clean areas, edges as sharp as the photo's.

    Flattened at ``SIDE`` px; each place of the large picture is a linear function of its colour (a guided filter, He &
    Sun 2015), so its edges are those of the photo. Behind the head the ground goes on without it.
    """
    flat = study.calm
    for _ in range(2):
        flat = np.asarray(cv2.bilateralFilter(flat, 7, 18, 5), np.float32)
    guide, side = study.lab, study.picture.shape[0]
    mean, target = cv2.blur(guide, (9, 9)), cv2.blur(flat, (9, 9))
    slope = (cv2.blur(guide * flat, (9, 9)) - mean * target) / (cv2.blur(guide * guide, (9, 9)) - mean * mean + EDGE)
    offset = target - slope * mean
    lab = cv2.cvtColor(np.ascontiguousarray(study.picture, np.float32), cv2.COLOR_RGB2LAB)
    large = (cv2.resize(cv2.blur(plane, (9, 9)), (side, side)) for plane in (slope, offset))
    lab = next(large) * lab + next(large)
    head = 1 - (study.matte("rest") + study.matte("cover")).clip(0, 1)
    free = np.asarray(cv2.erode(1 - head, np.ones((7, 7), np.uint8)), np.float32) ** 2 + 1e-4
    behind = (
        sum(blurred(flat * free[..., None], s) for s in (3, 12)) / (blurred(free, 3) + blurred(free, 12))[..., None]
    )
    share = cv2.resize((2 * blurred(grown(head, 1), 1.0)).clip(0, 1), (side, side))[..., None]
    lab += share * (cv2.resize(behind, (side, side)) - lab)
    axis = np.abs(np.linspace(-1, 1, side, dtype=np.float32))
    middle = ((1 - (axis[:, None] ** 4 + axis**4) ** 0.25) / 0.3).clip(0, 1)
    lab[..., 0] += lighter * middle * (0.22 * (96 - lab[..., 0]).clip(0, None) + 1)
    lab[..., 1:] *= 1.05
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.float32).clip(0, 1)


def plain(study: Study, colour: str) -> Planes:
    """Paint what is behind the person in one colour, "#rrggbb" or its name in CSS; the clothes stay."""
    flat = flattened(study, 0.0)
    behind = cv2.resize(_behind(study), flat.shape[:2])[..., None]
    wanted = np.array(ImageColor.getrgb(colour)[:3], np.float32) / 255
    return np.asarray(flat + behind * (wanted - flat), np.float32)


def _behind(study: Study) -> Planes:
    """Estimate what is neither head nor clothes: (SIDE, SIDE) 0..1.

    Clothes lie below the chin and differ from what is beside the head; their border is found by a graph cut (Rother,
    Kolmogorov & Blake 2004) on a small picture.
    """
    small = 96
    picture = (cv2.cvtColor(reduced(study.calm, small, clip=False), cv2.COLOR_LAB2RGB) * 255).clip(0, 255)
    head = 1 - reduced(study.matte("rest"), small)
    marks = np.full((small, small), cv2.GC_PR_BGD, np.uint8)
    chin = int(np.clip(study.points[152, 1] * small / 256, 1, small - 1))
    x = np.arange(small)[None] - study.points[152, 0] * small / 256
    y = np.arange(small)[:, None] - chin
    marks[(y > 0) & (np.abs(x) < 0.25 * small + 1.2 * y)] = cv2.GC_PR_FGD
    marks[(y > 0.2 * small) & (np.abs(x) < 0.16 * small)] = cv2.GC_FGD
    marks[(y < -4) & (head < 0.05)] = cv2.GC_BGD
    marks[head > 0.5] = cv2.GC_FGD
    cv2.setRNGSeed(7)
    if (marks == cv2.GC_BGD).any() and (marks == cv2.GC_FGD).any():
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(picture.astype(np.uint8), marks, (0, 0, 1, 1), *models, 2, cv2.GC_INIT_WITH_MASK)
    behind = np.isin(marks, (cv2.GC_BGD, cv2.GC_PR_BGD)).astype(np.float32)
    large = reduced(behind, study.lab.shape[0])
    return np.asarray(((blurred(large, 1.5) - 0.35) / 0.3).clip(0, 1), np.float32)


def draw_ground_lines(study: Study, drawing: Drawing, line: float) -> None:
    """Draw long lines of clothes: layer "background"."""
    light = study.calm[..., 0]
    along = flow(light, 2.5)
    dark = valleys(light, along, 1.3, 2.8)
    want = Lines(least=2.2, short=0.6 * study.width, apart=4.0, most=16, steps=60)
    ink = rgb((12.0, 3.0, 3.0))
    below = np.arange(light.shape[0], dtype=np.float32)[:, None] > study.points[152, 1] - 0.3 * study.width  # the chin
    inside = (study.matte("rest") * (1 - study.matte("cover")) * below).astype(np.float32)
    for way in lines(dark, along, inside, want):
        knots = np.concatenate([way[:-1:2], way[-1:]])
        drawing.put(
            "background", Line([stroke(knots, taper(len(knots), 0.017 * study.width * line, 0.3, 0.3, 0.1))], ink, 0.8)
        )
