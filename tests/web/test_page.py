"""The page in a real browser. Run by ``make test-web``; not among the default tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from ganchain.video.sources import source_of
from tests.clips import clip, moved

pytestmark = pytest.mark.web
COMMAND = [sys.executable, "-m", "ganchain"]
FLAGS = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
SECONDS = 120_000  # ms that a chain may take on a slow machine
DRAWN = """() => document.querySelector('.viewer').ariaBusy === 'false'
  && /^blob:|jobs/.test(document.querySelector('.layer.over img')?.src)"""


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
    running = chromium(*FLAGS)
    yield running
    running.close()


class Opened:
    """The page in a window of its own, of which nothing may go wrong behind the scenes and nothing ask another host."""

    def __init__(self, browser: Any, address: str, size: str, **context: Any) -> None:
        width, height = SIZES[size]
        self.size, self.address, self.wrong = size, address, list[str]()
        settings = {"viewport": {"width": width, "height": height}, "has_touch": size == "phone", "locale": "en-US"}
        self.context = browser.new_context(**{**settings, **context})
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", self._hear)
        self.page.on("request", self._see)

    def _hear(self, said: Any) -> None:
        refused = "status of 422" in said.text or "status of 404" in said.text  # which the browser notes
        if said.type in ("error", "warning") and not refused:
            self.wrong.append(said.text)

    def _see(self, asked: Any) -> None:
        if not asked.url.startswith((self.address, "blob:", "data:")):
            self.wrong.append(asked.url)

    def open(self, hash: str = "") -> Any:
        self.page.goto(self.address + hash)
        self.page.locator(".preset").first.wait_for()
        return self.page

    def close(self) -> None:
        fits = "() => document.documentElement.scrollWidth <= window.innerWidth"
        assert self.page.evaluate(fits), "it scrolls sideways"
        self.context.close()
        assert not self.wrong


@pytest.fixture(params=SIZES)
def opened(request: pytest.FixtureRequest, browser: Any, address: str) -> Iterator[Opened]:
    window = Opened(browser, address, request.param)
    yield window
    window.close()


@pytest.fixture
def page(opened: Opened) -> Any:
    return opened.open()


@pytest.fixture
def astronaut_file(tmp_path: Path) -> Path:
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "astronaut.png")
    return tmp_path / "astronaut.png"


@pytest.fixture
def three_file(tmp_path: Path) -> Path:
    head = skimage.data.astronaut()[:256, 96:352]
    Image.fromarray(np.hstack([head, head[:, ::-1], head])).save(tmp_path / "three.png")
    return tmp_path / "three.png"


@pytest.fixture
def none_file(tmp_path: Path) -> Path:
    Image.fromarray(skimage.data.astronaut()[300:, :150]).save(tmp_path / "none.png")
    return tmp_path / "none.png"


def style(page: Any, name: str) -> None:
    page.locator(f'[data-preset="{name}"]').click()


def send(page: Any, *files: Path) -> None:
    before = page.locator(".thumb").count()
    page.set_input_files("#photo-input", [str(file) for file in files])
    page.locator(".thumb").nth(before + len(files) - 1).wait_for()
    drawn(page)


def drawn(page: Any) -> str:
    """Wait until the draft is there; its address."""
    page.wait_for_function(DRAWN, timeout=SECONDS)
    return str(page.locator(".layer.over img").get_attribute("src"))


def option(page: Any, stage: str, name: str) -> Any:
    return page.locator(f'[data-stage="{stage}"] [data-option="{name}"]').first


def only(page: Any, *stages: str) -> None:
    """Make a chain of these stages, without options, that are all shown."""
    style(page, "retouch")
    while page.locator(".edit").count():
        page.locator(".edit").first.get_by_role("button", name="Remove").click()
    for number, stage in enumerate(stages):
        page.locator(f'[data-add="{stage}"]').click()
        item = page.locator(".edit").nth(number)
        item.wait_for()
        if item.locator("details").first.get_attribute("open") is None:
            item.locator("summary").first.click()


def make(page: Any) -> None:
    page.locator("#full").click()
    page.locator("a#download").wait_for(timeout=SECONDS)


def download(page: Any, folder: Path) -> Path:
    with page.expect_download(timeout=SECONDS) as coming:
        page.locator("#download").click()
    coming.value.save_as(folder / coming.value.suggested_filename)
    return folder / str(coming.value.suggested_filename)


def by_command(chain: str, photo: Path, out: Path) -> bytes:
    subprocess.run([*COMMAND, "run", chain, str(photo), "-o", str(out)], check=True, capture_output=True)
    return out.read_bytes()


# 1: a first screen with pictures


def test_a_sample_is_tried_at_once_and_the_styles_show_the_visitor_s_face(page: Any) -> None:
    assert page.locator(".samples .tile").count() == 4
    assert page.locator(".viewer .layer img").count() == 2  # before and after, before anything was chosen
    page.locator(".samples .tile").first.click()
    assert drawn(page).startswith("blob:")
    own = page.locator(".preset .crop:not([class*=before-])")
    page.wait_for_function("() => !document.querySelector('.preset .crop[class*=before-]')", timeout=SECONDS)
    assert own.count() == page.locator(".preset").count() >= 6
    assert page.get_by_role("button", name="Character").get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize("sample", range(4))
def test_every_sample_has_one_face(browser: Any, address: str, sample: int) -> None:
    window = Opened(browser, address, "desktop")
    page = window.open()
    style(page, "retouch")
    page.locator(".samples .tile").nth(sample).click()
    drawn(page)
    assert page.get_by_text("No face was found").count() == 0 and page.locator(".face").count() == 0
    window.close()


# 2: live


def test_a_slider_and_a_colour_redraw_without_a_run(page: Any, astronaut_file: Path) -> None:
    style(page, "retouch")
    send(page, astronaut_file)
    first = drawn(page)
    slide = option(page, "makeup", "strength").locator("input")
    slide.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"() => document.querySelector('.layer.over img').src !== '{first}'", timeout=SECONDS)
    second = drawn(page)
    option(page, "makeup", "lips").locator("input[type=color]").fill("#30a050")
    page.wait_for_function(f"() => document.querySelector('.layer.over img').src !== '{second}'", timeout=SECONDS)
    drawn(page)
    assert "Lips #30a050" in page.locator('[data-stage="makeup"] .set').inner_text()
    assert page.locator("a#download").count() == 0  # no full picture was made
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    page.wait_for_function(f"() => document.querySelector('.layer.over img').src === '{first}'", timeout=SECONDS)
    assert page.get_by_role("button", name="Natural").get_attribute("aria-pressed") == "true"  # a preset again
    page.get_by_role("button", name="Redo").click()
    page.wait_for_function(f"() => document.querySelector('.layer.over img').src === '{second}'", timeout=SECONDS)


def test_of_many_changes_the_newest_counts(page: Any, astronaut_file: Path) -> None:
    style(page, "retouch")
    send(page, astronaut_file)
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.post_data) if request.url.endswith("/drafts") else None)
    page.evaluate(
        """async () => {
          const slide = document.querySelector('[data-option=strength] input');
          for (let at = 1; at <= 30; at += 1) {
            slide.value = at / 50;
            slide.dispatchEvent(new Event("input", { bubbles: true }));
            await new Promise((resolve) => setTimeout(resolve, 10));
          }
        }"""
    )
    drawn(page)
    large = [one for one in asked if "large" in one]
    assert 1 <= len(large) < 30 and '\\"strength\\":0.6' in large[-1]


def test_a_reference_without_a_face_is_refused_at_once(page: Any, astronaut_file: Path, none_file: Path) -> None:
    only(page, "makeup")
    reference = option(page, "makeup", "reference")
    reference.locator("input").set_input_files(str(none_file))
    page.get_by_text("none.png: no face was found in it, and one is needed; choose another photo").wait_for()
    reference.locator("input").set_input_files(str(astronaut_file))
    reference.get_by_role("img", name="astronaut.png").wait_for()
    send(page, astronaut_file)
    assert page.locator(".result .error").count() == 0


def test_the_camera_is_a_source(browser: Any, address: str) -> None:
    window = Opened(browser, address, "desktop", permissions=["camera"])
    page = window.open()
    style(page, "restore")
    page.get_by_role("button", name="Camera").click()
    page.get_by_role("button", name="Take the picture").click(timeout=SECONDS)
    page.locator('.thumb [title="camera.jpg"]').wait_for()
    window.close()


# 3: a result stage


def test_a_photo_through_a_style(page: Any, astronaut_file: Path, tmp_path: Path) -> None:
    style(page, "webtoon")
    send(page, astronaut_file)
    picture = download(page, tmp_path)
    assert picture.name == "astronaut-webtoon.png"
    assert picture.read_bytes() == by_command("webtoon", astronaut_file, tmp_path / "own.png")
    assert "Full picture: 512 × 512 px" in page.locator(".said").inner_text()
    page.locator(".steps").get_by_role("button", name="Photo").click()
    page.wait_for_function("() => document.querySelector('.layer.over img').src.endsWith('/previews/0')")


def test_everything_fits_the_screen_with_download_in_reach(page: Any, astronaut_file: Path) -> None:
    style(page, "retouch")
    send(page, astronaut_file)
    make(page)
    height = page.viewport_size["height"]
    for part in (".viewer", "#download"):
        box = page.locator(part).bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= height, part
    page.mouse.wheel(0, 3000)
    page.locator(".foot").scroll_into_view_if_needed()
    box = page.locator("#download").bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] <= height


def test_before_after_zoom_and_pan(page: Any, astronaut_file: Path) -> None:
    style(page, "retouch")
    send(page, astronaut_file)
    handle = page.get_by_role("slider", name="before")
    handle.focus()
    at = float(handle.get_attribute("aria-valuenow"))
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert float(handle.get_attribute("aria-valuenow")) == at + 10
    image, box = page.locator(".layer.over img"), page.locator(".viewer").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(middle[0] + 60, middle[1] + 90)
    page.mouse.down()
    page.mouse.move(middle[0], middle[1] + 90, steps=4)
    page.mouse.up()
    assert abs(float(handle.get_attribute("aria-valuenow")) - 50) <= 2
    fitted, width = (
        image.bounding_box()["width"],
        "document.querySelector('.layer.over img').getBoundingClientRect().width",
    )
    page.keyboard.press("+")
    page.wait_for_function(f"() => {width} > {fitted}")
    page.get_by_role("button", name="Zoom in").click()
    zoomed = image.bounding_box()
    page.mouse.move(middle[0] + 80, middle[1] + 90)
    page.mouse.down()
    page.mouse.move(middle[0] + 50, middle[1] + 90, steps=3)
    page.mouse.up()
    assert image.bounding_box()["x"] < zoomed["x"]
    page.keyboard.press("0")
    page.wait_for_function(f"() => {width} <= {fitted} + 1")


def test_a_chain_that_was_built_on_the_page(page: Any, astronaut_file: Path, tmp_path: Path) -> None:
    look = tmp_path / "look.png"
    Image.fromarray(skimage.data.astronaut()[:, ::-1]).save(look)
    send(page, astronaut_file)
    only(page, "upscale", "makeup")
    page.locator(".edit").nth(1).get_by_role("button", name="Move up").click()
    option(page, "makeup", "look").get_by_text("rose").click()  # for which the reference stands in
    option(page, "makeup", "reference").locator("input").set_input_files(str(look))
    option(page, "makeup", "reference").get_by_role("img", name="look.png").wait_for()
    option(page, "makeup", "strength").locator("input").fill("0.8")
    factor = option(page, "upscale", "factor")
    assert factor.locator("label.chip").all_inner_texts() == ["as usual", "2", "4"]  # those that the weights know
    factor.get_by_text("2", exact=True).click()
    drawn(page)
    picture = download(page, tmp_path)
    page.get_by_text("Save, share, command line").click()
    with page.expect_download() as coming:
        page.get_by_role("button", name="Save YAML").click()
    chain = tmp_path / "my-chain.yaml"
    coming.value.save_as(chain)
    assert chain.read_text() == (
        "faces: all\nstages:\n  - makeup: {reference: look.png, strength: 0.8}\n  - upscale: {factor: 2}\n"
    )
    assert picture.read_bytes() == by_command(str(chain), astronaut_file, tmp_path / "own.png")


def test_face_pictures_are_shown(page: Any, three_file: Path) -> None:
    style(page, "faces")
    send(page, three_file)
    make(page)
    pictures = page.locator(".pictures img")
    assert pictures.count() == 3
    page.wait_for_function("() => [...document.querySelectorAll('.pictures img')].every((one) => one.naturalWidth > 9)")
    assert page.locator("a#download").get_attribute("download") == "three.zip"


def test_a_failed_run_keeps_the_last_good_picture(page: Any, astronaut_file: Path) -> None:
    style(page, "retouch")
    send(page, astronaut_file)
    good = drawn(page)
    page.route("**/jobs", lambda route: route.fulfill(status=422, json={"error": "it failed"}))
    page.locator("#download").click()
    page.get_by_text("it failed").wait_for()
    assert page.locator(".layer.over img").get_attribute("src") == good


# 4: several photos


def test_faces_are_chosen_for_each_photo(page: Any, three_file: Path, astronaut_file: Path, tmp_path: Path) -> None:
    style(page, "retouch")
    send(page, astronaut_file)
    send(page, three_file)
    faces = page.locator(".face")
    assert faces.count() == 3
    faces.nth(2).click()
    assert [face.get_attribute("aria-pressed") for face in faces.all()] == ["true", "true", "false"]
    assert page.get_by_role("button", name="Natural").get_attribute("aria-pressed") == "true"  # still a preset
    drawn(page)
    before, after = (np.asarray(Image.open(one)) for one in (three_file, download(page, tmp_path)))
    changed = [(before[:, x : x + 256] != after[:, x : x + 256]).mean() for x in (0, 256, 512)]
    assert changed[0] > 0.1 and changed[1] > 0.1 and changed[2] == 0
    page.get_by_role("button", name="Show astronaut.png").click()
    drawn(page)
    assert download(page, tmp_path).read_bytes() == by_command("retouch", astronaut_file, tmp_path / "own.png")


def test_all_photos_go_into_a_zip_and_only_what_changed_is_made(
    page: Any, three_file: Path, astronaut_file: Path, none_file: Path, tmp_path: Path
) -> None:
    style(page, "retouch")
    send(page, astronaut_file, three_file, none_file)
    make(page)
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/jobs") else None)
    with page.expect_download(timeout=SECONDS) as coming:
        page.locator("#all").click()
    coming.value.save_as(tmp_path / "all.zip")
    names = zipfile.ZipFile(tmp_path / "all.zip").namelist()
    assert names == ["astronaut-retouch.png", "three-retouch.png", "none-retouch.png"]
    assert len(asked) == 2
    assert page.locator('.tile[aria-current="true"]').get_attribute("title") == "astronaut.png"  # not stolen
    assert page.locator(".mark").all_inner_texts() == ["✓", "✓", "✓"]


def test_a_photo_without_a_face_is_said(page: Any, none_file: Path) -> None:
    style(page, "retouch")
    send(page, none_file)
    page.get_by_text("No face was found here").wait_for()
    page.get_by_text("nothing was changed").wait_for()


def test_more_than_the_limit_is_said_before_it_is_sent(opened: Opened, tmp_path: Path) -> None:
    page = opened.page
    limits = {"upload": 1000, "pixels": 9, "photos": 2, "waiting": 2, "kept": 9}
    page.route("**/limits", lambda route: route.fulfill(json=limits))
    page.route("**/photos", lambda route: pytest.fail("it was sent"))
    opened.open()
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(b"x" * 2000)
    page.set_input_files("#photo-input", [str(tmp_path / f"{name}.png") for name in "abc"])
    page.get_by_text("At most 2 photos are taken here.").wait_for()
    assert page.locator(".thumb .mark").all_inner_texts() == ["!", "!"]


# 5: nothing gets lost


def test_a_reload_and_a_restarted_server_lose_nothing(page: Any, astronaut_file: Path, three_file: Path) -> None:
    style(page, "retouch")
    send(page, astronaut_file)
    send(page, three_file)
    page.locator(".face").nth(0).click()
    option(page, "makeup", "strength").locator("input").fill("0.5")
    drawn(page)
    make(page)
    page.wait_for_timeout(600)  # it is kept a moment later
    ids = page.evaluate(
        """() => new Promise((resolve) => { indexedDB.open("ganchain").onsuccess = ({ target }) => {
          target.result.transaction("kept").objectStore("kept").get("state").onsuccess = (event) =>
            resolve(event.target.result.photos.map(({ id }) => id)); }; })"""
    )
    assert len(ids) == 2
    page.reload()
    page.locator(".thumb").nth(1).wait_for()
    drawn(page)
    page.locator("a#download").wait_for()  # the full picture is still there
    for key in ids:  # as a restarted server has forgotten them
        page.evaluate("async (key) => { await fetch(`/photos/${key}`, { method: 'DELETE' }); }", key)
    page.reload()
    page.locator(".thumb").nth(1).wait_for()
    drawn(page)
    assert [face.get_attribute("aria-pressed") for face in page.locator(".face").all()] == ["false", "true", "true"]
    assert "Strength 0.5" in page.locator(".set").inner_text()


def test_a_chain_is_opened_pasted_and_linked(opened: Opened, tmp_path: Path) -> None:
    page = opened.open()
    chain = tmp_path / "mine.yaml"
    chain.write_text("stages:\n  - makeup: {look: rose, strength: 0.4}\n")
    page.get_by_text("Save, share, command line").click()
    page.set_input_files("#yaml-input", str(chain))
    page.locator(".set").get_by_text("Strength 0.4").wait_for()
    page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.setData("text/plain", "stages: [{webtoon: {look: ink}}]");
          document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
        }"""
    )
    page.locator('[data-stage="webtoon"]').get_by_text("ink").first.wait_for()
    link = page.evaluate("async () => (await import('/chain.js')).linkOf((await import('/store.js')).state.chain)")
    page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.items.add(new File(["stages: [{nothing: {}}]"], "x.yaml"));
          document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
        }"""
    )
    page.get_by_text("No edit is called nothing.").wait_for()
    page.goto("about:blank")
    opened.open(link.partition("/#")[2] and "#" + link.partition("/#")[2])
    page.locator('[data-stage="webtoon"]').get_by_text("ink").first.wait_for()
    assert page.evaluate("() => location.hash") == ""


# 6: honest waiting


def test_progress_has_a_percentage_and_can_be_cancelled(page: Any, astronaut_file: Path) -> None:
    only(page, "upscale")
    option(page, "upscale", "size").get_by_text("best").click()
    send(page, astronaut_file)
    page.locator("#full").click()
    page.get_by_text(re.compile(r"\d+ % · .* left")).wait_for(timeout=SECONDS)
    page.locator("#cancel").click()
    page.locator("#full").wait_for(timeout=SECONDS)
    assert page.locator(".layer.over img").count() == 1


def test_a_large_file_is_announced_with_a_smaller_offer(page: Any, tmp_path: Path) -> None:
    Image.new("RGB", (2400, 1600), "grey").save(tmp_path / "large.png")
    only(page, "upscale")
    send(page, tmp_path / "large.png")
    page.wait_for_function("() => document.querySelector('.said').innerText.includes('9600 × 6400')", timeout=SECONDS)
    page.locator("#full").click()
    page.get_by_text("This makes 61 megapixels, a file of about 74 MB.").wait_for()
    page.get_by_role("button", name="Smaller instead: 15 megapixels, about 18 MB").click()
    page.wait_for_function("() => document.querySelector('.said').innerText.includes('4800 × 3200')", timeout=SECONDS)


# 7: built like the web is built


def test_what_is_wrong_is_marked_at_its_edit(page: Any, astronaut_file: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    page.set_input_files("#photo-input", str(tmp_path / "broken.jpg"))
    page.get_by_text("broken.jpg: not a picture that can be read").first.wait_for()
    only(page, "upscale")
    page.route(  # a value that the page does not offer, as weights that changed meanwhile would have it
        "**/drafts",
        lambda route: route.continue_(post_data=route.request.post_data.replace('factor\\":2', 'factor\\":3')),
    )
    option(page, "upscale", "factor").get_by_text("2", exact=True).click()
    page.set_input_files("#photo-input", str(astronaut_file))
    page.get_by_role("button", name="Show astronaut.png").click()
    page.get_by_text("these weights enlarge 2 or 4 times, not 3").first.wait_for(timeout=SECONDS)
    assert page.locator(".option.wrong").get_attribute("data-option") == "factor"
    page.unroute("**/drafts")
    option(page, "upscale", "factor").get_by_text("4", exact=True).click()
    page.wait_for_function("() => !document.querySelector('.option.wrong')", timeout=SECONDS)


def test_other_weights_offer_other_factors(opened: Opened) -> None:
    page = opened.open()
    stages = page.evaluate("async () => (await fetch('/stages')).json()")
    for stage in stages:
        if stage["name"] == "upscale":
            stage["options"]["weights"]["keys"].append("mine")
            stage["options"]["factor"]["choices"]["mine"] = [3, 8]
    page.route("**/stages", lambda route: route.fulfill(json=stages))
    opened.open()
    only(page, "upscale")
    option(page, "upscale", "factor").get_by_text("4", exact=True).click()
    page.locator(".edit").get_by_text("Other weights", exact=True).click()
    option(page, "upscale", "weights").locator("select").select_option("mine")
    factor = option(page, "upscale", "factor")
    assert factor.locator("label.chip").all_inner_texts() == ["as usual", "3", "8"]
    assert factor.locator("input:checked").get_attribute("value") == "null"  # 4 is not among them


def test_the_page_is_small_and_does_not_shift(browser: Any, address: str) -> None:
    for size in SIZES:
        window = Opened(browser, address, size)
        sizes = list[int]()
        asked = list[Any]()
        window.page.on("requestfinished", lambda request, asked=asked: asked.append(request))
        window.page.add_init_script(
            "window.shift = 0; new PerformanceObserver((list) => { for (const one of list.getEntries()) "
            "if (!one.hadRecentInput) window.shift += one.value; }).observe({ type: 'layout-shift', buffered: true });"
        )
        page = window.open()
        page.wait_for_timeout(500)
        sizes = [request.sizes()["responseBodySize"] for request in asked]
        assert sum(sizes) <= 150_000
        page.locator(".samples .tile").nth(1).click()
        drawn(page)
        assert page.evaluate("() => window.shift") < 0.05
        window.close()


def test_progress_comes_as_events_not_by_asking_again(page: Any, astronaut_file: Path) -> None:
    style(page, "retouch")
    send(page, astronaut_file)
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url) if "/jobs/" in request.url else None)
    make(page)
    assert sum(url.endswith("/events") for url in asked) == 1
    assert not [url for url in asked if re.fullmatch(r".*/jobs/[\w-]+", url)]


# 8: for everybody


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_controls_have_names_and_targets_are_large(
    browser: Any, address: str, scheme: str, astronaut_file: Path
) -> None:
    window = Opened(browser, address, "phone", color_scheme=scheme)
    page = window.open()
    send(page, astronaut_file)
    page.evaluate("() => { for (const part of document.querySelectorAll('details')) part.open = true; }")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, a[href], select, input, [role=slider]")].filter((one) => {
          const name = one.ariaLabel || one.innerText?.trim() || one.labels?.[0]?.innerText.trim() || one.title
            || document.getElementById(one.closest("[aria-labelledby]")?.getAttribute("aria-labelledby"))?.innerText;
          return !name;
        }).map((one) => one.outerHTML.slice(0, 90))"""
    )
    assert nameless == []
    small = page.evaluate(
        """() => [...document.querySelectorAll(`button, .button, label.chip, select, summary, input[type=range],
            .choose, input[type=color], input[type=number], input[type=checkbox], .tile, .file`)].filter((one) => {
          const { width, height } = one.getBoundingClientRect();
          return width && (height < 43.5 || width < 43.5);
        }).map((one) => one.outerHTML.slice(0, 90))"""
    )
    assert small == []
    window.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_borders_and_texts_stand_out(browser: Any, address: str, scheme: str) -> None:
    window = Opened(browser, address, "desktop", color_scheme=scheme)
    page = window.open()

    def colour(name: str) -> list[float]:
        page.evaluate(f"() => {{ document.body.style.outlineColor = 'var(--{name})'; }}")
        said = page.evaluate("() => getComputedStyle(document.body).outlineColor")
        channels = [int(part) / 255 for part in re.findall(r"\d+", said)[:3]]
        return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]

    def contrast(one: str, other: str) -> float:
        light = sorted(float(np.dot(colour(name), [0.2126, 0.7152, 0.0722])) + 0.05 for name in (one, other))
        return light[1] / light[0]

    for ground in ("paper", "card"):
        assert contrast("line", ground) >= 3
        for text in ("text", "quiet", "wrong", "accent"):
            assert contrast(text, ground) >= 4.5, (text, ground)
    assert contrast("on-accent", "accent") >= 4.5
    window.close()


def test_shortcuts_are_listed_and_left_out_faces_give_reasons(page: Any, tmp_path: Path) -> None:
    photo = skimage.data.astronaut()
    small = cv2.resize(photo[:260, 80:360], None, fx=0.32, fy=0.32, interpolation=cv2.INTER_AREA)
    photo[-len(small) :, : small.shape[1]] = small  # a face that is hardly one any more
    Image.fromarray(photo).save(tmp_path / "two.png")
    page.keyboard.press("?")
    page.get_by_text("move the line between before and after").wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    style(page, "retouch")
    send(page, tmp_path / "two.png")
    page.get_by_text("more left out").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Left out: score").first.wait_for()


def test_reduced_motion_and_forced_colours(browser: Any, address: str, astronaut_file: Path) -> None:
    window = Opened(browser, address, "desktop", reduced_motion="reduce", forced_colors="active")
    page = window.open()
    send(page, astronaut_file)
    running = page.evaluate("() => document.getAnimations().length")
    assert running == 0
    window.close()


def test_it_speaks_korean(opened: Opened) -> None:
    page = opened.open()
    page.locator(".language select").select_option("ko")
    page.get_by_role("button", name="캐릭터").wait_for()
    assert page.evaluate("() => document.documentElement.lang") == "ko"
    page.reload()
    page.get_by_text("사진 선택").first.wait_for()
    english = page.evaluate(
        """async () => {
          const text = await (await fetch("/texts.js")).text();
          const part = (name) => text.split(`const ${name} = {`)[1].split("\\n};")[0];
          const keys = (name) => [...part(name).matchAll(/^  (\\w+):/gm)].map((found) => found[1]);
          return [keys("en"), keys("ko")];
        }"""
    )
    assert english[0] == english[1] and len(english[0]) > 80


STILLS = "() => document.querySelectorAll('.stills img[data-drawn=true]').length === 3"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return clip(tmp_path / "film.mp4", [moved(skimage.data.astronaut(), number)[0] for number in range(12)])


def test_a_video_is_shown_by_three_stills_then_made_and_downloaded(page: Any, film: Path, tmp_path: Path) -> None:
    style(page, "retouch")
    page.set_input_files("#photo-input", str(film))
    page.wait_for_function(STILLS, timeout=SECONDS)
    drawn(page)  # a still of it, large
    first = page.locator(".stills img").first.get_attribute("src")
    style(page, "webtoon")
    page.wait_for_function("(src) => document.querySelector('.stills img').src !== src", arg=first, timeout=SECONDS)
    style(page, "retouch")
    page.wait_for_function(STILLS, timeout=SECONDS)
    page.locator("#make-video").click()
    page.get_by_role("region", name="film.mp4").get_by_role("progressbar").wait_for()
    page.locator("#download-video").wait_for(timeout=SECONDS)
    page.wait_for_function("() => document.querySelector('.video video').duration > 0.4")
    with page.expect_download() as downloading:
        page.locator("#download-video").click()
    assert downloading.value.suggested_filename == "film-retouch.mp4"
    downloading.value.save_as(tmp_path / "made.mp4")
    assert len(list(source_of(tmp_path / "made.mp4").frames())) == 12
    style(page, "webtoon")
    page.locator("#make-video").click()  # of another chain, it is not made yet
    page.locator(".video").get_by_role("button", name="Cancel").click()
    page.locator("#make-video").wait_for()
    page.locator(".video").get_by_role("button", name="Remove film.mp4").click()
    assert page.locator(".video").count() == 0


def test_a_video_that_is_none_is_said(page: Any, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_bytes(b"no video")
    page.set_input_files("#photo-input", str(tmp_path / "text.mp4"))
    page.locator(".video .error").wait_for()
    assert "text.mp4: is no video" in page.locator(".video .error").inner_text()


def test_the_list_of_addresses_needs_nothing_else(opened: Opened) -> None:
    page = opened.open()
    page.goto(f"{opened.address}docs")
    page.get_by_text("POST /drafts").wait_for()
