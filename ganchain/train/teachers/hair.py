"""Teacher of hair mattes, without a network: GrabCut (Rother et al. 2004), seeded from landmarks and the skin's colour.

It fails on some heads and says so. Only a matte that looks like hair is trusted everywhere; the others are trusted only
where there can be no hair. The student (``ganchain.train.hair``) learns that and generalises.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.tensors import Pixels
from ganchain.train.teachers.head import Head, Mask

Floats = NDArray[np.float32]

DIFFERENT = 2.5  # distance from which a colour counts as another one


@dataclass(frozen=True, eq=False)
class Matte:
    """Matte with the parts of it that can be trusted.

    Attributes:
        hair: (H, W) float32 0..1, the share of hair in each pixel.
        backdrop: (H, W) float32 0..1, plain background, for putting another one there.
        known: (H, W) bool, where ``hair`` is right: everywhere if it looks like hair (area, smoothness,
            distance in colour from skin and background), else only where there can be none.
    """

    hair: Floats
    backdrop: Floats
    known: Mask


def matte(pixels: Pixels, points: NDArray[np.float64]) -> Matte:
    """Cut out the hair of one aligned head: (H, W, 3) uint8 RGB and its (68, 2) landmarks in px."""
    head = Head(points, pixels.shape[:2])
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).astype(np.float32)
    skin = colour_distance(lab, _skin_colours(lab, head), (14, 5, 5))
    backdrop = colour_distance(lab, _clusters(lab[head.edge()], 4), (9, 4, 4))
    cap, empty = head.cap(), np.zeros(head.shape, np.float32)
    unexplained = (skin > DIFFERENT) & (backdrop > DIFFERENT)
    seeds = _connected_parts(cap & unexplained, cap)
    behind = _connected_parts((backdrop < DIFFERENT) & ~head.body(), head.edge())
    no_hair = head.face() | ~head.region() | _bare_skin(lab, head) | _open(behind & (backdrop < 0.8), 7)
    if float(seeds.sum()) < 0.2 * cap.sum():
        return Matte(empty, empty, no_hair)
    mask = _connected_parts(_grabcut(pixels, lab, head, seeds, skin, backdrop), seeds)
    guide = np.asarray(lab[..., 0] / 255, np.float32)
    hair = _remove_skin(guided_filter(guide, mask.astype(np.float32)), lab, skin, head)
    plain = guided_filter(guide, (behind & ~mask).astype(np.float32)) * (1 - hair)
    signs = quality_signs(hair, unexplained & head.upper(), lab, head).values()
    if not all(low <= value <= high for value, low, high in signs):
        return Matte(np.where(no_hair, 0, hair).astype(np.float32), plain, no_hair)
    return Matte(hair, plain, np.ones(head.shape, bool))


def _skin_colours(lab: Floats, head: Head) -> Floats:
    """Read the colours of cheeks and nose, and of the forehead unless a fringe darkens it: (K, 3)."""
    cheeks = np.median(lab[head.skin_sample()], axis=0)
    forehead = lab[head.forehead()]
    bright = np.quantile(forehead, [0.5, 0.85], axis=0)
    return np.stack([cheeks, *bright[bright[:, 0] > cheeks[0] - 20]]).astype(np.float32)


def _bare_skin(lab: Floats, head: Head) -> Mask:
    """Find forehead and bald crown: the colour of skin, and smooth as hair never is."""
    skin = colour_distance(lab, _skin_colours(lab, head)[:2], (16, 4, 4))
    texture = lab[..., 0] - cv2.GaussianBlur(lab[..., 0], (0, 0), 2.0)
    rough = np.sqrt(cv2.GaussianBlur(texture * texture, (0, 0), 3.0))
    inner = head.ellipse(head.top[0], float(head.points[30, 1]), 0.5 * head.width, 1.1 * head.height)
    return _open(head.upper() & inner & (skin < 1.6) & (rough < 3), 5)


def _open(mask: Mask, size: int) -> Mask:
    """Remove the parts of ``mask`` that are narrower than ``size`` px."""
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((size, size), np.uint8)) > 0)


def colour_distance(lab: Floats, colours: Floats, spread: tuple[float, float, float]) -> Floats:
    """Measure each pixel's distance to the nearest of ``colours`` (K, 3), in units of ``spread`` (L, a, b): (H, W)."""
    offset = (lab[:, :, None] - colours) / np.array(spread, np.float32)
    return np.asarray(np.sqrt(np.square(offset).sum(axis=3).min(axis=2)), np.float32)


def _clusters(colours: Floats, count: int) -> Floats:
    """Find the ``count`` main colours (k-means), without those of fewer than 5 % of the pixels: (K, 3)."""
    if count == 1:
        return np.median(colours, axis=0)[None].astype(np.float32)
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_MAX_ITER, 20, 0.0)
    empty = np.empty((0, 0), np.int32)
    _, labels, centres = cv2.kmeans(colours, count, empty, criteria, 2, cv2.KMEANS_PP_CENTERS)
    share = np.bincount(labels[:, 0], minlength=count) / len(colours)
    return np.asarray(centres[share > 0.05], np.float32)


def _grabcut(pixels: Pixels, lab: Floats, head: Head, seeds: Mask, skin: Floats, backdrop: Floats) -> Mask:
    """Find the border of the hair by GrabCut, starting from pixels of the seeds' colour that are connected to them."""
    hair = colour_distance(lab, _clusters(lab[seeds], 3), (13, 5, 5))
    region = head.region() & ~head.face() & (skin > 0.6 * DIFFERENT)
    likely = region & (hair < DIFFERENT) & (hair < skin) & (hair < backdrop)
    likely = _connected_parts(likely | seeds, seeds)
    labels = np.full(head.shape, cv2.GC_BGD, np.uint8)
    near = cv2.dilate(likely.astype(np.uint8), np.ones((21, 21), np.uint8)).astype(bool)
    labels[region & near] = cv2.GC_PR_BGD
    labels[likely] = cv2.GC_PR_FGD
    labels[seeds & (hair < DIFFERENT)] = cv2.GC_FGD
    models = np.zeros((2, 1, 65), np.float64)
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    cv2.setRNGSeed(0)
    cv2.grabCut(bgr, labels, None, models[0], models[1], 5, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    mask: Mask = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    return mask


def _connected_parts(mask: Mask, seeds: Mask) -> Mask:
    """Return the largest part of ``mask`` that touches ``seeds``, and others at least three tenths as large."""
    opened = _open(mask, 3).astype(np.uint8)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    touching = {k: stats[k, cv2.CC_STAT_AREA] for k in range(1, count) if (seeds & (parts == k)).any()}
    return np.isin(parts, [k for k, area in touching.items() if area >= 0.3 * max(touching.values())])


def guided_filter(guide: Floats, alpha: Floats, radius: int = 4) -> Floats:
    """Soften a mask along the edges of ``guide`` (guided filter, He et al. 2010): (H, W) 0..1."""

    def mean(x: Floats) -> Floats:
        return np.asarray(cv2.blur(x, (2 * radius + 1, 2 * radius + 1)), np.float32)

    guide_mean, alpha_mean = mean(guide), mean(alpha)
    covariance = mean(guide * alpha) - guide_mean * alpha_mean
    slope = np.asarray(covariance / (mean(guide * guide) - guide_mean**2 + 1e-3), np.float32)
    offset = np.asarray(alpha_mean - slope * guide_mean, np.float32)
    return np.asarray(np.clip(mean(slope) * guide + mean(offset), 0, 1), np.float32)


def _remove_skin(hair: Floats, lab: Floats, skin: Floats, head: Head) -> Floats:
    """Take the skin out of the matte's rim beside the face, by the share of hair in a mixture of both colours."""
    if not (hair > 0.9).any():
        return hair
    bare, full = lab[head.skin_sample()].mean(axis=0), lab[hair > 0.9].mean(axis=0)
    share = np.clip((lab - bare) @ (full - bare) / np.square(full - bare).sum() / 0.7, 0, 1)
    inner = head.ellipse(head.top[0], float(head.points[30, 1]), 0.6 * head.width, 1.0 * head.height)
    face = ((skin < DIFFERENT) & (hair < 0.9) & inner).astype(np.uint8)
    beside = cv2.dilate(face, np.ones((11, 11), np.uint8)).astype(bool)
    return np.where(beside, np.minimum(hair, share), hair).astype(np.float32)


def quality_signs(alpha: Floats, missed: Mask, lab: Floats, head: Head) -> dict[str, tuple[float, float, float]]:
    """Measure the signs of a good matte: name -> (value, lowest, highest) of a good one.

    ``missed``: pixels of the upper head that neither skin nor background explains; hair should cover them.
    """
    hair = alpha > 0.5
    count = max(int(hair.sum()), 1)
    contours, _ = cv2.findContours(hair.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    near = cv2.dilate(hair.astype(np.uint8), np.ones((25, 25), np.uint8)).astype(bool)
    surroundings = near & ~hair & ~head.face() & head.rows(0, float(head.points[30, 1]))
    colour = lab[hair].mean(axis=0) if hair.any() else np.zeros(3)
    skin, backdrop = (lab[sample].mean(axis=0) for sample in (head.skin_sample(), surroundings))
    below = head.rows(float(head.points[8, 1]), 9999)
    return {
        "area": (count / (head.width * head.height), 0.15, 2.5),
        "roughness": (sum(map(len, contours)) / count**0.5, 0.0, 13.0),
        "symmetry": (float((hair & hair[:, ::-1]).sum() / count), 0.45, 1.0),
        "from skin": (float(np.linalg.norm(colour - skin)), 25.0, 999.0),
        "from backdrop": (float(np.linalg.norm(colour - backdrop)), 22.0, 999.0),
        "missed": (float((missed & ~hair).sum() / count), 0.0, 0.26),
        "spread": (float(lab[hair].std(axis=0).sum()) if hair.any() else 99.0, 0.0, 55.0),
        "soft": (float((np.abs(alpha - 0.5) < 0.3).sum() / count), 0.0, 0.35),
        "below chin": (float((hair & below).sum() / count), 0.0, 0.42),
    }
