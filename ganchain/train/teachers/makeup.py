"""Makeup regions from 68 landmarks and the face's own colours: the teacher of the makeup network.

Geometry says where a region may be; colour says where it really is: no lips on teeth or a beard, no skin on
hair, glasses or background. Points are dlib's: 0-16 jaw, 17-26 brows, 27-35 nose, 36-47 eyes, 48-67 mouth.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.faces.dlib_models import Points
from ganchain.tensors import Pixels

Plane = NDArray[np.float32]  # (H, W) 0..1, or Lab as (H, W, 3)

RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)
OUTER_LIPS, INNER_LIPS = slice(48, 60), slice(60, 68)
FINE = 4  # polygons are drawn this many times larger


def regions(pixels: Pixels, points: Points) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of one aligned face and its (68, 2) landmarks -> (6, H, W) uint8 maps 0..255.

    The channels stand in the order of ``ganchain.colour.makeup.REGIONS``.
    """
    lab = cv2.cvtColor((pixels / np.float32(255)).astype(np.float32), cv2.COLOR_RGB2LAB).astype(np.float32)
    eyes = points[LEFT_EYE].mean(0) - points[RIGHT_EYE].mean(0)
    unit = float(np.linalg.norm(eyes)) / 92  # 1 px in the tight framing at 256
    tone = _tone(lab, points, unit)
    brows = np.maximum(*(_brow(lab, points, side, unit) for side in (0, 1)))
    (lid0, liner0), (lid1, liner1) = (_lid(lab, points, side, unit) for side in (0, 1))
    lids, liner = np.maximum(lid0, lid1) * tone * (1 - brows), np.maximum(liner0, liner1)
    holes = np.maximum(_features(points, lab.shape, unit), _grown(brows, 2 * unit))
    skin = _soft(_face(points, lab.shape, unit) * tone * (1 - holes), unit)
    cheeks = np.maximum(*(_cheek(points, side, lab.shape) for side in (0, 1))) * _soft(skin, 2 * unit)
    bare = _bare_eyes(lab, points, unit)
    maps = np.stack([_lips(lab, points, unit), bare * lids, bare * liner, bare * brows, cheeks, skin])
    return (maps.clip(0, 1) * 255).round().astype(np.uint8)


def _tone(lab: Plane, points: Points, unit: float) -> Plane:
    """How much each pixel looks like this face's skin (nose and cheeks give the statistics)."""
    hull = np.concatenate([points[[1, 2, 3, 4, 12, 13, 14, 15]], points[[27]]])
    seed = _polygon(np.asarray(cv2.convexHull(hull.astype(np.float32))[:, 0], np.float64), lab.shape)
    seed = seed * (1 - _features(points, lab.shape, unit))
    colours = lab[seed > 0.5]
    middle = np.median(colours, axis=0)
    spread = np.median(np.abs(colours - middle), axis=0) * 1.5
    light, red, yellow = np.moveaxis((lab - middle) / np.maximum(spread, (7, 3, 3.5)), -1, 0)
    light = np.where(light < 0, light, light * 0.7)  # highlights are skin too
    distance = np.sqrt(0.5 * light**2 + red**2 + 0.8 * yellow**2)
    likely = _sigmoid((3.7 - distance) / 0.5)
    return _led(_soft(likely, unit), lab, 4 * unit)


def _bare_eyes(lab: Plane, points: Points, unit: float) -> float:
    """0 behind sunglasses .. 1: the skin just below the eyes is about as light as the cheeks."""
    light = lab[..., 0]
    below = [points[part].mean(0) + np.array([0, 14 * unit]) for part in ([40, 41], [46, 47])]
    size = (round(11 * unit),) * 2
    spots = [cv2.getRectSubPix(light, size, (float(x), float(y))) for x, y in below]
    cheeks = np.maximum(*(_cheek(points, side, lab.shape) for side in (0, 1))) > 0.5
    share = float(np.median(spots) / max(float(np.median(light[cheeks])), 1))
    return float(_step(share, 0.35, 0.44))


def _lips(lab: Plane, points: Points, unit: float) -> Plane:
    """Lips by landmarks times lips by colour, the opening with the teeth left out."""
    points = points + _lip_shift(lab, points, unit)
    outer = _polygon(_rounded(points[OUTER_LIPS]), lab.shape)
    between = _polygon(_rounded(points[INNER_LIPS]), lab.shape)
    gap = float(np.linalg.norm(points[66] - points[62])) / unit
    opening = between * float(_step(gap, 2, 3.5))  # dlib opens closed mouths a little
    area = _soft(_grown(outer, unit) * (1 - opening), unit)
    core = (_shrunk(outer, 1.5 * unit) * (1 - _grown(between, unit))) > 0.5
    ring = (_grown(outer, 9 * unit) - _grown(outer, 4 * unit)) > 0.5
    if core.sum() < 30 or ring.sum() < 30:
        return area
    likely = _likelihood(lab, lab[core], lab[ring])
    light, red = np.moveaxis(lab[..., :2], -1, 0)
    teeth = _sigmoid((light - np.percentile(lab[core][:, 0], 90) - 4) / 2)
    pale = _sigmoid((np.percentile(lab[core][:, 1], 15) - 2 - red) / 1.5)
    likely = likely * (1 - _grown(between, 1.5 * unit) * np.maximum(teeth, pale) * float(_step(gap, 1.5, 2.5)))
    return _soft(_led((area * likely).astype(np.float32), lab, 2 * unit), 0.6 * unit)


def _lip_shift(lab: Plane, points: Points, unit: float) -> Points:
    """The shift (x, y) in px that puts the landmarks' lips where the red is: dlib's lie a little low."""
    opening = _polygon(points[INNER_LIPS], lab.shape)
    outer = _polygon(points[OUTER_LIPS], lab.shape)
    around = np.maximum(_grown(outer, 5 * unit) - outer, _shrunk(opening, unit))
    red = _soft(lab[..., 1] - 0.1 * lab[..., 0], unit)
    kernel = outer * (1 - opening)
    kernel = kernel / max(kernel.sum(), 1) - around / max(around.sum(), 1)
    tries = [(x, y) for y in range(-4, 1) for x in range(-2, 3)]
    moved = [np.roll(red, (-y, -x), (0, 1)) for x, y in tries]
    scores = [float((kernel * m).sum()) - 0.1 * (x * x + y * y) for m, (x, y) in zip(moved, tries, strict=True)]
    return np.array(tries[int(np.argmax(scores))], np.float64)


def _likelihood(lab: Plane, inside: Plane, outside: Plane) -> Plane:
    """Share of the inside colour's Gaussian against the outside's, never fully certain: 0.15..1."""
    scores = []
    for colours in (inside, outside):
        covariance = np.cov(colours.T) + np.diag([16.0, 4, 4])
        away = lab - np.median(colours, axis=0)
        scores.append(np.einsum("hwi,ij,hwj->hw", away, np.linalg.inv(covariance), away) / 2)
    odds = (scores[1] - scores[0]).clip(-6, 6)
    return 0.15 + 0.85 * _sigmoid(odds + 1.2)


def _lid(lab: Plane, points: Points, side: int, unit: float) -> tuple[Plane, Plane]:
    """Eyeshadow and liner of one eye: in the eye's own frame, x 0 (outer corner) .. 1 (inner), y up."""
    eye = points[36:42] if side == 0 else points[[45, 44, 43, 42, 47, 46]]
    brow = points[17:22] if side == 0 else points[22:27][::-1]
    across = eye[3] - eye[0]
    axes = np.stack([across, np.array([across[1], -across[0]]) * (1 if side == 0 else -1)])
    length = max(float(np.linalg.norm(across)), 1.0)
    x, y = np.moveaxis((_grid(lab.shape) - eye[0]) @ axes.T, -1, 0) / length**2
    seen = [(part - eye[0]) @ axes.T / length**2 for part in (eye[:4], brow)]
    lid, arch = (np.polyfit(part[:, 0], part[:, 1], 2) for part in seen)
    line = np.polyval(lid, x.clip(-0.1, 1.05)) + _lash_line(lab[..., 0], lid, eye[0], axes)
    room = (np.polyval(arch, x.clip(0, 1)) - np.polyval(lid, x.clip(0, 1))).clip(0.15, 1.2)
    rise = (y - line) / room
    fade = (1 - _step(rise, 0.25, 0.8)) * _step(rise, -0.02, 0.1)
    shadow = fade * _step(x, -0.25, 0.05) * (1 - _step(x, 0.9, 1.08)) * (0.75 + 0.25 * (1 - _step(x, 0.2, 0.7)))
    thick = (0.045 + 0.02 * (1 - _step(x, 0.1, 0.8))) * (36 * unit / length) ** 0.5
    liner = np.exp(-(((y - line - 0.25 * thick) / thick) ** 2)) * _step(x, -0.14, 0.02) * (1 - _step(x, 0.85, 1.0))
    return np.asarray(shadow, np.float32), np.asarray(liner, np.float32)


def _lash_line(light: Plane, lid: Points, origin: Points, axes: Points) -> float:
    """How far (in eye lengths) the upper lash line lies above the landmarks' curve: the strongest dark edge."""
    x = np.linspace(0.15, 0.85, 24)
    soft = _soft(light, 0.8)

    def at(rise: float) -> float:
        where = (origin + np.stack([x, np.polyval(lid, x) + rise], axis=1) @ axes).astype(np.float32)
        return float(np.mean(cv2.remap(soft, where[:, :1], where[:, 1:], cv2.INTER_LINEAR)))

    tries = np.linspace(-0.1, 0.1, 11)
    return float(max(tries, key=lambda rise: at(rise + 0.07) - at(rise - 0.03) - 300 * rise**2))


def _brow(lab: Plane, points: Points, side: int, unit: float) -> Plane:
    """Hair of one brow: a stroke along its landmarks where it is darker than the skin around."""
    brow = points[17:22] if side == 0 else points[22:27]
    canvas = np.zeros(tuple(FINE * n for n in lab.shape[:2]), np.uint8)
    stroke = [np.round((brow + (0, 1.5 * unit) + 0.5) * FINE).astype(np.int32)]
    cv2.polylines(canvas, stroke, False, 255, round(11 * unit * FINE), cv2.LINE_AA)
    area = _soft(_reduced(canvas), 1.5 * unit)
    around = _soft(lab[..., 0], 14 * unit)
    darker = _sigmoid((around - lab[..., 0] - 3.5) / 2)
    return _led(np.asarray(area * darker, np.float32), lab, 2 * unit)


def _cheek(points: Points, side: int, shape: tuple[int, ...]) -> Plane:
    """Blush: a Gaussian ellipse from the apple of the cheek towards the temple, foreshortened with the face."""
    jaw, wing, eye, mouth = (points[k] for k in ((2, 31, 36, 48) if side == 0 else (14, 35, 45, 54)))
    below = points[[40, 41]].mean(0) if side == 0 else points[[46, 47]].mean(0)
    middle = 0.42 * jaw + 0.3 * wing + 0.28 * below + 0.02 * (mouth - eye)
    along = (0.5 * jaw + 0.5 * eye) - 0.5 * (wing + mouth)
    along /= np.linalg.norm(along)
    width = abs(float(np.dot(jaw - wing, along))) * 0.4
    height = float(np.linalg.norm(mouth - eye)) * 0.19
    away = _grid(shape) - middle
    u, v = away @ along / max(width, 1), away @ np.array([-along[1], along[0]]) / max(height, 1)
    return np.asarray(np.exp(-((u**2 + v**2) ** 1.2) / 1.2), np.float32)


def _face(points: Points, shape: tuple[int, ...], unit: float) -> Plane:
    """Jaw line closed by a forehead arc above the brows."""
    chin, top = points[8], points[[19, 24]].mean(0)
    left, right = points[0], points[16]
    angles = np.linspace(np.pi, 0, 13)[:, None]
    middle, half, up = (left + right) / 2, (right - left) / 2, 1.35 * (top - chin) + chin - (left + right) / 2
    arc = middle + half * np.cos(angles) + up * np.sin(angles) ** 0.7
    return _soft(_shrunk(_polygon(np.concatenate([arc, points[16::-1]]), shape), 3 * unit), 3 * unit)


def _features(points: Points, shape: tuple[int, ...], unit: float) -> Plane:
    """Eyes, mouth and nostrils, grown a little: what is never skin."""
    eyes = [_grown(_polygon(points[part], shape), 3 * unit) for part in (RIGHT_EYE, LEFT_EYE)]
    mouth = _grown(_polygon(points[OUTER_LIPS], shape), 2 * unit)
    nostrils = _grown(_polygon(points[31:36], shape), 2 * unit)
    return _soft(np.maximum.reduce([*eyes, mouth, nostrils]), unit)


def _sigmoid(x: Points | Plane) -> Plane:
    return np.asarray(1 / (1 + np.exp(-x)), np.float32)


def _step(x: Points | float, low: float, high: float) -> Points:
    """Smooth step from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def _grid(shape: tuple[int, ...]) -> Points:
    """(H, W, 2): x, y of every pixel."""
    return np.stack(np.meshgrid(np.arange(shape[1]), np.arange(shape[0])), axis=-1).astype(np.float64)


def _rounded(corners: Points) -> Points:
    """A closed polygon with its corners kept and its sides curved (Catmull-Rom)."""
    t = np.linspace(0, 1, 5)[:-1, None]
    a, b, c, d = (np.roll(corners, k, axis=0)[:, None] for k in (1, 0, -1, -2))
    curve = b + t * (c - a) / 2 + t**2 * (2 * a - 5 * b + 4 * c - d) / 2 + t**3 * (3 * b - 3 * c + d - a) / 2
    return curve.reshape(-1, 2)


def _polygon(corners: Points, shape: tuple[int, ...]) -> Plane:
    canvas = np.zeros((shape[0] * FINE, shape[1] * FINE), np.uint8)
    cv2.fillPoly(canvas, [np.round((corners + 0.5) * FINE).astype(np.int32)], 255)
    return _reduced(canvas)


def _reduced(canvas: NDArray[np.uint8]) -> Plane:
    size = (canvas.shape[1] // FINE, canvas.shape[0] // FINE)
    return np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)


def _grown(plane: Plane, radius: float) -> Plane:
    return cv2.dilate(plane, _disc(radius)).astype(np.float32)


def _shrunk(plane: Plane, radius: float) -> Plane:
    return cv2.erode(plane, _disc(radius)).astype(np.float32)


def _disc(radius: float) -> NDArray[np.uint8]:
    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)).astype(np.uint8)


def _soft(plane: Plane | Points, sigma: float) -> Plane:
    return cv2.GaussianBlur(plane, (0, 0), max(sigma, 0.3)).astype(np.float32)


def _led(plane: Plane, lab: Plane, radius: float, edge: float = 5.0) -> Plane:
    """``plane`` drawn to the picture's edges: guided filter (He et al. 2010) led by lightness."""
    side = (2 * max(1, round(radius)) + 1,) * 2
    guide = lab[..., 0]
    mean, level = cv2.blur(guide, side), cv2.blur(plane, side)
    slope = (cv2.blur(guide * plane, side) - mean * level) / (cv2.blur(guide * guide, side) - mean**2 + edge**2)
    drawn = cv2.blur(slope, side) * guide + cv2.blur(level - slope * mean, side)
    return np.asarray(drawn.clip(0, 1), np.float32)
