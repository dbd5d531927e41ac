"""Limits of the web server; the command line takes its defaults from here, so nothing large is imported."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of what visitors may ask of the server.

    Attributes:
        upload: bytes of one request.
        pixels: of one photo.
        photos: that lie here at once.
        disk: bytes of all photos and results.
        seconds: that one job may run.
        waiting: jobs in the queue, the running one included.
        kept: seconds that photos and results lie there after they were last asked for.
    """

    upload: int = 40_000_000
    pixels: int = 50_000_000
    photos: int = 200
    disk: int = 8 << 30
    seconds: float = 300.0
    waiting: int = 16
    kept: float = 1800.0
