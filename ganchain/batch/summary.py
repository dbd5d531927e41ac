"""Summary of a batch."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ganchain.batch.record import Status


@dataclass
class Summary:
    """Summary of a batch.

    Attributes:
        total: photos and videos that the inputs name; ``has_videos`` says whether there are videos.
        counts: photos by status.
        failed: input -> reason.
        out, record: the output folder and the file with one JSON line a photo.
        left: photos that were not begun, since the batch was stopped; a rerun does them.
        stopped: why it was stopped; None when it came to its end.
        interrupted: it was stopped by a signal.
        unrecorded: results that could not be written to the record.
        passed: what was passed over in the input folders, as lines of text.
        notes: what else there is to know, as damage in a video, and which options do not hold for videos.
        videos: videos that were done.
        spoilt_frames: frames of them that failed and stay as they were.
        damaged: numbers of the lines of the record that were dropped, since they were damaged.
        start, ended: by ``time.perf_counter``.
    """

    out: Path
    record: Path
    total: int = 0
    has_videos: bool = False
    counts: Counter[Status] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)
    start: float = field(default_factory=time.perf_counter)
    ended: float | None = None
    stopped: str | None = None
    interrupted: bool = False
    unrecorded: int = 0
    passed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    videos: int = 0
    spoilt_frames: int = 0
    damaged: list[int] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Seconds from the start to the end, or until now."""
        return (self.ended or time.perf_counter()) - self.start

    @property
    def left(self) -> int:
        """Photos that were not begun."""
        return self.total - self.counts.total()

    @property
    def rate(self) -> float:
        """Photos a second, without videos and those that earlier runs had done."""
        photos = self.counts.total() - self.counts["skipped"] - self.videos
        return photos / self.seconds if self.seconds else 0.0

    @property
    def exit_code(self) -> int:
        """0: all fine; 1: some failed, or it was stopped; 130: interrupted."""
        wrong = self.failed or self.stopped or self.unrecorded or self.spoilt_frames
        return 130 if self.interrupted else int(bool(wrong))
