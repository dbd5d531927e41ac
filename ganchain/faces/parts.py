"""The parts of a head: soft mattes, brought to any window of the face at the window's own resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganchain.framing import HEAD, Framing

BASE = ("hair", "beard", "skin", "rest")  # these add up to 1
OVER = ("glasses", "cover")  # each 0..1 on its own: they lie over the others
PARTS = BASE + OVER
RADIUS = 3  # px of the mattes: half the window of the guided filter
EDGE = 2e-4  # variance of colour (0..1) below which the mattes are only smoothed
MET = 0.03  # share of the head's side over which the mattes of head and bust meet
LONG = 0.3, 4  # hair at the edge of the head's window: its matte, and how many px have it
FADE = 0.2  # share of a side over which hair that goes on beyond the largest window keeps its own colour
TRACE = 4e-3  # matte below which there is nothing of a part
SAME = 0.15  # matte of hair above which neighbouring px are of the same person's
NEAR, AROUND = 1.5, 4.0  # px of the mattes: how wide a rim is, and how far around it colours are looked for
APART = 0.2  # distance of two colours (0..1) from which on a mixture of them tells its shares
_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))  # of colours, in the order of the covariances

Planes = NDArray[np.float32]


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
        colours: Planes = ((picture[0].float() + 1) / 2).permute(1, 2, 0).cpu().numpy()
        return torch.from_numpy(np.stack([self._refined(framing, colours, name) for name in names]))[None]

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

    def _refined(self, framing: Framing, colours: Planes, name: str) -> Planes:
        """Compute the matte of a window by the colours (T, T, 3) 0..1 that it shows: (T, T) 0..1."""
        side, size = len(colours), self.mattes.shape[-1]
        if self.beyond is None:
            plane = np.full((side, side), float(name == "rest"), np.float32)
        else:
            plane = self.beyond._refined(framing, colours, name)
        scale, unit = framing.side / side, self.framing.side / size  # of a px of the window, and of the mattes
        corner = np.array([framing.left - self.framing.left, framing.top - self.framing.top])
        first, last = ((np.array(end) * unit - corner) / scale for end in self._extent(name))
        left, top = np.maximum(0, np.floor(first).astype(int))
        right, bottom = np.minimum(side, np.ceil(last).astype(int))
        if left >= right or top >= bottom:
            return plane
        start = (corner + (np.array([left, top]) + 0.5) * scale) / unit - 0.5  # of the first px, in px of the mattes
        matrix = np.column_stack([np.eye(2) * (scale / unit), start])
        box, flags = np.s_[top:bottom, left:right], cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpAffine(
            self._coefficients(name), matrix, (right - left, bottom - top), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        linear: Planes = np.asarray(warped, np.float32)
        matte = (_dot(linear[..., :3], colours[box]) + linear[..., 3]).clip(0, 1)
        share = self._share(start, scale / unit, matte.shape)
        plane[box] += share * (matte - plane[box])
        return plane

    def _extent(self, name: str) -> tuple[tuple[int, int], tuple[int, int]]:
        """Find the px that have some of a part: left and top, right and bottom (exclusive)."""
        size = self.mattes.shape[-1]
        if name == "rest" or self.beyond is not None:
            return (0, 0), (size, size)
        x, y, width, height = cv2.boundingRect((self[name] > TRACE).astype(np.uint8))
        if not width:
            return (0, 0), (0, 0)
        margin = 2 * RADIUS + 1
        return (
            (max(0, x - margin), max(0, y - margin)),
            (min(size, x + width + margin), min(size, y + height + margin)),
        )

    def _share(self, start: NDArray[np.float64], step: float, shape: tuple[int, ...]) -> Planes:
        """Compute how much these mattes count in a part of a window, whose px are ``step`` px of the mattes apart.

        They end at the edge of their window. Where others go on, both meet softly; hair that goes on unseen fades.
        """
        size = self.mattes.shape[-1]
        deep = [
            size / 2 - np.abs(first + step * np.arange(count, dtype=np.float32) + 0.5 - size / 2)
            for first, count in zip(start[::-1], shape, strict=True)
        ]
        depth = np.minimum(deep[0][:, None], deep[1]) / size
        soft = MET if self.beyond is not None else FADE if self.framing != HEAD else 0
        return (depth / soft).clip(0, 1) if soft else (depth >= 0).astype(np.float32)

    def _coefficients(self, name: str) -> Planes:
        """Fit the coefficients of red, green and blue and the offset of a matte, at its rim too: (S, S, 4)."""
        if name not in self._fitted:
            linear, part, beside = self._linear(name), *self._either_side(name)
            step = part[..., :3] - beside[..., :3]
            length = _dot(step, step)
            slope: Planes = np.asarray(step / (length[..., None] + 1e-6), np.float32)
            between = np.dstack([slope, -_dot(beside[..., :3], slope)])
            share = part[..., 3] * (length / APART**2).clip(0, 1)
            self._fitted[name] = np.asarray(linear + share[..., None] * (between - linear), np.float32)
        return self._fitted[name]

    def _either_side(self, name: str) -> tuple[Planes, Planes]:
        """Estimate the colours of a part and of what is beside it, and where its rim is: twice (S, S, 4)."""
        matte, guide = self[name], self.picture.transpose(1, 2, 0)
        rim = (cv2.GaussianBlur(matte, (0, 0), NEAR) * 8).clip(0, 1)
        rim *= (cv2.GaussianBlur(1 - matte, (0, 0), NEAR) * 8).clip(0, 1)
        sides = []
        for weight in (matte**8, (1 - matte) ** 8):
            total = cv2.GaussianBlur(weight, (0, 0), AROUND) + 1e-6
            colour = cv2.GaussianBlur(guide * weight[..., None], (0, 0), AROUND) / total[..., None]
            rim = rim * (total * 50).clip(0, 1)
            sides.append(colour)
        return tuple(np.dstack([colour, rim]).astype(np.float32) for colour in sides)  # type: ignore[return-value]

    @cached_property
    def _moments(self) -> tuple[Planes, Planes]:
        """Means of the picture's colours (S, S, 3) and inverse covariances (S, S, 6), regularised by ``EDGE``."""
        guide = self.picture.transpose(1, 2, 0)
        products = np.stack([guide[..., i] * guide[..., j] for i, j in _PAIRS], axis=-1)
        mean = _box(guide)
        pairs = np.stack([mean[..., i] * mean[..., j] for i, j in _PAIRS], axis=-1)
        a, b, c, d, e, f = np.moveaxis(_box(products) - pairs, -1, 0)
        a, d, f = a + EDGE, d + EDGE, f + EDGE
        adjugate = (d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b)
        determinant = a * adjugate[0] + b * adjugate[1] + c * adjugate[2]
        return mean, np.stack(adjugate, axis=-1) / determinant[..., None]

    def _linear(self, name: str) -> Planes:
        """Fit the coefficients of red, green and blue and the offset of a matte: (S, S, 4)."""
        guide, (mean, inverse), matte = self.picture.transpose(1, 2, 0), self._moments, self[name]
        average = _box(matte)
        covariance = _box(guide * matte[..., None]) - mean * average[..., None]
        a, b, c, d, e, f = np.moveaxis(inverse, -1, 0)
        red, green, blue = np.moveaxis(covariance, -1, 0)
        slope = np.stack(
            [a * red + b * green + c * blue, b * red + d * green + e * blue, c * red + e * green + f * blue], axis=-1
        )
        offset = average - (slope * mean).sum(axis=-1)
        return _box(np.dstack([slope, offset]))


def _box(planes: Planes) -> Planes:
    """Average (S, S) or (S, S, C) over squares, mirrored at the edge."""
    side = 2 * RADIUS + 1
    if planes.ndim == 2 or planes.shape[2] <= 4:
        return np.asarray(cv2.blur(np.ascontiguousarray(planes), (side, side)), np.float32)
    return np.dstack([_box(planes[..., k : k + 3]) for k in range(0, planes.shape[2], 3)])


def _dot(a: Planes, b: Planes) -> Planes:
    """Multiply colours (H, W, 3) by colours, summed: (H, W)."""
    product: Planes = np.einsum("hwc,hwc->hw", a, b)
    return product
