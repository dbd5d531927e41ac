"""The queue of jobs, each of which runs a photo through a chain; they run one after the other."""

from __future__ import annotations

import logging
import secrets
import shutil
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Thread
from typing import Any, Literal

from ganchain.chains import Chain
from ganchain.errors import text_of
from ganchain.web.folder import size_of
from ganchain.web.limits import Limits
from ganchain.web.models import Problem
from ganchain.web.upload import Upload
from ganchain.web.uploads import Busy
from ganchain.web.worker import Ended, Ending

log = logging.getLogger(__name__)

VIDEO_STEPS = 3
State = Literal["waiting", "running", "done", "failed", "cancelled"]


@dataclass
class Job:
    """A photo, or a video, on its way through a chain.

    Attributes:
        id: a secret; whoever has it may see the job.
        name: the chain's name.
        text: the chain as YAML, for use elsewhere.
        bundled: True if the chain is a bundled one.
        folder: the folder of the job's files and pictures.
        state: the state; it is "done" also if the photo has no face, and comes back unchanged.
        stage: the name of what runs now; it is the ``step``-th of ``steps``.
        report: the report in the answer of ``GET /jobs/ID`` once the job is done.
        pictures: the files that ``ganchain run`` would write.
        previews: pairs of a caption and a picture for the screen, the photo first, then after each stage.
        thumbnails: small pictures of ``pictures``, where there are several.
        video: the video that was made of a video.
        begun: when each step began, by ``time.monotonic``, in the order in which they ran: 0 is the reading, 1 the
            first stage.
        share: of the running step that is done, 0..1; 0 where it is not counted.
        ended: a future that is done when the job has ended.
        used: when a visitor last asked for the job, by ``time.monotonic``.
        deadline: when the job must have ended, by the same clock.
        bytes: the size of its files, once it has ended.
        status: the HTTP status of its error.
        problems: the wrong values of the chain, where the error is about them.
    """

    id: str
    name: str
    chain: Chain
    text: str
    upload: Upload
    folder: Path
    bundled: bool = False
    state: State = "waiting"
    stage: str = ""
    step: int = 0
    error: str = ""
    report: dict[str, Any] = field(default_factory=dict)
    pictures: list[Path] = field(default_factory=list)
    previews: list[tuple[str, Path]] = field(default_factory=list)
    thumbnails: list[Path] = field(default_factory=list)
    video: Path | None = None
    begun: dict[int, float] = field(default_factory=dict)
    share: float = 0.0
    ended: Future[None] = field(default_factory=Future)
    used: float = field(default_factory=time.monotonic)
    deadline: float = 0.0
    bytes: int = 0
    status: int = 422
    problems: list[Problem] = field(default_factory=list)

    def reach(self, step: int, share: float) -> None:
        """Note how far the job is: the step that runs, and the share of it that is done."""
        self.begun.setdefault(max(step, 0), time.monotonic())
        self.share = share

    @property
    def steps(self) -> int:
        return VIDEO_STEPS if self.upload.video else len(self.chain.stages)

    def tick(self, stage: str = "", step: int = 0) -> None:
        """Note the stage that runs now, and end the job if it must not go on; called again and again while it runs.

        Raises:
            Ended: the job was cancelled, or its time is up.
        """
        if stage:
            self.stage, self.step = stage, step
        if self.state == "cancelled":
            raise Ended("cancelled")
        if time.monotonic() > self.deadline:
            raise Ended("took longer than is allowed here; a smaller photo or fewer stages take less")


class Queue:
    """A queue that runs jobs in the order in which they came, one at a time, in its own thread.

    Args:
        limits: how many jobs may wait, how long each may run and is kept.
        run: runs a job; if it raises, the job has failed for that reason.
    """

    def __init__(self, limits: Limits, run: Callable[[Job], None]) -> None:
        self.limits, self._run = limits, run
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._changed = Condition()
        self._open = True
        self._thread = Thread(target=self._work, name="jobs", daemon=True)
        self._thread.start()

    def submit(self, make: Callable[[str], Job]) -> Job:
        """Add a job to the queue; ``make(id)`` builds it.

        Raises:
            Busy: ``Limits.waiting`` jobs are waiting already.
            Ending: the server ends.
        """
        if problem := self._refusal():
            raise problem
        job = make(secrets.token_urlsafe(16))
        with self._changed:
            if problem := self._refusal():
                shutil.rmtree(job.folder, ignore_errors=True)
                raise problem
            job.upload.jobs += 1
            self._jobs[job.id] = job
            self._changed.notify()
        return job

    def _refusal(self) -> Busy | Ending | None:
        if not self._open:
            return Ending()
        if len(self.ahead()) >= self.limits.waiting:
            return Busy(f"{self.limits.waiting} jobs are waiting already; try again in a minute")
        return None

    def get(self, key: str) -> Job | None:
        if (job := self._jobs.get(key)) is not None:
            job.used = time.monotonic()
            job.upload.used = job.used
        return job

    def ahead(self, job: Job | None = None) -> list[Job]:
        """List the jobs that run before ``job``; with None, all that have not ended."""
        jobs = [queued for queued in list(self._jobs.values()) if queued.state in ("waiting", "running")]
        return jobs[: jobs.index(job)] if job in jobs else [] if job else jobs

    def drop(self, key: str) -> None:
        """Cancel a job and delete its files."""
        with self._changed:
            if (job := self._jobs.pop(key, None)) is None:
                return
            running, job.state = job.state == "running", "cancelled"
            if not running:
                _end(job)
        if not running:  # else it is deleted when it has ended
            shutil.rmtree(job.folder, ignore_errors=True)

    @property
    def bytes(self) -> int:
        """Size of all results."""
        return sum(job.bytes for job in list(self._jobs.values()))

    def finished(self) -> list[Job]:
        """List the jobs that have ended, sorted by when they were last asked for, the longest ago first."""
        ended = [job for job in list(self._jobs.values()) if job.state not in ("waiting", "running")]
        return sorted(ended, key=lambda job: job.used)

    def sweep(self) -> None:
        """Delete jobs for which nobody has asked in ``Limits.kept`` seconds."""
        for job in self.finished():
            if time.monotonic() - job.used > self.limits.kept:
                self.drop(job.id)

    def end(self) -> None:
        """Cancel all jobs, tell who waits for them, and take no others."""
        with self._changed:
            self._open = False
            for job in self._jobs.values():
                if job.state in ("waiting", "running"):
                    job.state, job.error, job.status = "cancelled", text_of(Ending()), Ending.status
                    _end(job)
            self._changed.notify()

    def close(self) -> None:
        """Cancel all jobs, and wait at most 10 s for the running one."""
        self.end()
        self._thread.join(timeout=10)

    def _work(self) -> None:
        while True:
            with self._changed:
                while self._open and not self.ahead():
                    self._changed.wait()
                if not self._open:
                    return
                job = self.ahead()[0]
                job.state, job.deadline = "running", time.monotonic() + self.limits.seconds
            state: State = "done"
            try:
                self._run(job)
            except Exception as error:  # the other jobs must go on
                if job.state == "running":
                    job.error, job.status = text_of(error), getattr(error, "status", job.status)
                    job.problems = getattr(error, "problems", [])
                state = "failed"
                log.debug("job %s failed:", job.id[:4], exc_info=error)
            self._finish(job, state)

    def _finish(self, job: Job, state: State) -> None:
        with self._changed:
            if running := job.state == "running":  # it may have been cancelled meanwhile
                job.state, job.bytes = state, size_of(job.folder)
            job.used = time.monotonic()
            _end(job)
        if not running:
            shutil.rmtree(job.folder, ignore_errors=True)


def _end(job: Job) -> None:
    if not job.ended.done():
        job.upload.jobs -= 1
        job.ended.set_result(None)
