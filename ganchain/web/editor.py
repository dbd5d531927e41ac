"""The editing of photos in a worker process, seen from the server."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from ganchain import chains
from ganchain.batch.process import Work
from ganchain.errors import GanchainError, PhotoError
from ganchain.web.jobs import Job
from ganchain.web.reader import Full
from ganchain.web.runner import LOADING, Outcome, Task, phase
from ganchain.web.video_runner import STEPS, VideoTask, video_runner
from ganchain.web.warm import warm_runner
from ganchain.web.worker import Crashed, Worker

log = logging.getLogger(__name__)


class Gone(GanchainError):
    """An error for a job whose files somebody has deleted."""

    status = 404

    def __init__(self) -> None:
        super().__init__("the photo was cleaned away; send it again")


class Editor(Worker):
    """A worker process that runs jobs: ``editor(job)``.

    Args:
        device, engine: as for ``Pipeline``.
        make_way: deletes something old where the disk is full; returns False if there is nothing.
        make: makes the runner in the process; None for that of photos.
    """

    def __init__(
        self, device: str, engine: str, make_way: Callable[[], bool], make: Callable[..., Work] | None = None
    ) -> None:
        super().__init__(make or warm_runner, (device, engine))
        self._make_way = make_way

    def __call__(self, job: Job) -> None:
        """Run ``job``.

        Raises:
            Gone: its photo, or the folder for its pictures, is not there any more.
            GanchainError: the job failed; the message names no path on this machine.
        """
        try:
            self._run(job)
        except Exception:
            if not (job.upload.path.exists() and job.folder.exists()):
                raise Gone from None
            raise

    def _run(self, job: Job) -> None:
        job.stage, allowed = "loading", job.deadline - time.monotonic()
        self.prepare()
        job.deadline = time.monotonic() + allowed  # a new process costs the job none of its time
        while isinstance((outcome := self._outcome(job)).error, Full) and self._make_way():
            pass
        for text in outcome.logged:
            log.error(text)
        if outcome.error is not None:
            raise outcome.error
        job.report, job.pictures, job.previews = outcome.report, outcome.pictures, outcome.previews
        job.thumbnails, job.video = outcome.thumbnails, outcome.video

    def _task(self, job: Job) -> tuple[Task, Sequence[str]]:
        """Make the task of a job, and name its steps."""
        upload, names = job.upload, chains.numbered(spec.name for spec in job.chain.stages)
        task = Task(
            job.id[:4], job.name, job.chain, upload.path, upload.preview, upload.size, upload.describe(), job.folder
        )
        return task, names

    def _outcome(self, job: Job) -> Outcome:
        task, names = self._task(job)

        def tick(step: int) -> None:
            job.reach(step, self.share)
            job.tick(*phase(names, step))

        try:
            outcome: Outcome = self.call(task, tick, LOADING)
        except Crashed as error:
            raise PhotoError(error.reason, path=job.upload.name) from None
        return outcome


class VideoEditor(Editor):
    """A worker process that runs jobs of videos; it is started with the first."""

    def __init__(self, device: str, engine: str, make_way: Callable[[], bool]) -> None:
        super().__init__(device, engine, make_way, video_runner)

    def _task(self, job: Job) -> tuple[Task, Sequence[str]]:
        upload, video = job.upload, job.upload.video
        task = VideoTask(
            job.id[:4],
            job.name,
            job.chain,
            upload.path,
            upload.preview,
            upload.size,
            [],
            job.folder,
            frames=video.frames if video else 0,
        )
        return task, STEPS
