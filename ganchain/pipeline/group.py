"""Several photos on their way through a chain, side by side."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain

import torch

from ganchain.faces.align import Aligner, Canvas
from ganchain.faces.face import Face
from ganchain.photos.marks import Provenance, after
from ganchain.photos.photo import Photo
from ganchain.pipeline import apply
from ganchain.pipeline.result import Result, Stopwatch
from ganchain.stage import Stage
from ganchain.tensors import to_pixels

log = logging.getLogger(__name__)


@dataclass
class Passage:
    """One photo on its way through a chain.

    Attributes:
        result: what became of it so far.
        photo: the photo with the edits of whole-photo stages; there once it was read.
        faces: the faces to edit, where they lie in ``photo``.
        canvases: of ``faces``, with the edits since the last whole-photo stage; empty before the first.
        stages: names of the stages behind it.
        watch: seconds by step.
    """

    result: Result
    photo: Photo = field(init=False)
    faces: list[Face] = field(default_factory=list)
    canvases: list[Canvas] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    watch: Stopwatch = field(default_factory=Stopwatch)

    def fail(self, error: Exception) -> None:
        """Make ``error`` this photo's result; it costs the other photos nothing."""
        self.result = Result(self.result.name, "failed", faces=self.result.faces, error=error)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Let an exception fail this photo."""
        try:
            yield
        except Exception as error:
            self.fail(error)

    def pasted(self) -> Photo:
        """Paste the canvases into the photo; the best face comes last, on top."""
        pixels = self.photo.pixels
        for canvas in reversed(self.canvases):
            pixels = Aligner.paste(pixels, canvas)
        return replace(self.photo, pixels=pixels)


@dataclass(frozen=True)
class Group:
    """Photos that go through the same stages side by side: the faces of all of them share network batches.

    Attributes:
        photos: them.
        aligner: cuts the canvases.
        device: where the networks run.
        batch: faces in one network batch; None for what the device is good at.
        mark: what edited pictures say of themselves; None: nothing.
    """

    photos: Sequence[Passage]
    aligner: Aligner
    device: torch.device
    batch: int | None = None
    mark: Provenance | None = None

    @property
    def going(self) -> list[Passage]:
        """The photos that have faces to edit (or need none) and have not failed."""
        return [photo for photo in self.photos if photo.result.status == "ok"]

    @torch.inference_mode()
    def run(self, stage: Stage, name: str) -> None:
        """Run ``stage``, called ``name`` in results, over the photos; what fails is that photo's result."""
        going = self.going
        for photo in going:
            photo.stages.append(name)
        if stage.scope == "photo":
            for photo in going:
                with photo.guarded(), photo.watch(name):
                    whole, photo.canvases = photo.pasted(), []
                    photo.photo, photo.faces = apply.to_photo(stage, whole, photo.faces, self.device)
            return
        shares = [going] if going else []
        for share in shares:  # more are appended when photos fail together
            try:
                with _timed(share, name):
                    canvases = [self._canvases(photo) for photo in share]
                    edited = iter(apply.to_canvases(stage, list(chain(*canvases)), self.device, self.batch))
                    for photo, own in zip(share, canvases, strict=True):
                        photo.canvases = [next(edited) for _ in own]
            except Exception as error:
                if len(share) == 1:
                    share[0].fail(error)
                    continue
                log.warning("stage %s failed on %d photos at once; running them one by one", name, len(share))
                log.debug("the failure:", exc_info=error)
                shares += [[photo] for photo in share]

    def _canvases(self, photo: Passage) -> list[Canvas]:
        return photo.canvases or [self.aligner.canvas(photo.photo.pixels, face) for face in photo.faces]

    def keep_step(self, name: str) -> None:
        """Keep the photos as they are after the stage ``name``."""
        for photo in self.going:
            photo.result.steps.append((name, replace(photo.pasted(), xmp=self._xmp(photo))))

    def finish(self, *, whole: bool, pictures: bool) -> list[Result]:
        """Paste the edits, now (``whole``) or when a photo is asked for, and keep the faces' ``pictures``."""
        for photo in self.going:
            with photo.guarded(), photo.watch("paste"):
                photo.result.xmp = self._xmp(photo)
                photo.photo = replace(photo.photo, xmp=photo.result.xmp)
                photo.result.whole = photo.pasted() if whole else photo.pasted
                if pictures:
                    photo.result.pictures = [to_pixels(canvas.after)[0] for canvas in self._canvases(photo)]
        return [photo.result for photo in self.photos]

    def _xmp(self, photo: Passage) -> bytes:
        if not photo.stages:
            return photo.photo.xmp
        return after(photo.photo.xmp, self.mark and replace(self.mark, stages=tuple(photo.stages)))


@contextmanager
def _timed(photos: Sequence[Passage], name: str) -> Iterator[None]:
    """Divide the seconds of a batch among its photos by their faces."""
    watch = Stopwatch()
    with watch(name):
        yield
    faces = max(1, sum(len(photo.faces) for photo in photos))
    for photo in photos:
        photo.watch.add(name, watch.seconds[name] * len(photo.faces) / faces)
