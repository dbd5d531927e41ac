"""Photos for all tests: the public-domain astronaut of scikit-image, and what code makes of it."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from io import BytesIO
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

# before torch: with two, on a busy machine, tests take five times as long
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import h5py  # noqa: F401 - its import asks the system for the processor, by a process
import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from ganchain.checkpoints import architectures, manifest
from ganchain.engines import openvino
from ganchain.faces.align import Aligner
from ganchain.faces.detect import DlibDetector
from ganchain.faces.dlib_models import dlib
from ganchain.faces.face import Face
from ganchain.faces.mesh import WINDOW
from ganchain.framing import HEAD, TIGHT
from ganchain.pipeline import reader
from ganchain.tensors import Pixels, to_pixels
from ganchain.train.datasets import drawings, points
from tests import dlib_once, networks_once
from tests.pools import InThisProcess
from tests.torture import torture

SLOW = {"slow", "web", "ray", "tensorflow"}  # the marks that `make quick` leaves out


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Hold the promise of `make quick`: a test without a mark starts no process, trains and converts no network."""

    def refused(*_: object, **__: object) -> NoReturn:
        pytest.fail("this test starts a process, trains or converts a network: mark it slow, or make it do without")

    if SLOW & {mark.name for mark in item.iter_markers()}:
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseProcess, "start", refused)
        patch.setattr(subprocess.Popen, "__init__", refused)
        patch.setattr(openvino, "_converted", refused)
        for optimiser in (torch.optim.Adam, torch.optim.AdamW):  # both: making one hooks the step of its own class
            patch.setattr(optimiser, "step", refused)
        return (yield)


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was imported; it would search all of torch again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _made_once() -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dlib, "get_frontal_face_detector", dlib_once.detector)
        patch.setattr(dlib, "shape_predictor", dlib_once.predictor)
        patch.setattr(reader, "architectures", networks_once)
        yield


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or touches the user's imported weights."""
    monkeypatch.setenv("GANCHAIN_CACHE", str(tmp_path_factory.getbasetemp() / f"cache-{uuid4().hex}"))


@pytest.fixture(scope="session")
def dlib_models() -> None:
    """Leaves out tests of training and evaluation where dlib's own models are not installed."""
    if find_spec("face_recognition_models") is None:
        pytest.skip("dlib's own models are not installed: pip install 'ganchain[test]'")


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Teachers answer in this process: starting one takes two seconds."""
    monkeypatch.setattr(drawings, "ProcessPoolExecutor", InThisProcess)
    threads = cv2.getNumThreads()
    yield
    cv2.setNumThreads(threads)


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


@pytest.fixture(scope="session")
def png(astronaut: Pixels) -> bytes:
    """The astronaut as a PNG file."""
    file = BytesIO()
    Image.fromarray(astronaut).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def photo_file(png: bytes, tmp_path: Path) -> Path:
    """A file with the astronaut."""
    path = tmp_path / "astronaut.png"
    path.write_bytes(png)
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


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Files that break decoders, by ``sound``, ``refused`` and ``damaged``."""
    return torture(tmp_path_factory.mktemp("torture"))


@pytest.fixture(scope="session")
def heads(astronaut: Pixels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of one aligned head, varied in light: too few to learn from, enough to run every recipe."""
    data = tmp_path_factory.mktemp("heads")
    face = DlibDetector()(astronaut)[0]
    for folder, framing in (("faces256", TIGHT), ("wide256", HEAD)):
        (data / folder).mkdir()
        rows = ["file,gender,age,race,dataset,split,person"]
        chip = to_pixels(Aligner(framing).chip(astronaut, face, 256))[0].astype(float)
        for number in range(6):
            varied = (chip * (0.8 + number / 30)).clip(0, 255).astype(np.uint8)
            Image.fromarray(varied).save(data / folder / f"{number}.png")
            split = "val" if number < 2 else "test" if number < 4 else "train"
            gender, age = ("female", "20-29") if number % 2 else ("male", "50-59")
            rows.append(f"{number}.png,{gender},{age},White,drawn,{split},{number}")
        (data / folder / "labels.csv").write_text("\n".join(rows) + "\n")
    (data / "photos_cc0").mkdir()
    for number in range(2):  # one edge as long as the windows that recipes cut from photos
        Image.fromarray(astronaut[0:192, 100 + number * 8 : 340]).save(data / "photos_cc0" / f"{number}.png")
    label(data, astronaut, face)
    return data


def label(data: Path, photo: Pixels, face: Face) -> None:
    """Write the label files of ``heads`` as the teachers would: our own points, and drawn mattes."""
    network = architectures.build("points", manifest.load("points").tensors)
    with torch.inference_mode():
        read = network(Aligner(WINDOW).chip(photo, face, 256))[0, :-1].view(-1, 2)
    names = np.array([f"{number}.png" for number in range(12)])
    for folder, framing in (("faces256", TIGHT), ("wide256", HEAD)):
        reach, x, y = points.place(framing)
        places = ((read * reach + torch.tensor([x, y]) + 1) * 128 - 0.5).numpy()
        spread = np.ones((12, len(places)), np.float32)
        np.savez(data / f"points-{folder}.npz", names=names, points=np.tile(places, (12, 1, 1)), spread=spread)
    rows, columns = np.mgrid[0:256, 0:256]
    head = ((columns - 128) / 70) ** 2 + ((rows - 120) / 95) ** 2 < 1
    hair, person = (np.tile(np.uint8(255) * shape, (12, 1, 1)) for shape in (head & (rows < 80), head | (rows > 200)))
    np.savez(data / "mattes-wide256.npz", names=names, hair=hair, person=person)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape names that are no UTF-8 in what a test printed: processes of pytest-xdist cannot send them."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture
def no_nohup() -> Generator[None]:
    """SIGHUP ends processes, as it does where nohup did not start the tests."""
    former = signal.signal(signal.SIGHUP, signal.SIG_DFL) if hasattr(signal, "SIGHUP") else None
    yield
    if former is not None:
        signal.signal(signal.SIGHUP, former)
