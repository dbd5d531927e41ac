"""Frames of live pages: their bytes checked and decoded, and the working size that holds a rate."""

from __future__ import annotations

import math
import statistics
from collections import deque
from io import BytesIO

import numpy as np
from PIL import Image

from ganchain.errors import PhotoError
from ganchain.tensors import Pixels

BYTES = 1_000_000  # most of a frame
SIDE = 1280  # px: most of a side of it
STARTS = (b"\xff\xd8\xff", b"RIFF")  # of JPEG and WebP
SCANS = 20  # of a JPEG: a small file can have thousands, and takes minutes then
QUALITY = 88  # of the JPEGs that go back

SIDES = (240, 320, 400, 480, 560, 640, 800, 960, 1280)  # px: longest sides that are worked at
WINDOW = 8  # frames whose median is compared with the rate
LEAST, LONG = 3, 2.0  # frames, and seconds for all of them, after which slower ones are not waited for
HELPS = 0.9  # of the time at the former size, which a smaller one must stay below, or it is left again
AGAIN = 200  # frames until a smaller one is tried again
ROOM = 0.75  # of a frame's time that the next larger size may take, as far as is known


def wrong(content: bytes) -> str:
    """Say what is wrong with the bytes of a frame before anything is decoded; "" for nothing."""
    if len(content) > BYTES:
        return f"more than {BYTES / 1e6:g} MB are not taken as a frame"
    if not content.startswith(STARTS):
        return "a frame must be a JPEG or a WebP"
    return ""


def decoded(content: bytes) -> Pixels:
    """Decode a frame, JPEG or WebP, to (H, W, 3) uint8 RGB.

    Raises:
        PhotoError: it is none, is damaged, or is larger than SIDE px.
    """
    if reason := wrong(content):
        raise PhotoError(reason)
    if content.count(b"\xff\xda") > SCANS and content.startswith(STARTS[0]):
        raise PhotoError(f"a JPEG of more than {SCANS} scans is not taken as a frame")
    try:
        with Image.open(BytesIO(content), formats=("JPEG", "WEBP")) as image:
            width, height = image.size
            if max(width, height) > SIDE:
                raise PhotoError(f"{width} x {height} px: a side of a frame may have {SIDE}")
            return np.asarray(image.convert("RGB"))
    except PhotoError:
        raise
    except Exception as error:  # Pillow's decoders raise anything
        raise PhotoError("the frame is damaged") from error


def encoded(pixels: Pixels) -> bytes:
    """Encode (H, W, 3) uint8 RGB as a JPEG for the screen."""
    out = BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


class Pace:
    """Chooser of the working size: the largest one at which the rate is held.

    Where a smaller size hardly helps, since networks see windows of one size, the picture stays as it is.

    Args:
        rate: frames a second.
        most: px: the longest side that is worked at, one of SIDES or any smaller one.

    Attributes:
        side: px: the longest side of the next frame.
        slow: seconds that a frame takes, where no size holds the rate; else 0.
    """

    def __init__(self, rate: float, most: int) -> None:
        self._limit = 1 / rate
        self._sides = [side for side in SIDES if side < most] + [most]
        self._place = len(self._sides) - 1
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._fresh = True  # the first frame of a size is not counted: faces are looked for anew
        self._former: tuple[int, float] | None = None  # a larger size that was too slow, and what it took
        self._pause = 0  # frames until a smaller size is tried
        self.slow = 0.0

    @property
    def side(self) -> int:
        return self._sides[self._place]

    def add(self, seconds: float, side: int) -> None:
        """Take the time of a frame whose longest side was ``side``: larger ones were sent before the last change."""
        if side > self.side:
            return
        self._pause = max(0, self._pause - 1)
        if self._fresh:
            self._fresh = False
            return
        self._recent.append(seconds)
        if len(self._recent) < WINDOW and (len(self._recent) < LEAST or sum(self._recent) < LONG):
            return
        usual = statistics.median(self._recent)
        if usual > self._limit:
            self._shrink(usual, side)
            return
        self.slow, self._former = 0.0, None
        if self._place + 1 < len(self._sides):
            grown = (self._sides[self._place + 1] / self.side) ** 2  # at most
            if usual * grown < ROOM * self._limit:
                self._go(self._place + 1)

    def _shrink(self, usual: float, side: int) -> None:
        """Go to a smaller size, or back to the former one if this one did not help."""
        smaller = [place for place, other in enumerate(self._sides) if other < side]  # a camera may be small itself
        if self._former is not None and usual > HELPS * self._former[1]:
            self.slow, self._pause = usual, AGAIN
            self._go(self._former[0])
            self._former = None
        elif self._pause or not smaller:
            self.slow = usual
        else:
            self._former = self._place, usual
            fitting = [place for place in smaller if self._sides[place] <= side * math.sqrt(self._limit / usual)]
            self._go(max(fitting, default=0))

    def _go(self, place: int) -> None:
        self._place, self._fresh = place, True
        self._recent.clear()
