"""Passes over a video: over all frames for their faces, over all frames to edit them, and over the segments."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
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
from ganchain.video.options import Options
from ganchain.video.scan import Scan
from ganchain.video.smoothing import AFTER, BEFORE, Courses, Held
from ganchain.video.summary import STEPS, OnProgress, Progress, Summary
from ganchain.video.tracking import EVERY
from ganchain.video.work import Part, Work

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
        self.length = min(MOST, max(LEAST, round(options.seconds * float(source.clip.rate))))
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
        first = self.work.finished(self.scan.parts)
        self.summary.resumed = first
        for number in range(first):
            courses.tracks = frozenset(self.scan.chosen(number))
            courses.skip(self.work.part(number).seen)
        if not self.scan.has(first):
            return
        if first:
            editor.restore(self.work.state(first - 1))
        frames = self._edited(ahead(self.source.frames(first * self.length)), first * self.length)
        with Behind() as behind:
            number = first
            while self.scan.has(number):
                courses.tracks = frozenset(self.scan.chosen(number))
                self._edit_segment(number, editor, courses, frames, behind)
                number += 1

    def _edit_segment(
        self, number: int, editor: Editor, courses: Courses, frames: Iterator[Frame], behind: Behind
    ) -> None:
        """Edit one segment; its frames are carried and encoded, and it is saved, while the next ones are edited."""
        part = self.work.part(number)
        before = self.work.part(number - 1).seen[-BEFORE:] if number else []
        after = self.work.part(number + 1).seen[:AFTER] if number + 1 < self.scan.parts else []
        faces = courses(before, part.seen, after)
        editor.failed = {}
        writer = SegmentWriter(self.work.unfinished(number), self.source.clip, self.coding, editor.size)
        prepared = ahead(self._prepared(part, faces, editor, frames))
        try:
            for ready, (pts, _) in zip(prepared, part.times, strict=True):
                behind(self._write, writer, editor, editor.edit(ready), pts)
        except BaseException:
            prepared.close()
            behind.stop()
            writer.close()
            raise
        behind(self._finish, number, writer, editor, editor.failed, editor.held())

    def _prepared(
        self, part: Part, faces: Mapping[int, Sequence[Held]], editor: Editor, frames: Iterator[Frame]
    ) -> Iterator[Prepared]:
        """Prepare the frames of a part."""
        for seen, (pts, _) in zip(part.seen, part.times, strict=True):
            frame = next(frames, None)
            if frame is None or frame.pts != pts:
                raise VideoError("changed while it was read", path=self.source.clip.path)
            yield editor.prepare(frame, faces[seen.number], seen.cut)

    @staticmethod
    def _write(writer: SegmentWriter, editor: Editor, edits: Edits, pts: int) -> None:
        writer.write(editor.finish(edits), pts)

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
