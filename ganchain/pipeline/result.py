"""Results: the edited photo, its faces, the time that each step took, and the error if there was one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from PIL import Image

from ganchain.chains import Output
from ganchain.errors import GanchainError
from ganchain.faces.face import Face
from ganchain.photos import images
from ganchain.photos.label import labelled
from ganchain.photos.photo import Photo
from ganchain.photos.protect import Protection
from ganchain.pipeline.names import of_face
from ganchain.tensors import Pixels

Status = Literal["ok", "no_face", "failed"]


@dataclass(eq=False)
class Result:
    """Result of one photo.

    Attributes:
        name: the photo's path, or the type of the object that was given instead.
        status: "ok"; "no_face": no usable face, the photo is unchanged; "failed": see ``error``.
        whole: the whole photo after the chain, or a function that makes it; None when it failed.
        faces: all detections in the photo as it was read, in reading order, with boxes, scores and reasons.
        pictures: the edited faces as (S, S, 3) uint8, in the order of the faces that were edited; none when
            the chain's output is the photo alone.
        steps: (stage, whole photo after it), when asked for.
        xmp: the XMP packet of the edited pictures, with their provenance.
        output: what is written of it, as the chain says; by default the whole photo.
        reads: the files that it was made of, which are never overwritten.
        decided: what stages decided by themselves, by stage: one row for the photo, or one for each edited face
            ({"restore": [{"amount": 0.7}]}).
        seconds: by step ("read", "detect", each stage, "paste").
        error: the reason why it failed.
    """

    name: str
    status: Status
    whole: Photo | Callable[[], Photo] | None = field(default=None, repr=False)
    faces: list[Face] = field(default_factory=list)
    pictures: list[Pixels] = field(default_factory=list)
    steps: list[tuple[str, Photo]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    decided: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    error: Exception | None = None
    xmp: bytes = field(default=b"", repr=False)
    output: Output = field(default_factory=Output)
    reads: Sequence[Path] = ()

    @property
    def photo(self) -> Photo | None:
        """The whole photo after the chain; None when it failed."""
        if callable(self.whole):  # a chain that writes only faces may never need it
            self.whole = self.whole()
        return self.whole

    @property
    def image(self) -> Image.Image:
        """The whole photo as a PIL image; raises ``error`` when it failed."""
        if self.photo is None:
            raise self.error or GanchainError(f"{self.name} has no picture")
        return images.to_image(self.photo)

    def files(self, base: Path) -> Iterator[tuple[Path, Photo]]:
        """Yield the pictures to write, with their paths: the photo at ``base``, its faces beside it, or both.

        For a photo without faces it is the photo, whatever the chain writes. Raises ``error`` when it failed.
        """
        if self.output.write != "faces" or not self.pictures:
            if self.photo is None:
                raise self.error or GanchainError(f"{self.name} has no picture")
            yield base, self._labelled(self.photo)
        if self.output.write != "photo":
            for number, pixels in enumerate(self.pictures):
                yield of_face(base, number), self._labelled(Photo(pixels, xmp=self.xmp))

    def _labelled(self, photo: Photo) -> Photo:
        """Write the label, where the chain's output wants one, into a picture that was edited."""
        if not self.output.label or self.status != "ok":
            return photo
        return replace(photo, pixels=labelled(photo.pixels, self.output.label), svg=None)

    def save(self, path: str | Path) -> list[Path]:
        """Write what the chain's output says: the photo to ``path``, its faces beside it, or both; return the files.

        The suffix decides the format. Metadata are kept, as the chain's output says. Other files are replaced.

        Raises:
            GanchainError: ``error`` when it failed; the file cannot be written, or it is the photo itself.
        """
        protection = Protection(self.reads, overwrite=True)
        written = []
        for file, photo in self.files(Path(path)):
            images.write(photo, file, permit=protection.permit)
            written.append(file)
        return written


class Stopwatch:
    """Stopwatch that adds up seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time the block under ``name``."""
        start = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        """Add ``seconds`` to those of ``name``."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
