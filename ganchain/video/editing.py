"""Editing of frames: each is a photo whose faces are known already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import cv2
import numpy as np
import torch

from ganchain.errors import VideoError, text_of
from ganchain.faces.align import Aligner
from ganchain.faces.face import Face
from ganchain.faces.parts import PARTS
from ganchain.faces.reading import Kind, Points, Reading
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
from ganchain.video.clock import limited
from ganchain.video.flow import Carrier
from ganchain.video.holding import FRAME, HeldParts, Holder, TrackHold, TrackReading
from ganchain.video.options import Options
from ganchain.video.smoothing import Held


@dataclass(frozen=True, eq=False)
class Prepared:
    """Frame whose faces were read.

    Attributes:
        frame: as it was read.
        cut: whether a scene begins with it.
        tracks: the numbers of its faces.
        segment: the number of the segment that it is written to.
        mattes: of all tracks, as they are held behind it.
        faces: its faces, with what is known of them.
        error: why they could not be read; "" if they were.
    """

    frame: Frame
    cut: bool
    tracks: Sequence[int]
    segment: int
    mattes: Mapping[int, HeldParts]
    faces: Sequence[Face] = ()
    error: str = ""


@dataclass(frozen=True, eq=False)
class Edits:
    """Frame that went through the chain.

    Attributes:
        frame: as it was read.
        before: its pixels, at the size of the output.
        cut: whether a scene begins with it.
        failed: where it is noted if it fails.
        edited: what came out; None if it failed.
    """

    frame: Frame
    before: Pixels
    cut: bool
    failed: dict[int, str]
    edited: Photo | None = None


class Editor:
    """Editor of a video's frames, in order.

    Args:
        pipeline: edits them.
        clip: the video.
        options: how still the edits are held, the label, and how long a frame may take.

    Attributes:
        size: width and height of the edited frames.
        kinds, parts: what is read of faces, and which mattes of that are wanted.
        draws_frames: whether a stage draws whole frames with what is read of their faces.
        failed: why frames could not be edited, by number.
    """

    def __init__(self, pipeline: Pipeline, clip: Clip, options: Options) -> None:
        self.pipeline, self.options = pipeline, options
        self.needs_face = needs_face(pipeline.stages)
        active = [stage for stage in pipeline.stages if not stage.idle]
        self.factor = prod(stage.scale for stage in active if stage.scope == "photo" and stage.effect == "enlarge")
        self.size = (clip.size[0] * self.factor, clip.size[1] * self.factor)
        needed: dict[Kind, None] = dict.fromkeys(kind for stage in active for kind in stage.needs)
        self.kinds: Sequence[Kind] = [kind for kind in needed if kind != "points"]
        wanted = {name for stage in active for name in (*stage.reads, *stage.keeps)}
        self.parts = [name for name in PARTS if name in wanted]
        self.holder = Holder(pipeline.reader, options.steady, _kind(active))
        self.carrier = Carrier(options.steady, any(stage.effect == "replace" for stage in active))
        self.draws_frames = any(stage.scope == "photo" and stage.reads for stage in active)
        self.label = options.label or (pipeline.output.label if pipeline.output else "")
        self.grey: bool | None = None
        self._mattes: Mapping[int, HeldParts] = {}  # those of the last edited frame; later ones are prepared already
        self.failed: dict[int, str] = {}

    def __call__(self, frame: Frame, faces: Sequence[Held], cut: bool) -> Pixels:
        """Edit a frame: (H, W, 3) uint8, or (H, W, 4) where the video is transparent.

        One that fails or takes too long stays as it is, only enlarged, and is noted in ``failed``.
        """
        return self.finish(self.edit(self.prepare(frame, faces, cut)))

    def prepare(self, frame: Frame, faces: Sequence[Held], cut: bool, segment: int = 0) -> Prepared:
        """Read what the chain wants to know of the faces in a frame.

        This, ``edit`` and ``finish`` may each be in a thread of its own, in the order of the frames.
        """
        torch.get_num_threads()  # sets it for this thread, too, whose first sums would else be divided otherwise
        tracks = [face.track for face in faces]
        try:
            if cut:
                self.holder.forget_parts(tracks)
            pixels = Photo(frame.pixels, frame.alpha).visible()
            read = [self._face(pixels, held) for held in faces]
            readings = [face.reading for face in read if face.reading]
            for kind in self.kinds:
                Reading.read_all(readings, kind)
            for reading in readings if self.kinds else ():
                reading.parts.fit(self.parts)
            error = ""
        except Exception as problem:  # one bad frame never ends the video
            read, error = [], text_of(problem)
        return Prepared(frame, cut, tracks, segment, dict(self.holder.parts), read, error)

    def edit(self, prepared: Prepared) -> Edits:
        """Run the chain on a frame."""
        frame, cut, self._mattes = prepared.frame, prepared.cut, prepared.mattes
        if cut:
            self.holder.forget_values(prepared.tracks)
        photo = Photo(frame.pixels, frame.alpha, name=f"frame {frame.number}")
        if cut or self.grey is None:
            self.grey = photo.is_grey()
        edits = Edits(frame, self._resized(frame.pixels), cut, self.failed)
        if prepared.error:
            self.failed[frame.number] = prepared.error
            return edits
        try:
            with limited(self.options.timeout):
                return replace(edits, edited=self._edited(photo, prepared.faces))
        except Exception as error:
            self.failed[frame.number] = text_of(error)
            return edits

    def finish(self, edits: Edits) -> Pixels:
        """Carry what was edited before on to a frame, and label it."""
        pixels, frame = edits.before, edits.frame
        alpha = frame.alpha if frame.alpha is None else self._alpha(frame.alpha)
        try:
            if edits.edited is not None:
                pixels = self.carrier(edits.before, edits.edited.pixels, edits.cut)
                alpha = edits.edited.alpha
        except Exception as error:  # as above
            edits.failed[frame.number] = text_of(error)
        pixels = labelled(pixels, self.label)
        return pixels if alpha is None else np.dstack([pixels, alpha])

    def _edited(self, photo: Photo, faces: Sequence[Face]) -> Photo:
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

    def _run(self, photo: Photo, faces: Sequence[Face]) -> Photo:
        """Run the pipeline on a frame."""
        if not faces and self.needs_face and self.factor == 1:
            return photo
        passage = Passage(Result(photo.name, "ok", photo), self.needs_face, hold=TrackHold(self.holder, FRAME))
        passage.begin(photo, self.grey)
        passage.take(faces)
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
            sample=lambda framing, side: Aligner(framing).sample(pixels, face, side),
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

    def held(self) -> dict[str, Any]:
        """Return all that is held behind the last edited frame, but for what is carried: arrays by name."""
        grey = {} if self.grey is None else {"grey": np.array(self.grey)}
        return {**self.holder.state(self._mattes), **grey}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Go back to what ``held`` and the carrier's ``state`` returned."""
        self.holder.restore(arrays)
        self.carrier.restore(arrays)
        self.grey = bool(arrays["grey"]) if "grey" in arrays else None


def _kind(stages: Sequence[Stage]) -> Kind:
    """Choose what is read of heads: nothing beyond the head's window, where no stage sees that."""
    if any("busts" in stage.needs for stage in stages):
        return "busts"
    seen = Framing.around([HEAD, *(stage.framing for stage in stages if stage.scope == "face")])
    return "heads" if seen.side < 1.01 * HEAD.side else "parts"
