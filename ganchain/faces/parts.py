"""The parts of a head: soft mattes, brought to any window of the face at the window's own resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
NEAR, AROUND = 1.5, 4.0  # px of the mattes: how wide a rim is, and how far around it colours are looked for
APART = 0.2  # distance of two colours (0..1) from which on a mixture of them tells its shares
_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))  # of colours, in the order of the covariances

Planes = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Parts:
    """Soft mattes of a head in the framing ``HEAD``.

    Attributes:
        mattes: (6, S, S) float32 0..1 in the order of ``PARTS``.
        picture: (3, S, S) float32 0..1 RGB, the head that they were read from.
    """

    mattes: Planes
    picture: Planes

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
            (1, len(names), T, T) float32 0..1. Beyond the framing ``HEAD`` all is "rest".
        """
        side = picture.shape[-1]
        unit, scale = HEAD.side / self.mattes.shape[-1], framing.side / side
        matrix = np.array([[1, 0, framing.left - HEAD.left], [0, 1, framing.top - HEAD.top]], np.float64)
        matrix[:, :2] *= scale / unit
        matrix[:, 2] = (matrix[:, 2] + scale / 2) / unit - 0.5
        colours: Planes = ((picture[0].float() + 1) / 2).permute(1, 2, 0).cpu().numpy()

        def enlarged(planes: Planes) -> Planes:
            flags, border = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE
            return np.asarray(cv2.warpAffine(planes, matrix, (side, side), flags=flags, borderMode=border), np.float32)

        centres = (np.arange(side) + 0.5) * scale
        rows, columns = (
            np.abs(corner + centres - edge - HEAD.side / 2) <= HEAD.side / 2
            for corner, edge in ((framing.top, HEAD.top), (framing.left, HEAD.left))
        )
        inside = rows[:, None] & columns
        mattes = []
        for name in names:
            linear = enlarged(self._linear(name))
            matte = _dot(linear[..., :3], colours) + linear[..., 3]
            part, beside = (enlarged(planes) for planes in self._either_side(name))
            step = part[..., :3] - beside[..., :3]
            length = _dot(step, step)
            between = _dot(colours - beside[..., :3], step) / (length + 1e-6)
            share = part[..., 3] * (length / APART**2).clip(0, 1)
            refined = (matte + share * (between - matte)).clip(0, 1)
            mattes.append(np.where(inside, refined, float(name == "rest")).astype(np.float32))
        return torch.from_numpy(np.stack(mattes))[None]

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
