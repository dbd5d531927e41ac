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
FAINT, SURE = 1.3, 2.6  # deviations from bare skin, in standard deviations, from which nothing and all is makeup
ALONE = 0.5  # how much a deviation counts that the other side of the face does not have


class Worn(NamedTuple):
    """Makeup on the common map.

    Attributes:
        change: (S, S, 3) Lab difference from the wearer's own skin, without light and shape.
        share: (S, S) 0..1, how surely it is makeup.
        skin: (3,) Lab, the wearer's skin.
    """

    change: Planes
    share: Planes
    skin: Planes


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


def read_worn(lab: Planes, seen: Planes, own: Planes) -> Worn:
    """Read the makeup of a face on the common map.

    Args:
        lab: (S, S, 3), the face on the map.
        seen: (S, S) 0..1, where its skin is seen: no hair, no cover, no glasses.
        own: (S, S) 0..1, where the map has skin that is most likely bare.
    """
    size = len(lab)
    base, tone = skin_of(lab, seen * own)
    change = lab - base
    known = cv2.erode(seen, np.ones((5, 5)))
    mirrored, mirrored_known = change[:, ::-1], known[:, ::-1]
    missing = ((1 - known) * mirrored_known)[..., None]
    change = change + missing * (mirrored - change)
    deviation = _deviation(change, size)
    other = deviation[:, ::-1]
    both = np.maximum(np.minimum(deviation, other), ALONE * deviation)
    share = ((both - FAINT) / (SURE - FAINT)).clip(0, 1)
    share = share * share * (3 - 2 * share) * np.maximum(known, missing[..., 0])
    return Worn(change.astype(np.float32), cv2.GaussianBlur(share, (0, 0), 1.5), tone)


def _deviation(change: Planes, size: int) -> Planes:
    """Measure how far differences from skin are from those of bare faces, in standard deviations: (S, S)."""
    mean, spread = bare(size)
    smooth = cv2.GaussianBlur(change, (0, 0), size / 250)
    return np.sqrt((((smooth - mean) / spread) ** 2).mean(axis=2))


def change_for(worn: Worn, skin: Planes) -> Planes:
    """Compute what changes on another face's bare skin, on the common map.

    The greyer the makeup, the less of the skin's own colour is left in it: black must not turn blue on pale skin.

    Args:
        worn: the makeup.
        skin: (3,) Lab, the other's skin.

    Returns:
        (S, S, 3) Lab.
    """
    mean, _ = bare(len(worn.change))
    gain = float(np.clip(skin[0] / max(float(worn.skin[0]), 20.0), 0.5, 1.3))
    colour = worn.change[..., 1:] + worn.skin[1:]
    own = np.linalg.norm(colour, axis=2, keepdims=True) / max(float(np.linalg.norm(worn.skin[1:])), 5.0)
    less = (np.clip(own, 0, 1) - 1) * (skin - worn.skin)[1:]
    light = (worn.change[..., :1] - mean[..., :1]) * gain
    return np.concatenate([light, worn.change[..., 1:] - mean[..., 1:] + less], axis=2) * worn.share[..., None]
