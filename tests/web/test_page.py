"""The page in a real browser. Run by ``make test-web``; not among the default tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image

pytestmark = pytest.mark.web
COMMAND = [sys.executable, "-m", "ganchain"]
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
def browser(chromium: Any) -> Iterator[Any]:
    running = chromium()
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
    factor = page.locator("#stage-1-factor")
    assert factor.locator("option").all_inner_texts() == ["as usual", "2", "4"]  # those that the weights know
    factor.select_option("2")
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
    assert "nothing was changed" in page.locator("#result").inner_text()
    assert page.locator("#result a.main").count() == 0
    picture = download(page, "Download the unchanged photo", tmp_path)
    assert np.array_equal(np.asarray(Image.open(picture)), np.asarray(Image.open(none)))
    states = [thumbnail.inner_text() for thumbnail in page.locator(".thumbnail .state").all()]
    assert states == ["✓", "no face"]
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
    factor = page.locator("#stage-0-factor")
    # a value that the page does not offer, as weights that changed meanwhile would have it
    page.route(
        "**/jobs",
        lambda route: route.continue_(post_data=route.request.post_data.replace('factor\\":2', 'factor\\":3')),
    )
    factor.select_option("2")
    page.locator("#run").click()
    wrong = page.locator("#stage-0-factor-wrong")
    wrong.wait_for()
    assert wrong.inner_text() == "these weights enlarge 2 or 4 times, not 3"
    assert factor.get_attribute("aria-invalid") == "true"
    page.wait_for_function("() => scrollY === (window.before ?? -1) || ((window.before = scrollY), false)", polling=200)
    box = wrong.bounding_box()
    assert 0 <= box["y"] < page.viewport_size["height"] - box["height"]  # in sight
    assert page.locator("#error").inner_text() == "Not run: an option of the chain is wrong, and marked there."
    page.unroute("**/jobs")
    factor.select_option("4")
    assert wrong.is_hidden() and factor.get_attribute("aria-invalid") is None
    page.get_by_role("button", name="Remove astronaut.png").click()
    assert page.locator("#run").is_disabled()


def test_a_reference_without_a_face_is_refused_at_once(page: Any, astronaut_file: Path, tmp_path: Path) -> None:
    Image.fromarray(skimage.data.astronaut()[300:, :150]).save(tmp_path / "none.png")
    page.select_option("#bundled", "my-chain")
    page.select_option("#add-name", "makeup")
    page.locator("#add").click()
    page.set_input_files("#stage-0-reference", str(tmp_path / "none.png"))
    page.get_by_text("none.png: no face was found in it, and one is needed; choose another photo").wait_for()
    assert "reference" not in page.locator(".stage .set").inner_text()
    page.set_input_files("#stage-0-reference", str(astronaut_file))
    page.locator(".stage .set").get_by_text("reference: astronaut.png").wait_for()


def test_other_weights_offer_other_factors(page: Any) -> None:
    stages = page.evaluate("async () => (await fetch('/stages')).json()")
    for stage in stages:
        if stage["name"] == "upscale":
            stage["options"]["weights"]["keys"].append("mine")
            stage["options"]["factor"]["choices"]["mine"] = [3, 8]
    page.route("**/stages", lambda route: route.fulfill(json=stages))
    page.reload()
    page.locator("#stages > li").first.wait_for()
    page.select_option("#bundled", "upscale")
    page.locator("#stages summary").first.click()
    factor = page.locator("#stage-0-factor")
    assert factor.locator("option").all_inner_texts() == ["as usual", "2", "4"]
    factor.select_option("4")
    page.get_by_text("Other weights", exact=True).click()
    page.locator("#stage-0-weights").select_option("mine")
    assert factor.locator("option").all_inner_texts() == ["as usual", "3", "8"]
    assert factor.input_value() == ""  # 4 is not among them
    assert page.locator("#stage-0-weights").is_visible()


def test_the_list_of_addresses_needs_nothing_else(page: Any, address: str) -> None:
    page.goto(f"{address}docs")
    page.get_by_text("POST /run").wait_for()
