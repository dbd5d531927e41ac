"""Passes over a video: over all frames for their faces, over all frames to edit them, and over the segments."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from itertools import chain, count, groupby, takewhile
from operator import attrgetter
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from ganchain import files
from ganchain.errors import VideoError
from ganchain.photos.protect import Protection
from ganchain.pipeline.pipeline import Pipeline
from ganchain.video import albums, joining, record
from ganchain.video.ahead import Behind, Item, ahead, one_core_less
from ganchain.video.clip import Frame, Source
from ganchain.video.coding import Coding, SegmentWriter
from ganchain.video.editing import Editor, Edits, Prepared
from ganchain.video.joining import Times
from ganchain.video.options import Options
from ganchain.video.scan import Scan
from ganchain.video.smoothing import AFTER, BEFORE, Courses
from ganchain.video.summary import STEPS, OnProgress, Progress, Summary
from ganchain.video.tracking import EVERY
from ganchain.video.work import Work

LEAST, MOST = 3 * EVERY, 300  # frames of a segment


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
        length = min(MOST, max(LEAST, round(options.seconds * float(source.clip.rate))))
        self.each = max(1, length // AFTER)  # parts of a segment: short ones, since editing waits for the first two
        self.length = length // self.each  # frames of a part
        self._telling, self._step = Lock(), 0  # several threads tell how far they are
        self.parts = 0

    def track_and_edit(self) -> None:
        """Look at all frames for faces, and edit them, segment by segment, as soon as it is known which are edited."""
        with one_core_less(), Scan(self.pipeline, self.source, self.work, self.length, self._tracked) as scan:
            self.scan = scan
            self._edit()
        self.parts, self.chosen, tallies = scan.parts, scan.chosen(scan.parts), scan.tallies
        self.summary.notes += scan.problems
        if isinstance(self.pipeline.faces, list) and (absent := set(self.pipeline.faces) - set(tallies.tracks)):
            self.summary.notes.append(f"no track has the number {', '.join(map(str, sorted(absent)))}")
        self.summary.frames, self.summary.cuts = tallies.frames, tallies.cuts
        self.summary.tracks, self.summary.edited = len(tallies.tracks), len(self.chosen)

    def _edit(self) -> None:
        """Edit all frames, segment by segment."""
        courses = Courses(self.options.steady, ())
        editor = Editor(self.pipeline, self.source.clip, self.options)
        first = self.work.finished(self._segments(self.scan.parts))
        self.summary.resumed = first
        start = min(first * self.each, self.scan.parts)
        for number in range(start):
            courses.tracks = frozenset(self.scan.chosen(number))
            courses.skip(self.work.part(number).seen)
        if first:
            editor.restore(self.work.state(first - 1))
        prepared = ahead(self._prepared(start, editor, courses))
        with Behind() as behind, closing(prepared), self.scan.needed():
            for number, frames in groupby(prepared, attrgetter("segment")):
                self._edit_segment(number, editor, frames, behind)

    def _edit_segment(self, number: int, editor: Editor, frames: Iterator[Prepared], behind: Behind) -> None:
        """Edit one segment; its frames are carried and encoded, and it is saved, while the next ones are edited."""
        editor.failed = {}
        writer = SegmentWriter(self.work.unfinished(number), self.source.clip, self.coding, editor.size)
        try:
            for ready in frames:
                behind(self._write, writer, editor, editor.edit(ready))
        except BaseException:
            behind.stop()
            writer.close()
            raise
        behind(self._finish, number, writer, editor, editor.failed, editor.held())

    def _prepared(self, start: int, editor: Editor, courses: Courses) -> Iterator[Prepared]:
        """Prepare the frames from part ``start`` on, as soon as it is known where their faces are."""
        frames = self._edited(ahead(self.source.frames(start * self.length)), start * self.length)
        before = self.work.part(start - 1).seen[-BEFORE:] if start else []
        for number in takewhile(self.scan.has, count(start)):
            part = self.work.part(number)
            after = self.work.part(number + 1).seen[:AFTER] if self.scan.has(number + 1) else []
            courses.tracks = frozenset(self.scan.chosen(number))
            faces = courses(before, part.seen, after)
            before = part.seen[-BEFORE:]
            for seen, (pts, _) in zip(part.seen, part.times, strict=True):
                frame = next(frames, None)
                if frame is None or frame.pts != pts:
                    raise VideoError("changed while it was read", path=self.source.clip.path)
                yield editor.prepare(frame, faces[seen.number], seen.cut, number // self.each)

    @staticmethod
    def _write(writer: SegmentWriter, editor: Editor, edits: Edits) -> None:
        writer.write(editor.finish(edits), edits.frame.pts)

    def _finish(
        self, number: int, writer: SegmentWriter, editor: Editor, failed: dict[int, str], held: Mapping[str, Any]
    ) -> None:
        """Finish the file of a segment, and save the state behind it."""
        writer.close()
        self.work.unfinished(number).replace(self.work.segment(number))
        self.work.save_failed(number, failed)
        self.work.save_state(number, {**held, **editor.carrier.state()})

    def write(self, protection: Protection, key: str) -> None:
        """Join the segments, and write the record of the tracks."""
        out, clip = self.summary.out, self.source.clip
        numbers = range(self._segments(self.parts))
        segments = [self.work.segment(number) for number in numbers]
        mark = self.pipeline.mark
        for number in numbers:
            self.summary.failed |= self.work.failed(number)
        if self.coding.kind == "folder":
            albums.write_folder(out, self._written(albums.decoded(segments, clip.alpha)), mark, protection.permit)
        else:
            with files.replaced(out, permit=protection.permit, folder=self.work.folder) as file:
                if self.coding.pictures:
                    times = [time for number in numbers for time in self._times(number)]
                    frames = self._written(albums.decoded(segments, clip.alpha))
                    albums.write_animation(file, self.coding.kind, frames, times, clip.time_base, mark)
                else:
                    times_of = self._written(map(self._times, numbers), self.each * self.length)
                    strip = self.pipeline.output is not None and self.pipeline.output.location == "strip"
                    problems = joining.join(segments, times_of, clip, self.coding, Path(file.name), mark, strip)
                    self.summary.notes += [note for note in problems if note not in self.summary.notes]
        record.write(self.summary, self.work, self.parts, self.chosen, key, protection.chain)

    def _segments(self, parts: int) -> int:
        """Count the segments that so many parts make."""
        return -(-parts // self.each)

    def _times(self, segment: int) -> Times:
        """Read the times of a segment's frames."""
        parts = range(segment * self.each, min(self.parts, (segment + 1) * self.each))
        return [*chain.from_iterable(map(self.work.times, parts))]

    def _written(self, items: Iterator[Item], frames: int = 1) -> Iterator[Item]:
        """Pass on what is written, each of so many frames, and tell how much of it is."""
        for done in count():
            reached = min(done * frames, self.summary.frames)
            self.on_progress(Progress("write", reached, self.summary.frames, 0.0))
            if (item := next(items, None)) is None:
                return
            yield item

    def _tracked(self, frames: Iterator[Frame], first: int) -> Iterator[Frame]:
        return self._counted("track", frames, first, lambda: 0)

    def _edited(self, frames: Iterator[Frame], first: int) -> Iterator[Frame]:
        return self._counted("edit", frames, first, lambda: self.scan.complete * self.scan.tallies.frames)

    def _counted(
        self, step: Literal["track", "edit"], frames: Iterator[Frame], first: int, total: Callable[[], int]
    ) -> Iterator[Frame]:
        """Pass frames on, and tell how many of them are done and how fast."""
        start = time.perf_counter()
        for done in count():
            frame = next(frames, None)
            seconds = time.perf_counter() - start
            with self._telling:
                rate, number = done / seconds if seconds > 0 else 0.0, list(STEPS).index(step)
                if number >= self._step:  # once frames are edited, nothing more is told of those that are looked at
                    self._step = number
                    self.on_progress(Progress(step, first + done, total(), rate))
            if frame is None:
                return
            yield frame
