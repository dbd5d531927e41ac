"""Makeup that a face wears: how its colours differ, at each place of the common map, from those of bare skin.

Light and shape are taken out by the face's own skin, and what bare faces have as well (dark lids, red lips and cheeks,
shadows under the eyes) by the mean and the spread of many of them.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike

from ganchain.colour.bare import Bare, Planes, bare, skin_of

COARSE = 0.01  # share of the side: differences finer than this must be strong to be no texture
FINE = 0.7  # standard deviations from which fine ones are kept
ALIKE = 1.0  # standard deviations by which both sides of a face may differ to count as the same makeup
FAINT, SURE = 0.8, 1.6  # distance from bare skin, in standard deviations: none, all is makeup
NEAR = 0.05  # share of the side around sure makeup in which fainter one is believed
SHADE = 0.6  # how much lightness counts in that distance beside colour: light is not always smooth
ALONE = 0.5  # how much a difference counts that the other side of the face does not have
RIM = 0.03  # share of the map's side over which makeup fades at the rim of what is seen of the face
COVERS = 0.5  # how much of the skin's own deviations makeup hides
PAINTED = 1.2, 2.2  # distance from bare lips: none, all is lipstick
ADAPTED = 0.4  # share of the difference between two skins, mostly that of two lights, that lipstick takes on
FULL = 1.15  # what smoothing and rims take from makeup is given back


class Zones(NamedTuple):
    """Regions of the common map, each (S, S) 0..1.

    Attributes:
        bare: skin that is most likely bare.
        lips, brows: with what is close to brows.
        openings: the eyes and the mouth.
        eyes: what is around the eyes.
    """

    bare: Planes
    lips: Planes
    brows: Planes
    openings: Planes
    eyes: Planes


class Worn(NamedTuple):
    """Makeup on the common map.

    Attributes:
        extra: (S, S, 4) Lab difference from the wearer's own skin, beyond light, shape and what bare skin has, times
            the share; and the share, 0..1, how surely it is makeup.
        usual: (S, S, 4) Lab that bare skin has, times the share; and -1..0, how much of the skin's colour is lost.
        skin: (3,) Lab, the wearer's skin.
        lips: (S, S, 3) Lab, the colours of the lips, continued beyond them.
        lips_amount: 0..1, how surely they are painted.
    """

    extra: Planes
    usual: Planes
    skin: Planes
    lips: Planes
    lips_amount: float


def difference(lab: Planes, seen: Planes, zones: Zones) -> tuple[Planes, Planes]:
    """Take light and shape out of a face on the map: (S, S, 3) Lab difference from its skin, and that skin (3,)."""
    base, tone = skin_of(lab, seen * zones.bare)
    return lab - base, tone


def read_worn(lab: Planes, seen: Planes, zones: Zones) -> Worn:
    """Read the makeup of a face on the common map.

    Args:
        lab: (S, S, 3), the face on the map.
        seen: (S, S) 0..1, where its skin or lips are seen: no hair, no cover, no glasses.
        zones: the regions of the map.
    """
    apart, tone = difference(lab, seen, zones)
    usual = bare(len(lab))
    extra, known = smoothed(apart - usual.on(tone), seen, zones, usual.spread)
    deviation = _distance(extra * np.array((SHADE, 1, 1), np.float32), usual.precision)
    both = np.maximum(np.minimum(deviation, deviation[:, ::-1]), ALONE * deviation)
    share = _soft_step((both - FAINT) / (SURE - FAINT))
    reach = np.ones((round(NEAR * len(lab)),) * 2, np.uint8)
    near = cv2.GaussianBlur(cv2.dilate(share, reach), (0, 0), NEAR * len(lab) / 2)
    share = np.maximum(share, near * _soft_step(both / FAINT))  # makeup fades towards its rim
    share = cv2.GaussianBlur(share * known, (0, 0), len(lab) / 350)
    colour = extra[..., 1:] + usual.on(tone)[..., 1:] + tone[1:]
    grey = np.linalg.norm(colour, axis=2) / max(float(np.linalg.norm(tone[1:])), 5.0)
    lips, amount = _read_lips(lab, apart - usual.on(tone), seen * zones.lips, usual)
    lost = share * (np.clip(grey, 0, 1) - 1)
    worn, own = (np.dstack([x * share[..., None], y]) for x, y in ((extra, share), (usual.on(tone), lost)))
    return Worn(worn.astype(np.float32), own.astype(np.float32), tone, lips, amount)


def smoothed(extra: Planes, seen: Planes, zones: Zones, spread: Planes) -> tuple[Planes, Planes]:
    """Average both sides where they are alike, fill what one side does not show, smooth the texture of skin, and take
    of weak differences the less the more bare faces vary (Wiener).

    Args:
        extra: (S, S, 3) Lab, what bare faces do not have.
        seen: (S, S) 0..1, where skin is seen.
        zones: the regions of the map.
        spread: (S, S, 3), the standard deviation of bare faces.

    Returns:
        The same, (S, S, 3), and where it is known, (S, S) 0..1.
    """
    known = _inner(seen)
    fill = ((4 - 4 * known).clip(0, 1) * known[:, ::-1])[..., None]
    extra = np.asarray(extra + fill * (extra[:, ::-1] - extra), np.float32)
    known = np.maximum(known, fill[..., 0]) * (1 - zones.brows) * (1 - zones.lips) * (1 - zones.openings)
    apart = np.square((extra - extra[:, ::-1]) / spread).mean(axis=2, keepdims=True)
    alike = np.exp(-apart / (2 * ALIKE**2))
    extra = np.asarray(extra + 0.5 * alike * (extra[:, ::-1] - extra), np.float32)
    coarse = _averaged(extra, known, len(extra) * COARSE)
    fine = extra - coarse
    strength = np.sqrt(np.square(cv2.GaussianBlur(fine, (0, 0), len(extra) / 400) / spread).mean(axis=2))
    extra = np.asarray(coarse + fine * _soft_step((strength - FINE) / FINE)[..., None], np.float32)
    squares = np.square(extra).mean(axis=2, keepdims=True)
    return extra * squares / (squares + np.square(spread) * np.array((1, 0.5, 0.5), np.float32)), known


def change_for(worn: Worn, extra: Planes, usual: Planes, skin: Planes, own: Planes) -> Planes:
    """Compute what changes on another face.

    The greyer the makeup, the less of the skin's own colour is left in it: black must not turn blue on pale skin.

    Args:
        worn: the makeup.
        extra, usual: its planes, laid onto the face, (H, W, 4).
        skin: (3,) Lab, the other's skin.
        own: (H, W, 3) Lab, how it differs from that, coarsely.

    Returns:
        (H, W, 3) Lab.
    """
    gain = _gain(worn, skin)
    factors = np.array([gain, *[min(1.0, gain**0.5)] * 2], np.float32) * np.float32(FULL)
    hidden = usual[..., :3] - own * extra[..., 3:]
    change = extra[..., :3] * factors + np.float32(COVERS) * hidden
    return np.asarray(change + usual[..., 3:] * (skin - worn.skin) * np.array((0, 1, 1), np.float32), np.float32)


def lips_for(worn: Worn, lips: Planes, skin: Planes) -> Planes:
    """Compute the colours of lips on another face, half as dark as the exposure makes them.

    Args:
        worn: the makeup.
        lips: its lips, laid onto the face, (H, W, 3) Lab.
        skin: (3,) Lab, the other's skin.

    Returns:
        (H, W, 3) Lab.
    """
    factors = np.array((_gain(worn, skin) ** 0.5, 1, 1), np.float32)
    return np.asarray(lips * factors + (skin - worn.skin) * np.array((0, ADAPTED, ADAPTED), np.float32), np.float32)


def own_deviations(lab: Planes, bare_skin: Planes, skin: Planes) -> Planes:
    """Measure how the skin of a face differs from its usual colour in every light, coarsely: (S, S, 3) Lab.

    Args:
        lab: (S, S, 3), a picture of it.
        bare_skin: (S, S) 0..1, its skin where it is most likely bare.
        skin: (S, S) 0..1, all its uncovered skin.
    """
    base, _ = skin_of(lab, bare_skin)
    return _averaged((lab - base).clip(-20, 20), skin, 2 * len(lab) * COARSE)


def _gain(worn: Worn, skin: Planes) -> float:
    return float(np.clip(skin[0] / max(float(worn.skin[0]), 20.0), 0.5, 1.3))


def _inner(seen: Planes) -> Planes:
    """Leave the rim of what is seen out, softly."""
    return _soft_step(4 * cv2.GaussianBlur(seen, (0, 0), RIM * len(seen) / 2) - 3.0) ** 2 * seen


def _averaged(planes: Planes, weight: Planes, sigma: float) -> Planes:
    """Blur planes (S, S, 3) as far as ``weight`` (S, S) has them."""
    total = cv2.GaussianBlur(weight, (0, 0), sigma)[..., None] + 1e-3
    return np.asarray(cv2.GaussianBlur(planes * weight[..., None], (0, 0), sigma) / total, np.float32)


def _distance(extra: Planes, precision: Planes) -> Planes:
    """Measure how far differences (..., 3) are from those of bare skin, in standard deviations (Mahalanobis)."""
    return np.sqrt(np.maximum(np.einsum("...i,...ij,...j->...", extra, precision, extra) / 3, 0))


def _read_lips(lab: Planes, extra: Planes, lips: Planes, usual: Bare) -> tuple[Planes, float]:
    """Read the colours of lips (S, S, 3), continued beyond them, and how surely they are painted.

    Of their own uneven lightness, which is mostly shape and shine, what bare lips have as well is left out.
    """
    weight = lips**2 + 1e-6
    own = lips_of(extra, lips)
    colour = np.median(lab[weight >= 0.5 * weight.max()], axis=0)  # points may lie beside the lips
    surely = float(_distance(own, usual.lips_precision))
    sigma = len(lab) / 60
    near = cv2.GaussianBlur(weight, (0, 0), sigma)[..., None]
    uneven = (extra - own) * np.array((0.5, 1, 1), np.float32)
    smooth = cv2.GaussianBlur(uneven * weight[..., None], (0, 0), sigma) / near * (near * 4).clip(0, 1)
    amount = float(_soft_step((surely - PAINTED[0]) / (PAINTED[1] - PAINTED[0])))
    return np.asarray(colour + smooth, np.float32), amount


def lips_of(extra: Planes, lips: Planes) -> Planes:
    """Average differences (S, S, 3) over the lips (S, S): (3,)."""
    weight = lips**2 + 1e-6
    return np.asarray(np.einsum("hw,hwc->c", weight, extra) / weight.sum(), np.float32)


def _soft_step(x: ArrayLike) -> Planes:
    share = np.clip(np.asarray(x, np.float32), 0, 1)
    return share * share * (3 - 2 * share)
