"""Eyes and brows: white, iris of its own colour, pupil and lights, lashes, lids; one stroke for a closed eye."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganchain.drawing.paths import (
    Drawing,
    Fade,
    Knots,
    Line,
    Ring,
    Shape,
    circle,
    curve,
    evened,
    normals,
    stroke,
    taper,
)
from ganchain.drawing.planes import SIDE, boxed, filled, rgb, to_lab
from ganchain.drawing.study import Study
from ganchain.drawing.trace import sample
from ganchain.faces import mesh

CLOSED = 0.15  # height / width of the opening below which an eye is a stroke
OWN = 0.7  # share of a brow's own way, next to that of the points
BROW = 0.4  # share of that by which brows give way
WIDER, HIGHER = 0.36, 0.80  # how much a large eye grows


@dataclass(frozen=True)
class Eye:
    """Points of an eye in the mesh.

    Attributes:
        upper, lower: lids, from the outer corner to the inner one.
        crease: fold above the upper lid.
        iris: its centre, then its rim.
    """

    upper: tuple[int, ...]
    lower: tuple[int, ...]
    crease: tuple[int, ...]
    iris: tuple[int, ...]


EYES = (
    Eye(mesh.RIGHT_UPPER_LID, mesh.RIGHT_LOWER_LID, mesh.RIGHT_LID_RINGS[1], mesh.RIGHT_IRIS),
    Eye(mesh.LEFT_UPPER_LID, mesh.LEFT_LOWER_LID, mesh.LEFT_LID_RINGS[1], mesh.LEFT_IRIS),
)
BROWS = (mesh.RIGHT_BROW, mesh.LEFT_BROW)  # five points of the upper edge, then five of the lower one


def enlarged(points: Knots, amount: float) -> Knots:
    """Enlarge the eyes and what is near them: 0 leaves them natural, 1 makes them large."""
    moved = points.copy()
    if not amount:
        return moved
    for eye in EYES:
        lids = points[[*eye.upper, *eye.lower]]
        height = float(np.linalg.norm(points[list(eye.upper)] - points[list(eye.lower)], axis=1).max())
        width = max(float(np.linalg.norm(lids[0] - lids[len(eye.upper) - 1])), 1e-3)
        own = float(np.clip((height / width - 0.1) / 0.22, 0.4, 1))  # narrow eyes stay narrow
        across, high = 1 + WIDER * amount, 1 + HIGHER * amount * own
        centre = lids.mean(axis=0)
        radius = 1.05 * max(float(np.ptp(lids[:, 0])), 1e-3)
        inside = ((points - centre) ** 2).sum(axis=1) < radius**2  # no other one moves
        place = own_points = points[inside]
        for _ in range(12):  # solves place - shift(place) = points
            near = (1 - ((place - centre) ** 2).sum(axis=1) / radius**2).clip(0, 1)[:, None] ** 2
            place = own_points + near * (place - centre) * np.array([1 - 1 / across, 1 - 1 / high])
        moved[inside] += place - own_points
    brows = [*BROWS[0], *BROWS[1]]
    moved[brows] = points[brows] + BROW * (moved[brows] - points[brows])
    return moved


def iris_colour(study: Study, eye: Eye) -> tuple[float, float, float]:
    """Measure the Lab of an iris: of its ring around the pupil, below the lid's shadow and without lights."""
    side = study.fine.shape[0]
    scale = side / 256
    centre = study.points[eye.iris[0]]
    radius = float(np.linalg.norm(study.points[list(eye.iris[1:])] - centre, axis=1).mean())
    left, top = (int(np.clip((c - radius) * scale, 0, side - 2)) for c in centre)
    right, bottom = (int(np.clip((c + radius) * scale + 2, 2, side)) for c in centre)
    opening = filled([study.points[[*eye.upper, *eye.lower[-2:0:-1]]]], side)[top:bottom, left:right] > 0.6
    y, x = np.mgrid[top:bottom, left:right]
    u, v = (x + 0.5) / scale - centre[0], (y + 0.5) / scale - centre[1]
    away = np.hypot(u, v) / max(radius, 1e-3)
    ring = (away > 0.42) & (away < 0.88) & opening & (v > -0.45 * radius)
    if ring.sum() < 6:
        return 24.0, 6.0, 9.0
    colours = to_lab(study.fine[top:bottom, left:right][ring][None])[0]
    calm = colours[colours[:, 0] <= np.percentile(colours[:, 0], 75)]
    light, red, yellow = (float(c) for c in np.median(calm, axis=0))
    return light, red, yellow


def draw_eyes(study: Study, points: Knots, drawing: Drawing, line: float) -> None:
    """Draw both eyes: layer "eyes".

    Args:
        points: (478, 2) of the style's proportions.
    """
    for eye in EYES:
        _draw_eye(study, eye, points, drawing, line)


def _draw_eye(study: Study, eye: Eye, points: Knots, drawing: Drawing, line: float) -> None:
    upper, lower = curve(points[list(eye.upper)], 24), curve(points[list(eye.lower)], 24)
    width = max(float(np.linalg.norm(upper[0] - upper[-1])), 1e-3)
    height = float(np.linalg.norm(upper - lower, axis=1).max())
    natural = study.points
    gap = float(np.linalg.norm(natural[list(eye.upper)] - natural[list(eye.lower)], axis=1).max())
    closed = gap < CLOSED * float(np.linalg.norm(natural[eye.upper[0]] - natural[eye.upper[-1]]))
    if not closed:
        opening = [Ring((upper, lower[::-1]))]
        white = (93.0, 0.5, 2.0) if study.paper[0] > 45 else (88.0, 1.0, 3.0)
        drawing.put("eyes", Shape(opening, rgb(white)))
        drawing.put("eyes", *_iris(study, eye, points, opening))
        lid = Ring((upper, (upper + np.array([0.0, 0.2 * height]))[::-1]))
        drawing.put("eyes", Shape([lid], rgb((30.0, 6.0, 2.0)), 0.26, within=opening))
    _lashes(study, eye, points, (upper, lower), drawing, (width, closed, line))


def _iris(study: Study, eye: Eye, points: Knots, opening: list[Ring]) -> list[Shape]:
    """Draw iris, ring, pupil and lights, cut off by the lids."""
    light, red, yellow = iris_colour(study, eye)
    chroma = float(np.hypot(red, yellow))
    vivid = 1.35 if chroma > 4 else 1.0
    light = float(np.clip(1.05 * light + 5, 20, 58))
    centre = points[eye.iris[0]]
    radius = 1.15 * float(np.linalg.norm(points[list(eye.iris[1:])] - centre, axis=1).mean())
    x, y = (float(c) for c in centre)
    top = rgb((0.36 * light, red * vivid * 0.8, yellow * vivid * 0.7))
    low = rgb((1.22 * light + 4, red * vivid * 1.1, yellow * vivid * 1.15))
    fade = Fade((x, y - radius), (x, y + 0.9 * radius), low)
    rim = rgb((max(4.0, 0.25 * light), red * 0.4, yellow * 0.4))
    shapes = [
        Shape([circle(centre, radius)], rim, within=opening),
        Shape([circle(centre, 0.88 * radius)], top, fade=fade, within=opening),
        Shape([circle((x, y + 0.02 * radius), 0.39 * radius)], rgb((4.0, 1.0, 0.0)), within=opening),
        Shape([circle((x - 0.32 * radius, y - 0.36 * radius), 0.26 * radius)], (1.0, 1.0, 1.0), within=opening),
        Shape([circle((x + 0.36 * radius, y + 0.40 * radius), 0.12 * radius)], (1.0, 1.0, 1.0), 0.8, within=opening),
    ]
    return shapes


def _lashes(
    study: Study,
    eye: Eye,
    points: Knots,
    lids: tuple[Knots, Knots],
    drawing: Drawing,
    style: tuple[float, bool, float],
) -> None:
    """Draw the upper lash line with a small wing, the lower lid and the crease."""
    (upper, lower), (width, closed, line) = lids, style
    dark = rgb((7.0, 3.0, 3.0))
    wing = upper[0] + 0.15 * width * _unit(upper[0] - upper[6]) + np.array([0.0, -0.015 * width])
    way = curve(np.concatenate([wing[None], upper[[0, 4, 8, 12, 16, 20, 23]]]), 30)
    if closed:
        way = curve(np.concatenate([wing[None], ((upper + lower) / 2)[[0, 4, 8, 12, 16, 20, 23]]]), 30)
    t = np.linspace(0, 1, len(way))
    thick = 0.155 * width * line * np.interp(t, (0, 0.2, 0.45, 0.8, 1), (0.08, 1.0, 0.9, 0.6, 0.3))
    drawing.put("eyes", Line([stroke(way, thick, 0.15)], dark))
    if closed:
        return
    below = lower[2:17]
    drawing.put("eyes", Line([stroke(below, taper(len(below), 0.034 * width * line, 0.3, 0.6, 0.1))], study.line, 0.8))
    crease = curve(points[list(eye.crease[1:-1])], 24)
    lift = curve(points[list(eye.upper)], 24)
    fold = (lift + 0.62 * (crease - lift) + np.array([0.0, -0.02 * width]))[2:-2]
    fold_widths = taper(len(fold), 0.026 * width * line, 0.35, 0.4, 0.1)
    drawing.put("eyes", Line([stroke(fold, fold_widths)], study.line, 0.75))


def _unit(way: Knots) -> Knots:
    return np.asarray(way / (np.linalg.norm(way) + 1e-9), np.float64)


def draw_brows(study: Study, points: Knots, drawing: Drawing) -> None:
    """Draw each brow as one tapering shape where it is dark, in its own colour: layer "brows"."""
    colours, weights, shapes = [], [], []
    for brow in BROWS:
        box = boxed(study.points[list(brow)], SIDE)
        own = filled([study.points[list(brow)]])[box] > 0.5
        colours.append(np.percentile(study.calm[box][own], 25, axis=0) if own.sum() > 5 else study.hair)
        weights.append(own.sum() + 1.0)
        shift = (points[list(brow)] - study.points[list(brow)]).mean(axis=0)
        shapes.append((shift, *_brow(study, brow)))
    measured = np.average(colours, axis=0, weights=weights)  # both in one colour
    light = 0.6 * float(np.clip(measured[0], 8, study.paper[0] - 14))
    red, yellow = (float(0.5 * measured[k] + 0.5 * study.hair[k]) for k in (1, 2))
    contrast = float(np.clip((study.skin[0] - measured[0]) / 14, 0.85, 1))
    for shift, middle, widths in shapes:
        drawing.put("brows", Line([stroke(middle + shift, widths)], rgb((light, red, yellow)), 0.95 * contrast))


def _brow(study: Study, brow: tuple[int, ...]) -> tuple[Knots, NDArray[np.float64]]:
    """Find the way of a brow, from outside inwards, and its width: near its points, where the photo is dark."""
    upper, lower = study.points[list(brow[:5])], study.points[list(brow[:4:-1])]
    thick = max(float(np.linalg.norm(upper - lower, axis=1).mean()), 0.03 * study.width)
    way = curve((upper + lower) / 2, 24)
    across = normals(way)
    offsets = np.linspace(-1.2, 1.2, 25) * thick
    plane = np.ascontiguousarray(study.calm[..., 0] * (1 - study.matte("hair")) + study.skin[0] * study.matte("hair"))
    light = sample(plane, way + offsets[:, None, None] * across)
    dark = (float(study.skin[0]) - light).clip(0, None) * np.exp(-0.5 * (offsets / (0.6 * thick)) ** 2)[:, None]
    peak = dark.max(axis=0)
    dark = (dark - 0.5 * peak).clip(0, None)
    mass = dark.sum(axis=0) + 1e-6
    sure = evened(((peak - 6) / 10).clip(0, 1), 2)
    place = (dark * offsets[:, None]).sum(axis=0) / mass
    spread = np.sqrt((dark * (offsets[:, None] - place) ** 2).sum(axis=0) / mass)
    place = evened(sure * place.clip(-0.5 * thick, 0.5 * thick), 5)
    wide = evened(sure * 4.0 * spread + (1 - sure) * 0.8 * thick, 5)
    shape = np.interp(np.linspace(0, 1, 24), (0, 0.3, 0.75, 0.94, 1), (0.12, 0.72, 1.0, 0.9, 0.5))
    return way + OWN * place[:, None] * across, shape * wide.clip(0.65 * thick, 1.5 * thick)
