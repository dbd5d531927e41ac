"""Readings of faces: points and parts, read once and when they are first asked for.

A reading is kept in the template's units, so it holds for every window of the face and every size of the photo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganchain.faces.parts import PARTS, Parts
from ganchain.framing import Framing
from ganchain.tensors import resampled

Kind = Literal["points", "parts", "busts", "heads"]  # busts: parts of head and shoulders; heads: never beyond
READABLE = ("points", *PARTS)  # what a stage can ask for


class Hold(Protocol):
    """Interface of what brings a measure of a face together with those of the frames before."""

    def __call__(self, name: str, value: NDArray[Any], jump: float = inf) -> NDArray[Any]:
        """Return the measure that is used.

        Args:
            name: of the measure.
            value: a number, some, or a plane in the face's own frame.
            jump: difference that is followed at once; by default none is.
        """
        ...

    def last(self, name: str) -> NDArray[Any] | None:
        """Return the measure that was used last."""
        ...


class Points(NamedTuple):
    """The points of a face (``ganchain.faces.mesh``) and how sure it is that there is a face.

    Attributes:
        places: (478, 2) float64 x, y in the template's units.
        confidence: 0..1; below one half it is no face.
    """

    places: NDArray[np.float64]
    confidence: float

    def within(self, framing: Framing) -> NDArray[np.float32]:
        """Compute the points in a window: (478, 2) float32, -1 and 1 at its edges, as for ``F.grid_sample``."""
        corner = np.array([framing.left, framing.top])
        return ((self.places - corner) * (2 / framing.side) - 1).astype(np.float32)


@dataclass(eq=False)
class Reading:
    """Reading of one face.

    Attributes:
        cut: cuts a window out of the photo: (framing, side) -> (1, 3, side, side) float32 -1..1.
        read: reads a kind of many faces at once, and keeps it in their ``known``.
        known: what was read before.
        shows: tells which px of a window show the photo: (framing, side) -> (side, side), None if all do.
        hold: holds what is measured of this face still; None for a face of a photo.
    """

    cut: Callable[[Framing, int], Tensor] = field(repr=False)
    read: Callable[[Kind, Sequence[Reading]], None] | None = field(default=None, repr=False)
    known: dict[Kind, Points | Parts] = field(default_factory=dict, repr=False)
    shows: Callable[[Framing, int], NDArray[np.bool_] | None] = field(default=lambda *_: None, repr=False)
    hold: Hold | None = field(default=None, repr=False)

    @staticmethod
    def read_all(readings: Sequence[Reading], kind: Kind) -> None:
        """Read a kind of all faces at once, where it was not read yet."""
        if unread := [reading for reading in readings if kind not in reading.known]:
            read = unread[0].read
            assert read is not None, "nobody reads this face"
            read(kind, unread)

    @property
    def points(self) -> Points:
        """The points, read if they were not."""
        answer = self._get("points")
        assert isinstance(answer, Points)
        return answer

    @property
    def parts(self) -> Parts:
        """The parts, read if they were not."""
        answer = self._get("parts")
        assert isinstance(answer, Parts)
        return answer

    def within(
        self, framing: Framing, picture: Tensor, names: Sequence[str], finest: int | None = None
    ) -> dict[str, Tensor]:
        """Give a stage what it asks for, in its window.

        Args:
            framing: the window.
            picture: (1, 3, S, S) float32 -1..1, what the window shows.
            names: of ``READABLE``.
            finest: the side that parts have at most.

        Returns:
            By name: the points, (1, 478, 2) float32, -1 and 1 at the window's edges; a part, (1, 1, S, S) 0..1.
            Beyond the photo's edge all is "rest".
        """
        answer = {"points": torch.from_numpy(self.points.within(framing))[None]} if "points" in names else {}
        parts = [name for name in names if name != "points"]
        if parts:
            side = min(picture.shape[-1], finest or picture.shape[-1])
            mattes = self.parts.within(framing, resampled(picture, (side, side)), parts)
            shown = self.shows(framing, mattes.shape[3])
            if shown is not None:
                rest = torch.tensor([float(name == "rest") for name in parts])[None, :, None, None]
                mattes = torch.where(torch.from_numpy(shown), mattes, rest)
            answer |= zip(parts, torch.split(mattes, 1, dim=1), strict=True)
        return answer

    def _get(self, kind: Kind) -> Points | Parts:
        self.read_all([self], kind)
        return self.known[kind]


@dataclass(frozen=True, eq=False)
class Seen:
    """Face in a whole photo, as a stage is given it that draws the photo with its faces.

    Attributes:
        picture: (1, 3, S, S) float32 -1..1, the stage's window of the photo as it is now.
        read: what ``reads`` names, as for ``forward``.
        matrix: (2, 3), px of ``picture`` -> px of the photo; centres of pixels are whole numbers.
        hold: holds what is measured of it still along a video; None in a photo.
    """

    picture: Tensor
    read: Mapping[str, Tensor]
    matrix: NDArray[np.float64]
    hold: Hold | None = None
