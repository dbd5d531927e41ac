"""One job after the other: a photo through a chain, its place in the queue, its stages, what came of it."""

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
from ganchain.errors import GanchainError, text_of
from ganchain.web.limits import Limits
from ganchain.web.uploads import Busy, Upload

log = logging.getLogger(__name__)

State = Literal["waiting", "running", "done", "failed", "cancelled"]


class Ended(GanchainError):
    """The job was cancelled, or its time is up."""


@dataclass
class Job:
    """A photo on its way through a chain.

    Attributes:
        id: a secret, as that of the upload.
        name: the chain's.
        text: the chain as its visitor can use it elsewhere.
        bundled: whether it is one that comes along.
        folder: where its files and pictures lie.
        state: "done" also of a photo without a face, which comes back unchanged.
        stage: what runs now, the ``step``-th of ``steps``.
        report: what ``GET /jobs/ID`` says of a job that is done.
        pictures: the files that ``ganchain run`` would have written.
        previews: (what it shows, JPEG for the screen), the photo first, then after each stage.
        ended: is set once the job has come to its end.
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
    ended: Future[None] = field(default_factory=Future)
    used: float = field(default_factory=time.monotonic)
    deadline: float = 0.0

    @property
    def steps(self) -> int:
        return len(self.chain.stages)

    def tick(self, stage: str = "", step: int = 0) -> None:
        """Called before each network runs; what is over ends here.

        Raises:
            Ended: nobody wants the job any more, or its time is up.
        """
        if stage:
            self.stage, self.step = stage, step
        if self.state == "cancelled":
            raise Ended("cancelled")
        if time.monotonic() > self.deadline:
            raise Ended("took longer than is allowed here; a smaller photo or fewer stages take less")


class Queue:
    """Does jobs in the order they came, one at a time, in a thread of its own.

    Args:
        run: does one; what it raises is why it failed.
    """

    def __init__(self, limits: Limits, run: Callable[[Job], None]) -> None:
        self.limits, self._run = limits, run
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._changed = Condition()
        self._open = True
        self._thread = Thread(target=self._work, name="jobs", daemon=True)
        self._thread.start()

    def submit(self, make: Callable[[str], Job]) -> Job:
        """Put the job that ``make`` makes of a new id at the end of the queue.

        Raises:
            Busy: there are ``Limits.waiting`` already.
        """
        if len(self.ahead()) >= self.limits.waiting:
            raise Busy(f"{self.limits.waiting} jobs are waiting already; try again in a minute")
        job = make(secrets.token_urlsafe(16))
        job.upload.jobs += 1
        with self._changed:
            self._jobs[job.id] = job
            self._changed.notify()
        return job

    def get(self, key: str) -> Job | None:
        if (job := self._jobs.get(key)) is not None:
            job.used = time.monotonic()
            job.upload.used = job.used
        return job

    def ahead(self, job: Job | None = None) -> list[Job]:
        """The jobs that end before ``job`` begins; of None, all that have not ended."""
        going = [one for one in list(self._jobs.values()) if one.state in ("waiting", "running")]
        return going[: going.index(job)] if job in going else [] if job else going

    def drop(self, key: str) -> None:
        """Cancel the job, delete what it made."""
        with self._changed:
            job = self._jobs.pop(key, None)
        if job is None:
            return
        running, job.state = job.state == "running", "cancelled"
        if not running:
            _end(job)
            shutil.rmtree(job.folder, ignore_errors=True)

    def finished(self) -> list[Job]:
        """Jobs that have ended, the one that was last asked for longest ago first."""
        ended = [job for job in list(self._jobs.values()) if job.state not in ("waiting", "running")]
        return sorted(ended, key=lambda job: job.used)

    def sweep(self) -> None:
        """Forget what nobody has asked for in ``Limits.kept`` seconds."""
        for job in self.finished():
            if time.monotonic() - job.used > self.limits.kept:
                self.drop(job.id)

    def close(self) -> None:
        """End: the running job at its next network, the others not at all."""
        with self._changed:
            self._open = False
            for job in self._jobs.values():
                if job.state in ("waiting", "running"):
                    job.state = "cancelled"
            self._changed.notify()
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
            ended: State = "done"
            try:
                self._run(job)
            except Exception as error:  # one job must not cost the others
                ended, job.error = "failed", text_of(error)
                log.debug("job %s failed:", job.id[:4], exc_info=error)
            self._ended(job, ended)

    def _ended(self, job: Job, ended: State) -> None:
        if job.state == "running":  # and not cancelled meanwhile
            job.state = ended
        else:
            shutil.rmtree(job.folder, ignore_errors=True)
        job.used = time.monotonic()
        _end(job)


def _end(job: Job) -> None:
    if not job.ended.done():
        job.upload.jobs -= 1
        job.ended.set_result(None)
