"""Skin that nothing lies before: strands and flowers that the mattes of a face miss are found by their edges."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Planes = NDArray[np.float32]

COARSE = 0.03  # share of the map's side: finer than this is a strand, or the edge of something
ODD = 9.0  # Lab by which it differs from the skin around
SHADE = 0.6  # how much lightness counts in that beside colour
GROWN = 0.016  # share of the side by which what was found is enlarged
SEEN = 0.5  # share from which skin is seen
KEPT = 0.5  # share from which a place counts as one where edges are no sign


def uncovered(lab: Planes, seen: Planes, kept: Planes) -> Planes:
    """Leave out of the skin what hangs together with something that is no skin, and has edges.

    Makeup fades, or it is near the eyes and on the lips; strands begin in the hair, and flowers go on beyond the face.

    Args:
        lab: (S, S, 3), a face on the common map.
        seen: (S, S) 0..1, where the mattes show skin.
        kept: (S, S) 0..1, where edges are no sign: eyes, brows and lips.

    Returns:
        (S, S) 0..1.
    """
    size = len(lab)
    sigma = COARSE * size
    plain = seen * (1 - kept)
    total = cv2.GaussianBlur(plain, (0, 0), sigma)[..., None] + 1e-3
    around = cv2.GaussianBlur(lab * plain[..., None], (0, 0), sigma) / total
    edges = np.linalg.norm((lab - around) * np.array((SHADE, 1, 1), np.float32), axis=2)
    hidden = seen < SEEN
    odd = (edges > ODD) & (kept < KEPT) & ~hidden
    _, numbers = cv2.connectedComponents((odd | hidden).astype(np.uint8), connectivity=8)
    before = odd & np.isin(numbers, np.unique(numbers[hidden]))
    side = 2 * round(GROWN * size / 2) + 1
    grown = cv2.dilate(before.astype(np.float32), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    return np.asarray(seen * (1 - grown), np.float32)
