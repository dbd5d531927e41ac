"""Bare skin: that of one face, and how bare faces differ from theirs at each place of the common map."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from io import BytesIO
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Planes = NDArray[np.float32]

SMALL = 128  # px of the map on which skin is modelled
FEW = 64  # px of the map at which bare faces are told apart
FULLY = 0.8  # share of a px of the map from which it counts as seen
MOST = 40.0  # Lab by which bare skin differs from its usual colour at most
LIGHT = 0.095  # share of the map's side: finer than this, lightness is makeup; coarser, it is light and shape
MIDDLE, WIDE = 60.0, 15.0  # lightness of skins, and their usual difference, for what bare faces of each have


def skin_of(lab: Planes, own: Planes) -> tuple[Planes, Planes]:
    """Model the bare skin of a face.

    Args:
        lab: (S, S, 3), a picture of it.
        own: (S, S) 0..1, where its skin is seen and most likely bare.

    Returns:
        Its colour in every light, (S, S, 3) Lab, and its usual colour (3,).
    """
    size = (SMALL, SMALL)
    weight = cv2.resize(own, size, interpolation=cv2.INTER_AREA) + 1e-4
    small = cv2.resize(lab * own[..., None], size, interpolation=cv2.INTER_AREA) / weight[..., None]
    known = small[weight > 0.5] if (weight > 0.5).sum() >= SMALL else small.reshape(-1, 3)
    tone = np.median(known, axis=0).astype(np.float32)
    sigma = LIGHT * SMALL
    spread = cv2.GaussianBlur(weight, (0, 0), sigma)
    light = cv2.GaussianBlur(small[..., 0] * weight, (0, 0), sigma) / spread - tone[0]
    light *= (spread * 20).clip(0, 1)
    # in shadow skin is more colourful: a and b follow the light
    varied = (weight * light**2).sum() + 25 * weight.sum()
    slope = [(weight * light * (small[..., k] - tone[k])).sum() / varied for k in (1, 2)]
    base = tone + light[..., None] * np.array([1, *slope], np.float32)
    return np.asarray(cv2.resize(base, lab.shape[1::-1]), np.float32), tone


class Bare(NamedTuple):
    """Statistics of bare faces: how they differ from their own skin, at each place of the map.

    Attributes:
        mean, slope: (S, S, 3) Lab, on skin of middle lightness, and what is added for each ``WIDE`` of L above it.
        components: (K, FEW, FEW, 3) Lab, in what bare faces differ from that together, each one standard deviation:
            most of it is light.
        certainty: (FEW, FEW, 3), how much each place tells of a face's share of them: 0 where makeup is usual.
        spread: (S, S, 3), standard deviation of what the components leave.
        precision: (S, S, 3, 3), inverse covariance of that, smoothed; both sides of a face are the mean.
        lips_precision: (3, 3), the same of the mean of the lips.
    """

    mean: Planes
    slope: Planes
    components: Planes
    certainty: Planes
    spread: Planes
    precision: Planes
    lips_precision: Planes

    def on(self, skin: Planes) -> Planes:
        """Return the usual difference (S, S, 3) on a skin (3,)."""
        return np.asarray(self.mean + self.slope * lighter(skin), np.float32)

    def under(self, extra: Planes, seen: Planes) -> Planes:
        """Guess how a face differs from the usual one where it may be painted, by where it seldom is.

        Args:
            extra: (S, S, 3) Lab, how it differs from the usual one with its makeup.
            seen: (S, S) 0..1, where its skin is seen.

        Returns:
            (S, S, 3) Lab: the most likely sum of the components.
        """
        small, share = reduced(extra, seen)
        weight = self.certainty * (share > FULLY)[..., None]
        parts = self.components.reshape(len(self.components), -1)
        weighted = parts * weight.reshape(-1)
        amounts = np.linalg.solve(weighted @ parts.T + np.eye(len(parts)), weighted @ small.reshape(-1))
        answer = np.asarray(amounts @ parts, np.float32).reshape(FEW, FEW, 3)
        return np.asarray(cv2.resize(answer, extra.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def lighter(skin: Planes) -> np.float32:
    """Tell by how many ``WIDE`` a skin (3,) is lighter than the middle one."""
    return np.float32(np.clip((skin[0] - MIDDLE) / WIDE, -2, 2))


def reduced(extra: Planes, seen: Planes) -> tuple[Planes, Planes]:
    """Average what is seen of differences (S, S, 3): (FEW, FEW, 3), and how much of each px is seen, (FEW, FEW)."""
    share = np.asarray(cv2.resize(seen, (FEW, FEW), interpolation=cv2.INTER_AREA), np.float32)
    sums = cv2.resize(extra * seen[..., None], (FEW, FEW), interpolation=cv2.INTER_AREA)
    return np.asarray((sums / (share[..., None] + 1e-3)).clip(-MOST, MOST), np.float32), share


@lru_cache(maxsize=2)
def bare(size: int) -> Bare:
    """Read how bare faces differ from their own skin; ``benchmarks/atlas.py`` measured it."""
    with np.load(BytesIO((resources.files("ganchain.colour") / "bare.npz").read_bytes())) as stored:
        planes = {name: stored[name].astype(np.float32) for name in stored.files}
    mean, slope, spread = (
        np.asarray(cv2.resize(planes[name], (size, size)), np.float32) for name in ("mean", "slope", "spread")
    )
    inverse = np.linalg.inv(planes["covariance"]).reshape(SMALL, SMALL, 9)
    precision = np.dstack([cv2.resize(plane, (size, size)) for plane in np.moveaxis(inverse, 2, 0)])
    matrices = np.asarray(precision, np.float32).reshape(size, size, 3, 3)
    components = planes["components"] * planes["steps"][:, None, None, None]
    lips = np.linalg.inv(planes["lips"]).astype(np.float32)
    return Bare(mean, slope, components, planes["certainty"], spread, matrices, lips)
