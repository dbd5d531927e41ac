"""Groups of photos that go through a chain side by side."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain

import numpy as np
import torch

from ganchain.errors import FaceError, PhotoError, WeightsError
from ganchain.faces.align import Aligner, Canvas
from ganchain.faces.detect import checked
from ganchain.faces.face import Face
from ganchain.faces.reading import Hold, Reading
from ganchain.framing import Framing
from ganchain.photos.marks import Provenance, after
from ganchain.photos.photo import Photo
from ganchain.pipeline import apply
from ganchain.pipeline.result import Result, Stopwatch
from ganchain.stage import Stage
from ganchain.tensors import Pixels

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Passage:
    """One photo on its way through a chain.

    Attributes:
        result: its result so far.
        needs_face: whether the chain has nothing to do without a face.
        original: the photo as it was read.
        seen: its pixels, with the colours of the nearest visible ones under the alpha.
        photo: the photo as it is seen, with the edits of whole-photo stages; set once it was read.
        grey: whether the photo was grey when it was read.
        faces: the faces to edit, where they lie in ``photo``.
        canvases: of ``faces``, with the edits since the last whole-photo stage; empty before the first.
        stages: names of the stages that have run.
        watch: seconds by step.
        hold: holds what is measured of the frames of a video still; None for a photo.
    """

    result: Result
    needs_face: bool = False
    original: Photo = field(init=False)
    seen: Pixels = field(init=False)
    photo: Photo = field(init=False)
    grey: bool = False
    faces: list[Face] = field(default_factory=list)
    canvases: list[Canvas] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    watch: Stopwatch = field(default_factory=Stopwatch)
    hold: Hold | None = None

    def begin(self, photo: Photo, grey: bool | None = None) -> None:
        """Take the photo that was read; ``grey``: whether it is, where that is known."""
        self.original, self.photo = photo, photo.spread()
        self.seen = self.photo.pixels
        self.grey = photo.is_grey() if grey is None else grey

    def take(self, faces: Iterable[Face]) -> None:
        """Take as faces to edit those that are not left out."""
        self.result.faces = list(faces)
        self.faces = [face for face in self.result.faces if face.left_out is None]
        if not self.faces and self.needs_face:
            self.result.status = "no_face"

    def fail(self, error: Exception) -> None:
        """Make ``error`` this photo's result; it costs the other photos nothing."""
        self.result = Result(self.result.name, "failed", faces=self.result.faces, error=error)

    @contextmanager
    def catch_errors(self) -> Iterator[None]:
        """Catch exceptions in the block; they fail this photo."""
        try:
            yield
        except Exception as error:
            self.fail(error)

    def note(self, name: str, decided: Sequence[Mapping[str, float]]) -> None:
        """Keep in the result what the stage ``name`` decided by itself for the photo or for each face."""
        if any(decided):
            self.result.decided[name] = [{key: round(value, 3) for key, value in row.items()} for row in decided]

    def paste(self) -> Photo:
        """Paste the canvases into the photo."""
        return _pasted(self.photo, self.faces, self.canvases)

    def whole(self) -> Callable[[], Photo]:
        """Return what makes the whole photo as it is now; it does not know this passage, which knows the result."""
        return partial(_whole, self.original, self.seen, self.photo, self.faces, self.canvases)


def _pasted(photo: Photo, faces: Sequence[Face], canvases: Sequence[Canvas]) -> Photo:
    """Paste canvases into a photo; the best face comes last, on top."""
    pixels, faces = photo.pixels, faces[: len(canvases)]
    for number in sorted(range(len(faces)), key=lambda number: (faces[number].score, -number)):
        pixels = Aligner.paste(pixels, canvases[number], faces[number].share)
    return replace(photo, pixels=pixels)


def _whole(original: Photo, seen: Pixels, photo: Photo, faces: Sequence[Face], canvases: Sequence[Canvas]) -> Photo:
    """Paste canvases, and put back what lay under the alpha wherever no stage changed a pixel."""
    photo = _pasted(photo, faces, canvases)
    if photo.alpha is None or photo.size != original.size:
        return photo
    same = (photo.pixels == seen).all(axis=2, keepdims=True)
    return replace(photo, pixels=np.where(same, original.pixels, photo.pixels))


@dataclass(frozen=True)
class Group:
    """Photos that go through the same stages side by side; the faces of all of them share network batches.

    Attributes:
        photos: the photos on their way.
        aligner: cuts the canvases.
        device: where the networks run.
        batch: faces in one network batch; None for the device's default.
        mark: the provenance that is written into edited pictures; None for none.
    """

    photos: Sequence[Passage]
    aligner: Aligner
    device: torch.device
    batch: int | None = None
    mark: Provenance | None = None

    @property
    def active(self) -> list[Passage]:
        """Photos that have faces to edit (or need none) and have not failed."""
        return [photo for photo in self.photos if photo.result.status == "ok"]

    def leave_out_unsure(self) -> None:
        """Leave out the faces that are none by their points."""
        readings = [face.reading for photo in self.active for face in photo.faces if face.reading]
        Reading.read_all(readings, "points")
        for photo in self.active:
            photo.take([checked(face) for face in photo.result.faces])

    @torch.inference_mode()
    def run(self, stage: Stage, name: str, wanted: Framing | None = None) -> None:
        """Run ``stage``, called ``name`` in results, over the photos; an error becomes its photo's result.

        Args:
            wanted: the window of faces that is still wanted after it; None for all of them.
        """
        active = self.active
        for photo in active:
            photo.stages.append(name)
        if stage.scope == "photo":
            for photo in active:
                with photo.catch_errors(), photo.watch(name):
                    whole, photo.canvases = photo.paste(), []
                    decided = stage.examine(whole.pixels, whole.quality)
                    photo.photo, photo.faces = apply.to_photo(
                        stage,
                        whole,
                        photo.faces,
                        self.device,
                        photo.seen,
                        grey=photo.grey,
                        decided=decided,
                        hold=photo.hold,
                    )
                    photo.note(name, [decided])
            return
        batches = [active] if active else []
        for batch_photos in batches:  # more are appended when photos fail together
            try:
                with _timed(batch_photos, name):
                    canvases = [self._canvases(photo) for photo in batch_photos]
                    edited = iter(apply.to_canvases(stage, list(chain(*canvases)), self.device, self.batch, wanted))
                    for photo, photo_canvases in zip(batch_photos, canvases, strict=True):
                        photo.canvases = [next(edited) for _ in photo_canvases]
                        photo.note(name, [canvas.decided for canvas in photo.canvases])
                        photo.photo = replace(photo.photo, svg=None)
            except Exception as error:
                if len(batch_photos) == 1:
                    batch_photos[0].fail(error)
                    continue
                log.warning("stage %s failed on %d photos at once; running them one by one", name, len(batch_photos))
                log.debug("the failure:", exc_info=error)
                batches += [[photo] for photo in batch_photos]

    def _canvases(self, photo: Passage) -> list[Canvas]:
        """Return a photo's canvases, cut from it if there are none yet."""
        return photo.canvases or [
            replace(self.aligner.canvas(photo.photo.pixels, face), grey=photo.grey) for face in photo.faces
        ]

    def keep_step(self, name: str) -> None:
        """Keep the photos as they are after the stage ``name``."""
        for photo in self.active:
            photo.result.steps.append((name, replace(photo.whole()(), xmp=self._xmp(photo))))

    def finish(self, *, whole: bool, pictures: Framing | None) -> list[Result]:
        """Paste the edits, now (``whole``) or when a photo is asked for, and keep the window ``pictures`` of faces."""
        for photo in self.active:
            with photo.catch_errors(), photo.watch("paste"):
                photo.result.xmp = self._xmp(photo)
                photo.photo = replace(photo.photo, xmp=photo.result.xmp)
                photo.result.whole = photo.whole()() if whole else photo.whole()
                if pictures:
                    photo.result.pictures = [canvas.picture(pictures) for canvas in self._canvases(photo)]
        return [photo.result for photo in self.photos]

    def _xmp(self, photo: Passage) -> bytes:
        """Add the mark to the XMP packet of a photo that stages have edited."""
        if not photo.stages:
            return photo.photo.xmp
        return after(photo.photo.xmp, self.mark and replace(self.mark, stages=tuple(photo.stages)))


@contextmanager
def _timed(photos: Sequence[Passage], name: str) -> Iterator[None]:
    """Time the block, and divide its seconds among the photos by their numbers of faces."""
    watch = Stopwatch()
    with watch(name):
        yield
    faces = max(1, sum(len(photo.faces) for photo in photos))
    for photo in photos:
        photo.watch.add(name, watch.seconds[name] * len(photo.faces) / faces)


@contextmanager
def located(stage: Stage) -> Iterator[None]:
    """Add to an error the name of the stage that it is about, and the stage's line in its chain."""
    try:
        yield
    except (PhotoError, FaceError, WeightsError) as error:
        raise error.at(stage=stage.name, where=stage.where) from error.__cause__
