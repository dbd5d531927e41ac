"""Pictures spoilt by fixed recipes, through real JPEG and WebP: what ``ganchain evaluate`` measures restoration on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from types import MappingProxyType
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from ganchain.tensors import Pixels


class Spoilt(NamedTuple):
    """A spoilt picture, what it should become, and how many times smaller it is."""

    pixels: Pixels
    clean: Pixels
    factor: int


def phone(photo: Pixels, seed: int) -> Spoilt:
    """Take a small, slightly blurred, noisy photo: a quarter of the size, sigma 5, JPEG of quality 50."""
    small = resized(blurred(photo, 1.2), 0.25, Image.Resampling.BICUBIC)
    return Spoilt(saved(noisy(small, 5.0, seed), "JPEG", 50), photo, 4)


def messenger(photo: Pixels, seed: int) -> Spoilt:
    """Send a picture twice: JPEG of quality 60 at two fifths of the size, then WebP of quality 50 at a half."""
    first = saved(resized(photo, 0.4, Image.Resampling.BOX), "JPEG", 60)
    height, width = (side // 2 for side in photo.shape[:2])
    second = np.asarray(Image.fromarray(first).resize((width, height), Image.Resampling.BILINEAR))
    return Spoilt(saved(noisy(second, 1.0, seed), "WEBP", 50), photo, 2)


def old_print(photo: Pixels, seed: int) -> Spoilt:
    """Scan a grey print: blurred by sigma 2, half of the size, grain of sigma 10, JPEG of quality 75."""
    grey = cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.uint8)
    small = resized(blurred(grey, 2.0), 0.5, Image.Resampling.BICUBIC)
    grain = cv2.GaussianBlur(np.random.default_rng(seed).standard_normal(small.shape[:2]), (0, 0), 0.6)
    print_ = small + 10 * (grain / grain.std())[..., None]
    return Spoilt(saved(print_.round().clip(0, 255).astype(np.uint8), "JPEG", 75), grey, 2)


RECIPES: Mapping[str, Callable[[Pixels, int], Spoilt]] = MappingProxyType(
    {"phone": phone, "messenger": messenger, "old print": old_print}
)


def resized(photo: Pixels, share: float, method: Image.Resampling) -> Pixels:
    """Reduce (H, W, 3) uint8 to ``share`` of its sides."""
    height, width = (round(side * share) for side in photo.shape[:2])
    return np.asarray(Image.fromarray(photo).resize((width, height), method))


def blurred(photo: Pixels, sigma: float) -> Pixels:
    """Blur by a Gaussian of ``sigma`` px."""
    return cv2.GaussianBlur(photo, (0, 0), sigma).astype(np.uint8)


def noisy(photo: Pixels, sigma: float, seed: int) -> Pixels:
    """Add coloured noise of ``sigma`` levels."""
    noise = sigma * np.random.default_rng(seed).standard_normal(photo.shape)
    return (photo + noise).round().clip(0, 255).astype(np.uint8)


def saved(photo: Pixels, kind: str, quality: int) -> Pixels:
    """Save in memory as JPEG (4:2:0) or WebP, and read again."""
    stream = BytesIO()
    Image.fromarray(photo).save(stream, kind, quality=quality)
    return np.asarray(Image.open(stream).convert("RGB"))
