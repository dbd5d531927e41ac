"""Cameras of the server's own: a webcam, or a video file that is played as one."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Any

import cv2
import numpy as np

from ganchain.errors import VideoError
from ganchain.tensors import Pixels
from ganchain.web.live_frames import SIDE

PATIENCE = 5.0  # seconds for a frame to come
RATE = 25.0  # frames a second of a file whose rate makes no sense


class Camera:
    """A camera that is read in a thread, which keeps the newest frame only.

    Args:
        name: the number of a webcam, or a video file; that is played in its own time, again and again.

    Raises:
        VideoError: there is no such camera, or it gives no frame.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._file = "" if name.isdecimal() else name
        self._capture = self._opened()
        self._fresh, self._ended = Condition(), Event()
        self._frame: Pixels | None = None
        first = self._read()
        if first is None:
            self._capture.release()
            reason = "has no frame that can be read" if self._file else "gives no picture: does another program use it?"
            raise VideoError(reason, path=self._path)
        self._frame = first
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def _path(self) -> str:
        return self._file or f"camera {self.name}"

    def _opened(self) -> Any:
        if self._file and not Path(self._file).is_file():
            raise VideoError("no such file", path=self._path)
        capture = cv2.VideoCapture(self._file or int(self.name))
        if not capture.isOpened():
            capture.release()
            reason = "cannot be read as a video" if self._file else "there is none, or another program uses it"
            raise VideoError(reason, path=self._path)
        if not self._file:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, SIDE)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, SIDE * 9 // 16)
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return capture

    def _read(self) -> Pixels | None:
        there, frame = self._capture.read()
        return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8) if there else None

    def _run(self) -> None:
        """Read frames until the end; those of a file when they are due."""
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        step = 1 / (rate if 1 <= rate <= 120 else RATE)
        due = time.monotonic()
        while not self._ended.is_set():
            if self._file:
                due = max(due + step, time.monotonic() - 1)
                self._ended.wait(due - time.monotonic())
            frame = self._read()
            if frame is None and self._file:
                self._capture.release()
                self._capture = self._opened()
                frame = self._read()
            if frame is None:
                return
            with self._fresh:
                self._frame = frame
                self._fresh.notify()

    def newest(self, side: int) -> Pixels:
        """Wait for a frame that was not returned before, and return it: (H, W, 3) uint8 RGB.

        Args:
            side: px: it is reduced to this longest side.

        Raises:
            VideoError: none comes any more.
        """
        with self._fresh:
            if not self._fresh.wait_for(lambda: self._frame is not None, PATIENCE):
                raise VideoError("gives no frames any more", path=self._path)
            frame, self._frame = self._frame, None
        assert frame is not None
        height, width = frame.shape[:2]
        scale = side / max(height, width)
        if scale >= 1:
            return frame
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)

    def close(self) -> None:
        """Let go of the camera."""
        self._ended.set()
        self._thread.join(timeout=PATIENCE)
        self._capture.release()
