"""Scan of a video: its frames are looked at for faces, part by part, in a thread beside the one that edits them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice
from threading import Condition, Thread
from types import TracebackType
from typing import Any

import torch

from ganchain.errors import VideoError
from ganchain.faces.detect import DlibDetector, FaceRule
from ganchain.pipeline.pipeline import Pipeline
from ganchain.video.ahead import ahead
from ganchain.video.clip import Frame, Source
from ganchain.video.record import Tallies
from ganchain.video.smoothing import AFTER, SHORTEST, Seen
from ganchain.video.tracking import Tracker
from ganchain.video.work import Part, Work

SCAN = 640  # px: the longest side of the copy on which known faces are looked for


def tracker_of(pipeline: Pipeline, rate: float) -> Tracker:
    """Make the tracker of a pipeline's faces, at so many frames a second."""
    detector = pipeline.detector
    scan = detector
    if isinstance(detector, DlibDetector):  # nobody turns the camera from frame to frame
        detector = replace(detector, quarters=())
        scan = replace(detector, side=min(SCAN, detector.side))
    return Tracker(detector, scan, pipeline.reader.quick, rate)


class _Stop(Exception):
    """Nobody waits for the scan any more."""


class Scan:
    """Scan of one video; within a ``with`` block it goes on beside what is done there.

    Args:
        pipeline: the chain.
        source: the video.
        work: the folder of what is finished.
        length: frames of a part.
        counted: passes frames on from the first number on, and says how far it is.

    Attributes:
        parts: how many are saved.
        tallies: sums over the tracks in them.
        complete: whether these are all.
        problems: what could not be read, in words.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        source: Source,
        work: Work,
        length: int,
        counted: Callable[[Iterator[Frame], int], Iterator[Frame]],
    ) -> None:
        self.rule: FaceRule = pipeline.faces
        self.work, self.length, self._counted = work, length, counted
        self.source = copy.copy(source)
        self.problems: list[str] = []
        self.source.problems, self.source.exact = self.problems, False
        self.parts, self.complete, self.tallies = 0, False, Tallies()
        self._tracker = tracker_of(pipeline, float(source.clip.rate))
        self._state: dict[str, Any] = {"tracks": []}
        self._changed = Condition()
        self._error: BaseException | None = None
        self._stopped = False
        while work.has_part(self.parts) and not self.complete:
            self._add(work.part(self.parts), *work.behind_part(self.parts))
        self._thread = Thread(target=self._run, name="scan")

    def __enter__(self) -> Scan:
        if not self.complete:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        if self._thread.ident is not None:
            self._thread.join()

    @contextmanager
    def needed(self) -> Iterator[None]:
        """Stop after an error in the block, so that nobody waits for the scan."""
        try:
            yield
        except BaseException:
            self._stop()
            raise

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def has(self, number: int) -> bool:
        """Say whether there is a part ``number``; wait until that is known, and what is in the next one."""
        self._wait(lambda: self.parts > number + 1)
        return number < self.parts

    def chosen(self, number: int) -> list[int]:
        """Return the tracks that are edited, as far as they are in the parts up to ``number``; wait until it is known.

        Which is the largest face of a scene is known at the end.
        """
        if self.has(number) and self.rule == "all":
            frames = [*self.work.part(number).seen]
            if number + 1 < self.parts:
                frames += self.work.part(number + 1).seen[:AFTER]
            tracks = {sight.track for seen in frames for sight in seen.sights}
            self._wait(lambda: not tracks & self._open())
        elif not isinstance(self.rule, list):
            self._wait(lambda: False)
        with self._changed:
            return self.tallies.chosen(self.rule)

    def _open(self) -> set[int]:
        """Return the numbers of tracks that are short, and may become longer."""
        going = {int(track["number"]) for track in self._state["tracks"]}
        return {number for number, tally in self.tallies.tracks.items() if tally[1] < SHORTEST} & going

    def _wait(self, known: Callable[[], bool]) -> None:
        """Wait until ``known`` says so, or the scan is complete.

        Raises:
            BaseException: what stopped the scan.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.complete or self._stopped or self._error is not None or known())
            if self._error is not None:
                raise self._error
            if self._stopped and not self.complete:
                raise _Stop

    def _add(self, part: Part, state: dict[str, Any], last: bool) -> None:
        """Count in a part that is saved, with the tracker's state behind it."""
        self.tallies.add(part)
        self.parts, self._state, self.complete = self.parts + 1, state, last

    def _run(self) -> None:
        """Look at the frames that were not looked at before, part by part."""
        try:
            torch.get_num_threads()  # sets it for this thread, too, whose first sums would else be divided otherwise
            self._scan()
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _scan(self) -> None:
        start = self.parts * self.length
        read = ahead(self.source.frames(max(0, start - 1)))
        try:
            if self.parts:
                self._tracker.restore(self._state, next(read).flat())
            frames = self._counted(read, start)
            following = next(frames, None)
            if following is None and not self.parts:
                raise VideoError("has no frame that can be read", path=self.source.clip.path)
            while following is not None:
                part = self._seen(islice(chain([following], frames), self.length))
                following = next(frames, None)
                state, last = self._tracker.record(), following is None
                self.work.save_part(self.parts, part, state, last)
                with self._changed:
                    self._add(part, state, last)
                    self._changed.notify_all()
        finally:
            read.close()

    @torch.inference_mode()
    def _seen(self, frames: Iterator[Frame]) -> Part:
        """Look at the frames of one part, one after the other."""
        seen, times = [], []
        for frame in frames:
            if self._stopped:
                raise _Stop
            cut, sights = self._tracker(frame.number, frame.flat())
            seen.append(Seen(frame.number, self.source.clip.seconds(frame.pts), cut, sights))
            times.append((frame.pts, frame.duration))
        return Part(seen, times)
