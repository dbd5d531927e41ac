"""Record of a video: JSON lines beside it that say where each track was, and what was done there."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganchain import files
from ganchain._version import VERSION
from ganchain.errors import ChainError, plain
from ganchain.faces.detect import FaceRule
from ganchain.video import placing
from ganchain.video.smoothing import BEFORE, FADE, SHORTEST, Seen, fades
from ganchain.video.work import Part, Work

if TYPE_CHECKING:
    from ganchain.video.summary import Summary


def path_of(out: Path) -> Path:
    """Name the record of a video: clip.mp4.tracks.jsonl."""
    return out.with_name(f"{out.name}.tracks.jsonl")


class Tallies:
    """Sums over the tracks of a video.

    Attributes:
        frames, cuts: how many there are.
        tracks: of each track the scene it begins in, its frames, the sum of its areas in px, and of its confidence.
    """

    def __init__(self) -> None:
        self.frames = self.cuts = 0
        self.tracks: dict[int, tuple[int, int, float, float]] = {}

    def add(self, part: Part) -> None:
        """Add a part."""
        for seen in part.seen:
            self.frames += 1
            self.cuts += seen.cut
            for sight in seen.sights:
                scene, frames, area, sure = self.tracks.get(sight.track, (self.cuts, 0, 0.0, 0.0))
                area += placing.size(sight.placement) ** 2
                self.tracks[sight.track] = (scene, frames + 1, area, sure + sight.confidence)

    def chosen(self, rule: FaceRule) -> list[int]:
        """Apply ``faces: all | largest | best | [0, 2]`` to the tracks: the largest and the best of each scene.

        Raises:
            ChainError: ``rule`` is none of these.
        """
        long = {number: tally for number, tally in self.tracks.items() if tally[1] >= min(SHORTEST, self.frames)}
        if rule == "all":
            return sorted(long)
        if isinstance(rule, list):
            return sorted(set(rule) & set(self.tracks))
        if rule not in ("largest", "best"):
            raise ChainError(f"faces: {rule!r} is none of all, largest, best or a list of numbers")
        scenes: dict[int, list[tuple[float, int]]] = defaultdict(list)
        for number, (scene, _, area, sure) in long.items():
            scenes[scene].append((area if rule == "largest" else sure, -number))
        return sorted(-max(tracks)[1] for tracks in scenes.values())


def write(summary: Summary, work: Work, parts: int, chosen: Collection[int], key: str, chain: str) -> None:
    """Write the record: a line about the video, one for each face in each frame, each cut and each failed frame."""
    head = {
        "ganchain": VERSION,
        "chain": plain(chain),
        "key": key,
        "out": summary.out.name,
        "sha256": files.sha256(summary.out) if summary.out.is_file() else None,
        "frames": summary.frames,
        "cuts": summary.cuts,
        "tracks": summary.tracks,
        "edited": sorted(chosen),
        "notes": summary.notes,
    }
    with files.replaced(summary.record, folder=work.folder) as file:
        for line in (head, *_lines(work, parts, frozenset(chosen), summary.failed)):
            file.write(json.dumps(line).encode() + b"\n")


def _lines(work: Work, parts: int, chosen: frozenset[int], failed: dict[int, str]) -> Iterator[dict[str, Any]]:
    before: Sequence[Seen] = []
    for number in range(parts):
        part = work.part(number).seen
        after = work.part(number + 1).seen[: FADE + 1] if number + 1 < parts else []
        shares = fades([*before, *part, *after], chosen)
        before = part[-BEFORE:]
        for seen in part:
            if seen.cut:
                yield {"frame": seen.number, "cut": True}
            if seen.number in failed:
                yield {"frame": seen.number, "status": "failed", "error": failed[seen.number]}
            for sight in seen.sights:
                box = [round(edge, 1) for edge in placing.box(sight.placement)]
                share = shares.get((seen.number, sight.track), 0.0)
                status = "edited" if share == 1 else "fading" if share > 0 else "left"
                if sight.track not in chosen:
                    status = "not chosen"
                yield {"frame": seen.number, "track": sight.track, "box": box, "status": status}


def _head(path: Path) -> dict[str, Any]:
    """Read the first line of a record; an empty one if it is none."""
    with suppress(OSError, ValueError), path.open(encoding="utf-8") as file:
        head = json.loads(file.readline(1 << 20))
        if isinstance(head, dict) and "ganchain" in head:
            return head
    return {}


def made_by(path: Path, chain: str) -> bool:
    """Say whether a record is that of a video which a chain of this name made, and which is there unchanged."""
    head = _head(path)
    with suppress(OSError, KeyError, ValueError):
        out = path.with_name(head["out"])
        return bool(chain) and head["chain"] == plain(chain) and files.sha256(out) == head["sha256"]
    return False


def recall(summary: Summary) -> None:
    """Fill a summary with what the record of the finished video says."""
    head = _head(summary.record)
    summary.frames, summary.cuts, summary.tracks = head["frames"], head["cuts"], head["tracks"]
    summary.edited, summary.notes, summary.skipped = len(head["edited"]), head["notes"], True
    with summary.record.open(encoding="utf-8") as file:
        failed = (json.loads(line) for line in file if '"status": "failed"' in line)
        summary.failed = {line["frame"]: line["error"] for line in failed}


def is_finished(path: Path, key: str, out: Path) -> bool:
    """Say whether a video was finished by the same job, and is still as it was written."""
    head = _head(path)
    with suppress(OSError):
        return head.get("key") == key and head["sha256"] is not None and files.sha256(out) == head["sha256"]
    return False
