"""Sequences of pictures as videos: animations (GIF, WebP, APNG) and folders of frames."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from ganchain.errors import PhotoError, VideoError, shown
from ganchain.photos import images
from ganchain.photos.folders import expand
from ganchain.video.clip import Clip, Frame

TICK = Fraction(1, 1000)  # seconds: animations count milliseconds
USUAL = 100  # ms of a frame that says none or nearly none, as browsers show it
SHORTEST = 11  # ms; below, browsers show a frame for ``USUAL``
FOLDER_RATE = Fraction(25)  # frames a second of a folder


class Animation:
    """Source of frames in a GIF, WebP or PNG that moves.

    Args:
        path: the file.

    Raises:
        VideoError: it cannot be read, or is a still picture.
    """

    exact = True

    def __init__(self, path: Path) -> None:
        self.problems: list[str] = []
        try:
            with Image.open(path) as image:
                count = getattr(image, "n_frames", 1)
                size = image.size
                durations = [_duration(image, number) for number in range(count)]
                alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
        except FileNotFoundError:
            raise VideoError("no such file", path=path) from None
        except Exception as error:  # Pillow raises many kinds on damaged files
            raise VideoError(f"cannot be read: {shown(error)}", path=path) from error
        if count < 2:
            raise VideoError("is a picture, not a video: ganchain run edits it", path=path)
        rate = Fraction(1000 * count, sum(durations)).limit_denominator(1001)
        self.clip = Clip(path, size, TICK, rate, alpha)

    def frames(self, first: int = 0) -> Iterator[Frame]:
        """Read all frames from number ``first`` on, up to one that is damaged."""
        pts = 0
        self.problems.clear()
        with Image.open(self.clip.path) as image:
            for number in range(getattr(image, "n_frames", 1)):
                try:
                    duration = _duration(image, number)
                    pixels = np.asarray(image.convert("RGBA" if self.clip.alpha else "RGB"))
                except Exception as error:
                    self.problems.append(f"frame {number} and those after it cannot be read: {shown(error)}")
                    return
                if number >= first:
                    alpha = pixels[..., 3].copy() if self.clip.alpha else None
                    yield Frame(number, pts, duration, pixels[..., :3].copy(), alpha)
                pts += duration


def _duration(image: Image.Image, number: int) -> int:
    """Go to a frame, and return how long it is shown, in ms."""
    image.seek(number)
    image.load()  # WebP says it only then
    duration = round(image.info.get("duration", 0))
    return duration if duration >= SHORTEST else USUAL


class Folder:
    """Source of frames in a folder of pictures, in the order of their names, at ``FOLDER_RATE``.

    Args:
        path: the folder.

    Raises:
        VideoError: there are no pictures in it, or the first cannot be read.
    """

    exact = True

    def __init__(self, path: Path) -> None:
        self.problems: list[str] = []
        try:
            self.files = sorted(expand([path]), key=_natural)
            first = images.read(self.files[0])
        except PhotoError as error:
            raise VideoError(error.reason, path=error.path) from error
        self.clip = Clip(path, first.size, 1 / FOLDER_RATE, FOLDER_RATE, first.alpha is not None)

    def frames(self, first: int = 0) -> Iterator[Frame]:
        """Read all frames from number ``first`` on; in place of one that cannot be read stands the one before it."""
        last = None
        self.problems.clear()
        for number, file in enumerate(self.files):
            try:
                photo = images.read(file)
                if photo.size != self.clip.size:
                    raise PhotoError(f"is of another size than the first, {self.clip.size[0]} x {self.clip.size[1]} px")
                alpha = photo.alpha
                if self.clip.alpha and alpha is None:
                    alpha = np.full(photo.pixels.shape[:2], 255, np.uint8)
                last = photo.pixels, alpha if self.clip.alpha else None
            except PhotoError as error:
                self.problems.append(f"{file.name}: {error.reason}")
            if last is not None and number >= first:
                yield Frame(number, number, 1, *last)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Return what a frame is sorted by: its name, in which numbers count as numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]
