"""Worker of a batch's videos: a pipeline that takes each from its file to its output, as ``ganchain video`` does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ganchain.batch import memory
from ganchain.batch.record import Record
from ganchain.batch.settings import Settings
from ganchain.batch.worker import Large, Outcome, Worker
from ganchain.chains import Chain
from ganchain.errors import PhotoError
from ganchain.photos.find import Item
from ganchain.pipeline.order import needs_face
from ganchain.video.options import Options
from ganchain.video.run import edit
from ganchain.video.sources import source_of
from ganchain.video.summary import Progress, Summary

INTERVAL = 0.25  # seconds between two tellings how far a video is


class VideoWorker(Worker):
    """Does videos, one after the other; what is finished of one that was stopped is not done again.

    Attributes:
        tell: called with the progress of the video that is being done.
    """

    def __init__(self, chain: Chain, settings: Settings) -> None:
        super().__init__(chain, settings)
        self.tell: Callable[[Progress], None] = lambda progress: None
        self._told = 0.0

    def begin(self, items: Sequence[Item]) -> Callable[[], list[Outcome]]:
        """Do ``items`` now.

        Returns:
            A function that returns the outcomes, in the order of ``items``.
        """
        outcomes = [self._do(item) for item in items]
        return lambda: outcomes

    def _do(self, item: Item) -> Outcome:
        record = self._begun(item)
        try:
            self._identify(record, item)
            size = source_of(item.source).clip.size
            record.size = list(size)
            needs = memory.needed_by_video(*size, self.pipeline.stages)
            if needs > self.settings.memory:
                return Large(item, needs)
        except Exception as error:  # one bad video must not cost the others
            return self._fail(record, error)
        try:
            self._finish_video(record, self._edit_video(item))
        except OSError as error:
            path = self.settings.out / item.target
            return self._fail(record, PhotoError(f"cannot be written: {error.strerror or error}", path=path))
        except Exception as error:
            if memory.ran_out(error) and not self.settings.alone:
                return Large(item, needs)
            return self._fail(record, error)
        return record

    def _edit_video(self, item: Item) -> Summary:
        settings = self.settings
        overwrite = settings.overwrite or item.recorded
        options = Options(timeout=settings.timeout, overwrite=overwrite, redo=settings.redo)
        self._check_folder()
        return edit(self.pipeline, item.source, settings.out / item.target, options, self._on_progress)

    def _on_progress(self, progress: Progress) -> None:
        if time.monotonic() - self._told < INTERVAL:
            return
        self._check_folder()
        self._told = time.monotonic()
        self.tell(progress)

    def _finish_video(self, record: Record, summary: Summary) -> None:
        """Fill in the rest of the record of a video that was done."""
        record.outputs = [self._output(path) for path in (summary.out, summary.record)]
        record.seconds = {"video": round(summary.seconds, 4)}
        record.video = {**summary.counts, "resumed": summary.resumed, "failed": len(summary.failed)}
        record.notes = summary.all_notes()
        record.status = "no_face" if needs_face(self.pipeline.stages) and not summary.edited else "ok"
