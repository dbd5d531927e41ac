"""One file that a visitor sent: a photo, or a video."""

from __future__ import annotations

import re
import time
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganchain.faces.face import Face

FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
LONGEST_NAME = 100  # bytes; outputs add the chain's name, and file systems take 255


@dataclass(frozen=True)
class Moving:
    """Facts of a video: the seconds that it lasts, the number of its frames, and the ids of stills of it."""

    seconds: float
    frames: int
    stills: list[str]


@dataclass
class Upload:
    """A photo, or a video, that a visitor sent.

    Attributes:
        id: a secret; whoever has it may see the photo.
        name: the visitor's name of the file, without characters that some systems refuse.
        path: the file here.
        size: width, height in px, upright.
        faces: the detections in it, in reading order.
        used: when a visitor last asked for it, by ``time.monotonic``.
        jobs: the number of jobs that need it and have not ended.
        bytes: the size of its files.
        video: the facts of a video; None for a photo.
    """

    id: str
    name: str
    path: Path
    size: tuple[int, int]
    faces: list[Face]
    used: float = field(default_factory=time.monotonic)
    jobs: int = 0
    bytes: int = 0
    video: Moving | None = None

    @property
    def preview(self) -> Path:
        return preview_of(self.path)

    def answer(self) -> dict[str, Any]:
        """Describe a photo, as the answer of ``POST /photos``."""
        return {"id": self.id, "name": self.name, "size": list(self.size), "faces": self.describe()}

    def describe(self) -> list[dict[str, Any]]:
        """Describe the faces for the page and for reports, with the numbers that ``faces: [0, 2]`` in a chain uses."""
        faces: list[dict[str, Any]] = []
        count = 0
        for face in self.faces:
            box = [round(edge, 1) for edge in face.box]
            number = None if face.left_out else count
            faces.append({"number": number, "box": box, "score": round(face.score, 3), "left_out": face.left_out})
            count += face.left_out is None
        return faces


def preview_of(path: Path) -> Path:
    return path.parent / ".preview.jpg"


def file_name(text: str) -> str:
    """Make a file name that every system accepts: "../x/a.jpg" -> "a.jpg"."""
    name = re.split(r"[/\\]", unicodedata.normalize("NFC", text))[-1]
    name = FORBIDDEN.sub("_", name).strip(". ")
    stem, dot, suffix = name.rpartition(".")
    stem, suffix = (stem, suffix) if dot else (name, "")
    return f"{_cut(stem, LONGEST_NAME)}{dot}{_cut(suffix, 8)}" if stem else "photo"


def _cut(text: str, most: int) -> str:
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
