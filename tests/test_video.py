"""Videos: read and written, faces tracked, edits held steady, and runs that go on where they stopped."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from ganchain import Pipeline
from ganchain.chains import Output
from ganchain.cli.main import main
from ganchain.errors import ChainError, GanchainError, VideoError
from ganchain.photos import images
from ganchain.photos.label import labelled
from ganchain.photos.marks import Provenance
from ganchain.photos.protect import mark
from ganchain.pipeline.reader import FaceReader
from ganchain.stage import Stage
from ganchain.stages.attributes import Attributes
from ganchain.stages.makeup import Makeup
from ganchain.stages.webtoon import Webtoon
from ganchain.tensors import Pixels
from ganchain.testing import FakeDetector
from ganchain.video import joining, passes, placing, record, run
from ganchain.video.ahead import Behind, ahead
from ganchain.video.clip import Frame
from ganchain.video.colours import Colours
from ganchain.video.cuts import CutFinder
from ganchain.video.editing import Editor, _kind
from ganchain.video.flow import Carrier, flow_at, flow_back
from ganchain.video.holding import Holder
from ganchain.video.options import Options
from ganchain.video.smoothing import FADE, Courses, Held, OneEuro, Seen, fades
from ganchain.video.sources import source_of
from ganchain.video.summary import Summary
from ganchain.video.tracking import Sight
from tests.clips import clip, coloured, moved, torture


class Darker(Stage):
    """Make whole photos darker by 20 levels."""

    scope = "photo"
    side = None

    def forward(self, faces: Tensor) -> Tensor:
        return (faces - 40 / 255).clamp(-1, 1)


class Twice(Stage):
    """Enlarge whole photos by doubling px."""

    scope, effect, scale = "photo", "enlarge", 2
    side = None

    def forward(self, faces: Tensor) -> Tensor:
        return faces.repeat_interleave(2, 2).repeat_interleave(2, 3)


def edit(path: Path, out: Path, *stages: Stage, **options: Any) -> Summary:
    return Pipeline(stages or [Darker()], detector=FakeDetector([])).video(path, out, **options)


def frames(path: Path) -> list[Frame]:
    return list(source_of(path).frames())


def times(path: Path) -> list[float]:
    source = source_of(path)
    return [source.clip.seconds(frame.pts) for frame in source.frames()]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return clip(tmp_path / "small.mp4", [coloured(number) for number in range(6)])


# read and written


@pytest.mark.parametrize("matrix", [1, 2, 5, 6, 9])
@pytest.mark.parametrize("range_", [0, 1, 2])
def test_colours_are_those_of_the_standard_and_come_back(matrix: int, range_: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    colours = Colours(matrix, range_, 2, 2)
    frame = colours.from_rgb(pixels, "yuv444p")
    red, blue = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}.get(matrix, (0.299, 0.114))
    luma = pixels @ np.array([red, 1 - red - blue, blue])
    luma = luma if range_ == 2 else luma * 219 / 255 + 16
    assert np.abs(np.asarray(frame.to_ndarray()).reshape(3, 12, 16)[0] - luma).max() < 0.6
    assert (frame.colorspace, frame.color_range) == (matrix, range_)
    assert np.abs(colours.to_rgb(frame, False).astype(int) - pixels).max() <= 2


def test_times_of_any_rate_are_kept_and_so_is_the_size(tmp_path: Path) -> None:
    irregular = [0, 3000, 3001, 9000, 30_000, 90_000]
    source = clip(tmp_path / "a.mp4", [coloured(number, (34, 26)) for number in range(6)], times=irregular)
    summary = edit(source, tmp_path / "out.mp4")
    assert summary.frames == 6 and not summary.failed and not summary.notes
    assert times(tmp_path / "out.mp4") == times(source) == [time / 90_000 for time in irregular]
    assert source_of(tmp_path / "out.mp4").clip.size == (34, 26)
    before, after = frames(source)[3].pixels, frames(tmp_path / "out.mp4")[3].pixels
    assert abs(float(before.astype(int).mean() - after.mean()) - 20) < 1
    assert not list(tmp_path.glob(".*")), "the work folder is removed"


def test_negative_times_are_kept_against_the_sound(tmp_path: Path) -> None:
    source = clip(tmp_path / "a.nut", [coloured(number) for number in range(4)], times=[-9000, -5400, -1800, 1800])
    edit(source, tmp_path / "out.mkv")
    assert np.diff(times(tmp_path / "out.mkv")) == pytest.approx([0.04] * 3, abs=1e-3)


def test_sound_chapters_and_words_are_copied(tmp_path: Path) -> None:
    source = clip(tmp_path / "a.mp4", [coloured(n) for n in range(25)], sound=True, chapters=True)
    edit(source, tmp_path / "out.mp4")
    sound = []
    for path in (source, tmp_path / "out.mp4"):
        with av.open(str(path)) as container:
            packets = [packet for packet in container.demux(audio=0) if packet.size]
            sound.append([(float((p.pts or 0) * p.time_base), bytes(p)) for p in packets])
            assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["One"]
    assert sound[0] == sound[1] and len(sound[0]) >= 7
    with pytest.raises(VideoError, match=r"\.webm cannot hold the video's sound \(aac\)"):
        edit(source, tmp_path / "out.webm")


@pytest.mark.parametrize("turned", [90, 180, -90])
def test_videos_come_out_upright(tmp_path: Path, turned: int) -> None:
    source = clip(tmp_path / "a.mp4", [coloured(0, (48, 32))] * 3, turned=turned)
    edit(source, tmp_path / "out.mp4")
    made = source_of(tmp_path / "out.mp4")
    assert made.clip.turned == 0
    pixels = next(iter(made.frames())).pixels.astype(int) + 20
    expected = np.rot90(coloured(0, (48, 32)), turned // 90)
    assert pixels.shape == expected.shape and np.abs(pixels - expected).mean() < 4


@pytest.mark.parametrize("size", [(1, 1), (17, 9), (16, 9)])
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int], suffix: str) -> None:
    source = clip(tmp_path / "a.mkv", [coloured(n, size) for n in range(3)], codec="ffv1", format_="bgr0")
    edit(source, tmp_path / f"out{suffix}")
    made = frames(tmp_path / f"out{suffix}")
    width, height = (side + side % 2 for side in size) if suffix == ".mp4" else size
    assert len(made) == 3 and made[0].pixels.shape == (height, width, 3)


def test_ten_bits_are_read_and_hdr_is_refused(tmp_path: Path) -> None:
    picture = [coloured(n) for n in range(3)]
    ten = clip(tmp_path / "ten.mkv", picture, codec="ffv1", format_="yuv420p10le")
    assert np.abs(frames(ten)[1].pixels.astype(int) - picture[1]).mean() < 3
    hdr = clip(tmp_path / "hdr.mkv", picture, codec="ffv1", format_="yuv420p10le", colours=(9, 1, 9, 16))
    with pytest.raises(VideoError, match=r"hdr\.mkv: is in HDR \(PQ\)"):
        edit(hdr, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("suffix", [".webm", ".mov", ".webp", ".gif"])
def test_transparency_comes_through(tmp_path: Path, suffix: str) -> None:
    clear = [np.dstack([coloured(9 * n), np.full((24, 32), 255, np.uint8)]) for n in range(3)]
    for frame in clear:
        frame[:16, :16, 3] = 0  # a corner alone: of an opaque rectangle, a WebP would not say that it is transparent
    source = clip(tmp_path / "a.mkv", clear, codec="ffv1", format_="bgra")
    edit(source, tmp_path / f"out{suffix}")
    alpha = frames(tmp_path / f"out{suffix}")[1].alpha
    assert alpha is not None and alpha[:12, :12].max() < 8 and alpha[:, 20:].min() > 247
    with pytest.raises(VideoError, match="h264 has no transparency"):
        edit(source, tmp_path / "out.mp4")


def test_a_drawing_without_a_background_is_transparent(tmp_path: Path, small: Path) -> None:
    pipeline = Pipeline([Webtoon(scope="photo", background="none")], detector=FakeDetector([]))
    with pytest.raises(VideoError, match="h264 has no transparency"):
        pipeline.video(small, tmp_path / "out.mp4")


def test_animations_and_folders(tmp_path: Path, small: Path) -> None:
    edit(small, tmp_path / "frames")
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert names == [f"frame-{number:06d}.png" for number in range(1, 7)]
    assert mark(tmp_path / "frames" / names[0]).stages == ("darker",)
    (tmp_path / "frames" / "frame-000003.png").write_bytes(b"no picture")
    summary = edit(tmp_path / "frames", tmp_path / "out.gif")
    assert summary.frames == 6 and "frame-000003.png" in summary.notes[0]
    durations = [frame.duration for frame in frames(tmp_path / "out.gif")]
    assert durations == [40, 80, 40, 40, 40], "equal frames are one"
    edit(tmp_path / "out.gif", tmp_path / "out.webp")
    assert mark(tmp_path / "out.webp").own
    edit(tmp_path / "out.webp", tmp_path / "back.mp4")
    assert times(tmp_path / "back.mp4") == pytest.approx([0, 0.04, 0.12, 0.16, 0.2])


@pytest.mark.parametrize("codec", ["h264", "h265", "vp9", "prores", "ffv1"])
def test_frames_come_in_their_order_in_any_codec(tmp_path: Path, codec: str) -> None:
    pictures = [np.full((48, 64, 3), 40 + 8 * ((7 * n) % 20), np.uint8) for n in range(30)]
    source = clip(tmp_path / "a.mkv", pictures, codec="ffv1", format_="bgr0")
    edit(source, tmp_path / "out.mkv", codec=codec)
    light = [round(float(frame.pixels.mean())) for frame in frames(tmp_path / "out.mkv")]
    assert light == pytest.approx([picture.mean() - 20 for picture in pictures], abs=3)


def test_an_enlarging_chain_makes_a_larger_video(tmp_path: Path, small: Path) -> None:
    edit(small, tmp_path / "out.mp4", Twice())
    assert source_of(tmp_path / "out.mp4").clip.size == (64, 48)


def test_the_video_says_that_it_was_edited_and_shows_it_on_request(tmp_path: Path, small: Path) -> None:
    edit(small, tmp_path / "out.mp4", label="AI")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert "compositeWithTrainedAlgorithmicMedia" in container.metadata["comment"]
    content = (tmp_path / "out.mp4").read_bytes()
    assert Provenance.of(content[content.rindex(joining.XMP_BOX) + 16 :]).stages == ("darker",)
    ground = np.full((200, 300, 3), 90, np.uint8)
    changed = np.nonzero((labelled(ground, "AI edited") != ground).any(axis=2))
    assert changed[0].min() > 170 and changed[1].min() > 200 and labelled(ground, "") is ground


def test_photos_are_labelled_too_where_they_were_edited(tmp_path: Path, landscape: Pixels) -> None:
    plain, word = (
        Pipeline([Darker()], detector=FakeDetector([]), output=Output(label=label))(landscape)
        for label in ("", "AI edited")
    )
    first, second = (result.save(tmp_path / name)[0] for result, name in ((plain, "a.png"), (word, "b.png")))
    rows, columns = np.nonzero((images.read(first).pixels != images.read(second).pixels).any(axis=2))
    assert rows.min() > 250 and columns.min() > 300
    with pytest.raises(ValueError, match="a label is written in px"):
        Output(label="AI", format="svg")


# broken


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("cut", "is no video, or cut off before its index"),
        ("text", "is no video"),
        ("empty", "is no video"),
        ("still", "is a picture, not a video: ganchain run edits it"),
        ("still gif", "is a picture, not a video"),
        ("sound", "has no video stream, only audio"),
        ("no frames", "is no video, or cut off"),
        ("empty folder", "no pictures in this folder"),
        ("nowhere", "no such file"),
    ],
)
def test_what_is_no_video_is_said_in_one_line(tmp_path: Path, name: str, reason: str) -> None:
    path = torture(tmp_path)[name]
    with pytest.raises(VideoError, match=reason) as raised:
        edit(path, tmp_path / "out.mp4")
    assert "\n" not in str(raised.value) and str(path) in str(raised.value)
    assert not (tmp_path / "out.mp4").exists()


def test_broken_packets_cost_only_their_frames(tmp_path: Path) -> None:
    source = clip(tmp_path / "a.mkv", [coloured(n, (64, 48)) for n in range(40)], codec="mjpeg", format_="yuvj420p")
    content = bytearray(source.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 300] = bytes(300)
    source.write_bytes(bytes(content))
    summary = edit(source, tmp_path / "out.mp4")
    assert 30 <= summary.frames <= 40 and len(frames(tmp_path / "out.mp4")) == summary.frames
    (tmp_path / "half.mkv").write_bytes(source.read_bytes()[: len(content) * 3 // 4])
    assert edit(tmp_path / "half.mkv", tmp_path / "half.mp4").frames >= 20


@pytest.mark.parametrize(
    ("out", "options", "reason"),
    [
        ("out.avi", {}, "no video format '.avi'; available: .mp4"),
        ("out.mp4", {"codec": "h263"}, "no codec 'h263'; did you mean 'h265'"),
        ("out.mov", {"codec": "prores", "crf": 20}, "prores has no crf"),
        ("out.gif", {"crf": 20}, "codec and crf are those of videos"),
        ("out.mp4", {"steady": 2.0}, "steady: 2: it is 0 to 1"),
        ("out.mp4", {"timeout": 0.0}, "timeout: 0: more than 0"),
        ("small.mp4", {}, "small.mp4: would overwrite"),
        ("other.mp4", {}, "other.mp4: is there already, and not from this chain"),
    ],
)
def test_wrong_wishes_are_refused_before_anything_is_done(
    tmp_path: Path, small: Path, out: str, options: dict[str, Any], reason: str
) -> None:
    clip(tmp_path / "other.mp4", [coloured(0)] * 2)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(GanchainError) as raised:
        edit(small, tmp_path / out, **options)
    assert reason in str(raised.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_bad_frame_stays_as_it_is_and_is_named(tmp_path: Path, small: Path) -> None:
    class Stumbling(Darker):
        """Fail on the third frame, and hang on the fifth."""

        count = 0

        def forward(self, faces: Tensor) -> Tensor:
            self.count += 1
            if self.count == 3:
                raise KeyError("x")
            while self.count == 5:
                pass
            return super().forward(faces)

    summary = edit(small, tmp_path / "out.mp4", Stumbling(), timeout=0.3)
    assert sorted(summary.failed) == [2, 4]
    assert "KeyError" in summary.failed[2] and "took longer than 0.3 s" in summary.failed[4]
    before, after = frames(small), frames(tmp_path / "out.mp4")
    apart = [float(a.pixels.astype(int).mean() - b.pixels.mean()) for a, b in zip(before, after, strict=True)]
    assert [round(value / 20) for value in apart] == [1, 1, 0, 1, 0, 1]
    lines = [json.loads(line) for line in summary.record.read_text().splitlines()]
    assert [line["frame"] for line in lines[1:] if line["status"] == "failed"] == [2, 4]


def test_a_full_disk_is_said(tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(passes.SegmentWriter, "write", full)
    with pytest.raises(VideoError, match=r"out\.mp4: the disk is full; what is finished stays"):
        edit(small, tmp_path / "out.mp4")


def test_a_folder_is_not_written_into_itself_nor_over_frames_of_others(tmp_path: Path, small: Path) -> None:
    edit(small, tmp_path / "frames")
    with pytest.raises(GanchainError, match="inputs are never overwritten"):
        edit(tmp_path / "frames", tmp_path / "frames")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "frame-000001.png").write_bytes(b"mine")
    with pytest.raises(GanchainError, match="is there already"):
        edit(small, tmp_path / "other")
    assert (tmp_path / "other" / "frame-000001.png").read_bytes() == b"mine"


def test_without_pyav_it_is_said_what_to_install(tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(VideoError, match=r"videos need PyAV: pip install 'ganchain\[video\]'"):
        edit(small, tmp_path / "out.mp4")


def test_the_command_line(tmp_path: Path, small: Path) -> None:
    done = CliRunner().invoke(main, ["video", "upscale", str(tmp_path / "none.mp4"), "-o", str(tmp_path / "o.mp4")])
    assert done.exit_code == 2 and "none.mp4: no such file" in done.output
    assert "tracks" in CliRunner().invoke(main, ["video", "--help"]).output


# tracks


def test_a_point_at_rest_is_held_and_one_that_jumps_is_followed() -> None:
    noise = np.random.default_rng(0).normal(0, 0.004, (90, 5, 2))
    still, jump = OneEuro(1.0, 10.0), OneEuro(1.0, 10.0)
    held = np.array([still(noise[k], k / 30) for k in range(90)])
    assert held[30:].std() < 0.45 * noise[30:].std()
    answers = [jump(np.full((5, 2), float(k >= 10)), k / 30) for k in range(16)]
    assert answers[9].max() == 0 and answers[13].min() > 0.9


def test_cuts_are_found_and_flashes_of_motion_are_none(astronaut: Pixels, landscape: Pixels) -> None:
    find = CutFinder()
    shots = [moved(astronaut, n)[0] for n in range(8)] + [landscape] * 3 + [moved(astronaut, n)[0] for n in range(3)]
    assert [n for n, frame in enumerate(shots) if find(frame)] == [8, 11]


def sight(track: int, x: float = 50.0) -> Sight:
    from ganchain.video.placing import mean_points

    points = np.concatenate([mean_points(), np.full((10, 2), 0.3)]) * 40 + (x, 30)
    return Sight(track, points.astype(np.float32), 1.0)


def seen(shown: Sequence[bool], cuts: Sequence[int] = ()) -> list[Seen]:
    return [Seen(n, n / 30, n in cuts, [sight(0)] if there else []) for n, there in enumerate(shown)]


def test_faces_fade_where_they_are_lost_and_not_at_cuts() -> None:
    course = seen([True] * 10 + [False] * 3 + [True] * 12, cuts=[20])
    shares = fades(course, frozenset([0]))
    assert [shares.get((n, 0), 0.0) for n in (0, 4, 9, 10, 12, 13, 14, 18, 19, 20, 24)] == pytest.approx(
        [1, 1, 1 / (FADE + 1), 0, 0, 1 / (FADE + 1), 2 / (FADE + 1), 1, 1, 1, 1]
    )


def test_courses_do_not_depend_on_where_a_run_went_on() -> None:
    course = [Seen(n, n / 30, False, [sight(0, 50 + n + 0.5 * (n % 3))]) for n in range(40)]
    whole, resumed = Courses(0.8, [0]), Courses(0.8, [0])
    whole([], course[:20], course[20:])
    resumed.skip(course[:20])
    first, second = (courses(course[15:20], course[20:], [])[30][0] for courses in (whole, resumed))
    assert (first.placement == second.placement).all() and (first.shape == second.shape).all()
    steps = np.diff([faces[0].placement[0, 2] for faces in whole([], course[20:], []).values()])
    assert steps[2:-2].std() < 0.6 * np.std([1.5, 1.5, 0]), "uneven steps are evened"


def test_a_face_that_moves_is_followed_and_in_a_repeated_frame_it_stands() -> None:
    dice, still = np.random.default_rng(0), sight(0)
    way = np.cumsum([[3.0, 1.0] if n % 4 else [0.0, 0.0] for n in range(40)], axis=0)  # each fourth frame comes twice
    sights = []
    for n in range(40):
        points = still.points + way[n] + dice.normal(0, 0.3, (478, 2))
        flow = None if n == 0 else np.tile(way[n] - way[n - 1], (478, 1)).astype(np.float32)
        sights.append(Sight(0, points.astype(np.float32), 1.0, flow))
    course = [Seen(n, n / 30, False, [each]) for n, each in enumerate(sights)]
    faces = Courses(0.8, [0])([], course, [])
    held, raw = (
        np.array([placing.mapped(matrix, np.full((1, 2), 0.5))[0] for matrix in matrices]) - way
        for matrices in ([faces[n][0].placement for n in range(40)], [each.placement for each in sights])
    )
    assert np.diff(held[4:-4], axis=0).std() < 0.35 * np.diff(raw, axis=0).std(), "it goes as the flow does"
    assert np.abs(held - held.mean(axis=0)).max() < 0.15, "and is not late"


def test_the_flow_of_a_face_is_what_its_picture_moved_by(astronaut: Pixels) -> None:
    last = np.ascontiguousarray(astronaut[20:220, 120:340])
    now = np.roll(last, (2, 3), axis=(0, 1))
    points = np.array([[90.0, 80], [110, 100], [120, 60]], np.float32)
    assert np.abs(flow_at(points, 60.0, now, last) - (3, 2)).max() < 0.3
    assert (flow_at(points, 60.0, last, last) == 0).all()


def test_measures_are_held_where_they_hardly_change() -> None:
    holder, plane = Holder(FaceReader(torch.device("cpu")), 0.8), np.zeros((4, 4), np.float32)
    holder.hold(0, "light", plane, 8.0)
    changed = plane.copy()
    changed[0, 0], changed[1, 1] = 1.0, 20.0
    held = holder.hold(0, "light", changed, 8.0)
    assert held[0, 0] == pytest.approx(0.1) and held[1, 1] == 20 and held[2, 2] == 0
    assert holder.hold(1, "light", changed, 8.0)[0, 0] == 1, "another track is another face"
    assert holder.hold(0, "light", np.zeros((8, 8), np.float32), 8.0).shape == (8, 8), "a face that comes nearer"
    assert holder.hold(0, "skin", np.array(50.0)) == 50 and holder.hold(0, "skin", np.array(70.0)) == 52
    other = Holder(FaceReader(torch.device("cpu")), 0.8)
    other.restore(holder.state())
    assert other.hold(0, "skin", np.array(70.0)) == holder.hold(0, "skin", np.array(70.0))
    holder.forget([1])
    assert holder.hold(0, "skin", np.array(70.0)) == 70


class Painted(Stage):
    """Paint whole photos white where there is a face, and black where there is none."""

    scope, effect = "photo", "replace"
    side = None
    reads = ("points",)

    def forward(self, faces: Tensor) -> Tensor:
        return torch.full_like(faces, -1)

    def forward_photo(self, photo: Pixels, faces: Sequence[Any]) -> Pixels:
        return np.full_like(photo, 255)


def test_where_whole_frames_are_drawn_a_face_fades_over_into_the_frame_without_it(tmp_path: Path, small: Path) -> None:
    clip_ = source_of(small).clip
    editor = Editor(Pipeline([Painted()], detector=FakeDetector([])), clip_, Options(steady=0.0))
    place = np.array([[12.0, 0, 8], [0, 12, 4]])
    shape = sight(0).points[:, :] / 40
    levels = []
    for share in (1.0, 0.5, 0.0):
        faces = [Held(0, place, shape, 1.0, share)] if share else []
        levels.append(float(editor(Frame(0, 0, 1, coloured(0)), faces, False).mean()))
    assert not editor.failed and levels == pytest.approx([255, 128, 0], abs=1)


def test_frames_without_a_face_are_drawn_like_the_others(small: Path) -> None:
    class Alike(Painted):
        holds = True

        def forward_photo(self, photo: Pixels, faces: Sequence[Any], *, hold: Any = None) -> Pixels:
            return np.full_like(photo, hold("level", np.array(100.0 + 100 * len(faces))))

    clip_ = source_of(small).clip
    editor = Editor(Pipeline([Alike()], detector=FakeDetector([])), clip_, Options(steady=0.8))
    levels = [float(editor(Frame(n, n, 1, coloured(0)), [], cut).mean()) for n, cut in enumerate((True, False, True))]
    assert not editor.failed and levels == [100, 100, 100] and set(editor.holder.values) == {"-1 level"}
    pipeline = Pipeline([Alike()], detector=FakeDetector([]))
    assert pipeline(coloured(0)).photo.pixels.max() == 0  # type: ignore[union-attr]


def test_what_is_read_of_heads_is_what_stages_see() -> None:
    assert [_kind([stage]) for stage in (Makeup(), Attributes(hair="red"))] == ["heads", "parts"]
    assert _kind([Webtoon().resolved()]) == "heads" and _kind([Webtoon(scope="photo").resolved()]) == "busts"


def test_frames_are_read_ahead_and_written_behind_in_order() -> None:
    def failing() -> Iterator[int]:
        yield from (1, 2)
        raise KeyError("x")

    assert list(ahead(iter(range(20)))) == list(range(20))
    items = ahead(failing())
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(KeyError):
        next(items)
    done: list[int] = []
    with Behind() as behind:
        for number in range(20):
            behind(done.append, number)
    assert done == list(range(20))
    done.clear()
    with pytest.raises(KeyError), Behind() as behind:
        behind({}.__getitem__, 1)
        behind(done.append, 1)
    assert not done, "nothing is called after an error"


def test_largest_is_the_largest_of_each_scene() -> None:
    tallies = record.Tallies()
    tallies.frames = 40
    tallies.tracks = {0: (0, 20, 900.0, 20), 1: (0, 20, 400.0, 19), 2: (1, 20, 10.0, 9), 3: (1, 2, 99.0, 2)}
    assert tallies.chosen("all") == [0, 1, 2]
    assert tallies.chosen("largest") == tallies.chosen("best") == [0, 2]
    assert tallies.chosen([1, 3, 7]) == [1, 3]
    with pytest.raises(ChainError):
        tallies.chosen("some")  # type: ignore[arg-type]


def test_what_is_edited_is_carried_along_the_flow(astronaut: Pixels) -> None:
    shots = [np.ascontiguousarray(moved(astronaut, n)[0]) for n in range(6)]
    flickering = [np.clip(shot.astype(int) + 12 * (n % 2), 0, 255).astype(np.uint8) for n, shot in enumerate(shots)]
    carry = Carrier(1.0, replaces=False)
    steadied = [carry(shot, edited, False) for shot, edited in zip(shots, flickering, strict=True)]
    change = [float(edited.astype(int).mean() - shot.mean()) for shot, edited in zip(shots, steadied, strict=True)]
    assert np.abs(np.diff(change[1:])).max() < 5
    assert (carry(shots[0], flickering[1], True) == flickering[1]).all(), "nothing is carried over a cut"
    assert Carrier(0.0, replaces=False)(shots[0], flickering[1], False) is flickering[1]


def test_the_flow_remembers_nothing() -> None:
    """After pictures of other sizes it answers as before."""
    dice = np.random.default_rng(0)
    sizes = [(100, 120), *dice.integers(60, 200, (20, 2)), (100, 120)]
    answers = []
    for height, width in sizes:
        picture = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
        now = np.asarray(cv2.GaussianBlur(picture, (0, 0), 3), np.uint8)
        answers.append(flow_back(now, np.roll(now, 3, axis=1)))
    assert (answers[0] == answers[-1]).all()


class Reddish(Stage):
    """Redden skin, which has it read mattes."""

    side = 128
    reads = ("points", "skin")

    def forward(self, faces: Tensor, *, points: Tensor, skin: Tensor) -> Tensor:
        return (faces + skin * faces.new_tensor([0.3, 0, 0])[None, :, None, None]).clamp(-1, 1)


@pytest.mark.slow
def test_a_face_is_followed_and_a_stopped_run_goes_on(
    tmp_path: Path, astronaut: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drawn move: the face is where it must be, and a run that was stopped ends with the same bytes."""
    drawn = [moved(astronaut, n) for n in range(27)]
    for frame, _ in drawn[16:19]:  # a hand before the face
        frame[30:110, 50:110] = (150, 110, 90)
    source = clip(tmp_path / "a.mp4", [frame for frame, _ in drawn])
    monkeypatch.setattr(run, "uuid4", lambda: Provenance())  # a chain without YAML is else done anew each time
    monkeypatch.setattr(Provenance, "hex", "key", raising=False)
    pipeline = Pipeline([Reddish()])
    monkeypatch.setattr(passes, "LEAST", 12)
    monkeypatch.setattr(passes, "AFTER", 6)  # two parts of a segment
    summary = pipeline.video(source, tmp_path / "whole.mp4", seconds=0.48)
    lines = [json.loads(line) for line in summary.record.read_text().splitlines()][1:]
    faces = {line["frame"]: line for line in lines if "track" in line}
    assert {line["track"] for line in faces.values()} == {0}, "the id lasts through a short loss"
    assert [faces[n]["status"] for n in (0, 8, 15)] == ["edited", "edited", "fading"] and 17 not in faces
    middles = np.array([np.reshape(faces[n]["box"], (2, 2)).mean(axis=0) for n in range(10)])
    matrices = [matrix for _, matrix in drawn[:10]]
    start = np.linalg.solve(matrices[0][:, :2], middles[0] - matrices[0][:, 2])
    truth = np.array([matrix[:, :2] @ start + matrix[:, 2] for matrix in matrices])
    assert np.abs(middles - truth).max() < 1.5

    edited = passes.Editor.edit

    def stopped(self: Any, prepared: Any) -> Any:
        if prepared.frame.number == 25:
            raise KeyboardInterrupt
        return edited(self, prepared)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(passes.Editor, "edit", stopped)
        pipeline.video(source, tmp_path / "again.mp4", seconds=0.48)
    summary = pipeline.video(source, tmp_path / "again.mp4", seconds=0.48)
    assert summary.resumed == 2
    assert (tmp_path / "again.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert len(frames(tmp_path / "again.mp4")) == 27
