"""The runner of videos in a worker process of its own, beside the one that runs photos."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import cv2
import torch

from ganchain import files
from ganchain.batch import memory
from ganchain.pipeline.order import needs_face
from ganchain.video.coding import suffix_for
from ganchain.video.options import Options
from ganchain.video.run import edit, makes_clear
from ganchain.video.summary import Progress, Summary
from ganchain.video.work import Work
from ganchain.web.runner import LOADING, Outcome, Runner, Task, refuse_large
from ganchain.web.worker import Line

STEPS = ("track", "edit", "write")  # of a video, as ``Progress.step``
FRAME = 60.0  # seconds that a frame may take
NICE = 10  # by which photos go before videos


@dataclass(frozen=True)
class VideoTask(Task):
    """A job of a video as its worker process gets it; ``photo`` is the video, and ``frames`` are counted."""

    frames: int = 0


class VideoRunner(Runner):
    """Work of a process that runs tasks of videos."""

    keep_steps = False

    def steps(self, task: Task) -> Sequence[str]:
        """Name the steps."""
        return STEPS

    def _run(self, task: Task, outcome: Outcome) -> None:
        assert isinstance(task, VideoTask)
        self._line.reach(LOADING)
        pipeline = self._pipeline(task)
        refuse_large(memory.needed_by_video(*task.size, pipeline.stages))
        out = task.folder / f"{task.photo.stem}-{task.name}{suffix_for(task.photo, makes_clear(pipeline.stages))}"

        def on_progress(progress: Progress) -> None:
            share = progress.done / max(1, progress.total or task.frames)
            self._line.reach(1 + STEPS.index(progress.step), min(1.0, share))

        try:
            summary = edit(pipeline, task.photo, out, Options(timeout=FRAME), on_progress)
        except BaseException:
            shutil.rmtree(Work.folder_of(out), ignore_errors=True)
            raise
        outcome.video = summary.out
        outcome.report = _report(task, summary, pipeline.engines)
        if needs_face(pipeline.stages) and not summary.edited:
            outcome.report["status"] = "no_face"


def _report(task: Task, summary: Summary, engines: dict[str, str]) -> dict[str, object]:
    return {
        "status": "ok",
        "chain": task.name,
        "photo": task.photo.name,
        "size": list(task.size),
        "faces": [],
        "seconds": {"video": round(summary.seconds, 3)},
        "engines": engines,
        "pictures": [],
        "video": {
            "name": summary.out.name,
            **files.identity(summary.out),
            **summary.counts,
            "notes": summary.all_notes(),
        },
    }


def video_runner(line: Line, device: str, engine: str) -> VideoRunner:
    """Make the runner in its process, which takes one core and lets photos go before."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with suppress(OSError, AttributeError):
        os.nice(NICE)
    return VideoRunner(line, device, engine)
