"""Passes over a video: over all frames for their faces, over all frames to edit them, and over the segments."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, Literal

import torch

from ganchain import files
from ganchain.errors import VideoError
from ganchain.faces.detect import DlibDetector
from ganchain.photos.protect import Protection
from ganchain.pipeline.pipeline import Pipeline
from ganchain.video import albums, joining, record
from ganchain.video.ahead import Behind, Item, ahead
from ganchain.video.clip import Frame, Source
from ganchain.video.coding import Coding, SegmentWriter
from ganchain.video.editing import Editor
from ganchain.video.options import Options
from ganchain.video.smoothing import AFTER, BEFORE, Courses, Seen
from ganchain.video.summary import OnProgress, Progress, Summary
from ganchain.video.tracking import EVERY, Tracker
from ganchain.video.work import Part, Work

LEAST, MOST = 3 * EVERY, 300  # frames of a segment
SCAN = 640  # px: the longest side of the copy on which known faces are looked for


def tracker_of(pipeline: Pipeline, rate: float) -> Tracker:
    """Make the tracker of a pipeline's faces, at so many frames a second."""
    detector = pipeline.detector
    scan = detector
    if isinstance(detector, DlibDetector):  # nobody turns the camera from frame to frame
        detector = replace(detector, quarters=())
        scan = replace(detector, side=min(SCAN, detector.side))
    return Tracker(detector, scan, pipeline.reader.of, rate)


class Passes:
    """Passes over one video.

    Args:
        pipeline: the chain.
        source: the video.
        coding: how it is written.
        options: the options.
        work: the folder of what is finished.
        summary: gets what was done.
        on_progress: is told how far it is.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        source: Source,
        coding: Coding,
        options: Options,
        work: Work,
        summary: Summary,
        on_progress: OnProgress,
    ) -> None:
        self.pipeline, self.source, self.coding, self.options = pipeline, source, coding, options
        self.work, self.summary, self.on_progress = work, summary, on_progress
        self.length = min(MOST, max(LEAST, round(options.seconds * float(source.clip.rate))))
        self.parts = 0

    def track(self) -> None:
        """Look at all frames for faces, part by part."""
        tracker = tracker_of(self.pipeline, float(self.source.clip.rate))
        state: dict[str, Any] = {}
        last = False
        while self.work.has_part(self.parts) and not last:
            state, last = self.work.behind_part(self.parts)
            self.parts += 1
        if not last:
            start = self.parts * self.length
            read = ahead(self.source.frames(max(0, start - 1)))
            if self.parts:
                tracker.restore(state, next(read).flat())
            frames = self._counted("track", read, start, 0)
            following = next(frames, None)
            if following is None and not self.parts:
                raise VideoError("has no frame that can be read", path=self.source.clip.path)
            while following is not None:
                part = self._seen(tracker, islice(chain([following], frames), self.length))
                following = next(frames, None)
                self.work.save_part(self.parts, part, tracker.record(), following is None)
                self.parts += 1
            self.summary.notes += self.source.problems
        tallies = record.Tallies()
        for number in range(self.parts):
            tallies.add(self.work.part(number))
        self.chosen = tallies.chosen(self.pipeline.faces)
        if isinstance(self.pipeline.faces, list) and (absent := set(self.pipeline.faces) - set(tallies.tracks)):
            self.summary.notes.append(f"no track has the number {', '.join(map(str, sorted(absent)))}")
        self.summary.frames, self.summary.cuts = tallies.frames, tallies.cuts
        self.summary.tracks, self.summary.edited = len(tallies.tracks), len(self.chosen)

    @torch.inference_mode()
    def _seen(self, tracker: Tracker, frames: Iterable[Frame]) -> Part:
        """Look at the frames of one part, one after the other."""
        seen, times = [], []
        for frame in frames:
            cut, sights = tracker(frame.number, frame.flat())
            seen.append(Seen(frame.number, self.source.clip.seconds(frame.pts), cut, sights))
            times.append((frame.pts, frame.duration))
        return Part(seen, times)

    def edit(self) -> None:
        """Edit all frames, segment by segment."""
        courses = Courses(self.options.steady, self.chosen)
        editor = Editor(self.pipeline, self.source.clip, self.options)
        first = self.work.finished(self.parts)
        self.summary.resumed = first
        for number in range(first):
            courses.skip(self.work.part(number).seen)
        if first == self.parts:
            return
        if first:
            editor.restore(self.work.state(first - 1))
        start = first * self.length
        frames = self._counted("edit", ahead(self.source.frames(start)), start, self.summary.frames)
        with Behind() as behind:
            for number in range(first, self.parts):
                self._edit_segment(number, editor, courses, frames, behind)

    def _edit_segment(
        self, number: int, editor: Editor, courses: Courses, frames: Iterator[Frame], behind: Behind
    ) -> None:
        """Edit one segment; it is encoded and saved, with the state behind it, while the next one is edited."""
        part = self.work.part(number)
        before = self.work.part(number - 1).seen[-BEFORE:] if number else []
        after = self.work.part(number + 1).seen[:AFTER] if number + 1 < self.parts else []
        faces = courses(before, part.seen, after)
        editor.failed = {}
        writer = SegmentWriter(self.work.unfinished(number), self.source.clip, self.coding, editor.size)
        try:
            for seen, (pts, _) in zip(part.seen, part.times, strict=True):
                frame = next(frames, None)
                if frame is None or frame.pts != pts:
                    raise VideoError("changed while it was read", path=self.source.clip.path)
                behind(writer.write, editor(frame, faces[seen.number], seen.cut), pts)
        except BaseException:
            behind.stop()
            writer.close()
            raise
        behind(self._finish, number, writer, editor.failed, editor.state())

    def _finish(self, number: int, writer: SegmentWriter, failed: dict[int, str], state: Mapping[str, Any]) -> None:
        """Finish the file of a segment, and save the state behind it."""
        writer.close()
        self.work.unfinished(number).replace(self.work.segment(number))
        self.work.save_failed(number, failed)
        self.work.save_state(number, state)

    def write(self, protection: Protection, key: str) -> None:
        """Join the segments, and write the record of the tracks."""
        out, clip = self.summary.out, self.source.clip
        segments = [self.work.segment(number) for number in range(self.parts)]
        mark = self.pipeline.mark
        for number in range(self.parts):
            self.summary.failed |= self.work.failed(number)
        if self.coding.kind == "folder":
            albums.write_folder(out, self._written(albums.decoded(segments, clip.alpha)), mark, protection.permit)
        else:
            with files.replaced(out, permit=protection.permit, folder=self.work.folder) as file:
                if self.coding.pictures:
                    times = [time for number in range(self.parts) for time in self.work.times(number)]
                    frames = self._written(albums.decoded(segments, clip.alpha))
                    albums.write_animation(file, self.coding.kind, frames, times, clip.time_base, mark)
                else:
                    times_of = self._written(map(self.work.times, range(self.parts)), self.length)
                    strip = self.pipeline.output is not None and self.pipeline.output.location == "strip"
                    problems = joining.join(segments, times_of, clip, self.coding, Path(file.name), mark, strip)
                    self.summary.notes += [note for note in problems if note not in self.summary.notes]
        record.write(self.summary, self.work, self.parts, self.chosen, key, protection.chain)

    def _written(self, items: Iterator[Item], frames: int = 1) -> Iterator[Item]:
        """Pass on what is written, each of so many frames, and tell how much of it is."""
        for done in count():
            reached = min(done * frames, self.summary.frames)
            self.on_progress(Progress("write", reached, self.summary.frames, 0.0))
            if (item := next(items, None)) is None:
                return
            yield item

    def _counted(
        self, step: Literal["track", "edit"], frames: Iterator[Frame], first: int, total: int
    ) -> Iterator[Frame]:
        """Pass frames on, and tell how many of them are done and how fast."""
        start = time.perf_counter()
        for done in count():
            frame = next(frames, None)
            seconds = time.perf_counter() - start
            self.on_progress(Progress(step, first + done, total, done / seconds if seconds > 0 else 0.0))
            if frame is None:
                return
            yield frame
