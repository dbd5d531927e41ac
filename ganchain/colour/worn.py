"""What a face wears: how its colours differ, at each place of the common map, from those of bare skin.

Light and shape are taken out by the face's own skin, and what bare faces have as well (dark lids, red lips and cheeks,
shadows under the eyes) by the mean and the spread of many of them.
"""

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
LIGHT = 0.095  # share of the map's side: finer than this, lightness is makeup; coarser, it is light and shape
FAINT, SURE = 0.95, 1.9  # deviation from bare skin, in standard deviations: none, all is makeup
ALONE = 0.5  # how much a deviation counts that the other side of the face does not have
RIM = 0.05  # share of the map's side over which makeup fades at the rim of what is seen of the face
LIPSTICK = 0.9  # share of the way that lips go to the wearer's
PAINTED = 1.2, 2.2  # deviation from bare lips: none, all is lipstick
ADAPTED = 0.4  # share of the difference between two skins, mostly that of two lights, that lipstick takes on


class Zones(NamedTuple):
    """Regions of the common map, each (S, S) 0..1: skin that is most likely bare, lips, brows, what is around the eyes."""

    bare: Planes
    lips: Planes
    brows: Planes
    eyes: Planes


class Worn(NamedTuple):
    """Makeup on the common map.

    Attributes:
        change: (S, S, 3) Lab difference from the wearer's own skin, without light and shape.
        share: (S, S) 0..1, how surely it is makeup.
        skin: (3,) Lab, the wearer's skin.
        lips: (S, S, 3) Lab, the colours of the lips, continued beyond them.
        lips_amount: 0..1, how surely they are painted.
    """

    change: Planes
    share: Planes
    skin: Planes
    lips: Planes
    lips_amount: float


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


@lru_cache(maxsize=2)
def bare(size: int) -> tuple[Planes, Planes]:
    """Return how bare faces differ from their own skin: mean and standard deviation, each (size, size, 3) Lab."""
    with np.load(BytesIO((resources.files("ganchain.colour") / "bare.npz").read_bytes())) as stored:
        mean, spread = (
            cv2.resize(stored[name].astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
            for name in ("mean", "spread")
        )
    return np.asarray(mean, np.float32), np.asarray(spread, np.float32)


def read_worn(lab: Planes, seen: Planes, zones: Zones) -> Worn:
    """Read the makeup of a face on the common map.

    Args:
        lab: (S, S, 3), the face on the map.
        seen: (S, S) 0..1, where its skin or lips are seen: no hair, no cover, no glasses.
        zones: the regions of the map.
    """
    size = len(lab)
    base, tone = skin_of(lab, seen * zones.bare)
    change = lab - base
    known = _inner(seen, size)
    missing = ((1 - known) * known[:, ::-1])[..., None]
    change = change + missing * (change[:, ::-1] - change)
    deviation = _deviation(change)
    both = np.maximum(np.minimum(deviation, deviation[:, ::-1]), ALONE * deviation)
    both += missing[..., 0] * (deviation - both)
    share = _soft_step((both - FAINT) / (SURE - FAINT)) * np.maximum(known, missing[..., 0])
    share = cv2.GaussianBlur(share, (0, 0), size / 350) * (1 - zones.brows) * (1 - zones.lips)
    lips, amount = _read_lips(lab, lab - base, seen * zones.lips)
    return Worn(change.astype(np.float32), share.astype(np.float32), tone, lips, amount)


def change_for(worn: Worn, skin: Planes) -> Planes:
    """Compute what changes on another face's bare skin, on the common map.

    The greyer the makeup, the less of the skin's own colour is left in it: black must not turn blue on pale skin.

    Args:
        worn: the makeup.
        skin: (3,) Lab, the other's skin.

    Returns:
        (S, S, 4): the change in Lab, and the lightness (L) below which nothing is darkened.
    """
    mean, _ = bare(len(worn.change))
    colour = worn.change[..., 1:] + worn.skin[1:]
    own = np.linalg.norm(colour, axis=2, keepdims=True) / max(float(np.linalg.norm(worn.skin[1:])), 5.0)
    less = (np.clip(own, 0, 1) - 1) * (skin - worn.skin)[1:]
    gain = _gain(worn, skin)
    light = (worn.change[..., :1] - mean[..., :1]) * gain
    chroma = (worn.change[..., 1:] - mean[..., 1:]) * min(1.0, gain**0.5) + less
    floor = skin[0] + worn.change[..., :1] * gain
    return np.concatenate([np.concatenate([light, chroma], axis=2) * worn.share[..., None], floor], axis=2)


def lips_for(worn: Worn, skin: Planes) -> Planes:
    """Compute the colours of the lips on another face, (S, S, 3) Lab: half of how dark they are is the exposure."""
    adapted: Planes = worn.lips + ADAPTED * (skin - worn.skin) * (0, 1, 1)
    adapted[..., 0] *= np.sqrt(_gain(worn, skin))
    return adapted


def _gain(worn: Worn, skin: Planes) -> float:
    return float(np.clip(skin[0] / max(float(worn.skin[0]), 20.0), 0.5, 1.3))


def _inner(seen: Planes, size: int) -> Planes:
    """Leave the rim of what is seen out, softly."""
    sigma = RIM * size / 2
    return _soft_step(4 * cv2.GaussianBlur(seen, (0, 0), sigma) - 3) * seen


def _deviation(change: Planes) -> Planes:
    """Measure how far differences from skin are from those of bare faces, in standard deviations: (S, S)."""
    mean, spread = bare(len(change))
    smooth = cv2.GaussianBlur(change, (0, 0), len(change) / 250)
    squares = ((smooth - mean) / spread) ** 2
    return np.sqrt(np.maximum(squares.mean(axis=2), 0.9 * squares[..., 1:].mean(axis=2)))


def _read_lips(lab: Planes, change: Planes, lips: Planes) -> tuple[Planes, float]:
    """Read the colours of lips (S, S, 3), continued beyond them, and how surely they are painted.

    Of their own uneven lightness, which is mostly shape and shine, what bare lips have as well is left out.
    """
    size, weight = len(lab), lips**2 + 1e-6
    mean, spread = bare(size)
    colour, own, usual, wide = (
        np.einsum("hw,hwc->c", weight, plane) / weight.sum() for plane in (lab, change, mean, spread**2)
    )
    surely = float(np.sqrt(((own - usual) ** 2 / wide).mean()))
    sigma = size / 60
    near = cv2.GaussianBlur(weight, (0, 0), sigma)[..., None]
    uneven = (change - own - (mean - usual) * (1, 0, 0)) * (0.5, 1, 1)
    smooth = cv2.GaussianBlur(uneven * weight[..., None], (0, 0), sigma) / near * (near * 4).clip(0, 1)
    amount = LIPSTICK * float(_soft_step((surely - PAINTED[0]) / (PAINTED[1] - PAINTED[0])))
    return np.asarray(colour + smooth, np.float32), amount


def _soft_step(x: Planes) -> Planes:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
