"""Settling of the mattes of hair, where the network leaves them open: by the colours around, and by their amount."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from ganchain.faces.parts import BASE, Parts, Planes

UNSURE = 0.012, 0.97  # mattes of hair between these are settled by the colours around
FAR = 16.0  # px of the mattes: how far around those colours are looked for
SPREAD, UNLIKE = 9.0, 8.0  # of colours in L*a*b*; most that one counts as unlike those of a part
SPREAD_BEHIND = 3.0  # of what lies behind a head, if that is even
MISSED = 0.02, 0.06  # mattes above which px of hair's colour are hair that the network missed, maybe and likely
ROOTS, LEAST = 0.3, 0.01  # how much skin counts against hair: roots are mixed with it; share of it there must be around
TRACE = 0.2  # matte of a part of which there is none
THINNEST = 0.4  # share of hair in the px of a thin lock
YIELDS = 0.4, 0.75  # mattes between which the network holds on to hair that is not quite like the rest: it shines
SUREST, ON_SKIN = 4.5, 0.5  # most that colours add to the log-odds of the network's own answer, and where it sees skin
SCARCE = 2e-3  # of a part: where there is less around, its colours elsewhere count
SURE, JOINED = 0.8, 0.3  # mattes of what surely is hair, and above which neighbouring px hang together with it
SCARCE_HAIR = 0.017, 0.03  # shares of the head's window: less hair than the first is none, more than the second some
LIKELY, ALONE = 0.08, 1.5  # matte of what may be hair though it does not; most that its colours then add
SUM = np.ones((1, 3), np.float32)  # of the channels of a colour


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
    sure = ((hair - 0.5) / 0.45).clip(0, 1)
    behind, _ = _around(lab, mattes[BASE.index("rest")], FAR / 2)
    colours, _ = _around(lab, sure, FAR)
    own = _halved(lab - _between(lab, behind, colours, THINNEST), SPREAD)
    missed = ((hair - MISSED[0]) / (MISSED[1] - MISSED[0])).clip(0, 1) * np.exp(-_halved(lab - colours, SPREAD))
    away = np.square(lab - behind)
    uneven, _ = _around(away, mattes[BASE.index("rest")] * (1 - missed), FAR / 2)
    far, variance = (cv2.transform(plane, SUM) for plane in (away, uneven / 3))
    wall = np.minimum(far / (2 * (SPREAD_BEHIND**2 + variance)), UNLIKE)
    even = np.minimum(far / (2 * SPREAD_BEHIND**2), UNLIKE)
    same = (1 - cv2.blur(even, (3, 3)) / 2).clip(0, 1)  # flat, and like what lies behind
    evidence = np.where(wall > own, 1, doubt) * (wall - own)
    for name in ("beard", "skin"):
        if mattes[BASE.index(name)].max() < TRACE:
            continue
        colours, share = _around(lab, mattes[BASE.index(name)], FAR / 2)
        other = _halved(lab - _between(lab, behind, colours, 0), SPREAD)
        other[share <= LEAST] = UNLIKE
        evidence = np.minimum(evidence, np.where(other > own, 1, ROOTS * doubt) * (other - own))
    mean = lab.reshape(-1, 3).T @ sure.ravel() / sure.sum()
    unlike = _halved(lab - mean, SPREAD) / UNLIKE
    evidence = np.minimum(evidence, SUREST * (1 - 2 * same * unlike)).clip(-SUREST, SUREST)
    seen = mattes[BASE.index("rest")] / (1 - hair).clip(1e-4)  # shadows on skin are dark, too
    evidence = np.minimum(evidence, ON_SKIN + (SUREST - ON_SKIN) * seen)
    hue = _halved((lab - mean) * np.array([0, 1, 1], np.float32), SPREAD) / UNLIKE  # thin locks are light, too
    evidence = evidence - SUREST * hue
    odds = np.log(hair.clip(1e-4, 1 - 1e-4) / (1 - hair.clip(1e-4, 1 - 1e-4)))
    new = np.where(unsure, 1 / (1 + np.exp(-odds - evidence)), hair)
    _, numbers = cv2.connectedComponents((new > JOINED).astype(np.uint8))
    joined = np.isin(numbers, np.unique(numbers[(hair > SURE) & (numbers > 0)])).astype(np.uint8)
    lone = unsure & (cv2.dilate(joined, np.ones((5, 5), np.uint8)) == 0)
    evidence = np.minimum(evidence, ALONE * (hair > LIKELY))
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


def _around(lab: Planes, matte: Planes, radius: float) -> tuple[Planes, Planes]:
    """Estimate a part's colours around each px (S, S, 3), and how much of it there is: (S, S)."""
    power = cv2.pow(matte, 4)
    weight, sums = (
        cv2.resize(plane, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        for plane in (power, lab * power[..., None])
    )
    around = sums.sum(axis=(0, 1)) / (weight.sum() + 1e-6)
    for reach in (4 * radius, radius):  # farther away, where there is little around
        near, share = (cv2.GaussianBlur(plane, (0, 0), reach / 4) for plane in (sums, weight))
        around = (near + SCARCE * around) / (share + SCARCE)[..., None]
    size = matte.shape[::-1]
    return tuple(  # type: ignore[return-value]
        np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), np.float32) for plane in (around, share)
    )


def _between(lab: Planes, behind: Planes, colours: Planes, least: float) -> Planes:
    """Find the mixtures that are nearest to colours (S, S, 3), of at least that share of ``colours``: the same."""
    step = colours - behind
    share = cv2.transform((lab - behind) * step, SUM) / (cv2.transform(step * step, SUM) + 1e-3)
    return np.asarray(behind + share.clip(least, 1)[..., None] * step, np.float32)


def _halved(difference: Planes, spread: float) -> Planes:
    """Compute half the squared length of differences (S, S, 3) in ``spread``: (S, S), at most ``UNLIKE``."""
    squared = cv2.transform(difference * difference, np.full((1, 3), 1 / (2 * spread**2)))
    return np.asarray(np.minimum(squared, UNLIKE), np.float32)
