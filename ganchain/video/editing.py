"""Editing of frames: each is a photo whose faces are known already."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from threading import current_thread, main_thread
from types import FrameType
from typing import Any

import cv2
import numpy as np

from ganchain.errors import VideoError, text_of
from ganchain.faces.align import Aligner
from ganchain.faces.face import Face
from ganchain.faces.reading import Kind, Points
from ganchain.framing import HEAD, TEMPLATE, Framing
from ganchain.photos.images import alpha_enlarged
from ganchain.photos.label import labelled
from ganchain.photos.photo import Photo
from ganchain.pipeline.group import Passage
from ganchain.pipeline.order import needs_face
from ganchain.pipeline.pipeline import Pipeline
from ganchain.pipeline.result import Result
from ganchain.stage import Stage
from ganchain.tensors import Pixels
from ganchain.video import placing
from ganchain.video.clip import Clip, Frame
from ganchain.video.flow import Carrier
from ganchain.video.holding import Holder, TrackHold, TrackReading
from ganchain.video.options import Options
from ganchain.video.smoothing import Held


class Editor:
    """Editor of a video's frames, in order.

    Args:
        pipeline: edits them.
        clip: the video.
        options: how still the edits are held, the label, and how long a frame may take.

    Attributes:
        size: width and height of the edited frames.
        draws_frames: whether a stage draws whole frames with what is read of their faces.
        failed: why frames could not be edited, by number.
    """

    def __init__(self, pipeline: Pipeline, clip: Clip, options: Options) -> None:
        self.pipeline, self.options = pipeline, options
        self.needs_face = needs_face(pipeline.stages)
        active = [stage for stage in pipeline.stages if not stage.idle]
        self.factor = prod(stage.scale for stage in active if stage.scope == "photo" and stage.effect == "enlarge")
        self.size = (clip.size[0] * self.factor, clip.size[1] * self.factor)
        self.holder = Holder(pipeline.reader, options.steady, _kind(active))
        self.carrier = Carrier(options.steady, any(stage.effect == "replace" for stage in active))
        self.draws_frames = any(stage.scope == "photo" and stage.reads for stage in active)
        self.label = options.label or (pipeline.output.label if pipeline.output else "")
        self.grey: bool | None = None
        self.failed: dict[int, str] = {}

    def __call__(self, frame: Frame, faces: Sequence[Held], cut: bool) -> Pixels:
        """Edit a frame: (H, W, 3) uint8, or (H, W, 4) where the video is transparent.

        One that fails or takes too long stays as it is, only enlarged, and is noted in ``failed``.
        """
        if cut:
            self.holder.forget([face.track for face in faces])
        photo = Photo(frame.pixels, frame.alpha, name=f"frame {frame.number}")
        if cut or self.grey is None:
            self.grey = photo.is_grey()
        before = self._resized(frame.pixels)
        try:
            with _limited(self.options.timeout):
                edited = self._edited(photo, faces)
            pixels = self.carrier(before, edited.pixels, cut)
            alpha = edited.alpha
        except Exception as error:  # one bad frame never ends the video
            self.failed[frame.number] = text_of(error)
            pixels, alpha = before, frame.alpha if frame.alpha is None else self._alpha(frame.alpha)
        pixels = labelled(pixels, self.label)
        return pixels if alpha is None else np.dstack([pixels, alpha])

    def _edited(self, photo: Photo, faces: Sequence[Held]) -> Photo:
        """Edit a frame; where whole frames are drawn with their faces, one fades over into the frame without it."""
        edited = self._run(photo, faces)
        fading = [face.share for face in faces if face.share < 1]
        if not fading or not self.draws_frames:
            return edited
        without = self._run(photo, [face for face in faces if face.share == 1])
        share = sum(fading) / len(fading)
        mixed = np.asarray(cv2.addWeighted(edited.pixels, share, without.pixels, 1 - share, 0), np.uint8)
        if edited.alpha is None or without.alpha is None:
            return replace(edited, pixels=mixed)
        alpha = cv2.addWeighted(edited.alpha, share, without.alpha, 1 - share, 0)
        return replace(edited, pixels=mixed, alpha=np.asarray(alpha, np.uint8))

    def _run(self, photo: Photo, faces: Sequence[Held]) -> Photo:
        """Run the pipeline on a frame."""
        if not faces and self.needs_face and self.factor == 1:
            return photo
        passage = Passage(Result(photo.name, "ok", photo), self.needs_face)
        passage.begin(photo)
        passage.grey = bool(self.grey)
        passage.take(self._face(passage.seen, held) for held in faces)
        result = self.pipeline.group([passage])[0]
        if result.error is not None:
            raise result.error
        edited = result.photo
        if edited is None or edited.size != self.size:
            size = None if edited is None else edited.size
            raise VideoError(f"came out of the chain with the size {size}, and not {self.size}", path=photo.name)
        return edited

    def _face(self, pixels: Pixels, held: Held) -> Face:
        """Make the face at its smoothed place, with its smoothed points."""
        landmarks = placing.mapped(held.placement, TEMPLATE)
        face = Face(placing.box(held.placement), held.confidence, landmarks, share=held.share)
        reading = TrackReading(
            lambda framing, side: Aligner(framing).chip(pixels, face, side),
            self.holder.read,
            shows=lambda framing, side: Aligner(framing).shows(pixels.shape[1::-1], face, side),
            track=held.track,
        )
        reading.known["points"] = Points(held.shape, held.confidence)
        reading.hold = TrackHold(self.holder, held.track)
        return replace(face, reading=reading)

    def _resized(self, pixels: Pixels) -> Pixels:
        """Enlarge a frame as the chain would, without a network."""
        if self.factor == 1:
            return pixels
        return np.asarray(cv2.resize(pixels, self.size, interpolation=cv2.INTER_CUBIC), np.uint8)

    def _alpha(self, alpha: Any) -> Any:
        return alpha if self.factor == 1 else alpha_enlarged(alpha, self.factor)

    def state(self) -> dict[str, Any]:
        """Return all that is held between two frames, as arrays by name."""
        grey = {} if self.grey is None else {"grey": np.array(self.grey)}
        return {**self.holder.state(), **self.carrier.state(), **grey}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Go back to what ``state`` returned."""
        self.holder.restore(arrays)
        self.carrier.restore(arrays)
        self.grey = bool(arrays["grey"]) if "grey" in arrays else None


def _kind(stages: Sequence[Stage]) -> Kind:
    """Choose what is read of heads: nothing beyond the head's window, where no stage sees that."""
    if any("busts" in stage.needs for stage in stages):
        return "busts"
    seen = Framing.around([HEAD, *(stage.framing for stage in stages if stage.scope == "face")])
    return "heads" if seen.side < 1.01 * HEAD.side else "parts"


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise VideoError in the block after ``seconds``: in the main thread, where the system has such a clock."""
    if current_thread() is not main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def late(number: int, frame: FrameType | None) -> None:
        raise VideoError(f"took longer than {seconds:g} s")

    former = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
