"""A photo in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.photos.captions import Captions
from ganchain.tensors import ByContent, Pixels

VISIBLE = 8  # the least alpha of a pixel that has a colour of its own; below, few bits of a colour are left
NEUTRAL = 2  # levels by which the channels of a grey photo may differ, as a colour profile rounds them
ROWS = 256  # rows that are looked at together


@dataclass(frozen=True, eq=False)
class Photo(ByContent):
    """A whole picture, upright and in sRGB.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        alpha: (H, W) uint8, or None for an opaque photo.
        exif: the EXIF block to write back (no orientation), or b"".
        xmp: the XMP packet to write back, or b"".
        captions: other words to write back.
        dpi: the resolution to write back, of both axes in px per inch; None if the file does not say.
        quality: 1..100, of the JPEG file that the pixels were read from (``quality.of_tables``); None for others.
        name: its file or source, for messages.
        svg: writes the picture as SVG, given the XML of its metadata; None for one that is not drawn.
    """

    pixels: Pixels
    alpha: NDArray[np.uint8] | None = None
    exif: bytes = b""
    name: str = "photo"
    xmp: bytes = b""
    captions: Captions = field(default_factory=Captions)
    dpi: tuple[float, float] | None = None
    quality: int | None = None
    svg: Callable[[str], str] | None = field(default=None, repr=False, compare=False)

    @property
    def size(self) -> tuple[int, int]:
        """Width, height in px."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def visible(self) -> Pixels:
        """Return the pixels with the colours of the nearest visible ones where the photo is transparent.

        What lies under the alpha is black, white or noise, which no detector or network shall take for the picture.
        """
        if self.alpha is None or not (hidden := (self.alpha < VISIBLE).astype(np.uint8)).any() or hidden.all():
            return self.pixels
        mode = cv2.DIST_LABEL_PIXEL
        _, labels = cv2.distanceTransformWithLabels(hidden, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=mode)
        labels = np.asarray(labels, np.int32)
        whole = np.ascontiguousarray(self.pixels).view("V3")[..., 0]  # a pixel as one item: ten times as fast
        colours = whole[hidden == 0]  # in the order of the labels, which count the visible pixels from 1
        nearest = np.empty_like(whole)
        for top in range(0, len(nearest), ROWS):
            nearest[top : top + ROWS] = colours[labels[top : top + ROWS] - 1]
        return nearest.view(np.uint8).reshape(self.pixels.shape)

    def spread(self) -> Photo:
        """Return this photo with the pixels of ``visible``."""
        return replace(self, pixels=self.visible())

    def is_grey(self) -> bool:
        """Say whether the channels are equal (but for ``NEUTRAL`` levels) wherever the photo is visible."""
        for top in range(0, len(self.pixels), ROWS):
            part = self.pixels[top : top + ROWS]
            apart = cv2.max(cv2.absdiff(part[..., 0], part[..., 1]), cv2.absdiff(part[..., 1], part[..., 2])) > NEUTRAL
            if self.alpha is not None:
                apart &= self.alpha[top : top + ROWS] >= VISIBLE
            if apart.any():
                return False
        return True
