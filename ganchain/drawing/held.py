"""Studies of a face in a video: what is measured of it holds still from frame to frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ganchain.drawing.paths import Knots, Planes
from ganchain.drawing.study import Study
from ganchain.faces.reading import Hold

JUMP = 1.2  # strength of dark lines by which a place changes at once


def study_of(picture: Planes, points: Knots, mattes: Mapping[str, Planes], hold: Hold | None) -> Study:
    """Make the study of a face: of one in a video, where there is ``hold``."""
    return Study(picture, points, mattes) if hold is None else HeldStudy(picture, points, mattes, hold=hold)


@dataclass(eq=False, kw_only=True)
class HeldStudy(Study):
    """Study whose colours, light and lines are held still.

    Attributes:
        hold: holds them.
    """

    hold: Hold

    def steady(self, name: str, value: Planes, jump: float) -> Planes:
        return np.asarray(self.hold(name, value, jump), np.float32)

    @cached_property
    def skin(self) -> Planes:
        return np.asarray(self.hold("skin", super().skin), np.float32)

    @cached_property
    def hair(self) -> Planes:
        return np.asarray(self.hold("hair", super().hair), np.float32)

    @cached_property
    def exposure(self) -> float:
        return float(self.hold("exposure", np.array(super().exposure)))

    @cached_property
    def ink(self) -> Planes:
        return self.steady("ink", super().ink, JUMP)
