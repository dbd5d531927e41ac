"""The webtoon teacher: a photo drawn in flat tones and clean dark lines, at twice its side.

Video abstraction (Winnemöller, Olsen, Gooch 2006: bilateral flattening, soft luminance steps, difference-of-
Gaussians lines), with lines and colours smoothed along the edge tangent field (Kang, Lee, Chui 2007; the
field from the smoothed structure tensor as in Kyprianidis & Döllner 2008), so that hair becomes strands, not
speckle. Lines are thresholded relative to the local lightness: dark skin and dark photos keep theirs, and no
flat dark area turns black as it does in XDoG (Winnemöller, Kyprianidis, Olsen 2012).
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
ENLARGE = 0.18  # at the centre of the eye
REACH = 1.6  # radius of the enlargement in eye widths
LIFT = 4.0  # how much lighter skin becomes, in L* (0..100), the same for every skin colour


def webtoon(picture: Pixels, faces: Sequence[Points] = ()) -> Pixels:
    """Draw ``picture`` as a webtoon.

    Args:
        picture: (H, W, 3) uint8 RGB.
        faces: the 68 landmarks (68, 2), x and y in px, of each known face; only those get larger eyes.

    Returns:
        (2 H, 2 W, 3) uint8 RGB.
    """
    height, width = picture.shape[:2]
    large: Pixels = np.asarray(
        cv2.resize(picture, (width * SCALE, height * SCALE), interpolation=cv2.INTER_CUBIC), np.uint8
    )
    points = [(face + 0.5) * SCALE - 0.5 for face in faces]
    for face in points:
        large = _enlarge_eyes(large, face)
    given = _plane(cv2.cvtColor(large.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))
    lab = _exposed(given)
    eyes, brows, lips = (
        _region(lab.shape[:2], [face[part] for face in points for part in parts], 0.1)
        for parts in (EYES, BROWS, [LIPS])
    )
    detail = np.maximum(np.maximum(eyes, brows), lips)
    tangents = _tangents(lab)
    tone = _skin_tone(lab, points)
    flat = _flattened(_bright_eyes(lab, eyes), tangents, detail, tone)
    drawn = _coloured(flat, tone, _skin_tone(given, points) + LIFT)
    drawn = _inked(drawn, _lines(lab[..., 0], tangents, _plane(0.01 * eyes - 0.015 * lips)))
    rgb = cv2.cvtColor(drawn, cv2.COLOR_LAB2RGB)
    return (rgb * 255).round().clip(0, 255).astype(np.uint8)


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
    """A smooth radial warp around each eye."""
    x, y = _grid(*large.shape[:2])
    dx, dy = np.zeros_like(x), np.zeros_like(y)
    for eye in EYES:
        centre = face[eye].mean(axis=0)
        radius = REACH * float(np.ptp(face[eye][:, 0]))
        from_x, from_y = x - np.float32(centre[0]), y - np.float32(centre[1])
        inside = np.clip(1 - (from_x**2 + from_y**2) / radius**2, 0, 1) ** 2
        dx -= ENLARGE * inside * from_x
        dy -= ENLARGE * inside * from_y
    warped = cv2.remap(large, x + dx, y + dy, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(warped, np.uint8)


def _exposed(lab: Plane) -> Plane:
    """Stretch the lightness (gain 1..1.3: more would change the colour of skin), then lift local contrast."""
    low, high = np.percentile(lab[..., 0], (0.5, 99.5))
    gain = float(np.clip(92 / max(high - low, 1.0), 1.0, 1.3))
    light = (lab[..., 0] - low) * gain + min(low, 4.0)
    levels = (light * 2.55).round().clip(0, 255).astype(np.uint8)
    local = cv2.createCLAHE(clipLimit=1.6, tileGridSize=(4, 4)).apply(levels).astype(np.float32) / 2.55
    return np.dstack([(0.7 * light + 0.3 * local).clip(0, 100), lab[..., 1:]]).astype(np.float32)


def _region(shape: tuple[int, ...], parts: Sequence[Points], margin: float) -> Plane:
    """(H, W) 0..1: the hulls of ``parts``, grown by ``margin`` of their width and softened."""
    mask = np.zeros(shape, np.float32)
    for part in parts:
        width = float(np.ptp(part[:, 0]))
        one = np.zeros(shape, np.float32)
        cv2.fillConvexPoly(one, cv2.convexHull(part.astype(np.float32)).round().astype(np.int32), 1.0)
        size = int(margin * width) * 2 + 1
        grown = cv2.dilate(one, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
        mask = np.maximum(mask, cv2.GaussianBlur(grown, (0, 0), max(0.5 * margin * width, 1.0)))
    return mask


def _skin_tone(lab: Plane, faces: Sequence[Points]) -> float:
    """The median lightness of the largest face; it shall be one flat tone. Without a face, middle grey."""
    if not faces:
        return 50.0
    face = max(faces, key=lambda points: float(np.ptp(points[:, 0])))
    inside = np.zeros(lab.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(face.astype(np.float32)).round().astype(np.int32), 1)
    return float(np.median(lab[inside > 0][:, 0])) if inside.any() else 50.0


def _bright_eyes(lab: Plane, eyes: Plane) -> Plane:
    """More contrast in the eyes, and whiter whites."""
    light = lab[..., 0]
    contrast = light + eyes * 0.9 * (light - cv2.GaussianBlur(light, (0, 0), 6.0))
    whites = eyes * ((light - 45) / 25).clip(0, 1)
    light = contrast + 8 * whites
    return np.dstack([light.clip(0, 100), lab[..., 1:] * (1 - 0.5 * whites[..., None])]).astype(np.float32)


def _tangents(lab: Plane) -> Plane:
    """(H, W, 2): the unit vector along the edges, the minor axis of the smoothed structure tensor."""
    smooth = cv2.GaussianBlur(lab, (0, 0), 1.2)
    gx, gy = cv2.Scharr(smooth, cv2.CV_32F, 1, 0), cv2.Scharr(smooth, cv2.CV_32F, 0, 1)
    tensor = np.stack([(gx * gx).sum(2), (gx * gy).sum(2), (gy * gy).sum(2)], axis=2)
    tensor /= np.sqrt(tensor[..., :1] + tensor[..., 2:] + 1)  # strong edges must not swallow weak strands
    e, f, g = cv2.split(cv2.GaussianBlur(tensor, (0, 0), 3.0))
    angle = 0.5 * np.arctan2(2 * f, e - g) + np.pi / 2
    return np.stack([np.cos(angle), np.sin(angle)], axis=2).astype(np.float32)


def _along(plane: Plane, tangents: Plane, steps: int, sigma: float) -> Plane:
    """Gaussian line integral of ``plane`` (H, W, C) along the flow, ``steps`` px to either side."""
    x0, y0 = _grid(*plane.shape[:2])
    total, weights = plane.copy(), 1.0
    for side in (1, -1):
        x, y, step = x0, y0, side * tangents
        for distance in range(1, steps + 1):
            x, y = x + step[..., 0], y + step[..., 1]
            here = _sample(tangents, x, y, cv2.INTER_NEAREST)
            turned = np.sign((here * step).sum(2, keepdims=True) + 1e-9)
            step = here * turned
            weight = float(np.exp(-0.5 * (distance / sigma) ** 2))
            sampled = _sample(plane, x, y)
            total += weight * sampled.reshape(plane.shape)
            weights += weight
    return _plane(total / weights)


def _flattened(lab: Plane, tangents: Plane, detail: Plane, tone: float) -> Plane:
    """Bilateral passes and a line integral along the flow; lightly where there is ``detail``."""
    light = _bilateral(lab, 7, 8, 3)
    hard = light
    for _ in range(3):
        hard = _bilateral(hard, 11, 12, 6)
    stepped = _along(hard, tangents, 6, 4.0)
    stepped[..., 0] = _steps(stepped[..., 0], tone)
    even = _bilateral(stepped, 9, 9, 4)  # the colours within a tone
    keep = detail[..., None]
    return _plane(keep * light + (1 - keep) * even)


def _steps(light: Plane, tone: float, step: float = 16.0, widen: float = 4.0, sharpness: float = 8.0) -> Plane:
    """Lightness 0..100 in soft steps, the one of ``tone`` wider: two or three tones on a face."""
    away = light - tone
    position = np.sign(away) * np.maximum(np.abs(away) - widen, 0) / step
    middle = np.round(position)
    within = position - middle  # -0.5..0.5, the edge between two tones at the ends
    soft = np.sign(within) * (0.5 - np.tanh(sharpness * (0.5 - np.abs(within))) / np.tanh(sharpness / 2) / 2)
    return _plane(tone + (middle + soft) * step)


def _coloured(lab: Plane, tone: float, wanted: float) -> Plane:
    """Lightness ``tone`` becomes ``wanted``; pale colours more saturated, strong ones hardly."""
    before, after = (np.clip(value, 4, 96) / 100 for value in (tone, wanted))
    gamma = np.clip(np.log(after) / np.log(before), 0.8, 1.4)
    light = 100 * (lab[..., :1].clip(0, 100) / 100) ** gamma
    colour = cv2.GaussianBlur(lab[..., 1:], (0, 0), 1.5)
    chroma = np.linalg.norm(colour, axis=2, keepdims=True)
    return np.concatenate([light, colour * (1 + 0.35 * np.exp(-chroma / 35))], axis=2).astype(np.float32)


def _lines(light: Plane, tangents: Plane, favour: Plane) -> Plane:
    """(H, W) 0..1 ink: flow-based difference of Gaussians, relative to local lightness, plus ``favour``."""
    x, y = _grid(*light.shape)
    fine, wide, sums = np.zeros_like(light), np.zeros_like(light), [0.0, 0.0]
    smooth = _bilateral(light, 7, 6, 2.5)
    for offset in range(-5, 6):
        sampled = _sample(smooth, x - offset * tangents[..., 1], y + offset * tangents[..., 0])
        for k, (total, sigma) in enumerate(((fine, 1.1), (wide, 2.4))):
            weight = float(np.exp(-0.5 * (offset / sigma) ** 2))
            total += weight * sampled
            sums[k] += weight
    response = (wide / sums[1] - fine / sums[0]) / (wide / sums[1] + 10)
    response = _along(_plane(response[..., None]), tangents, 9, 4.5)[..., 0]
    return _plane((1 + np.tanh(75 * (response - 0.035 + favour))) / 2)


def _inked(lab: Plane, ink: Plane) -> Plane:
    """Lines darken what is there, keeping its hue: a dark brown line on skin, not a black one."""
    drawn = lab.copy()
    drawn[..., 0] *= 1 - 0.72 * ink
    drawn[..., 1:] *= 1 - 0.25 * ink[..., None]
    return drawn
