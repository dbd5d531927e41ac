"""Nose and mouth, the lines of age, glasses, and what lies before the face."""

from __future__ import annotations

import numpy as np

from ganchain.drawing.lines import Lines, flow, lines, valleys
from ganchain.drawing.paths import (
    UNITS,
    Drawing,
    Fade,
    Knots,
    Line,
    Planes,
    Ring,
    Shape,
    circle,
    curve,
    evened,
    normals,
    spans,
    stroke,
    taper,
)
from ganchain.drawing.planes import FINE, blurred, filled, grown, reduced, rgb, shrunk
from ganchain.drawing.skin import outline_runs
from ganchain.drawing.study import Study
from ganchain.drawing.trace import contours, sample
from ganchain.faces import mesh

WING = (115, 219, 235, 240, 60)  # of the nose's right wing, from above
NOSTRIL = (75, 239, 238, 242)
UNDER = (98, 97, 2, 326, 327)  # the nose, from wing to wing
FOLD = (129, 203, 206, 216, 212)  # from the nose to beside the mouth
TEETH = range(6, 25, 3)  # knots of the lips, of 30, where two meet
BAG = (110, 24, 23, 22, 26, 112)  # below the eye


def mirrored(order: tuple[int, ...]) -> list[int]:
    """Return the same points of the other half of the face."""
    return [mesh.MIRROR[point] for point in order]


def draw_nose(study: Study, points: Knots, drawing: Drawing, line: float, likeness: float) -> None:
    """Draw the lower edges of the nose's wings; the likelier, the more of wings and nostrils: layer "nose"."""
    edge = curve(points[list(UNDER)], 60)
    for way in (edge[:22], edge[-22:]):
        widths = taper(22, 0.018 * study.width * line, 0.4, 0.4, 0.2)
        drawing.put("nose", Line([stroke(way, widths)], study.line, 0.8))
    own = 0.5 + 0.5 * likeness
    for order, width, ends in ((WING, 0.022, (1, 14)), (NOSTRIL, 0.028, (0, 16))):
        for side in (list(order), mirrored(order)):
            way = curve(points[side], 16)[slice(*ends)]
            widths = taper(len(way), width * study.width * line, 0.5, 0.4, 0.1)
            drawing.put("nose", Line([stroke(way, widths)], study.line, 0.85 * own))


def draw_age(study: Study, points: Knots, drawing: Drawing, line: float) -> None:
    """Draw folds beside the nose and below the eyes, as strongly as the photo shows them: layer "nose"."""
    light = blurred(study.calm[..., 0], 0.8)
    for base, reach, most in ((FOLD, 0.055, 0.020), (BAG, 0.045, 0.013)):
        for order in (list(base), mirrored(base)):
            place, way = curve(study.points[order], 20), curve(points[order], 20)
            across = normals(place)
            offsets = np.linspace(-1.2, 1.2, 13) * reach * study.width
            profile = sample(light, place + offsets[:, None, None] * across)
            dark = profile[3:10].min(axis=0)
            depth = np.minimum(profile[:3].mean(axis=0), profile[10:].mean(axis=0)) - dark
            depth = evened(depth, 3)
            seen = ((depth - 2.0) / 7).clip(0, 1)
            if seen.max() < 0.25:
                continue
            best = evened(offsets[3:10][profile[3:10].argmin(axis=0)], 4)
            line_way = way + best[:, None] * across
            widths = most * study.width * line * seen * taper(20, 1.0, 0.3, 0.4, 0.05)
            free = sample(study.matte("skin"), place) > 0.5
            for a, b in spans(free & (seen > 0.15)):
                if b - a > 8:
                    drawing.put("nose", Line([stroke(line_way[a:b], widths[a:b])], study.line, 0.6))


def draw_mouth(study: Study, points: Knots, drawing: Drawing, line: float) -> None:
    """Draw lips, teeth and the line between the lips: layer "mouth"."""
    width = study.width
    upper, lower = curve(points[list(mesh.UPPER_LIP)], 30), curve(points[list(mesh.LOWER_LIP)], 30)
    above, below = curve(points[list(mesh.INNER_UPPER_LIP)], 30), curve(points[list(mesh.INNER_LOWER_LIP)], 30)
    p = study.points
    inner = filled([p[[*mesh.INNER_UPPER_LIP, *mesh.INNER_LOWER_LIP[-2:0:-1]]]])
    lips = study.mouth * (1 - inner)
    seen = lips * (1 - study.matte("beard")) > 0.8
    measured = np.median(study.calm[seen], axis=0) if seen.sum() > 12 else study.paper - [12, -8, 0]
    lift = float(study.paper[0] - study.skin[0])
    light = float(min(measured[0] + 0.7 * lift, study.paper[0] - 5))
    redder = float(np.clip(1.2 * (measured[1] - study.skin[1]), 5, 26))  # than skin
    red, yellow = float(study.paper[1]) + redder + 4, float(0.4 * measured[2] + 0.6 * study.paper[2])
    inside, outside = (light - 7, red + 0.4 * redder, yellow + 2), (light + 3, red + 2, yellow)
    for lip, rim, dark in ((lower, below, 0.0), (upper, above, 6.0)):
        ends = [(float(way[15, 0]), float(way[15, 1])) for way in (rim, lip)]
        fade = Fade(ends[0], ends[1], rgb((outside[0] - dark, *outside[1:])))
        drawing.put("mouth", Shape([Ring((lip, rim[::-1]))], rgb((inside[0] - dark, *inside[1:])), 0.9, fade))
    shine = 0.5 * (lower[15] + below[15])
    high = 0.16 * float(np.linalg.norm(lower[15] - below[15]))
    gleam = Shape(
        [circle(shine - [0.0, high], 2.6 * high, 0.3)], rgb((min(light + 22, 95), red * 0.6, yellow * 0.6)), 0.5
    )
    drawing.put("mouth", gleam)
    gap = float(np.linalg.norm(p[13] - p[14]))
    if gap > 0.05 * width:
        _open_mouth(study, drawing, (above, below), inner, line)
    else:
        drawn = rgb((inside[0] - 14, *inside[1:]))
        drawing.put("mouth", Shape([Ring((above, below[::-1]))], drawn))
        middle = (above + below) / 2
        middle = np.concatenate([(0.5 * points[61] + 0.5 * middle[0])[None], middle[1:-1], points[[291]]])
        t = np.linspace(0, 1, len(middle))
        widths = 0.021 * width * line * np.interp(t, (0, 0.12, 0.3, 0.5, 0.7, 0.88, 1), (0.3, 1, 0.6, 0.9, 0.6, 1, 0.3))
        drawing.put("mouth", Line([stroke(middle, widths)], study.line))
    under = lower[10:20] + np.array([0.0, 0.03 * width])
    drawing.put("mouth", Line([stroke(under, taper(10, 0.011 * width * line, 0.5, 0.5, 0.1))], study.line, 0.55))


def _open_mouth(study: Study, drawing: Drawing, rims: tuple[Knots, Knots], inner: Planes, line: float) -> None:
    """Draw the inside of an open mouth: teeth as one white shape as far down as they are seen, dark below."""
    above, below = rims
    opening = [Ring((above, below[::-1]))]
    inside = inner > 0.6
    light = study.calm[..., 0][inside]
    drawing.put("mouth", Shape(opening, rgb((20.0, 16.0, 8.0))))
    white = float((light > 0.62 * study.skin[0] + 8).mean()) if len(light) else 0.0
    if white > 0.15:
        share = float(np.clip(1.7 * white, 0.5, 1))
        edge = above + share * (below - above)
        drawing.put("mouth", Shape([Ring((above, edge[::-1]))], rgb((94.0, 0.0, 3.0)), within=opening))
        for k in TEETH:
            way = np.linspace(above[k], edge[k], 6)
            drawing.put("mouth", Line([stroke(way, 0.008 * study.width * line)], rgb((74.0, 3.0, 5.0)), 0.45))
        shadow = above + 0.16 * (below - above)
        drawing.put("mouth", Shape([Ring((above, shadow[::-1]))], rgb((60.0, 6.0, 4.0)), 0.5, within=opening))
    elif study.calm[..., 1][inside].size and float(np.median(study.calm[..., 1][inside])) > 14:
        tongue = above + 0.55 * (below - above)
        drawing.put("mouth", Shape([Ring((tongue, below[::-1]))], rgb((48.0, 30.0, 14.0)), within=opening))
    width = study.width * line
    drawing.put("mouth", Line([stroke(above, taper(len(above), 0.022 * width, 0.25, 0.25, 0.4))], study.line))
    drawing.put("mouth", Line([stroke(below, taper(len(below), 0.012 * width, 0.35, 0.35, 0.2))], study.line, 0.85))


def draw_lines(study: Study, drawing: Drawing, line: float, likeness: float, where: Planes) -> None:
    """Draw the long dark lines of the photo: of clothes, ears and hair, layer "background"; of the face, layer "nose".

    Args:
        likeness: 0..1, strength of those of the face.
        where: (SIDE, SIDE) 0..1, where those beside the face are drawn.
    """
    side = study.ink.shape[0]
    px = side / UNITS
    outside = (1 - grown(study.oval, 0.05 * study.width)) * (3 * where).clip(0, 1)
    bare = shrunk(study.oval, 0.12 * study.width) * (1 - grown(study.features, 0.02 * study.width))
    bare = bare * (1 - study.matte("beard"))
    beside = study.ink * (1 - 0.55 * study.matte("hair", side))
    for strength, inside, short, width, layer in (
        (beside, outside, 0.3, 0.02, "background"),
        (0.9 * likeness * study.ink * reduced(bare, side), bare * study.matte("skin"), 0.12, 0.016, "nose"),
    ):
        want = Lines(least=1.0, short=short * study.width * px, apart=3.0, most=150, steps=120)
        strength = np.asarray(strength, np.float32)
        for way in lines(strength, study.flow, reduced(inside, side), want):
            knots = np.concatenate([way[:-1:4], way[-1:]])
            strong = evened(np.clip(sample(strength, knots) / 2.5, 0.3, 1), 2)
            widths = width * study.width * line * strong * taper(len(knots), 1.0, 0.2, 0.2, 0.15)
            if layer == "background":
                widths *= (2 * sample(where, knots)).clip(0, 1)
            drawing.put(layer, Line([stroke(knots, widths)], study.line, 0.85))


def draw_glasses(study: Study, drawing: Drawing, line: float) -> None:
    """Draw glasses from their matte, in their own colour: layer "glasses"; thin frames as strokes along them."""
    matte = study.matte("glasses")
    chosen = matte > 0.5
    if chosen.sum() < 0.02 * study.width**2:
        return
    light, red, yellow = (float(v) for v in np.median(study.lab[chosen], axis=0))
    light = 0.8 * min(light, float(study.skin[0]) - 14)
    colour = rgb((light, 0.7 * red, 0.7 * yellow))
    soft = blurred(matte, 1.0)
    along = flow(soft, 2.0)
    ridges = -valleys(soft, along, 1.0, 3.5) * 20
    want = Lines(least=0.6, short=0.12 * study.width, apart=2.5, most=24, steps=40)
    for way in lines(ridges, along, np.ones_like(soft), want):
        knots = np.concatenate([way[:-1:2], way[-1:]])
        widths = taper(len(knots), 0.026 * study.width * line, 0.1, 0.1, 0.5)
        drawing.put("glasses", Line([stroke(knots, widths)], colour))
    if chosen.sum() > 0.07 * study.width**2:
        thick = blurred(study.matte("glasses", FINE), 1.6)
        found = contours(thick, 0.55, smooth=1.6, spacing=2.4, least=0.012 * study.width**2)
        drawing.put("glasses", Shape([Ring((k,)) for k in found], colour, holes=True))


def draw_cover(study: Study, drawing: Drawing, line: float) -> None:
    """Draw what is before the face: the flattened picture with an outline, layer "cover"."""
    matte = study.matte("cover")
    found = contours(blurred(matte, 1.0), 0.5, smooth=1.0, least=0.06 * study.width**2)
    if not found:
        return
    drawing.put("cover", Shape([Ring((k,)) for k in found], None, holes=True))
    near = blurred(grown(study.oval, 4), 2.0)
    for knots in found:
        width = 0.018 * study.width * line * sample(near, knots).clip(0, 1)
        drawing.put("cover", *(Line([run], study.line) for run in outline_runs(knots, width, 0.2 * line, 8)))
