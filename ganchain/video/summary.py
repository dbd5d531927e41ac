"""Progress of a video while it is edited, and the summary at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Progress:
    """Place that a run has reached.

    Attributes:
        step: "track", "edit" or "write".
        done, total: frames; the total is 0 while it is not known.
        rate: frames a second in this run.
    """

    step: Literal["track", "edit", "write"]
    done: int
    total: int
    rate: float


STEPS = {"track": "looking for faces", "edit": "editing", "write": "writing"}  # in words
OnProgress = Callable[[Progress], None]


@dataclass
class Summary:
    """Summary of a run.

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

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of frames, cuts and tracks, and of the tracks that were edited."""
        return {"frames": self.frames, "cuts": self.cuts, "tracks": self.tracks, "edited": self.edited}

    def all_notes(self) -> list[str]:
        """List the notes, and the first of the frames that failed."""
        if not self.failed:
            return list(self.notes)
        number, reason = next(iter(self.failed.items()))
        count = f"{len(self.failed)} frame{'s' * (len(self.failed) > 1)}"
        return [*self.notes, f"{count} failed and stay as they were; the first is {number}: {reason}"]
