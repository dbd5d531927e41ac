"""The web page's server among strangers: crashes, races, bombs, slow visitors, full disks, signals."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from ganchain import Pipeline, chains, files
from ganchain.batch.pool import Pool, _WorkerHandle
from ganchain.chains.document import Document, reason_of
from ganchain.errors import ChainError, GanchainError, PhotoError
from ganchain.stages.attributes import Attributes
from ganchain.stages.makeup import Makeup
from ganchain.stages.upscale import Upscale
from ganchain.tensors import Pixels
from tests.pools import Warm
from tests.waiting import until

httpx = pytest.importorskip("httpx", reason="the extra web is not installed")
uvicorn = pytest.importorskip("uvicorn", reason="the extra web is not installed")

from starlette.exceptions import HTTPException  # noqa: E402

from ganchain.web import answers, connection, folder, guard, reader, reference, submitted, tidy, uploads, warm  # noqa: E402
from ganchain.web.app import app  # noqa: E402
from ganchain.web.jobs import Job  # noqa: E402
from ganchain.web.limits import Limits  # noqa: E402
from ganchain.web.reader import Full  # noqa: E402
from ganchain.web.redraw import Redrawer  # noqa: E402
from ganchain.web.runner import Runner  # noqa: E402
from ganchain.web.server import Server, listen  # noqa: E402
from ganchain.web.service import Order, Service  # noqa: E402
from ganchain.web.uploads import Busy, Upload, Uploads  # noqa: E402
from ganchain.web.worker import Crashed, Ended, Ending, Line, Worker  # noqa: E402
from tests.soak.odd import OddOnALine  # noqa: E402

ROSE = "stages:\n  - makeup: {look: rose}\n"


@pytest.fixture
def small() -> bytes:
    """A photo without a face."""
    file = io.BytesIO()
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def head(small_head: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(small_head).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def in_threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Workers are threads; the folder of the server lies in ``tmp_path``."""
    monkeypatch.setattr("ganchain.web.worker.Pool", Warm)
    monkeypatch.setattr("ganchain.web.editor.warm_runner", Runner)
    monkeypatch.setattr("ganchain.web.drafts.warm_redrawer", Redrawer)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


class Running:
    """The server in a thread of the test."""

    def __init__(self, limits: Limits) -> None:
        self.guard = app(limits)
        self.service: Service = self.guard.app.state.service
        self.server = Server(self.guard, self.service, lambda: None)
        self.socket = listen("127.0.0.1", 0)
        self.address = self.socket.getsockname()
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]})

    def __enter__(self) -> Running:
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(timeout=20)
        assert not self.thread.is_alive()
        assert not self.service.uploads.folder.path.exists()

    def client(self) -> Any:
        return httpx.Client(base_url=f"http://127.0.0.1:{self.address[1]}", timeout=60)


@pytest.fixture
def running(in_threads: None) -> Iterator[Running]:
    with Running(Limits(upload=3_000_000)) as server:
        yield server


@pytest.fixture
def ask(running: Running) -> Iterator[Any]:
    with running.client() as client:
        yield client


# bombs


BOMBS = [
    "[" * 16_000,
    "stages: " + "{a: " * 4000,
    "stages: [" + "[a, " * 4000,
    "stages: " + "[[]," * 4000,
    "- " * 8000,
    "? " * 8000,
    "".join(f"{' ' * depth}a:\n" for depth in range(170)),
    "".join(f"{'  ' * depth}- a:\n" for depth in range(80)),
    "stages: [makeup: {look: [[[[[[[[a]]]]]]]]}]",
]


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_is_nested_deeply_is_refused_before_it_is_parsed(bomb: str) -> None:
    with pytest.raises(ChainError, match="more than 10 lists and mappings in each other"):
        tidy.tidied(bomb)
    with pytest.raises(ChainError, match="more than 10 lists and mappings in each other"):
        chains.parse(bomb, "chain.yaml", Path())


def test_a_file_that_is_nested_deeply_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "deep.yaml"
    file.write_text("stages:\n  - makeup: " + "[" * 100_000)
    with pytest.raises(ChainError, match=r"deep\.yaml:2: not valid YAML: more than 10 lists"):
        chains.load(file)
    file.write_text(ROSE + "# [[[[[[[[[[[[[[[\n" + "".join(f"# {{{{{{{{{n}\n" for n in range(50)))
    assert len(chains.load(file).stages) == 1  # a comment nests nothing
    file.write_text("stages:\n  - makeup: {look: rose}\n" + "#" * 300_000)
    with pytest.raises(ChainError, match="more than 250000 characters"):
        chains.load(file)


def test_as_deep_as_a_chain_needs_is_read() -> None:
    deepest = "a: " + "[" * 9 + "]" * 9
    Document.parse(deepest, "x", "")
    with pytest.raises(ChainError, match="more than 10"):
        Document.parse("a: " + "[" * 10 + "]" * 10, "x", "")


@pytest.mark.parametrize(
    "bomb",
    [
        "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 8))
        + "faces: *a7\nstages: [makeup]",
        "a0: &a0 [x]\n"
        + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 300))
        + "faces: *a299\nstages: [makeup]",
    ],
)
def test_bombs_of_aliases_are_refused(bomb: str) -> None:
    with pytest.raises(ChainError, match=r"not valid YAML: (more than 10|its aliases make more than 100000)"):
        chains.parse(bomb, "chain.yaml", Path())


def test_an_alias_that_is_no_bomb_is_read() -> None:
    chain = chains.parse("stages:\n  - makeup: &a {look: rose}\n  - makeup: *a\n", "chain.yaml", Path())
    assert [spec.options["look"] for spec in chain.stages] == ["rose", "rose"]


@pytest.mark.parametrize(
    "text",
    [
        f"stages: [makeup: {{strength: 0x{'f' * 9000}}}]",
        f"faces: {'9' * 4000}\nstages: [makeup]",
        f"stages: [makeup: {{look: {'x' * 15_000}}}]",
        f"faces: [{'a, ' * 1200}]\nstages: [makeup]",
        "a:\n" * 3000,
        "stages: [makeup: {look: !!timestamp x}]",
        "stages: [makeup: {strength: !!int x}]",
    ],
)
def test_odd_chains_get_short_answers(text: str, tmp_path: Path) -> None:
    with pytest.raises(ChainError) as error:
        submitted.parse(text, "chain", tmp_path)
    assert len(str(error.value)) < 5000
    with pytest.raises(ChainError) as error:
        chains.parse(text, "chain", tmp_path)
    assert len(str(error.value)) < 6000


def test_a_long_value_is_cut_in_a_message() -> None:
    reason = reason_of({"input": "x" * 10_000, "type": "int_type", "loc": ("a",), "msg": "Input is wrong"})
    assert len(reason) < 300


def test_deep_and_large_json_is_refused(ask: Any) -> None:
    header = {"Content-Type": "application/json"}
    assert ask.post("/chain", content="[" * 900_000, headers=header).status_code in (400, 422)
    assert ask.post("/jobs", content='{"a":' * 100_000, headers=header).status_code in (400, 422)
    answer = ask.post("/chain", content=json.dumps({"chain": "x" * 1_500_000}), headers=header)
    assert answer.status_code == 413 and "1 MB" in answer.json()["error"]
    assert ask.post("/chain", json={"chain": "[" * 16_000}).status_code == 422
    assert ask.post("/chain", json={"chain": ROSE}).status_code == 200


# the worker


@pytest.fixture
def odd() -> Iterator[Worker]:
    worker = Worker(OddOnALine)
    yield worker
    worker.close()


def no_limit(step: int) -> None: ...


@pytest.mark.slow
def test_what_kills_or_hangs_the_worker_costs_only_itself(odd: Worker, caplog: pytest.LogCaptureFixture) -> None:
    first = odd.call("a", no_limit)
    with pytest.raises(Crashed, match="killed the worker"):
        odd.call("die", no_limit)
    assert "killed the worker" in caplog.text
    with pytest.raises(Crashed, match="a bug"):
        odd.call("raise", no_limit)
    assert "Traceback" in caplog.text
    second = odd.call("a", no_limit)
    assert second != first  # another process

    late = time.monotonic() + 0.3
    steps: list[int] = []

    def limited(step: int) -> None:
        steps.append(step)
        if time.monotonic() > late:
            raise Ended("took too long")

    with pytest.raises(Ended, match="took too long"):
        odd.call("obey", limited, first=1)
    assert set(steps) <= {1, 3} and 3 in steps
    assert odd.call("a", no_limit) == second  # it ended by itself, the process lives
    with pytest.raises(Ended, match="took too long"):
        odd.call("hang", limited)
    psutil.Process(int(odd.call("a", no_limit).split()[1])).kill()  # while it is idle
    until(lambda: odd._pool is None or not odd._pool._workers[0].process.is_alive())
    assert odd.call("a", no_limit)
    threading.Timer(0.3, odd.end).start()
    with pytest.raises(Ending):
        odd.call("hang", no_limit)
    with pytest.raises(Ending):
        odd.call("a", no_limit)


@pytest.mark.slow
def test_the_process_of_jobs_is_warmed_up_before_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = list[str]()
    for cls in (Makeup, Attributes, Upscale):
        forward = cls.forward
        monkeypatch.setattr(
            cls, "forward", lambda self, *a, f=forward, **k: (ran.append(self.name), f(self, *a, **k))[1]
        )
    line = Line()
    assert isinstance(warm.warm_runner(line, "cpu", "openvino"), Runner)
    assert set(ran) == {"makeup", "attributes", "upscale"}


def test_a_job_that_waits_is_not_kept_by_warming_up(monkeypatch: pytest.MonkeyPatch) -> None:
    line, ran = Line(), list[str]()
    monkeypatch.setattr(Makeup, "forward", lambda *_, **__: line.stop())
    monkeypatch.setattr(Attributes, "forward", lambda *_, **__: ran.append("attributes"))
    assert isinstance(warm.warm_runner(line, "cpu", "torch"), Runner)
    monkeypatch.setattr(Pipeline, "from_chain", lambda *_, **__: ran.append("loaded"))
    assert isinstance(warm.warm_runner(line, "cpu", "torch"), Runner)  # which was asked to stop before
    assert ran == []

    class Starting:
        """A pool whose process becomes ready when it is asked to stop."""

        room = property(lambda _: line._stop.value)

        def wait(self, _: float) -> list[Any]:
            return []

    worker = Worker(Runner)
    worker._line, worker._pool = line, Starting()  # type: ignore[assignment]
    line.begin(0)
    worker.prepare()
    worker._pool = None


def test_what_cannot_be_warmed_up_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "CHAIN", "nowhere")
    assert isinstance(warm.warm_runner(Line(), "cpu", "torch"), Runner)


@pytest.mark.slow
def test_a_worker_that_cannot_start_is_tried_again() -> None:
    worker = Worker(OddOnALine, ("refuses",))
    for _ in range(2):
        with pytest.raises(ChainError, match="refused"):
            worker.call("a", no_limit)
    worker.close()


@pytest.mark.slow
def test_a_worker_starts_where_the_current_folder_is_gone(
    odd: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    assert odd.call("a", no_limit)


def test_a_process_that_the_system_does_not_start_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last worker has died, and then there is no memory for another one."""

    def refused(_: Pool) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    pool = Pool(1, OddOnALine, (), 60)
    process = SimpleNamespace(exitcode=-9, join=lambda: None)
    pipes = (SimpleNamespace(close=lambda: None),) * 2
    pool._workers = [dead := _WorkerHandle(process, *pipes, ready=True)]  # type: ignore[arg-type]
    monkeypatch.setattr(Pool, "_start_worker", refused)
    with pytest.raises(GanchainError, match=r"no worker process could be started: .*allocate memory"):
        pool._reap(dead)


def test_a_photo_that_takes_too_long_or_kills_is_refused(
    in_threads: None, small: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = Uploads(Limits())

    def crash(*_: object) -> None:
        raise Crashed("killed the worker (signal 11, Segmentation fault)")

    def slow(_: object, tick: Any) -> None:
        monkeypatch.setattr(uploads.time, "monotonic", lambda: 1e9)
        tick(0)

    monkeypatch.setattr(photos._reader, "call", crash)
    with pytest.raises(PhotoError, match=r"a\.png: killed the worker"):
        photos.add("a.png", io.BytesIO(small))
    monkeypatch.setattr(photos._reader, "call", slow)
    with monkeypatch.context(), pytest.raises(PhotoError, match=r"a\.png: took longer than 60 s"):
        photos.add("a.png", io.BytesIO(small))
    assert [path.name for path in photos.folder.path.iterdir()] == [folder.LOCK]
    photos.close()


def test_a_crash_is_said_to_its_visitor_only(ask: Any, head: bytes, running: Running) -> None:
    run = running.service._editor.call

    def crash(task: Any, *rest: Any) -> Any:
        if task.photo.name == "bad.png":
            raise Crashed("killed the worker (signal 11, Segmentation fault)")
        return run(task, *rest)

    running.service._editor.call = crash  # type: ignore[method-assign]
    bad = ask.post("/run", data={"chain": ROSE}, files={"photo": ("bad.png", head)})
    assert bad.status_code == 422
    assert bad.json() == {"error": "bad.png: killed the worker (signal 11, Segmentation fault)"}
    assert ask.post("/run", data={"chain": ROSE}, files={"photo": ("good.png", head)}).status_code == 200


# races


@pytest.mark.slow
def test_uploads_and_jobs_come_and_go_at_once(
    in_threads: None, small: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(Limits(waiting=100, disk=20_000, photos=6), "cpu", "torch")
    answered: list[str] = []

    def read(sent: reader.Sent, tick: Any) -> reader.Seen:
        sent.preview.write_bytes(bytes(500))
        return reader.Seen((60, 40), [])

    def run(job: Job) -> None:
        for number in range(5):
            (job.folder / f"{number}.png").write_bytes(bytes(300))
        job.pictures = [job.folder / "0.png"]

    monkeypatch.setattr(service.uploads._reader, "call", read)
    monkeypatch.setattr(service.queue, "_run", run)

    def visit(number: int) -> None:
        for _ in range(6):
            try:
                upload = service._add("a.png", io.BytesIO(small))
                job = service.submit(Order(ROSE, "rose", upload, {"b.png": upload}))
                if number % 2:
                    service.uploads.drop(upload.id)
                service.describe(job)
                if number % 3:
                    service.queue.drop(job.id)
                else:
                    job.ended.result(timeout=20)
                    response: Any = answers.screen(job.folder / "0.png", "image/png")
                    response._file.close()
                service.uploads.drop(upload.id)
                answered.append("ok")
            except (Busy, GanchainError) as error:
                answered.append(str(error))
            except Exception as error:
                status = getattr(error, "status_code", None)
                answered.append(f"{status}" if status == 404 else repr(error))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(visit, range(8)))
    service.close()
    expected = ("ok", "404", "too many photos", "there is no room")
    assert len(answered) == 48
    assert [answer for answer in answered if not answer.startswith(expected)] == []


def test_a_picture_that_is_deleted_while_it_is_sent_arrives(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(bytes(200_000))
    response = answers.screen(path, "image/png")
    path.unlink()
    received: list[Any] = []

    async def send(message: Any) -> None:
        received.append(message)

    async def receive() -> Any:
        await anyio.sleep(60)

    import anyio

    anyio.run(response, {"type": "http", "method": "GET", "headers": []}, receive, send)
    assert received[0]["status"] == 200
    assert sum(len(message.get("body", b"")) for message in received) == 200_000
    with pytest.raises(Exception, match="404"):
        answers.screen(path, "image/png")


# the folder and the disk


def test_a_folder_that_was_cleaned_away_is_made_anew(
    ask: Any, running: Running, small: bytes, head: bytes, tmp_path: Path
) -> None:
    sent = ask.post("/photos", files={"photo": ("a.png", small)}).json()
    former = running.service.uploads.folder.path
    shutil.rmtree(former)
    assert ask.get(f"/photos/{sent['id']}/preview").status_code == 404
    assert ask.post("/jobs", json={"chain": ROSE, "photo": sent["id"]}).status_code == 404
    answer = ask.post("/run", data={"chain": ROSE}, files={"photo": ("a.png", head)})
    assert answer.status_code == 200
    assert running.service.uploads.folder.path != former
    (running.service.uploads.folder.path / folder.LOCK).unlink()  # a cleaner that takes old files only
    running.service.uploads.sweep()
    Uploads(Limits()).close()  # another server, which deletes what dead ones left
    assert ask.post("/photos", files={"photo": ("a.png", small)}).status_code == 201


def test_a_server_whose_temporary_folder_vanishes_goes_on(
    ask: Any, running: Running, small: bytes, head: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "tmp"
    monkeypatch.setattr("tempfile.tempdir", str(root))
    asked = {"data": {"chain": ROSE}, "files": {"photo": ("a.png", head)}}
    for large in (False, True):
        root.mkdir(exist_ok=True)
        running.service.uploads.folder.keep()
        done = ask.get(ask.post("/run", **asked).headers["content-location"]).json()
        photo = ask.post("/photos", files={"photo": ("a.png", small)}).json()["id"]
        shutil.rmtree(root)
        shutil.rmtree(running.service.uploads.folder.path, ignore_errors=True)
        for address in (f"/photos/{photo}/preview", done["pictures"][0], done["previews"][0]["address"]):
            answer = ask.get(address)
            assert answer.status_code == 404 and "no such" in answer.json()["error"], address
        answer = ask.post("/jobs", json={"chain": ROSE, "photo": photo})
        assert answer.status_code == 404 and "send it again" in answer.json()["error"]
        shutil.rmtree(root, ignore_errors=True)
        if large:  # more than is kept in memory while it arrives
            assert ask.post("/photos", files={"photo": ("a.png", bytes(2_000_000))}).status_code == 422
            shutil.rmtree(root)
        assert ask.post("/run", **asked).status_code == 200
        assert root.stat().st_mode & 0o77 == 0


def test_what_vanishes_while_it_is_read_or_edited_is_sent_again(
    ask: Any, running: Running, head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"data": {"chain": ROSE}, "files": {"photo": ("a.png", head)}}
    folder_ = running.service.uploads.folder

    def vanish(service: Any, status: int) -> None:
        call = service.call

        def vanishing(*arguments: Any) -> Any:
            shutil.rmtree(folder_.path)
            return call(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(service, "call", vanishing)
            answer = ask.post("/run", **asked)
        assert answer.status_code == status and "cleaned away; send it again" in answer.json()["error"]
        assert ask.post("/run", **asked).status_code == 200

    vanish(running.service.uploads._reader, 503)
    vanish(running.service._editor, 404)

    def lost(*_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file", str(folder_.path.parent / "spooled"))

    with monkeypatch.context() as patch:
        patch.setattr("starlette.formparsers.MultiPartParser.parse", lost)
        assert ask.post("/run", **asked).status_code == 503


def test_a_folder_that_cannot_be_made_is_said(
    ask: Any, running: Running, small: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    shutil.rmtree(running.service.uploads.folder.path)
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path / "file" / "tmp"))
        answer = ask.post("/photos", files={"photo": ("a.png", small)})
        assert answer.status_code == 507 and "no folder for photos" in answer.json()["error"]
        assert ask.get("/health").status_code == 200
    assert ask.post("/photos", files={"photo": ("a.png", small)}).status_code == 201


def test_only_the_folders_of_dead_servers_are_deleted(in_threads: None, tmp_path: Path) -> None:
    alive = Uploads(Limits())
    young, old, link, target = (tmp_path / f"{name}-x" for name in ("ganchain-web", "old", "link", "target"))
    young.mkdir()
    target.mkdir()
    old = old.rename(tmp_path / "ganchain-web-old") if old.exists() else tmp_path / "ganchain-web-old"
    old.mkdir()
    os.utime(old, (1, 1))
    link = tmp_path / "ganchain-web-link"
    link.symlink_to(target)
    Uploads(Limits()).close()
    assert alive.folder.path.exists() and young.exists() and target.exists()
    assert not old.exists()
    assert list(target.iterdir()) == []
    alive.close()
    assert not alive.folder.path.exists()


class FullDisk:
    """A disk on which files lie until ``room`` bytes are used, counted over the server's folder."""

    def __init__(self, root: Path, room: int) -> None:
        self.root, self.room = root, room

    def check(self) -> None:
        if sum(path.stat().st_size for path in self.root.rglob("*.p*") if path.is_file()) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.slow
def test_a_full_disk_costs_old_results_and_is_said(
    ask: Any, running: Running, head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"data": {"chain": ROSE}, "files": {"photo": ("a.png", head)}}
    first = ask.post("/run", **asked).headers["content-location"]
    second = ask.post("/run", **asked).headers["content-location"]
    root = running.service.uploads.folder.path
    used = sum(path.stat().st_size for path in root.rglob("*.p*") if path.is_file())
    disk = FullDisk(root, used + len(head) // 2)
    copy, save = shutil.copyfileobj, Image.Image.save

    def copied(*arguments: Any) -> None:
        copy(*arguments)
        disk.check()

    def saved(image: Image.Image, *arguments: Any, **options: Any) -> None:
        save(image, *arguments, **options)
        disk.check()

    monkeypatch.setattr(uploads.shutil, "copyfileobj", copied)
    monkeypatch.setattr(Image.Image, "save", saved)
    third = ask.post("/run", **asked)
    assert third.status_code == 200, third.text
    assert [ask.get(result).status_code for result in (first, second)] == [404, 404]
    disk.room = 1000
    answer = ask.post("/run", **asked)
    assert answer.status_code == 507
    assert "disk of this server is full" in answer.json()["error"]
    disk.room = 10**9
    assert ask.post("/run", **asked).status_code == 200


def test_a_disk_that_fills_while_a_request_arrives_is_said(
    ask: Any, running: Running, small: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("starlette.formparsers.MultiPartParser.parse", no_room)
        assert ask.post("/photos", files={"photo": ("a.png", small)}).status_code == 507
    usage = SimpleNamespace(free=2 * len(small))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage)
        answer = ask.post("/photos", files={"photo": ("a.png", small)})
        assert answer.status_code == 507 and "full" in answer.json()["error"]
    assert ask.post("/photos", files={"photo": ("a.png", small)}).status_code == 201


def test_an_error_of_the_disk_that_is_another_is_no_full_disk(tmp_path: Path) -> None:
    error = PhotoError("cannot be written")
    error.__cause__ = OSError(errno.ENOSPC, "")
    assert files.is_full(error)
    assert not files.is_full(PhotoError("cannot be written"))
    with pytest.raises(PermissionError), reader.full_disk():
        raise PermissionError
    with pytest.raises(Full), reader.full_disk():
        raise OSError(errno.EDQUOT, "")


# slow visitors


BODY = (
    b"POST /photos HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n%s\r\n\r\n"
    b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a.png"\r\n\r\n'
)
BEGINNING = len(BODY.partition(b"\r\n\r\n")[2])


@contextmanager
def lines(running: Running, number: int, text: bytes) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(running.address, timeout=20)) for _ in range(number)]
        for line in opened:
            line.sendall(text)
        yield opened


@pytest.mark.slow
def test_half_a_header_is_not_waited_for_and_makes_room(
    in_threads: None, monkeypatch: pytest.MonkeyPatch, small: bytes
) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 1.0)
    monkeypatch.setattr(connection, "MOST", 10)
    half = b"GET / HTTP/1.1\r\nHost: loc"
    with Running(Limits()) as running, running.client() as ask, lines(running, 15, half) as opened:
        assert ask.get("/chains").status_code == 200  # at once: the oldest of them make room
        for _ in range(5):  # a letter now and then is no header either
            time.sleep(0.1)
            opened[-1].sendall(b"a")
        assert [line.recv(99) for line in opened[-5:]] == [b""] * 5
        until(lambda: len(running.server.server_state.connections) <= 1)


@pytest.mark.slow
def test_who_does_not_take_the_answer_is_not_waited_for(in_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 0.2)
    monkeypatch.setattr(reference, "html", lambda _: "x" * 30_000_000)
    with Running(Limits()) as running, lines(running, 1, b"GET /docs HTTP/1.1\r\nHost: localhost\r\n\r\n") as [line]:
        assert line.recv(12) == b"HTTP/1.1 200"
        until(lambda: not running.server.server_state.connections)


@pytest.mark.slow
def test_who_takes_the_answer_slowly_gets_all_of_it(in_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 0.3)
    monkeypatch.setattr(reference, "html", lambda _: "x" * 12_000_000)  # more than the system holds
    received = 0
    with Running(Limits()) as running, socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 50_000)
        line.connect(running.address)
        line.sendall(b"GET /docs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        while part := line.recv(100_000):
            received += len(part)
            time.sleep(0.005)
    assert received > 12_000_000


def test_bodies_that_trickle_are_counted_and_ended(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "PATIENCE", 0.5)
    with lines(running, 1, BODY % b"Content-Length: 999") as [line]:
        until(lambda: running.service.receiving == BEGINNING)
        assert not running.service.idle
        for _ in range(3):
            time.sleep(0.1)
            line.sendall(b"y")
        assert line.recv(12) == b"HTTP/1.1 408"
    until(lambda: running.service.receiving == 0)


def test_who_began_fast_must_go_on(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "PAUSE", 0.4)
    monkeypatch.setattr(guard, "LINGER", 0.1)
    with lines(running, 1, BODY % b"Content-Length: 2900000" + bytes(1_000_000)) as [line]:  # buys 100 s at RATE
        line.settimeout(20)
        assert line.recv(12) == b"HTTP/1.1 408"
        while line.recv(999):  # until it is closed
            pass


@pytest.mark.parametrize(
    ("parts", "seconds"),
    [
        ([(1, 20_000)] * 1000, None),  # 20 MB at 20 kB a second
        ([*[(1, 20_000)] * 100, (55, 20_000)] * 10, None),  # with pauses
        ([(10, 1)] * 100, 40),  # a byte in 10 s
        ([(0, 5_000_000), *[(10, 1)] * 100], 70),  # after what was sent at once
        ([(0, 5_000_000), *[(10, 50_000)] * 100], 120),  # at half of the speed
    ],
)
def test_how_slowly_a_body_may_arrive(
    parts: list[tuple[int, int]], seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, left = [1000.0], list(parts)
    monkeypatch.setattr(guard, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    async def receive() -> Any:
        wait, size = left.pop(0)
        clock[0] += wait
        return {"type": "http.request", "body": bytes(size), "more_body": bool(left)}

    async def check_room() -> None: ...

    async def receive_all() -> None:
        service = SimpleNamespace(limits=Limits(), receiving=0)
        guarded: Any = SimpleNamespace(ending=False, service=service, check_room=check_room)
        headers = {b"content-type": "multipart/form-data", b"transfer-encoding": "chunked"}
        exchange = guard._Exchange(guarded, headers, receive, receive)  # type: ignore[arg-type]
        while not exchange.complete:
            await exchange.receive()

    if seconds is None:
        asyncio.run(receive_all())
    else:
        with pytest.raises(HTTPException, match="408"):
            asyncio.run(receive_all())
        assert clock[0] - 1000 == seconds


def test_bodies_that_arrive_lie_within_the_limit_of_the_disk(in_threads: None) -> None:
    with Running(Limits(disk=4_000_000, upload=3_000_000)) as running, running.client() as ask:
        with lines(running, 1, BODY % b"Content-Length: 2900000" + bytes(2_000_000)):
            until(lambda: running.service.receiving == BEGINNING + 2_000_000)
            answer = ask.post("/photos", files={"photo": ("a.png", bytes(2_100_000))})
            assert answer.status_code == 503 and "no room" in answer.json()["error"]
        until(lambda: running.service.receiving == 0)


@pytest.mark.parametrize("length", [b"Content-Length: 9000000", b"Transfer-Encoding: chunked"])
def test_who_sends_too_much_reads_why(running: Running, length: bytes) -> None:
    head, body = (BODY % length).split(b"\r\n\r\n", 1)
    parts = [body, *[bytes(100_000)] * 90]
    if b"chunked" in length:
        parts = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts]
    with lines(running, 1, head + b"\r\n\r\n") as [line]:
        for part in parts:
            line.sendall(part)
        assert line.recv(12) == b"HTTP/1.1 413"


# the end


@pytest.mark.slow
def test_all_who_wait_are_told_that_the_server_ends(
    running: Running, head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = threading.Event()

    def hang(task: Any, tick: Any, first: int = 0) -> Any:
        reached.set()
        while not running.service._editor._closed.is_set():
            time.sleep(0.01)
            tick(0)
        raise Ending

    monkeypatch.setattr(running.service._editor, "call", hang)
    monkeypatch.setattr(running.server, "_hurry", threading.Timer(0, lambda: None))  # it would end the tests

    def asked(_: int) -> tuple[int, Any]:
        with running.client() as ask:
            answer = ask.post("/run", data={"chain": ROSE}, files={"photo": ("a.png", head)})
            return answer.status_code, answer.json()

    with ThreadPoolExecutor(3) as threads:
        answers_ = threads.map(asked, range(3))
        assert reached.wait(20)
        until(lambda: len(running.service.queue.ahead()) == 3)
        former = running.service.receiving
        with lines(running, 1, BODY % b"Content-Length: 999") as [line]:
            until(lambda: running.service.receiving == former + BEGINNING)
            running.server.handle_exit(signal.SIGTERM, None)
            assert list(answers_) == [(503, {"error": "the server is ending"})] * 3
            assert line.recv(12) == b"HTTP/1.1 503"
    running.thread.join(20)
    assert running.server.status == 128 + signal.SIGTERM


def test_nobody_begins_when_the_server_ends(in_threads: None, small: bytes, tmp_path: Path) -> None:
    service = Service(Limits(), "cpu", "torch")
    upload = Upload("key", "a.png", service.uploads.folder.make("key") / "a.png", (60, 40), [])
    upload.path.write_bytes(small)
    service.end()
    with pytest.raises(Ending):
        service.submit(Order(ROSE, "rose", upload, {}))
    with pytest.raises(Ending):
        service._add("a.png", io.BytesIO(small))
    with pytest.raises(Ending):
        asyncio.run(service.parsing(tidy.tidied, ROSE))
    service.close()


def test_chains_are_parsed_one_at_a_time(ask: Any, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, most = threading.Semaphore(1), list[bool]()

    def slow(text: str) -> dict[str, Any]:
        most.append(at_once.acquire(blocking=False))
        time.sleep(0.02)
        at_once.release()
        return {"yaml": text, "chain": {}, "scale": 1}

    monkeypatch.setattr(tidy, "described", slow)
    with ThreadPoolExecutor(6) as threads:
        statuses = list(threads.map(lambda _: ask.post("/chain", json={"chain": ROSE}).status_code, range(6)))
    assert statuses == [200] * 6 and most == [True] * 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "busy", "status"),
    [(signal.SIGINT, True, 130), (signal.SIGHUP, False, 0)],
    ids=["twice while it works", "idle"],
)
def test_signals_end_the_server_quietly(
    number: signal.Signals, busy: bool, status: int, tmp_path: Path, head: bytes
) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", "from ganchain.cli.serve import serve; serve()", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdout is not None and server.stderr is not None
        said = re.search(r"http://\S+", server.stdout.readline())
        assert said is not None
        answers_: list[Any] = []
        with httpx.Client(base_url=said[0], timeout=60) as ask:  # it is answered from the first moment
            assert ask.get("/health").status_code == 200
            children = psutil.Process(server.pid).children()
            visitor = threading.Thread(target=int)
            (folder_of_files,) = tmp_path.glob("ganchain-web-*")
            (folder_of_files / "photo").touch()
            if busy:
                assert ask.post("/photos", files={"photo": ("a.png", head)}).status_code == 201
                asked = {"data": {"chain": "portrait"}, "files": {"photo": ("a.png", head)}}
                visitor = threading.Thread(target=lambda: answers_.append(httpx.post(f"{said[0]}run", **asked)))
                visitor.start()
                until(lambda: len(list(tmp_path.rglob("a.png"))) > 1)
            for _ in range(1 + busy):
                server.send_signal(number)
                time.sleep(0.05)
            assert server.wait(timeout=20) == status
            if busy:
                visitor.join(20)
                assert [(answer.status_code, answer.json()) for answer in answers_] == [
                    (503, {"error": "the server is ending"})
                ]
        assert (server.stdout.read(), server.stderr.read()) == ("", "")
    assert list(tmp_path.iterdir()) == []
    assert psutil.wait_procs(children, timeout=10)[1] == []
