"""Several photos on their way through a chain, side by side."""

from __future__ import annotations

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


@dataclass
class Work:
    """One photo on its way; ``photo`` is there once it was read, ``done`` are the names of the stages behind it."""

    result: Result
    photo: Photo = field(init=False)
    chosen: list[Face] = field(default_factory=list)
    canvases: list[Canvas] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    watch: Stopwatch = field(default_factory=Stopwatch)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """What goes wrong with this photo is its result, and nobody else's."""
        try:
            yield
        except Exception as error:  # one bad photo must not cost the others
            self.result = Result(self.result.name, "failed", faces=self.result.faces, error=error)

    def pasted(self) -> Photo:
        """The whole photo with the edits so far."""
        pixels = self.photo.pixels
        for canvas in reversed(self.canvases):  # the best face last, on top
            pixels = Aligner.paste(pixels, canvas)
        return replace(self.photo, pixels=pixels)


@dataclass(frozen=True)
class Walk:
    """Applies stages to photos.

    Attributes:
        aligner: cuts the canvases.
        device: where the networks run.
        batch: faces in one network batch; None for what the device is good at.
        mark: what edited pictures say of themselves; None: nothing.
    """

    aligner: Aligner
    device: torch.device
    batch: int | None = None
    mark: Provenance | None = None

    def step(self, stage: Stage, name: str, works: Sequence[Work]) -> None:
        """One stage over those photos that are not done yet."""
        going = [work for work in works if work.result.status == "ok"]
        for work in going:
            work.done.append(name)
        if stage.scope == "face" and len(going) > 1:
            try:
                with _shared(going, name):
                    self._faces(stage, name, going)
                return
            except Exception:  # one by one it shows whose fault it is
                pass
        for work in going:
            with work.guarded(), work.watch(name):
                if stage.scope == "face":
                    self._faces(stage, name, [work])
                else:
                    self._whole(stage, name, work)

    def _faces(self, stage: Stage, name: str, works: Sequence[Work]) -> None:
        canvases = [self._canvases(work) for work in works]
        with torch.inference_mode():
            edited = iter(apply.faces(stage, name, list(chain.from_iterable(canvases)), self.device, self.batch))
        for work, some in zip(works, canvases, strict=True):
            work.canvases = [next(edited) for _ in some]

    def _whole(self, stage: Stage, name: str, work: Work) -> None:
        photo, work.canvases = work.pasted(), []
        with torch.inference_mode():
            work.photo, work.chosen = apply.whole(stage, name, photo, work.chosen, self.device)

    def _canvases(self, work: Work) -> list[Canvas]:
        return work.canvases or [self.aligner.canvas(work.photo.pixels, face) for face in work.chosen]

    def keep(self, name: str, works: Sequence[Work]) -> None:
        """Remember the photos as they are after the stage ``name``."""
        for work in works:
            if work.result.status == "ok":
                work.result.steps.append((name, replace(work.pasted(), xmp=self._said(work))))

    def _said(self, work: Work) -> bytes:
        if not work.done:
            return work.photo.xmp
        return after(work.photo.xmp, self.mark and replace(self.mark, stages=tuple(work.done)))

    def end(self, works: Sequence[Work], *, whole: bool, pictures: bool) -> None:
        """Put the edits back, now (``whole``) or when a photo is asked for, and keep the faces' ``pictures``."""
        for work in works:
            if work.result.status == "ok":
                with work.guarded(), work.watch("paste"):
                    work.result.xmp = self._said(work)
                    work.photo = replace(work.photo, xmp=work.result.xmp)
                    work.result.whole = work.pasted() if whole else work.pasted
                    if pictures:
                        work.result.pictures = [to_pixels(canvas.after)[0] for canvas in self._canvases(work)]


@contextmanager
def _shared(works: Sequence[Work], name: str) -> Iterator[None]:
    """The seconds of a batch, divided among its photos by their faces."""
    watch = Stopwatch()
    with watch(name):
        yield
    faces = max(1, sum(len(work.chosen) for work in works))
    for work in works:
        work.watch.add(name, watch.seconds[name] * len(work.chosen) / faces)
