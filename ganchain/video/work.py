"""Work folder of a video: what is finished, so that a run goes on where the one before was stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from ganchain import files
from ganchain.errors import VideoError
from ganchain.video.joining import Times
from ganchain.video.smoothing import Seen
from ganchain.video.tracking import Sight

JOB, LOCK = "job.json", "lock"


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a video, as the tracker saw it; a segment has one or several.

    Attributes:
        seen: the frames.
        times: pts and duration of each.
    """

    seen: Sequence[Seen]
    times: Times


class Work:
    """Work folder, beside the output.

    It belongs to one job: another input, chain or option begins anew. Whatever lies in it was written whole.

    Args:
        out: the output.
        key: digest of all that the output depends on.
    """

    def __init__(self, out: Path, key: str) -> None:
        self.folder = self.folder_of(out)
        self.key = key
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.folder / LOCK)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise VideoError("another run is writing this video", path=out) from None
        self._sweep()

    @staticmethod
    def folder_of(out: Path) -> Path:
        """Name the work folder of an output: .clip.mp4.ganchain."""
        return out.with_name(f".{out.name}.ganchain")

    def _sweep(self) -> None:
        """Remove what a run that was killed had not finished, and all of another job."""
        same = False
        with suppress(OSError, ValueError):
            same = json.loads((self.folder / JOB).read_text())["key"] == self.key
        for path in self.folder.iterdir():
            if path.name != LOCK and (path.suffix == ".part" or not same):
                path.unlink()
        files.write(self.folder / JOB, json.dumps({"key": self.key}))

    def release(self) -> None:
        """Leave the folder as it is, for the next run."""
        self._lock.release()

    def close(self) -> None:
        """Remove the folder."""
        self._lock.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def segment(self, number: int) -> Path:
        """Return the path of a segment."""
        return self.folder / f"segment-{number:05d}.mkv"

    def unfinished(self, number: int) -> Path:
        """Return the path of a segment that is being written."""
        return self.segment(number).with_suffix(".part")

    def save_part(self, number: int, part: Part, state: Mapping[str, Any], last: bool) -> None:
        """Save what was seen in a part, and the tracker's state behind it; ``last``: the video ends with it."""
        sights = [(index, sight) for index, seen in enumerate(part.seen) for sight in seen.sights]
        arrays = {
            "number": np.array([seen.number for seen in part.seen]),
            "time": np.array([seen.time for seen in part.seen]),
            "cut": np.array([seen.cut for seen in part.seen]),
            "times": np.array(part.times, np.int64),
            "frame": np.array([index for index, _ in sights], np.int64),
            "track": np.array([sight.track for _, sight in sights], np.int64),
            "confidence": np.array([sight.confidence for _, sight in sights]),
            "points": np.array([sight.points for _, sight in sights], np.float32).reshape(-1, 478, 2),
            "flow": np.array([_or_unknown(sight.flow) for _, sight in sights], np.float32).reshape(-1, 478, 2),
            "state": np.array(json.dumps(state)),
            "last": np.array(last),
        }
        self._save(self._part(number), arrays)

    def has_part(self, number: int) -> bool:
        """Say whether a part was looked at."""
        return self._part(number).is_file()

    def part(self, number: int) -> Part:
        """Read what was seen in a part."""
        with np.load(self._part(number)) as stored:
            arrays = {name: stored[name] for name in stored.files}
        seen = []
        for index, (frame, time, cut) in enumerate(zip(arrays["number"], arrays["time"], arrays["cut"], strict=True)):
            own = np.flatnonzero(arrays["frame"] == index)
            sights = [
                Sight(
                    int(arrays["track"][k]),
                    arrays["points"][k],
                    float(arrays["confidence"][k]),
                    _known(arrays["flow"][k]),
                )
                for k in own
            ]
            seen.append(Seen(int(frame), float(time), bool(cut), sights))
        return Part(seen, [(int(pts), int(duration)) for pts, duration in arrays["times"]])

    def behind_part(self, number: int) -> tuple[dict[str, Any], bool]:
        """Read the tracker's state behind a part, and whether the video ends with it."""
        with np.load(self._part(number)) as stored:
            return json.loads(str(stored["state"])), bool(stored["last"])

    def times(self, number: int) -> Times:
        """Read the times of a part's frames."""
        with np.load(self._part(number)) as stored:
            return [(int(pts), int(duration)) for pts, duration in stored["times"]]

    def save_failed(self, number: int, failed: Mapping[int, str]) -> None:
        """Save which frames of a segment could not be edited, and why."""
        files.write(self._failed(number), json.dumps({str(frame): reason for frame, reason in failed.items()}))

    def failed(self, number: int) -> dict[int, str]:
        """Read which frames of a segment could not be edited, and why."""
        return {int(frame): reason for frame, reason in json.loads(self._failed(number).read_text()).items()}

    def save_state(self, number: int, arrays: Mapping[str, Any]) -> None:
        """Save what is held behind a segment; that of earlier segments is removed."""
        self._save(self._state(number), arrays)
        for older in range(number - 1, -1, -1):
            if not self._state(older).exists():
                break
            self._state(older).unlink()

    def state(self, number: int) -> dict[str, Any]:
        """Read what is held behind a segment."""
        with np.load(self._state(number)) as stored:
            return {name: stored[name] for name in stored.files}

    def finished(self, parts: int) -> int:
        """Count the segments that are finished: the first ones, up to the last whose state was saved, too."""
        states = [number for number in range(parts) if self._state(number).is_file()]
        return max(states) + 1 if states else 0

    def _save(self, path: Path, arrays: Mapping[str, Any]) -> None:
        with files.replaced(path) as file:
            np.savez(file, **arrays)

    def _part(self, number: int) -> Path:
        return self.folder / f"part-{number:05d}.npz"

    def _failed(self, number: int) -> Path:
        return self.folder / f"failed-{number:05d}.json"

    def _state(self, number: int) -> Path:
        return self.folder / f"state-{number:05d}.npz"


def _or_unknown(flow: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Stand in for a flow that is not known."""
    return np.full((478, 2), np.nan, np.float32) if flow is None else flow


def _known(flow: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Undo ``_or_unknown``."""
    return None if np.isnan(flow[0, 0]) else flow
