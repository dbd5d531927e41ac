"""Makeup that a face wears: how its colours differ, at each place of the common map, from those of bare skin.

Light and shape are taken out by the face's own skin, and what bare faces have as well (dark lids, red lips and cheeks,
shadows under the eyes, light from one side) by the mean, the components and the spread of many of them.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike

from ganchain.colour.bare import Bare, Planes, bare, skin_of
from ganchain.colour.filters import averaged, disc
from ganchain.colour.uncovered import uncovered

COARSE = 0.01  # share of the side: differences finer than this must be strong to be no texture
BROAD = 0.022  # the same for blush and contour, which have no edges
FADED = 1.12  # what that takes from blush is given back
FOLDS = 0.6  # share of a fine difference that may be a fold or a nostril, where it is not around the eyes
FINE = 0.7  # standard deviations from which fine ones are kept
ASIDE = 0.014  # share of the side by which fine makeup of both sides may lie apart
ALIKE = 1.0, 2.5  # standard deviations by which both sides of a face, and eyes, may differ to wear the same makeup
FAINT, SURE = 0.8, 1.6  # distance from bare skin, in standard deviations: none, all is makeup
OPENED = 0.006  # share of the side: how near to an eye or the mouth its makeup is looked for
SPILLED = 0.02  # share of the side around lips in which there is no makeup but theirs
NEAR = 0.05  # share of the side around sure makeup in which fainter one is believed
SHADE = 0.6  # how much lightness counts in that distance beside colour: light is not always smooth
ALONE = 0.5  # how much a difference counts that the other side of the face does not have
RIM = 0.03  # share of the map's side over which makeup fades at the rim of what is seen of the face
GREYER = 0.5, 1.2  # share of its colour that skin loses under makeup: of light one, and more for each of its lightness
UNEVEN = 12.0  # Lab by which places of the lips differ from their mean; what does far more is no lip
PAINTED = 1.2, 2.2  # distance from bare lips: none, all is lipstick


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

    @property
    def planes(self) -> tuple[Planes, Planes, Planes]:
        """The planes that are laid onto faces: extra, usual, lips."""
        return self.extra, self.usual, self.lips


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
    seen = uncovered(lab, seen, np.maximum.reduce([zones.eyes, zones.brows, zones.lips, zones.openings]))
    apart, tone = difference(lab, seen, zones)
    many = bare(len(lab))
    usual = many.on(tone)
    own = usual + many.under(apart - usual, seen)
    extra, known = smoothed(np.asarray(apart - own, np.float32), seen, zones, many.spread)
    extra = _coloured(extra, tone)
    deviation = _distance(extra * np.array((SHADE, 1, 1), np.float32), many.precision)
    both = np.maximum(np.minimum(deviation, deviation[:, ::-1]), ALONE * deviation)
    share = _soft_step((both - FAINT) / (SURE - FAINT))
    reach = np.ones((round(NEAR * len(lab)),) * 2, np.uint8)
    near = cv2.GaussianBlur(cv2.dilate(share, reach), (0, 0), NEAR * len(lab) / 2)
    share = np.maximum(share, near * _soft_step(both / FAINT))  # makeup fades towards its rim
    share = cv2.GaussianBlur(share * known, (0, 0), len(lab) / 350)
    colour = extra[..., 1:] + own[..., 1:] + tone[1:]
    grey = np.linalg.norm(colour, axis=2) / max(float(np.linalg.norm(tone[1:])), 5.0)
    lips, amount = _read_lips(lab, apart - usual, seen * zones.lips, many)
    lost = share * (np.clip(grey, 0, 1) - 1)
    worn, hidden = (np.dstack([x * share[..., None], y]) for x, y in ((extra, share), (usual, lost)))
    return Worn(worn.astype(np.float32), hidden.astype(np.float32), tone, lips, amount)


def _coloured(extra: Planes, tone: Planes) -> Planes:
    """Take out of a difference (S, S, 3) that skin (3,) is greyer without being darker: that is shine, no makeup.

    Makeup that is as light and grey would look blue beside other skin. What has a colour of its own stays.
    """
    chroma = max(float(np.linalg.norm(tone[1:])), 1.0)
    hue = tone[1:] / chroma
    along = extra[..., 1:] @ hue
    darker = (-extra[..., 0] / max(float(tone[0]), 20.0)).clip(0, 1)
    own = _soft_step((-along / chroma - 0.8) / 0.4)  # beyond grey
    greyer = np.maximum(-along - chroma * (GREYER[0] + GREYER[1] * darker), 0) * (1 - own)
    return np.asarray(extra + np.dstack([0 * greyer, greyer * hue[0], greyer * hue[1]]), np.float32)


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
    known = np.maximum(known, fill[..., 0])
    skin = known * (1 - cv2.dilate(zones.openings, np.ones((3, 3), np.uint8)))
    extra += (1 - skin[..., None]) * (averaged(extra, skin, OPENED * len(extra)) - extra)  # the lids go on in the eyes
    known = known * (1 - zones.brows) * (1 - _grown(zones.lips, SPILLED * len(extra)))
    apart = np.square((extra - extra[:, ::-1]) / spread).mean(axis=2, keepdims=True)
    alike = np.exp(-apart / (2 * np.square(ALIKE[0] + (ALIKE[1] - ALIKE[0]) * zones.eyes[..., None])))
    extra = np.asarray(extra + 0.5 * alike * (extra[:, ::-1] - extra), np.float32)
    coarse = averaged(extra, known, len(extra) * COARSE)
    fine = extra - coarse
    around = zones.eyes[..., None]
    broad = FADED * averaged(coarse, known, len(extra) * BROAD)
    coarse = np.asarray(around * coarse + (1 - around) * broad, np.float32)
    coarse[..., 0] = _shared(coarse[..., 0])  # light from one side is no makeup
    strength = np.sqrt(np.square(cv2.GaussianBlur(fine, (0, 0), len(extra) / 400) / spread).mean(axis=2))
    strength = np.minimum(strength, cv2.dilate(strength, disc(ASIDE * len(extra)))[:, ::-1])  # single strands go
    strength *= 1 - (1 - zones.eyes) * FOLDS
    extra = np.asarray(coarse + fine * _soft_step((strength - FINE) / FINE)[..., None], np.float32)
    squares = np.square(extra).mean(axis=2, keepdims=True)
    return extra * squares / (squares + np.square(spread) * np.array((1, 0.5, 0.5), np.float32)), known


def _inner(seen: Planes) -> Planes:
    """Leave the rim of what is seen out, softly."""
    return _soft_step(4 * cv2.GaussianBlur(seen, (0, 0), RIM * len(seen) / 2) - 3.0) ** 2 * seen


def _shared(plane: Planes) -> Planes:
    """Keep of a plane (S, S) what both of its sides have."""
    other = plane[:, ::-1]
    return np.asarray(np.clip(plane, np.minimum(0, other), np.maximum(0, other)), np.float32)


def _grown(plane: Planes, radius: float) -> Planes:
    """Enlarge a plane (S, S) by ``radius`` px, softly."""
    wide = cv2.GaussianBlur(cv2.dilate(plane, disc(radius / 2)), (0, 0), radius / 4)
    return np.asarray(np.maximum(plane, wide), np.float32)


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
    uneven = (extra - own) * np.array((0.5, 1, 1), np.float32)
    weight = weight * np.exp(-np.square(uneven).sum(axis=2) / (2 * UNEVEN**2))
    near, smooth = (cv2.GaussianBlur(x, (0, 0), sigma) for x in (weight, uneven * weight[..., None]))
    near, smooth = (x + x[:, ::-1] for x in (near[..., None], smooth))  # light from one side is no makeup
    smooth = smooth / (near + 1e-6) * (near * 4).clip(0, 1)
    amount = float(_soft_step((surely - PAINTED[0]) / (PAINTED[1] - PAINTED[0])))
    return np.asarray(colour + smooth, np.float32), amount


def lips_of(extra: Planes, lips: Planes) -> Planes:
    """Average differences (S, S, 3) over the lips (S, S): (3,)."""
    weight = lips**2 + 1e-6
    return np.asarray(np.einsum("hw,hwc->c", weight, extra) / weight.sum(), np.float32)


def _soft_step(x: ArrayLike) -> Planes:
    share = np.clip(np.asarray(x, np.float32), 0, 1)
    return share * share * (3 - 2 * share)
