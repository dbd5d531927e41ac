"""The regions that makeup is painted on, drawn from the points of a face."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganchain.faces import mesh
from ganchain.framing import EYE_DISTANCE, TIGHT

FINE = 4  # bits of a pixel's fraction that polygons are drawn with
UNIT = 256 / TIGHT.side * EYE_DISTANCE  # px between the eyes on a tight face of 256 px, in which widths are given

Places = NDArray[np.float32]  # (478, 2) px
Plane = NDArray[np.float32]  # (S, S) 0..1


def regions(points: Tensor, skin: Tensor) -> Tensor:
    """Draw the regions of ``ganchain.colour.makeup.REGIONS``.

    Args:
        points: (N, 478, 2) -1..1, as stages are given them.
        skin: (N, 1, S, S) 0..1, the matte of skin.

    Returns:
        (N, 6, S, S) 0..1: lips, lids, liner, brows, cheeks, skin.
    """
    side = skin.shape[-1]
    places = ((points.float().cpu().numpy() + 1) * (side / 2) - 0.5).astype(np.float32)
    faces = [_face(face, matte[0]) for face, matte in zip(places, skin.float().cpu().numpy(), strict=True)]
    return torch.from_numpy(np.stack(faces)).to(skin.device)


def _face(points: Places, skin: Plane) -> NDArray[np.float32]:
    """Draw the regions of one face: (6, S, S)."""
    unit = float(np.linalg.norm(points[mesh.LEFT_IRIS[0]] - points[mesh.RIGHT_IRIS[0]])) / UNIT
    size = len(skin)
    eyes = np.maximum(*(_filled(_smooth(points[list(eye)]), size) for eye in (_RIGHT_EYE, _LEFT_EYE)))
    outer = _filled(_smooth(points[[*mesh.UPPER_LIP, *mesh.LOWER_LIP[-2:0:-1]]]), size)
    inner = _filled(_smooth(points[[*mesh.INNER_UPPER_LIP, *mesh.INNER_LOWER_LIP[-2:0:-1]]]), size)
    lips = _blur(outer * (1 - inner), 0.7 * unit)
    brows = _blur(np.maximum(*(_filled(points[list(brow)], size) for brow in (mesh.RIGHT_BROW, mesh.LEFT_BROW))), unit)
    lids = np.maximum(*(_lid(points, rings, size, unit) for rings in (mesh.RIGHT_LID_RINGS, mesh.LEFT_LID_RINGS)))
    lids = lids * (1 - eyes) * (1 - brows) * skin
    liner = np.maximum(*(_liner(points[list(lid)], size, unit) for lid in (mesh.RIGHT_UPPER_LID, mesh.LEFT_UPPER_LID)))
    inside = _blur(_filled(points[list(mesh.OVAL)], size), 2 * unit)
    holes = np.maximum.reduce([_grown(eyes, 3 * unit), _grown(outer, 2 * unit), _grown(brows, unit)])
    own = skin * inside * (1 - _blur(holes, unit))
    cheeks = np.maximum(*(_cheek(points, cheek, size, unit) for cheek in (mesh.RIGHT_CHEEK, mesh.LEFT_CHEEK))) * own
    return np.stack([lips, lids, liner, brows, cheeks, own]).astype(np.float32)


_RIGHT_EYE = (*mesh.RIGHT_UPPER_LID, *mesh.RIGHT_LOWER_LID[-2:0:-1])
_LEFT_EYE = (*mesh.LEFT_UPPER_LID, *mesh.LEFT_LOWER_LID[-2:0:-1])


def _lid(points: Places, rings: Sequence[Sequence[int]], size: int, unit: float) -> Plane:
    """Draw eye shadow: full on the lid, fading from its crease towards the brow."""
    lash, crease, brow = (_smooth(points[list(ring)], closed=False) for ring in rings)
    lid = _filled(np.concatenate([lash, crease[::-1]]), size)
    middle = np.asarray(0.55 * crease + 0.45 * brow, np.float32)
    above = _filled(np.concatenate([lash, middle[::-1]]), size)
    return _blur(np.maximum(lid, 0.55 * above), 2.2 * unit)


def _liner(lid: Places, size: int, unit: float) -> Plane:
    """Draw the lash line: a stroke that grows towards the outer corner."""
    line = _smooth(lid, closed=False)  # from the outer corner inwards
    across = np.gradient(line, axis=0)[:, ::-1] * (1, -1)
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-6
    if (across[:, 1] > 0).mean() > 0.5:  # upwards
        across = -across
    width = np.interp(np.linspace(0, 1, len(line)), (0, 0.25, 1), (2.6, 2.4, 0.8))[:, None] * unit
    return _blur(
        _filled(np.concatenate([line - 0.35 * width * across, (line + width * across)[::-1]]), size), 0.6 * unit
    )


def _cheek(points: Places, cheek: Sequence[int], size: int, unit: float) -> Plane:
    """Draw blush: a soft spot along the cheekbone."""
    ends = points[list(cheek)]
    axis = ends[1] - ends[0]
    drawn = np.zeros((size, size), np.uint8)
    length, turn = float(np.linalg.norm(axis)) / 2 + 8 * unit, float(np.degrees(np.arctan2(axis[1], axis[0])))
    centre = ends.mean(axis=0)
    box = ((float(centre[0]), float(centre[1])), (2 * length, 26 * unit), turn)
    cv2.ellipse(drawn, box, (255,), -1, cv2.LINE_AA)
    return _blur(np.asarray(drawn / np.float32(255), np.float32), 8 * unit)


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


def _filled(polygon: Places, size: int) -> Plane:
    """Fill a polygon of px: (S, S) 0..1, anti-aliased."""
    drawn = np.zeros((size, size), np.uint8)
    cv2.fillPoly(drawn, [np.round(polygon * 2**FINE).astype(np.int32)], (255,), cv2.LINE_AA, FINE)
    return np.asarray(drawn / np.float32(255), np.float32)


def _grown(plane: Plane, radius: float) -> Plane:
    """Enlarge what is drawn by ``radius`` px."""
    side = 2 * max(1, round(radius)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.dilate(plane, kernel), np.float32)


def _blur(plane: Plane, sigma: float) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), max(sigma, 0.3)), np.float32)
