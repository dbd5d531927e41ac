"""Paths and layers of a drawing: smooth outlines filled with colours, in units that hold for every size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganchain.tensors import Pixels

HATCH = 0.3  # width of hatched lines, of the way between them
UNITS = 256.0  # the side of a window: all places are given in 256ths of it, 0 at its left and upper edge

RIGHT = np.array([-1.0, 1.0])  # turns a way to its right, with its sides exchanged

Knots = NDArray[np.float64]  # (K, 2) x, y
Planes = NDArray[np.float32]
Matrix = NDArray[np.float64]  # (2, 3)
Colour = tuple[float, float, float]  # red, green, blue, 0..1


@dataclass(frozen=True, eq=False)
class Ring:
    """Closed outline.

    Attributes:
        runs: curves one after the other; each is smooth, where two meet there is a corner. A single run is smooth
            where it closes, too.
    """

    runs: tuple[Knots, ...]

    @property
    def reach(self) -> float:
        """Length of the diagonal of the box around it."""
        ends = np.array([end for run in self.runs for end in (run.min(axis=0), run.max(axis=0))])
        return float(np.hypot(*np.ptp(ends, axis=0)))

    @cached_property
    def beziers(self) -> list[Knots]:
        """Cubic Bézier curves of each run (Catmull & Rom 1974): (K, 4, 2) start, two handles, end."""
        if len(self.runs) == 1:
            knots = self.runs[0]
            return [_beziers(np.concatenate([knots[-1:], knots, knots[:2]]))]
        return [_beziers(np.concatenate([run[:1], run, run[-1:]])) for run in self.runs]


def _beziers(knots: Knots) -> Knots:
    before, start, end, after = knots[:-3], knots[1:-2], knots[2:-1], knots[3:]
    curves = np.empty((len(start), 4, 2))
    curves[:, 0], curves[:, 3] = start, end
    curves[:, 1], curves[:, 2] = _handles(before, start, end, after)
    return curves


def _handles(before: Knots, start: Knots, end: Knots, after: Knots) -> tuple[Knots, Knots]:
    """Compute the handles of curves, by the knots before and behind them."""
    return start + (end - before) / 6, end - (after - start) / 6


def joined(rings: Sequence[Ring]) -> tuple[Knots, list[list[int]]]:
    """Put the curves of rings one behind the other.

    Returns:
        The places (N, 2): of each run its start, then two handles and the end of each curve. Of each ring, how many
        curves its runs have.
    """
    pieces, counts = [], []
    for ring in rings:
        if len(ring.runs) == 1:
            (knots,) = ring.runs
            pieces += [knots[-1:], knots, knots[:2]]
            counts.append([len(knots)])
        else:
            for run in ring.runs:
                pieces += [run[:1], run, run[-1:]]
            counts.append([len(run) - 1 for run in ring.runs])
    if not pieces:
        return np.zeros((0, 2)), []
    knots, lengths = np.concatenate(pieces), np.array([count for own in counts for count in own])
    number = np.repeat(np.arange(len(lengths)), lengths)  # of its run, of each curve
    first = np.arange(len(number)) + 3 * number + 1  # its start among the knots
    before, start, end, after = (knots[first + k] for k in (-1, 0, 1, 2))
    places = np.empty((3 * len(number) + len(lengths), 2))
    at = 3 * np.arange(len(number)) + number
    places[at] = start  # all but the first of a run are written over
    places[at + 1], places[at + 2] = _handles(before, start, end, after)
    places[at + 3] = end
    return places, counts


@dataclass(frozen=True)
class Fade:
    """Change of a fill from its colour to another one (or to nothing) over a straight way or around a spot.

    Attributes:
        start, end: where the colour is the fill's, and where it is ``to``.
        to: the other colour, and how opaque it is.
        stretch: 0: straight from start to end; otherwise around start, this many times as high as wide.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    to: Colour
    opacity: float = 1.0
    stretch: float = 0.0


@dataclass(frozen=True, eq=False)
class Shape:
    """Filled outlines; what lies inside an even number of them is a hole if ``holes``.

    Attributes:
        rings: the outlines.
        colour: of the fill; None: the ground is seen in it.
        opacity: 0..1.
        fade: what the colour changes to.
        within: outlines that the shape is cut off by.
        holes: whether outlines inside outlines are holes.
        hatch: units between the lines that fill it; 0: it is filled all over.
        rim: whether it only makes the border of another one soft.
    """

    rings: Sequence[Ring]
    colour: Colour | None
    opacity: float = 1.0
    fade: Fade | None = None
    within: Sequence[Ring] = ()
    holes: bool = False
    hatch: float = 0.0
    rim: bool = False


class Line(Shape):
    """Shape that is a stroke: what is left where a face is drawn in lines alone."""


@dataclass(eq=False)
class Drawing:
    """Layers of shapes by name, the hindmost first.

    Attributes:
        layers: the shapes of each.
        ground: (H, W, 3) uint8 RGB, the flattened picture that the background shows.
    """

    layers: dict[str, list[Shape]] = field(default_factory=dict)
    ground: Pixels | None = None

    def put(self, layer: str, *shapes: Shape) -> None:
        """Add shapes to a layer, in front of what is in it."""
        self.layers.setdefault(layer, []).extend(shapes)


@dataclass(eq=False)
class Page:
    """Whole photo as drawings.

    Attributes:
        size: width and height in px.
        ground: (H, W, 3) uint8, what lies behind all drawings; None for white paper.
        paper: whether a page without a ground is white; otherwise it is transparent.
        drawings: each with the matrix from its units to px; the hindmost first.
    """

    size: tuple[int, int]
    ground: NDArray[np.uint8] | None
    drawings: list[tuple[Drawing, Matrix]] = field(default_factory=list)
    paper: bool = True


def curve(knots: Sequence[Sequence[float]] | Knots, count: int) -> Knots:
    """Draw a smooth curve through ``knots`` (Catmull & Rom 1974): (count, 2), ends included."""
    p = np.asarray(knots, np.float64)
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    i, u = _steps(len(p), count)
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    smooth: Knots = b + 0.5 * u * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)))
    return smooth


@lru_cache(maxsize=64)
def _steps(knots: int, count: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Place ``count`` steps along a curve of so many knots: the number of its part, and how far in it, (count, 1)."""
    t = np.linspace(0, knots - 3 - 1e-9, count)
    part = t.astype(np.intp)
    return part, (t - part)[:, None]


def along(line: Knots) -> Knots:
    """Compute by how much a line goes on at each of its knots, as ``np.gradient`` does: (K, 2)."""
    way = np.empty_like(line)
    way[1:-1] = (line[2:] - line[:-2]) / 2
    way[0], way[-1] = line[1] - line[0], line[-1] - line[-2]
    return way


def normals(line: Knots) -> Knots:
    """Compute unit normals of a line, to the right of its way in a picture whose y grows downwards: (K, 2)."""
    way = along(line)
    way /= np.hypot(way[:, :1], way[:, 1:]) + 1e-9
    return way[:, ::-1] * RIGHT


def stroke(line: Knots, widths: NDArray[np.float64] | float, bias: float = 0.0) -> Ring:
    """Outline a stroke of varying width.

    Args:
        line: (K, 2) its way.
        widths: at each knot.
        bias: -1: all of the width lies to the left of the way, 0: half of it on either side, 1: to the right.
    """
    across = (normals(line).T * np.asarray(widths, np.float64) / 2).T
    return Ring((line + (bias + 1) * across, (line + (bias - 1) * across)[::-1]))


def taper(count: int, width: float, start: float, end: float, least: float = 0.15) -> NDArray[np.float64]:
    """Compute widths of a stroke that grows over its first share ``start`` and thins over its last share ``end``."""
    return width * _taper(count, start, end, least)


@lru_cache(maxsize=256)
def _taper(count: int, start: float, end: float, least: float) -> NDArray[np.float64]:
    t = np.linspace(0, 1, count)
    grown = np.minimum(t / max(start, 1e-6), (1 - t) / max(end, 1e-6)).clip(0, 1)
    return np.asarray(least + (1 - least) * np.sin(grown * np.pi / 2), np.float64)


def evened(values: NDArray[Any], reach: int, closed: bool = False) -> NDArray[np.float64]:
    """Average each value along a line over ``reach`` to either side; a closed one has no ends."""
    at = np.arange(-reach, len(values) + reach)
    padded = np.asarray(values).take(at, mode="wrap" if closed else "clip")
    return np.convolve(padded, np.full(2 * reach + 1, 1 / (2 * reach + 1)), mode="valid")


def spans(on: NDArray[Any]) -> list[tuple[int, int]]:
    """List the runs of a line (K,) that are on: the first of each, and the one behind its last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(on, np.int8), [0]])))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def circle(centre: Sequence[float], radius: float, high: float = 1.0) -> Ring:
    """Outline a circle, or an ellipse that is ``high`` times as high as wide."""
    turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    return Ring((np.stack([centre[0] + radius * np.cos(turn), centre[1] + high * radius * np.sin(turn)], axis=1),))


def hatched(shape: Shape) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Place the slanted lines that fill a shape: starts and ends; those of different shapes lie on each other."""
    knots = np.concatenate([run for ring in shape.rings for run in ring.runs])
    (left, top), (right, bottom) = (knots.min(axis=0) - 2).tolist(), (knots.max(axis=0) + 2).tolist()
    apart = shape.hatch * float(np.sqrt(2))
    sums = np.arange(np.ceil((left + top) / apart), (right + bottom) / apart) * apart
    return [((total - bottom, bottom), (total - top, top)) for total in sums.tolist()]
