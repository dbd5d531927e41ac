"""Tracking of faces: found by the detector every few frames and at cuts, and followed in between by their points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.faces.align import Aligner
from ganchain.faces.face import Face, Matrix
from ganchain.faces.reading import Reading
from ganchain.framing import TEMPLATE, TIGHT
from ganchain.tensors import Pixels
from ganchain.video import placing
from ganchain.video.cuts import CutFinder
from ganchain.video.flow import flow_at

EVERY = 8  # frames between two searches
LOST = 1.0  # seconds that a lost track is waited for
SURE, BEGIN = 0.8, 0.9  # confidence by the points for a face to be followed, and to begin a track
GROWN = 0.25  # of its size, at most, that a face grows or shrinks from one frame to the next
AGAIN = 0.12  # of a face's size: after a step longer than this its points are read again where it is now
NEAR, FAR = 0.6, 1.5  # of a face's size: how near a detection is to its track, and to one that was lost
ALIKE = 0.75  # correlation of two pictures of a face from which it is the same one beyond a cut
LOOK = 16  # px of these pictures


@dataclass(frozen=True, eq=False)
class Sight:
    """A face as it is seen in one frame.

    Attributes:
        track: the number of its track, from 0.
        points: (478, 2) float32 px.
        confidence: 0..1 by the network of the points.
        flow: (478, 2) px by which they moved since the frame before, by optical flow; None if it was not seen there.
    """

    track: int
    points: NDArray[np.float32]
    confidence: float
    flow: NDArray[np.float32] | None = None

    @cached_property
    def placement(self) -> Matrix:
        """The (2, 3) matrix from the template to px, by the points."""
        return placing.placement(self.points.astype(np.float64))


@dataclass(eq=False)
class Track:
    """A face that is followed.

    Attributes:
        number: from 0, in the order of appearance.
        placement: where it was seen last.
        step: px that it moved from the frame before, (2,).
        seen: the frame in which it was seen last.
        look: (16, 16) small grey picture of it, of mean 0 and deviation 1.
        lost: whether it is not seen now.
    """

    number: int
    placement: Matrix
    step: NDArray[np.float64]
    seen: int
    look: NDArray[np.float64] = field(repr=False)
    lost: bool = False

    def record(self) -> dict[str, Any]:
        """Describe the track in JSON, exactly."""
        fields = vars(self)
        return {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in fields.items()}

    @classmethod
    def restored(cls, record: dict[str, Any]) -> Track:
        """Make the track that ``record`` described."""
        arrays = {key: np.array(record[key]) for key in ("placement", "step", "look")}
        return cls(**{**record, **arrays})


class Tracker:
    """Follower of all faces of a video, frame by frame.

    Args:
        detect: finds faces; ``scan`` is a quicker one for the frames in which known faces are looked for.
        read: makes the reading of a face in the frame's pixels.
        rate: frames a second.
        min_size: faces smaller than this many px are not followed.
    """

    def __init__(
        self,
        detect: Callable[[Pixels], list[Face]],
        scan: Callable[[Pixels], list[Face]],
        read: Callable[[Pixels, Face], Reading],
        rate: float,
        min_size: float = 24.0,
    ) -> None:
        self.detect, self.scan, self.read = detect, scan, read
        self.patience = max(EVERY + 2, round(LOST * rate))
        self.min_size = min_size
        self.cuts = CutFinder()
        self.last = np.zeros((0, 0, 3), np.uint8)
        self.tracks: list[Track] = []
        self.count, self.searched = 0, -EVERY

    def record(self) -> dict[str, Any]:
        """Describe the state between two frames in JSON, exactly."""
        tracks = [track.record() for track in self.tracks]
        return {"tracks": tracks, "count": self.count, "searched": self.searched, "cuts": self.cuts.record()}

    def restore(self, record: dict[str, Any], last: Pixels) -> None:
        """Go back to the state that ``record`` described, behind the frame ``last``."""
        self.last = last
        self.tracks = [Track.restored(track) for track in record["tracks"]]
        self.count, self.searched = record["count"], record["searched"]
        self.cuts = CutFinder.restored(record["cuts"])

    def __call__(self, number: int, pixels: Pixels) -> tuple[bool, list[Sight]]:
        """Look at the next frame: whether it begins a scene, and the faces in it, by their tracks' numbers."""
        cut = self.cuts(pixels)
        if cut:
            for track in self.tracks:
                track.lost = True
        sights = {} if cut else self._follow(number, pixels)
        waits = number % 2 == 0 and any(track.lost for track in self.tracks)
        if cut or waits or number - self.searched >= EVERY:
            known = bool(sights) and not cut
            self.searched = number
            self._search(number, pixels, sights, (self.scan if known else self.detect)(pixels), cut)
        if cut:
            self.tracks = [track for track in self.tracks if not track.lost]
        self.tracks = [track for track in self.tracks if number - track.seen <= self.patience]
        self._part(sights)
        self.last = pixels
        return cut, [sights[number] for number in sorted(sights)]

    def _follow(self, number: int, pixels: Pixels) -> dict[int, Sight]:
        """Read the points of each track where it should be by now."""
        sights = {}
        for track in self.tracks:
            if track.lost:
                continue
            expected = track.placement.copy()
            expected[:, 2] += 0.7 * track.step
            sight = self._sight(track.number, pixels, expected)
            if sight is None and np.abs(track.step).max() > 1:
                sight = self._sight(track.number, pixels, track.placement)
            if sight is None or abs(np.log(placing.size(sight.placement) / placing.size(track.placement))) > GROWN:
                track.lost = True
            else:
                self._update(track, number, pixels, sight)
                flow = flow_at(sight.points, placing.size(sight.placement), pixels, self.last)
                sights[track.number] = replace(sight, flow=flow)
        return sights

    def _sight(self, track: int, pixels: Pixels, placement: Matrix, least: float = SURE) -> Sight | None:
        """Read the points of a face near ``placement``; None if there is none."""
        points, sure = np.zeros((0, 2)), 0.0
        for _ in range(2):
            face = _face(placement)
            read = self.read(pixels, face).points
            if read.confidence < least:
                return None
            points, sure = placing.mapped(face.placement, read.places), read.confidence
            found = placing.placement(points)
            moved = np.abs(_middle(found) - _middle(placement)).max() / placing.size(found)
            grown = abs(np.log(placing.size(found) / placing.size(placement)))
            placement = found
            if max(moved, grown) < AGAIN:
                break
        height, width = pixels.shape[:2]
        x, y = _middle(placement)
        if placing.size(placement) < self.min_size or not (0 <= x < width and 0 <= y < height):
            return None
        return Sight(track, np.asarray(points, np.float32), round(float(sure), 4))

    def _update(self, track: Track, number: int, pixels: Pixels, sight: Sight) -> None:
        """Note where a track is seen."""
        placement = sight.placement
        step = (_middle(placement) - _middle(track.placement)) / max(1, number - track.seen)
        track.step = np.zeros(2) if track.lost else step
        track.placement, track.seen, track.lost = placement, number, False
        if number % EVERY == 0:
            track.look = _look(pixels, placement)

    def _search(self, number: int, pixels: Pixels, sights: dict[int, Sight], faces: Sequence[Face], cut: bool) -> None:
        """Give detections to the tracks that they are near; those of no track begin one."""
        for face in faces:
            if face.left_out is not None or _nearby(sights, face.landmarks.mean(axis=0)):
                continue
            sight = self._sight(-1, pixels, face.placement, BEGIN)
            if sight is None or _nearby(sights, _middle(sight.placement)):
                continue
            track = self._lost_one(pixels, sight, cut)
            if track is None:
                look = _look(pixels, sight.placement)
                track = Track(self.count, sight.placement, np.zeros(2), number, look)
                self.tracks.append(track)
                self.count += 1
            else:
                self._update(track, number, pixels, sight)
            sights[track.number] = replace(sight, track=track.number)

    def _lost_one(self, pixels: Pixels, sight: Sight, cut: bool) -> Track | None:
        """Find the lost track that a face belongs to: one near it, of its size; beyond a cut, it must look alike."""
        middle, size = _middle(sight.placement), placing.size(sight.placement)
        look = _look(pixels, sight.placement)
        near = []
        for track in self.tracks:
            ratio = size / placing.size(track.placement)
            alike = float((track.look * look).mean())
            apart, grown = _apart(track.placement, middle), abs(np.log(ratio))
            fits = apart < FAR and grown < 0.5
            if cut:
                fits = apart < NEAR and grown < 0.22 and alike >= ALIKE
            if track.lost and fits:
                near.append((apart - alike, track.number, track))
        return min(near)[2] if near else None

    def _part(self, sights: dict[int, Sight]) -> None:
        """Give up the younger of two tracks that have come to the same face."""
        for number in sorted(sights, reverse=True):
            middle = _middle(sights[number].placement)
            if any(other < number and _apart(sights[other].placement, middle) < 0.35 for other in sights):
                del sights[number]
                self.tracks = [track for track in self.tracks if track.number != number]


def _face(placement: Matrix) -> Face:
    """Make the face at a place."""
    return Face(placing.box(placement), 1.0, placing.mapped(placement, TEMPLATE))


def _middle(placement: Matrix) -> NDArray[np.float64]:
    return np.asarray(placing.mapped(placement, placing.MIDDLE_OF_TEMPLATE)[0], np.float64)


def _apart(placement: Matrix, middle: NDArray[np.float64]) -> float:
    """Measure the distance of a point from a face's middle, in sizes of the face."""
    return float(np.linalg.norm(_middle(placement) - middle) / placing.size(placement))


def _nearby(sights: Mapping[int, Sight], middle: NDArray[np.float64]) -> bool:
    """Say whether a face is seen near a place already."""
    return any(_apart(sight.placement, middle) < NEAR for sight in sights.values())


def _look(pixels: Pixels, placement: Matrix) -> NDArray[np.float64]:
    """Make the small grey picture of a face by which it is known again."""
    chip = Aligner(TIGHT).sample(pixels, _face(placement), 4 * LOOK)
    grey = cv2.resize(cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY), (LOOK, LOOK), interpolation=cv2.INTER_AREA)
    plane = grey.astype(np.float64)
    return (plane - plane.mean()) / (plane.std() + 1e-3)
