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

from ganchain.faces.matting import RADIUS, Moments, coefficients
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
        colours: Planes = ((picture[0].float() + 1) / 2).cpu().numpy()
        return torch.from_numpy(np.stack([self._refined(framing, colours, name) for name in names]))[None]

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

    def _refined(self, framing: Framing, colours: Planes, name: str) -> Planes:
        """Compute the matte of a window by the colours (3, T, T) 0..1 that it shows: (T, T) 0..1."""
        side, size = colours.shape[-1], self.mattes.shape[-1]
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
        red, green, blue, offset = cv2.split(warped)
        r, g, b = (plane[box] for plane in colours)
        matte = (red * r + green * g + blue * b + offset).clip(0, 1)
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
            self._fitted[name] = coefficients(self[name], self.picture, self._moments)
        return self._fitted[name]

    @cached_property
    def _moments(self) -> Moments:
        return Moments.of(self.picture)
