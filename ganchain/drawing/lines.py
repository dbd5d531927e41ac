"""Long lines: where a picture is darker than beside them, followed along its flow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.drawing.paths import UNITS, Knots, Planes, spans

RIM = 2  # px along the rim of a picture, where no line is: no step leads out of it


def flow(lightness: Planes, sigma: float) -> tuple[Planes, Planes]:
    """Compute the direction along which a picture changes least, over ``sigma`` px: (S, S) x and y of unit vectors."""
    soft = cv2.GaussianBlur(lightness, (0, 0), 1.0)
    gx, gy = cv2.Scharr(soft, cv2.CV_32F, 1, 0), cv2.Scharr(soft, cv2.CV_32F, 0, 1)
    across, slanted = (_spread(np.asarray(plane, np.float32), sigma) for plane in (gx * gx - gy * gy, 2 * gx * gy))
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
    if not at.size:
        return np.zeros_like(lightness)
    at = np.concatenate([at, np.zeros(-len(at) % side, at.dtype)]).reshape(-1, side)  # OpenCV wants short rows
    y, x = (place.astype(np.float32) for place in np.divmod(at.astype(np.int32), np.int32(side)))
    dx, dy = (plane.ravel()[at] for plane in along)
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
    side, strong = strength.shape[0], strength.ravel()
    within = np.zeros((side, side), bool)
    within[RIM:-RIM, RIM:-RIM] = inside[RIM:-RIM, RIM:-RIM] > 0.5
    starts = np.flatnonzero((strength > want.least) & within)
    if not starts.size:
        return []
    crest = cv2.dilate(strength, np.ones((want.every, want.every), np.uint8)).ravel()
    starts = starts[strong[starts] >= crest[starts] - 1e-6]
    places, counts = _walk(strong <= want.least, along, within, starts, want)
    long = np.flatnonzero((1 + counts.sum(axis=0)) * want.step >= want.short)
    middle = np.stack([starts[long] % side, starts[long] // side], axis=1).astype(np.float32)
    ways = places[:, :, long]
    rows = np.concatenate([ways[::-1, 0], middle[None], ways[:, 1]]).swapaxes(0, 1)
    first, last = want.steps - counts[0, long], want.steps + 1 + counts[1, long]
    at, number = _flat(rows[..., 0], rows[..., 1], side), np.arange(rows.shape[1])
    weights = (strong[at].clip(0) * ((number >= first[:, None]) & (number < last[:, None]))).sum(axis=1)
    taken, kept = np.zeros((side, side), np.uint8), []
    for k in np.argsort(-weights, kind="stable"):
        free = taken.ravel()[at[k, first[k] : last[k]]] == 0
        if np.count_nonzero(free) * want.step < want.short:
            continue
        start, end = max(spans(free), key=lambda span: span[1] - span[0])
        line = rows[k, first[k] + start : first[k] + end]
        if len(line) * want.step < want.short:
            continue
        cv2.polylines(taken, [np.round(line).astype(np.int32)], False, (1,), max(1, round(2 * want.apart)))
        kept.append((line.astype(np.float64) + 0.5) * (UNITS / side))
        if len(kept) == want.most:
            break
    return kept


def _walk(
    weaker: NDArray[np.bool_],
    along: tuple[Planes, Planes],
    within: NDArray[np.bool_],
    starts: NDArray[np.intp],
    want: Lines,
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Walk from each start along the flow, to either side.

    Args:
        weaker, within: (S, S), where a line is too weak, and where it may be: nowhere near the rim.
        starts: (N,) numbers of px in a flat plane.

    Returns:
        The places (steps, 2, N, 2) px, and how many of each hold, (2, N).
    """
    side, number = within.shape[0], 2 * len(starts)
    dx, dy = (plane.ravel() for plane in along)
    weaker, within = weaker.ravel(), within.ravel()
    here = np.concatenate([starts, starts])
    x, y = (here % side).astype(np.float32), (here // side).astype(np.float32)
    step = np.full(number, want.step, np.float32)
    step[: len(starts)] *= -1
    way_x, way_y = step * dx[here], step * dy[here]
    places = np.zeros((want.steps, number, 2), np.float32)
    count, weak, going = np.zeros(number, np.intp), np.zeros(number, np.intp), np.arange(number)
    for k in range(want.steps):
        x, y = x + way_x, y + way_y
        here = _flat(x, y, side)
        turn_x, turn_y = dx[here], dy[here]
        cosine = turn_x * way_x + turn_y * way_y
        weak = (weak + 1) * weaker[here]
        on = within[here] & (weak < 2) & (np.abs(cosine) > 0.5 * want.step)
        if not on.all():
            going, weak = going[on], weak[on]
            if not len(going):
                break
            x, y, turn_x, turn_y, cosine = (values[on] for values in (x, y, turn_x, turn_y, cosine))
        step = np.copysign(np.float32(want.step), cosine)
        way_x, way_y = step * turn_x, step * turn_y
        places[k, going, 0], places[k, going, 1] = x, y
        count[going] += 1
    return places.reshape(want.steps, 2, -1, 2), count.reshape(2, -1)


def _flat(x: NDArray[np.float32], y: NDArray[np.float32], side: int) -> NDArray[np.intp]:
    """Find the px that places not beyond the rim are in, by their number in a flat plane."""
    half = np.float32(0.5)
    return np.asarray((y + half).astype(np.intp) * side + (x + half).astype(np.intp), np.intp)
