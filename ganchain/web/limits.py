"""Limits of the web server; the command line imports its defaults from here, so this imports nothing large."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits for the visitors of the server.

    Attributes:
        upload: most bytes of a request.
        pixels: most pixels of a photo.
        photos: most photos that are kept at once.
        disk: most bytes of all photos and results together.
        seconds: longest time of a job.
        waiting: most jobs in the queue, the running one included.
        video: most bytes of a request with a video.
        length: seconds that a video may last.
        video_seconds: longest time of the job of a video.
        kept: seconds until photos and results are deleted, counted from the last request for them.
    """

    upload: int = 40_000_000
    pixels: int = 50_000_000
    photos: int = 200
    disk: int = 8 << 30
    seconds: float = 300.0
    waiting: int = 16
    video: int = 100_000_000
    length: float = 30.0
    video_seconds: float = 1800.0
    kept: float = 1800.0
