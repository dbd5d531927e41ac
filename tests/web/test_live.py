"""The live page in a real browser, with a film as its camera. Run by ``make test-web``; not among the default tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from ganchain.photos.marks import Provenance

pytestmark = pytest.mark.web
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
SECONDS = 120_000  # ms that a chain may take to load on a slow machine
PIXEL = """() => {
  const one = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const context = one.getContext("2d", { willReadFrequently: true });
  context.drawImage(document.getElementById("picture"), 320, 180, 1, 1, 0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data];
}"""
KNOCK = """(address) => new Promise((done) => {
  const socket = new WebSocket(address);
  [socket.onopen, socket.onerror] = [() => done("open"), () => done("refused")];
})"""


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw a slow move of the astronaut, as Chromium's fake camera plays it."""
    path = tmp_path_factory.mktemp("camera") / "astronaut.mjpeg"
    with path.open("wb") as file:
        for number in range(40):
            turn, shift = 3 * np.sin(number * np.pi / 20), 20 * np.sin(number * np.pi / 10)
            matrix = cv2.getRotationMatrix2D((225, 130), float(turn), 1.2)
            matrix[:, 2] += (320 - 225 + shift, 180 - 130)
            frame = cv2.warpAffine(skimage.data.astronaut(), matrix, (640, 360), borderMode=cv2.BORDER_REFLECT)
            file.write(cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes())
    return path


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[str, Any]]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "ganchain", "live", "retouch", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        said = re.search(r"http://\S+", process.stdout.readline())
        assert said, "the server did not start"
        yield said[0], process
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0
        process.stdout.close()


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    with serving("--rate", "1") as (address, _):
        yield address


@pytest.fixture(scope="module")
def with_camera(chromium: Any, film: Path) -> Iterator[Any]:
    flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    running = chromium(*flags, f"--use-file-for-fake-video-capture={film}")
    yield running
    running.close()


@contextmanager
def opened(running: Any, address: str, size: str = "desktop") -> Iterator[Any]:
    """Open the page, of which nothing may go wrong behind the scenes and nothing ask another host."""
    width, height = SIZES[size]
    wrong = list[str]()
    context = running.new_context(viewport={"width": width, "height": height}, has_touch=width < 500)
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    host = address.removeprefix("http://").partition("/")[0]
    page.on("request", lambda asked: None if host in asked.url or asked.url[:5] == "blob:" else wrong.append(asked.url))
    page.goto(address)
    page.locator("#start:enabled").wait_for()
    yield page
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth"), "it scrolls sideways"
    context.close()
    assert not wrong


def begin(page: Any) -> None:
    page.locator("#start").focus()
    page.keyboard.press("Enter")
    page.locator("#photo:enabled").wait_for(timeout=SECONDS)


@pytest.mark.parametrize("size", SIZES)
def test_the_camera_goes_through_the_chain(with_camera: Any, address: str, size: str, tmp_path: Path) -> None:
    with opened(with_camera, address, size) as page:
        begin(page)
        page.locator("#rate", has_text="frames/s").wait_for(timeout=SECONDS)
        assert re.fullmatch(r"\d+ ms latency", page.locator("#latency").inner_text())
        assert page.locator("#size").inner_text() == "640 × 360"
        assert page.locator("#error").is_hidden() and page.locator("#said").inner_text() == ""  # a face is seen
        former = page.evaluate(PIXEL)
        assert former != [0, 0, 0, 255]
        page.wait_for_timeout(3000)
        assert page.evaluate(PIXEL) != former  # it moves
        with page.expect_download() as coming:
            page.get_by_role("button", name="Take a photo").click()
        coming.value.save_as(tmp_path / "photo.png")
        assert coming.value.suggested_filename.endswith("-retouch.png")
        with Image.open(tmp_path / "photo.png") as photo:
            assert photo.size == (640, 360)
            assert Provenance.of(photo.info["xmp"]).marked
        assert page.locator("#photos img").count() == 1
        page.get_by_label("Show the camera beside it").check()
        page.get_by_text("Where the time goes").click()
        assert page.locator("#parts dt").count() == 6
        if folder := os.environ.get("GANCHAIN_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"live-{size}.png", full_page=True)
        page.get_by_role("button", name="Stop").click()
        assert page.locator("#said").inner_text() == "Stopped." and page.locator("#photo").is_disabled()
        assert page.evaluate("() => document.getElementById('camera').srcObject === null")
        page.select_option("#chain", "webtoon")
        begin(page)
        page.select_option("#chain", "retouch")  # while it runs
        page.locator("#photo:enabled").wait_for(timeout=SECONDS)
        with page.expect_download() as coming:
            page.locator("#photo").click()
        assert coming.value.suggested_filename.endswith("-retouch.png")
        assert page.locator("#error").is_hidden()


def test_pages_of_others_cannot_open_a_socket(with_camera: Any, address: str) -> None:
    page = with_camera.new_page()
    page.goto("about:blank")
    socket = address.replace("http://", "ws://").replace("live.html", "live")
    assert page.evaluate(KNOCK, socket) == "refused"
    page.close()
    with opened(with_camera, address) as page:
        assert page.evaluate(KNOCK, socket) == "open"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--use-fake-device-for-media-stream", "--deny-permission-prompts"], "was not allowed to use the camera"),
        (["--use-fake-ui-for-media-stream"], "There is no camera here"),
    ],
)
def test_a_camera_that_cannot_be_used_is_said_in_one_line(
    chromium: Any, flags: list[str], said: str, address: str
) -> None:
    running = chromium(*flags)
    with opened(running, address) as page:
        page.locator("#start").click()
        page.locator("#error", has_text=said).wait_for()
        assert page.locator("#start").inner_text() == "Start" and page.locator("#said").inner_text() == ""
    running.close()


def test_the_server_has_the_camera(chromium: Any, film: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.avi"
    clip.write_bytes(film.read_bytes())
    running = chromium()
    with serving("--rate", "1", "--camera", str(clip)) as (address, process), opened(running, address) as page:
        assert page.get_by_label("Show the camera beside it").is_hidden()
        begin(page)
        assert page.locator("#size").inner_text() == "640 × 360"
        process.terminate()
        page.locator("#error", has_text="ended").wait_for(timeout=SECONDS)
        assert process.wait(timeout=30) == 0  # a second signal would end it at once
    running.close()
