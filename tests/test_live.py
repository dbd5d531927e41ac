"""Live pages: only the newest frame, sizes that hold a rate, what is refused, and a real server."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from PIL import Image
from torch import Tensor

from ganchain import Pipeline
from ganchain.cli.main import main
from ganchain.errors import ChainError, GanchainError, PhotoError, VideoError
from ganchain.photos.marks import Provenance
from ganchain.stage import Stage
from ganchain.tensors import Pixels
from ganchain.testing import FakeDetector
from ganchain.video import placing
from ganchain.video.live import Chooser, Live
from ganchain.video.smoothing import FADE, Seen
from ganchain.video.tracking import Sight
from tests.clips import moved
from tests.waiting import until

httpx = pytest.importorskip("httpx", reason="the extra web is not installed")
client = pytest.importorskip("websockets.sync.client", reason="the extra web is not installed")
exceptions = pytest.importorskip("websockets.exceptions", reason="the extra web is not installed")

from ganchain.web import connection, live, live_frames, live_seats, live_worker  # noqa: E402
from ganchain.web.app import app  # noqa: E402
from ganchain.web.guard import Guard  # noqa: E402
from ganchain.web.limits import Limits  # noqa: E402
from ganchain.web.live_camera import Camera  # noqa: E402
from ganchain.web.live_frames import Pace  # noqa: E402
from ganchain.web.live_worker import Answer, LiveWork, Opening, Shown, Snapped  # noqa: E402
from ganchain.web.server import Server, listen  # noqa: E402
from ganchain.web.uploads import Busy  # noqa: E402
from ganchain.web.worker import Crashed  # noqa: E402


def picture(pixels: Pixels, format_: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format_, **options)
    return out.getvalue()


@pytest.fixture(scope="module")
def grey() -> bytes:
    return picture(np.full((36, 64, 3), 90, np.uint8))


# frames


def test_frames_are_checked_before_they_are_decoded(grey: bytes) -> None:
    pixels = np.full((20, 30, 3), (200, 100, 50), np.uint8)
    for format_ in ("JPEG", "WEBP"):
        assert np.abs(live_frames.decoded(picture(pixels, format_)).astype(int) - pixels).max() <= 6
    assert live_frames.decoded(picture(pixels[..., 0])).shape == (20, 30, 3)
    wide = np.zeros((2, live_frames.SIDE + 1, 3), np.uint8)
    progressive = picture(pixels, progressive=True)
    wrong = {
        "more than 1 MB": grey + bytes(live_frames.BYTES),
        "a JPEG or a WebP": picture(pixels, "PNG"),
        "must be a JPEG": b"",
        "a side of a frame may have 1280": picture(wide),
        "may have 1280": picture(wide.transpose(1, 0, 2), "WEBP"),
        "is damaged": grey[:200],
        "damaged": b"RIFF" + grey,
        "scans": progressive[:-2] + progressive[progressive.rindex(b"\xff\xda") : -2] * 40 + progressive[-2:],
    }
    for reason, content in wrong.items():
        with pytest.raises(PhotoError, match=reason):
            live_frames.decoded(content)
    huge = bytearray(grey)
    place = huge.index(b"\xff\xc0") + 5
    for claim, reason in ((5000, "5000 x 5000 px: a side of a frame"), (65_535, "is damaged")):
        huge[place : place + 4] = claim.to_bytes(2) * 2
        with pytest.raises(PhotoError, match=reason):
            live_frames.decoded(bytes(huge))


def run_pace(pace: Pace, cost: Any, frames: int) -> list[int]:
    sides = []
    for _ in range(frames):
        sides.append(pace.side)
        pace.add(cost(pace.side), pace.side)
    return sides


def test_the_working_size_holds_the_rate() -> None:
    pace = Pace(10, 640)
    assert set(run_pace(pace, lambda side: 0.05, 100)) == {640} and not pace.slow  # never larger than asked for
    sides = run_pace(pace, lambda side: 0.03 + 0.12 * (side / 640) ** 2, 200)
    assert set(sides[100:]) == {480} and 0.03 + 0.12 * (480 / 640) ** 2 < 0.1 < 0.03 + 0.12 * (560 / 640) ** 2
    assert run_pace(pace, lambda side: 0.02 * side / 640, 200)[-1] == 640  # it grows again
    assert run_pace(pace, lambda side: 3 * (side / 640), 40)[-1] == 240 and pace.slow == pytest.approx(1.125)
    run_pace(pace, lambda side: 0.05, 20)
    assert not pace.slow


def test_a_size_that_does_not_help_is_left_again() -> None:
    pace = Pace(10, 640)
    sides = run_pace(pace, lambda side: 0.14 + 0.02 * (side / 640) ** 2, 200)
    assert sides[-1] == 640 and pace.slow == pytest.approx(0.16)
    assert len([side for side in sides if side < 640]) < 15  # one try
    assert any(side < 640 for side in run_pace(pace, lambda side: 0.3 * (side / 640) ** 2, 200))  # and a later one
    assert pace.side == 320 and not pace.slow


def test_sizes_of_small_cameras() -> None:
    pace = Pace(10, 500)
    assert pace.side == 500
    assert run_pace(pace, lambda side: 0.101, 12)[-1] == 480
    pace = Pace(10, 640)
    for _ in range(9):
        pace.add(0.11, 352)
    assert pace.side == 320
    tiny = Pace(10, 640)
    for _ in range(11):
        tiny.add(0.2, 160)
    assert tiny.side == 640 and tiny.slow == 0.2


# the newest only


def shown(number: int) -> Shown:
    return Shown(number, b"", 0.0)


def test_old_frames_give_way_to_the_newest() -> None:
    async def tried() -> None:
        newest = live.Newest()
        for number in range(5):
            newest.put(shown(number))
        newest.put(Snapped())
        assert newest.dropped == 4
        assert isinstance(await newest.take(), Snapped)
        assert await newest.take() == shown(4)
        waiting = asyncio.create_task(newest.take())
        await asyncio.sleep(0)
        assert not waiting.done()
        newest.put(shown(5))
        assert await waiting == shown(5) and newest.dropped == 4
        newest.put(shown(6))
        newest.leave()
        assert await newest.take() is None

    asyncio.run(tried())


class Socket:
    """A page's end of a WebSocket."""

    def __init__(self, *messages: dict[str, Any] | bytes) -> None:
        self.coming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.said: list[Any] = []
        for message in messages:
            self.page(message)

    def page(self, message: dict[str, Any] | bytes | None) -> None:
        """Send what the page sends; None is its end."""
        if message is None:
            self.coming.put_nowait({"type": "websocket.disconnect"})
        elif isinstance(message, bytes):
            self.coming.put_nowait({"type": "websocket.receive", "bytes": message})
        else:
            self.coming.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})

    async def receive(self) -> dict[str, Any]:
        return await self.coming.get()

    async def send_json(self, message: dict[str, Any]) -> None:
        self.said.append(message)

    async def send_bytes(self, content: bytes) -> None:
        self.said.append(content)


class Process:
    """A worker process that answers each frame with its bytes, when it may."""

    def __init__(self, error: Exception | None = None) -> None:
        self.items: list[Any] = []
        self.may, self.error = threading.Event(), error

    def call(self, item: Any, tick: Any) -> Any:
        self.items.append(item)
        if not isinstance(item, Shown):
            return b"PNG" if isinstance(item, Snapped) else None
        while not self.may.wait(0.01):
            tick(0)
        if self.error:
            raise self.error
        return Answer(item.content or b"", (64, 36), 1, {"edit": 0.01}, "", 640, 0.0)


def visit(socket: Socket, process: Process, settings: live_seats.Live | None = None) -> live.Visit:
    return live.Visit(socket, process, settings or live_seats.Live())  # type: ignore[arg-type]


async def turns(condition: Any) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to that")


def test_frames_are_answered_in_order_and_none_waits_behind_another(grey: bytes) -> None:
    async def tried() -> None:
        socket, process = Socket({"chain": "retouch"}, grey + b"0"), Process()
        running = asyncio.create_task(visit(socket, process).run())
        await turns(lambda: len(process.items) == 2)
        for number in range(1, 6):
            socket.page(grey + str(number).encode())
        socket.page({"photo": True})
        await turns(lambda: socket.coming.empty())
        process.may.set()
        await turns(lambda: len(socket.said) == 7)
        socket.page(None)
        await running
        ready, first, content, photo, png, last, newest = socket.said
        assert ready["ready"]["chain"] == "retouch" and ready["ready"]["side"] == 640
        assert (first["frame"], content[-1:]) == (0, b"0")
        assert photo == {"photo": "retouch.png"} and png == b"PNG"
        assert (last["frame"], newest[-1:], last["dropped"]) == (5, b"5", 4)
        assert first["seconds"]["all"] >= first["seconds"]["wait"] >= 0 and first["seconds"]["edit"] == 0.01

    asyncio.run(tried())


def refused(*messages: Any, settings: live_seats.Live | None = None, process: Process | None = None) -> str:
    with pytest.raises(GanchainError) as error:
        asyncio.run(visit(Socket(*messages), process or Process(), settings).run())
    return str(error.value)


def test_what_a_page_may_not_send(grey: bytes) -> None:
    begun = {"chain": "retouch"}
    assert "first message" in refused({"chan": "retouch"}) and "first message" in refused({"chain": [1]})
    assert "first message" in refused(grey) and "mapping in JSON" in refused(begun, [])
    assert "no chain" in refused({"chain": "../my"}) and "no chain" in refused({"chain": "setup.cfg"})
    assert "1 MB" in refused(begun, bytes(live_frames.BYTES + 1))
    assert "a JPEG or a WebP" in refused(begun, b"\x89PNG")
    assert "must be a binary message" in refused(begun, {"next": True})
    assert "that of the server" in refused(begun, grey, settings=live_seats.Live(camera="0"))
    assert "mapping in JSON" in refused(begun, {"photo": "x" * live.LONGEST})
    process = Process(Crashed("killed the worker (signal 11, Segmentation fault)"))
    process.may.set()
    assert "the process of the chain failed: killed the worker" in refused(begun, grey, process=process)


def test_pages_that_send_nothing_are_closed(grey: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("IDLE", "EDITING"):
        monkeypatch.setattr(live, limit, 0.03)
    assert "nothing came for" in refused()
    assert "nothing came for" in refused({"chain": "retouch"})
    assert "took longer" in refused({"chain": "retouch"}, grey)


def test_a_page_that_goes_ends_its_frame(grey: bytes) -> None:
    async def tried() -> None:
        socket, process = Socket({"chain": "retouch"}, grey), Process()
        running = asyncio.create_task(visit(socket, process).run())
        await turns(lambda: len(process.items) == 2)
        socket.page(None)
        with pytest.raises(GanchainError, match="the page is gone"):
            await running

    asyncio.run(tried())


def test_each_page_has_a_process_and_there_are_few() -> None:
    seats = live_seats.Seats(live_seats.Live(), "cpu", "torch")
    with seats.taken() as first:
        with seats.taken() as second:
            assert first is not second
            with pytest.raises(Busy, match="2 pages are live"), seats.taken():
                pass
        with seats.taken() as third:
            assert third is second
    seats.close()


def test_what_a_page_can_ask_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("retouch").write_text("stages: [makeup: {look: smoky}]")  # a file of the server's is never read
    settings = live_seats.Live()
    described = settings.described()
    assert described["chain"] == "retouch" and "webtoon" in described["chains"]
    assert not {"portrait", "upscale"} & set(described["chains"])
    assert settings.opening("retouch").chain.stages[0].options["look"] == "natural"
    own = live_seats.Live(settings.opening("webtoon").chain, "0", 5, 480)
    assert own.described()["chains"][0] == own.name == "webtoon" and own.described()["camera"] == "0"


# the guard


async def knocked(headers: dict[str, str], *, ending: bool = False) -> list[Any]:
    """Return what a WebSocket with these headers is sent: "app" if it comes to the application."""
    sent: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        sent.append("app")

    async def send(message: Any) -> None:
        sent.append(message)

    guard = Guard(application, SimpleNamespace())  # type: ignore[arg-type]
    guard.ending = ending
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await guard({"type": "websocket", "headers": pairs}, None, send)  # type: ignore[arg-type]
    return sent


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000", 0),
        ("localhost:8000", "http://localhost:8000", 0),
        ("[::1]:8000", None, 0),
        ("127.0.0.1:8000", "https://evil.example", 403),
        ("127.0.0.1:8000", "http://127.0.0.1:9000", 403),
        ("127.0.0.1:8000", "http://localhost:8000", 403),
        ("127.0.0.1:8000", "null", 403),
        ("127.0.0.1:8000", "", 403),
        ("evil.example:8000", "http://evil.example:8000", 421),
        ("", None, 421),
    ],
)
def test_pages_of_other_sites_cannot_open_a_socket(host: str, origin: str | None, status: int) -> None:
    headers = {"host": host, **({} if origin is None else {"origin": origin})}
    sent = asyncio.run(knocked(headers))
    assert sent == ["app"] if not status else sent[0]["status"] == status and "error" in json.loads(sent[1]["body"])


def test_no_socket_is_opened_while_the_server_ends() -> None:
    assert asyncio.run(knocked({"host": "localhost"}, ending=True))[0]["status"] == 503


# cameras


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames at ten a second, each lighter than the one before."""
    path = tmp_path_factory.mktemp("film") / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 36))
    for number in range(10):
        writer.write(np.full((36, 64, 3), 20 + 20 * number, np.uint8))
    writer.release()
    return path


def test_cameras_that_are_not_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("no video")
    for name, reason in {
        str(tmp_path / "gone.mp4"): "gone.mp4: no such file",
        str(tmp_path / "notes.mp4"): "notes.mp4: cannot be read as a video",
        "97": "camera 97: there is none",
    }.items():
        with pytest.raises(VideoError, match=reason):
            Camera(name)


@pytest.mark.slow
def test_a_file_is_played_in_its_own_time_again_and_again(film: Path) -> None:
    camera = Camera(str(film))
    try:
        start, levels = time.monotonic(), [0]
        while levels == sorted(levels):  # until it begins again
            frame = camera.newest(32)
            assert frame.shape == (18, 32, 3)
            levels.append(round((float(frame.mean()) - 20) / 20))
        assert levels[1] == 0 and levels[-2] >= 8
        assert len(levels) <= 10 * (time.monotonic() - start) + 3  # no faster than in its own time
        time.sleep(0.35)
        assert (round((float(camera.newest(1280).mean()) - 20) / 20) - levels[-1]) % 10 >= 2  # only the newest is kept
    finally:
        camera.close()


# the editing of frames that come one by one


def sight(track: int, size: float, confidence: float = 0.99, x: float = 100.0) -> Sight:
    mean = np.vstack([placing.mean_points(), np.zeros((10, 2))])
    return Sight(track, (mean * size + x).astype(np.float32), confidence)


def test_the_largest_face_stays_it_until_another_is_clearly_larger() -> None:
    choose = Chooser("largest")
    assert [one.track for one in choose([sight(0, 50), sight(1, 52, x=400)])] == [1]
    assert [one.track for one in choose([sight(0, 55), sight(1, 50, x=400)])] == [1]
    assert [one.track for one in choose([sight(0, 70), sight(1, 50, x=400)])] == [0]
    assert Chooser("largest")([]) == []
    assert [one.track for one in Chooser("best")([sight(0, 50, 0.9), sight(1, 20, 0.99)])] == [1]
    assert [one.track for one in Chooser([1])([sight(0, 50), sight(1, 50, x=400)])] == [1]
    assert len(Chooser("all")([sight(0, 50), sight(1, 50, x=400)])) == 2


@pytest.mark.slow
def test_a_chain_that_enlarges_is_refused() -> None:
    with pytest.raises(ChainError, match=r"portrait.yaml:\d+: upscale: enlarges 4 times"):
        Live(Pipeline.from_yaml("portrait"), (64, 36), 10)


class Same(Stage):
    """Leave photos as they are."""

    scope = "photo"
    side = None

    def forward(self, faces: Tensor) -> Tensor:
        return faces


def test_faces_fade_where_they_come_and_turn_aside() -> None:
    live = Live(Pipeline([Same()], detector=FakeDetector()), (640, 360), 10)
    frontal = sight(0, 80)
    turned = replace(frontal, points=frontal.points.copy())
    turned.points[234, 0] = turned.points[6, 0] - 1

    def share(face: Sight, cut: bool = False) -> float:
        return sum(held.share for held in live._held(Seen(5, 0.1, cut, [face])))

    assert [round(share(frontal) * (FADE + 1)) for _ in range(8)] == [1, 2, 3, 4, 5, 6, 6, 6]
    assert [round(share(turned) * (FADE + 1)) for _ in range(8)] == [5, 4, 3, 2, 1, 0, 0, 0]
    assert share(frontal, cut=True) == 1


@pytest.mark.slow
def test_edits_hold_still(astronaut: Pixels) -> None:
    pipeline, still = Pipeline.from_yaml("retouch"), moved(astronaut, 0, (240, 180))[0]
    changes = {}
    for steady in (0.0, 0.8):
        live, noise, edits = Live(pipeline, (240, 180), 10, steady), np.random.default_rng(0), []
        for number in range(10):
            frame = (still + noise.normal(0, 3, still.shape)).round().clip(0, 255).astype(np.uint8)
            edited = live(frame, number / 10)
            assert edited.faces == 1 and not edited.failed and edited.seconds.keys() == {"track", "edit"}
            edits.append(edited.pixels.astype(np.int16) - frame)
        face = np.abs(edits[-1]).max(axis=2) > 4
        changes[steady] = np.mean([np.abs(a - b)[face].mean() for a, b in pairwise(edits[5:])])
    assert changes[0.8] < 0.7 * changes[0.0]


@pytest.mark.slow
def test_a_lost_face_leaves_the_frame_as_it_is_and_nothing_behind(astronaut: Pixels) -> None:
    live = Live(Pipeline.from_yaml("retouch"), (320, 240), 10)
    frame, _ = moved(astronaut, 0, (320, 240))
    assert live(frame, 0.0).faces == 1
    empty = np.full((240, 320, 3), (90, 110, 130), np.uint8)
    edited = [live(empty, number / 10) for number in range(1, 14)][-1]
    assert edited.faces == 0 and (edited.pixels == empty).all()
    assert not live._shares and not live._courses.forward and not live._editor.holder.parts


# the work of the process, and a real server


@pytest.mark.slow
def test_the_work_of_a_process(astronaut: Pixels, grey: bytes, film: Path) -> None:
    work = LiveWork("cpu", "torch")

    def done(item: object) -> Any:
        return work.begin([item])()[0]

    assert done(Opening(live_seats.bundled("retouch"), rate=1, side=320)) is None
    assert done(Snapped()) is None  # there is no frame yet
    frame, _ = moved(astronaut, 0, (320, 240))
    answer = done(Shown(0, picture(frame, quality=95), 0.0))
    assert (answer.size, answer.faces, answer.failed) == ((320, 240), 1, "")
    assert answer.seconds.keys() == {"read", "track", "edit", "write"}
    assert live_frames.decoded(answer.content).shape == frame.shape
    with Image.open(io.BytesIO(done(Snapped()))) as photo:
        assert photo.format == "PNG" and photo.size == (320, 240)
        assert Provenance.of(photo.info["xmp"]).marked and Provenance.of(photo.info["xmp"]).chain == "retouch"
    assert done(Shown(1, grey, 0.1)).size == (64, 36)  # another size begins anew
    assert isinstance(done(Shown(2, grey[:300], 0.2)), PhotoError)
    assert isinstance(done(Opening(live_seats.bundled("upscale"))), ChainError)
    assert done(Opening(live_seats.bundled("retouch"), str(film), side=32)) is None
    assert done(Shown(0, None, 0.0)).size == (32, 18)
    assert done(live_worker.Closing()) is None and work._camera is None


class Running:
    """The server in a thread of the test, its live pages in real processes."""

    def __init__(self, settings: live_seats.Live) -> None:
        self.guard = app(Limits(), live_settings=settings)
        self.service = self.guard.app.state.service
        self.server = Server(self.guard, self.service, lambda: None)
        self.socket = listen("127.0.0.1", 0)
        self.host = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]})

    def __enter__(self) -> Running:
        self.thread.start()
        until(lambda: self.server.started)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(timeout=20)
        assert not self.thread.is_alive()

    def page(self, **options: Any) -> Any:
        return client.connect(f"ws://{self.host}/live", compression=None, **options)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with Running(live_seats.Live(live_seats.bundled("retouch"), rate=1, side=320)) as server:
        yield server


def begun(page: Any, chain: str = "retouch") -> None:
    page.send(json.dumps({"chain": chain}))
    assert json.loads(page.recv(timeout=120))["ready"]["chain"] == chain


def answered(page: Any) -> tuple[dict[str, Any], bytes]:
    facts = json.loads(page.recv(timeout=60))
    assert "error" not in facts, facts
    return facts, page.recv(timeout=10)


@pytest.mark.slow
def test_a_real_server_answers_the_newest_frame_and_outlives_its_processes(
    running: Running, astronaut: Pixels, grey: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 0.5)  # which must not hold for a socket
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with running.page(origin=f"http://{running.host}") as page:
        begun(page)
        for number in range(6):
            frame, _ = moved(astronaut, number, (320, 240))
            page.send(picture(frame))
        numbers, facts = [], {"frame": -1}
        while facts["frame"] < 5:
            facts, content = answered(page)
            numbers.append(facts["frame"])
            assert live_frames.decoded(content).shape == (240, 320, 3) and facts["faces"] == 1
        assert numbers == sorted(numbers) and len(numbers) + facts["dropped"] == 6
        page.send('{"photo": true}')
        photo, png = answered(page)
        assert photo == {"photo": "retouch.png"} and png.startswith(b"\x89PNG")
        time.sleep(0.7)
        with running.page() as other:  # its slow start does not stop the first
            other.send('{"chain": "retouch"}')
            page.send(grey)
            assert answered(page)[0]["size"] == [64, 36]
            with running.page() as third:
                assert "2 pages are live" in json.loads(third.recv(timeout=10))["error"]
        for child in psutil.Process().children(recursive=True):
            if child.pid not in before and "spawn_main" in " ".join(child.cmdline()):
                os.kill(child.pid, signal.SIGSEGV)
        page.send(grey)
        assert "the process of the chain failed: killed the worker" in json.loads(page.recv(timeout=60))["error"]
        with pytest.raises(exceptions.ConnectionClosed):
            page.recv(timeout=10)
    with running.page() as page:
        begun(page)
        page.send(grey)
        assert answered(page)[0]["frame"] == 0


@pytest.mark.slow
def test_the_page_comes_from_this_server_alone(running: Running) -> None:
    for part in ("live.html", "live.js", "live.css", "live/settings"):
        answer = httpx.get(f"http://{running.host}/{part}")
        assert answer.status_code == 200 and "default-src 'self'" in answer.headers["content-security-policy"]
        assert "http://" not in answer.text and "https://" not in answer.text  # works offline
    assert httpx.get(f"http://{running.host}/live/settings").json()["chain"] == "retouch"
    assert httpx.get(f"http://{running.host}/live").headers["location"] == "/live.html"


@pytest.mark.slow
def test_strangers_and_bombs_are_refused_by_a_real_server(running: Running, grey: bytes) -> None:
    with pytest.raises(exceptions.InvalidStatus) as refused:
        running.page(origin="https://evil.example")
    assert refused.value.response.status_code == 403
    with running.page() as page:
        begun(page)
        page.send(grey + bytes(live_frames.BYTES))
        with pytest.raises(exceptions.ConnectionClosed) as closed:
            page.recv(timeout=10)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009
    with running.page() as page:
        begun(page)
        page.send(b"GIF89a")
        assert "a JPEG or a WebP" in json.loads(page.recv(timeout=10))["error"]


# the command


def test_help_of_live_teaches() -> None:
    done = CliRunner().invoke(main, ["live", "--help"])
    assert done.exit_code == 0
    for word in ("--camera", "--rate", "ganchain live retouch --open", "not stored", "enlarges", "Exit status"):
        assert word in done.output


def test_a_chain_that_is_not_there_ends_the_command_at_once() -> None:
    done = CliRunner().invoke(main, ["live", "retuch"])
    assert done.exit_code == 2 and "did you mean 'retouch'" in done.output


@pytest.mark.slow
def test_a_camera_that_is_not_there_ends_the_command(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["live", "retouch", "--camera", str(tmp_path / "gone.mp4"), "--port", "0"])
    assert done.exit_code == 2 and "gone.mp4: no such file" in done.output
    assert len(done.output.splitlines()) == 1
