"""Settling of the mattes of hair, where the network leaves them open: by the colours around, and by their amount."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from ganchain.faces.parts import BASE, Parts, Planes

UNSURE = 0.012, 0.97  # mattes of hair between these are settled by the colours around
FAR = 16.0  # px of the mattes: how far around those colours are looked for
SPREAD, UNLIKE = 9.0, 8.0  # of colours in L*a*b*; most that one counts as unlike those of a part
# what may be beside hair: how much its colours count against hair (roots are mixed with skin), their spread, and the
# share of what lies around that it must have; what lies behind a head may be seen through a gap
AGAINST = {"beard": (0.3, SPREAD, 0.01), "skin": (0.3, SPREAD, 0.01), "rest": (1.0, 3.0, -1.0)}
YIELDS = 0.4, 0.75  # mattes between which the network holds on to hair that is not quite like the rest: it shines
SUREST, ON_SKIN = 4.5, 0.5  # most that colours add to the log-odds of the network's own answer, and where it sees skin
SCARCE = 2e-3  # of a part: where there is less around, its colours elsewhere count
SURE, JOINED = 0.8, 0.3  # mattes of what surely is hair, and above which neighbouring px hang together with it
SCARCE_HAIR = 0.017, 0.03  # shares of the head's window: less hair than the first is none, more than the second some
LIKELY, ALONE = 0.08, 1.5  # matte of what may be hair though it does not; most that its colours then add


def settled(mattes: Planes, picture: Planes) -> Planes:
    """Settle where the network is unsure of hair: by whether the colour is that of the hair or of another part around.

    The log-odds of the two, for Gaussians of equal spread, are added to those of the matte: less where the hair does
    not hang together with what surely is hair.

    Args:
        mattes: (6, S, S) float32 0..1 in the order of ``PARTS``.
        picture: (3, S, S) float32 0..1 RGB.

    Returns:
        The mattes with other hair, and the other parts of ``BASE`` in the shares that they had.
    """
    hair = mattes[0]
    low, high = UNSURE
    unsure = (hair > low) & (hair < high)
    if not unsure.any() or not (hair > SURE).any():
        return mattes
    lab: Planes = np.asarray(
        cv2.cvtColor(np.ascontiguousarray(picture.transpose(1, 2, 0)), cv2.COLOR_RGB2LAB), np.float32
    )
    doubt = ((YIELDS[1] - hair) / (YIELDS[1] - YIELDS[0])).clip(0, 1)
    others = {name: _distance(lab, mattes[BASE.index(name)], FAR / 2, *how[1:]) for name, how in AGAINST.items()}
    same = (1 - cv2.blur(others["rest"], (5, 5))).clip(0, 1)  # flat, and like what lies behind
    sure = ((hair - 0.5) / 0.45).clip(0, 1)
    own = _distance(lab, sure, FAR, SPREAD)
    evidence = np.full_like(hair, SUREST)
    for name, other in others.items():
        weight = AGAINST[name][0] * doubt
        evidence = np.minimum(evidence, np.where(other > own, 1, weight) * (other - own))
    unlike = _distance(lab, sure, None, SPREAD) / UNLIKE
    evidence = np.minimum(evidence, SUREST * (1 - 2 * same * unlike)).clip(-SUREST, SUREST)
    seen = mattes[BASE.index("rest")] / (1 - hair).clip(1e-4)  # shadows on skin are dark, too
    evidence = np.minimum(evidence, ON_SKIN + (SUREST - ON_SKIN) * seen)
    odds = np.log(hair.clip(1e-4, 1 - 1e-4) / (1 - hair.clip(1e-4, 1 - 1e-4)))
    new = np.where(unsure, 1 / (1 + np.exp(-odds - evidence)), hair)
    _, numbers = cv2.connectedComponents((new > JOINED).astype(np.uint8))
    joined = np.isin(numbers, np.unique(numbers[(hair > SURE) & (numbers > 0)])).astype(np.uint8)
    lone = unsure & (cv2.dilate(joined, np.ones((5, 5), np.uint8)) == 0)
    hue = _distance(lab * np.array([0, 1, 1], np.float32), sure, None, SPREAD) / UNLIKE  # thin locks are light, too
    evidence = np.minimum(evidence, ALONE * (hair > LIKELY)) - SUREST * hue
    new = np.where(lone, 1 / (1 + np.exp(-odds - evidence)), new)
    others = mattes[1 : len(BASE)] * ((1 - new) / (1 - hair).clip(1e-4))
    return np.concatenate([new[None], others, mattes[len(BASE) :]]).astype(np.float32)


def without_scarce(parts: Parts) -> Parts:
    """Take away hair of which there is almost none: what shines on a bald head."""
    low, high = SCARCE_HAIR
    share = min(1.0, max(0.0, float((parts["hair"] > 0.5).mean() - low) / (high - low)))
    if share == 1:
        return parts
    mattes = parts.mattes.copy()
    mattes[BASE.index("skin")] += (1 - share) * mattes[0]
    mattes[0] *= share
    return replace(parts, mattes=mattes)


def _distance(lab: Planes, matte: Planes, radius: float | None, spread: float, least: float = -1.0) -> Planes:
    """Measure how far colours are from a part's: (S, S, 3) and (S, S) -> (S, S), at most ``UNLIKE``.

    Half the squared distance in ``spread`` from its colours around, or everywhere for no ``radius``; ``UNLIKE`` where
    there is no more than ``least`` of the part around.
    """
    weight = cv2.resize(cv2.pow(matte, 4), None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    if weight.sum() < 1 / 16:
        return np.full_like(matte, UNLIKE)
    sums = cv2.resize(lab * cv2.pow(matte, 4)[..., None], None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    around = sums.sum(axis=(0, 1)) / weight.sum()
    if radius is None:
        return _halved(lab - around.astype(np.float32), spread)
    for reach in (4 * radius, radius):  # farther away, where there is little around
        near = cv2.GaussianBlur(sums, (0, 0), reach / 4)
        share = cv2.GaussianBlur(weight, (0, 0), reach / 4)
        around = (near + SCARCE * around) / (share + SCARCE)[..., None]
    distance = _halved(lab - cv2.resize(around, matte.shape[::-1], interpolation=cv2.INTER_LINEAR), spread)
    if least >= 0:
        distance[cv2.resize(share, matte.shape[::-1], interpolation=cv2.INTER_LINEAR) <= least] = UNLIKE
    return distance


def _halved(difference: Planes, spread: float) -> Planes:
    """Compute half the squared length of differences (S, S, 3) in ``spread``: (S, S), at most ``UNLIKE``."""
    squared = cv2.transform(difference * difference, np.full((1, 3), 1 / (2 * spread**2)))
    return np.asarray(np.minimum(squared, UNLIKE), np.float32)
