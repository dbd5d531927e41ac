"""The reading of photos that visitors send, in a worker process: their size, their faces, a picture for the screen."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ganchain import files
from ganchain.errors import GanchainError, PhotoError
from ganchain.faces.detect import DlibDetector, in_reading_order
from ganchain.faces.face import Face
from ganchain.photos import images
from ganchain.photos.photo import Photo
from ganchain.web.video_reader import SeenVideo, SentVideo, look
from ganchain.web.worker import Line

PREVIEW = 1600  # px of the longest side
SCANS = 100  # of a JPEG; a small file can have thousands, and then takes minutes to read


class Full(GanchainError):
    """An error for a disk that has no room, even without the results of others."""

    status = 507

    def __init__(self, reason: str = "the disk of this server is full; try again later") -> None:
        super().__init__(reason)


@dataclass(frozen=True)
class Sent:
    """A photo to be read: its file, the file of its preview, and the most pixels it may have."""

    path: Path
    preview: Path
    pixels: int


@dataclass(frozen=True)
class Seen:
    """A photo that was read: width and height in px, upright, and the detections in it, in reading order."""

    size: tuple[int, int]
    faces: list[Face]


class Reader:
    """Work of a process that reads photos and videos."""

    def __init__(self, line: Line) -> None:
        self._detector = DlibDetector()
        self._detector(np.zeros((128, 128, 3), np.uint8))  # loads the models

    def begin(self, items: Sequence[Sent | SentVideo]) -> Callable[[], list[Seen | SeenVideo | GanchainError]]:
        """Read photos and videos; an outcome may be the error of one."""
        outcomes = [self._outcome(sent) for sent in items]
        return lambda: outcomes

    def _outcome(self, sent: Sent | SentVideo) -> Seen | SeenVideo | GanchainError:
        try:
            with full_disk():
                return look(sent) if isinstance(sent, SentVideo) else self._read(sent)
        except GanchainError as error:
            return error

    def _read(self, sent: Sent) -> Seen:
        width, height = images.size(sent.path)
        if width * height > sent.pixels:
            most = f"{sent.pixels / 1e6:.0f} megapixels"
            reason = f"{width} x {height} px are more than the {most} that are taken here"
            raise PhotoError(f"{reason}; make it smaller (or serve with --max-pixels)", path=sent.path)
        with sent.path.open("rb") as file:
            if file.read(2) == b"\xff\xd8" and file.read().count(b"\xff\xda") > SCANS:
                raise PhotoError(f"a JPEG of more than {SCANS} scans is not taken here", path=sent.path)
        photo = images.read(sent.path)
        seen = Seen(photo.size, in_reading_order(self._detector(photo.visible())))
        preview(photo, sent.preview)
        return seen


def preview(photo: Photo, path: Path, side: int = PREVIEW) -> None:
    """Write a photo for the screen, at most ``side`` px: a JPEG, or a WebP where it is transparent."""
    step = max(1, max(photo.size) // side)
    image = Image.fromarray(photo.pixels)
    if photo.alpha is not None:
        image.putalpha(Image.fromarray(photo.alpha))
    image = image.reduce(step) if step > 1 else image
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    path.write_bytes(for_screen(image))


def for_screen(image: Image.Image) -> bytes:
    """Encode a picture for the screen: as JPEG, or as WebP where it is transparent."""
    file = io.BytesIO()
    if image.mode == "RGBA":
        image.save(file, "WEBP", quality=88)
    else:
        image.save(file, "JPEG", quality=88)
    return file.getvalue()


@contextmanager
def full_disk() -> Iterator[None]:
    """Raise ``Full`` where the block finds the disk full."""
    try:
        yield
    except Exception as error:
        if files.is_full(error):
            raise Full from error
        raise
