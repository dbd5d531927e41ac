"""Tracing: the borders of soft fields as smooth closed outlines, and long lines along the flow of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.drawing.paths import UNITS, Colour, Knots, Planes, Ring, Shape, spans

MARGIN = 4  # px by which a field is continued beyond the window's edge


def contours(
    field: NDArray[np.floating[Any]],
    level: float,
    *,
    smooth: float = 1.0,
    spacing: float = 2.5,
    least: float = 12.0,
    holes: bool = True,
) -> list[Knots]:
    """Trace the borders of where a field lies above ``level``, as smooth closed curves.

    Args:
        field: (S, S), all of the window.
        level: between the field's values.
        smooth: units over which a border is smoothed.
        spacing: units between the knots.
        least: smaller areas, square units, are left out, as islands and as holes. Up to twice that they are drawn
            smaller than they are, so that none appears at once.
        holes: whether the borders of holes are traced, too.

    Returns:
        The knots of each curve, in units.
    """
    side = field.shape[0]
    soft = cv2.copyMakeBorder(field, MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_REPLICATE).astype(np.float32)
    above = (soft > level).astype(np.uint8)
    above[0], above[-1], above[:, 0], above[:, -1] = 0, 0, 0, 0
    found, _ = cv2.findContours(above, cv2.RETR_CCOMP if holes else cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    unit = UNITS / side
    curves = []
    for outline in found:
        if len(outline) < 8 or cv2.contourArea(outline) * unit * unit < 0.6 * least:
            continue
        edge = _onto(soft, outline[:, 0].astype(np.float64), level)
        knots = _even((edge - MARGIN + 0.5) * unit, smooth, spacing)
        area = cv2.contourArea(knots.astype(np.float32))
        if area < least:
            continue
        if area < 2 * least:
            middle = knots.mean(axis=0)
            knots = middle + np.sqrt(area / least - 1) * (knots - middle)
        curves.append(knots)
    return curves


def soft_shapes(
    field: NDArray[np.floating[Any]],
    level: float,
    soft: float,
    colour: Colour,
    opacity: float,
    *,
    within: Sequence[Ring],
    **settings: float,
) -> list[Shape]:
    """Trace an area with a soft border: three shapes within each other.

    Args:
        field: (S, S), above ``level`` inside.
        soft: half the width of the border, in the field's values.
        colour, opacity: of the area.
        within: outlines that it is cut off by.
        settings: of ``contours``.
    """
    share = 1 - (1 - opacity) ** (1 / 3)
    shapes = []
    for step in (-1, 0, 1):
        rings = [Ring((knots,)) for knots in contours(field, level + step * soft, **settings)]  # type: ignore[arg-type]
        shapes.append(Shape(rings, colour, share, within=within, holes=True, rim=step != 0))
    return shapes


def _onto(field: Planes, places: Knots, level: float) -> Knots:
    """Move places (K, 2) px to where the field crosses ``level``: to the border itself, between the pixels."""
    inner = places.astype(int).clip(1, field.shape[0] - 2)
    x, y = inner[:, 0], inner[:, 1]
    dx, dy = (field[y, x + 1] - field[y, x - 1]) / 2, (field[y + 1, x] - field[y - 1, x]) / 2
    steep = dx * dx + dy * dy
    step = ((level - field[y, x]) / np.maximum(steep, 1e-6))[:, None] * np.stack([dx, dy], axis=1)
    length = np.linalg.norm(step, axis=1, keepdims=True)
    return places + step * np.minimum(1, 1.0 / np.maximum(length, 1e-9))


def _even(line: Knots, smooth: float, spacing: float) -> Knots:
    """Smooth a closed curve and place its knots evenly."""
    closed = np.concatenate([line, line[:1]])
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    step = 0.5
    count = max(12, round(way[-1] / step))
    at = np.linspace(0, way[-1], count, endpoint=False)
    dense = np.stack([np.interp(at, way, closed[:, 0]), np.interp(at, way, closed[:, 1])], axis=1)
    sigma = smooth * count / max(way[-1], 1e-6)
    if sigma > 0.3:
        turns = np.fft.rfftfreq(count)[:, None]
        damped = np.fft.rfft(dense, axis=0) * np.exp(-2 * (np.pi * sigma * turns) ** 2)
        dense = np.fft.irfft(damped, count, axis=0)
    knots = max(8, round(way[-1] / spacing))
    return dense[np.linspace(0, count, knots, endpoint=False).astype(int)]


def sample(field: Planes, places: Knots) -> NDArray[np.float32]:
    """Read a field (S, S) or (S, S, C) at places in units, bilinearly: (K,) or (K, C)."""
    side = field.shape[0]
    at = (places * (side / UNITS) - 0.5).astype(np.float32)
    read = cv2.remap(
        field,
        np.ascontiguousarray(at[None, :, 0]),
        np.ascontiguousarray(at[None, :, 1]),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(read[0], np.float32)


def flow(lightness: Planes, sigma: float) -> tuple[Planes, Planes]:
    """Compute the direction along which a picture changes least, over ``sigma`` px: (S, S) x and y of unit vectors."""
    soft = cv2.GaussianBlur(lightness, (0, 0), 1.0)
    gx, gy = cv2.Scharr(soft, cv2.CV_32F, 1, 0), cv2.Scharr(soft, cv2.CV_32F, 0, 1)
    xx, xy, yy = (cv2.GaussianBlur(plane, (0, 0), sigma) for plane in (gx * gx, gx * gy, gy * gy))
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def valleys(lightness: Planes, along: tuple[Planes, Planes], fine: float, wide: float) -> Planes:
    """Compute how much darker each place is than what lies across the flow from it: (S, S), below 0 for ridges."""
    side = lightness.shape[0]
    y, x = np.mgrid[:side, :side].astype(np.float32)
    reach = int(np.ceil(2 * wide))
    near, far, near_sum, far_sum = np.zeros_like(lightness), np.zeros_like(lightness), 0.0, 0.0
    for offset in range(-reach, reach + 1):
        value = cv2.remap(
            lightness, x - offset * along[1], y + offset * along[0], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        a, b = float(np.exp(-0.5 * (offset / fine) ** 2)), float(np.exp(-0.5 * (offset / wide) ** 2))
        near, far, near_sum, far_sum = near + a * value, far + b * value, near_sum + a, far_sum + b
    return np.asarray(far / far_sum - near / near_sum, np.float32)


@dataclass(frozen=True)
class Lines:
    """Settings of the search for long lines.

    Attributes:
        every: px of the squares in which a line starts at the strongest place.
        step, steps: px of one step along the flow, and how many to either side.
        least: strength below which a line ends.
        short: px below which a line is left out.
        apart: px between lines.
        most: number of lines at most.
    """

    every: int = 5
    step: float = 2.0
    steps: int = 30
    least: float = 0.5
    short: float = 24.0
    apart: float = 2.0
    most: int = 120


def lines(strength: Planes, along: tuple[Planes, Planes], inside: Planes, want: Lines) -> list[Knots]:
    """Follow the flow where ``strength`` is above ``want.least`` and ``inside`` above one half; the strongest first.

    Returns:
        Lines that keep apart, each (K, 2) in units, a knot every step.
    """
    side = strength.shape[0]
    crest = strength >= cv2.dilate(strength, np.ones((want.every, want.every), np.uint8)) - 1e-6
    starts = np.stack(np.nonzero(crest & (strength > want.least) & (inside > 0.5)))
    if not starts.size:
        return []
    both = [_walk(strength, along, inside, starts[::-1].T.astype(np.float32), sign, want) for sign in (-1, 1)]
    long = (1 + both[0][1] + both[1][1]) * want.step >= want.short
    found = []
    for k in np.flatnonzero(long):
        back, forth = (way[k, : count[k]] for way, count in both)
        line = np.concatenate([back[::-1], starts[::-1, k][None].astype(np.float32), forth])
        found.append(line)
    places = [_index(line, side) for line in found]
    weights = [float(np.maximum(strength[at], 0).sum()) for at in places]
    taken, kept = np.zeros((side, side), np.uint8), []
    for k in np.argsort(-np.array(weights), kind="stable"):
        free = taken[places[k]] == 0
        if np.count_nonzero(free) * want.step < want.short:
            continue
        first, last = max(spans(free), key=lambda span: span[1] - span[0])
        line = found[k][first:last]
        if len(line) * want.step < want.short:
            continue
        cv2.polylines(taken, [np.round(line).astype(np.int32)], False, (1,), max(1, round(2 * want.apart)))
        kept.append((line.astype(np.float64) + 0.5) * (UNITS / side))
        if len(kept) == want.most:
            break
    return kept


def _index(line: NDArray[np.float32], side: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    at = np.minimum(np.maximum(np.round(line).astype(np.int64), 0), side - 1)
    return at[:, 1], at[:, 0]


def _walk(
    strength: Planes,
    along: tuple[Planes, Planes],
    inside: Planes,
    starts: NDArray[np.float32],
    sign: int,
    want: Lines,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Walk from each start along the flow: the places (N, steps, 2) px, and how many of each hold."""
    side = strength.shape[0]
    at, rows = starts.copy(), _index(starts, side)
    way = sign * np.stack([along[0][rows], along[1][rows]], axis=1)
    places = np.zeros((len(starts), want.steps, 2), np.float32)
    going, count = np.ones(len(starts), bool), np.zeros(len(starts), np.int64)
    weak = np.zeros(len(starts), np.int64)
    for k in range(want.steps):
        at = np.asarray(at + want.step * way, np.float32)
        rows = _index(at, side)
        turn = np.stack([along[0][rows], along[1][rows]], axis=1)
        cosine = (turn * way).sum(axis=1)
        way = turn * np.sign(cosine + 1e-9)[:, None]
        weak = np.where(strength[rows] > want.least, 0, weak + 1)
        edge = (at < 1).any(axis=1) | (at > side - 2).any(axis=1)
        going &= (weak < 2) & (inside[rows] > 0.5) & (np.abs(cosine) > 0.5) & ~edge
        places[:, k] = at
        count += going
        if not going.any():
            break
    return places, count
