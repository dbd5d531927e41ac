"""The regions that makeup is painted on, drawn from the points of a face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganchain.faces import mesh
from ganchain.framing import EYE_DISTANCE, TIGHT

FINE = 4  # bits of a pixel's fraction that polygons are drawn with
UNIT = 256 / TIGHT.side * EYE_DISTANCE  # px between the eyes on a tight face of 256 px, in which widths are given
FINEST = 256  # px: smaller pictures are drawn at this side at least, and averaged
SOFT = 256  # px: the side at which what has soft edges is drawn, and enlarged from there

Places = NDArray[np.float32]  # (478, 2) px
Plane = NDArray[np.float32]  # (S, S) 0..1


@dataclass(frozen=True)
class Shape:
    """Places at which a look is painted.

    Attributes:
        height: how far eye shadow reaches from the crease of the lid to the brow, 0..1.
        depth: how much darker it is at the lashes than at its rim, 0..1.
        under: how much of it is below the eye, 0..1.
        wing: how far the liner goes on beyond the eye's corner, 0..1.
        blush: where it is on the cheek.
    """

    height: float = 0.45
    depth: float = 0.0
    under: float = 0.0
    wing: float = 0.0
    blush: Literal["high", "middle", "low"] = "middle"


PLAIN = Shape()


def regions(points: Tensor, skin: Tensor, shape: Shape = PLAIN, strokes: bool = True) -> Tensor:
    """Draw the regions of ``ganchain.colour.makeup.REGIONS``.

    Args:
        points: (N, 478, 2) -1..1, as stages are given them.
        skin: (N, 1, S, S) 0..1, the matte of skin.
        shape: where lids, liner and cheeks are painted.
        strokes: draw cheeks, contour and highlight; without, they are 0.

    Returns:
        (N, 11, S, S) 0..1.
    """
    side = skin.shape[-1]
    places = ((points.float().cpu().numpy() + 1) * (side / 2) - 0.5).astype(np.float32)
    mattes = skin[:, 0].float().cpu().numpy()
    faces = [_face(face, matte, shape, strokes) for face, matte in zip(places, mattes, strict=True)]
    return torch.from_numpy(np.stack(faces)).to(skin.device)


def _face(points: Places, skin: Plane, shape: Shape, strokes: bool) -> Plane:
    """Draw the regions of one face: (11, S, S)."""
    unit = float(np.linalg.norm(points[mesh.LEFT_IRIS[0]] - points[mesh.RIGHT_IRIS[0]])) / UNIT
    size = len(skin)
    left = points[list(mesh.MIRROR)]  # the left side's points by the numbers of the right side's
    sides = (points, left)
    eyes = _painted([_smooth(side[list(mesh.RIGHT_CONTOUR)]) for side in sides], size)
    outer = _painted([_smooth(points[[*mesh.UPPER_LIP, *mesh.LOWER_LIP[-2:0:-1]]])], size)
    opening = _painted([_smooth(points[list(mesh.MOUTH_OPENING)])], size)
    brows = _painted([side[list(mesh.RIGHT_BROW)] for side in sides], size, unit)
    lips = _softened(outer * (1 - opening), outer, 0.7 * unit)
    soft, outline = _inside_lips(points, size, unit)
    uncovered = skin * (1 - eyes) * (1 - brows)
    lids = np.maximum(*(_shadow(side, size, unit, shape) for side in sides)) * uncovered
    liner = np.maximum(*(_liner(side, size, unit, shape.wing) for side in sides)) * (1 - eyes)
    inside, holes = _soft_face(points, size)
    own = skin * inside * (1 - holes)
    blush = {"high": mesh.CHEEK_TOP, "middle": mesh.CHEEKBONE, "low": mesh.CHEEK_LOW}[shape.blush]
    none = np.zeros((3, size, size), np.float32)
    cheeks, contour, highlight = _strokes(sides, size, blush) * own if strokes else none
    surface = inside * uncovered * (1 - _softened(outer, outer, unit))
    planes = (lips, lids, liner, brows, cheeks, own, soft * lips, outline * lips, contour, highlight, surface)
    return np.stack(planes).astype(np.float32)


def _shadow(points: Places, size: int, unit: float, shape: Shape) -> Plane:
    """Draw eye shadow on the right eye: full on the lid, fading from its crease towards the brow."""
    lash, crease, brow = (_smooth(points[list(ring)], closed=False) for ring in mesh.RIGHT_LID_RINGS)
    low, top = 0.45 * lash + 0.55 * crease, (1 - shape.height) * crease + shape.height * brow
    near, lid, above = (
        _painted([np.asarray(np.concatenate([lash, curve[::-1]]), np.float32)], size) for curve in (low, crease, top)
    )
    near = near if shape.depth else lid
    drawn = np.maximum.reduce([near, (1 - 0.35 * shape.depth) * lid, (0.55 - 0.15 * shape.depth) * above])
    if shape.under:
        low = _smooth(points[list(mesh.RIGHT_LOWER_LID)], closed=False)
        line = np.concatenate([low, low[::-1] + np.array((0, 5 * unit))]).astype(np.float32)
        drawn = np.maximum(drawn, shape.under * _painted([line], size))
    return _softened(drawn, drawn, (2.2 + 1.5 * shape.depth) * unit)


def _liner(points: Places, size: int, unit: float, wing: float) -> Plane:
    """Draw the lash line of the right eye: a stroke that grows towards the outer corner, and a wing beyond it."""
    line = _smooth(points[list(mesh.RIGHT_UPPER_LID)], closed=False)  # from the outer corner inwards
    across = np.gradient(line, axis=0)[:, ::-1] * (1, -1)
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-6
    if (across[:, 1] > 0).mean() > 0.5:  # upwards
        across = -across
    width = np.interp(np.linspace(0, 1, len(line)), (0, 0.25, 1), (2.6, 2.4, 0.8))[:, None] * unit
    strokes = [np.concatenate([line - 0.35 * width * across, (line + width * across)[::-1]])]
    if wing:
        corner, lower, tail = points[mesh.RIGHT_LOWER_LID[0]], points[mesh.RIGHT_LOWER_LID[2]], points[mesh.BROW_TAIL]
        way = np.asarray(_direction(corner - lower) + 0.8 * _direction(tail - corner), np.float32)
        tip = corner + _direction(way) * (4 + 14 * wing) * unit
        start = len(line) // 4
        below = line[:1] - 0.5 * width[:1] * across[:1]
        strokes.append(np.concatenate([(line + 1.3 * width * across)[start::-1], tip[None], below, line[: start // 2]]))
    return _painted([np.asarray(stroke, np.float32) for stroke in strokes], size, 0.6 * unit)


def _direction(vector: Places) -> Places:
    return np.asarray(vector / (np.linalg.norm(vector) + 1e-6), np.float32)


def _inside_lips(points: Places, size: int, unit: float) -> tuple[Plane, Plane]:
    """Draw how deep inside the lips a place is, and their outline: twice (S, S)."""
    rim = _smooth(points[[*mesh.UPPER_LIP, *mesh.LOWER_LIP[-2:0:-1]]])
    mouth = _smooth(points[list(mesh.MOUTH_OPENING)])
    middle = _painted([np.asarray(0.45 * rim + 0.55 * mouth, np.float32)], size)
    inner = _painted([np.asarray(0.85 * rim + 0.15 * mouth, np.float32)], size)
    whole = _painted([rim], size)
    return _softened(middle, whole, 2.5 * unit), 1 - _softened(inner, whole, 0.8 * unit)


def _soft_face(points: Places, size: int) -> tuple[Plane, Plane]:
    """Draw the face's oval, and its eyes, mouth and brows with what is close to them: twice (S, S), soft."""
    small, unit = min(size, SOFT), _unit(points) * min(size, SOFT) / size
    places = _reduced(points, size, small)
    inside = _blur(filled(places[list(mesh.OVAL)], small), 2 * unit)
    left = places[list(mesh.MIRROR)]
    eyes, brows = (
        np.maximum(*(filled(side[list(ring)], small) for side in (places, left)))
        for ring in (mesh.RIGHT_CONTOUR, mesh.RIGHT_BROW)
    )
    outer = filled(places[[*mesh.UPPER_LIP, *mesh.LOWER_LIP[-2:0:-1]]], small)
    holes = np.maximum.reduce([grown(eyes, 3 * unit), grown(outer, 2 * unit), grown(_blur(brows, unit), unit)])
    return _enlarged(inside, size), _enlarged(_blur(holes, unit), size)


def _strokes(sides: Sequence[Places], size: int, blush: tuple[int, int]) -> NDArray[np.float32]:
    """Draw what is soft on both cheeks and the nose: blush, contour, highlight, (3, S, S)."""
    small = min(size, SOFT)
    faces = [_reduced(side, size, small) for side in sides]
    unit = _unit(faces[0])
    planes = [np.zeros((small, small), np.float32) for _ in range(3)]
    for points in faces:
        for plane, ends, width, longer, sigma in (
            (0, blush, 26, 8, 8),
            (1, mesh.HOLLOW, 9, 6, 6),
            (2, mesh.CHEEK_LINE, 7, 3, 4),
        ):
            planes[plane] = np.maximum(planes[plane], _stroke(points[list(ends)], small, unit, width, longer, sigma))
    nose = _stroke(faces[0][list(mesh.NOSE_BRIDGE)], small, unit, 5, 1, 3)
    planes[2] = np.maximum(planes[2], nose)
    return np.stack([_enlarged(plane, size) for plane in planes])


def _stroke(ends: Places, size: int, unit: float, width: float, longer: float, sigma: float) -> Plane:
    """Draw a soft ellipse along a line; widths in units."""
    finer, axis = _finer(size), ends[1] - ends[0]
    drawn = np.zeros((size * finer, size * finer), np.uint8)
    length, turn = float(np.linalg.norm(axis)) / 2 + longer * unit, float(np.degrees(np.arctan2(axis[1], axis[0])))
    x, y = _reduced(ends.mean(axis=0), size, size * finer).tolist()
    ellipse = ((x, y), (2 * length * finer, width * unit * finer), turn)
    cv2.ellipse(drawn, ellipse, (255,), -1, cv2.LINE_AA)
    drawn = _averaged(drawn, size)
    return _softened(np.asarray(drawn / np.float32(255), np.float32), drawn, sigma * unit)


def _unit(points: Places) -> float:
    return float(np.linalg.norm(points[mesh.LEFT_IRIS[0]] - points[mesh.RIGHT_IRIS[0]])) / UNIT


def _finer(size: int) -> int:
    """Choose how many times finer than ``size`` px is drawn: OpenCV's smooth edges reach a whole px outwards."""
    return -(-FINEST // size)


def _averaged(drawn: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(drawn, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def _reduced(points: Places, size: int, small: int) -> Places:
    """Move points of a picture of ``size`` px to one of ``small`` px."""
    return np.asarray((points + 0.5) * (small / size) - 0.5, np.float32)


def _enlarged(plane: Plane, size: int) -> Plane:
    return plane if len(plane) == size else np.asarray(cv2.resize(plane, (size, size)), np.float32)


def _smooth(polygon: Places, closed: bool = True, steps: int = 6) -> Places:
    """Draw a curve through the corners of a polygon or a line (Catmull & Rom 1974): (K, 2) -> (steps * K, 2)."""
    ends = (
        (polygon[-1:], polygon[:2]) if closed else (2 * polygon[:1] - polygon[1:2], 2 * polygon[-1:] - polygon[-2:-1])
    )
    p = np.concatenate([ends[0], polygon, ends[1]])
    a, b, c, d = p[:-3, None], p[1:-2, None], p[2:-1, None], p[3:, None]
    t = np.linspace(0, 1, steps, endpoint=False, dtype=np.float32)[None, :, None]
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    flat = np.asarray(curve.reshape(-1, 2), np.float32)
    return flat if closed else np.concatenate([flat, polygon[-1:]])


def _painted(polygons: Sequence[Places], size: int, sigma: float = 0.0) -> Plane:
    """Fill polygons of px, soft by ``sigma`` px: (S, S) 0..1."""
    finer = _finer(size)
    drawn = np.zeros((size * finer, size * finer), np.uint8)
    for polygon in polygons:
        places = _reduced(polygon, size, size * finer)
        cv2.fillPoly(drawn, [np.round(places * 2**FINE).astype(np.int32)], (255,), cv2.LINE_AA, FINE)
    drawn = _averaged(drawn, size)
    plane = np.asarray(drawn / np.float32(255), np.float32)
    return _softened(plane, drawn, sigma) if sigma else plane


def _softened(plane: Plane, drawn: NDArray[np.uint8] | Plane, sigma: float) -> Plane:
    """Blur a plane where ``drawn`` holds anything, and near it."""
    x, y, width, height = cv2.boundingRect((drawn > 0).astype(np.uint8))
    soft = np.zeros_like(plane)
    if width:
        margin = int(np.ceil(4 * max(sigma, 0.3))) + 1
        box = np.s_[max(0, y - margin) : y + height + margin, max(0, x - margin) : x + width + margin]
        soft[box] = _blur(np.ascontiguousarray(plane[box]), sigma)
    return soft


def filled(polygon: Places, size: int) -> Plane:
    """Fill a polygon (K, 2) of px, anti-aliased: (size, size) 0..1."""
    return _painted([polygon], size)


def grown(plane: Plane, radius: float) -> Plane:
    """Enlarge what is drawn by ``radius`` px."""
    side = 2 * max(1, round(radius)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.dilate(plane, kernel), np.float32)


def _blur(plane: Plane, sigma: float) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), max(sigma, 0.3)), np.float32)
