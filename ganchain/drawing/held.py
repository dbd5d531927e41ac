"""Studies of a face in a video: what is measured of it holds still from frame to frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ganchain.drawing.flats import nearest
from ganchain.drawing.paths import Knots, Planes
from ganchain.drawing.study import Study
from ganchain.faces.reading import Hold

UNFIT, AT_ONCE = 4.0, 1e-3  # mean distance in Lab from which colours are chosen anew; a jump that all is
JUMP = 1.2  # strength of dark lines by which a place changes at once


def study_of(picture: Planes, points: Knots, mattes: Mapping[str, Planes], hold: Hold | None) -> Study:
    """Make the study of a face: of one in a video, where there is ``hold``."""
    return Study(picture, points, mattes) if hold is None else HeldStudy(picture, points, mattes, hold=hold)


def held_colours(seen: Planes, hold: Hold | None, choose: Callable[[Planes], Sequence[Planes]]) -> Sequence[Planes]:
    """Choose the colours of a ground; along a video, those of the frame before go on while they fit.

    Args:
        seen: (N, 3) Lab.
        hold: holds them; None in a photo.
        choose: chooses them anew.
    """
    former = None if hold is None else hold.last("ground")
    if hold is None or former is None:
        colours = choose(seen)
        return colours if hold is None else list(hold("ground", np.stack(colours), AT_ONCE))
    numbers = nearest(seen, [*former])
    if float(np.linalg.norm(seen - former[numbers], axis=1).mean()) > UNFIT:
        return list(hold("ground", np.stack(choose(seen)), AT_ONCE))
    counts = np.bincount(numbers, minlength=len(former))
    sums = np.stack([np.bincount(numbers, seen[:, k], len(former)) for k in range(3)], axis=1)
    means = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], former)
    return list(hold("ground", means.astype(np.float32)))


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
