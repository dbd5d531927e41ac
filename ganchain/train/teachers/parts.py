"""Teacher of the parts: soft mattes of hair, facial hair and skin from two segmenters, 478 points and colour.

Two segmentation networks give hair and person, a network of points gives the face. Skin is what has the face's own
colour and hangs together with it; facial hair is what differs from the cheeks inside the zone where beards grow,
on faces marked as bearded by hand. Where the rules are not sure nothing is known, and nothing is learnt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.faces.mesh import OVAL
from ganchain.faces.regions import filled
from ganchain.faces.zones import BEARD, JAW

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
RIGHT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
LEFT_EYE = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
RIGHT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
LEFT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
MOUSTACHE = (98, 2, 327, 426, 436, 432, 287, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185, 61, 57, 212, 216, 206)
GOATEE = (98, 2, 327, 426, 436, 432, 430, 394, 378, 400, 377, 152, 148, 176, 149, 169, 210, 212, 216, 206)
MASK = (
    *(234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454),
    *(347, 343, 6, 114, 118),
)
CHEEKS = (50, 205, 36, 101, 118, 280, 425, 266, 330, 347, 4, 5, 195)


@dataclass(frozen=True, eq=False)
class Parts:
    """Mattes of one head and where they are to be believed, all (H, W) float32 0..1.

    Attributes:
        hair, beard, skin: shares of the pixel; what is left is clothes and background.
        known: how much the four shares count.
    """

    hair: Floats
    beard: Floats
    skin: Floats
    known: Floats


def region(points: Floats, indices: Sequence[int], size: int) -> Floats:
    """Draw the polygon of ``indices`` of the (478, 2) ``points`` in pixels: (size, size) 0..1, anti-aliased."""
    return filled(points[list(indices)], size)


def beard_zone(points: Floats, size: int) -> Floats:
    """Draw where a full beard grows, the strip below the jaw included and the lips left out: (size, size) 0..1."""
    width = float(np.linalg.norm(points[454] - points[234]))
    zone = region(points, BEARD, size)
    lower = points[list(JAW)] + np.array([0, 0.13 * width], np.float32)
    below = np.concatenate([points[list(JAW)], lower[::-1]])
    zone = np.maximum(zone, filled(below, size))
    return np.asarray(np.minimum(zone, 1 - region(points, LIPS, size)), np.float32)


def parts(
    pixels: NDArray[np.uint8], points: Floats, hair: Floats, person: Floats, beard: str, bald: bool, hat: bool = False
) -> Parts:
    """Label one aligned head.

    Args:
        pixels: (H, H, 3) uint8 RGB.
        points: (478, 2) in pixels.
        hair, person: (H, H) 0..1 from the segmenters.
        beard: the hand mark: none, stubble, moustache, goatee, full or long.
        bald, hat: whether the hand mark says that there is no hair at all, or a hat.
    """
    size = pixels.shape[0]
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).astype(np.float32)
    oval, zone = region(points, OVAL, size), beard_zone(points, size)
    width, chin = float(np.linalg.norm(points[454] - points[234])), float(points[152, 1])
    known = np.ones((size, size), np.float32)
    hair = np.zeros_like(hair) if bald else hair.copy()

    facial = np.zeros_like(hair)
    wide = _wide(zone, points, width, size)
    if beard == "none":
        hair = hair * (1 - _soft(region(points, MOUSTACHE + LIPS, size), 2))
    elif beard == "stubble":  # neither skin nor a beard
        known[(wide > 0.3) & ((hair > 0.15) | (zone > 0.3))] = 0
        hair = hair * (1 - wide)
    else:
        facial, sure = _beard(lab, points, hair, wide, zone, beard)
        hair = hair * (1 - wide)
        known = np.minimum(known, sure)

    skin, sure, distance = _skin(lab, points, np.maximum(hair, facial), person, oval, width, chin)
    brows = float(points[[70, 300], 1].mean())
    above = (np.arange(size)[:, None] < brows) & (np.maximum(oval, skin) < 0.5)
    missed = above & (person > 0.4) & (hair < 0.5)
    if not bald and not hat:  # what stands above the brows, is the person and not skin is hair
        crown = missed & (distance > 1.0) & (person > 0.8)
        crown = cv2.morphologyEx(crown.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)) > 0
        hair = np.where(crown, np.maximum(hair, 0.95), hair).astype(np.float32)
        missed &= ~crown
    rest = np.clip(1 - hair - facial, 0, 1)
    skin = np.minimum(skin, rest)
    known = np.minimum(known, sure)
    known[missed] = 0  # hair that nobody found, or a hat
    unsure = np.asarray(cv2.GaussianBlur(4 * hair * (1 - hair), (0, 0), 3), np.float32)
    return Parts(hair, facial, skin, np.asarray(known * (1 - 0.8 * np.clip(unsure, 0, 1)), np.float32))


def _soft(mask: Floats, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma), np.float32)


def _wide(zone: Floats, points: Floats, width: float, size: int) -> Floats:
    """Draw the zone of beards and the place below the chin where long ones hang. (size, size) 0..1."""
    left, right, chin = points[172], points[397], points[152]
    drop = np.array([0, 0.75 * width], np.float32)
    hang = filled(np.stack([left, chin, right, right + drop, left + drop]).astype(np.float32), size)
    return np.asarray(_soft(np.maximum(zone, hang * (1 - region(points, LIPS, size))), 1.5), np.float32)


def _beard(lab: Floats, points: Floats, hair: Floats, wide: Floats, zone: Floats, kind: str) -> tuple[Floats, Floats]:
    """Make the matte of a beard that is there, and where it is sure: what differs from the cheeks' colour."""
    size = lab.shape[0]
    cheeks = np.median(_sample(lab, points, CHEEKS), axis=0)
    blurred = cv2.GaussianBlur(lab, (0, 0), 1.2)
    light = blurred[..., 0] - cheeks[0]
    chroma = np.linalg.norm(blurred[..., 1:] - cheeks[1:], axis=2)
    rough = np.sqrt(cv2.GaussianBlur(np.square(lab[..., 0] - cv2.GaussianBlur(lab[..., 0], (0, 0), 2.5)), (0, 0), 3))
    distance = np.maximum(-light, 0.35 * light) / 38 + chroma / 26 + np.clip(rough - 4, 0, 8) / 14
    share = np.clip((distance - 0.55) / 0.55, 0, 1).astype(np.float32)
    place = {"moustache": MOUSTACHE, "goatee": GOATEE}.get(kind)
    free = np.asarray(wide if kind == "long" else zone, np.float32)
    within = (
        free if place is None else np.minimum(_soft(region(points, place, size), 2), 1 - region(points, LIPS, size))
    )
    matte = np.maximum(share * within, np.asarray(hair * wide, np.float32))
    if kind in ("full", "long"):
        core = region(points, GOATEE, size) * (1 - _soft(region(points, LIPS, size), 1))
        matte = np.maximum(matte, np.clip((distance - 0.35) / 0.3, 0, 1).astype(np.float32) * core * zone)
    matte = np.asarray(_soft(matte.astype(np.float32), 0.8), np.float32)
    doubtful = (matte > 0.25) & (matte < 0.75) & (wide > 0.2)
    rows = np.arange(size)[:, None]
    doubtful |= (wide > 0.3) & (matte < 0.75) & (rows > points[152, 1]) & (kind != "moustache")
    if place is not None:
        doubtful |= (zone > 0.3) & (within < 0.5) & (share > 0.4)
    sure = np.where(doubtful, 0.0, 1.0).astype(np.float32)
    return matte, sure


def _sample(lab: Floats, points: Floats, indices: Sequence[int]) -> Floats:
    size = lab.shape[0]
    x, y = np.clip(np.round(points[list(indices)]).astype(int), 0, size - 1).T
    return np.asarray(cv2.GaussianBlur(lab, (0, 0), 2)[y, x], np.float32)


def _skin(
    lab: Floats, points: Floats, hair: Floats, person: Floats, oval: Floats, width: float, chin: float
) -> tuple[Floats, Floats, Floats]:
    """Find skin of face, ears, bald crown and neck, where it is sure, and how unlike skin pixels are (1: the limit)."""
    size = lab.shape[0]
    inner = (oval > 0.9) & (hair < 0.1)
    for feature in (LIPS, RIGHT_EYE, LEFT_EYE, RIGHT_BROW, LEFT_BROW):
        inner &= cv2.dilate(region(points, feature, size), np.ones((5, 5))) < 0.1
    colours = lab[inner] if inner.sum() > 200 else lab[oval > 0.9]
    middle = np.median(colours, axis=0)
    spread = np.maximum(1.48 * np.median(np.abs(colours - middle), axis=0), (12, 3.5, 4.0))
    smooth = cv2.bilateralFilter(lab.astype(np.float32), 7, 14, 3)
    offset = (smooth - middle) / spread
    darker = offset[..., 0] < 0
    offset[..., 0] = np.where(darker, offset[..., 0] * 0.55, offset[..., 0])  # shadow below the chin
    distance = np.sqrt(np.square(offset).sum(axis=2))
    rows = np.arange(size, dtype=np.float32)[:, None]
    near = _near(points, width, size)
    limit = np.where(rows > chin, 2.9, 3.6)
    like = (distance < limit) & (person > 0.5) & (hair < 0.5) & (near > 0.5)
    like = cv2.morphologyEx(like.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    like = cv2.morphologyEx(like, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)) * (hair < 0.5)
    like = ((like > 0) | (oval > 0.5)).astype(np.uint8)
    _, labels = cv2.connectedComponents(like, connectivity=4)
    nose = labels[int(np.clip(points[4, 1], 0, size - 1)), int(np.clip(points[4, 0], 0, size - 1))]
    skin = (labels == nose).astype(np.float32)
    doubtful = (distance > limit * 0.75) & (distance < limit * 1.7) & (person > 0.4) & (hair < 0.6) & (near > 0.3)
    doubtful &= oval < 0.5
    border = cv2.dilate(skin, np.ones((3, 3))) - cv2.erode(skin, np.ones((3, 3)))
    sure = np.where(doubtful | ((border > 0) & (oval < 0.5) & (rows > chin)), 0.0, 1.0)
    return (
        np.asarray(_soft(np.maximum(skin, oval), 0.7) * (1 - hair), np.float32),
        sure.astype(np.float32),
        distance / limit,
    )


def _near(points: Floats, width: float, size: int) -> Floats:
    """Draw where skin of this head can be: head with ears and crown, neck and what a collar leaves open."""
    centre = points[[234, 454]].mean(axis=0)
    drawn = np.zeros((size, size), np.uint8)
    axes = (round(0.68 * width), round(1.02 * width))
    cv2.ellipse(drawn, (round(float(centre[0])), round(float(centre[1]))), axes, 0, 0, 360, 255, -1)
    jaw = points[[172, 397]]
    spread = np.array([0.35 * width, 0], np.float32)
    foot = np.array([0, 1.4 * width], np.float32)
    neck = np.stack([jaw[0], jaw[1], jaw[1] + foot + spread, jaw[0] + foot - spread]).astype(np.float32)
    return np.maximum(drawn.astype(np.float32) / 255, filled(neck, size))
