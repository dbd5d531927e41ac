"""Teacher of makeup regions, from 68 landmarks and the face's own colours.

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
FINE = 4  # polygons are drawn this many times larger, then reduced


def regions(pixels: Pixels, points: Points) -> NDArray[np.uint8]:
    """Find the regions of one aligned face (H, W, 3) uint8 RGB with (68, 2) landmarks -> maps (6, H, W) uint8 0..255.

    The channels are in the order of ``ganchain.colour.makeup.REGIONS``.
    """
    lab = cv2.cvtColor((pixels / np.float32(255)).astype(np.float32), cv2.COLOR_RGB2LAB).astype(np.float32)
    eyes = points[LEFT_EYE].mean(0) - points[RIGHT_EYE].mean(0)
    unit = float(np.linalg.norm(eyes)) / 92  # 1 px in the tight framing at 256
    tone = _skin_likeness(lab, points, unit)
    brows = np.maximum(*(_brow(lab, points, side, unit) for side in (0, 1)))
    (lid0, liner0), (lid1, liner1) = (_lid(lab, points, side, unit) for side in (0, 1))
    lids, liner = np.maximum(lid0, lid1) * tone * (1 - brows), np.maximum(liner0, liner1)
    holes = np.maximum(_features(points, lab.shape, unit), _grow(brows, 2 * unit))
    skin = _blur(_face(points, lab.shape, unit) * tone * (1 - holes), unit)
    cheeks = np.maximum(*(_cheek(points, side, lab.shape) for side in (0, 1))) * _blur(skin, 2 * unit)
    bare = _bare_eyes(lab, points, unit)
    maps = np.stack([_lips(lab, points, unit), bare * lids, bare * liner, bare * brows, cheeks, skin])
    return (maps.clip(0, 1) * 255).round().astype(np.uint8)


def _skin_likeness(lab: Plane, points: Points, unit: float) -> Plane:
    """Measure how much each pixel looks like this face's skin (nose and cheeks give the statistics)."""
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
    return _guided(_blur(likely, unit), lab, 4 * unit)


def _bare_eyes(lab: Plane, points: Points, unit: float) -> float:
    """Return 0 behind sunglasses .. 1: the skin just below the eyes is then about as light as the cheeks."""
    light = lab[..., 0]
    below = [points[part].mean(0) + np.array([0, 14 * unit]) for part in ([40, 41], [46, 47])]
    size = (round(11 * unit),) * 2
    spots = [cv2.getRectSubPix(light, size, (float(x), float(y))) for x, y in below]
    cheeks = np.maximum(*(_cheek(points, side, lab.shape) for side in (0, 1))) > 0.5
    share = float(np.median(spots) / max(float(np.median(light[cheeks])), 1))
    return float(_step(share, 0.35, 0.44))


def _lips(lab: Plane, points: Points, unit: float) -> Plane:
    """Find the lips by landmarks and by colour, without the opening and the teeth."""
    points = points + _lip_shift(lab, points, unit)
    outer = _polygon(_round(points[OUTER_LIPS]), lab.shape)
    mouth = _polygon(_round(points[INNER_LIPS]), lab.shape)
    gap = float(np.linalg.norm(points[66] - points[62])) / unit
    opening = mouth * float(_step(gap, 2, 3.5))  # dlib opens closed mouths a little
    area = _blur(_grow(outer, unit) * (1 - opening), unit)
    core = (_shrink(outer, 1.5 * unit) * (1 - _grow(mouth, unit))) > 0.5
    ring = (_grow(outer, 9 * unit) - _grow(outer, 4 * unit)) > 0.5
    if core.sum() < 30 or ring.sum() < 30:
        return area
    likely = _likelihood(lab, lab[core], lab[ring])
    light, red = np.moveaxis(lab[..., :2], -1, 0)
    teeth = _sigmoid((light - np.percentile(lab[core][:, 0], 90) - 4) / 2)
    pale = _sigmoid((np.percentile(lab[core][:, 1], 15) - 2 - red) / 1.5)
    likely = likely * (1 - _grow(mouth, 1.5 * unit) * np.maximum(teeth, pale) * float(_step(gap, 1.5, 2.5)))
    return _blur(_guided((area * likely).astype(np.float32), lab, 2 * unit), 0.6 * unit)


def _lip_shift(lab: Plane, points: Points, unit: float) -> Points:
    """Find the shift (x, y) in px that moves the landmarks' lips to where the red is: dlib's are a little low."""
    opening = _polygon(points[INNER_LIPS], lab.shape)
    outer = _polygon(points[OUTER_LIPS], lab.shape)
    surroundings = np.maximum(_grow(outer, 5 * unit) - outer, _shrink(opening, unit))
    red = _blur(lab[..., 1] - 0.1 * lab[..., 0], unit)
    kernel = outer * (1 - opening)
    kernel = kernel / max(kernel.sum(), 1) - surroundings / max(surroundings.sum(), 1)
    shifts = [(x, y) for y in range(-4, 1) for x in range(-2, 3)]
    moved = [np.roll(red, (-y, -x), (0, 1)) for x, y in shifts]
    scores = [float((kernel * m).sum()) - 0.1 * (x * x + y * y) for m, (x, y) in zip(moved, shifts, strict=True)]
    return np.array(shifts[int(np.argmax(scores))], np.float64)


def _likelihood(lab: Plane, inside: Plane, outside: Plane) -> Plane:
    """Compare the Gaussians of the colours inside and outside: 0.15..1, so never fully certain."""
    scores = []
    for colours in (inside, outside):
        covariance = np.cov(colours.T) + np.diag([16.0, 4, 4])
        difference = lab - np.median(colours, axis=0)
        scores.append(np.einsum("hwi,ij,hwj->hw", difference, np.linalg.inv(covariance), difference) / 2)
    odds = (scores[1] - scores[0]).clip(-6, 6)
    return 0.15 + 0.85 * _sigmoid(odds + 1.2)


def _lid(lab: Plane, points: Points, side: int, unit: float) -> tuple[Plane, Plane]:
    """Find eyeshadow and liner of one eye, in the eye's own frame: x 0 (outer corner) .. 1 (inner), y up."""
    eye = points[36:42] if side == 0 else points[[45, 44, 43, 42, 47, 46]]
    brow = points[17:22] if side == 0 else points[22:27][::-1]
    across = eye[3] - eye[0]
    axes = np.stack([across, np.array([across[1], -across[0]]) * (1 if side == 0 else -1)])
    length = max(float(np.linalg.norm(across)), 1.0)
    x, y = np.moveaxis((_grid(lab.shape) - eye[0]) @ axes.T, -1, 0) / length**2
    curves = [(part - eye[0]) @ axes.T / length**2 for part in (eye[:4], brow)]
    lid, arch = (np.polyfit(part[:, 0], part[:, 1], 2) for part in curves)
    line = np.polyval(lid, x.clip(-0.1, 1.05)) + _lash_line(lab[..., 0], lid, eye[0], axes)
    height = (np.polyval(arch, x.clip(0, 1)) - np.polyval(lid, x.clip(0, 1))).clip(0.15, 1.2)
    share = (y - line) / height
    fade = (1 - _step(share, 0.25, 0.8)) * _step(share, -0.02, 0.1)
    shadow = fade * _step(x, -0.25, 0.05) * (1 - _step(x, 0.9, 1.08)) * (0.75 + 0.25 * (1 - _step(x, 0.2, 0.7)))
    thick = (0.045 + 0.02 * (1 - _step(x, 0.1, 0.8))) * (36 * unit / length) ** 0.5
    liner = np.exp(-(((y - line - 0.25 * thick) / thick) ** 2)) * _step(x, -0.14, 0.02) * (1 - _step(x, 0.85, 1.0))
    return np.asarray(shadow, np.float32), np.asarray(liner, np.float32)


def _lash_line(light: Plane, lid: Points, origin: Points, axes: Points) -> float:
    """Find how far (in eye lengths) the upper lash line is above the landmarks' curve: at the strongest dark edge."""
    x = np.linspace(0.15, 0.85, 24)
    soft = _blur(light, 0.8)

    def at(rise: float) -> float:
        points = (origin + np.stack([x, np.polyval(lid, x) + rise], axis=1) @ axes).astype(np.float32)
        return float(np.mean(cv2.remap(soft, points[:, :1], points[:, 1:], cv2.INTER_LINEAR)))

    rises = np.linspace(-0.1, 0.1, 11)
    return float(max(rises, key=lambda rise: at(rise + 0.07) - at(rise - 0.03) - 300 * rise**2))


def _brow(lab: Plane, points: Points, side: int, unit: float) -> Plane:
    """Find the hair of one brow: a stroke along its landmarks where it is darker than the skin around."""
    brow = points[17:22] if side == 0 else points[22:27]
    canvas = np.zeros(tuple(FINE * n for n in lab.shape[:2]), np.uint8)
    stroke = [np.round((brow + (0, 1.5 * unit) + 0.5) * FINE).astype(np.int32)]
    cv2.polylines(canvas, stroke, False, 255, round(11 * unit * FINE), cv2.LINE_AA)
    area = _blur(_reduce(canvas), 1.5 * unit)
    surroundings = _blur(lab[..., 0], 14 * unit)
    darker = _sigmoid((surroundings - lab[..., 0] - 3.5) / 2)
    return _guided(np.asarray(area * darker, np.float32), lab, 2 * unit)


def _cheek(points: Points, side: int, shape: tuple[int, ...]) -> Plane:
    """Draw blush: a Gaussian ellipse from the apple of the cheek towards the temple, foreshortened with the face."""
    jaw, wing, eye, mouth = (points[k] for k in ((2, 31, 36, 48) if side == 0 else (14, 35, 45, 54)))
    below = points[[40, 41]].mean(0) if side == 0 else points[[46, 47]].mean(0)
    middle = 0.42 * jaw + 0.3 * wing + 0.28 * below + 0.02 * (mouth - eye)
    along = (0.5 * jaw + 0.5 * eye) - 0.5 * (wing + mouth)
    along /= np.linalg.norm(along)
    width = abs(float(np.dot(jaw - wing, along))) * 0.4
    height = float(np.linalg.norm(mouth - eye)) * 0.19
    offset = _grid(shape) - middle
    u, v = offset @ along / max(width, 1), offset @ np.array([-along[1], along[0]]) / max(height, 1)
    return np.asarray(np.exp(-((u**2 + v**2) ** 1.2) / 1.2), np.float32)


def _face(points: Points, shape: tuple[int, ...], unit: float) -> Plane:
    """Fill the jaw line, closed by a forehead arc above the brows."""
    chin, top = points[8], points[[19, 24]].mean(0)
    left, right = points[0], points[16]
    angles = np.linspace(np.pi, 0, 13)[:, None]
    middle, half, up = (left + right) / 2, (right - left) / 2, 1.35 * (top - chin) + chin - (left + right) / 2
    arc = middle + half * np.cos(angles) + up * np.sin(angles) ** 0.7
    return _blur(_shrink(_polygon(np.concatenate([arc, points[16::-1]]), shape), 3 * unit), 3 * unit)


def _features(points: Points, shape: tuple[int, ...], unit: float) -> Plane:
    """Find what is never skin: eyes, mouth and nostrils, grown a little."""
    eyes = [_grow(_polygon(points[part], shape), 3 * unit) for part in (RIGHT_EYE, LEFT_EYE)]
    mouth = _grow(_polygon(points[OUTER_LIPS], shape), 2 * unit)
    nostrils = _grow(_polygon(points[31:36], shape), 2 * unit)
    return _blur(np.maximum.reduce([*eyes, mouth, nostrils]), unit)


def _sigmoid(x: Points | Plane) -> Plane:
    return np.asarray(1 / (1 + np.exp(-x)), np.float32)


def _step(x: Points | float, low: float, high: float) -> Points:
    """Step smoothly from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def _grid(shape: tuple[int, ...]) -> Points:
    """Make a grid (H, W, 2) of x, y of every pixel."""
    return np.stack(np.meshgrid(np.arange(shape[1]), np.arange(shape[0])), axis=-1).astype(np.float64)


def _round(corners: Points) -> Points:
    """Curve the sides of a closed polygon and keep its corners (Catmull-Rom)."""
    t = np.linspace(0, 1, 5)[:-1, None]
    a, b, c, d = (np.roll(corners, k, axis=0)[:, None] for k in (1, 0, -1, -2))
    curve = b + t * (c - a) / 2 + t**2 * (2 * a - 5 * b + 4 * c - d) / 2 + t**3 * (3 * b - 3 * c + d - a) / 2
    return curve.reshape(-1, 2)


def _polygon(corners: Points, shape: tuple[int, ...]) -> Plane:
    """Fill a polygon, antialiased."""
    canvas = np.zeros((shape[0] * FINE, shape[1] * FINE), np.uint8)
    cv2.fillPoly(canvas, [np.round((corners + 0.5) * FINE).astype(np.int32)], 255)
    return _reduce(canvas)


def _reduce(canvas: NDArray[np.uint8]) -> Plane:
    """Reduce a canvas that is FINE times as large."""
    size = (canvas.shape[1] // FINE, canvas.shape[0] // FINE)
    return np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)


def _grow(plane: Plane, radius: float) -> Plane:
    return cv2.dilate(plane, _disc(radius)).astype(np.float32)


def _shrink(plane: Plane, radius: float) -> Plane:
    return cv2.erode(plane, _disc(radius)).astype(np.float32)


def _disc(radius: float) -> NDArray[np.uint8]:
    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)).astype(np.uint8)


def _blur(plane: Plane | Points, sigma: float) -> Plane:
    return cv2.GaussianBlur(plane, (0, 0), max(sigma, 0.3)).astype(np.float32)


def _guided(plane: Plane, lab: Plane, radius: float, edge: float = 5.0) -> Plane:
    """Fit ``plane`` to the picture's edges by a guided filter (He et al. 2010) led by lightness."""
    side = (2 * max(1, round(radius)) + 1,) * 2
    guide = lab[..., 0]
    mean, plane_mean = cv2.blur(guide, side), cv2.blur(plane, side)
    slope = (cv2.blur(guide * plane, side) - mean * plane_mean) / (cv2.blur(guide * guide, side) - mean**2 + edge**2)
    filtered = cv2.blur(slope, side) * guide + cv2.blur(plane_mean - slope * mean, side)
    return np.asarray(filtered.clip(0, 1), np.float32)
