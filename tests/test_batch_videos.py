"""Videos among the photos of a batch: what counts as one, what it is called, and what is promised of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from ganchain import Pipeline
from ganchain.batch import loop, plan, run
from ganchain.batch.display import bar, summary_lines
from ganchain.batch.journal import Journal
from ganchain.batch.options import Options
from ganchain.batch.record import Record
from ganchain.batch.run import batch
from ganchain.batch.settings import LOCK
from ganchain.batch.signals import Signals
from ganchain.batch.summary import Summary
from ganchain.cli.batch import batch as command
from ganchain.photos.find import Item
from ganchain.photos.moving import is_animation, is_video
from ganchain.video import passes
from ganchain.video.coding import suffix_for
from ganchain.video.summary import Progress
from tests.clips import clip, coloured
from tests.pools import Here
from tests.test_batch import ROSE, outputs, records


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A chain and a folder with a photo, a video in a folder of its own, and a GIF that moves."""
    (tmp_path / "rose.yaml").write_text(ROSE)
    (tmp_path / "in" / "sub").mkdir(parents=True)
    pictures = [Image.fromarray(coloured(9 * number)) for number in range(3)]
    pictures[0].save(tmp_path / "in" / "a.png")
    pictures[0].save(tmp_path / "in" / "a.gif", save_all=True, append_images=pictures[1:], duration=40)
    clip(tmp_path / "in" / "sub" / "b.MP4", [coloured(number) for number in range(6)])
    return tmp_path


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "Pool", Here)


def done(place: Path, *inputs: str, signals: Signals | None = None, **options: Any) -> Summary:
    paths = [place / name for name in inputs or ["in"]]
    return batch(place / "rose.yaml", paths, place / "out", Options(workers=1, **options), signals=signals)


def test_what_moves(tmp_path: Path) -> None:
    pictures = [Image.fromarray(coloured(9 * number)) for number in range(2)]
    for suffix in ("gif", "webp", "png"):
        pictures[0].save(tmp_path / f"still.{suffix}")
        pictures[0].save(tmp_path / f"moving.{suffix}", save_all=True, append_images=pictures[1:])
        (tmp_path / f"broken.{suffix}").write_bytes((tmp_path / f"moving.{suffix}").read_bytes()[:15])
        found = [is_animation(tmp_path / f"{name}.{suffix}") for name in ("still", "moving", "broken", "nowhere")]
        assert found == [False, True, False, False], suffix
    contents = {"a.MP4": b"", "b.ts": b"let G = 1;" * 30, "c.ts": (b"G" + bytes(187)) * 2, "d.jpg": b"", ".e.mp4": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "f.mov").symlink_to("nowhere")
    (tmp_path / "g.mov").mkdir()
    names = sorted(path.name for path in tmp_path.iterdir() if is_video(path))
    assert names == ["a.MP4", "c.ts", "f.mov"]


@pytest.mark.parametrize(
    ("name", "suffix", "clear"),
    [
        ("a.MP4", ".mp4", ".mov"),
        ("a.m4v", ".m4v", ".mov"),
        ("a.mov", ".mov", ".mov"),
        ("a.webm", ".webm", ".webm"),
        ("a.avi", ".mkv", ".mov"),
        ("a.gif", ".gif", ".gif"),
        ("a.png", ".webp", ".webp"),
    ],
)
def test_an_output_is_of_the_kind_of_its_input(name: str, suffix: str, clear: str) -> None:
    assert (suffix_for(Path(name)), suffix_for(Path(name), clear=True)) == (suffix, clear)


@pytest.mark.slow
def test_videos_are_done_among_photos(place: Path) -> None:
    (place / "in" / "text.mp4").write_bytes(b"no video")
    (place / "in" / "notes.txt").write_bytes(b"")
    arguments = [str(place / "rose.yaml"), str(place / "in"), "-o", str(place / "out")]
    planned = CliRunner().invoke(command, [*arguments, "-n"])
    assert "4 inputs: 4 to do (3 of them videos), 0 done" in planned.output and not (place / "out").exists()
    result = CliRunner().invoke(command, [*arguments, "--points"])
    assert result.exit_code == 1
    *lines, last = map(json.loads, result.stdout.splitlines())
    assert [(line["input"], line["type"], line["status"]) for line in lines] == [
        ("a.png", "photo", "no_face"),
        ("a.gif", "video", "no_face"),
        ("sub/b.MP4", "video", "no_face"),
        ("text.mp4", "video", "failed"),
    ]
    assert "is no video" in lines[3]["error"] and "text.mp4" not in lines[3]["error"]
    assert last["summary"]["videos"] == 2 and last["summary"]["notes"] == ["not for videos: --points"]
    assert "3 no_face, 1 failed of 4 photos and videos" in result.stderr and "1 .txt" in result.stderr
    out = outputs(place / "out")
    tracks = ["a-rose.gif.tracks.jsonl", "sub/b-rose.mp4.tracks.jsonl"]
    assert sorted(out) == sorted(["a-rose.png", "a-rose.gif", "sub/b-rose.mp4", *tracks])
    record = records(place / "out")["sub/b.MP4"]
    assert (record["type"], record["size"], record["faces"]) == ("video", [32, 24], [])
    assert record["video"] == {"frames": 6, "cuts": 0, "tracks": 0, "edited": 0, "resumed": 0, "failed": 0}
    assert [output["path"] for output in record["outputs"]] == ["sub/b-rose.mp4", tracks[1]]
    Pipeline.from_yaml(place / "rose.yaml").video(place / "in" / "sub" / "b.MP4", place / "alone.mp4")
    assert (place / "alone.mp4").read_bytes() == out["sub/b-rose.mp4"]


def test_a_rerun_does_only_what_is_missing(place: Path) -> None:
    done(place)
    first = outputs(place / "out")
    assert dict(done(place).counts) == {"skipped": 3}
    (place / "out" / "sub" / "b-rose.mp4").write_bytes(b"cut")
    (place / "out" / "a-rose.gif.tracks.jsonl").unlink()
    summary = done(place)
    assert dict(summary.counts) == {"skipped": 1, "no_face": 2} and outputs(place / "out") == first
    (place / "out" / "ganchain-batch.jsonl").unlink()
    assert dict(done(place).counts) == {"no_face": 3}, "they were finished before, and are recorded again"
    assert records(place / "out")["sub/b.MP4"]["video"]["frames"] == 6
    (place / "out").rename(place / "made")
    summary = done(place, "made/sub")
    assert dict(summary.counts) == {"skipped": 1} and summary.passed == ["1 file passed over: 1 .jsonl"]


@pytest.mark.slow
def test_a_stopped_video_goes_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is half-written goes, and the bytes are those of an undisturbed batch."""
    monkeypatch.setattr(passes, "LEAST", 2)
    monkeypatch.setattr(passes, "MOST", 2)
    done(place)
    expected = outputs(place / "out")
    (place / "out").rename(place / "undisturbed")
    join = passes.joining.join

    def killed(segments: Sequence[Path], times: Any, clip_: Any, coding: Any, part: Path, *rest: Any) -> list[str]:
        join(segments, times, clip_, coding, part, *rest)
        (part.parent / f".{'0' * 32}.part").write_bytes(part.read_bytes())  # as no `finally` removes it
        raise SystemExit

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(passes.joining, "join", killed)
        done(place)
    assert list((place / "out" / "sub").glob(".*")) == [place / "out" / "sub" / ".b-rose.mp4.ganchain"]
    assert dict(done(place).counts) == {"skipped": 2, "no_face": 1}
    assert records(place / "out")["sub/b.MP4"]["video"]["resumed"] == 3
    assert outputs(place / "out") == expected and not list((place / "out").rglob("*.part"))


def test_without_pyav_videos_in_folders_are_passed_over(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "av", None)
    summary = done(place)
    assert dict(summary.counts) == {"no_face": 2}, "of the GIF, the first frame is a photo"
    assert summary.passed == ["1 file passed over: 1 .mp4; videos need PyAV: pip install 'ganchain[video]'"]
    assert list(done(place, "in/sub/b.MP4").failed.values()) == ["videos need PyAV: pip install 'ganchain[video]'"]


def test_frames_that_failed_are_said(place: Path) -> None:
    summary = Summary(place, place / "record", 1)
    record = Record("b.mp4", "/b.mp4", "rose", "ok", "b-rose.mp4", type="video", video={"failed": 2})
    record.notes = ["2 frames failed and stay as they were; the first is 7: took longer than 3 s"]
    with Journal(place) as journal:
        loop.Loop(place, "rose", journal, summary).report(record)
    assert summary.exit_code == 1
    assert f"b.mp4: {record.notes[0]}" in summary_lines(summary)


def test_each_video_has_a_bar_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = Summary(tmp_path, tmp_path / "record", 1, has_videos=True)
    with bar() as shown:
        assert shown.on_progress is not None
        shown.on_progress(Item(tmp_path / "b.mp4", "[b].mp4", video="mp4"), Progress("edit", 3, 9, 4.5))
        shown.on_progress(Item(tmp_path / "c.mp4", "c.mp4", video="mp4"), Progress("track", 3, 0, 0.0))
        shown.on_record(Record("c.mp4", "/c.mp4", "rose", "ok", "c-rose.mp4", type="video"), summary)
    shown_last = capsys.readouterr().err
    assert "[b].mp4: editing  4.5 frames/s" in shown_last and "c.mp4" not in shown_last


def test_a_signal_stops_a_video_and_it_is_left(tmp_path: Path) -> None:
    """Photos are finished first; a video would keep the user waiting, and goes on where it was."""

    class Endless:
        busy, room, killed = False, True, False

        def __enter__(self) -> Endless:
            return self

        def __exit__(self, *_: object) -> None:
            self.killed = self.busy

        def submit(self, group: Any) -> None:
            self.busy, self.room, self.group = True, False, group

        def wait(self, seconds: float) -> list[Any]:
            going.tell(self.group, Progress("edit", 3, 9, 1.0))
            going.signals.count += 1
            return []

    told: list[Any] = []
    (tmp_path / LOCK).touch()
    with Journal(tmp_path) as journal:
        going = loop.Loop(tmp_path, "c", journal, Summary(tmp_path, journal.path, 1))
        going.on_progress = lambda item, reached: told.append((item.input, reached.done))
        pool: Any = Endless()
        going.run([Item(tmp_path / "a.mp4", "a.mp4", "a.mp4", video="mp4")], pool, 1, None, patience=1)
    assert pool.killed and told == [("a.mp4", 3)] and going.summary.left == 1
