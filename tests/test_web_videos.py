"""Videos on the server: what is taken, the stills for drafts, the queue of their own, and what is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from ganchain import Pipeline
from ganchain.errors import VideoError
from ganchain.video.containers import opened
from ganchain.video.summary import Progress
from ganchain.web import redraw, runner, service, video_runner
from ganchain.web.limits import Limits
from ganchain.web.worker import Crashed
from tests.clips import clip, coloured
from tests.pools import Warm
from tests.test_web import ROSE, Server, png
from tests.waiting import until


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ganchain.web.worker.Pool", Warm)
        patch.setattr("ganchain.web.editor.warm_runner", runner.Runner)
        patch.setattr("ganchain.web.editor.video_runner", video_runner.VideoRunner)
        patch.setattr("ganchain.web.drafts.warm_redrawer", redraw.Redrawer)
        with Server(Limits(upload=200_000, video=1_000_000, length=2, pixels=600_000)) as running:
            yield running


@pytest.fixture
def ask(server: Any) -> Iterator[Any]:
    with httpx.Client(base_url=server.address, timeout=60, verify=False) as client:
        yield client


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("film")
    return clip(folder / "a.mp4", [coloured(9 * number) for number in range(9)], sound=True).read_bytes()


def send(ask: Any, content: bytes, name: str = "a film.mp4") -> Any:
    return ask.post("/videos", files={"video": (name, content)})


def ended(ask: Any, job: str) -> Any:
    """Wait for a job; what its events said."""
    lines = ask.get(f"/jobs/{job}/events").text.splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line]


@pytest.mark.slow
def test_a_video_is_sent_shown_by_stills_run_and_fetched(ask: Any, film: bytes, tmp_path: Path) -> None:
    sent = send(ask, film)
    assert sent.status_code == 201, sent.text
    video = sent.json()
    assert (video["name"], video["size"], video["frames"]) == ("a film.mp4", [32, 24], 9)
    assert video["seconds"] == pytest.approx(0.36) and len(video["stills"]) == 3
    draft = ask.post("/drafts", json={"chain": ROSE, "photo": video["stills"][1]["id"]})
    assert draft.status_code == 200 and draft.headers["content-type"] == "image/jpeg"
    job = ask.post("/jobs", json={"chain": ROSE, "video": video["id"], "name": "rose"})
    assert job.status_code == 202, job.text
    last = ended(ask, job.json()["id"])[-1]
    assert last["state"] == "done", last
    assert last["command"] == "ganchain video rose.yaml 'a film.mp4' -o 'a film-rose.mp4'"
    report = last["report"]
    assert report["status"] == "no_face" and (report["video"]["frames"], report["video"]["edited"]) == (9, 0)
    made = ask.get(last["video"])
    assert made.headers["content-type"] == "video/mp4" and "film-rose.mp4" in made.headers["content-disposition"]
    assert len(made.content) == report["video"]["bytes"]
    part = ask.get(last["video"], headers={"Range": "bytes=0-9"})
    assert part.status_code == 206 and part.content == made.content[:10], "players ask for parts"
    (tmp_path / "rose.yaml").write_text(ROSE)
    (tmp_path / "a film.mp4").write_bytes(film)
    Pipeline.from_yaml(tmp_path / "rose.yaml").video(tmp_path / "a film.mp4", tmp_path / "out.mp4")
    assert made.content == (tmp_path / "out.mp4").read_bytes()
    assert ask.delete(f"/videos/{video['id']}").status_code == 204
    assert ask.get(f"/photos/{video['stills'][0]['id']}/preview").status_code == 404
    ask.delete(f"/jobs/{last['id']}")


def test_what_is_no_video_or_too_much_is_refused(ask: Any, film: bytes, tmp_path: Path) -> None:
    long = clip(tmp_path / "long.mp4", [coloured(0)] * 60).read_bytes()
    lying = clip(tmp_path / "b.mkv", [coloured(0)] * 300, times=[90 * n for n in range(300)]).read_bytes()
    large = clip(tmp_path / "large.mp4", [coloured(0, (900, 700))]).read_bytes()
    for content, reason in (
        (b"no video at all", "film.mp4: is no video"),
        (long, "2.4 s (60 frames) are more than the 2 s that are taken here"),
        (lying, "(300 frames) are more than"),
        (large, "900 x 700 px are more than the 1 megapixels"),
        (f"ffconcat version 1.0\nfile {tmp_path}/long.mp4\n".encode(), "is no video"),
        (f"#EXTM3U\n#EXTINF:2,\n{tmp_path}/long.mp4\n#EXT-X-ENDLIST\n".encode(), "is no video"),
    ):
        answer = send(ask, content, "film.mp4")
        assert answer.status_code == 422 and reason in answer.json()["error"], answer.text
        assert str(tmp_path) not in answer.text
    assert send(ask, bytes(1_100_000)).status_code == 413
    assert ask.post("/photos", files={"photo": ("a.png", bytes(300_000))}).status_code == 413, "photos keep their limit"
    photo, video = ask.post("/videos", files={"photo": ("a.mp4", film)}), send(ask, film).json()
    assert photo.status_code == 422
    for body, status in (
        ({"photo": video["id"]}, 404),
        ({"video": video["stills"][0]["id"]}, 404),
        ({}, 422),
        ({"video": video["id"], "photo": video["id"]}, 422),
    ):
        assert ask.post("/jobs", json={"chain": "retouch", **body}).status_code == status, body
    assert ask.get("/jobs/none/video").status_code == 404


def test_animations_are_videos(ask: Any, tmp_path: Path) -> None:
    pictures = [Image.fromarray(coloured(9 * number)) for number in range(4)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=100)
    pictures[0].save(tmp_path / "still.gif")
    video = send(ask, (tmp_path / "a.gif").read_bytes(), "a.gif").json()
    assert (video["frames"], video["seconds"], len(video["stills"])) == (4, 0.4, 3)
    job = ask.post("/jobs", json={"chain": ROSE, "video": video["id"]}).json()["id"]
    assert ask.get(ended(ask, job)[-1]["video"]).headers["content-type"] == "image/gif"
    still = send(ask, (tmp_path / "still.gif").read_bytes(), "still.gif")
    assert still.status_code == 422 and "still.gif: is a picture, not a video" in still.json()["error"]


def test_a_playlist_names_no_other_file(tmp_path: Path) -> None:
    clip(tmp_path / "a.mp4", [coloured(0)] * 3)
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile a.mp4\n")
    with pytest.raises(VideoError, match="is no video"), opened(tmp_path / "list.mp4"):
        pass


@pytest.mark.slow
def test_a_video_waits_for_no_photo_and_is_cancelled(
    ask: Any, server: Any, film: bytes, small_head: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(pipeline: Any, path: Any, out: Path, options: Any, on_progress: Any) -> Any:
        while True:
            on_progress(Progress("edit", 3, 9, 1.0))
            time.sleep(0.01)

    monkeypatch.setattr(video_runner, "edit", endless)
    key = ask.post("/jobs", json={"chain": ROSE, "video": send(ask, film).json()["id"]}).json()["id"]
    waiting = ask.post("/jobs", json={"chain": ROSE, "video": send(ask, film).json()["id"]}).json()
    until(lambda: ask.get(f"/jobs/{key}").json().get("stage") == "edit")
    now = ask.get(f"/jobs/{key}").json()
    assert now["share"] == pytest.approx(0.35 + 0.6 / 3, abs=0.01) and (now["step"], now["steps"]) == (2, 3)
    assert (waiting["state"], waiting["place"]) == ("waiting", 1)
    photo = ask.post("/photos", files={"photo": ("a.png", png(small_head))}).json()["id"]
    done = ask.post("/jobs", json={"chain": ROSE, "photo": photo}).json()
    assert ended(ask, done["id"])[-1]["state"] == "done", "beside the video"
    assert ask.get("/health").json()["waiting"] == 2
    for each in (waiting["id"], key):
        assert ask.delete(f"/jobs/{each}").status_code == 204
    until(lambda: server.service.idle and not list(server.service.uploads.folder.path.glob(f"{key}*")))


def test_a_crash_costs_its_visitor_a_422(ask: Any, server: Any, film: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: Any, **__: Any) -> Any:
        raise Crashed("killed the worker (signal 11)")

    video = send(ask, film).json()["id"]
    with monkeypatch.context() as patch:
        patch.setattr(server.service._video_editor, "call", crash)
        job = ask.post("/jobs", json={"chain": ROSE, "video": video}).json()["id"]
        last = ended(ask, job)[-1]
        assert last["state"] == "failed" and last["error"] == "a film.mp4: killed the worker (signal 11)"
    with monkeypatch.context() as patch:
        patch.setattr(server.service.uploads._reader, "call", crash)
        answer = send(ask, film)
        assert answer.status_code == 422 and answer.json()["error"] == "a film.mp4: killed the worker (signal 11)"
    monkeypatch.setattr(service, "find_spec", lambda name: None)
    assert ask.get("/limits").json()["length"] == 0
    monkeypatch.undo()
    assert ask.get("/limits").json().items() >= {"length": 2, "video": 1_000_000}.items()
