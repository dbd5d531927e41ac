"""Edits that are carried from frame to frame along optical flow, so that what a network draws does not flicker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.tensors import Pixels

Planes = NDArray[np.float32]
Box = tuple[slice, slice]

MARGIN = 16  # px around what was edited, in which flow is computed too
SAME = 6.0  # levels by which a place may differ from where it came from: half of its edit is carried at 0.83 times that
CARRIED = 0.85  # share of the edit before that is carried on, at most
UNLIKE = 24.0  # levels by which two drawings of a place may differ: tones are carried, lines that have moved are not
SOFT = 3  # px over which the border of what was edited is softened
MEAN = np.full((1, 3), 1 / 3, np.float32)
LARGEST, OF_FACE = 640, 224  # px: the longest side at which flow is computed, of an edited part and around a face


class Carried(NamedTuple):
    """A frame before and after its edits: (H, W, 3) uint8 each, of the same size."""

    before: Pixels
    after: Pixels


class Carrier:
    """Carrier of edits (after Lai et al. 2018 and others before: warp, compare, blend; flow by Kroeger et al. 2016).

    Args:
        steady: 0 carries nothing, 1 most.
        replaces: whether the chain replaces pixels; then pixels are carried, and else their change.
    """

    def __init__(self, steady: float, replaces: bool) -> None:
        self.steady, self.replaces = steady, replaces
        self.last: Carried | None = None

    def __call__(self, before: Pixels, after: Pixels, cut: bool) -> Pixels:
        """Steady one frame.

        Args:
            before: (H, W, 3), the frame as it is, at the size of ``after``.
            after: the frame as it was edited.
            cut: whether a new scene begins with it.
        """
        if not self.steady:
            return after
        last = None if cut or (self.last is not None and self.last.after.shape != after.shape) else self.last
        if last is not None and (box := _edited(before, after, last)) is not None:
            after = after.copy()
            after[box] = self._blend(before[box], after[box], Carried(last.before[box], last.after[box]))
        self.last = Carried(before, after)
        return after

    def _blend(self, before: Pixels, after: Pixels, last: Carried) -> Pixels:
        """Blend the edit of a part of the frame with that of the last one, where the same things are seen."""
        y, x = np.indices(before.shape[:2], dtype=np.float32)
        came = np.asarray(flow_back(before, last.before) + np.dstack([x, y]), np.float32)
        was, edited = (_moved(pixels, came) for pixels in last)
        unlike = np.asarray(cv2.transform(cv2.absdiff(before.astype(np.float32), was), MEAN), np.float32)
        unlike = np.asarray(cv2.GaussianBlur(unlike, (0, 0), 1.5), np.float32)
        weight = np.float32(self.steady * CARRIED) * np.exp(-((unlike / SAME) ** 2))
        change = after.astype(np.float32) - before
        former = edited - was
        own = _largest(change)
        if self.replaces:
            weight = weight * np.exp(-((_largest(edited - after) / UNLIKE) ** 2))
            region = cv2.dilate((own > 0).astype(np.float32), np.ones((2 * SOFT + 1,) * 2, np.uint8))
            weight = weight * cv2.blur(region, (2 * SOFT + 1,) * 2) * (own > 0)
            result = after + weight[..., None] * (edited - after)
        else:
            weight = weight * ((own > 0) | (_largest(former) >= 1))
            result = after + weight[..., None] * (former - change)
        return np.asarray(result.round().clip(0, 255), np.uint8)

    def state(self) -> dict[str, Any]:
        """Return what is carried, as arrays by name."""
        return {} if self.last is None else {"before": self.last.before, "after": self.last.after}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Go back to what ``state`` returned."""
        self.last = Carried(arrays["before"], arrays["after"]) if "before" in arrays else None


def flow_back(now: Pixels, last: Pixels, largest: int = LARGEST) -> Planes:
    """Find how far each px of a picture was from its place in the last one: (H, W, 2) x and y in px.

    Args:
        now, last: (H, W, 3), of the same size.
        largest: px, the longest side at which it is computed.
    """
    height, width = now.shape[:2]
    scale = min(1.0, largest / max(height, width))
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    grey = [cv2.resize(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA) for p in (now, last)]
    # a new one each time: it remembers sizes, and a used one answers otherwise than a new one after a stop
    dis: Any = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)  # type: ignore[attr-defined]
    flow = cv2.resize(dis.calc(*grey, None), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(flow * np.array([width / size[0], height / size[1]], np.float32), np.float32)


def flow_at(points: Planes, size: float, now: Pixels, last: Pixels) -> Planes:
    """Find how far the points of a face have moved since the last frame: (K, 2) px.

    Args:
        points: (K, 2) px of this frame.
        size: of the face in px.
        now, last: (H, W, 3).
    """
    height, width = now.shape[:2]
    left, top = np.floor(points.min(axis=0) - 0.3 * size).astype(int).clip(0, (width - 1, height - 1)).tolist()
    right, bottom = np.ceil(points.max(axis=0) + 0.3 * size).astype(int).clip((left + 1, top + 1), (width, height))
    box = np.s_[top:bottom, left:right]
    flow = flow_back(now[box], last[box], OF_FACE)
    at = (points - (left, top)).astype(np.float32)[None]
    read = cv2.remap(flow, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return -np.asarray(read[0], np.float32)


def _largest(change: Planes) -> Planes:
    """Return the largest change of the three colours: (H, W, 3) -> (H, W)."""
    red, green, blue = cv2.split(np.abs(change))
    return np.maximum(np.maximum(red, green), blue)


def _moved(pixels: Pixels, origin: Planes) -> Planes:
    """Fetch each px from where it was."""
    moved = cv2.remap(pixels, origin[..., 0], origin[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def _edited(before: Pixels, after: Pixels, last: Carried) -> Box | None:
    """Find the part of the frame that was edited, in this frame or in the last one."""
    rows, columns = before.shape[:2]
    edited = ((before != after) | (last.before != last.after)).reshape(rows, -1)
    left, y, levels, height = cv2.boundingRect(edited.view(np.uint8))
    if not levels:
        return None
    x, width = left // 3, (left + levels + 2) // 3 - left // 3
    return (
        slice(max(0, y - MARGIN), min(rows, y + height + MARGIN)),
        slice(max(0, x - MARGIN), min(columns, x + width + MARGIN)),
    )
