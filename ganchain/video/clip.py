"""Clips: what is known of a video, and the frames that are read of it, upright and in RGB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ganchain.tensors import ByContent, Pixels
from ganchain.video.colours import Colours


@dataclass(frozen=True, eq=False)
class Frame(ByContent):
    """One frame.

    Attributes:
        number: from 0.
        pts: when it is shown, in the clip's time base.
        duration: how long, in the same unit.
        pixels: (H, W, 3) uint8 RGB, upright.
        alpha: (H, W) uint8; None for an opaque video.
    """

    number: int
    pts: int
    duration: int
    pixels: Pixels
    alpha: NDArray[np.uint8] | None = None

    def flat(self) -> Pixels:
        """Return the frame on black, as far as it is transparent."""
        if self.alpha is None:
            return self.pixels
        return np.asarray(self.pixels * (self.alpha[..., None] / np.float32(255)), np.uint8)


@dataclass(frozen=True)
class Clip:
    """Facts of a video that are known before its frames are read.

    Attributes:
        path: the file or the folder.
        size: width and height of the upright frames.
        time_base: seconds of one unit of time.
        rate: frames a second, on average.
        alpha: whether frames are transparent in places.
        colours: how colours are stored, as far as they are in YUV.
        aspect: width of a px / its height.
        turned: degrees, counterclockwise, by which its frames are turned to stand upright.
    """

    path: Path
    size: tuple[int, int]
    time_base: Fraction
    rate: Fraction
    alpha: bool = False
    colours: Colours = field(default_factory=Colours)
    aspect: Fraction = Fraction(1)
    turned: int = 0

    def seconds(self, pts: int) -> float:
        """Convert a time to seconds."""
        return float(pts * self.time_base)


class Source(Protocol):
    """Interface of what frames are read from: a container, an animation or a folder.

    Attributes:
        clip: what is known of it.
        problems: what could not be read so far, in words.
        exact: whether colours are those of the standard to the level; for finding faces they need not be.
    """

    clip: Clip
    problems: list[str]
    exact: bool

    def frames(self, first: int = 0) -> Iterator[Frame]:
        """Read all frames from number ``first`` on."""
        ...
