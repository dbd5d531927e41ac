"""The page in a real browser. Run by ``make test-web``; not among the default tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image

playwright = pytest.importorskip("playwright.sync_api", reason="make test-web installs playwright")

pytestmark = pytest.mark.web
COMMAND = [sys.executable, "-m", "ganchain"]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
SECONDS = 120_000  # ms that a chain may take on a slow machine


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    serving = subprocess.Popen([*COMMAND, "serve", "--port", "0"], stdout=subprocess.PIPE, text=True, env=environment)
    assert serving.stdout is not None
    try:
        said = re.search(r"http://\S+", serving.stdout.readline())
        assert said, "the server did not start"
        yield said[0]
    finally:
        serving.terminate()
        serving.wait(timeout=30)
        serving.stdout.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    own = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=own, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, browser: Any, address: str) -> Iterator[Any]:
    """The page, of which nothing may go wrong behind the scenes and nothing ask another host."""
    width, height = SIZES[request.param]
    wrong = list[str]()
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=width < 500)
    opened = context.new_page()
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    opened.on(
        "request", lambda asked: None if asked.url.startswith((address, "blob:", "data:")) else wrong.append(asked.url)
    )
    opened.goto(address)
    opened.locator("#stages > li").first.wait_for()
    yield opened
    assert opened.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth"), "it scrolls sideways"
    context.close()
    assert not [one for one in wrong if "status of 422" not in one]  # what the server refuses, the browser notes


@pytest.fixture
def astronaut_file(tmp_path: Path) -> Path:
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "astronaut.png")
    return tmp_path / "astronaut.png"


def send(page: Any, *files: Path) -> str:
    """Send photos; what the page then says of the last."""
    page.set_input_files("#photo-input", [str(file) for file in files])
    page.locator(".thumbnail").nth(len(files) - 1).wait_for()
    page.locator("#preview img").wait_for()
    return str(page.locator("#faces-said").inner_text())


def run(page: Any) -> None:
    page.locator("#run").focus()
    page.keyboard.press("Enter")
    page.locator("#result a").first.wait_for(timeout=SECONDS)


def download(page: Any, text: str, folder: Path) -> Path:
    with page.expect_download() as coming:
        page.get_by_text(text, exact=True).click()
    coming.value.save_as(folder / coming.value.suggested_filename)
    return folder / str(coming.value.suggested_filename)


def by_command(chain: str, photo: Path, out: Path) -> bytes:
    subprocess.run([*COMMAND, "run", chain, str(photo), "-o", str(out)], check=True, capture_output=True)
    return out.read_bytes()


def test_a_photo_through_a_bundled_chain(page: Any, astronaut_file: Path, tmp_path: Path) -> None:
    assert "1 face found" in send(page, astronaut_file)
    page.select_option("#bundled", "webtoon")
    run(page)
    slider = page.get_by_role("slider", name="before")
    assert slider.get_attribute("aria-valuenow") == "50"
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    by_keys = float(slider.get_attribute("aria-valuenow"))
    assert by_keys > 50
    box = page.locator("before-after").bounding_box()
    page.mouse.move(box["x"] + box["width"] * by_keys / 100, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    assert abs(float(slider.get_attribute("aria-valuenow")) - 20) <= 2
    assert "1 face edited" in page.locator("#result").inner_text()
    picture = download(page, "Download the picture", tmp_path)
    assert picture.name == "astronaut-webtoon.png"
    assert picture.read_bytes() == by_command("webtoon", astronaut_file, tmp_path / "own.png")


def test_a_chain_that_was_built_on_the_page(page: Any, astronaut_file: Path, tmp_path: Path) -> None:
    look = tmp_path / "look.png"
    Image.fromarray(skimage.data.astronaut()[:, ::-1]).save(look)
    send(page, astronaut_file)
    page.select_option("#bundled", "my-chain")
    assert page.locator("#run").is_disabled()
    for stage in ("upscale", "makeup"):
        page.select_option("#add-name", stage)
        page.locator("#add").click()
    page.get_by_role("button", name="Move up makeup").click()
    page.select_option("#stage-0-look", "rose")  # for which the reference stands in
    page.set_input_files("#stage-0-reference", str(look))
    page.locator("#stages > li").first.get_by_text("reference: look.png").wait_for()
    strength = page.locator("#stage-0-strength")
    strength.focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    page.locator("#stage-1-factor").fill("2")
    run(page)
    assert page.locator(".steps button").count() == 2
    page.locator(".steps button").first.click()
    picture = download(page, "Download the picture", tmp_path)
    chain = download(page, "Download the YAML", tmp_path)
    assert chain.read_text() == (
        "faces: all\nstages:\n  - makeup: {reference: look.png, strength: 0.8}\n  - upscale: {factor: 2}\n"
    )
    assert picture.read_bytes() == by_command(str(chain), astronaut_file, tmp_path / "own.png")
    assert "ganchain run my-chain.yaml astronaut.png" in page.locator("#result code").inner_text()


def test_of_three_faces_those_that_were_chosen(page: Any, tmp_path: Path) -> None:
    head = skimage.data.astronaut()[:256, 96:352]
    Image.fromarray(np.hstack([head, head[:, ::-1], head])).save(tmp_path / "three.png")
    assert "3 faces found" in send(page, tmp_path / "three.png")
    page.select_option("#bundled", "retouch")
    boxes = page.locator("button.face:not(.left-out)")
    rightmost = max(range(3), key=lambda number: boxes.nth(number).bounding_box()["x"])
    boxes.nth(rightmost).click()
    assert page.locator('button.face[aria-pressed="true"]').count() == 2
    assert page.locator('[value="chosen"]').is_checked()
    run(page)
    assert "2 faces edited" in page.locator("#result").inner_text()
    before, after = (
        np.asarray(Image.open(one))
        for one in (tmp_path / "three.png", download(page, "Download the picture", tmp_path))
    )
    changed = [(before[:, x : x + 256] != after[:, x : x + 256]).mean() for x in (0, 256, 512)]
    assert changed[0] > 0.1 and changed[1] > 0.1 and changed[2] == 0


def test_a_face_at_the_edge_and_none_at_all(page: Any, tmp_path: Path) -> None:
    edge, none = tmp_path / "edge.png", tmp_path / "none.png"
    Image.fromarray(skimage.data.astronaut()[:300, 195:480]).save(edge)
    Image.fromarray(skimage.data.astronaut()[300:, :150]).save(none)
    assert "no face found" in send(page, edge, none)
    page.select_option("#bundled", "retouch")
    page.get_by_role("button", name="Run on 2 photos").click()
    page.get_by_text("No face was found to edit").wait_for(timeout=SECONDS)
    picture = download(page, "Download the picture", tmp_path)
    assert np.array_equal(np.asarray(Image.open(picture)), np.asarray(Image.open(none)))
    page.get_by_role("button", name="Show edge.png").click()
    page.locator("before-after").wait_for()
    assert "1 face edited" in page.locator("#result").inner_text()


def test_what_is_wrong_is_said(page: Any, astronaut_file: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    page.set_input_files("#photo-input", str(tmp_path / "broken.jpg"))
    page.get_by_text("broken.jpg: not a picture that can be read").wait_for()
    send(page, astronaut_file)
    page.select_option("#bundled", "my-chain")
    page.select_option("#add-name", "upscale")
    page.locator("#add").click()
    page.locator("#stage-0-factor").fill("3")
    page.locator("#run").click()
    page.locator("#error").wait_for()
    assert "these weights enlarge 2 or 4 times, not 3" in page.locator("#error").inner_text()
    page.get_by_role("button", name="Remove astronaut.png").click()
    assert page.locator("#run").is_disabled()
