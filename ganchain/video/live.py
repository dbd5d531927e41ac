"""Frames as they come from a camera: tracked, smoothed and edited as those of a video, but without looking ahead."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import torch

from ganchain.errors import ChainError
from ganchain.faces.detect import FaceRule
from ganchain.pipeline.pipeline import Pipeline
from ganchain.stage import Stage
from ganchain.tensors import ByContent, Pixels
from ganchain.video import placing
from ganchain.video.clip import Clip, Frame
from ganchain.video.editing import Editor
from ganchain.video.options import Options
from ganchain.video.scan import tracker_of
from ganchain.video.smoothing import FADE, Courses, Held, Seen, is_usable
from ganchain.video.tracking import Sight

LARGER = 1.25  # how much larger another face must be to become the largest
AGAIN = 25  # frames after which it is decided again whether the camera is grey; many begin with a black picture
TICK = Fraction(1, 1000)  # seconds


@dataclass(frozen=True, eq=False)
class Edited(ByContent):
    """A frame that was edited.

    Attributes:
        pixels: (H, W, 3) uint8, of the frame's size.
        faces: how many are edited in it.
        seconds: spent on "track" and "edit".
        failed: why the frame stayed as it was; "" where it did not.
    """

    pixels: Pixels
    faces: int
    seconds: dict[str, float]
    failed: str = ""


@dataclass(eq=False)
class Chooser:
    """Chooser of tracks by the chain's rule ``faces``, frame by frame; the largest face stays it for a while.

    Attributes:
        rule: "all", "largest", "best", or numbers of tracks.
        former: the track that was chosen in the frame before.
    """

    rule: FaceRule
    former: int = field(default=-1, init=False)

    def __call__(self, sights: Sequence[Sight]) -> list[Sight]:
        """Choose among the faces of the next frame."""
        if isinstance(self.rule, list):
            return [sight for sight in sights if sight.track in self.rule]
        if self.rule == "all" or not sights:
            return list(sights)
        chosen = max(sights, key=lambda sight: self._merit(sight) * (LARGER if sight.track == self.former else 1.0))
        self.former = chosen.track
        return [chosen]

    def _merit(self, sight: Sight) -> float:
        return placing.size(sight.placement) if self.rule == "largest" else sight.confidence


class Live:
    """Editor of a camera's frames: ``live(pixels, seconds)``.

    Points and places go through the same One-Euro filters as those of a video, but forwards only; mattes and edits are
    held in the same way. A face that comes or turns to a profile fades; one that is lost is gone at once.

    Args:
        pipeline: the chain.
        size: width and height of the frames, in px.
        rate: frames a second, about; a lost face is waited for by it.
        steady: how still edits are held, 0..1.
        timeout: seconds that one frame may take (in the main thread; see ``Options``).

    Raises:
        ChainError: the chain enlarges frames.
    """

    def __init__(
        self, pipeline: Pipeline, size: tuple[int, int], rate: float, steady: float = 0.8, timeout: float = 10.0
    ) -> None:
        refuse_enlargement(pipeline.stages)
        self.size = size
        self._tracker = tracker_of(pipeline, rate)
        clip = Clip(Path("camera"), size, TICK, Fraction(rate))
        self._editor = Editor(pipeline, clip, Options(steady=steady, timeout=timeout))
        self._choose = Chooser(pipeline.faces)
        self._courses = Courses(steady, ())
        self._shares: dict[int, float] = {}
        self._number = 0

    @torch.inference_mode()
    def __call__(self, pixels: Pixels, seconds: float) -> Edited:
        """Edit the next frame, (H, W, 3) uint8 RGB of ``size``, seen at the time ``seconds``."""
        start = time.perf_counter()
        number, self._number = self._number, self._number + 1
        cut, sights = self._tracker(number, pixels)
        faces = self._held(Seen(number, seconds, cut, self._choose(sights)))
        known = [track.number for track in self._tracker.tracks]
        self._shares = {track: share for track, share in self._shares.items() if track in known}
        self._courses.forget(known)
        self._editor.holder.forget(known)
        if number % AGAIN == 0:
            self._editor.grey = None
        tracked = time.perf_counter()
        edited = self._editor(Frame(number, round(seconds / TICK), 0, pixels), faces, cut)
        spent = {"track": tracked - start, "edit": time.perf_counter() - tracked}
        return Edited(edited, len(faces), spent, self._editor.failed.pop(number, ""))

    def _held(self, seen: Seen) -> list[Held]:
        """Smooth the places and points of faces, and fade those that come or cannot be edited."""
        held = []
        step = 1.0 if seen.cut or seen.number == 0 else 1 / (FADE + 1)
        for sight in seen.sights:
            placement, shape = self._courses.follow(seen, sight)
            share = self._shares.get(sight.track, 0.0) + (step if is_usable(sight) else -step)
            self._shares[sight.track] = share = min(1.0, max(0.0, share))
            if share > 0:
                held.append(Held(sight.track, placement, shape, sight.confidence, share))
        return held


def refuse_enlargement(stages: Sequence[Stage]) -> None:
    """Refuse stages that enlarge frames.

    Raises:
        ChainError: one does.
    """
    for stage in stages:
        if stage.scope == "photo" and stage.effect == "enlarge":
            reason = f"enlarges {stage.scale} times, and live frames keep the camera's size; leave it out of the chain"
            raise ChainError(reason).at(stage=stage.name, where=stage.where)
