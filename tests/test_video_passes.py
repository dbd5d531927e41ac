"""The passes over a video beside each other, and its sound beside its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from threading import Event, Timer
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import av
import numpy as np
import pytest

from ganchain import Pipeline
from ganchain.errors import VideoError
from ganchain.testing import FakeDetector
from ganchain.video import passes, run
from ganchain.video import scan as scans
from ganchain.video.clip import Clip, Frame
from ganchain.video.sources import source_of
from ganchain.video.tracking import Sight
from ganchain.video.work import Work
from tests.clips import clip, coloured
from tests.test_video import Darker, sight


class Gated:
    """Source of 24 small frames, of which those from the twelfth on come when the gate is opened."""

    clip = Clip(Path("gated"), (8, 8), Fraction(1, 25), Fraction(25))
    exact = True

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.gate = Event()

    def frames(self, first: int = 0) -> Iterator[Frame]:
        for number in range(first, 24):
            if number == 12:
                assert self.gate.wait(10)
            yield Frame(number, number, 1, np.zeros((8, 8, 3), np.uint8))


class Scripted:
    """Tracker that sees each track from its first frame to its last one, and waits four frames for it."""

    def __init__(self, tracks: dict[int, tuple[int, int]]) -> None:
        self.tracks, self.number = tracks, -1

    def __call__(self, number: int, pixels: Any) -> tuple[bool, list[Sight]]:
        self.number = number
        return False, [sight(track) for track, (first, last) in self.tracks.items() if first <= number <= last]

    def record(self) -> dict[str, Any]:
        going = [track for track, (first, last) in self.tracks.items() if first <= self.number <= last + 4]
        return {"tracks": [{"number": track} for track in going]}


@pytest.fixture
def gated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make scans of ``Gated`` in parts of four frames, whose faces are scripted."""

    def make(tracks: dict[int, tuple[int, int]], faces: Any = "all") -> scans.Scan:
        monkeypatch.setattr(scans, "tracker_of", lambda pipeline, rate: Scripted(tracks))
        pipeline = Pipeline([Darker()], detector=FakeDetector([]), faces=faces)
        return scans.Scan(pipeline, Gated(), Work(tmp_path / "out.mp4", "key"), 4, lambda frames, first: frames)

    return make


def test_a_part_is_edited_as_soon_as_its_tracks_are_known(gated: Any) -> None:
    with gated({0: (0, 23), 1: (3, 7)}) as scan:
        assert scan.chosen(0) == [0, 1] and not scan.complete
        scan.source.gate.set()
        assert scan.has(5) and not scan.has(6) and scan.complete


def test_a_short_track_is_waited_for_while_it_may_become_longer(gated: Any) -> None:
    opened: list[str] = []
    with gated({0: (0, 23), 1: (2, 2), 2: (9, 13)}) as scan:

        def open_gate() -> None:
            opened.append("gate")
            scan.source.gate.set()

        assert scan.chosen(0) == [0], "the one that was seen once is gone by the third part"
        Timer(0.02, open_gate).start()
        assert scan.chosen(1) == [0, 2] and opened


def test_which_face_is_the_largest_is_known_at_the_end(gated: Any) -> None:
    with gated({0: (0, 23)}, faces="largest") as scan:
        Timer(0.02, scan.source.gate.set).start()
        assert scan.chosen(0) == [0] and scan.complete


def test_what_stops_the_scan_is_raised_where_it_is_waited_for(gated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gated, "frames", lambda self, first=0: iter(()))
    with gated({}) as scan, pytest.raises(VideoError, match="no frame that can be read"):
        scan.has(0)


def test_nobody_waits_for_a_scan_after_an_error(gated: Any) -> None:
    """A thread that waits to know which face is the largest goes on at once, whatever the scan is waiting for."""
    with ThreadPoolExecutor(1) as pool, gated({0: (0, 23)}, faces="largest") as scan:
        waiting = pool.submit(scan.chosen, 0)
        with pytest.raises(KeyError), scan.needed():
            raise KeyError
        assert waiting.exception(10) is not None and not scan.complete
        scan.source.gate.set()


def test_a_segment_has_all_frames_of_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last segment has only one part: 8 frames, 8, 3."""
    monkeypatch.setattr(passes, "LEAST", 8)
    monkeypatch.setattr(passes, "AFTER", 3)
    ticks = np.cumsum([3600, 1800, 5400] * 7)[:19].tolist()
    source = clip(tmp_path / "a.mp4", [coloured(number, (64, 48)) for number in range(19)], times=ticks)
    out = tmp_path / "out.mp4"
    monkeypatch.setattr(run, "uuid4", lambda: SimpleNamespace(hex="key"))  # a chain without YAML is else done anew
    pipeline = Pipeline([Darker()], detector=FakeDetector([]))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(passes.joining, "join", Mock(side_effect=KeyboardInterrupt))
        pipeline.video(source, out, seconds=0.1)
    assert pipeline.video(source, out, seconds=0.1).resumed == 3
    before, after = (list(source_of(path).frames()) for path in (source, out))
    assert [frame.pts for frame in before] == [frame.pts for frame in after]
    apart = [a.pixels.astype(int).mean() - b.pixels.mean() for a, b in zip(before, after, strict=True)]
    assert np.abs(np.array(apart) - 20).max() < 3


def test_sound_and_pictures_stay_together_at_a_variable_rate(tmp_path: Path) -> None:
    """A flash and a click at the same time are as near each other in the output as in the input."""
    steps = np.random.default_rng(0).integers(1200, 5400, 26)  # of 1/90000 s: 13 to 60 ms
    ticks = np.concatenate([[0], np.cumsum(steps)]).tolist()
    frames = [coloured(number, (64, 48)) for number in range(27)]
    frames[14] = np.full_like(frames[14], 255)
    wave = np.zeros(8192, np.int16)
    click = round(ticks[14] * 8000 / 90_000)
    wave[click : click + 160] = (24_000 * np.sin(np.arange(160) * 1.3)).astype(np.int16)
    source = clip(tmp_path / "a.mp4", frames, times=ticks, sound=wave)
    Pipeline([Darker()], detector=FakeDetector([])).video(source, tmp_path / "out.mp4")
    apart = []
    for path in (source, tmp_path / "out.mp4"):
        opened = source_of(path)
        flash = max(opened.frames(), key=lambda frame: frame.pixels.mean())
        with av.open(str(path)) as container:
            heard = [
                (sound.time or 0.0) + k / sound.sample_rate
                for sound in container.decode(audio=0)
                for k in np.flatnonzero(np.abs(sound.to_ndarray()[0]) > 0.3)[:1]
            ]
        apart.append(opened.clip.seconds(flash.pts) - heard[0])
    assert abs(apart[1] - apart[0]) < 1e-3
    assert abs(apart[1]) < 0.04, "a frame at 25 frames a second"
