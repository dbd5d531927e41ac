"""Face: one detected person."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ganchain.tensors import ByContent


@dataclass(frozen=True, eq=False)
class Face(ByContent):
    """Face of one detected person.

    Attributes:
        box: left, top, right, bottom in px of the photo.
        score: the detector's score; higher is surer, true faces lie mostly above 0.5.
        landmarks: (5, 2) x, y in px: two corners of each eye and the base of the nose.
        left_out: why this detection is not edited; None for a face that is.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: NDArray[np.float64] = field(repr=False)
    left_out: str | None = None

    @property
    def size(self) -> float:
        """The longer side of the box in px."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])

    @property
    def eye_distance(self) -> float:
        """Px between the middles of the eyes."""
        return float(np.linalg.norm(self.landmarks[:2].mean(axis=0) - self.landmarks[2:4].mean(axis=0)))

    def enlarged(self, factor: int) -> Face:
        """Return this face in the photo enlarged ``factor`` times (pixel centres at whole numbers)."""
        left, top, right, bottom = ((edge + 0.5) * factor - 0.5 for edge in self.box)
        return replace(self, box=(left, top, right, bottom), landmarks=(self.landmarks + 0.5) * factor - 0.5)
