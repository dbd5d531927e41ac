"""The redrawing of photos at the size of the screen in a worker process, while their visitors try options."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from PIL import Image

from ganchain.chains import Chain, StageSpec
from ganchain.checkpoints import manifest
from ganchain.engines.device import choose as choose_device
from ganchain.errors import FaceError, GanchainError, is_bug, text_of
from ganchain.faces.align import Aligner
from ganchain.faces.detect import DlibDetector, best, choose
from ganchain.faces.face import Face
from ganchain.faces.reading import Reading
from ganchain.photos import images
from ganchain.photos.photo import Photo
from ganchain.pipeline.group import Group, Passage, located
from ganchain.pipeline.order import needs_face, running_order, windows
from ganchain.pipeline.reader import FaceReader
from ganchain.pipeline.result import Result
from ganchain.stage import Stage
from ganchain.web.public import public_error
from ganchain.web.reader import for_screen
from ganchain.web.runner import stage_key
from ganchain.web.worker import Line

log = logging.getLogger(__name__)
Value = TypeVar("Value")

PHOTOS, STAGES = 12, 24  # that stay in memory


@dataclass(frozen=True)
class Draft:
    """A draft to be drawn: a photo through a chain at the size of the screen, without the enlargements.

    Attributes:
        preview: the photo's picture for the screen.
        faces: the detections in the photo, in reading order.
        width: of the photo in px, in which the places of the faces are given.
        side: most px of the draft's longest side.
        folder: the folder of the files that the chain names, which no message may name.
    """

    chain: Chain
    preview: Path
    faces: list[Face]
    width: int
    side: int
    folder: Path


@dataclass(frozen=True)
class Drawn:
    """A draft that was drawn: the picture, whether there was a face to edit, and the seconds that it took."""

    picture: bytes
    status: str
    seconds: float


class Redrawer:
    """Work of a process that draws drafts; it keeps the photos, what is read of their faces, and the stages."""

    def __init__(self, line: Line, device: str) -> None:
        self._line = line
        self._device = choose_device(device)
        self._photos: OrderedDict[Hashable, tuple[Photo, list[Face]]] = OrderedDict()
        self._stages: OrderedDict[Hashable, Stage] = OrderedDict()

    @cached_property
    def _detector(self) -> DlibDetector:
        """Detector of the faces in reference photos."""
        return DlibDetector()

    @cached_property
    def _reader(self) -> FaceReader:
        return FaceReader(self._device)

    def begin(self, items: Sequence[Draft]) -> Callable[[], list[Drawn | GanchainError]]:
        """Draw drafts; an outcome may be the error that a visitor may read."""
        outcomes = [self._outcome(draft) for draft in items]
        return lambda: outcomes

    def _outcome(self, draft: Draft) -> Drawn | GanchainError:
        try:
            return self._draw(draft)
        except Exception as error:  # a visitor must never see a traceback
            if is_bug(error):
                log.error("a draft: %s", text_of(error), exc_info=error)
            return public_error(error, draft.folder)

    def _draw(self, draft: Draft) -> Drawn:
        start = time.perf_counter()
        photo, faces = _kept(self._photos, (draft.preview, draft.side), PHOTOS, lambda: self._open(draft))
        stages = [self._stage(spec, draft.chain.license_policy) for spec in draft.chain.stages]
        stages = [stage for stage in stages if stage.effect != "enlarge"]
        passage = Passage(Result("photo", "ok"), needs_face(stages))
        passage.begin(photo)
        passage.result = Result("photo", "ok", photo)
        passage.take(choose(faces, draft.chain.faces))
        result = self._run(stages, passage)
        if result.error is not None:
            raise result.error
        edited = result.photo or photo
        image = Image.fromarray(edited.pixels)
        if edited.alpha is not None:
            image.putalpha(Image.fromarray(edited.alpha))
        return Drawn(for_screen(image), result.status, time.perf_counter() - start)

    def _run(self, stages: Sequence[Stage], passage: Passage) -> Result:
        """Run stages over a photo as a pipeline does; those that are built and prepared already."""
        group = Group([passage], Aligner(windows(stages)[0]), self._device)
        if any(stage.needs for stage in stages):
            group.leave_out_unsure()
        for step, number in enumerate(running_order(stages), start=1):
            self._line.reach(step)
            if not stages[number].idle:
                group.run(stages[number], stages[number].name)
        return group.finish(whole=True, pictures=None)[0]

    @torch.inference_mode()
    def _stage(self, spec: StageSpec, policy: manifest.Policy) -> Stage:
        """Return a stage that is built and prepared as by a pipeline."""

        def make() -> Stage:
            stage = spec.build()
            stage.check()
            with located(stage):
                manifest.permit(stage.resolved().all_weights, policy)
                stage = stage.resolved().to(self._device).eval()
                stage.prepare(self._reference)
            return stage

        return _kept(self._stages, (stage_key(spec), policy), STAGES, make)

    def _reference(self, path: Path) -> Reading:
        """Find the best face of a reference photo."""
        pixels = images.read(path).visible()
        if (face := best(self._detector(pixels))) is None:
            raise FaceError("no face found in the reference picture", path=path)
        return self._reader.of(pixels, face)

    def _open(self, draft: Draft) -> tuple[Photo, list[Face]]:
        """Open a photo at the draft's size, with its faces and what will be read of them."""
        with Image.open(draft.preview) as image:
            image.draft("RGB", (draft.side, draft.side))
            pixels = np.asarray(image)
        if (scale := draft.side / max(pixels.shape[:2])) < 1:
            pixels = np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        alpha = np.ascontiguousarray(pixels[..., 3]) if pixels.shape[2] == 4 else None
        photo = Photo(np.ascontiguousarray(pixels[..., :3]), alpha)
        seen = photo.visible()
        faces = [face.enlarged(pixels.shape[1] / draft.width) for face in draft.faces]
        return photo, [replace(face, reading=self._reader.of(seen, face)) for face in faces]


def _kept(values: OrderedDict[Hashable, Value], key: Hashable, most: int, make: Callable[[], Value]) -> Value:
    """Return the value of ``key``, which is made if it is not there; the one used longest ago is dropped."""
    if key not in values:
        values[key] = make()
    values.move_to_end(key)
    while len(values) > most:
        values.popitem(last=False)
    return values[key]
