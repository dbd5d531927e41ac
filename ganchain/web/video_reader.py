"""The reading of videos that visitors send, in a worker process: how long they are, and stills of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ganchain.errors import VideoError
from ganchain.photos import images
from ganchain.photos.moving import ANIMATIONS
from ganchain.photos.photo import Photo
from ganchain.video.containers import opened, video_of
from ganchain.video.sources import source_of
from ganchain.video.stills import extent, stills

STILLS = 3
FASTEST = 120  # frames a second; a small file can have millions


@dataclass(frozen=True)
class SentVideo:
    """A video to be read: its file, the most pixels of a frame, and the most seconds that it may last."""

    path: Path
    pixels: int
    seconds: float


@dataclass(frozen=True)
class SeenVideo:
    """A video that was read: width and height in px, seconds, the number of frames, and files with stills of it."""

    size: tuple[int, int]
    seconds: float
    frames: int
    stills: list[Path]


def look(sent: SentVideo) -> SeenVideo:
    """Read a video.

    Raises:
        VideoError: it is none, or too large or too long.
    """
    width, height = _size(sent.path)
    if width * height > sent.pixels:
        most = f"{sent.pixels / 1e6:.0f} megapixels"
        raise VideoError(f"{width} x {height} px are more than the {most} that are taken here", path=sent.path)
    source = source_of(sent.path)
    seconds, frames = extent(source)
    if seconds > sent.seconds or frames > FASTEST * sent.seconds:
        reason = f"{seconds:.1f} s ({frames} frames) are more than the {sent.seconds:g} s that are taken here"
        raise VideoError(f"{reason}; cut it (or serve with --max-length)", path=sent.path)
    paths = []
    for number, frame in enumerate(stills(source, STILLS), start=1):
        paths.append(sent.path.parent / f".still-{number}.png")
        images.write(Photo(frame.pixels, frame.alpha), paths[-1])
    return SeenVideo(source.clip.size, seconds, frames, paths)


def _size(path: Path) -> tuple[int, int]:
    """Read width and height in px from the header, before anything is decoded."""
    if path.suffix.lower() in ANIMATIONS:
        return images.size(path)
    with opened(path) as container:
        stream = video_of(container, path)
        return stream.width, stream.height
