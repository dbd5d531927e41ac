"""Teacher of webtoon drawings: a photo as two layers at twice its side, flat tones and dark lines.

Video abstraction (Winnemöller, Olsen, Gooch 2006: bilateral flattening, soft luminance steps, difference-of-
Gaussians lines), smoothed along the edge tangent field (Kang, Lee, Chui 2007; Kyprianidis & Döllner 2008): hair
becomes strands, not speckle. Lines are thresholded relative to the local lightness, which dark skin needs and XDoG
(Winnemöller, Kyprianidis, Olsen 2012) does not do, above the picture's own noise (Immerkær 1996), and with hysteresis
(Canny 1986). Only skin gets tone steps: elsewhere they would band plain walls.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ganchain.tensors import Pixels

Plane = NDArray[np.float32]  # (H, W) or (H, W, C)
Points = NDArray[np.float64]

SCALE = 2
EYES = (slice(36, 42), slice(42, 48))
BROWS = (slice(17, 22), slice(22, 27))
LIPS = slice(48, 60)
ENLARGE, REACH = 0.18, 1.6  # enlargement at the centre of the eye, and its radius in eye widths
LIFT = 5.0  # L* (0..100) by which skin becomes lighter, the same for every skin colour
LINE = 0.035  # share by which a line is darker than its surroundings


def webtoon(picture: Pixels, faces: Sequence[Points] = ()) -> tuple[Pixels, Pixels]:
    """Draw ``picture`` (H, W, 3) uint8 RGB as tones (2 H, 2 W, 3) and ink (2 H, 2 W), both uint8.

    Ink is 0 (nothing) to 255 (a line). ``faces`` are the landmarks (68, 2) of ``train.landmarks``, x and y in px, of
    each known face: only those get larger eyes and flat skin.
    """
    large = np.asarray(cv2.resize(picture, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC), np.uint8)
    points = [(face + 0.5) * SCALE - 0.5 for face in faces]
    for face in points:
        large = _enlarge_eyes(large, face)
    original = _plane(cv2.cvtColor(large.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))
    lab = _stretch_lightness(original)
    eyes, brows, lips = (
        _region(lab.shape[:2], [face[part] for face in points for part in parts], 0.1)
        for parts in (EYES, BROWS, [LIPS])
    )
    tangents = _tangents(lab)
    ink = _lines(lab[..., 0], tangents, _plane(0.01 * eyes - 0.015 * lips), original[..., 0])
    tone = _skin_tone(lab, points)
    target_tone = _skin_tone(original, points) * np.clip(
        80 / max(float(np.percentile(original[..., 0], 98)), 1), 1, 1.35
    )
    bright = _draw_catch_lights(_brighten_eyes(lab, eyes), points)
    flat = _flatten(bright, tangents, np.maximum(np.maximum(eyes, brows), lips), points, tone)
    flat = _recolour(flat, tone, target_tone + LIFT)
    ink *= 1 - eyes * ((bright[..., 0] - 70) / 20).clip(0, 1)  # no line over a catch-light
    flat, ink = ((layer * 255).round().clip(0, 255) for layer in (cv2.cvtColor(flat, cv2.COLOR_LAB2RGB), ink))
    return flat.astype(np.uint8), ink.astype(np.uint8)


def _plane(values: ArrayLike) -> Plane:
    return np.asarray(values, np.float32)


def _bilateral(plane: Plane, diameter: int, colour: float, space: float) -> Plane:
    return _plane(cv2.bilateralFilter(plane, diameter, colour, space))


def _grid(height: int, width: int) -> tuple[Plane, Plane]:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return x, y


def _sample(plane: Plane, x: Plane, y: Plane, interpolation: int = cv2.INTER_LINEAR) -> Plane:
    return _plane(cv2.remap(plane, x, y, interpolation, borderMode=cv2.BORDER_REFLECT_101))


def _enlarge_eyes(large: Pixels, face: Points) -> Pixels:
    """Warp smoothly and radially around each eye."""
    x, y = _grid(*large.shape[:2])
    dx, dy = x.copy(), y.copy()
    for eye in EYES:
        centre = face[eye].mean(axis=0)
        radius = REACH * float(np.ptp(face[eye][:, 0]))
        from_x, from_y = x - np.float32(centre[0]), y - np.float32(centre[1])
        inside = np.clip(1 - (from_x**2 + from_y**2) / radius**2, 0, 1) ** 2
        dx -= ENLARGE * inside * from_x
        dy -= ENLARGE * inside * from_y
    return np.asarray(cv2.remap(large, dx, dy, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101), np.uint8)


def _stretch_lightness(lab: Plane) -> Plane:
    """Stretch the lightness (gain 1..1.3: more would change the colour of skin), then lift local contrast."""
    low, high = np.percentile(lab[..., 0], (0.5, 99.5))
    gain = float(np.clip(92 / max(high - low, 1.0), 1.0, 1.3))
    light = (lab[..., 0] - low) * gain + min(low, 4.0)
    clahe = cv2.createCLAHE(clipLimit=1.6, tileGridSize=(4, 4))
    local = _plane(clahe.apply((light * 2.55).round().clip(0, 255).astype(np.uint8))) / 2.55
    return np.dstack([(0.7 * light + 0.3 * local).clip(0, 100), lab[..., 1:]]).astype(np.float32)


def _hull(shape: tuple[int, ...], points: Points) -> Plane:
    """Fill the convex hull of ``points`` with 1: (H, W)."""
    inside = np.zeros(shape, np.float32)
    cv2.fillConvexPoly(inside, cv2.convexHull(points.astype(np.float32)).round().astype(np.int32), 1.0)
    return inside


def _region(shape: tuple[int, ...], parts: Sequence[Points], margin: float) -> Plane:
    """Fill the hulls of ``parts``, grown by ``margin`` of their width and softened: (H, W) 0..1."""
    mask = np.zeros(shape, np.float32)
    for part in parts:
        reach = margin * float(np.ptp(part[:, 0]))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (int(reach) * 2 + 1, int(reach) * 2 + 1))
        mask = np.maximum(mask, cv2.GaussianBlur(cv2.dilate(_hull(shape, part), kernel), (0, 0), max(0.5 * reach, 1.0)))
    return mask


def _skin_tone(lab: Plane, faces: Sequence[Points]) -> float:
    """Return the median lightness of the largest face, which shall be one flat tone. Without a face, middle grey."""
    face = max(faces, key=lambda points: float(np.ptp(points[:, 0])), default=np.zeros((1, 2)))
    inside = lab[_hull(lab.shape[:2], face) > 0][:, 0]
    return float(np.median(inside)) if len(faces) and len(inside) else 50.0


def _brighten_eyes(lab: Plane, eyes: Plane) -> Plane:
    """Give the eyes more contrast and whiter whites."""
    light, colour = lab[..., 0], lab[..., 1:]
    whites = eyes * ((light - 45) / 25).clip(0, 1)
    light = light + eyes * 0.9 * (light - cv2.GaussianBlur(light, (0, 0), 6.0)) + 8 * whites
    return np.dstack([light.clip(0, 100), colour * (1 - 0.5 * whites[..., None])]).astype(np.float32)


def _draw_catch_lights(lab: Plane, faces: Sequence[Points]) -> Plane:
    """Draw a small light up and left of the middle of each iris, the darkest part of an open eye."""
    drawn = lab.copy()
    x, y = _grid(*lab.shape[:2])
    for eye in (face[part] for face in faces for part in EYES):
        width, opening = float(np.ptp(eye[:, 0])), float(np.ptp(eye[:, 1]))
        inside = _hull(lab.shape[:2], eye) > 0
        if opening < 0.22 * width or not inside.any():
            continue
        dark, light = np.percentile(lab[..., 0][inside], (10, 90))
        if light - dark < 20:  # glasses hide it
            continue
        iris = inside * np.clip((dark + 0.4 * (light - dark) - lab[..., 0]) / (light - dark), 0, 1)
        iris /= iris.sum()
        distance = np.hypot(x - (iris * x).sum() + 0.06 * width, y - (iris * y).sum() + 0.07 * width)
        spot = 1 / (1 + np.exp(((distance - 0.06 * width) / 0.8).clip(-20, 20)))
        drawn[..., 0] += spot * (96 - drawn[..., 0])
        drawn[..., 1:] *= 1 - spot[..., None]
    return drawn


def _tangents(lab: Plane) -> Plane:
    """Compute the unit vector along the edges, the minor axis of the smoothed structure tensor: (H, W, 2)."""
    smooth = cv2.GaussianBlur(lab, (0, 0), 1.2)
    gx, gy = cv2.Scharr(smooth, cv2.CV_32F, 1, 0), cv2.Scharr(smooth, cv2.CV_32F, 0, 1)
    tensor = np.stack([(gx * gx).sum(2), (gx * gy).sum(2), (gy * gy).sum(2)], axis=2)
    tensor /= np.sqrt(tensor[..., :1] + tensor[..., 2:] + 1)  # strong edges must not swallow weak strands
    e, f, g = cv2.split(cv2.GaussianBlur(tensor, (0, 0), 3.0))
    angle = 0.5 * np.arctan2(2 * f, e - g) + np.pi / 2
    return np.stack([np.cos(angle), np.sin(angle)], axis=2).astype(np.float32)


def _smooth_along(plane: Plane, tangents: Plane, reach: int, sigma: float, stride: int = 2) -> Plane:
    """Integrate ``plane`` (H, W, C) along the flow with a Gaussian, ``reach`` px to either side."""
    x0, y0 = _grid(*plane.shape[:2])
    total, weights = plane.copy(), 1.0
    for side in (stride, -stride):
        x, y, step = x0, y0, side * tangents
        for distance in range(stride, reach + 1, stride):
            x, y = x + step[..., 0], y + step[..., 1]
            direction = stride * _sample(tangents, x, y, cv2.INTER_NEAREST)
            step = direction * np.sign((direction * step).sum(2, keepdims=True) + 1e-9)
            weight = float(np.exp(-0.5 * (distance / sigma) ** 2))
            total += weight * _sample(plane, x, y).reshape(plane.shape)
            weights += weight
    return _plane(total / weights)


def _flatten(lab: Plane, tangents: Plane, detail: Plane, faces: Sequence[Points], tone: float) -> Plane:
    """Flatten by bilateral passes and a line integral along the flow: tones on skin, little where ``detail`` is."""
    light = _bilateral(lab, 7, 8, 3)
    hard = light
    for _ in range(3):
        hard = _bilateral(hard, 11, 13, 6)
    smooth = _smooth_along(hard, tangents, 9, 5.0)
    skin = _skin(smooth, faces)
    strands = _smooth_along(_bilateral(lab, 5, 6, 2)[..., :1], tangents, 13, 7.0)[..., 0]
    difference = strands - _bilateral(
        strands, 11, 18, 5
    )  # difference from similar pixels around: no halo beside an edge
    strand_detail = 1.6 * (1 - skin) * np.sign(difference) * (np.abs(difference) - 1).clip(0, 9)
    calm = _plane(cv2.GaussianBlur(smooth[..., 0], (0, 0), 2.0))  # tones with smooth borders
    smooth[..., 0] += strand_detail + skin * (_tone_steps(calm, tone) - smooth[..., 0])
    even = _bilateral(smooth, 9, 9, 4)  # the colours within a tone
    return _plane(even + detail[..., None] * (light - even))


def _skin(lab: Plane, faces: Sequence[Points]) -> Plane:
    """Find the skin of the ``faces`` by its colour, in and around them (neck, ears and forehead too): (H, W) 0..1."""
    mask = np.zeros(lab.shape[:2], np.float32)
    for face in faces:
        inner = lab[_region(lab.shape[:2], [face], 0.0) > 0.9]
        middle = np.median(inner, axis=0) if len(inner) else np.zeros(3)
        difference = (lab - middle) / np.array([26, 12, 12], np.float32)
        alike = np.exp(-0.5 * np.maximum((difference**2).sum(axis=2) - 1, 0))
        mask = np.maximum(mask, _region(lab.shape[:2], [face], 0.4) * alike)
    return _plane(cv2.GaussianBlur(mask, (0, 0), 2.0))


def _tone_steps(light: Plane, tone: float, step: float = 15.0, down: float = 3.0, up: float = 8.0) -> Plane:
    """Turn lightness 0..100 into soft steps, the one of ``tone`` wider: a shadow and a small light on a face."""
    offset = light - tone
    position = _plane(np.sign(offset) * np.maximum(np.abs(offset) - np.where(offset < 0, down, up), 0) / step)
    middle = np.round(position)
    fraction = position - middle  # -0.5..0.5, the edge between two tones at the ends
    soft = np.sign(fraction) * (0.5 - np.tanh(8.0 * (0.5 - np.abs(fraction))) / np.tanh(4.0) / 2)
    return _plane(tone + (middle + soft) * step)


def _recolour(lab: Plane, tone: float, target: float) -> Plane:
    """Change lightness so that ``tone`` becomes ``target``; saturate pale colours more, strong ones hardly."""
    before, after = (np.clip(value, 4, 96) / 100 for value in (tone, target))
    gamma = np.clip(np.log(after) / np.log(before), 0.8, 1.4)
    light = 100 * (lab[..., :1].clip(0, 100) / 100) ** gamma
    colour = cv2.GaussianBlur(lab[..., 1:], (0, 0), 1.5)
    chroma = np.linalg.norm(colour, axis=2, keepdims=True)
    return np.concatenate([light, colour * (1 + 0.4 * np.exp(-chroma / 40))], axis=2).astype(np.float32)


def _lines(light: Plane, tangents: Plane, favour: Plane, original: Plane) -> Plane:
    """Draw ink (H, W) 0..1: flow-based DoG relative to local lightness, plus ``favour``.

    The noise is measured in ``original``, the lightness before it was stretched.
    """
    small = cv2.resize(original, None, fx=1 / SCALE, fy=1 / SCALE, interpolation=cv2.INTER_AREA)
    laplacians = cv2.filter2D(small, -1, np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32))
    noise = float(np.median(np.abs(laplacians))) / 0.6745 / 6
    x, y = _grid(*light.shape)
    fine, wide, sums = np.zeros_like(light), np.zeros_like(light), [0.0, 0.0]
    smooth = _bilateral(light, 7, 6 + 2 * noise, 2.5)
    for offset in range(-5, 6):
        sampled = _sample(smooth, x - offset * tangents[..., 1], y + offset * tangents[..., 0])
        for k, (total, sigma) in enumerate(((fine, 1.1), (wide, 2.4))):
            weight = float(np.exp(-0.5 * (offset / sigma) ** 2))
            total += weight * sampled
            sums[k] += weight
    fine, wide = fine / sums[0], wide / sums[1]
    above = _smooth_along(_plane(((wide - fine) / (wide + 10))[..., None]), tangents, 9, 4.5)[..., 0]
    above += favour - LINE - 0.25 * noise / (wide + 10)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats((above > -0.012).astype(np.uint8))
    strongest = np.full(count, -1.0, np.float32)
    piece = np.asarray(pieces, np.intp)
    np.maximum.at(strongest, piece.ravel(), above.ravel())
    lasts = (strongest > 0.012) & (stats[:, cv2.CC_STAT_AREA] > 40) & (np.arange(count) > 0)
    return _plane((1 + np.tanh(75 * above)) / 2 * cv2.GaussianBlur(lasts[piece].astype(np.float32), (0, 0), 0.8))
