"""Whole videos: tracked part by part, edited segment by segment, and joined."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path
from uuid import uuid4

import torch

from ganchain import files
from ganchain.errors import VideoError
from ganchain.faces.detect import DlibDetector
from ganchain.photos.protect import Protection
from ganchain.pipeline import outputs
from ganchain.pipeline.pipeline import Pipeline
from ganchain.video import albums, joining, record
from ganchain.video.clip import Frame, Source
from ganchain.video.coding import Coding, SegmentWriter
from ganchain.video.containers import pyav
from ganchain.video.editing import Editor
from ganchain.video.options import Options
from ganchain.video.smoothing import AFTER, BEFORE, Courses, Seen
from ganchain.video.sources import digest, source_of
from ganchain.video.tracking import EVERY, Tracker
from ganchain.video.work import Part, Work

LEAST = 3 * EVERY  # frames of a segment, at least
SCAN = 640  # px: the longest side of the copy on which known faces are looked for


@dataclass(frozen=True)
class Progress:
    """How far a video is.

    Attributes:
        step: "track", "edit" or "write".
        done, total: frames; the total is 0 while it is not known.
        rate: frames a second in this run.
    """

    step: str
    done: int
    total: int
    rate: float

    @property
    def left(self) -> float:
        """Seconds left in this step."""
        return (self.total - self.done) / self.rate if self.rate > 0 and self.total else 0.0


OnProgress = Callable[[Progress], None]


@dataclass
class Summary:
    """What was done.

    Attributes:
        out: the video, or the folder of frames.
        record: the file with the tracks.
        frames, cuts, tracks: how many there are; ``edited`` is the number of tracks that were edited.
        resumed: segments that an earlier run had finished.
        skipped: whether the video had been finished before.
        failed: why frames could not be edited, by number.
        notes: what else there is to know, as damage in the input.
        seconds: that it took.
    """

    out: Path
    record: Path
    frames: int = 0
    cuts: int = 0
    tracks: int = 0
    edited: int = 0
    resumed: int = 0
    skipped: bool = False
    failed: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


def edit(
    pipeline: Pipeline, path: Path, out: Path, options: Options | None = None, on_progress: OnProgress | None = None
) -> Summary:
    """Run a pipeline over a video, an animation or a folder of frames.

    What is finished lies in a folder beside the output until the end, and the next call with the same arguments goes on
    from there.

    Args:
        pipeline: the chain.
        path: the video.
        out: .mp4, .mov, .mkv, .webm, .gif, .webp, or a folder for frames.

    Raises:
        VideoError: the video cannot be read or written.
        GanchainError: something else that was asked for does not exist.
    """
    start, options = time.perf_counter(), options or Options()
    source = source_of(path)
    coding = Coding.choose(out, source.clip, options.codec, options.crf)
    summary = Summary(out, record.path_of(out))
    summary.notes += [f"left out, as the output cannot hold it: {name}" for name in joining.unheld(source.clip, coding, out)]
    chain = "" if pipeline.described is None else Path(pipeline.described.source).stem
    inputs = [path, *(source.files if hasattr(source, "files") else []), *outputs.reads(pipeline.described)]
    own = options.overwrite or joining.made_by(out, chain) or record.made_by(summary.record, chain)
    protection = Protection(inputs, chain, overwrite=own)
    if not (coding.kind == "folder"):
        protection.refuse(out)
    protection.refuse_input(summary.record)
    pipeline.prepare()
    key = _key(pipeline, source, options, coding)
    if not options.redo and record.is_finished(summary.record, key, out):
        return replace(summary, skipped=True)
    with _disk(out):
        work = Work(out, key)
        try:
            run = _Run(pipeline, source, coding, options, work, summary, on_progress or (lambda _: None))
            run.track()
            run.edit()
            run.write(protection, key)
            work.close()
        finally:
            work.release()
    summary.seconds = time.perf_counter() - start
    return summary


def _key(pipeline: Pipeline, source: Source, options: Options, coding: Coding) -> str:
    """Compute the digest of all that the output depends on; a chain that is not from YAML has none, and no resuming."""
    if pipeline.mark is not None and pipeline.mark.chain_hash:
        chain = pipeline.mark.chain_hash
    elif pipeline.described is not None:
        from ganchain.chains.digest import chain_hash

        chain = chain_hash(pipeline.described, [ref for stage in pipeline.stages for ref in stage.all_weights])
    else:
        chain = uuid4().hex
    how = replace(options, overwrite=False, redo=False)
    libraries = {**pyav().library_versions, "av": pyav().__version__}
    return files.sha256_of_texts(digest(source), chain, repr(pipeline.engines), repr(how), repr(coding), repr(libraries))


class _disk:
    """Context in which a full disk is said in words."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        cause = error
        while cause is not None:
            if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
                reason = "the disk is full; what is finished stays there, and the same command goes on with the rest"
                raise VideoError(reason, path=self.out) from error
            cause = cause.__cause__ or cause.__context__


class _Run:
    """One run over a video."""

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
        self.length = max(LEAST, round(options.seconds * float(source.clip.rate)))
        self.parts = 0

    def track(self) -> None:
        """Look at all frames for faces, part by part."""
        tracker = self._tracker()
        last = False
        while self.work.has_part(self.parts) and not last:
            state, last = self.work.behind_part(self.parts)
            tracker.restore(state)
            self.parts += 1
        if not last:
            frames = self._counted("track", self.source.frames(self.parts * self.length), self.parts * self.length, 0)
            following = list(islice(frames, self.length))
            while following or self.parts == 0:
                if not following:
                    raise VideoError("has no frame that can be read", path=self.source.clip.path)
                part = self._seen(tracker, following)
                following = list(islice(frames, self.length))
                self.work.save_part(self.parts, part, tracker.record(), not following)
                self.parts += 1
            self.summary.notes += self.source.problems
        tallies = record.Tallies()
        for number in range(self.parts):
            tallies.add(self.work.part(number))
        self.chosen = tallies.chosen(self.pipeline.faces)
        self.summary.frames, self.summary.cuts = tallies.frames, tallies.cuts
        self.summary.tracks, self.summary.edited = len(tallies.tracks), len(self.chosen)

    def _tracker(self) -> Tracker:
        detector = self.pipeline.detector
        scan = detector
        if isinstance(detector, DlibDetector):  # nobody turns the camera from frame to frame
            detector = replace(detector, quarters=())
            scan = replace(detector, side=min(SCAN, detector.side))
        return Tracker(detector, scan, self.pipeline.reader.of, float(self.source.clip.rate))

    @torch.inference_mode()
    def _seen(self, tracker: Tracker, frames: Sequence[Frame]) -> Part:
        seen = []
        for frame in frames:
            cut, sights = tracker(frame.number, frame.flat())
            seen.append(Seen(frame.number, self.source.clip.seconds(frame.pts), cut, sights))
        return Part(seen, [(frame.pts, frame.duration) for frame in frames])

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
        frames = self._counted("edit", self.source.frames(start), start, self.summary.frames)
        for number in range(first, self.parts):
            self._edit_segment(number, editor, courses, frames)

    def _edit_segment(self, number: int, editor: Editor, courses: Courses, frames: Iterator[Frame]) -> None:
        """Edit one segment, and save it and the state behind it."""
        part = self.work.part(number)
        before = self.work.part(number - 1).seen[-BEFORE:] if number else []
        after = self.work.part(number + 1).seen[:AFTER] if number + 1 < self.parts else []
        faces = courses(before, part.seen, after)
        path = self.work.segment(number)
        unfinished = path.with_suffix(".part")
        editor.failed = {}
        writer = SegmentWriter(unfinished, self.source.clip, self.coding, editor.size)
        try:
            for seen, (pts, _) in zip(part.seen, part.times, strict=True):
                frame = next(frames, None)
                if frame is None or frame.pts != pts:
                    raise VideoError("changed while it was read", path=self.source.clip.path)
                writer.write(editor(frame, faces[seen.number], seen.cut), pts)
        finally:
            writer.close()
        unfinished.replace(path)
        self.work.save_failed(number, editor.failed)
        self.work.save_state(number, editor.state())

    def write(self, protection: Protection, key: str) -> None:
        """Join the segments, and write the record of the tracks."""
        out, clip = self.summary.out, self.source.clip
        self.on_progress(Progress("write", 0, self.summary.frames, 0.0))
        segments = [self.work.segment(number) for number in range(self.parts)]
        mark = self.pipeline.mark
        for number in range(self.parts):
            self.summary.failed |= self.work.failed(number)
        if self.coding.kind == "folder":
            albums.write_folder(out, albums.decoded(segments, clip.alpha), mark, protection.permit)
        else:
            with files.replaced(out, permit=protection.permit) as file:
                if self.coding.pictures:
                    times = [time for number in range(self.parts) for time in self.work.times(number)]
                    frames = albums.decoded(segments, clip.alpha)
                    albums.write_animation(file, self.coding.kind, frames, times, clip.time_base, mark)
                else:
                    times_of = map(self.work.times, range(self.parts))
                    strip = self.pipeline.output is not None and self.pipeline.output.location == "strip"
                    problems = joining.join(segments, times_of, clip, self.coding, Path(file.name), mark, strip)
                    self.summary.notes += [note for note in problems if note not in self.summary.notes]
        record.write(self.summary, self.work, self.parts, self.chosen, key, self.pipeline)

    def _counted(self, step: str, frames: Iterator[Frame], first: int, total: int) -> Iterator[Frame]:
        """Pass frames on, and tell how many of them are done and how fast."""
        start = time.perf_counter()
        for done in count():
            frame = next(frames, None)
            seconds = time.perf_counter() - start
            self.on_progress(Progress(step, first + done, total, done / seconds if seconds > 0 else 0.0))
            if frame is None:
                return
            yield frame
