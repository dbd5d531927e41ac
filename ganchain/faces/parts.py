"""The parts of a head: soft mattes, brought to any window of the face at the window's own resolution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil, floor

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganchain.faces.matting import RADIUS, Moments, coefficients, evaluated
from ganchain.framing import HEAD, Framing

BASE = ("hair", "beard", "skin", "rest")  # these add up to 1
OVER = ("glasses", "cover")  # each 0..1 on its own: they lie over the others
PARTS = BASE + OVER
MET = 0.03  # share of the head's side over which the mattes of head and bust meet
LONG = 0.3, 4  # hair at the edge of the head's window: its matte, and how many px have it
FADE = 0.2  # share of a side over which hair that goes on beyond the largest window keeps its own colour
TRACE = 4e-3  # matte below which there is nothing of a part
SAME = 0.15  # matte of hair above which neighbouring px are of the same person's

Planes = NDArray[np.float32]
Box = tuple[slice, slice]  # rows and columns of a plane


@dataclass(frozen=True, eq=False)
class Parts:
    """Soft mattes of a head.

    Attributes:
        mattes: (6, S, S) float32 0..1 in the order of ``PARTS``.
        picture: (3, S, S) float32 0..1 RGB, the window that they were read from.
        framing: that window.
        beyond: the mattes of a larger window, where hair reaches beyond this one.
    """

    mattes: Planes
    picture: Planes
    framing: Framing = HEAD
    beyond: Parts | None = None
    _fitted: dict[str, Planes] = field(default_factory=dict, init=False, repr=False)

    def __getitem__(self, name: str) -> Planes:
        """Return the matte of one part, (S, S) float32 0..1."""
        matte: Planes = self.mattes[PARTS.index(name)]
        return matte

    def within(self, framing: Framing, picture: Tensor, names: Sequence[str]) -> Tensor:
        """Compute the mattes of a window at its own resolution, where single strands of hair are seen.

        Each matte is a linear function of the window's colours with coefficients that vary slowly: those of a guided
        filter (He, Sun & Tang 2010), computed at the mattes' own side and enlarged (He & Sun 2015). At the rim of a
        part it is where the colour lies between that of the part and that of what is beside it, where these differ.

        Args:
            framing: the window.
            picture: (1, 3, T, T) float32 -1..1, what the window shows.
            names: of the parts that are wanted.

        Returns:
            (1, len(names), T, T) float32 0..1. Beyond the windows that were read all is "rest".
        """
        colours: Planes = (picture[0].float() + 1).div_(2).cpu().numpy()
        side = colours.shape[-1]
        mattes, corner = np.empty((len(names), side, side), np.float32), np.array([framing.left, framing.top])
        for name, matte in zip(names, mattes, strict=True):
            self._fill(matte, colours, name, corner, framing.side / side)
        return torch.from_numpy(mattes)[None]

    def fit(self, names: Sequence[str]) -> None:
        """Fit the mattes of parts now, rather than when they are first wanted."""
        for name in names:
            (left, _), (right, _) = self._extent(name)
            if left < right:
                self._coefficients(name)
        if self.beyond is not None:
            self.beyond.fit(names)

    def reached(self, beyond: Parts) -> Parts:
        """Continue these mattes beyond their window, with the hair that hangs together with theirs.

        Hair of ``beyond`` that does not is a neighbour's, and what lies over the face is told by these mattes alone.
        """
        side = beyond.mattes.shape[-1]
        hair = beyond["hair"] > SAME
        _, numbers = cv2.connectedComponents(hair.astype(np.uint8))
        window = self.framing.within(beyond.framing, side)
        here = cv2.resize(self["hair"], (window.side, window.side), interpolation=cv2.INTER_AREA) > SAME
        own = np.unique(numbers[window.place[1:]][here])
        kept = hair & np.isin(numbers, own[own > 0])
        mattes = beyond.mattes.copy()
        mattes[BASE.index("rest")] += np.where(kept, 0, mattes[BASE.index("hair")])
        mattes[BASE.index("hair")] *= kept
        mattes[len(BASE) :] = 0
        return replace(self, beyond=replace(beyond, mattes=mattes))

    @property
    def reaches_edge(self) -> bool:
        """True if hair reaches the edge of the window."""
        hair = self["hair"]
        rim = np.concatenate([hair[0], hair[-1], hair[:, 0], hair[:, -1]])
        return int((rim > LONG[0]).sum()) >= LONG[1]

    def _fill(self, plane: Planes, colours: Planes, name: str, corner: NDArray[np.float64], px: float) -> None:
        """Write the matte of a part into ``plane`` (H, W), by the colours (3, H, W) that are seen there.

        These mattes end at the edge of their window. Where others go on, both meet softly; hair that goes on unseen
        fades.

        Args:
            corner: x, y of the upper left corner of the plane, in the template's units.
            px: the side of its px in these units.
        """
        unit = self.framing.side / self.mattes.shape[-1]
        step, first = px / unit, (corner - (self.framing.left, self.framing.top)) / unit  # in px of the mattes
        ends = zip(*self._extent(name), first, plane.shape[::-1], strict=True)
        columns, rows = (_span((low - at) / step, (high - at) / step, count) for low, high, at, count in ends)
        across, down = (self._shares(at, step, count) for at, count in zip(first, plane.shape[::-1], strict=True))
        alone = _ones(down, rows), _ones(across, columns)
        if self.beyond is None or name in OVER:
            plane[:] = float(name == "rest")
        else:
            for part in _around(alone, (slice(0, plane.shape[0]), slice(0, plane.shape[1]))):
                shift = px * np.array([part[1].start, part[0].start])
                self.beyond._fill(plane[part], colours[:, *part], name, corner + shift, px)
        for part in (alone, *_around(alone, (rows, columns))):
            if not plane[part].size:
                continue
            start = first + (np.array([part[1].start, part[0].start]) + 0.5) * step - 0.5
            matte = evaluated(self._coefficients(name), start, step, colours[:, *part])
            if part is not alone:
                share = np.minimum(down[part[0], None], across[part[1]])
                matte = plane[part] + share * (matte - plane[part])
            plane[part] = matte

    def _extent(self, name: str) -> tuple[tuple[int, int], tuple[int, int]]:
        """Find the px that have some of a part: left and top, right and bottom (exclusive)."""
        size = self.mattes.shape[-1]
        if name == "rest" or (name in BASE and self.beyond is not None):
            return (0, 0), (size, size)
        x, y, width, height = cv2.boundingRect((self[name] > TRACE).astype(np.uint8))
        if not width:
            return (0, 0), (0, 0)
        margin = 2 * RADIUS + 1
        return (
            (max(0, x - margin), max(0, y - margin)),
            (min(size, x + width + margin), min(size, y + height + margin)),
        )

    def _shares(self, first: float, step: float, count: int) -> Planes:
        """Compute how much these mattes count along an axis, whose px are ``step`` px of the mattes apart: (count,)."""
        size = self.mattes.shape[-1]
        depth = size / 2 - np.abs(first + step * (np.arange(count, dtype=np.float32) + 0.5) - size / 2)
        soft = MET if self.beyond is not None else FADE if self.framing != HEAD else 0
        return (depth / (soft * size)).clip(0, 1) if soft else (depth >= 0).astype(np.float32)

    def _coefficients(self, name: str) -> Planes:
        """Fit the coefficients of red, green and blue and the offset of a matte, at its rim too: (S, S, 4)."""
        if name not in self._fitted:
            self._fitted[name] = coefficients(self[name], self.picture, self._moments)
        return self._fitted[name]

    @cached_property
    def _moments(self) -> Moments:
        return Moments.of(self.picture)


def _span(low: float, high: float, count: int) -> slice:
    """Return the px of an axis of ``count`` px that lie between two places at least in part."""
    start = min(max(0, floor(low)), count)
    return slice(start, start if low == high else max(start, min(count, ceil(high))))


def _ones(shares: Planes, span: slice) -> slice:
    """Return the part of a span in which all shares are 1."""
    ones = np.flatnonzero(shares[span] == 1)
    return slice(span.start + ones[0], span.start + ones[-1] + 1) if len(ones) else slice(span.start, span.start)


def _around(inner: Box, outer: Box) -> Iterator[Box]:
    """Divide what of a box lies around an inner one into at most four boxes."""
    (rows, columns), (all_rows, all_columns) = inner, outer
    if rows.start == rows.stop or columns.start == columns.stop:
        yield outer
        return
    yield slice(all_rows.start, rows.start), all_columns
    yield slice(rows.stop, all_rows.stop), all_columns
    yield rows, slice(all_columns.start, columns.start)
    yield rows, slice(columns.stop, all_columns.stop)
