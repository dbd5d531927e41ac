"""A photo in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganchain.tensors import Pixels


@dataclass(frozen=True)
class Photo:
    """A whole picture, upright and in sRGB.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        alpha: (H, W) uint8, or None for an opaque photo.
        exif: the EXIF block to write back (no orientation), or b"".
        xmp: the XMP packet to write back, or b"".
        name: its file or source, for messages.
    """

    pixels: Pixels
    alpha: NDArray[np.uint8] | None = None
    exif: bytes = b""
    name: str = "photo"
    xmp: bytes = b""

    @property
    def size(self) -> tuple[int, int]:
        """Width, height in px."""
        return self.pixels.shape[1], self.pixels.shape[0]
