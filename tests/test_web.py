"""The web page's server: what it answers, what it refuses, what it forgets."""

from __future__ import annotations

import io
import json
import os
import socket
import stat
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from ganchain import Pipeline, chains
from ganchain.cli.main import main
from ganchain.errors import ChainError, FaceError, GanchainError, PhotoError, WeightsError
from ganchain.tensors import Pixels

httpx = pytest.importorskip("httpx", reason="the extra web is not installed")
uvicorn = pytest.importorskip("uvicorn", reason="the extra web is not installed")

from ganchain.web import public, redraw, runner, tidy  # noqa: E402
from ganchain.web.app import app  # noqa: E402
from ganchain.web.folder import LOCK, PREFIX  # noqa: E402
from ganchain.web.jobs import Job, Queue  # noqa: E402
from ganchain.web.limits import Limits  # noqa: E402
from ganchain.web.server import listen  # noqa: E402
from ganchain.web.uploads import Busy, Uploads, file_name  # noqa: E402
from ganchain.web.worker import Ended, Line  # noqa: E402
from tests.pools import Warm  # noqa: E402
from tests.waiting import until  # noqa: E402

ROSE = "stages:\n  - makeup: {look: rose}\n"


class Server(uvicorn.Server):  # type: ignore[misc]
    """Uvicorn in a thread of the tests."""

    def __init__(self, limits: Limits) -> None:
        self.application = app(limits)
        super().__init__(uvicorn.Config(self.application, log_level="warning"))
        self.socket = listen("127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.run, kwargs={"sockets": [self.socket]})

    @property
    def service(self) -> Any:
        return self.application.app.state.service

    def __enter__(self) -> Any:
        self.thread.start()
        while not self.started:
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self.should_exit = True
        self.thread.join(timeout=20)
        self.socket.close()


@pytest.fixture(autouse=True, scope="module")
def _warm() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ganchain.web.worker.Pool", Warm)
        patch.setattr("ganchain.web.editor.warm_runner", runner.Runner)
        patch.setattr("ganchain.web.drafts.warm_redrawer", redraw.Redrawer)
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    limits = Limits(upload=3_000_000, pixels=600_000, seconds=60, waiting=4)
    with Server(limits) as running:
        yield running


@pytest.fixture
def ask(server: Any) -> Iterator[Any]:
    with httpx.Client(base_url=server.address, timeout=60, verify=False) as client:
        yield client


def png(pixels: Pixels) -> bytes:
    kept = io.BytesIO()
    Image.fromarray(pixels).save(kept, "PNG")
    return kept.getvalue()


@pytest.fixture
def photo(small_head: Pixels) -> bytes:
    return png(small_head)


def send(ask: Any, photo: bytes, name: str = "photo.png") -> dict[str, Any]:
    answer = ask.post("/photos", files={"photo": (name, photo)})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ended(ask: Any, job: dict[str, Any]) -> dict[str, Any]:
    for _ in range(600):
        job = ask.get(f"/jobs/{job['id']}").json()
        if job["state"] not in ("waiting", "running"):
            return job
        time.sleep(0.05)
    raise AssertionError(job)


# what it answers


def test_the_page_and_its_parts(ask: Any) -> None:
    page = resources.files("ganchain.web") / "page"
    scripts = [part.name for part in page.iterdir() if part.name.endswith(".js")]
    parts = ("style.css", *scripts, "icon.svg", "vendor/preact.js", "vendor/LICENSE.txt", "samples/astronaut.webp")
    for address in ("/", "/index.html", *(f"/{part}" for part in parts)):
        answer = ask.get(address)
        assert answer.status_code == 200
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    text = ask.get("/").text
    assert "http://" not in text and "https://" not in text  # works offline
    assert {chain["name"] for chain in ask.get("/chains").json()} == set(chains.bundled())
    stages = {stage["name"]: stage for stage in ask.get("/stages").json()}
    assert {"makeup", "attributes", "webtoon", "upscale"} <= set(stages)
    assert stages["webtoon"]["options"]["weights"]["keys"][0] == "webtoon"
    assert stages["makeup"]["options"]["look"]["description"]
    assert stages["makeup"]["alternatives"] == [["reference", "look"]]
    output = ask.get("/schema").json()["$defs"]["Output"]["properties"]
    assert output["format"]["enum"] == ["png", "jpeg", "webp", "tiff", "svg"] and output["format"]["default"] == "png"
    assert all(shape["description"] for shape in output.values())
    assert ask.get("/openapi.json").json()["paths"]["/run"]


def test_run_gives_the_bytes_of_the_command_line(ask: Any, photo: bytes, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(photo)
    (tmp_path / "rose.yaml").write_text(ROSE)
    arguments = ["run", str(tmp_path / "rose.yaml"), str(tmp_path / "photo.png"), "-o", str(tmp_path / "out.png")]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    answer = ask.post("/run", files={"photo": ("photo.png", photo), "chain": ("rose.yaml", ROSE.encode())})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    assert "photo-rose.png" in answer.headers["content-disposition"]
    assert answer.content == (tmp_path / "out.png").read_bytes()
    report = json.loads(answer.headers["ganchain-report"])
    assert report["status"] == "ok" and report["faces"][0]["number"] == 0
    assert report["pictures"][0]["bytes"] == len(answer.content)
    again = ask.get(answer.headers["content-location"]).json()
    assert again["report"] == report
    assert ask.get(again["pictures"][0]).content == answer.content
    assert again["command"] == "ganchain run rose.yaml photo.png"


def test_run_answers_in_json_and_zip(ask: Any, photo: bytes) -> None:
    fields = {"chain": "retouch"}
    said = ask.post("/run", data=fields, files={"photo": photo}, headers={"Accept": "application/json"}).json()
    assert said["state"] == "done" and said["command"].startswith("ganchain run retouch ")
    assert [one["shows"] for one in said["previews"]] == ["photo", "makeup"]
    assert Image.open(io.BytesIO(ask.get(said["previews"][1]["address"]).content)).format == "JPEG"
    both = ask.post(
        "/run", data={"chain": ROSE + "output: {write: both, format: jpeg}"}, files={"photo": ("a.png", photo)}
    )
    assert both.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(both.content))
    assert archive.namelist() == ["a-chain.jpg", "a-chain-face0.jpg", "report.json", "chain.yaml"]
    assert chains.parse(archive.read("chain.yaml").decode(), "chain.yaml", Path()).output.write == "both"


def test_a_job_by_steps(ask: Any, photo: bytes, small_head: Pixels) -> None:
    sent = send(ask, photo, "../../é x.png")
    assert sent["name"] == "é x.png" and sent["size"] == [small_head.shape[1], small_head.shape[0]]
    assert sent["faces"][0]["number"] == 0
    shown = np.asarray(Image.open(io.BytesIO(ask.get(f"/photos/{sent['id']}/preview").content)))
    assert shown.shape == small_head.shape
    reference = send(ask, png(small_head[:, ::-1]), "look.png")
    chain = json.dumps({"faces": [0], "stages": [{"makeup": {"reference": "look.png"}}]})
    body = {"chain": chain, "name": "mine", "photo": sent["id"], "files": {"look.png": reference["id"]}}
    answer = ask.post("/jobs", json=body)
    assert answer.status_code == 202, answer.text
    job = ended(ask, answer.json())
    assert job["state"] == "done", job
    assert job["report"]["pictures"][0]["name"] == "é x-mine.png"
    yaml = ask.get(job["yaml"]).text
    assert yaml == "faces: [0]\nstages:\n  - makeup: {reference: look.png}\n"
    assert ask.delete(f"/jobs/{job['id']}").status_code == 204
    assert ask.get(f"/jobs/{job['id']}").status_code == 404
    assert ask.delete(f"/photos/{sent['id']}").status_code == 204
    assert ask.get(f"/photos/{sent['id']}/preview").status_code == 404


def test_no_face_is_said_and_the_photo_comes_back(ask: Any) -> None:
    grey = np.full((90, 120, 3), 128, dtype=np.uint8)
    answer = ask.post("/run", data={"chain": "retouch"}, files={"photo": ("plain.png", png(grey))})
    assert json.loads(answer.headers["ganchain-report"])["status"] == "no_face"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), grey)


# what it refuses


@pytest.mark.parametrize(
    ("chain", "reason"),
    [
        ("portait", "did you mean 'portrait'?"),
        ("[1, 2]", "a chain is a mapping"),
        ("stages:\n  - makeup: {look: evning}\n", "chain.yaml:2: stages[0].makeup.look: 'evning'"),
        ("stages:\n  - makeup: {reference: /etc/hostname}\n", "paths are not taken here"),
        ("stages:\n  - makeup: {reference: ../../x.png}\n", "paths are not taken here"),
        ("stages:\n  - makeup: {reference: 'C:x.png'}\n", "paths are not taken here"),
        ("stages:\n  - makeup: {reference: '~'}\n", "paths are not taken here"),
        ("stages:\n  - makeup: {reference: nowhere.png}\n", "no file nowhere.png"),
        ("stages:\n  - upscale: {weights: /etc/hostname}\n", "paths are not taken here"),
        ("stages:\n  - upscale: {weights: setup.cfg}\n", "no weights 'setup.cfg'"),
        ("stages:\n  - /etc/passwd: {}\n", "paths are not taken here"),
        ("stages: &a\n  - makeup\nfaces: *a\n", "anchors"),
        ("stages: [makeup: &&a {look: rose}, makeup: *&a ]\n", "anchors"),
        ("stages: [" + "webtoon, " * 21 + "]", "more than 20 stages"),
        ("stages: [makeup: {reference: .}]", "paths are not taken"),
        ("stages: [makeup: {reference: ''}]", "paths are not taken"),
        ("stages: [makeup]\nx: " + "y" * 20_000, "more than 16384 characters"),
        ("stages: [makeup: {reference: " + "y" * 300 + "}]", "paths are not taken"),
        ('stages: [makeup: {reference: "a\\0b"}]', "paths are not taken"),
        ("stages: [makeup: {look: !!binary aGk=}]", "only words, numbers"),
        ("stages: [makeup: {look: 2026-11-22}]", "only words, numbers"),
        ("stages: [makeup: {look: !x y}]", "only words, numbers"),
        ("stages: [makeup: {look: 2026-13-41}]", "not valid YAML"),
        ("stages: !!set {makeup}", "only words, numbers"),
        ("? [a, b]\n: c\nstages: [makeup]", "keys are words"),
        ("stages: " + "[" * sys.getrecursionlimit(), "not valid YAML"),
        ("stages: [makeup: {strength: " + "9" * 5000 + "}]", "not valid YAML"),
        ("stages: 3", "a list of stages"),
    ],
)
def test_chains_that_are_refused(ask: Any, photo: bytes, chain: str, reason: str) -> None:
    answer = ask.post("/run", data={"chain": chain}, files={"photo": photo})
    assert answer.status_code == 422
    assert reason in answer.json()["error"]
    assert PREFIX not in answer.text  # where things lie is nobody's business


def test_a_file_that_was_sent_is_no_weights(ask: Any, photo: bytes) -> None:
    files = [("photo", ("a.png", photo)), ("files", ("w.png", photo))]
    answer = ask.post("/run", data={"chain": "stages:\n  - upscale: {weights: w.png}\n"}, files=files)
    assert answer.status_code == 422
    assert "only weights of the list" in answer.json()["error"]


def test_nothing_else_on_the_server_is_read(ask: Any, photo: bytes) -> None:
    job = ask.post(
        "/run", data={"chain": "retouch"}, files={"photo": photo}, headers={"Accept": "application/json"}
    ).json()
    for address in (
        "/page/../app.py",
        "/..%2f..%2fetc%2fpasswd",
        "/style.css/../app.py",
        f"/jobs/{job['id']}/pictures/..%2f..%2fchain",
        f"/jobs/{job['id']}/pictures/-1",
        f"/jobs/{job['id']}/pictures/7",
        f"/jobs/{job['id']}/previews/9",
        "/photos/..%2f..%2fetc/preview",
        "/photos/ /preview",
        "/app.py",
        "/__init__.py",
    ):
        assert ask.get(address).status_code in (404, 422), address


def test_photos_that_are_refused(ask: Any, server: Any) -> None:
    def reason(content: bytes, status: int) -> str:
        answer = ask.post("/photos", files={"photo": ("a.png", content)})
        assert answer.status_code == status, answer.text
        return str(answer.json()["error"])

    before = set(server.service.uploads.folder.path.iterdir())
    assert reason(b"no photo", 422) == "a.png: not a picture that can be read"
    refusal = reason(png(np.zeros((800, 800, 3), np.uint8)), 422)
    assert "more than the 1 megapixels" in refusal and "make it smaller" in refusal and "--max-pixels" in refusal
    assert "more than 3 MB" in reason(bytes(3_100_000), 413)

    def chunks() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a.png"\r\n\r\n'
        yield from [bytes(100_000)] * 40

    answer = ask.post("/photos", content=chunks(), headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 413
    assert ask.post("/photos", data={"photo": "text"}).status_code == 422
    assert ask.post("/run", data={"chain": "retouch"}).status_code == 422
    assert set(server.service.uploads.folder.path.iterdir()) == before  # nothing of them stays


def test_small_files_that_take_hours_are_refused(ask: Any) -> None:
    kept = io.BytesIO()
    Image.fromarray(np.zeros((400, 400), np.uint8)).save(kept, "JPEG", progressive=True)
    whole = kept.getvalue()
    last = whole.rindex(b"\xff\xda")
    answer = ask.post("/photos", files={"photo": ("a.jpg", whole[:-2] + whole[last:-2] * 300 + whole[-2:])})
    assert answer.status_code == 422
    assert "more than 100 scans" in answer.json()["error"]
    assert ask.post("/photos", files={"photo": ("a.jpg", whole)}).status_code == 201


def test_a_chain_takes_few_files(ask: Any, photo: bytes) -> None:
    sent = send(ask, photo)
    body = {"chain": ROSE, "photo": sent["id"], "files": {f"{number}.png": sent["id"] for number in range(17)}}
    assert "more than 16 files" in ask.post("/jobs", json=body).json()["error"]


def test_the_oldest_results_make_room(ask: Any, server: Any, photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"data": {"chain": "retouch"}, "files": {"photo": photo}}
    ask.post("/run", **asked)
    oldest = server.service.queue.finished()[0].id
    filled = sum(path.stat().st_size for path in server.service.uploads.folder.path.rglob("*") if path.is_file())
    monkeypatch.setattr(server.service, "limits", replace(server.service.limits, disk=filled - 1))
    second = ask.post("/run", **asked).headers["content-location"]
    assert ask.get(f"/jobs/{oldest}").status_code == 404
    assert ask.get(second).status_code == 200
    monkeypatch.setattr(server.service, "limits", replace(server.service.limits, disk=-1))
    assert ask.post("/run", **asked).status_code == 503


def test_who_sends_nothing_is_not_waited_for(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganchain.web.guard.PATIENCE", 0.2)
    with socket.create_connection(server.socket.getsockname()) as line:
        line.sendall(b"POST /photos HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n")
        line.sendall(b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x")
        line.settimeout(10)
        assert line.recv(99).startswith(b"HTTP/1.1 408")


def test_the_command_is_that_of_the_chain(ask: Any, photo: bytes) -> None:
    files = {"photo": ("-x.png", photo), "chain": ("portrait.yaml", ROSE.encode())}
    said = ask.post("/run", files=files, headers={"Accept": "application/json"}).json()
    assert said["command"] == "ganchain run my-portrait.yaml ./-x.png"


def test_other_sites_are_refused(ask: Any) -> None:
    assert ask.get("/chains", headers={"Host": "evil.example"}).status_code == 421
    assert ask.get("/chains", headers={"Host": "localhost:9"}).status_code == 200
    assert ask.post("/chain", json={"chain": ROSE}, headers={"Origin": "https://evil.example"}).status_code == 403
    assert ask.get("/chains", headers={"Origin": "http://["}).status_code == 403
    own = str(ask.base_url).rstrip("/")
    assert ask.post("/chain", json={"chain": ROSE}, headers={"Origin": own}).status_code == 200


def test_files_of_the_server_s_folder_are_no_chains(
    ask: Any, photo: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("stages: [upscale]")
    (tmp_path / "retouch").write_text("stages: [upscale]")
    monkeypatch.chdir(tmp_path)
    assert ask.post("/run", data={"chain": "secret"}, files={"photo": photo}).status_code == 422
    answer = ask.post("/run", data={"chain": "retouch"}, files={"photo": photo})
    assert "makeup" in answer.headers["ganchain-report"]


# the queue


def job_of(key: str, folder: Path) -> Job:
    chain = chains.parse(ROSE, "rose.yaml", folder)
    (folder / key).mkdir(parents=True)
    uploads = Uploads(Limits())
    image = io.BytesIO(png(np.zeros((40, 40, 3), np.uint8)))
    upload = uploads.add("a.png", image)
    uploads.close()
    return Job(key, "rose", chain, ROSE, upload, folder / key)


def test_what_failed_is_said_without_places_of_this_machine(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    job = job_of("key", tmp_path)

    def said(error: Exception) -> str:
        return public.message(error, job.folder)

    assert said(PhotoError("cut", path=job.upload.path)) == "a.png: cut"
    assert said(FaceError("none", path=job.folder / "look.png", stage="makeup", where="c.yaml:2")) == (
        "c.yaml:2: makeup: look.png: none"
    )
    assert said(WeightsError("cut", ref="/home/me/w.ckpt")) == "w.ckpt: cut"
    assert said(MemoryError()).startswith("not enough memory")
    assert said(KeyError(str(tmp_path))) == "an error of ganchain's own: KeyError"
    assert not caplog.records
    assert said(GanchainError(f"{job.folder} is gone")) == "failed; the server's log says why"
    assert str(job.folder) in caplog.text


def test_a_second_job_waits_its_turn_and_sees_its_place(tmp_path: Path) -> None:
    going, done = threading.Event(), list[str]()

    def run(job: Job) -> None:
        going.wait(10)
        job.tick("makeup", 1)
        done.append(job.id)

    queue = Queue(Limits(waiting=3), run)
    first, second, third = (queue.submit(lambda key: job_of(key, tmp_path)) for _ in range(3))
    with pytest.raises(Busy, match="3 jobs are waiting"):
        queue.submit(lambda key: job_of(key, tmp_path))
    until(lambda: first.state == "running", 4.0)
    assert [len(queue.ahead(job)) for job in (first, second, third)] == [0, 1, 2]
    queue.drop(second.id)
    assert second.state == "cancelled" and not second.folder.exists()
    assert len(queue.ahead(third)) == 1
    going.set()
    until(lambda: third.state == "done", 4.0)
    assert done == [first.id, third.id]
    queue.close()


def test_what_is_cancelled_or_too_long_ends_at_the_next_network(tmp_path: Path) -> None:
    reached = threading.Event()

    def run(job: Job) -> None:
        reached.set()
        while True:
            time.sleep(0.01)
            job.tick()

    queue = Queue(Limits(seconds=0.3), run)
    slow = queue.submit(lambda key: job_of(key, tmp_path))
    until(lambda: slow.state == "failed", 4.0)
    assert "took longer" in slow.error
    unwanted = queue.submit(lambda key: job_of(key, tmp_path))
    reached.clear()
    assert reached.wait(5)
    queue.drop(unwanted.id)
    until(unwanted.ended.done, 4.0)
    assert not unwanted.folder.exists()
    queue.close()


def test_limits_stand_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Limits] = []
    monkeypatch.setattr("ganchain.web.server.serve", lambda host, port, limits, **_: given.append(limits))
    assert CliRunner().invoke(main, ["serve"]).exit_code == 0
    assert given == [Limits()]


def test_time_is_kept_within_a_chain(ask: Any, server: Any, photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def over(job: Job, stage: str = "", step: int = 0) -> None:
        if stage == "makeup":
            raise Ended(f"over at {stage}")

    def slow(line: Line, step: int, share: float = 0.0) -> None:
        reach(line, step, share)
        time.sleep(0.3 * (step == 1))
        reach(line, step, share)

    reach = Line.reach
    monkeypatch.setattr(Job, "tick", over)
    monkeypatch.setattr(Line, "reach", slow)
    answer = ask.post("/run", data={"chain": "retouch"}, files={"photo": photo})
    assert answer.status_code == 422
    assert answer.json() == {"error": "over at makeup"}


# what it forgets


def test_uploads_are_private_and_deleted(photo: bytes) -> None:
    uploads = Uploads(Limits(kept=0.05, photos=2))
    if os.name == "posix":
        assert stat.S_IMODE(uploads.folder.path.stat().st_mode) == 0o700
    first = uploads.add("a.png", io.BytesIO(photo))
    uploads.add("a.png", io.BytesIO(photo))
    third = uploads.add("a.png", io.BytesIO(photo))
    assert uploads.get(first.id) is None  # for which there was room no more
    first = uploads.add("a.png", io.BytesIO(photo))
    first.jobs = third.jobs = 1  # which wait for them
    with pytest.raises(Busy, match="too many photos"):
        uploads.add("a.png", io.BytesIO(photo))
    time.sleep(0.1)
    assert uploads.get(first.id) is first  # somebody asks for it
    third.jobs = 0
    uploads.sweep()
    assert {path.name for path in uploads.folder.path.iterdir()} == {first.id, LOCK}
    uploads.close()
    assert not uploads.folder.path.exists()


def test_what_a_killed_server_left_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead, alive = tmp_path / f"{PREFIX}x", Uploads(Limits())
    dead.mkdir()
    (dead / LOCK).touch()
    Uploads(Limits()).close()
    assert not dead.exists() and alive.folder.path.exists()
    alive.close()


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("a.jpg", "a.jpg"),
        ("C:\\photos\\a.jpg", "a.jpg"),
        ("../../etc/passwd", "passwd"),
        ("..", "photo"),
        ("", "photo"),
        (".hidden.png", "hidden.png"),
        ("a\x00b\n.png", "a_b_.png"),
        ("ü" * 300 + ".jpeg", "ü" * 50 + ".jpeg"),
        ("\U0001f600" * 80 + ".png", "\U0001f600" * 25 + ".png"),
        ("a\ud800.png", "a?.png"),
    ],
)
def test_names(given: str, name: str) -> None:
    assert file_name(given) == name


@pytest.mark.parametrize("name", chains.bundled())
def test_a_tidied_chain_is_the_same_chain(name: str, tmp_path: Path) -> None:
    text = chains.find(name).read_text()
    one, other = (chains.parse(each, "c.yaml", tmp_path) for each in (text, tidy.tidied(text)))
    assert [(spec.name, spec.options) for spec in one.stages] == [(spec.name, spec.options) for spec in other.stages]
    assert (one.faces, one.output) == (other.faces, other.output)
    with pytest.raises(ChainError):
        tidy.tidied("[")


@pytest.mark.parametrize("text", ["stages: 3", "stages: [3, {makeup: 4}]\noutput: x", "{}", "faces: {a: b}"])
def test_a_chain_that_is_wrong_is_tidied_as_far_as_it_goes(ask: Any, text: str) -> None:
    answer = ask.post("/chain", json={"chain": text})
    assert answer.status_code == 200, answer.text
    assert answer.json()["yaml"]


def test_an_address_that_is_taken_is_said(server: Any) -> None:
    with pytest.raises(GanchainError, match="--port"):
        listen("127.0.0.1", int(server.address.rpartition(":")[2]))


def test_pipelines_stay_loaded(ask: Any, photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    made, make = list[str](), Pipeline.from_chain

    def counted(described: chains.Chain, **options: Any) -> Pipeline:
        made.append(described.source)
        return make(described, **options)

    monkeypatch.setattr(Pipeline, "from_chain", counted)
    for look in ("coral", "coral", "smoky", "coral"):
        answer = ask.post("/run", data={"chain": ROSE.replace("rose", look)}, files={"photo": photo})
        assert answer.status_code == 200, answer.text
    assert len(made) == 2
