"""Ground: everything that is neither skin nor hair, flattened at a bounded size and brought to the wanted one."""

from __future__ import annotations

import cv2
import numpy as np

from ganchain.drawing.paths import Colour, Drawing, Planes, Shape, stroke, taper
from ganchain.drawing.study import SIDE, Study, blurred, reduced, rgb
from ganchain.drawing.trace import Lines, flow, lines, valleys

EDGE = 25.0  # variance of L*, a* and b* above which a difference is an edge


def flattened(study: Study, lighter: float = 0.35) -> Planes:
    """Flatten the picture: (S, S, 3) float32 0..1, clean areas, edges as sharp as the photo's.

    Flattened at ``SIDE`` px; each place of the large picture is a linear function of its colour (a guided filter, He &
    Sun 2015), so its edges are those of the photo.
    """
    flat = study.calm
    for _ in range(3):
        flat = np.asarray(cv2.bilateralFilter(flat, 9, 14, 6), np.float32)
    guide = study.lab
    mean, target = cv2.blur(guide, (9, 9)), cv2.blur(flat, (9, 9))
    slope = (cv2.blur(guide * flat, (9, 9)) - mean * target) / (cv2.blur(guide * guide, (9, 9)) - mean * mean + EDGE)
    offset = target - slope * mean
    side = study.picture.shape[0]
    lab = cv2.cvtColor(np.ascontiguousarray(study.picture, np.float32), cv2.COLOR_RGB2LAB)
    large = (cv2.resize(cv2.blur(plane, (9, 9)), (side, side)) for plane in (slope, offset))
    lab = next(large) * lab + next(large)
    beside = reduced(blurred(study.matte("rest"), 2), SIDE)
    axis = np.abs(np.linspace(-1, 1, side, dtype=np.float32))
    middle = ((1 - (axis[:, None] ** 4 + axis**4) ** 0.25) / 0.3).clip(0, 1) * float(beside.max() > 0)
    lab[..., 0] += lighter * middle * (0.16 * (96 - lab[..., 0]).clip(0, None) + 2)
    lab[..., 1:] *= 1.08
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.float32).clip(0, 1)


def plain(study: Study, colour: Colour) -> Planes:
    """Paint a ground of one colour."""
    side = study.picture.shape[0]
    return np.broadcast_to(np.array(colour, np.float32), (side, side, 3)).copy()


def draw_ground_lines(study: Study, drawing: Drawing, line: float) -> None:
    """Draw long lines of clothes and background: layer "background"."""
    light = study.calm[..., 0]
    along = flow(light, 2.5)
    dark = valleys(light, along, 1.3, 2.8)
    want = Lines(least=1.1, short=0.35 * study.width, apart=3.0, most=40, steps=50)
    ink = rgb((12.0, 3.0, 3.0))
    inside = (study.matte("rest") * (1 - study.matte("cover"))).astype(np.float32)
    for way in lines(dark, along, inside, want):
        knots = np.concatenate([way[:-1:2], way[-1:]])
        drawing.put(
            "background", Shape([stroke(knots, taper(len(knots), 0.017 * study.width * line, 0.3, 0.3, 0.1))], ink, 0.8)
        )
