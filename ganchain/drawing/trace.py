"""Tracing: the borders of soft fields as smooth closed outlines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.drawing.paths import UNITS, Colour, Knots, Planes, Ring, Shape

STEP, COARSE = 0.5, 1.0  # units between the places at which a curve is smoothed; over ``WIDE`` units and more
WIDE = 1.5
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
        field: (H, W); its longer side is all of the window.
        level: between the field's values.
        smooth: units over which a border is smoothed.
        spacing: units between the knots.
        least: smaller areas, square units, are left out, as islands and as holes. Up to twice that they are drawn
            smaller than they are, so that none appears at once.
        holes: whether the borders of holes are traced, too.

    Returns:
        The knots of each curve, in units.
    """
    return traced(field, (level,), smooth=smooth, spacing=spacing, least=least, holes=holes)[0]


def soft_shapes(
    field: NDArray[np.floating[Any]],
    level: float,
    soft: float,
    colour: Colour,
    opacity: float,
    *,
    within: Sequence[Ring],
    smooth: float = 1.0,
    spacing: float = 2.5,
    least: float = 12.0,
) -> list[Shape]:
    """Trace an area with a soft border: three shapes within each other.

    Args:
        field: (S, S), above ``level`` inside.
        soft: half the width of the border, in the field's values.
        colour, opacity: of the area.
        within: outlines that it is cut off by.
        smooth, spacing, least: as for ``contours``.
    """
    share = 1 - (1 - opacity) ** (1 / 3)
    levels = (level - soft, level, level + soft)
    areas = traced(field, levels, smooth=smooth, spacing=spacing, least=least)
    rings = [[Ring((knots,)) for knots in curves] for curves in areas]
    return [Shape(rings[k], colour, share, within=within, holes=True, rim=k != 1) for k in range(3)]


def traced(
    field: NDArray[np.floating[Any]],
    levels: Sequence[float],
    *,
    smooth: float = 1.0,
    spacing: float = 2.5,
    least: float = 12.0,
    holes: bool = True,
) -> list[list[Knots]]:
    """Trace the borders of where a field lies above each of some levels: all at once, see ``contours``."""
    unit = UNITS / max(field.shape)
    bordered = cv2.copyMakeBorder(field, MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_REPLICATE)
    soft = np.asarray(bordered, np.float32)
    outlines, numbers = [], []
    for number, level in enumerate(levels):
        above = (soft > level).astype(np.uint8)
        above[0], above[-1], above[:, 0], above[:, -1] = 0, 0, 0, 0
        found, _ = cv2.findContours(above, cv2.RETR_CCOMP if holes else cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for outline in found:
            if len(outline) >= 8 and cv2.contourArea(outline) * unit * unit >= 0.6 * least:
                outlines.append(outline[:, 0])
                numbers.append(number)
    areas: list[list[Knots]] = [[] for _ in levels]
    if not outlines:
        return areas
    lengths = np.array([len(outline) for outline in outlines])
    at = np.repeat(np.array(levels, np.float32)[numbers], lengths)
    edges = _onto(soft, np.concatenate(outlines), at)
    for number, knots in zip(numbers, _even((edges - MARGIN + 0.5) * unit, lengths, smooth, spacing), strict=True):
        area = cv2.contourArea(knots.astype(np.float32))
        if area < least:
            continue
        if area < 2 * least:
            middle = knots.mean(axis=0)
            knots = middle + np.sqrt(area / least - 1) * (knots - middle)
        areas[number].append(knots)
    return areas


def _onto(field: Planes, places: NDArray[np.int32], levels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Move places (K, 2) px to where the field crosses their levels (K,), between the pixels: (2, K) x and y."""
    height, width = field.shape
    x, y = places.clip(1, (width - 2, height - 2)).T.astype(np.intp)
    flat, at = field.ravel(), y * width + x
    dx, dy = (flat[at + 1] - flat[at - 1]) / 2, (flat[at + width] - flat[at - width]) / 2
    share = (levels - flat[at]) / np.maximum(dx * dx + dy * dy, 1e-6)
    share = share * np.minimum(1, 1 / np.maximum(np.abs(share) * np.hypot(dx, dy), 1e-9))  # a px at most
    return np.asarray(places.T + np.stack([share * dx, share * dy]), np.float64)


def _even(lines: NDArray[np.float64], lengths: NDArray[np.integer[Any]], smooth: float, spacing: float) -> list[Knots]:
    """Smooth closed curves and place their knots evenly.

    Args:
        lines: (2, N) x and y, the curves one behind the other.
        lengths: points of each.
    """
    step = COARSE if smooth >= WIDE else STEP
    last = np.cumsum(lengths)
    ends = last + np.arange(len(last))  # in ``closed``
    order = np.arange(ends[-1] + 1) - np.repeat(np.arange(len(last)), lengths + 1)
    order[ends] = last - lengths  # each ends where it begins
    closed = lines[:, order]
    parts = np.hypot(*np.diff(closed))
    parts[ends[:-1]] = 1.0  # any gap between two curves
    way = np.concatenate([[0.0], np.cumsum(parts)])
    start = way[ends - lengths]
    whole = way[ends] - start
    counts = np.maximum(12, np.round(whole / step)).astype(np.intp)
    reach = int(np.ceil(4 * smooth / step))
    inner = _ranges(-reach, counts + 2 * reach) % np.repeat(counts, counts + 2 * reach)
    at = np.repeat(start, counts + 2 * reach) + inner * np.repeat(whole / counts, counts + 2 * reach)
    dense = np.stack([np.interp(at, way, row) for row in closed])
    if smooth / step > 0.3:
        weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / smooth) ** 2)
        dense = np.asarray(cv2.filter2D(dense, -1, (weights / weights.sum())[None]), np.float64)
    knots = np.maximum(8, np.round(whole / spacing)).astype(np.intp)
    first = np.cumsum(counts + 2 * reach) - counts - reach
    chosen = np.repeat(first, knots) + (_ranges(0, knots) * np.repeat(counts / knots, knots)).astype(np.intp)
    return np.split(np.ascontiguousarray(dense[:, chosen].T), np.cumsum(knots)[:-1])


def _ranges(first: int, counts: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """Count from ``first`` on, as far as each of ``counts``, one behind the other."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first


def sample(field: Planes, places: Knots) -> NDArray[np.float32]:
    """Read a field (S, S) or (S, S, C) at places (..., K, 2) in units, bilinearly: (..., K) or (..., K, C)."""
    at = (places * (field.shape[0] / UNITS) - 0.5).astype(np.float32).reshape(-1, *places.shape[-2:])
    x, y = np.ascontiguousarray(at[..., 0]), np.ascontiguousarray(at[..., 1])
    read = cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(read.reshape(*places.shape[:-1], *field.shape[2:]), np.float32)
