"""Stills of a video: how long it is, and some of its frames, without decoding all of them."""

from __future__ import annotations

from collections.abc import Iterator

from ganchain.errors import VideoError
from ganchain.video.clip import Frame, Source
from ganchain.video.containers import Container


def extent(source: Source) -> tuple[float, int]:
    """Measure how many seconds a video lasts, and count its frames.

    Of a container the packets are counted, whatever its header says.
    """
    if isinstance(source, Container):
        times = source.times()
        step = max(1, round(1 / (source.clip.rate * source.clip.time_base)))
        return source.clip.seconds(times[-1] - times[0] + step) if times else 0.0, len(times)
    last, count = 0, 0
    for frame in source.frames():
        last, count = frame.pts + frame.duration, count + 1
    return source.clip.seconds(last), count


def stills(source: Source, count: int) -> Iterator[Frame]:
    """Choose ``count`` frames that lie evenly in a video, or fewer where it has fewer.

    Raises:
        VideoError: none of them can be read.
    """
    found = 0
    for frame in _near(source, count) if isinstance(source, Container) else _counted(source, count):
        found += 1
        yield frame
    if not found:
        raise VideoError("has no frame that can be read", path=source.clip.path)


def _near(source: Container, count: int) -> Iterator[Frame]:
    times = source.times()
    chosen = {times[(2 * number + 1) * len(times) // (2 * count)] for number in range(count)} if times else set()
    for time in sorted(chosen):
        if (frame := source.frame_at(time)) is not None:
            yield frame


def _counted(source: Source, count: int) -> Iterator[Frame]:
    total = extent(source)[1]
    chosen = {(2 * number + 1) * total // (2 * count) for number in range(count)}
    for frame in source.frames():
        if frame.number in chosen:
            yield frame
