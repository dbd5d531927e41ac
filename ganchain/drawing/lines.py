"""Long lines: where a picture is darker than beside them, followed along its flow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.drawing.paths import UNITS, Knots, Planes, spans


def flow(lightness: Planes, sigma: float) -> tuple[Planes, Planes]:
    """Compute the direction along which a picture changes least, over ``sigma`` px: (S, S) x and y of unit vectors."""
    soft = cv2.GaussianBlur(lightness, (0, 0), 1.0)
    gx, gy = cv2.Scharr(soft, cv2.CV_32F, 1, 0), cv2.Scharr(soft, cv2.CV_32F, 0, 1)
    xx, xy, yy = (_spread(np.asarray(plane, np.float32), sigma) for plane in (gx * gx, gx * gy, gy * gy))
    across, slanted = xx - yy, 2 * xy
    length = cv2.magnitude(across, slanted)
    cosine = np.divide(across, length, out=np.ones_like(across), where=length > 0)  # of twice the angle
    x = -np.copysign(cv2.sqrt((1 - cosine).clip(0, None) / 2), slanted)
    return x, np.asarray(cv2.sqrt((1 + cosine).clip(0, None) / 2), np.float32)


def _spread(plane: Planes, sigma: float) -> Planes:
    """Blur by ``sigma`` px; widely, on half of the side."""
    if sigma < 2 or plane.shape[0] % 2 or plane.shape[1] % 2:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)
    height, width = plane.shape
    small = cv2.resize(plane, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), float(np.sqrt(sigma**2 - 0.5)) / 2)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def valleys(
    lightness: Planes, along: tuple[Planes, Planes], fine: float, wide: float, where: NDArray[Any] | None = None
) -> Planes:
    """Compute how much darker each place is than what lies across the flow from it: (S, S), below 0 for ridges.

    Args:
        fine, wide: px over which a place and what lies across are averaged.
        where: (S, S), other than 0 where it is computed; elsewhere the answer is 0. Without it everywhere.
    """
    side = lightness.shape[0]
    at = np.arange(side * side) if where is None else np.flatnonzero(where)
    at = np.concatenate([at, np.zeros(-len(at) % side, at.dtype)]).reshape(-1, side)  # OpenCV wants short rows
    x, y = (at % side).astype(np.float32), (at // side).astype(np.float32)
    dx, dy = (np.ascontiguousarray(plane.ravel()[at]) for plane in along)
    reach = int(np.ceil(2 * wide))
    offsets = np.arange(-reach, reach + 1)
    near, far = np.exp(-0.5 * (offsets / fine) ** 2), np.exp(-0.5 * (offsets / wide) ** 2)
    dark = np.zeros_like(x)
    for offset, weight in zip(offsets.tolist(), (far / far.sum() - near / near.sum()).tolist(), strict=True):
        places = cv2.scaleAdd(dy, -offset, x), cv2.scaleAdd(dx, offset, y)
        value = cv2.remap(lightness, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        cv2.scaleAdd(value, weight, dark, dark)
    if where is None:
        return dark
    answer = np.zeros_like(lightness)
    answer.ravel()[at] = dark
    return answer


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
    ways, counts = _walk(strength, along, inside, starts[::-1].T.astype(np.float32), want)
    long = (1 + counts.sum(axis=0)) * want.step >= want.short
    found = []
    for k in np.flatnonzero(long):
        back, forth = (way[k, : count[k]] for way, count in zip(ways, counts, strict=True))
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
    strength: Planes, along: tuple[Planes, Planes], inside: Planes, starts: NDArray[np.float32], want: Lines
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Walk from each start along the flow, to either side.

    Returns:
        The places (2, N, steps, 2) px, and how many of each hold, (2, N).
    """
    side, number = strength.shape[0], 2 * len(starts)
    flow, weaker = np.stack([plane.ravel() for plane in along], axis=1), strength.ravel() <= want.least
    within = inside.ravel() > 0.5
    at: NDArray[np.float32] = np.concatenate([starts, starts])
    way = flow[_flat(at, side)]
    way[: len(starts)] *= -1
    places = np.zeros((number, want.steps, 2), np.float32)
    count, weak, going = np.zeros(number, np.int64), np.zeros(number, np.int64), np.arange(number)
    for k in range(want.steps):
        at = np.asarray(at + np.float32(want.step) * way, np.float32)
        here = _flat(at, side)
        turn = flow[here]
        cosine = turn[:, 0] * way[:, 0] + turn[:, 1] * way[:, 1]
        weak = (weak + 1) * weaker[here]
        x, y = at.T
        on = (
            (weak < 2)
            & within[here]
            & (np.abs(cosine) > 0.5)
            & (np.minimum(x, y) >= 1)
            & (np.maximum(x, y) <= side - 2)
        )
        going, at, weak = going[on], at[on], weak[on]
        if not len(going):
            break
        way = turn[on] * np.sign(cosine[on] + np.float32(1e-9))[:, None]
        places[going, k] = at
        count[going] += 1
    return places.reshape(2, -1, want.steps, 2), count.reshape(2, -1)


def _flat(places: NDArray[np.float32], side: int) -> NDArray[np.intp]:
    """Find the px that places (N, 2) are in, by their number in a flat plane."""
    near = np.clip(np.rint(places), 0, side - 1).astype(np.intp)
    return np.asarray(near[:, 1] * side + near[:, 0], np.intp)
