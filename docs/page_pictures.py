"""Make the pictures of the web page: its sample faces, and a picture of the page itself, on a screen and on a phone.

python -m docs.page_pictures
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from PIL import Image

from ganchain import Pipeline, chains
from ganchain.tensors import Pixels

SAMPLES = Path(str(resources.files("ganchain.web"))) / "page" / "samples"
STYLES = {
    "portrait": "[{makeup: {look: evening}}, {attributes: {hair: blond, age: young}}, {webtoon: {scope: photo}}]",
    "webtoon": "[{webtoon: {scope: photo}}]",
    "retouch": "[{makeup: {look: natural}}]",
    "faces": "[webtoon]",
}
SIDE = 104  # px of a style's picture
HEAD, EYES = (140, 20, 310, 190), (185, 60, 255, 130)  # left, top, right, bottom in the photo
WINDOWS: list[tuple[int, int]] = [(1280, 800), (390, 844)]
DRAWN = """() => document.querySelector('.layer.over img')?.src.startsWith('blob:')
  && !document.querySelector('.preset .crop[class*=before-]')"""
FLAGS = ["--no-sandbox", "--disable-gpu"]


def edited(pixels: Pixels, stages: str) -> Pixels:
    photo = Pipeline.from_chain(chains.parse(f"stages: {stages}", "sample", Path()))(pixels).photo
    assert photo is not None
    return photo.pixels


def samples() -> None:
    """Write the sample faces, and what the styles do to one of them."""
    photo = np.asarray(skimage.data.astronaut())
    near = np.ascontiguousarray(photo[:340, 50:390])
    mirrored = np.ascontiguousarray(near[:, ::-1])
    write("astronaut", photo, 78)
    write("drawing", edited(photo, STYLES["webtoon"]), 66)
    dark = "[{makeup: {look: evening}}, {attributes: {hair: black}}, {webtoon: {scope: photo}}]"
    write("dark", edited(mirrored, dark), 66)
    write("old", edited(near, "[{attributes: {age: old, hair: grey}}, {webtoon: {scope: photo}}]"), 66)
    tiles = [Image.fromarray(edited(photo, stages)).crop(HEAD) for stages in STYLES.values()]
    face = Image.fromarray(photo).crop(HEAD)
    spoilt = face.resize((60, 60)).resize(face.size, Image.Resampling.NEAREST)
    spoilt.paste(face.crop((85, 0, *face.size)), (85, 0))
    strip = Image.new("RGB", (6 * SIDE, SIDE))
    for number, tile in enumerate([*tiles, spoilt, Image.fromarray(photo).crop(EYES)]):
        strip.paste(tile.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (number * SIDE, 0))
    write("presets", np.asarray(strip), 66)


def write(name: str, pixels: Pixels, quality: int) -> None:
    path = SAMPLES / f"{name}.webp"
    Image.fromarray(pixels).save(path, quality=quality, method=6)
    print(f"{path.name}: {path.stat().st_size // 1000} kB")


def page() -> Image.Image:
    """Take a picture of the page with a sample, on a screen and beside it on a phone; needs playwright and Chromium."""
    sync_playwright = import_module("playwright.sync_api").sync_playwright
    command = [sys.executable, "-u", "-m", "ganchain", "serve", "--port", "0"]
    serving = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with serving, tempfile.TemporaryDirectory() as folder:
        assert serving.stdout is not None
        said = re.search(r"http://\S+", serving.stdout.readline())
        assert said
        with sync_playwright() as started:
            browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            shots = [shot(browser, said[0], window, Path(folder) / "shot.png") for window in WINDOWS]
            browser.close()
        serving.terminate()
    screen, phone = shots
    phone = phone.resize((phone.width * screen.height // phone.height, screen.height), Image.Resampling.LANCZOS)
    both = Image.new("RGB", (screen.width + 24 + phone.width, screen.height), (120, 116, 134))
    both.paste(screen, (0, 0))
    both.paste(phone, (screen.width + 24, 0))
    return both.resize((1200, both.height * 1200 // both.width), Image.Resampling.LANCZOS)


def shot(browser: Any, address: str, window: tuple[int, int], file: Path) -> Image.Image:
    phone = window[0] < 500
    context = browser.new_context(
        viewport={"width": window[0], "height": window[1]}, is_mobile=phone, has_touch=phone, locale="en-US"
    )
    opened = context.new_page()
    opened.goto(address)
    opened.locator(".samples .tile").first.click()
    opened.wait_for_function(DRAWN, timeout=300_000)
    opened.screenshot(path=str(file))
    context.close()
    return Image.open(file).convert("RGB")


if __name__ == "__main__":
    samples()
