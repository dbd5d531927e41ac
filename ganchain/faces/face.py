"""Face: one detected person."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganchain.errors import FaceError
from ganchain.faces.parts import Parts
from ganchain.faces.reading import Reading
from ganchain.framing import TEMPLATE
from ganchain.tensors import ByContent

Matrix = NDArray[np.float64]  # (2, 3)


@dataclass(frozen=True, eq=False)
class Face(ByContent):
    """Face of one detected person.

    Attributes:
        box: left, top, right, bottom in px of the photo.
        score: the detector's score; higher is surer, true faces lie mostly above 0.5.
        landmarks: (5, 2) x, y in px: two corners of each eye and the base of the nose.
        turned: degrees by which the photo was turned, counterclockwise, for the face to be found; 0 for nearly all.
        left_out: why this detection is not edited; None for a face that is.
        share: 0..1, how much of its edits is shown; less than 1 where a face of a video comes and goes.
        reading: what is read of the face when it is asked for; None where no pipeline found it.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: NDArray[np.float64] = field(repr=False)
    left_out: str | None = None
    turned: int = 0
    share: float = 1.0
    reading: Reading | None = field(default=None, repr=False, compare=False)

    @property
    def size(self) -> float:
        """The longer side of the box in px."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])

    @property
    def eye_distance(self) -> float:
        """Px between the middles of the eyes."""
        return float(np.linalg.norm(self.landmarks[:2].mean(axis=0) - self.landmarks[2:4].mean(axis=0)))

    @property
    def placement(self) -> Matrix:
        """The (2, 3) matrix from the template to px of the photo."""
        return similarity(self.landmarks)

    @property
    def points(self) -> NDArray[np.float64]:
        """The 478 points of ``ganchain.faces.mesh``, (478, 2) x, y in px of the photo; read when first asked for."""
        matrix = self.placement
        points: NDArray[np.float64] = self._reading.points.places @ matrix[:, :2].T + matrix[:, 2]
        return points

    @property
    def confidence(self) -> float:
        """Confidence, 0..1, of the network that reads the points that there is a face."""
        return self._reading.points.confidence

    @property
    def parts(self) -> Parts:
        """The mattes of hair, beard, skin, rest, glasses and covers; read when first asked for."""
        return self._reading.parts

    @property
    def _reading(self) -> Reading:
        """The reading; raises FaceError where there is none."""
        if self.reading is None:
            raise FaceError("points and parts are read for the faces that a pipeline edits, not for this one")
        return self.reading

    def record(self, *, points: bool) -> dict[str, Any]:
        """Describe the face in JSON, places in px of the photo; ``points``: with the 478, if it is not left out."""
        fields = {
            "box": [round(edge, 1) for edge in self.box],
            "score": round(self.score, 3),
            "landmarks": self.landmarks.round(1).tolist(),
            "left_out": self.left_out,
        }
        if self.turned:
            fields["turned"] = self.turned
        return {**fields, "points": self.points.round(1).tolist()} if points and self.left_out is None else fields

    def enlarged(self, factor: float) -> Face:
        """Return this face in the photo enlarged ``factor`` times (pixel centres at whole numbers)."""
        left, top, right, bottom = ((edge + 0.5) * factor - 0.5 for edge in self.box)
        return replace(self, box=(left, top, right, bottom), landmarks=(self.landmarks + 0.5) * factor - 0.5)


def similarity(landmarks: NDArray[np.float64], template: NDArray[np.float64] = TEMPLATE) -> Matrix:
    """Fit the (2, 3) least-squares similarity, template -> photo px (Umeyama 1991), without reflection.

    ``landmarks`` are the photo's points, (N, 2), in the template's order.
    """
    source, target = template.mean(axis=0), landmarks.mean(axis=0)
    a, b = template - source, landmarks - target
    norm = (a * a).sum()
    cos = (a * b).sum() / norm
    sin = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / norm
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([turn, target - turn @ source])
