"""The worker process of a live page: the chain, its tracks, and the camera if the server has one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO

import cv2
import torch

from ganchain.chains import Chain
from ganchain.errors import GanchainError, is_bug
from ganchain.photos.images import to_image
from ganchain.photos.marks import after
from ganchain.photos.metadata import options
from ganchain.photos.photo import Photo
from ganchain.pipeline.pipeline import Pipeline
from ganchain.tensors import Pixels
from ganchain.video.live import Live, refuse_enlargement
from ganchain.web.live_camera import Camera
from ganchain.web.live_frames import Pace, decoded, encoded
from ganchain.web.worker import Line

THREADS = 1  # of each process: threads that wait for each other cost more than they give where a browser draws, too


@dataclass(frozen=True)
class Opening:
    """A page that begins.

    Attributes:
        chain: what it runs.
        camera: the server's own camera, as ``Camera`` takes it; "" for that of the browser.
        rate: frames a second that the working size is adapted to.
        side: px: the longest side that is worked at.
        steady: how still edits are held, 0..1.
    """

    chain: Chain
    camera: str = ""
    rate: float = 10.0
    side: int = 640
    steady: float = 0.8


@dataclass(frozen=True)
class Shown:
    """A frame to edit.

    Attributes:
        number: from 0, as it came.
        content: JPEG or WebP; None for the next frame of the server's camera.
        time: when it came, by ``time.monotonic``.
    """

    number: int
    content: bytes | None
    time: float


@dataclass(frozen=True)
class Snapped:
    """A wish for the last frame as a PNG."""


@dataclass(frozen=True)
class Closing:
    """The end of a page."""


@dataclass(frozen=True)
class Answer:
    """A frame that was edited.

    Attributes:
        content: JPEG.
        size: width and height in px.
        faces: how many were edited.
        seconds: spent on each step.
        failed: why the frame stayed as it was, or "".
        side: px: the longest side that the next frame should have.
        slow: seconds that a frame takes where no size holds the rate, else 0.
    """

    content: bytes
    size: tuple[int, int]
    faces: int
    seconds: dict[str, float] = field(hash=False)
    failed: str
    side: int
    slow: float


class LiveWork:
    """Work of a live page's process; ``device`` and ``engine`` as for ``Pipeline``."""

    def __init__(self, device: str, engine: str) -> None:
        self._device, self._engine = device, engine
        self._loaded: tuple[Chain, Pipeline] | None = None
        self._opening: Opening | None = None
        self._camera: Camera | None = None
        self._live: Live | None = None
        self._last: Pixels | None = None

    def begin(self, items: Sequence[object]) -> Callable[[], list[object]]:
        """Do what a page asks for; an outcome may be an error that its visitor may read."""
        outcomes = [self._outcome(item) for item in items]
        return lambda: outcomes

    def _outcome(self, item: object) -> object:
        try:
            if isinstance(item, Shown):
                return self._edit(item)
            if isinstance(item, Snapped):
                return self._photo()
            self._close()
            if isinstance(item, Opening):
                self._open(item)
            return None
        except GanchainError as error:
            if is_bug(error):
                raise
            return error

    def _open(self, opening: Opening) -> None:
        if self._loaded is None or self._loaded[0] != opening.chain:
            self._loaded = None
            pipeline = Pipeline.from_chain(opening.chain, device=self._device, engine=self._engine)
            refuse_enlargement(pipeline.stages)
            pipeline.prepare()
            self._loaded = opening.chain, pipeline
        if opening.camera:
            self._camera = Camera(opening.camera)
        self._opening, self._pace = opening, Pace(opening.rate, opening.side)
        self._live = self._last = None

    def _edit(self, shown: Shown) -> Answer:
        assert self._opening is not None and self._loaded is not None, "no page was opened"
        start = time.perf_counter()
        if shown.content is not None:
            pixels = decoded(shown.content)
        else:
            assert self._camera is not None, "the server has no camera"
            pixels = self._camera.newest(self._pace.side)
        read = time.perf_counter()
        height, width = pixels.shape[:2]
        if self._live is None or self._live.size != (width, height):
            opening = self._opening
            self._live = Live(self._loaded[1], (width, height), opening.rate, opening.steady)
        edited = self._live(pixels, shown.time)
        self._last, worked = edited.pixels, time.perf_counter()
        content = encoded(edited.pixels)
        seconds = {"read": read - start, **edited.seconds, "write": time.perf_counter() - worked}
        spent = sum(seconds.values()) - (seconds["read"] if shown.content is None else 0.0)  # it waits for the camera
        self._pace.add(spent, max(width, height))
        return Answer(content, (width, height), edited.faces, seconds, edited.failed, self._pace.side, self._pace.slow)

    def _photo(self) -> bytes | None:
        """Write the last frame as a PNG that says that it was edited; None before the first."""
        if self._last is None or self._loaded is None:
            return None
        mark = self._loaded[1].mark
        photo = Photo(self._last, xmp=after(b"", mark) if mark is not None else b"")
        out = BytesIO()
        to_image(photo).save(out, "PNG", **options("png", photo))
        return out.getvalue()

    def _close(self) -> None:
        if self._camera is not None:
            self._camera.close()
        self._camera = self._opening = None


def live_work(line: Line, device: str, engine: str) -> LiveWork:
    """Make the work of a process that has no other."""
    torch.set_num_threads(THREADS)
    cv2.setNumThreads(THREADS)
    return LiveWork(device, engine)
