"""Smoothing of tracks: points and places that hold still when a face does, and follow at once when it moves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray

from ganchain.faces.face import Matrix
from ganchain.video import placing
from ganchain.video.tracking import Sight

Points = NDArray[np.float64]  # (478, 2) px

FADE = 5  # frames in which the edits of a face come and go
PROFILE = 0.62  # how far a face may be turned to a side (``placing.sideways``)
APART = 0.05  # of a face's size, by which optical flow and points may disagree
SHORTEST = 5  # frames of a track; shorter ones are mistakes
BEFORE, AFTER = FADE, 20  # frames around a part of a video by which it is smoothed and faded


@dataclass(eq=False)
class OneEuro:
    """One-Euro filter of an array of points: a low-pass whose cut-off rises with the speed of each point.

    Casiez, Roussel & Vogel: 1 € Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems,
    CHI 2012.

    Attributes:
        least: cut-off in Hz of a point at rest.
        slope: Hz by which it rises for a speed of one unit a second.
        of_speed: cut-off in Hz of the low-pass over the speed.
    """

    least: float
    slope: float
    of_speed: float = 1.5
    value: NDArray[np.float64] | None = None
    speed: NDArray[np.float64] | None = None
    time: float = 0.0

    def __call__(self, value: NDArray[np.float64], time: float, unit: float = 1.0) -> NDArray[np.float64]:
        """Filter the value (N, D) at ``time`` in seconds, which may run backwards; speeds are in ``unit`` a second."""
        if self.value is None or self.speed is None:
            self.value, self.speed, self.time = value, np.zeros_like(value), time
            return value
        step = max(1e-3, abs(time - self.time))
        speed = (value - self.value) / step / unit
        self.speed = self.speed + _share(self.of_speed, step) * (speed - self.speed)
        fast = np.linalg.norm(self.speed, axis=-1, keepdims=True)
        self.value = self.value + _share(self.least + self.slope * fast, step) * (value - self.value)
        self.time = time
        return self.value


def _share(cut_off: NDArray[np.float64] | float, step: float) -> NDArray[np.float64]:
    """Compute the share of a new value in a low-pass of first order."""
    part = 2 * pi * np.asarray(cut_off) * step
    return part / (part + 1)


class Smoother:
    """Filter of the points of one track.

    What is filtered is how far they are from where optical flow brought them: a face that moves is followed at once,
    and one that stops stands, as it does in a frame that comes twice.

    Args:
        steady: 0 filters nothing, 1 most.
    """

    def __init__(self, steady: float) -> None:
        self.filter, self.steady = OneEuro(0.8 / max(steady, 1e-3), 8.0), steady
        self.way = np.zeros(2)

    def __call__(self, points: Points, time: float, flow: Points | None) -> Points:
        """Filter points (478, 2) px at ``time``.

        Args:
            flow: px by which they have moved since the call before, by optical flow; None if it is unknown.
        """
        if not self.steady:
            return points
        if flow is not None:
            self.way = self.way + flow
        size = placing.size(placing.placement(points))
        return self.filter(points - self.way, time, size) + self.way


@dataclass(frozen=True, eq=False)
class Held:
    """A face of a track in one frame, smoothed.

    Attributes:
        track: its number.
        placement: template -> px.
        shape: (478, 2), its points in the template's units.
        confidence: 0..1.
        share: 0..1, how much of its edits is shown.
    """

    track: int
    placement: Matrix
    shape: NDArray[np.float64]
    confidence: float
    share: float


@dataclass(frozen=True)
class Seen:
    """One frame, as the tracker saw it.

    Attributes:
        number: of the frame.
        time: in seconds.
        cut: whether a scene begins with it.
        sights: the faces.
    """

    number: int
    time: float
    cut: bool
    sights: Sequence[Sight]


class Courses:
    """Courses of all tracks, smoothed part by part.

    Forward filters go on from part to part, backward ones begin ``AFTER`` frames behind each part; the mean of both
    follows a face without delay.

    Args:
        steady: 0..1.
        tracks: the numbers of those that are edited.
    """

    def __init__(self, steady: float, tracks: Iterable[int]) -> None:
        self.steady, self.tracks = steady, frozenset(tracks)
        self.forward: dict[int, Smoother] = {}
        self.last: dict[int, Sight] = {}

    def __call__(self, before: Sequence[Seen], part: Sequence[Seen], after: Sequence[Seen]) -> dict[int, list[Held]]:
        """Smooth one part of the video; parts must come in order.

        Args:
            before, after: the frames around it, as many as there are up to ``BEFORE`` and ``AFTER``.

        Returns:
            The faces of each frame, by its number.
        """
        wanted = [seen.number for seen in part]
        filtered: dict[tuple[int, int], list[Points]] = defaultdict(list)
        confidence: dict[tuple[int, int], float] = {}
        for seen in part:
            for sight in self._chosen(seen):
                filtered[seen.number, sight.track].append(self._forward(seen, sight))
                confidence[seen.number, sight.track] = sight.confidence
        backward: dict[int, Smoother] = {}
        later: dict[int, Sight] = {}
        for seen in [*reversed(after), *reversed(part)] if self.steady else ():
            for sight in self._chosen(seen):
                smoother = backward.setdefault(sight.track, Smoother(self.steady))
                next_one = later.get(sight.track)
                flow = None if next_one is None else _trusted(next_one, sight)
                answer = smoother(sight.points.astype(np.float64), seen.time, None if flow is None else -flow)
                if (seen.number, sight.track) in confidence:
                    filtered[seen.number, sight.track].append(answer)
            later = {sight.track: sight for sight in seen.sights}
        shares = fades([*before, *part, *after], self.tracks)
        faces: dict[int, list[Held]] = {number: [] for number in wanted}
        for (number, track), answers in sorted(filtered.items()):
            points = np.mean(answers, axis=0)
            share = shares.get((number, track), 0.0)
            if share > 0:
                place = placing.placement(points)
                shape = placing.unmapped(place, points)
                faces[number].append(Held(track, place, shape, confidence[number, track], share))
        return faces

    def skip(self, part: Sequence[Seen]) -> None:
        """Go over a part that was smoothed before."""
        for seen in part:
            for sight in self._chosen(seen):
                self._forward(seen, sight)

    def _forward(self, seen: Seen, sight: Sight) -> Points:
        """Filter the points of a face by those in the frames before."""
        smoother = self.forward.setdefault(sight.track, Smoother(self.steady))
        last = self.last.get(sight.track)
        flow = None if last is None else _trusted(sight, last)
        self.last[sight.track] = sight
        return smoother(sight.points.astype(np.float64), seen.time, flow)

    def follow(self, seen: Seen, sight: Sight) -> tuple[Matrix, Points]:
        """Filter a face by the frames before alone: its placement, and its points in the template's units."""
        points = self._forward(seen, sight)
        place = placing.placement(points)
        return place, placing.unmapped(place, points)

    def forget(self, tracks: Collection[int]) -> None:
        """Forget tracks that have ended: all but ``tracks``."""
        self.forward = {track: smoother for track, smoother in self.forward.items() if track in tracks}
        self.last = {track: sight for track, sight in self.last.items() if track in tracks}

    def _chosen(self, seen: Seen) -> list[Sight]:
        return [sight for sight in seen.sights if sight.track in self.tracks]


def _trusted(sight: Sight, before: Sight) -> Points | None:
    """Return the flow of a face's points; where the points themselves moved quite otherwise, it is theirs."""
    if sight.flow is None:
        return None
    own = sight.points.astype(np.float64) - before.points
    apart = own - sight.flow
    far = np.linalg.norm(apart, axis=1, keepdims=True) / (APART * placing.size(sight.placement))
    return np.asarray(sight.flow + (1 - np.exp(-(far**2))) * apart, np.float64)


def fades(frames: Sequence[Seen], tracks: frozenset[int]) -> Mapping[tuple[int, int], float]:
    """Compute how much of each face's edits is shown, by frame and track: less near frames where it cannot be edited.

    At a cut, and where the video begins and ends, a face is there at once.
    """
    shares: dict[tuple[int, int], float] = {}
    for track in tracks:
        usable = [any(sight.track == track and is_usable(sight) for sight in seen.sights) for seen in frames]
        if not any(usable):
            continue
        near = np.full(len(frames), np.inf)
        for order in (range(len(frames)), range(len(frames) - 1, -1, -1)):
            distance, forward = np.inf, order.step > 0
            for index in order:
                at_cut = frames[index].cut if forward else index + 1 < len(frames) and frames[index + 1].cut
                distance = 0 if not usable[index] else np.inf if at_cut else distance + 1
                near[index] = min(near[index], distance)
        for index, seen in enumerate(frames):
            if usable[index]:
                shares[seen.number, track] = float(min(1.0, near[index] / (FADE + 1)))
    return shares


def is_usable(sight: Sight) -> bool:
    """Say whether a face can be edited: sure, and no profile."""
    points = sight.points.astype(np.float64)
    return placing.sideways(placing.unmapped(placing.placement(points), points)) < PROFILE
