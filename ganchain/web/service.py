"""The service behind the addresses of the API: the uploads and the queue."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, BinaryIO, TypeVar

from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import HTTPException

from ganchain.web import reports
from ganchain.web.drafts import Drafts
from ganchain.web.editor import Editor, VideoEditor
from ganchain.web.jobs import Job, Queue
from ganchain.web.limits import Limits
from ganchain.web.live_seats import Live, Seats
from ganchain.web.orders import GONE, Order
from ganchain.web.pace import Pace
from ganchain.web.reader import Full, full_disk
from ganchain.web.redraw import Draft, Drawn
from ganchain.web.upload import Upload
from ganchain.web.uploads import Busy, CleanedAway, Uploads
from ganchain.web.worker import Ending

log = logging.getLogger(__name__)
Parsed = TypeVar("Parsed")

SWEEP = 60.0  # seconds
TAKING = 4  # photos that are received at once
VIDEOS = 4  # most in their queue
Add = Callable[[str, BinaryIO], Upload]
RECENT = 60.0  # seconds in which a photo is not deleted for want of room, since its visitor is about to use it


class Service:
    """The uploads and the queue, with the ids that visitors have as keys.

    Attributes:
        receiving: bytes of the requests whose bodies are arriving; they lie on the disk, too.
    """

    def __init__(self, limits: Limits, device: str, engine: str, live: Live | None = None) -> None:
        self.limits = limits
        self.uploads = Uploads(limits)
        self._editor = Editor(device, engine, self.drop_oldest)
        self.pace = Pace()
        self.queue = Queue(limits, self._edit)
        self._video_editor = VideoEditor(device, engine, self.drop_oldest)
        few = min(limits.waiting, VIDEOS)
        self.videos = Queue(replace(limits, waiting=few, seconds=limits.video_seconds), self._video_editor)
        self.queues = (self.queue, self.videos)
        self.drafts = Drafts(device)
        self.seats = Seats(live or Live(), device, engine)
        self.receiving = 0
        self._taking, self._parsing = asyncio.Semaphore(TAKING), asyncio.Lock()
        self._ended = False

    def start(self) -> None:
        """Start the worker processes, so that they are ready for the first visitor."""
        self.uploads.start()
        self.drafts.start()
        self._editor.start()

    @property
    def idle(self) -> bool:
        """True while no job waits or runs, and nothing is being received."""
        return not any(queue.ahead() for queue in self.queues) and not self.receiving

    def end(self) -> None:
        """End all that is running and tell its visitors so."""
        self._ended = True
        for queue in self.queues:
            queue.end()
        self.uploads.end()
        self.drafts.end()
        self._editor.end()
        self._video_editor.end()
        self.seats.end()

    def close(self) -> None:
        """End all, and delete all files."""
        self.end()
        self.drafts.close()
        self._editor.close()
        self._video_editor.close()
        self.seats.close()
        for queue in self.queues:
            queue.close()
        self.uploads.close()

    def _edit(self, job: Job) -> None:
        """Run a job, and learn how long its steps take."""
        self._editor(job)
        self.pace.learn(job)

    async def sweep(self) -> None:
        """Delete what nobody asks for, again and again."""
        while True:
            await asyncio.sleep(SWEEP)
            try:
                for queue in self.queues:
                    await run_in_threadpool(queue.sweep)
                await run_in_threadpool(self.uploads.sweep)
            except OSError as error:
                log.error("old photos could not be deleted", exc_info=error)

    def described_limits(self) -> dict[str, Any]:
        """Describe the limits for visitors; without PyAV, no videos are taken."""
        return {**vars(self.limits), **({} if find_spec("av") else {"length": 0})}

    def upload(self, key: object, video: bool = False) -> Upload:
        """Look up a photo, or a video.

        Raises:
            HTTPException: there is none (any more).
        """
        upload = self.uploads.get(key) if isinstance(key, str) else None
        if upload is None or (upload.video is not None) != video:
            most, minutes = self.limits.photos, self.limits.kept / 60
            raise HTTPException(404, f"{GONE}: at most {most} are kept, each for {minutes:g} minutes; send it again")
        return upload

    def job(self, key: str) -> Job:
        job = next((job for queue in self.queues if (job := queue.get(key)) is not None), None)
        if job is None:
            raise HTTPException(404, "no such job; jobs are deleted after a while")
        return job

    async def take(self, name: str, content: BinaryIO, add: Add | None = None) -> Upload:
        """Store a file from a visitor; only a few at once, so that threads stay free for other requests.

        Args:
            add: stores it; None for a photo.
        """
        async with self._taking:
            return await run_in_threadpool(self._add, name, content, add)

    async def parsing(self, function: Callable[..., Parsed], *arguments: Any) -> Parsed:
        """Call a function that reads a chain; one at a time, so that the server keeps answering others."""
        async with self._parsing:
            if self._ended:
                raise Ending
            return await run_in_threadpool(function, *arguments)

    def _add(self, name: str, content: BinaryIO, add: Add | None = None) -> Upload:
        self.make_room()
        while True:
            try:
                return (add or self.uploads.add)(name, content)
            except Full:
                if not self.drop_oldest():
                    raise
            content.seek(0)

    def make_room(self, extra: int = 0) -> None:
        """Delete the oldest results until there is room for ``extra`` bytes more.

        Raises:
            Busy: there is none within ``Limits.disk``.
            Full: there is none on the disk, or there can be no folder.
        """
        if isinstance(vanished := self.uploads.renewed(), Full):
            raise vanished
        while problem := self.want_of_room(extra):
            if not self.drop_oldest():
                raise problem

    def want_of_room(self, extra: int = 0) -> Busy | Full | None:
        """Say why there is no room for ``extra`` bytes more; None where there is."""
        results = sum(queue.bytes for queue in self.queues)
        if self.uploads.bytes + results + self.receiving + extra > self.limits.disk:
            return Busy("there is no room left here; try again in some minutes")
        try:
            free = shutil.disk_usage(tempfile.gettempdir()).free
        except FileNotFoundError:
            return CleanedAway()
        except OSError:
            return None
        return Full() if free < 2 * extra else None  # as it is received, and as it is kept

    def drop_oldest(self) -> bool:
        """Delete the oldest result, or a photo that nobody uses; False if there is none."""
        finished = [(job.used, queue, job) for queue in self.queues for job in queue.finished()[:1]]
        if finished:
            _, queue, job = min(finished, key=lambda each: each[0])
            queue.drop(job.id)
            return True
        idle = [upload for upload in self.uploads.idle() if time.monotonic() - upload.used > RECENT]
        if idle:
            self.uploads.drop(idle[0].id)
        return bool(idle)

    def submit(self, order: Order) -> Job:
        """Add a job to the queue.

        Raises:
            ChainError: the chain is wrong, or has parts that are not allowed here.
            Busy: too many jobs wait, or there is no room for their results.
            Full: the disk is full.
        """
        order.check_number()
        self.make_room()

        def make(key: str) -> Job:
            folder = self.uploads.folder.make(key)
            try:
                parsed = order.parse(folder)
                return Job(key, parsed.name, parsed.chain, parsed.text, order.upload, folder, parsed.bundled)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise

        with full_disk():
            return self._queue_of(order.upload).submit(make)

    async def draft(self, order: Order, side: int, place: str) -> Drawn:
        """Draw what a chain does to a photo, at the size of the screen.

        Args:
            side: most px of its longest side.
            place: where the visitor shows it; a newer one for the same photo and place takes its turn.

        Raises:
            ChainError: the chain is wrong, or has parts that are not allowed here.
            Superseded, Busy: it is not drawn.
        """
        draft = await self.parsing(self._draft, order, side)
        return await self.drafts.draw((order.upload.id, place), draft)

    def _draft(self, order: Order, side: int) -> Draft:
        order.check_number()
        upload = order.upload
        folder = upload.path.parent / "files"
        with full_disk():
            folder.mkdir(exist_ok=True)
            chain = order.chain_of(folder)
        return Draft(chain, upload.preview, upload.faces, upload.size[0], side, folder)

    def describe(self, job: Job) -> dict[str, Any]:
        """Describe a job, as the answer of ``GET /jobs/ID``."""
        progress = self.pace.progress(job) if job.state == "running" else (0.0, 0.0)
        return reports.describe(job, len(self._queue_of(job.upload).ahead(job)), progress)

    def _queue_of(self, upload: Upload) -> Queue:
        return self.queue if upload.video is None else self.videos
