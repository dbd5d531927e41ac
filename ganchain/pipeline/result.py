"""What became of one photo."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from PIL import Image

from ganchain.errors import GanchainError
from ganchain.faces.face import Face
from ganchain.photos import images
from ganchain.photos.photo import Photo
from ganchain.tensors import Pixels

Status = Literal["ok", "no_face", "failed"]


@dataclass
class Result:
    """What became of one photo.

    Attributes:
        name: the photo's path, or what stands for it.
        status: "ok"; "no_face": no usable face, the photo is unchanged; "failed": see ``error``.
        whole: the whole photo after the chain, or what makes it; None when it failed.
        faces: all detections in the photo as it was read, best first, with boxes, scores and reasons.
        pictures: the edited faces as (S, S, 3) uint8, in the order of the faces that were edited; none when
            the chain's output is the photo alone.
        steps: (stage, whole photo after it), when asked for.
        xmp: what the edited pictures say of themselves, an XMP packet.
        seconds: by step ("read", "detect", each stage, "paste").
        error: why it failed.
    """

    name: str
    status: Status
    whole: Photo | Callable[[], Photo] | None = field(default=None, repr=False)
    faces: list[Face] = field(default_factory=list)
    pictures: list[Pixels] = field(default_factory=list)
    steps: list[tuple[str, Photo]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    error: Exception | None = None
    xmp: bytes = field(default=b"", repr=False)

    @property
    def photo(self) -> Photo | None:
        """The whole photo after the chain; None when it failed."""
        if callable(self.whole):  # of a chain that writes faces nobody may ask for it
            self.whole = self.whole()
        return self.whole

    @property
    def image(self) -> Image.Image:
        """The whole photo as a PIL image; raises ``error`` when it failed."""
        if self.photo is None:
            raise self.error or GanchainError(f"{self.name} has no picture")
        return images.to_image(self.photo)

    def save(self, path: str | Path) -> None:
        """Write the whole photo, in the format of the suffix, with its metadata."""
        if self.photo is None:
            raise self.error or GanchainError(f"{self.name} has no picture")
        images.write(self.photo, Path(path))


class Stopwatch:
    """Seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
