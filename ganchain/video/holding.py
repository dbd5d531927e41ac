"""Holding of what is read of tracked faces: mattes and measures that change slowly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.faces.parts import BASE, Parts, Planes
from ganchain.faces.reading import Kind, Reading
from ganchain.framing import BUST, HEAD, Framing
from ganchain.pipeline.reader import FaceReader
from ganchain.tensors import Pixels

CELLS = 16  # cells of the head's window, a side, that are compared
SAMPLES = 4  # px of a cell, a side
MEAN = np.full((1, 3), 1 / 3, np.float32)
INNER = np.s_[5:14, 4:12]  # those of the face
MOVED = 18.0  # levels by which a cell changes before mattes are read anew
OLD = 10  # frames for which mattes are used at most, if nothing moves
NEW = 0.4  # share of new mattes in those that are held; what covers a face comes at once
REACHES = 6  # readings for which hair is still looked for beyond the head's window after it was seen there last
FRAME = -1  # number of the whole frame among the tracks
ADAPTS = 0.1  # share of a new measure in one that is held


@dataclass(eq=False, kw_only=True)
class TrackReading(Reading):
    """Reading of a face that is tracked.

    Attributes:
        track: its number.
        sample: cuts a window out of the frame, as ``cut`` does, but quickly: (side, side, 3) uint8.
    """

    track: int
    sample: Callable[[Framing, int], Pixels]


@dataclass(frozen=True)
class TrackHold:
    """Hold of one track's measures, or of the whole frame's (``ganchain.faces.reading.Hold``)."""

    holder: Holder
    track: int

    def __call__(self, name: str, value: NDArray[Any], jump: float = inf) -> NDArray[Any]:
        return self.holder.hold(self.track, name, value, jump)

    def last(self, name: str) -> NDArray[Any] | None:
        return self.holder.values.get(f"{self.track} {name}")


@dataclass(frozen=True, eq=False)
class HeldParts:
    """The mattes of a track.

    Attributes:
        parts: as they are held, with the picture that they were read from.
        cells: mean light of the face in that picture, in levels.
        age: frames since then.
        missing: readings since hair was last seen beyond the head's window.
    """

    parts: Parts
    cells: NDArray[np.float32]
    age: int = 0
    missing: int = 0

    def arrays(self, track: int) -> dict[str, Any]:
        """Return all this as arrays by name."""
        arrays = {"mattes": self.parts.mattes, "picture": self.parts.picture, "cells": self.cells}
        if self.parts.beyond is not None:
            arrays |= {"bust": self.parts.beyond.mattes, "bust_picture": self.parts.beyond.picture}
        arrays["ages"] = np.array([self.age, self.missing])
        return {f"track {track} {name}": array for name, array in arrays.items()}

    @classmethod
    def of(cls, track: int, arrays: Mapping[str, Any]) -> HeldParts:
        """Undo ``arrays``."""
        own = {key.split()[2]: value for key, value in arrays.items() if key.startswith(f"track {track} ")}
        beyond = Parts(own["bust"], own["bust_picture"], BUST) if "bust" in own else None
        parts = Parts(own["mattes"], own["picture"], HEAD, beyond)
        return cls(parts, own["cells"], *(int(value) for value in own["ages"]))


class Holder:
    """Holder of mattes and measures of all tracks.

    Args:
        reader: reads the parts of faces.
        steady: 0 reads all anew in each frame.
        kind: what is read of heads: "heads", "parts" or "busts".
    """

    def __init__(self, reader: FaceReader, steady: float, kind: Kind = "parts") -> None:
        self.reader, self.steady = reader, steady
        self.kind: Kind = kind
        self.parts: dict[int, HeldParts] = {}
        self.values: dict[str, NDArray[Any]] = {}

    def read(self, kind: Kind, readings: Sequence[Reading]) -> None:
        """Read a kind of faces, as ``Reading.read`` asks for it."""
        if kind == "points" or not self.steady:
            self.reader.read(kind, readings)
            return
        for reading in readings:
            assert isinstance(reading, TrackReading)
            reading.known[kind] = reading.known["parts"] = reading.known.get("parts") or self._hold(reading)

    def _hold(self, reading: TrackReading) -> Parts:
        """Return the mattes of a track for what it shows now."""
        shown = cv2.transform(reading.sample(HEAD, CELLS * SAMPLES), MEAN)
        cells = np.asarray(cv2.resize(shown, (CELLS, CELLS), interpolation=cv2.INTER_AREA)[INNER], np.float32)
        held = self.parts.get(reading.track)
        if held is not None and held.age + 1 < OLD and np.abs(cells - held.cells).max() <= MOVED:
            held = replace(held, age=held.age + 1)
        else:
            self.reader.read(self.kind, [reading])
            fresh = reading.known["parts"]
            assert isinstance(fresh, Parts)
            held = _blended(held, fresh, cells)
        self.parts[reading.track] = held
        return held.parts

    def hold(self, track: int, name: str, value: NDArray[Any], jump: float = inf) -> NDArray[Any]:
        """Bring a measure of a track together with those before (``ganchain.faces.reading.Hold``)."""
        if not self.steady:
            return value
        former = self.values.get(key := f"{track} {name}")
        if former is None or former.ndim != value.ndim:
            former = value
        elif former.shape != value.shape:
            former = cv2.resize(former, value.shape[::-1], interpolation=cv2.INTER_LINEAR)
        change = value - former
        share = np.maximum(ADAPTS, np.minimum(1, (change / jump) ** 2)) if jump < inf else ADAPTS
        self.values[key] = np.asarray(former + share * change, value.dtype)
        return self.values[key]

    def forget(self, tracks: Sequence[int]) -> None:
        """Forget tracks that have ended: all but ``tracks`` and what is held of the whole frame."""
        self.forget_parts(tracks)
        self.forget_values([*tracks, FRAME])

    def forget_parts(self, tracks: Sequence[int]) -> None:
        """Forget the mattes of all tracks but ``tracks``."""
        self.parts = {track: held for track, held in self.parts.items() if track in tracks}

    def forget_values(self, tracks: Sequence[int]) -> None:
        """Forget the measures of all tracks but ``tracks``."""
        self.values = {key: value for key, value in self.values.items() if int(key.split()[0]) in tracks}

    def state(self, parts: Mapping[int, HeldParts] | None = None) -> dict[str, Any]:
        """Return all that is held, as arrays by name; ``parts``: in place of the mattes that are held now."""
        arrays: dict[str, Any] = {f"value {key}": value for key, value in self.values.items()}
        for track, held in (self.parts if parts is None else parts).items():
            arrays |= held.arrays(track)
        return arrays

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Go back to what ``state`` returned."""
        self.values = {key[6:]: value for key, value in arrays.items() if key.startswith("value ")}
        tracks = {int(key.split()[1]) for key in arrays if key.startswith("track ")}
        self.parts = {track: HeldParts.of(track, arrays) for track in sorted(tracks)}


def _blended(held: HeldParts | None, fresh: Parts, cells: NDArray[np.float32]) -> HeldParts:
    """Blend mattes that were read with those that were held."""
    if held is None:
        return HeldParts(fresh, cells)
    beyond, former = fresh.beyond, held.parts.beyond
    missing = 0 if beyond is not None else held.missing + 1
    if beyond is None:
        beyond = former if missing <= REACHES else None
    elif former is not None:
        beyond = replace(beyond, mattes=_mixed(former.mattes, beyond.mattes))
    parts = replace(fresh, mattes=_mixed(held.parts.mattes, fresh.mattes), beyond=beyond)
    return HeldParts(parts, cells, missing=missing)


def _mixed(held: Planes, fresh: Planes) -> Planes:
    """Move mattes towards new ones, glasses and covers at once."""
    mixed = np.asarray(held + NEW * (fresh - held), np.float32)
    mixed[len(BASE) :] = fresh[len(BASE) :]
    return mixed
