"""Skin that nothing lies before: strands and flowers that the mattes of a face miss are found by their edges."""

from __future__ import annotations

import cv2
import numpy as np

from ganchain.colour.bare import Planes
from ganchain.colour.filters import averaged, disc

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
    around = averaged(lab, seen * (1 - kept), COARSE * size)
    edges = np.linalg.norm((lab - around) * np.array((SHADE, 1, 1), np.float32), axis=2)
    hidden = seen < SEEN
    odd = (edges > ODD) & (kept < KEPT) & ~hidden
    _, numbers = cv2.connectedComponents((odd | hidden).astype(np.uint8), connectivity=8)
    before = odd & np.isin(numbers, np.unique(numbers[hidden]))
    grown = cv2.dilate(before.astype(np.float32), disc(GROWN * size / 2))
    return np.asarray(seen * (1 - grown), np.float32)
