"""Whole videos: tracked part by part, edited segment by segment, and joined."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from ganchain import files
from ganchain.drawing.stage import DrawnPhoto
from ganchain.errors import VideoError
from ganchain.photos.protect import Protection
from ganchain.pipeline import outputs
from ganchain.pipeline.pipeline import Pipeline
from ganchain.stage import Stage
from ganchain.video import albums, joining, record
from ganchain.video.clip import Source
from ganchain.video.coding import Coding
from ganchain.video.containers import pyav, reason_of
from ganchain.video.options import Options
from ganchain.video.passes import Passes
from ganchain.video.sources import digest, source_of
from ganchain.video.summary import OnProgress, Summary
from ganchain.video.work import Work


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
    if makes_clear(pipeline.stages):
        source.clip = replace(source.clip, alpha=True)
    coding = Coding.choose(out, source.clip, options.codec, options.crf)
    summary = Summary(out, record.path_of(out))
    summary.notes += [
        f"left out, as the output cannot hold it: {name}" for name in joining.unheld(source.clip, coding, out)
    ]
    chain = "" if pipeline.described is None else Path(pipeline.described.source).stem
    inputs = [path, *getattr(source, "files", []), *outputs.reads(pipeline.described)]
    protection = Protection(inputs, chain, overwrite=options.overwrite or made_by(out, chain))
    protection.refuse_input(out)
    protection.refuse(out / albums.NAME.format(1) if coding.kind == "folder" else out)
    protection.refuse_input(summary.record)
    pipeline.prepare()
    key = _key(pipeline, source, options, coding)
    if not options.redo and record.is_finished(summary.record, key, out):
        record.recall(summary)
        return summary
    with _in_words(out):
        work = Work(out, key)
        try:
            run = Passes(pipeline, source, coding, options, work, summary, on_progress or (lambda _: None))
            run.track_and_edit()
            run.write(protection, key)
            work.close()
        finally:
            work.release()
    summary.seconds = time.perf_counter() - start
    return summary


def makes_clear(stages: Iterable[Stage]) -> bool:
    """Say whether a chain makes frames transparent."""
    return any(isinstance(stage, DrawnPhoto) and stage.clear for stage in stages)


def made_by(path: Path, chain: str) -> bool:
    """Say whether a video or an animation was made by ganchain with a chain of this name."""
    return joining.made_by(path, chain) or record.made_by(record.path_of(path), chain)


def _key(pipeline: Pipeline, source: Source, options: Options, coding: Coding) -> str:
    """Compute the digest of all that the output depends on; a chain that is not from YAML has none, and no resuming."""
    how = replace(options, overwrite=False, redo=False)
    libraries = {**pyav().library_versions, "av": pyav().__version__}
    return files.sha256_of_texts(
        digest(source),
        pipeline.chain_hash or uuid4().hex,
        repr(pipeline.engines),
        repr(how),
        repr(coding),
        repr(libraries),
    )


@contextmanager
def _in_words(out: Path) -> Iterator[None]:
    """Say in words that the disk is full, whatever was being written, and what FFmpeg refuses."""
    try:
        yield
    except Exception as error:
        if files.is_full(error):
            reason = "the disk is full; what is finished stays, and the same command goes on with the rest"
            raise VideoError(reason, path=out) from error
        if isinstance(error, pyav().error.FFmpegError):
            raise VideoError(f"cannot be written: {reason_of(error)}", path=out) from error
        raise
