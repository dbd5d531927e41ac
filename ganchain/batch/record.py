"""Record of one photo or video of a batch: a JSON line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from ganchain.photos.find import Item  # which imports torch

Status = Literal["ok", "no_face", "skipped", "failed"]


@dataclass
class Record:
    """Outcome of one photo, or of one video.

    Attributes:
        input, path, chain: its path below the input folder, the whole path, and the chain's name.
        status: "ok"; "no_face": written unchanged; "skipped": an earlier run has done it; "failed": see ``error``.
        target: the path below the output folder that its output has or would have.
        sha256: of the input; None where it cannot be read.
        key: digest of input, chain, weights, names and version; equal keys mean equal outputs.
        type: "photo", or "video" for videos and animations.
        outputs: [{"path", "bytes", "sha256"}], paths below the output folder; of a video, itself and the record of its
            tracks.
        faces: [{"box", "score", "landmarks", "left_out", "distance", "points"}]; when asked for, distance: between the
            embeddings of the face before and after, and points: the 478 of ``ganchain.faces.mesh``.
        video: {"frames", "cuts", "tracks", "edited", "resumed", "failed"}: how many frames, cuts, tracks and edited
            tracks there are, segments that an earlier run had finished, and frames that failed; None for a photo.
        size: width, height in px of the photo as it was read.
        seconds: by step.
        engines, decided: the engine of each stage, and what stages decided by themselves (``Result.decided``).
        notes: what else there is to know of a video, as damage.
        error: why it failed.
        traceback: of the bug (of ganchain or a plug-in) that it failed for, if it was one.
        tries: how often it was tried, over all runs.
    """

    input: str
    path: str
    chain: str
    status: Status
    target: str
    sha256: str | None = None
    key: str | None = None
    type: Literal["photo", "video"] = "photo"
    outputs: list[dict[str, Any]] = field(default_factory=list)
    faces: list[dict[str, Any]] = field(default_factory=list)
    video: dict[str, int] | None = None
    size: list[int] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    engines: dict[str, str] = field(default_factory=dict)
    decided: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    version: str = ""
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    traceback: str | None = None
    tries: int = 1

    @classmethod
    def of(cls, item: Item, chain: str, status: Status = "failed") -> Self:
        """Begin the record of an item."""
        kind: Literal["photo", "video"] = "video" if item.video else "photo"
        return cls(item.input, str(item.source), chain, status, item.target, type=kind)

    def line(self) -> bytes:
        """Encode the record as a line of the file."""
        return json.dumps(asdict(self), separators=(",", ":")).encode() + b"\n"
