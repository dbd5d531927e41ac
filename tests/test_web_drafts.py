"""Tests of what the page asks for: drafts, events, thumbnails, zips and limits."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganchain import Pipeline, chains
from ganchain.faces.detect import DlibDetector, in_reading_order
from ganchain.tensors import Pixels

pytest.importorskip("httpx", reason="the extra web is not installed")
pytest.importorskip("uvicorn", reason="the extra web is not installed")

from ganchain.web import pace
from ganchain.web.drafts import Drafts, Superseded
from ganchain.web.jobs import Job
from ganchain.web.redraw import Draft, Drawn, Redrawer
from ganchain.web.uploads import Busy
from ganchain.web.worker import Line
from tests import test_web
from tests.test_web import ROSE, ended, job_of, png, send

_warm, server, ask, photo = test_web._warm, test_web.server, test_web.ask, test_web.photo


def draw(ask: Any, chain: str, sent: dict[str, Any], **more: Any) -> Any:
    return ask.post("/drafts", json={"chain": chain, "photo": sent["id"], "side": 200, **more})


def test_a_draft_is_the_edited_photo_at_the_size_of_the_screen(ask: Any, photo: bytes, small_head: Pixels) -> None:
    sent = send(ask, photo)
    answer = draw(ask, ROSE, sent)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/jpeg"
    assert json.loads(answer.headers["ganchain-report"])["status"] == "ok"
    drawn = np.asarray(Image.open(io.BytesIO(answer.content)), np.float32)
    assert max(drawn.shape[:2]) == 200
    whole = Pipeline.from_chain(chains.parse(ROSE, "c", Path()))(small_head).photo
    assert whole is not None
    expected = np.asarray(Image.fromarray(whole.pixels).resize((drawn.shape[1], drawn.shape[0])), np.float32)
    assert np.abs(drawn - expected).mean() < 4


def test_a_draft_enlarges_nothing_and_takes_files(ask: Any, photo: bytes, small_head: Pixels) -> None:
    sent = send(ask, photo)
    enlarged = draw(ask, "upscale", sent)
    assert max(Image.open(io.BytesIO(enlarged.content)).size) == 200
    reference = send(ask, png(small_head[:, ::-1]), "look.png")
    chain = json.dumps({"stages": [{"makeup": {"reference": "look.png"}}]})
    for _ in range(2):
        assert draw(ask, chain, sent, files={"look.png": reference["id"]}).status_code == 200
    assert draw(ask, ROSE, send(ask, png(np.full((40, 60, 3), 90, np.uint8)))).status_code == 200


def test_what_is_transparent_stays_so_on_the_screen(ask: Any, small_head: Pixels) -> None:
    alpha = np.zeros(small_head.shape[:2], np.uint8)
    alpha[:, 20:] = 255
    sent = send(ask, png(np.dstack([small_head, alpha])))
    chain = "stages: [{makeup: {look: rose}}]"
    job = ended(ask, ask.post("/jobs", json={"chain": chain, "photo": sent["id"]}).json())
    previews = [ask.get(preview["address"]) for preview in job["previews"]]
    for answer in (ask.get(f"/photos/{sent['id']}/preview"), draw(ask, chain, sent), *previews):
        assert answer.headers["content-type"] == "image/webp"
        shown = np.asarray(Image.open(io.BytesIO(answer.content)))
        assert shown.shape[2] == 4 and shown[:, 0, 3].max() < 9 and shown[:, -1, 3].min() > 246


@pytest.mark.parametrize(
    ("chain", "status", "reason"),
    [
        ("stages: [{upscale: {factor: 3}}]", 422, "these weights enlarge 2 or 4 times, not 3"),
        ("stages: [{makeup: {look: /etc/passwd}}]", 422, "paths are not taken here"),
        ("no-chain", 422, "no chain 'no-chain'"),
    ],
)
def test_drafts_that_are_refused(ask: Any, photo: bytes, chain: str, status: int, reason: str) -> None:
    answer = draw(ask, chain, send(ask, photo))
    assert answer.status_code == status
    assert reason in answer.json()["error"]
    assert draw(ask, chain, {"id": "gone"}).status_code == 404
    keys = [problem["key"] for problem in answer.json().get("problems", [])]
    assert keys == (["stages[0].upscale.factor"] if "factor" in chain else keys)


def test_the_newest_draft_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn: list[int] = []

    async def ask_for_three() -> list[Any]:
        drafts = Drafts("cpu")
        monkeypatch.setattr(drafts, "_draw", lambda draft: drawn.append(draft.side))
        async with drafts._drawing:  # one is being drawn
            asked = [
                asyncio.create_task(drafts.draw(place, draft_of(tmp_path, number)))
                for number, place in enumerate("aab")
            ]
            await asyncio.sleep(0.01)
        return await asyncio.gather(*asked, return_exceptions=True)

    first, second, other = asyncio.run(ask_for_three())
    assert isinstance(first, Superseded) and second is None and other is None
    assert drawn == [1, 2]


def test_too_many_drafts_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ganchain.web.drafts.WAITING", 0)
    with pytest.raises(Busy, match="too many"):
        asyncio.run(Drafts("cpu").draw("a", draft_of(tmp_path, 1)))


def draft_of(folder: Path, side: int) -> Draft:
    return Draft(chains.parse(ROSE, "c", folder), folder / "p.jpg", [], 40, side, folder)


def test_what_is_drawn_again_is_not_read_again(small_head: Pixels, tmp_path: Path) -> None:
    faces = in_reading_order(DlibDetector()(small_head))
    Image.fromarray(small_head).save(tmp_path / "p.jpg")
    redrawer = Redrawer(Line(), "cpu")
    draft = Draft(chains.parse(ROSE, "c", tmp_path), tmp_path / "p.jpg", faces, small_head.shape[1], 200, tmp_path)
    first, second = redrawer.begin([draft, draft])()
    assert isinstance(first, Drawn) and isinstance(second, Drawn) and first.picture == second.picture
    (tmp_path / "p.jpg").unlink()
    third = redrawer.begin([draft])()[0]
    assert isinstance(third, Drawn) and third.picture == first.picture


def test_events_tell_of_a_job_until_it_has_ended(ask: Any, photo: bytes) -> None:
    sent = send(ask, photo)
    job = ask.post("/jobs", json={"chain": "retouch", "photo": sent["id"]}).json()
    with ask.stream("GET", f"/jobs/{job['id']}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        told = [json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line]
    assert told[-1] == ask.get(f"/jobs/{job['id']}").json()
    assert told[-1]["state"] == "done" and told[-1]["thumbnails"] == []
    assert all(0 <= one["share"] <= 1 and one["left"] >= 0 for one in told if one["state"] == "running")
    assert ask.get("/jobs/gone/events").status_code == 404


def test_face_pictures_have_thumbnails_and_go_into_one_zip(ask: Any, photo: bytes) -> None:
    sent = send(ask, photo)
    chain = "stages: [{makeup: {look: rose}}]\noutput: {write: faces}"
    jobs = [ended(ask, ask.post("/jobs", json={"chain": chain, "photo": sent["id"]}).json()) for _ in range(2)]
    small = ask.get(jobs[0]["thumbnails"][0])
    assert max(Image.open(io.BytesIO(small.content)).size) <= 320
    answer = ask.get("/pictures.zip", params={"job": [job["id"] for job in jobs]})
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    name = jobs[0]["report"]["pictures"][0]["name"]
    assert archive.namelist() == [name, f"{name.removesuffix('.png')}-2.png"]
    assert archive.read(name) == ask.get(jobs[0]["pictures"][0]).content
    assert ask.get("/pictures.zip", params={"job": "gone"}).status_code == 404
    assert ask.get("/pictures.zip").status_code == 422


def test_limits_are_told_and_a_chain_is_read(ask: Any) -> None:
    assert ask.get("/limits").json()["upload"] == 3_000_000
    told = ask.post("/chain", json={"chain": "stages: [makeup, upscale: {factor: 2}, upscale: {scope: face}]"}).json()
    assert told["scale"] == 2
    assert told["chain"] == {"stages": [{"makeup": {}}, {"upscale": {"factor": 2}}, {"upscale": {"scope": "face"}}]}
    assert ask.post("/chain", json={"chain": "stages: [{upscale: {factor: x}}, 3]"}).json()["scale"] == 4


@pytest.mark.parametrize("address", ["/stages", "/schema", "/chains"])
def test_what_the_page_asks_for_first_is_compressed(ask: Any, address: str) -> None:
    got, head = ask.get(address), ask.head(address)
    assert got.headers["content-encoding"] == "gzip" and got.json()
    assert head.headers["content-length"] == got.headers["content-length"] and not head.content
    assert "content-encoding" not in ask.get("/health").headers


def test_progress_is_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    clock = SimpleNamespace(monotonic=lambda: now)  # for these two alone: the server's event loop needs the real one
    monkeypatch.setattr("ganchain.web.pace.time", clock)
    monkeypatch.setattr("ganchain.web.jobs.time", clock)
    known = pace.Pace()
    job = job_of("a", tmp_path)
    for step, seconds in ((0, 1.0), (1, 2.0), (2, 7.0)):
        job.reach(step, 0.0)
        now += seconds
    known.learn(job)
    job = job_of("b", tmp_path)
    shares = list[float]()
    for step, seconds in ((0, 1.0), (1, 2.0), (2, 7.0)):
        job.reach(step, 0.0)
        shares.append(known.progress(job)[0])
        now += seconds
    assert shares == pytest.approx([0, 0.1, 0.3])
    share, left = known.progress(job)
    assert 0.7 < share < 1 and left > 0  # it takes longer than expected, and still moves
    job.reach(2, 0.5)
    assert known.progress(job)[1] == pytest.approx(7)  # counted: as long again


def test_a_job_tells_how_far_it_is(tmp_path: Path) -> None:
    job: Job = job_of("a", tmp_path)
    job.reach(-1, 0.0)
    job.reach(1, 0.25)
    assert list(job.begun) == [0, 1] and job.share == 0.25
