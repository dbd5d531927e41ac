"""Photos for all tests: the public-domain astronaut of scikit-image, and what code makes of it."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")  # before torch: many threads on a busy machine wait for each other

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from ganchain.tensors import Pixels


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or touches the user's imported weights."""
    monkeypatch.setenv("GANCHAIN_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def astronaut() -> Pixels:
    """(512, 512, 3) uint8, one face with a box of 107 px."""
    pixels = np.asarray(skimage.data.astronaut())
    pixels.setflags(write=False)
    return pixels


@pytest.fixture(scope="session")
def large_face(astronaut: Pixels) -> Pixels:
    """A face of over 1,000 px, with grain as fine as a camera's so that there is detail to lose."""
    head = cv2.resize(astronaut[20:230, 110:340], None, fx=11, fy=11, interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(0).normal(0, 6, head.shape)
    return (head + grain).round().clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def small_head(astronaut: Pixels) -> Pixels:
    """(220, 240, 3): the head alone, for tests that must be quick."""
    return astronaut[10:230, 105:345].copy()


@pytest.fixture
def photo_file(astronaut: Pixels, tmp_path: Path) -> Path:
    path = tmp_path / "astronaut.png"
    Image.fromarray(astronaut).save(path)
    return path


@pytest.fixture(scope="session")
def landscape() -> Pixels:
    """(300, 400, 3): a sky, a hill and a sun; no face."""
    y, x = np.mgrid[0:300, 0:400]
    sky = np.stack([120 + y / 4, 170 + y / 6, 240 - y / 10], axis=-1)
    hill = y > 200 - 40 * np.sin(x / 60)
    sky[hill] = (60, 130, 70)
    sky[(x - 300) ** 2 + (y - 60) ** 2 < 900] = (255, 230, 120)
    return sky.astype(np.uint8)
