"""Cuts between scenes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.tensors import Pixels

SMALL = (64, 36)  # px of the copies that are compared
LEAST = 18.0  # levels by which frames on both sides of a cut differ at least, on average
TIMES = 2.5  # how much more that is than the frames before the cut differed from each other
WINDOW = 8  # of these frames


class CutFinder:
    """Finder of cuts: a frame that differs much more from the one before than those before it did from each other.

    (The adaptive detector of PySceneDetect, but without frames that follow.)

    Attributes:
        last: the small copy of the last frame; None before the first.
        changes: how much the frames before differed.
    """

    def __init__(self, last: NDArray[np.int16] | None = None, changes: Iterable[float] = ()) -> None:
        self.last = last
        self.changes = deque(changes, WINDOW)

    def record(self) -> dict[str, Any]:
        """Describe the finder in JSON, exactly."""
        return {"last": None if self.last is None else self.last.tolist(), "changes": list(self.changes)}

    @classmethod
    def restored(cls, record: dict[str, Any]) -> CutFinder:
        """Make the finder that ``record`` described."""
        return cls(None if record["last"] is None else np.array(record["last"], np.int16), record["changes"])

    def __call__(self, pixels: Pixels) -> bool:
        """Say whether a new scene begins with this frame, (H, W, 3) uint8; the first frame begins none."""
        reduced = cv2.resize(pixels, SMALL, interpolation=cv2.INTER_AREA)
        small = np.asarray(cv2.cvtColor(reduced, cv2.COLOR_RGB2HSV)).astype(np.int16)
        last, self.last = self.last, small
        if last is None:
            return False
        apart = np.abs(small - last)
        apart[..., 0] = np.minimum(apart[..., 0], 180 - apart[..., 0])  # hues are a circle
        change = float(apart.mean())
        usual = float(np.median(self.changes)) if self.changes else 0.0
        cut = change > max(LEAST, TIMES * usual)
        if cut:
            self.changes.clear()
        else:
            self.changes.append(change)
        return cut
