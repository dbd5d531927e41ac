"""Holding of what is read of tracked faces: mattes that change slowly, and numbers that stages decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.faces.parts import BASE, Parts, Planes
from ganchain.faces.reading import Kind, Reading
from ganchain.framing import BUST, HEAD
from ganchain.pipeline.reader import FaceReader

SIDE = 256  # px of the windows that mattes are read from
CELLS = 16  # cells of a window, a side, that are compared
MOVED = 14.0  # levels by which a cell changes before mattes are read anew
OLD = 4  # frames for which mattes are used at most, if nothing moves
NEW = 0.4  # share of new mattes in those that are held; what covers a face comes at once
REACHES = 6  # readings for which hair is still looked for beyond the head's window after it was seen there last
ADAPTS = 0.1  # share of a new number in one that is held
Windows = Mapping[str, Planes]  # (3, SIDE, SIDE) float32 0..1, by "head" and "bust"


@dataclass(eq=False)
class TrackReading(Reading):
    """Reading of a face that is tracked.

    Attributes:
        track: its number.
    """

    track: int = 0


@dataclass(frozen=True, eq=False)
class HeldParts:
    """The mattes of a track.

    Attributes:
        head, bust: (6, S, S) float32 0..1; the bust's are None where hair does not reach so far.
        cells: (CELLS, CELLS) mean light of the window when they were read, in levels.
        age: frames since then.
        missing: readings since hair was last seen beyond the head's window.
    """

    head: Planes
    bust: Planes | None
    cells: NDArray[np.float32]
    age: int = 0
    missing: int = 0


class Holder:
    """Holder of mattes and numbers of all tracks.

    Args:
        reader: reads the parts of faces.
        steady: 0 reads all anew in each frame.
    """

    def __init__(self, reader: FaceReader, steady: float) -> None:
        self.reader, self.steady = reader, steady
        self.parts: dict[int, HeldParts] = {}
        self.numbers: dict[str, float] = {}

    def read(self, kind: Kind, readings: Sequence[Reading]) -> None:
        """Read a kind of faces, as ``Reading.read`` asks for it."""
        if kind == "points" or not self.steady:
            self.reader.read(kind, readings)
            return
        for reading in readings:
            assert isinstance(reading, TrackReading)
            reading.known[kind] = self._hold(reading)

    def _hold(self, reading: TrackReading) -> Parts:
        """Return the mattes of a track for the picture that it shows now."""
        picture = _window(reading, "head")
        cells = np.asarray(cv2.resize(picture.mean(axis=0), (CELLS, CELLS), interpolation=cv2.INTER_AREA) * 255)
        held = self.parts.get(reading.track)
        if held is None or held.age + 1 >= OLD or np.abs(cells - held.cells).max() > MOVED:
            self.reader.read("parts", [reading])
            fresh = reading.known["parts"]
            assert isinstance(fresh, Parts)
            held = _blended(held, fresh, cells.astype(np.float32))
        else:
            held = replace(held, age=held.age + 1)
        self.parts[reading.track] = held
        beyond = None if held.bust is None else Parts(held.bust, _window(reading, "bust"), BUST)
        return Parts(held.head, picture, HEAD, beyond)

    def settle(self, track: int, stage: str, numbers: Mapping[str, float]) -> dict[str, float]:
        """Average numbers that a stage decided for a face with those that it decided before for its track."""
        if not self.steady:
            return dict(numbers)
        for name, value in numbers.items():
            key = f"{track} {stage} {name}"
            former = self.numbers.get(key, value)
            self.numbers[key] = former + ADAPTS * (value - former)
        return {name: self.numbers[f"{track} {stage} {name}"] for name in numbers}

    def forget(self, tracks: Sequence[int]) -> None:
        """Forget tracks that have ended: all but ``tracks``."""
        self.parts = {track: held for track, held in self.parts.items() if track in tracks}
        self.numbers = {key: value for key, value in self.numbers.items() if int(key.split()[0]) in tracks}

    def state(self) -> dict[str, Any]:
        """Return all that is held, as arrays by name."""
        arrays: dict[str, Any] = {f"number {key}": np.float64(value) for key, value in self.numbers.items()}
        for track, held in self.parts.items():
            arrays |= {f"head {track}": held.head, f"cells {track}": held.cells}
            arrays[f"ages {track}"] = np.array([held.age, held.missing])
            if held.bust is not None:
                arrays[f"bust {track}"] = held.bust
        return arrays

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Go back to what ``state`` returned."""
        self.numbers = {key[7:]: float(value) for key, value in arrays.items() if key.startswith("number ")}
        tracks = [int(key[5:]) for key in arrays if key.startswith("head ")]
        self.parts = {
            track: HeldParts(
                arrays[f"head {track}"],
                arrays.get(f"bust {track}"),
                arrays[f"cells {track}"],
                *(int(value) for value in arrays[f"ages {track}"]),
            )
            for track in tracks
        }


def _window(reading: Reading, name: str) -> Planes:
    """Cut the window of the head or of the bust: (3, SIDE, SIDE) float32 0..1."""
    shown = (reading.cut(HEAD if name == "head" else BUST, SIDE)[0] + 1) / 2
    return np.asarray(shown.numpy(), np.float32)


def _blended(held: HeldParts | None, fresh: Parts, cells: NDArray[np.float32]) -> HeldParts:
    """Blend mattes that were read with those that were held."""
    bust = None if fresh.beyond is None else fresh.beyond.mattes
    if held is None:
        return HeldParts(fresh.mattes, bust, cells)
    missing = 0 if bust is not None else held.missing + 1
    if bust is None:
        bust = held.bust if missing <= REACHES else None
    elif held.bust is not None:
        bust = _mixed(held.bust, bust)
    return HeldParts(_mixed(held.head, fresh.mattes), bust, cells, missing=missing)


def _mixed(held: Planes, fresh: Planes) -> Planes:
    """Move mattes towards new ones, glasses and covers at once."""
    mixed = held + np.float32(NEW) * (fresh - held)
    mixed[len(BASE) :] = fresh[len(BASE) :]
    return mixed
