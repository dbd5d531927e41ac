"""Makeup of one face on another: relative to the other's skin, and in its light."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ganchain.colour.bare import Planes, skin_of
from ganchain.colour.filters import averaged
from ganchain.colour.worn import COARSE, Worn

COVERS = 0.25  # how much of the skin's own deviations makeup hides
ADAPTED = 0.4  # share of the difference between two skins, mostly that of two lights, that lipstick takes on
DIM = 0.75  # share of the wearer's lightness below which a skin is in the dark: colours there are not full
FULL = 1.15  # what smoothing and rims take from makeup is given back


def change_for(worn: Worn, extra: Planes, usual: Planes, skin: Planes, own: Planes) -> Planes:
    """Compute what changes on another face.

    The greyer the makeup, the less of the skin's own colour is left in it: black must not turn blue on pale skin.

    Args:
        worn: the makeup.
        extra, usual: its planes, laid onto the face, (4, H, W).
        skin: (3,) Lab, the other's skin.
        own: (3, H, W) Lab, how it differs from that, coarsely.

    Returns:
        (3, H, W) Lab.
    """
    change = np.multiply(extra[:3], _column((_gain(worn, skin), 1, 1)) * np.float32(FULL))
    change[1:] += np.float32(FULL - 1) * usual[3] * extra[1:3]  # not of greyness
    change += np.float32(COVERS) * (usual[:3] - own * extra[3])
    change[1:] += usual[3] * _column((skin - worn.skin)[1:])
    return np.asarray(change, np.float32)


def lips_for(worn: Worn, lips: Planes, skin: Planes) -> Planes:
    """Compute the colours of lips on another face, half as dark as the exposure makes them; in the dark they are paler.

    Args:
        worn: the makeup.
        lips: its lips, laid onto the face, (3, H, W) Lab.
        skin: (3,) Lab, the other's skin.

    Returns:
        (3, H, W) Lab.
    """
    apart = (skin - worn.skin) * np.array((0, ADAPTED, ADAPTED), np.float32)
    gain = _gain(worn, skin)
    paler = min(1.0, gain / DIM) ** 0.5
    return np.asarray(lips * _column((gain**0.5, paler, paler)) + _column(apart), np.float32)


def _column(values: ArrayLike) -> Planes:
    """Make values (C,) a factor of planes (C, H, W)."""
    return np.asarray(values, np.float32)[:, None, None]


def own_deviations(lab: Planes, bare_skin: Planes, skin: Planes) -> Planes:
    """Measure how the skin of a face differs from its usual colour in every light, coarsely: (S, S, 3) Lab.

    Args:
        lab: (S, S, 3), a picture of it.
        bare_skin: (S, S) 0..1, its skin where it is most likely bare.
        skin: (S, S) 0..1, all its uncovered skin.
    """
    base, _ = skin_of(lab, bare_skin)
    return averaged((lab - base).clip(-20, 20), skin, 2 * len(lab) * COARSE)


def _gain(worn: Worn, skin: Planes) -> float:
    return float(np.clip(skin[0] / max(float(worn.skin[0]), 20.0), 0.5, 1.3))
