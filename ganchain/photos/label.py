"""Labels: a small word in a corner of a picture, for laws that want edited pictures to say so visibly."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ganchain.tensors import Pixels

HEIGHT = 0.028  # of the picture's shorter side: that of the letters
SMALLEST = 9  # px
CLEAR = 0.85  # how opaque the letters are
SHADE = 0.45  # how opaque the ground around them is


def labelled(pixels: Pixels, word: str) -> Pixels:
    """Write ``word`` into the lower right corner of (H, W, 3) uint8; "" leaves the picture as it is."""
    if not word:
        return pixels
    height, width = pixels.shape[:2]
    letters = _drawn(word, max(SMALLEST, round(min(height, width) * HEIGHT)))
    rows, columns = min(height, letters.shape[0]), min(width, letters.shape[1])
    letters = letters[:rows, :columns, None]
    place = np.s_[height - rows :, width - columns :]
    result = pixels.copy()
    shaded = pixels[place] * (1 - np.float32(SHADE))
    result[place] = (shaded + CLEAR * letters * (255 - shaded)).round().astype(np.uint8)
    return result


@lru_cache(maxsize=8)
def _drawn(word: str, size: int) -> NDArray[np.float32]:
    """Draw the letters of a word, ``size`` px high, on a ground that is larger: (H, W) 0..1."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(word))
    pad = max(2, size // 3)
    image = Image.new("L", (right - left + 2 * pad, bottom - top + 2 * pad))
    ImageDraw.Draw(image).text((pad - left, pad - top), word, fill=255, font=font)
    return (np.asarray(image) / 255).astype(np.float32)
